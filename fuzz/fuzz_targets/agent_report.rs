//! Reports of devices, as a server reads them: what is taken can be written and is taken again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Report;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(report) = Report::from_json(bytes) {
        let again = serde_json::to_vec(&report).unwrap();
        assert_eq!(Report::from_json(&again).unwrap(), report);
    }
});
