//! Capture files of both forms and all byte orders give their packets, and damage says where and what.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use parse::{
    LinkType,
    capture::{Decoder, MAX_NEED, MAX_RECORD, Step},
};
use proptest::prelude::*;

/// Writes numbers in one byte order.
#[derive(Clone, Copy)]
struct Writer {
    big: bool,
}

impl Writer {
    fn u16(self, value: u16) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn u32(self, value: u32) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn u64(self, value: u64) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn pcap(self, magic: u32, link: u32, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut file =
            [self.u32(magic), self.u16(2), self.u16(4), self.u32(0), self.u32(0), self.u32(65535)].concat();
        file.extend(self.u32(link));
        for (seconds, fraction, data) in records {
            let length = u32::try_from(data.len()).unwrap();
            file.extend([self.u32(*seconds), self.u32(*fraction), self.u32(length), self.u32(1500)].concat());
            if magic == 0xa1b2_cd34 {
                file.extend([0; 8]);
            }
            file.extend(*data);
        }
        file
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = self.u32(u32::try_from(body.len() + 12).unwrap());
        [self.u32(kind), length.clone(), body, length].concat()
    }

    fn section(self) -> Vec<u8> {
        self.block(
            0x0a0d_0d0a,
            &[self.u32(0x1a2b_3c4d), self.u16(1), self.u16(0), self.u64(u64::MAX)].concat(),
        )
    }

