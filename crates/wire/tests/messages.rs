//! What is taken, and what each refusal says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use serde_json::{Value, json};
use wire::{Package, Report, Sbom, Settings, Taken, Token, limit};

fn posture() -> Value {
    json!({
        "agent": "0.1.0",
        "os": {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)",
               "kernel": "6.1.0-18-arm64", "architecture": "aarch64"},
        "boot": "a8f3c4e2-0000-4000-8000-0123456789ab", "hardware": [],
        "started": "2026-11-22T06:00:00.000000Z",
        "software": {"packages": 2, "sbom": "urn:uuid:00000000-0000-8000-8000-000000000000"},
        "listening": [
            {"transport": "tcp", "port": 22, "address": "0.0.0.0", "process": "sshd"},
            {"transport": "tcp", "port": 23, "address": "::", "process": null}
        ],
        "telnet": [23],
        "accounts": {"weak": [{"name": "root", "rule": "mirai-list-02 (Dahua DVR)"}], "unchecked": 1},
        "unread": [{"source": "/proc", "reason": "no permission"}]
    })
}

fn report(about: Value) -> Value {
    json!({"version": 1, "number": 7, "made": "2026-11-22T06:30:00.000000Z", "shed": 0, "settings": 0, "about": about})
}

fn settings() -> Value {
    json!({
        "version": 1, "device": "0a".repeat(32), "number": 3, "made": "2026-11-22T06:30:00.000000Z",
        "not_after": "2026-12-22T06:30:00.000000Z", "report_every": 900,
        "collect": {"packages": true, "ports": true, "accounts": false}
    })
}

fn packages() -> Vec<Package> {
    let package = |name: &str| Package {
        name: name.into(),
        version: "1.0".into(),
        purl: format!("pkg:deb/debian/{name}@1.0?arch=arm64"),
    };
    vec![package("zlib1g"), package("bash"), package("curl")]
}

fn sbom() -> Sbom {
    Sbom::new("0.1.0", ("debian", Some("12")), packages(), true)
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

#[test]
fn what_is_sent_is_what_is_read() {
    for about in [json!({"posture": posture()}), json!({"sbom": sbom()})] {
        let sent = report(about);
        let read = Report::from_json(&bytes(&sent)).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), sent);
    }
    let read = Settings::from_json(&bytes(&settings())).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), settings());
    let taken = json!({"version": 1, "number": 7, "settings": 3});
    assert_eq!(serde_json::to_value(Taken::from_json(&bytes(&taken)).unwrap()).unwrap(), taken);
}

#[test]
fn what_is_out_of_bounds_is_refused_by_name() {
    let check = |path: &str, value: Value, expected: &str| {
        let mut sent = report(json!({"posture": posture()}));
        *sent.pointer_mut(path).unwrap() = value;
        let refused = Report::from_json(&bytes(&sent)).unwrap_err().to_string();
        assert!(refused.contains(expected), "{path}: {refused}");
    };
    check("/version", json!(2), "`version` is 2: expected 1");
    check("/number", json!(-1), "JSON of version 1 (invalid value");
    check("/made", json!("yesterday"), "expected an RFC 3339 moment");
    let p = |rest: &str| format!("/about/posture{rest}");
    check(&p("/agent"), json!(""), "`posture.agent` is 0 bytes, \"\": expected 1 to 256 bytes");
    check(&p("/os/kernel"), json!("6.1\u{1b}[31m"), "`posture.os.kernel`");
    check(&p("/os/name"), json!("x".repeat(257)), "is 257 bytes, ");
    check(&p("/software/sbom"), json!("urn:uuid:1"), "`posture.software.sbom`");
    check(&p("/software/packages"), json!(limit::COMPONENTS + 1), "`posture.software.packages`");
    check(&p("/listening/1/port"), json!(21), "`posture.listening` is out of order");
    check(&p("/listening/1/port"), json!(65_536), "JSON of version 1");
    check(&p("/listening/0/transport"), json!("sctp"), "unknown variant `sctp`");
    check(&p("/telnet"), json!([2323, 23]), "`posture.telnet` is out of order");
    check(&p("/accounts/weak/0/rule"), json!(""), "`posture.accounts.weak.rule`");
    let many: Vec<Value> = (0..=limit::UNREAD).map(|_| json!({"source": "x", "reason": "y"})).collect();
    check(&p("/unread"), json!(many), "`posture.unread` is 33 long: expected at most 32");
}

