//! Protocols of the field: traffic lights, meters, switchgear, buildings. Only their names matter here, since they
//! tell what a device is, and so how much a city depends on it.
//!
//! Guarantees: a name is given for what only that protocol says; short of that, nothing.

/// The protocol in which the beginning of a server's answer over TCP is written, if it is one of the field.
#[must_use]
pub fn over_tcp(start: &[u8]) -> Option<&'static str> {
    match start {
        // Road signals: JSON messages that name themselves.
        [b'{', ..] if holds(start, b"\"mType\"") && holds(start, b"\"rSMsg\"") => Some("rsmp"),
        // The wrapper of DLMS/COSEM: version 1, two ports, the length, an association or an answer.
        [0, 1, _, _, _, _, high, low, 0x61 | 0x63 | 0xc4 | 0xc5 | 0xc7, ..]
            if behind(start, 8) == length(*high, *low) =>
        {
            Some("dlms")
        }
        // Modbus: transaction, protocol 0, length, unit, a public function or its refusal.
        [_, _, 0, 0, high, low, _, function, ..]
            if behind(start, 6) == length(*high, *low)
                && matches!(function & 0x7f, 1..=6 | 15 | 16 | 22 | 23 | 43)
                && length(*high, *low) >= 3 =>
        {
            Some("modbus")
        }
        // IEC 60870-5-104: STARTDT or TESTFR confirmed.
        [0x68, 4, 0x0b | 0x83, 0, 0, 0, ..] => Some("iec-104"),
        // DNP3: its start, a length, the direction from an outstation.
        [5, 0x64, 5..=255, control, ..] if control & 0x80 == 0 && start.len() >= 10 => Some("dnp3"),
        // S7: TPKT, COTP data, the protocol's number.
        [3, 0, _, _, 2, 0xf0, 0x80, 0x32, ..] => Some("s7"),
        // M-Bus: a long frame, its length twice.
        [0x68, a, b, 0x68, ..]
            if a == b && behind(start, 6) == usize::from(*a) && start.last() == Some(&0x16) =>
        {
            Some("m-bus")
        }
        _ => None,
    }
}

/// The same for a datagram from a server.
#[must_use]
pub fn over_udp(datagram: &[u8]) -> Option<&'static str> {
    match datagram {
        // BACnet/IP: an original unicast or broadcast of the length that it says.
        [0x81, 0x0a | 0x0b, high, low, 1, ..] if datagram.len() == length(*high, *low) => Some("bacnet"),
        // SNMP about the objects of transportation devices (NTCIP, 1.3.6.1.4.1.1206).
        [0x30, ..] if holds(datagram, &[0x2b, 6, 1, 4, 1, 0x89, 0x36]) => Some("ntcip"),
        [0, 1, _, _, _, _, high, low, 0x61 | 0xc4 | 0xc5 | 0xc7, ..]
            if behind(datagram, 8) == length(*high, *low) =>
        {
            Some("dlms")
        }
        _ => None,
    }
}

fn length(high: u8, low: u8) -> usize {
    usize::from(high) << 8 | usize::from(low)
}

const fn behind(bytes: &[u8], head: usize) -> usize {
    bytes.len().saturating_sub(head)
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).take(512).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_only_the_field_says() {
        for (start, expected) in [
            (&b"{\"mType\":\"rSMsg\",\"type\":\"Version\"}\x0c"[..], Some("rsmp")),
            (b"\0\x01\0\x01\0\x10\0\x03\x61\x01\x02", Some("dlms")),
            (b"\0\x07\0\0\0\x05\x01\x03\x02\0\x2a", Some("modbus")),
            (b"\0\x07\0\0\0\x03\x01\x83\x02", Some("modbus")),
            (b"\x68\x04\x0b\0\0\0", Some("iec-104")),
            (b"\x05\x64\x0a\x44\x01\0\x00\x04\xaa\xbb", Some("dnp3")),
            (b"\x03\0\0\x1b\x02\xf0\x80\x32\x03", Some("s7")),
            (b"\x68\x03\x03\x68\x08\x01\x72\x7b\x16", Some("m-bus")),
            (b"\x68\x04\x04\x68\x08\x01\x72\x7b\x16", None),
            (b"{\"temperature\":21}", None),
            (b"\0\x07\0\0\0\x06\x01\x03\x02\0\x2a", None),
            (b"", None),
            (b"\x68", None),
        ] {
            assert_eq!(over_tcp(start), expected, "{start:02x?}");
        }
        assert_eq!(over_udp(b"\x81\x0a\0\x08\x01\0\x10\x08"), Some("bacnet"));
        assert_eq!(over_udp(b"\x81\x0a\0\x09\x01\0\x10\x08"), None);
    }
}
