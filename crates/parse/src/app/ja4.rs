//! JA4: a name for how a TLS client greets, which tells its library and build (the method is FoxIO's, published under
//! the BSD licence: `JA4.md`). Two clients of one kind share it, so it describes and never identifies.
//!
//! Guarantees: given only for a hello that was read to its end; values that are there to be ignored (RFC 8701) are.

use super::{Unread, reader::Reader, tls};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const SERVER_NAME: u16 = 0x0000;
const SIGNATURE_ALGORITHMS: u16 = 0x000d;
const PROTOCOLS: u16 = 0x0010;
const VERSIONS: u16 = 0x002b;

/// What of a hello goes into the name.
#[derive(Default)]
struct Greeting<'a> {
    version: u16,
    suites: Vec<u16>,
    extensions: Vec<u16>,
    signatures: Vec<u16>,
    protocol: &'a [u8],
}

/// The JA4 of a ClientHello over TCP, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
///
/// # Errors
/// [`Unread::Incomplete`] until the hello is there whole; [`Unread::Not`] for anything else, and for the rare hello that
/// is spread over several records.
pub fn of_client_hello(bytes: &[u8]) -> Result<String, Unread> {
    if !tls::recognise(bytes)? {
        return Err(Unread::Not("a ClientHello"));
    }
    let mut reader = Reader(bytes);
    reader.take(3)?;
    let record = reader.field16()?;
    let mut hello = Reader(record);
    hello.u8()?;
    let length = hello.u24()?;
    let body = hello.take(length).map_err(|_| Unread::Not("a hello in one record"))?;
    // What ends too early within its own length never will be complete.
    Ok(named(&read(body).map_err(|_| Unread::Not("a ClientHello"))?))
}

fn read(body: &[u8]) -> Result<Greeting<'_>, Unread> {
    let mut body = Reader(body);
    let mut greeting = Greeting { version: body.u16()?, ..Greeting::default() };
    body.take(32)?;
    body.field8()?;
    greeting.suites = numbers(body.field16()?);
    body.field8()?;
    if body.0.is_empty() {
        return Ok(greeting);
    }
    let mut extensions = Reader(body.field16()?);
    while !extensions.0.is_empty() {
        let (kind, mut data) = (extensions.u16()?, Reader(extensions.field16()?));
        if is_ignored(kind) {
            continue;
        }
        greeting.extensions.push(kind);
        match kind {
            SIGNATURE_ALGORITHMS => greeting.signatures = data.field16().map(numbers).unwrap_or_default(),
            PROTOCOLS => {
                greeting.protocol = data.field16().and_then(|list| Reader(list).field8()).unwrap_or_default();
            }
            VERSIONS => {
                let offered = data.field8().map(numbers).unwrap_or_default();
                greeting.version = offered.into_iter().max().unwrap_or(greeting.version);
            }
            _ => {}
        }
    }
    Ok(greeting)
}

/// Numbers of two bytes, but for those that mean nothing.
fn numbers(bytes: &[u8]) -> Vec<u16> {
    let pairs = bytes.chunks_exact(2).filter_map(|pair| pair.first_chunk().copied().map(u16::from_be_bytes));
    pairs.filter(|number| !is_ignored(*number)).collect()
}

/// GREASE: 0x0a0a, 0x1a1a, … 0xfafa.
const fn is_ignored(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

fn named(greeting: &Greeting<'_>) -> String {
    let version = match greeting.version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    };
    let named = if greeting.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
    let (suites, extensions) = (greeting.suites.len().min(99), greeting.extensions.len().min(99));
    let [first, last] = ends(greeting.protocol);
    let mut sorted = greeting.suites.clone();
    sorted.sort_unstable();
    let mut rest: Vec<u16> = greeting.extensions.clone();
    rest.retain(|kind| !matches!(*kind, SERVER_NAME | PROTOCOLS));
    rest.sort_unstable();
    let offers = list(&sorted);
    let mut asks = list(&rest);
    if !asks.is_empty() && !greeting.signatures.is_empty() {
        asks.push('_');
        asks.push_str(&list(&greeting.signatures));
    }
    format!("t{version}{named}{suites:02}{extensions:02}{first}{last}_{}_{}", digest(&offers), digest(&asks))
}

/// First and last letter of the first protocol; where they are none, of its bytes in hexadecimal.
fn ends(protocol: &[u8]) -> [char; 2] {
    let (Some(&first), Some(&last)) = (protocol.first(), protocol.last()) else { return ['0', '0'] };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [char::from(first), char::from(last)];
    }
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    [digit(first >> 4), digit(last & 0xf)]
}

fn list(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(numbers.len() * 5);
    for number in numbers {
        // Writing into a string cannot fail.
        let _ = write!(text, "{}{number:04x}", if text.is_empty() { "" } else { "," });
    }
    text
}

