//! Signed settings: nothing is read out of a message that was not signed by the certificate in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(message) = pki::Jws::parse(text) {
        let _ = message.payload_signed();
    }
    let _ = wire::Settings::from_json(bytes);
    let _ = wire::Taken::from_json(bytes);
    let _ = text.parse::<wire::Token>();
});
