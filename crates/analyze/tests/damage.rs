//! Damaged inputs: what was read before the damage is analysed, and the damage is told with its place.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use analyze::{Options, analyze};
use flate2::{Compression, write::GzEncoder};
use model::NetSet;
use report::Input;
use std::io::Write;

fn read(content: &[u8]) -> Input {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input");
    std::fs::write(&path, content).unwrap();
    let options =
        Options { files: vec![path.display().to_string()], home: NetSet::private(), ..Options::default() };
    analyze(&options, &mut |_| {}).unwrap().document.inputs.remove(0)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn log(lines: u64) -> String {
    let line = |number| {
        format!(
            "{{\"ts\":{}.5,\"uid\":\"C{number:03}\",\"id.orig_h\":\"10.1.2.3\",\"id.orig_p\":40000,\"id.resp_h\":\
             \"10.1.2.4\",\"id.resp_p\":23,\"proto\":\"tcp\",\"conn_state\":\"S0\"}}\n",
            1_700_000_000 + number
        )
    };
    (0..lines).map(line).collect()
}

fn capture(packets: u32) -> Vec<u8> {
    let mut file = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    for field in [0x0004_0002_u32, 0, 0, 65_535, 1] {
        file.extend(field.to_le_bytes());
    }
    for number in 0..packets {
        for field in [1_700_000_000 + number, 0, 60, 60] {
            file.extend(field.to_le_bytes());
        }
        file.extend([0; 60]);
    }
    file
}

#[test]
fn what_was_read_before_the_damage_is_kept_and_the_damage_is_told() {
    let log = log(100);
    let whole = gzip(log.as_bytes());
    let line = log.len() / 100;
    // Ten bytes of gzip's head and five of a stored block's come before the content.
    let check = |what: &str, content: &[u8], records: u64, said: &str| {
        let input = read(content);
        assert_eq!(input.error.as_deref().unwrap_or_default(), said, "{what}");
        assert_eq!(input.records, records, "{what}");
    };
    check("whole", &whole, 100, "");
    let unpacked = line * 40 + 7;
    let early = format!("damaged at offset {unpacked} of what was unpacked: the gzip data ends early");
    check("a log", &whole[..15 + unpacked], 40, &early);
    let mut bad = log.clone().into_bytes();
    bad[line] = b'x';
    let input = read(&gzip(&bad)[..15 + unpacked]);
    assert_eq!(input.records, 39);
    let error = input.error.unwrap();
    assert!(error.starts_with(&format!("{early}; before that, line 2 (offset {line}): ")), "{error}");
    let at = 24 + 76 * 5 + 3;
    let early = format!("damaged at offset {at} of what was unpacked: the gzip data ends early");
    check("a capture", &gzip(&capture(9))[..15 + at], 5, &early);
    let inside =
        "damaged at offset 404: the file ends inside a packet's record header: expected 16 bytes, found 3";
    check("a capture in clear", &capture(9)[..at], 5, inside);
    let nothing = "damaged at offset 0 of what was unpacked: the gzip data ends early";
    check("nothing but gzip's head", &whole[..12], 0, nothing);
    let mut torn = whole.clone();
    let end = torn.len() - 6;
    torn[end] ^= 0xff;
    let input = read(&torn);
    assert_eq!(input.records, 100, "only the checksum is wrong");
    assert!(input.error.unwrap().contains("the gzip data cannot be unpacked"));
    check("empty", b"", 0, "is empty: expected a capture or a log");
}
