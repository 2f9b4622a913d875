//! Answers of a server: HTTP, then what EST carries in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut stream = bytes;
    if let Ok(answer) = agent::http::read_response(&mut stream, 4_096) {
        assert!(answer.body.len() <= 4_096 && answer.status >= 200);
        if let Ok(certificates) = agent::est::certificates(answer.body) {
            assert!(agent::est::roots(&certificates).len() <= certificates.len());
        }
    }
});
