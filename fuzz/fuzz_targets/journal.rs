//! The journal of responding, whole or tampered with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stop::journal::{Fault, verify};

fuzz_target!(|bytes: &[u8]| {
    let verified = verify(bytes);
    assert!(verified.bytes <= bytes.len() as u64);
    if verified.fault.is_none() {
        assert_eq!(verified.bytes, bytes.len() as u64);
    }
    if let Some(Fault::Torn { offset, length, .. }) = verified.fault {
        assert_eq!(offset + length, bytes.len() as u64);
    }
});
