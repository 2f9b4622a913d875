//! A backup with bytes of anybody's choice in it, packed or not: it is refused with a line, or it is whole.
#![no_main]

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use std::{io::Write as _, path::Path};
use store::copy::{CopyError, check};

const FIRST: &str =
    "{\"bastide-backup\":1,\"schema\":1,\"made\":\"2026-01-01T00:00:00Z\",\"program\":\"0\"}\n";

fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    let name = Path::new("a backup");
    // As it is: what is packed wrongly.
    drop(check(name, rest));
    let packed = |text: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::none());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    };
    // Packed rightly, from the first line on.
    drop(check(name, packed(rest).as_slice()));
    // Tables and rows, between lines that are right.
    let rows = rest.split_inclusive(|byte| *byte == b'\n').filter(|line| line.starts_with(b"[")).count();
    let hash: String = Sha256::digest(rest).iter().map(|byte| format!("{byte:02x}")).collect();
    let last = format!("{{\"rows\":{},\"sha256\":\"{hash}\"}}\n", rows + usize::from(how & 1));
    let text = [FIRST.as_bytes(), rest, last.as_bytes()].concat();
    match check(name, packed(&text).as_slice()) {
        Ok(copied) => {
            assert_eq!((copied.rows, how & 1), (rows as u64, 0));
            assert_eq!(copied.digest, hash);
        }
        Err(CopyError::Damaged { line, .. }) => assert!(line >= 1),
        Err(CopyError::Newer { .. }) => {}
        Err(other) => panic!("{other}"),
    }
});
