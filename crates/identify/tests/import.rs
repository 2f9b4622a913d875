//! A list is taken whole or not at all, and says where it is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use identify::{
    Kinds,
    import::{MOST_BYTES, MOST_ERRORS, Row, read},
    merge::{Said, merge},
};
use model::{Criticality, Layer};
use proptest::prelude::*;
use std::sync::LazyLock;

static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::shipped);

fn rows(text: &str) -> Vec<Row> {
    read(text.as_bytes(), &KINDS).unwrap_or_else(|refused| panic!("{refused}\n{text}"))
}

#[test]
fn spreadsheets_of_europe_and_elsewhere_say_the_same() {
    let expected = rows(
        "name,kind,mac,addresses,protected\nKreuzung 7,traffic-light-controller,00:40:8c:01:02:03,\"10.2.0.5 2001:db8::5\",yes\n",
    );
    assert_eq!(expected.len(), 1);
    let row = &expected[0];
    assert_eq!(
        (row.line, row.name.as_deref(), row.macs.len(), row.addresses.len()),
        (2, Some("Kreuzung 7"), 1, 2)
    );
    assert_eq!((row.criticality, row.layer), (Some(Criticality::Protected), Some(Layer::Device)));
    for same in [
        "\u{feff}Name;Kind;MAC;Addresses;Protected\r\nKreuzung 7;traffic-light-controller;00-40-8C-01-02-03;10.2.0.5,2001:db8::5;ja\r\n;;;;\r\n",
        "name\tkind\tmac\taddresses\tprotected\nKreuzung 7\tTraffic Light Controller\t0040.8c01.0203\t10.2.0.5|2001:db8::5\tx\n",
        "\"name\";\"kind\";\"mac\";\"addresses\";\"protected\"\n\"Kreuzung 7\";traffic_light_controller;00408C010203;\"10.2.0.5; 2001:db8::5\";1",
        "asset,type,Hardware Address,ip,protected\nKreuzung 7,Traffic-Light-Controller,00:40:8C:01:02:03,10.2.0.5 2001:DB8::5,oui\n",
    ] {
        assert_eq!(&rows(same), &expected, "{same}");
    }
    let shifted = rows("sep=;\n\nname;mac\n\"Kreuzung\n7\";00:40:8c:01:02:03\nTor;00:40:8c:01:02:04\n");
    assert_eq!((shifted[0].line, shifted[0].name.as_deref()), (4, Some("Kreuzung 7")));
    assert_eq!(shifted[1].line, 6);
}

#[test]
fn json_says_the_same() {
    let text = r#"{"assets": [
        {"name": "Tor", "kind": "lock-hub", "mac": ["00:40:8c:01:02:03"], "protected": false,
         "addresses": "10.2.0.5", "maintenance": ["sun 02:00-04:00", "daily 12:00-12:30"], "note": null},
        {"serial": "ab-7", "protected": true}
    ]}"#;
    let read = rows(text);
    assert_eq!((read.len(), read[0].line, read[1].line), (2, 2, 4));
    assert_eq!((read[0].maintenance.len(), read[0].criticality), (2, Some(Criticality::Important)));
    assert_eq!(
        (read[1].serial.as_deref(), read[1].criticality),
        (Some("AB-7"), Some(Criticality::Protected))
    );
    assert!(rows("[]").is_empty());
}

#[test]
fn what_is_wrong_is_told_by_line_and_column_and_nothing_is_taken() {
    let check = |text: &str, expected: &[&str]| {
        let refused = read(text.as_bytes(), &KINDS).expect_err(text);
        let told: Vec<String> = refused.errors.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}\nexpected {expected}");
        }
    };
    check("", &["line 1: expected a header"]);
    check("\n\n", &["line 1: expected a header"]);
    check("name,colour\nx,y\n", &["line 1, column colour: expected one of the columns name, kind"]);
    check("name,mac,MAC\n", &["line 1, column MAC: expected each column once"]);
    check(
        "name;kind;mac;addresses;criticality\na;blimp;00:40;10.2.0.5;high\nb;camera;00:40:8c:01:02:03;10.2.0.6;ordinary\nc;camera;ff:ff:ff:ff:ff:ff;224.0.0.1;\n",
        &[
            "line 2, column kind: expected one of the kinds",
            "line 2, column mac: expected a hardware address such as 00:40:8c:01:02:03, found “00:40”",
            "line 2, column criticality: expected unknown, ordinary, important or protected, found “high”",
            "line 4, column mac: expected the hardware address of one device",
            "line 4, column addresses: expected the address of one device",
        ],
    );
    check("name,mac\na\nb,00:40:8c:01:02:03,x\n", &["line 2: expected 2 cells", "line 3: expected 2 cells"]);
    check("owner,note\nworks,-\n", &["line 2: expected a name, or something to know it by"]);
    check(
        "name,protected,criticality\na,yes,ordinary\n",
        &["line 2, column protected: expected that protected and criticality"],
    );
    check("name,maintenance\na,whenever\n", &["line 2, column maintenance: expected days and times"]);
    check(
        "name,mac,addresses\na,00:40:8c:01:02:03,10.2.0.5\nb,0040.8c01.0203,10.2.0.5\n",
        &[
            "line 3: expected each device once, but the hardware address 00:40:8c:01:02:03 is in line 2",
            "line 3: expected each device once, but the address 10.2.0.5 is in line 2",
        ],
    );
    check(
        &format!("name{}\n", ",x".repeat(1_000_000)),
        &["line 1: expected a header of at most 64 columns, found “1000001 cells”"],
    );
    check("name\na\nA\n", &["line 3: expected each device once, but the name “a” is in line 2"]);
    assert_eq!(rows("name,note\na,'+49 30 1234\n")[0].note.as_deref(), Some("+49 30 1234"));
    for formula in ["=1+1", "@SUM(A1)", "+SUM(1)", "-2+3|cmd'!A1", "'=HYPERLINK(1)", "-cmd"] {
        check(
            &format!("name\n\"{formula}\"\n"),
            &["line 2, column name: expected a text that no spreadsheet"],
        );
    }
}

