//! The hellos of TLS.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::{ja4, tls};

fuzz_target!(|bytes: &[u8]| {
    if tls::client_hello(bytes).is_ok() {
        assert_eq!(tls::recognise(bytes), Ok(true));
    }
    if let Ok(name) = ja4::of_client_hello(bytes) {
        assert_eq!(name.len(), 36);
    }
});