/// The first twelve digits of SHA-256; zeros for nothing.
fn digest(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    Sha256::digest(text).iter().take(6).fold(String::with_capacity(12), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello of these suites and extensions; the extension's data is given in bytes.
    fn hello(version: u16, suites: &[u16], extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([9; 32]);
        body.push(0);
        body.extend((suites.len() as u16 * 2).to_be_bytes());
        suites.iter().for_each(|suite| body.extend(suite.to_be_bytes()));
        body.extend([1, 0]);
        if !extensions.is_empty() {
            let mut all = Vec::new();
            for (kind, data) in extensions {
                all.extend(kind.to_be_bytes());
                all.extend((data.len() as u16).to_be_bytes());
                all.extend(data);
            }
            body.extend((all.len() as u16).to_be_bytes());
            body.extend(all);
        }
        let mut bytes = vec![0x16, 3, 1];
        bytes.extend((body.len() as u16 + 4).to_be_bytes());
        bytes.push(1);
        bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
        bytes.extend(body);
        bytes
    }

    fn sized(numbers: &[u16], wide: bool) -> Vec<u8> {
        let length = numbers.len() * 2;
        let mut data = if wide { (length as u16).to_be_bytes().to_vec() } else { vec![length as u8] };
        numbers.iter().for_each(|number| data.extend(number.to_be_bytes()));
        data
    }

    fn protocols(names: &[&[u8]]) -> Vec<u8> {
        let list: Vec<u8> = names.iter().flat_map(|name| [&[name.len() as u8], *name].concat()).collect();
        [&(list.len() as u16).to_be_bytes()[..], &list].concat()
    }

    const BROWSER: [u16; 16] = [
        0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
        0x009c, 0x009d, 0x002f, 0x0035,
    ];
    const SIGNS: [u16; 8] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

    #[test]
    fn the_published_example_gets_its_published_name() {
        let mut extensions: Vec<(u16, Vec<u8>)> =
            [0x3a3a, 0x001b, 0x0000, 0x0033, 0x4469, 0x0017, 0x0012, 0x0023]
                .map(|kind| (kind, Vec::new()))
                .to_vec();
        extensions.push((0x0010, protocols(&[b"h2", b"http/1.1"])));
        extensions.push((0x000d, sized(&SIGNS, true)));
        extensions.push((0x002b, sized(&[0x6a6a, 0x0304, 0x0303], false)));
        extensions.extend([0x0005, 0x000a, 0x000b, 0x002d, 0xff01, 0x0015].map(|kind| (kind, Vec::new())));
        let bytes = hello(0x0303, &BROWSER, &extensions);
        assert_eq!(of_client_hello(&bytes).unwrap(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        for end in 0..bytes.len() {
            assert_eq!(of_client_hello(&bytes[..end]), Err(Unread::Incomplete), "{end}");
        }
    }

    /// Names made by an implementation of its own from the published method.
    #[test]
    fn names_agree_with_another_implementation() {
        let signs = (0x000d, sized(&[0x0403, 0x0a0a, 0x0401], true));
        for (version, suites, extensions, expected) in [
            (0x0303, &[0xc02b, 0x002f][..], vec![], "t12i020000_a137a120d3d9_000000000000"),
            (0x0301, &[][..], vec![], "t10i000000_000000000000_000000000000"),
            (0x0303, &[0xc02f][..], vec![(0, vec![]), signs.clone()], "t12d010200_f06271c2b022_0dd9b50c13a4"),
            (
                0x0303,
                &[0xc02f][..],
                vec![(0x0010, protocols(&[b"h"])), signs.clone()],
                "t12i0102hh_f06271c2b022_0dd9b50c13a4",
            ),
            (
                0x0300,
                &[0x000a][..],
                vec![(0x0010, protocols(&[b"\xabx\xcd"]))],
                "ts3i0101ad_a8f3e973773c_000000000000",
            ),
            (0x0303, &[0xc02f][..], vec![(0x000b, vec![1, 0])], "t12i010100_f06271c2b022_bcb145a8c2a7"),
        ] {
            let name = of_client_hello(&hello(version, suites, &extensions)).unwrap();
            assert_eq!(name, expected, "{suites:04x?}");
        }
    }

    #[test]
    fn what_is_no_whole_hello_gets_no_name() {
        let mut short = hello(0x0303, &[0xc02f], &[]);
        short[8] = 200;
        assert!(matches!(of_client_hello(&short), Err(Unread::Not(_))));
        assert!(matches!(of_client_hello(b"\x16\x03\x03\x00\x7a\x02\x00"), Err(Unread::Not(_))));
        assert!(matches!(of_client_hello(b"GET / HTTP/1.1"), Err(Unread::Not(_))));
    }
}