#[test]
fn a_field_that_is_not_known_is_refused() {
    let mut paths = vec!["", "/about", "/about/posture"];
    paths.extend(["/about/posture/os", "/about/posture/accounts", "/about/posture/accounts/weak/0"]);
    for path in paths {
        let mut sent = report(json!({"posture": posture()}));
        sent.pointer_mut(path).unwrap()["password_hash"] = json!("$1$x");
        let refused = Report::from_json(&bytes(&sent)).unwrap_err().to_string();
        assert!(refused.starts_with("`report` is not readable at line 1 column"), "{path}: {refused}");
        assert!(!refused.contains("$1$x"), "{refused}");
    }
    let mut sent = settings();
    sent["collect"]["files"] = json!(true);
    assert!(Settings::from_json(&bytes(&sent)).unwrap_err().to_string().contains("unknown field `files`"));
}

#[test]
fn settings_are_bounded() {
    let check = |key: &str, value: Value, expected: &str| {
        let mut sent = settings();
        sent[key] = value;
        let refused = Settings::from_json(&bytes(&sent)).unwrap_err().to_string();
        assert!(refused.contains(expected), "{key}: {refused}");
    };
    check("version", json!(0), "`version` is 0: expected 1");
    check("device", json!("0A".repeat(32)), "64 small hexadecimal digits");
    check("number", json!(0), "`number` is 0: expected 1 or more");
    check("not_after", settings()["made"].clone(), "expected later than `made`");
    check("report_every", json!(59), "expected 60 to 86400 seconds");
    check("report_every", json!(86_401), "expected 60 to 86400 seconds");
    assert!(Settings::from_json(&vec![b' '; limit::ANSWER_BYTES + 1]).unwrap_err().field == "settings");
}

#[test]
fn the_same_packages_are_the_same_document() {
    let mut other_way = packages();
    other_way.reverse();
    other_way.extend(packages());
    let again = Sbom::new("0.1.0", ("debian", Some("12")), other_way, true);
    assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&sbom()).unwrap());
    sbom().check().unwrap();
    let serials: Vec<String> = [
        sbom(),
        Sbom::new("0.1.1", ("debian", Some("12")), packages(), true),
        Sbom::new("0.1.0", ("debian", None), packages(), true),
        Sbom::new("0.1.0", ("debian", Some("12")), packages(), false),
        Sbom::new("0.1.0", ("debian", Some("12")), vec![], true),
    ]
    .map(|sbom| sbom.serial_number)
    .to_vec();
    for (index, serial) in serials.iter().enumerate() {
        assert!(!serials[..index].contains(serial), "{serials:?}");
        assert_eq!((&serial[23..24], serial.len()), ("8", 45), "a UUID of version 8: {serial}");
    }
}

#[test]
fn a_document_that_was_changed_is_refused() {
    let mut changed = sbom();
    changed.components[0].version = Some("2.0".into());
    assert_eq!(changed.check().unwrap_err().field, "sbom.serialNumber");
    let mut changed = sbom();
    changed.components.swap(0, 1);
    assert_eq!(changed.check().unwrap_err().field, "sbom.components");
    let mut changed = sbom();
    changed.components[0].purl = Some("https://example".into());
    assert!(changed.check().unwrap_err().to_string().contains("a package URL"));
}

#[test]
fn what_does_not_fit_is_left_out_and_said() {
    let many = |count: usize| {
        (0..count).map(|n| Package { name: format!("p{n}"), version: "1".into(), purl: format!("pkg:x/{n}") })
    };
    let complete = |packages: Vec<Package>| {
        let sbom = Sbom::new("0.1.0", ("debian", Some("12")), packages, true);
        sbom.check().unwrap();
        (sbom.components.len(), sbom.compositions[0].aggregate == wire::Aggregate::Complete)
    };
    assert_eq!(complete(many(limit::COMPONENTS).collect()), (limit::COMPONENTS, true));
    assert_eq!(complete(many(limit::COMPONENTS + 1).collect()), (limit::COMPONENTS, false));
    let mut long = packages();
    long[1].version = "9".repeat(limit::COMPONENT + 1);
    assert_eq!(complete(long), (2, false));
}

