//! Proofs that stand alone, bundles, and requests to a witness: what is read is written again as it was; what nobody
//! trusted signed proves nothing.
#![no_main]

use ledger::{Bundle, Head, LeafProof, Trust, VerifierKey, judge, witness::AddCheckpoint};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fuzz_target!(|bytes: &[u8]| {
    let key: VerifierKey = KEY.parse().unwrap();
    let trust = Trust::of(key.clone());
    if let Ok(proof) = LeafProof::from_bytes(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        assert!(proof.check(b"leaf", &trust).is_err());
    }
    if let Ok(request) = AddCheckpoint::from_bytes(bytes) {
        assert_eq!(request.to_string().as_bytes(), bytes);
        let last = Head { size: request.old, ..Head::EMPTY };
        assert!(judge(&request, &[key], last).is_err());
    }
    // The same bytes as every file of a bundle.
    let (names, rest) = bytes.split_at(bytes.len().min(4));
    let files = names.iter().map(|name| {
        let kind = ["json", "tlog-proof", "openings", "keys"][usize::from(name % 4)];
        let number = name / 16;
        (if kind == "keys" { kind.into() } else { format!("{number}.{kind}") }, rest.to_vec())
    });
    if let Ok(bundle) = Bundle::from_files(files) {
        let again = Bundle::from_files(bundle.files()).unwrap();
        assert_eq!(again, bundle);
        assert!(bundle.exhibits.is_empty() || bundle.verify(&trust).is_err());
    }
});
