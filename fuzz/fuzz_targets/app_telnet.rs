//! Telnet's negotiation: any split of a stream leaves the same text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::telnet::{self, Stripper};

fuzz_target!(|bytes: &[u8]| {
    let mut stripper = Stripper::new();
    let text = bytes.iter().filter(|&&byte| stripper.byte(byte).is_some()).count();
    assert!(text <= bytes.len());
    let _ = telnet::recognise(bytes);
});
