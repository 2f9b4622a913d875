//! OCSP requests, and the answers to those that can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::OcspRequest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = OcspRequest::from_der(bytes) {
        assert!(!request.is_fresh() || request.single().is_none());
    }
});
