//! Leaves and openings: a decision has one form; bytes of any other are none.
#![no_main]

use ledger::{Decision, Shown};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Decision::from_bytes(bytes) {
        Ok(decision) => assert_eq!(decision.to_bytes().unwrap(), bytes),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(shown) = Shown::from_lines(bytes) {
        assert_eq!(Shown::from_lines(&Shown::to_lines(&shown)).as_ref(), Ok(&shown));
        for one in &shown {
            assert!(one.check(bytes).is_err(), "a line cannot be its own leaf");
        }
    }
});
