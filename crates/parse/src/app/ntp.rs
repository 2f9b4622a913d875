//! NTP (RFC 5905), and the control and private modes that are abused for amplification.

use super::Unread;

/// What an NTP packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A client asks the time.
    Client,
    /// A server tells it.
    Server,
    /// Two servers compare.
    Peer,
    /// Mode 6 or 7; true where it is an answer.
    Control(bool),
}

/// Reads a packet, judging by content alone.
///
/// # Errors
/// [`Unread::Not`] unless all fields are those of NTP.
pub fn parse(bytes: &[u8]) -> Result<Packet, Unread> {
    let not = Err(Unread::Not("an NTP packet"));
    let &[first, second, ..] = bytes else { return not };
    let (version, mode) = (first >> 3 & 7, first & 7);
    match mode {
        6 if matches!(version, 1..=4) && first & 0xc0 == 0 && bytes.len() >= 12 => {
            let word = |at: usize| {
                bytes.get(at..at + 2).map_or(0, |b| b.iter().fold(0, |n, &x| n << 8 | usize::from(x)))
            };
            let (operation, length) = (second & 0x1f, word(10));
            let fits = word(8) + length <= 65_535 && length + 12 <= bytes.len() + 3;
            if fits && matches!(operation, 1..=12 | 31) {
                Ok(Packet::Control(second & 0x80 != 0))
            } else {
                not
            }
        }
        7 if matches!(version, 2 | 3) => match bytes {
            [_, _, 0 | 2 | 3, 0..=45, high, low, _, size, ..] => {
                let (response, items) = (first & 0x80 != 0, usize::from(high & 0xf) << 8 | usize::from(*low));
                let body = items * usize::from(*size);
                let fits = bytes.len() >= 8 && body <= 600 && (!response || bytes.len() <= 8 + body + 24);
                if fits { Ok(Packet::Control(response)) } else { not }
            }
            _ => not,
        },
        1..=4 if matches!(version, 1..=4) && bytes.len() >= 48 => clock(bytes, mode).map_or(not, Ok),
        _ => not,
    }
}

fn clock(bytes: &[u8], mode: u8) -> Option<Packet> {
    let [_, stratum, poll, precision, rest @ ..] = bytes else { return None };
    let (stratum, poll, precision) = (*stratum, *poll, *precision);
    let seconds =
        |at: usize| rest.get(at..at + 4).map(|b| b.iter().fold(0u32, |n, &x| n << 8 | u32::from(x)));
    // Reference, origin and receive times: unset, or after 2000 (the next era of NTP begins in 2036).
    let set = |moment: u32| moment == 0 || !(0x4000_0000..0xbc00_0000).contains(&moment);
    let (reference, origin, receive, transmit) = (seconds(12)?, seconds(20)?, seconds(28)?, seconds(36)?);
    let plausible = stratum <= 16 && (poll <= 17 || poll > 0xf0) && !(8..=0xd8).contains(&precision);
    // Extension fields and authenticators come in words.
    if !plausible || !bytes.len().is_multiple_of(4) || bytes.len() > 48 + 1024 {
        return None;
    }
    match mode {
        3 => (set(reference) && set(receive) && (origin == 0 || set(origin))).then_some(Packet::Client),
        4 => (transmit != 0 && transmit.abs_diff(receive) <= 2 && set(reference)).then_some(Packet::Server),
        _ => (set(reference) && set(receive) && set(transmit) && stratum > 0).then_some(Packet::Peer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_clients_servers_and_monlist() {
        let mut client = [0; 48];
        client[0] = 0x23;
        client[40..44].copy_from_slice(&[0xe8, 1, 2, 3]);
        assert_eq!(parse(&client), Ok(Packet::Client));
        let mut server = client;
        server[..4].copy_from_slice(&[0x24, 2, 6, 0xe9]);
        server[16..20].copy_from_slice(&[0xe8, 1, 0, 0]);
        server[32..36].copy_from_slice(&[0xe8, 1, 2, 3]);
        assert_eq!(parse(&server), Ok(Packet::Server));
        server[32] = 0x55;
        assert!(parse(&server).is_err());
        assert_eq!(parse(&[0x17, 0, 3, 0x2a, 0, 0, 0, 0]), Ok(Packet::Control(false)));
        let mut monlist = vec![0xd7, 0, 3, 0x2a, 0, 6, 0, 72];
        monlist.resize(8 + 6 * 72, 0);
        assert_eq!(parse(&monlist), Ok(Packet::Control(true)));
        for bad in [&b""[..], &[0x23; 48], &[0x80; 200], b"\x16\xfe\xfd", &[0; 48]] {
            assert!(parse(bad).is_err(), "{bad:02x?}");
        }
    }
}