#[test]
fn the_largest_document_can_be_sent() {
    let packages = (0..limit::COMPONENTS).map(|n| Package {
        name: "\"".repeat(limit::COMPONENT),
        version: "\\".repeat(limit::COMPONENT),
        purl: format!("pkg:x/{n:0>width$}", width = limit::PURL - 6),
    });
    let sbom = Sbom::new("0.1.0", ("debian", None), packages.collect(), true);
    assert_eq!(sbom.components.len(), limit::COMPONENTS);
    let largest = bytes(&report(json!({"sbom": sbom})));
    assert!(largest.len() < limit::REPORT_BYTES, "{}", largest.len());
    Report::from_json(&largest).unwrap();
}

#[test]
fn a_token_names_one_certificate() {
    let secret = "A-_z".repeat(10) + "xyz";
    let token = Token::new(b"a certificate", &secret).unwrap();
    let text = token.reveal();
    assert_eq!(text.len(), "bst-enrol_".len() + 32 + 1 + 43);
    let read: Token = text.parse().unwrap();
    assert_eq!((&read, read.reveal()), (&token, text.clone()));
    assert!(read.names(b"a certificate") && !read.names(b"another"));
    assert!(!format!("{read:?}").contains(&secret));
    for (wrong, expected) in [
        ("", "begins otherwise"),
        (&text[1..], "begins otherwise"),
        (&text[..text.len() - 1], "another length"),
        (&format!("{text}A"), "another length"),
        (&text.replace('z', "+"), "other characters"),
        ("bst-enrol_00", "a part is missing"),
        (&text.replace("bst-enrol_", "bst-enrol_0"), "32 hexadecimal digits"),
        (&text.replacen(&text[10..12], "gg", 1), "32 hexadecimal digits"),
    ] {
        let refused = wrong.parse::<Token>().unwrap_err().to_string();
        assert!(refused.contains(expected) && !refused.contains(&secret), "{wrong}: {refused}");
    }
}

#[test]
fn notices_and_orders_are_bounded_before_anybody_reads_them() {
    let batch = |change: fn(&mut Value)| {
        let mut batch = json!({"version": 1, "number": 3, "shed": 0, "program": "0.1.0", "notices": [{"notice": "stats"}]});
        change(&mut batch);
        wire::Notices::from_json(&bytes(&batch)).map(|read| read.number).map_err(|error| error.to_string())
    };
    assert_eq!(batch(|_| {}), Ok(3));
    for (change, expected) in [
        ((|batch| batch["version"] = json!(2)) as fn(&mut Value), "`version` is 2: expected 1"),
        (|batch| batch["program"] = json!("\u{1b}[2J"), "`program` is 4 bytes"),
        (|batch| batch["notices"] = json!(["x"]), "`notices` is \"x\": expected objects"),
        (
            |batch| batch["notices"] = json!(vec![json!({}); 129]),
            "`notices` is 129 long: expected at most 128",
        ),
        (|batch| batch["gossip"] = json!(1), "unknown field `gossip`"),
    ] {
        let said = batch(change).unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
    let long = vec![b' '; limit::NOTICES_BYTES + 1];
    assert!(wire::Notices::from_json(&long).unwrap_err().to_string().contains("at most 8388608"));

    let orders = |numbers: &[u64]| {
        let orders: Vec<Value> =
            numbers.iter().map(|number| json!({"number": number, "order": {"order": "undo-all"}})).collect();
        wire::Orders::from_json(&bytes(&json!({"version": 1, "orders": orders})))
    };
    assert_eq!(orders(&[1, 2, 7]).unwrap().orders.len(), 3);
    for wrong in [[2, 1], [1, 1]] {
        assert!(orders(&wrong).unwrap_err().to_string().contains("out of order"));
    }
    assert!(wire::Ask::from_json(b"{\"version\":1,\"after\":0}").is_ok());
    assert!(wire::Heard::from_json(b"{\"version\":1,\"number\":-1}").is_err());
}
