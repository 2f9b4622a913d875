//! CoAP messages.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = parse::app::coap::parse(bytes) {
        assert!(message.path.len() <= bytes.len());
    }
});
