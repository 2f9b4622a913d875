//! Who may depend on whom: ARCHITECTURE.md's arrows, checked against what `cargo metadata` says is there.
//!
//! An arrow that is not in the table is a fault, whether anybody uses it or not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Each crate of the house and what it may stand on. Crates that have no code yet are named, too: whoever creates one
/// finds its place decided.
const ARROWS: &[(&str, &[&str])] = &[
    // the words
    ("model", &[]),
    // the five verbs: no IO, and none of them knows another but for the permit, minted in protect and spent in stop
    ("identify", &["model", "parse"]),
    ("protect", &["model", "parse"]),
    ("detect", &["model"]),
    ("stop", &["model", "protect"]),
    ("report", &["model"]),
    // what they stand on
    ("parse", &[]),
    ("observe", &["model", "parse"]),
    ("capture", &[]),
    ("policy", &["model", "protect"]),
    ("ledger", &["model"]),
    ("pki", &["model"]),
    ("pkcs11", &["pki"]),
    ("store", &["model", "identify", "ledger"]),
    ("wire", &["model"]),
    // what runs
    ("analyze", &["model", "observe", "identify", "protect", "detect", "stop", "report"]),
    ("sensor", &["model", "observe", "identify", "protect", "detect", "stop", "report", "capture", "wire"]),
    (
        "gateway",
        &["model", "parse", "observe", "identify", "protect", "detect", "stop", "report", "policy", "wire"],
    ),
    ("agent", &["model", "pkcs11", "pki", "wire"]),
    (
        "server",
        &[
            "model", "observe", "identify", "protect", "detect", "stop", "report", "policy", "ledger",
            "pkcs11", "pki", "store", "wire",
        ],
    ),
    ("lab", &["model"]),
    (
        "bastide",
        &[
            "model", "agent", "analyze", "sensor", "gateway", "server", "lab", "report", "ledger", "store",
            "wire",
        ],
    ),
    // not part of the house: what the project does with itself
    ("xtask", &["model"]),
];

/// In tests a crate may use more: the generator of scenes, and the agent as it runs on a device.
const TESTS_MAY_USE: &[&str] = &["xtask", "agent"];

/// One heavy dependency, one crate: outside crates that only these may name.
const BEHIND_ONE_CRATE: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("cedar-policy", &["policy"]),
    ("cms", &["pki"]),
    ("cryptoki", &["pkcs11"]),
    ("x509-cert", &["pki"]),
    ("x509-ocsp", &["pki"]),
    ("axum", &["server", "sensor", "gateway", "bastide"]),
    ("tokio", &["server", "store", "gateway", "bastide"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Name, and its dependencies with their kinds (`null` for normal, `dev`, `build`).
fn packages() -> BTreeMap<String, BTreeSet<(String, bool)>> {
    let metadata = metadata();
    let mut out = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let named = dependencies
            .map(|dependency| (dependency["name"].as_str().unwrap().to_owned(), dependency["kind"] == "dev"))
            .collect();
        out.insert(package["name"].as_str().unwrap().to_owned(), named);
    }
    out
}

#[test]
fn nobody_depends_on_whom_it_must_not() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let packages = packages();
    let mut faults = Vec::new();
    for (name, dependencies) in &packages {
        let Some(may) = allowed.get(name.as_str()) else {
            faults.push(format!("{name}: has no place in the table of arrows"));
            continue;
        };
        for (on, in_tests) in dependencies.iter().filter(|(on, _)| packages.contains_key(on)) {
            // In its tests, a crate may use itself, the generator, and whatever its own dependencies are.
            let ok = may.contains(&on.as_str())
                || (*in_tests && (TESTS_MAY_USE.contains(&on.as_str()) || on == name))
                || (*in_tests && may.iter().any(|step| allowed[step].contains(&on.as_str())));
            if !ok {
                faults.push(format!("{name} → {on}: this arrow is a fault"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_arrows_have_no_circle() {
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    while placed.len() < ARROWS.len() {
        let ready: Vec<&str> = ARROWS
            .iter()
            .filter(|(name, on)| !placed.contains(name) && on.iter().all(|on| placed.contains(on)))
            .map(|(name, _)| *name)
            .collect();
        assert!(!ready.is_empty(), "a circle among those not in {placed:?}");
        placed.extend(ready);
    }
}

#[test]
fn a_heavy_dependency_stays_behind_its_crate() {
    let mut faults = Vec::new();
    for (name, dependencies) in packages() {
        for (on, _) in dependencies.iter().filter(|(_, in_tests)| !in_tests) {
            for (heavy, keepers) in BEHIND_ONE_CRATE {
                if on == heavy && !keepers.contains(&name.as_str()) {
                    faults.push(format!("{name} → {on}: only {keepers:?} may name it"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_pure_crates_have_no_clock_and_no_io() {
    // The words of the standard library by which a crate touches the world. Tests inside the files are cut off.
    let words = [
        "SystemTime::now",
        "Instant::now",
        "std::fs::",
        "std::net::TcpStream",
        "UdpSocket",
        "std::process::Command",
        "std::env::var",
    ];
    let mut faults = Vec::new();
    for name in
        ["model", "parse", "observe", "identify", "protect", "detect", "stop", "report", "ledger", "wire"]
    {
        let mut folders =
            vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && !path.ends_with("tests.rs")
                {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                    for (number, line) in code.lines().enumerate() {
                        let line = line.split("//").next().unwrap_or_default();
                        for word in words.iter().filter(|word| line.contains(**word)) {
                            faults.push(format!("{}:{}: {word}", path.display(), number + 1));
                        }
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
