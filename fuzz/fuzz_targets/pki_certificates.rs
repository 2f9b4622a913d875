//! What EST carries: certificates in a PKCS #7. What was read is written again and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(certificates) = pki::read_certificates(bytes) else { return };
    if let Ok(message) = pki::certificates_only(certificates.iter().map(Vec::as_slice)) {
        let mut again = pki::read_certificates(&message).unwrap();
        again.sort();
        let mut sorted = certificates;
        sorted.sort();
        assert_eq!(again, sorted);
    }
});