    fn interface(self, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [self.u16(link), self.u16(0), self.u32(snap)].concat();
        for (code, value) in options {
            body.extend([self.u16(*code), self.u16(u16::try_from(value.len()).unwrap())].concat());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    fn enhanced(self, interface: u32, ticks: u64, data: &[u8]) -> Vec<u8> {
        let high = u32::try_from(ticks >> 32).unwrap();
        let low = u32::try_from(ticks & 0xffff_ffff).unwrap();
        let length = u32::try_from(data.len()).unwrap();
        let head = [interface, high, low, length, 1500].map(|value| self.u32(value)).concat();
        self.block(6, &[&head[..], data].concat())
    }
}

const ORDERS: [Writer; 2] = [Writer { big: false }, Writer { big: true }];

/// Time, interface, link type and data of a packet.
type Read = (i64, u32, LinkType, Vec<u8>);

/// Reads a file fed in pieces of `piece` bytes: times, interfaces and data, and how it ended.
fn read(file: &[u8], piece: usize) -> (Vec<Read>, String) {
    let Some(mut decoder) = Decoder::recognise(file) else { return (Vec::new(), "no capture".into()) };
    let (mut packets, mut start, mut end) = (Vec::new(), 0, 0);
    let mut skipped = 0;
    loop {
        match decoder.step(&file[start..end], end == file.len()) {
            Step::NeedMore { at_least } => {
                assert!(at_least <= MAX_NEED, "asks for {at_least}");
                assert!(at_least > end - start, "asks for what it has");
                assert!(end < file.len(), "asks for more at the end");
                end = (end + piece).min(file.len());
            }
            Step::Packet { consumed, packet } => {
                assert!(consumed > 0 && consumed <= end - start);
                packets.push((packet.micros, packet.interface, packet.link, packet.data.to_vec()));
                start += consumed;
            }
            Step::Consumed(consumed) => {
                assert!(consumed > 0 && consumed <= end - start);
                start += consumed;
            }
            Step::Skipped { consumed, .. } => {
                start += consumed;
                skipped += 1;
            }
            Step::Damaged { reason } => return (packets, format!("at {start}: {reason}")),
            Step::End => return (packets, format!("end, {skipped} skipped")),
        }
    }
}

#[test]
fn pcap_in_all_its_forms() {
    for writer in ORDERS {
        for (magic, fraction) in [(0xa1b2_c3d4, 7), (0xa1b2_3c4d, 7999), (0xa1b2_cd34, 7)] {
            let file = writer.pcap(magic, 113, &[(9, fraction, b"abc"), (10, 0, b"")]);
            for piece in [1, 7, 4096] {
                let (packets, end) = read(&file, piece);
                let expected = [
                    (9_000_007, 0, LinkType(113), b"abc".to_vec()),
                    (10_000_000, 0, LinkType(113), Vec::new()),
                ];
                assert_eq!(
                    (packets.as_slice(), end.as_str()),
                    (&expected[..], "end, 0 skipped"),
                    "{magic:x}"
                );
            }
        }
    }
}

#[test]
fn pcapng_with_sections_interfaces_and_clocks() {
    let mut file = Vec::new();
    let mut expected = Vec::new();
    for writer in ORDERS {
        file.extend(writer.section());
        file.extend(writer.interface(1, 0, &[]));
        file.extend(writer.interface(101, 0, &[(9, &[9]), (0, &[])]));
        file.extend(writer.interface(276, 0, &[(2, b"eth0"), (9, &[0x80 | 10]), (14, &writer.u64(100))]));
        file.extend(writer.block(0xbad, &[0; 300]));
        file.extend(writer.enhanced(0, 5_000_001, b"micro"));
        file.extend(writer.enhanced(1, 5_000_002_999, b"nano"));
        file.extend(writer.enhanced(2, 1024 * 3 + 512, b"binary"));
        file.extend(writer.block(3, &[writer.u32(4), b"simp".to_vec()].concat()));
        let head = [writer.u16(0), writer.u16(9), writer.u32(0), writer.u32(6), writer.u32(3), writer.u32(3)]
            .concat();
        file.extend(writer.block(2, &[&head[..], b"old"].concat()));
        file.extend(writer.enhanced(9, 0, b"of no interface"));
        expected.extend([
            (5_000_001, 0, LinkType(1), b"micro".to_vec()),
            (5_000_002, 1, LinkType(101), b"nano".to_vec()),
            (103_500_000, 2, LinkType(276), b"binary".to_vec()),
            (103_500_000, 0, LinkType(1), b"simp".to_vec()),
            (6, 0, LinkType(1), b"old".to_vec()),
        ]);
    }
    for piece in [1, 13, 100_000] {
        assert_eq!(read(&file, piece), (expected.clone(), "end, 2 skipped".to_owned()));
    }
}

#[test]
fn simple_packets_end_at_the_snap_length() {
    let writer = ORDERS[0];
    let file = [
        writer.section(),
        writer.interface(1, 3, &[]),
        writer.block(3, &[writer.u32(5), b"abc".to_vec()].concat()),
    ]
    .concat();
    assert_eq!(read(&file, 64).0[0].3, b"abc");
}

#[test]
fn clocks_of_any_resolution_do_not_overflow() {
    let writer = ORDERS[0];
    for resolution in 0..=255_u8 {
        let file = [
            writer.section(),
            writer.interface(1, 0, &[(9, &[resolution]), (14, &writer.u64(u64::MAX / 2))]),
            writer.enhanced(0, u64::MAX, b"x"),
            writer.enhanced(0, 0, b"x"),
        ]
        .concat();
        assert_eq!(read(&file, 4096).0.len(), 2, "{resolution}");
    }
}

#[test]
fn damage_says_where_and_what() {
    let writer = ORDERS[0];
    let good = writer.pcap(0xa1b2_c3d4, 1, &[(1, 1, b"abcd")]);
    let check = |file: &[u8], packets: usize, expected: &str| {
        let (found, end) = read(file, 4096);
        assert_eq!(found.len(), packets, "{end}");
        assert!(end.contains(expected), "{end}");
    };
    check(&good[..43], 0, "at 24: the file ends inside a packet: expected 20 bytes, found 19");
    check(&good[..30], 0, "at 24: the file ends inside a packet's record header: expected 16 bytes, found 6");
    check(&good[..10], 0, "at 0: the file ends inside the file header");
    check(&good[..4], 0, "inside the file header");
    check(&good[..3], 0, "no capture");
    check(&[], 0, "no capture");
    let mut huge = good.clone();
    huge.extend([writer.u32(2), writer.u32(0), writer.u32(0x8000_0000), writer.u32(60)].concat());
    check(&huge, 1, "at 44: a packet record claims 2147483648 bytes: expected at most 262144");
    let mut link = good.clone();
    link[22] = 1;
    check(&link, 0, "expected a number below 65536");

    let start = [writer.section(), writer.interface(1, 0, &[]), writer.enhanced(0, 1, b"ab")].concat();
    let with = |block: Vec<u8>| [start.clone(), block].concat();
    let mut wrong = writer.enhanced(0, 1, b"ab");
    *wrong.last_mut().unwrap() = 1;
    check(&with(wrong), 1, "a block ends with the length");
    let mut foreign = writer.block(0xbad, &[0; 8]);
    *foreign.last_mut().unwrap() = 1;
    check(&with(foreign), 1, "expected 20, as at its start");
    check(&with([writer.u32(6), writer.u32(0x7fff_fffc)].concat()), 1, "claims 2147483644 bytes");
    check(&with([writer.u32(6), writer.u32(33)].concat()), 1, "expected a multiple of 4");
    check(&with([writer.u32(6), writer.u32(4)].concat()), 1, "from 12 to");
    check(&with(writer.block(6, &[0; 8])), 1, "expected its whole header");
    check(
        &with(writer.block(0xbad, &[0; 80])[..40].to_vec()),
        1,
        "the file ends inside a block: expected 52 more",
    );
    let mut claims = writer.enhanced(0, 1, b"ab");
    claims[20] = 99;
    check(&with(claims), 1, "a packet claims 99 bytes: expected at most 4");
    check(&[&[0x0a, 0x0d, 0x0d, 0x0a][..], &[0; 24]].concat(), 0, "byte-order magic 00000000");
}

#[test]
fn what_is_no_capture_is_not_recognised() {
    for start in [&b"#separator"[..], b"{\"a\":1}", b"\x1f\x8b\x08\0", b"MZ\0\0", b"\0\0\0\0"] {
        assert!(Decoder::recognise(start).is_none());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_step_goes_on(
        start in 0usize..7,
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        piece in 1usize..200,
    ) {
        let writer = ORDERS[start % 2];
        let head = match start {
            0 | 1 => writer.pcap(0xa1b2_c3d4, 1, &[]),
            2 => writer.pcap(0xa1b2_cd34, 1, &[]),
            3 | 4 => writer.section(),
            _ => [writer.section(), writer.interface(1, 0, &[])].concat(),
        };
        read(&[head, bytes].concat(), piece);
    }

    #[test]
    fn packets_come_back_as_they_were_written(
        packets in proptest::collection::vec((0u32..=u32::MAX, 0u32..1_000_000, proptest::collection::vec(any::<u8>(), 0..100)), 0..20),
        big in any::<bool>(),
        piece in 1usize..400,
    ) {
        let writer = Writer { big };
        let records: Vec<_> = packets.iter().map(|(s, f, data)| (*s, *f, data.as_slice())).collect();
        let (classic, end) = read(&writer.pcap(0xa1b2_c3d4, 1, &records), piece);
        prop_assert_eq!(end, "end, 0 skipped");
        let mut file = [writer.section(), writer.interface(1, 0, &[])].concat();
        for (seconds, fraction, data) in &packets {
            file.extend(writer.enhanced(0, u64::from(*seconds) * 1_000_000 + u64::from(*fraction), data));
        }
        let (next, _) = read(&file, piece);
        prop_assert_eq!(&classic, &next);
        prop_assert_eq!(classic.len(), packets.len());
    }
}

#[test]
fn the_longest_record_is_read() {
    let data = vec![7; MAX_RECORD];
    let writer = ORDERS[1];
    assert_eq!(read(&writer.pcap(0xa1b2_c3d4, 1, &[(1, 1, &data)]), 50_000).0[0].3.len(), MAX_RECORD);
    let file = [writer.section(), writer.interface(1, 0, &[]), writer.enhanced(0, 1, &data)].concat();
    assert_eq!(read(&file, 50_000).0[0].3.len(), MAX_RECORD);
}
