//! Greetings and clear frames of SSH.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::ssh;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(greeting) = ssh::greeting(bytes) {
        assert!(greeting.length <= bytes.len() && greeting.length <= 256);
    }
    if let Ok(frame) = ssh::frame(bytes) {
        assert!(frame.length >= 10);
    }
});
