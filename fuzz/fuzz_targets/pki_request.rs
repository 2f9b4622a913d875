//! Certificate signing requests: whatever is read was signed by its own key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::Request;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = Request::from_der(bytes) {
        assert!(request.names().len() <= 32);
        let key = request.key().to_der().unwrap();
        assert!(bytes.windows(key.len()).any(|part| part == key));
    }
});
