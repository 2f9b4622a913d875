//! Capture files of both forms, fed in pieces: every step goes on, none asks for more than is promised.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::capture::{Decoder, MAX_NEED, MAX_RECORD, Step};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, file) = input;
    let Some(mut decoder) = Decoder::recognise(file) else { return };
    let (mut start, mut end) = (0, 0);
    loop {
        match decoder.step(&file[start..end], end == file.len()) {
            Step::NeedMore { at_least } => {
                assert!(at_least <= MAX_NEED && at_least > end - start && end < file.len());
                end = (end + 1 + usize::from(piece)).min(file.len());
            }
            Step::Packet { consumed, packet } => {
                assert!(consumed > 0 && packet.data.len() <= MAX_RECORD);
                let _ = parse::packet::dissect(packet.link, packet.data, packet.wire_length);
                start += consumed;
            }
            Step::Consumed(consumed) | Step::Skipped { consumed, .. } => {
                assert!(consumed > 0);
                start += consumed;
            }
            Step::Damaged { reason } => {
                assert!(!reason.is_empty());
                break;
            }
            Step::End => break,
        }
        assert!(start <= end);
    }
});
