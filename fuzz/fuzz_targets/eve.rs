//! Suricata's EVE, line by line, to events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observe::logs::{LogDecoder, LogFormat};

fuzz_target!(|log: &[u8]| {
    let _ = LogDecoder::recognise(log);
    let mut decoder = LogDecoder::new(LogFormat::Eve, 1);
    for (number, line) in (1..).zip(log.split(|byte| *byte == b'\n')) {
        let mut events = 0;
        let read = decoder.line(number, line, &mut |event| {
            assert_eq!(event.record.record, number);
            events += 1;
        });
        assert!(events <= 4, "more events than a line can stand for");
        if let Err(error) = read {
            assert!(!error.to_string().is_empty());
        }
    }
});
