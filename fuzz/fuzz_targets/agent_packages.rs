//! Package databases of devices: every package that is read becomes a component that can be sent, or is left out and said to be.
#![no_main]

use agent::machine::{Database, read_packages};
use libfuzzer_sys::fuzz_target;
use wire::{Os, Sbom};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let database = [Database::Dpkg, Database::Apk, Database::Opkg][usize::from(first) % 3];
    let os = Os {
        id: "debian".into(),
        version: Some("12".into()),
        name: None,
        kernel: "6".into(),
        architecture: "arm".into(),
    };
    let packages = read_packages(database, &os, bytes, 100).unwrap();
    assert!(packages.len() <= 100);
    Sbom::new("0", ("debian", None), packages, true).check().unwrap();
});
