//! The hellos of TLS.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::tls;

fuzz_target!(|bytes: &[u8]| {
    if tls::client_hello(bytes).is_ok() {
        assert_eq!(tls::recognise(bytes), Ok(true));
    }
});