#[test]
fn json_is_refused_with_its_lines() {
    let check = |text: &str, expected: &str| {
        let refused = read(text.as_bytes(), &KINDS).expect_err(text).to_string();
        assert!(refused.contains(expected), "{refused}\nexpected {expected}");
    };
    check("[\n {\"name\": \"a\"},\n {\"name\": }\n]", "line 3: expected JSON");
    check("[{\"name\": \"a\"} {\"name\": \"b\"}]", "line 1: expected “,”");
    check("[{\"name\": \"a\"},]", "line 1");
    check("[{\"name\": \"a\"}", "expected “,”");
    check("[{\"name\": \"a\"}] x", "expected the end");
    check("{\"things\": []}", "expected an array of assets");
    check("[\n 7\n]", "line 2: expected JSON, an object");
    check("[{\"name\": \"a\",\n\"mac\": \"x\"}]", "line 2, column mac: expected a hardware address");
    check("[{\"name\": \"a\",\n\"name\": \"b\"}]", "each key once");
    check("[{\"name\": {\"x\": 1}}]", "expected a text");
    check("[{\"colour\": 1}]", "line 1, column colour");
    check("[{\"name\": [\"a\"]}]", "expected a text");
    check(&format!("[{{\"mac\": [{}1]}}]", "0,".repeat(1_000_000)), "expected a text or a list of texts");
    let keys: String = (0..100_000).map(|key| format!("\"k{key}\": 1,")).collect();
    check(&format!("[{{{keys}\"name\": 1}}]"), "at most 64 keys");
    check(&"[".repeat(100_000), "line 1");
}

#[test]
fn wrong_encodings_and_lengths_are_named() {
    let check = |bytes: &[u8], expected: &str| {
        let refused = read(bytes, &KINDS).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    check(
        b"name\nM\xfcller\n",
        "line 2: expected UTF-8 (in a spreadsheet: save as “CSV UTF-8”), found “byte 0xfc at place 2",
    );
    check(b"\xff\xfen\0a\0", "UTF-16");
    check(&vec![b'x'; MOST_BYTES + 1], "at most 50 MiB");
    let many: String = (0..500).map(|_| "x,y\n").collect();
    let refused = read(format!("name,mac\n{many}").as_bytes(), &KINDS).unwrap_err();
    assert_eq!((refused.errors.len(), refused.more), (MOST_ERRORS, 400));
}

#[test]
fn a_list_meets_what_was_seen() {
    let listed = rows("name,serial,mac,addresses\nTor,S1,00:40:8c:01:02:03,\nMast,S2,,10.2.0.9\n");
    let seen = rows("mac,addresses\n00:40:8c:01:02:03,10.2.0.5\n00:40:8c:09:09:09,10.2.0.9\n");
    let observations: Vec<_> = listed.iter().chain(&seen).map(|row| row.observation("city")).collect();
    let devices: Vec<Vec<usize>> = merge(&observations, &Said::default())
        .devices
        .into_iter()
        .map(|device| device.observations)
        .collect();
    assert_eq!(devices, [vec![0, 2], vec![1, 3]]);
}

proptest! {
    #[test]
    fn no_list_panics_and_what_is_taken_is_told_apart(
        text in "(name|mac|kind|addresses|[;,\t\n\"]|[a-z0-9:. =]|\u{feff}|é){0,60}",
        json in "[\\[\\]{}:,\" \n0-9a-z]{0,40}",
    ) {
        for text in [text, format!("name;mac\n{json}"), format!("[{json}"), json] {
            match read(text.as_bytes(), &KINDS) {
                Ok(rows) => prop_assert!(rows.iter().all(|row| row.name.is_some() || !row.identifiers().is_empty())),
                Err(refused) => prop_assert!(!refused.errors.is_empty() && refused.errors.len() <= MOST_ERRORS),
            }
        }
    }
}
