//! Multicast DNS and DNS-based service discovery (RFC 6762, 6763): what a device says about itself.

use super::{Unread, dns, reader::Reader};

/// A message of multicast DNS (or its relative LLMNR): the format is that of DNS with other habits.
///
/// # Errors
/// [`Unread`] where it is not in the format of DNS, or has neither a question nor a record.
pub fn parse(bytes: &[u8]) -> Result<dns::Message<'_>, Unread> {
    let message = dns::parse_lenient(bytes)?;
    if message.opcode != 0 || (message.questions == 0 && message.records == 0) {
        return Err(Unread::Not("a multicast DNS message"));
    }
    Ok(message)
}

/// What an announcement says about its sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Service types such as `_rtsp._tcp`, and the names of their instances; at most eight.
    pub services: Vec<String>,
    /// The machine's own name without `.local`.
    pub host: Option<String>,
    /// What it says its maker, model or product is (TXT records); at most four.
    pub models: Vec<String>,
}

/// The keys of TXT records by which makers and models are told: printers (Bonjour Printing 1.2), `_device-info`,
/// `_googlecast`, `_hap`, and what others took over from them.
const MODEL_KEYS: [&str; 12] = [
    "model",
    "md",
    "ty",
    "product",
    "am",
    "manufacturer",
    "mfg",
    "usb_mfg",
    "usb_mdl",
    "modelname",
    "vendor",
    "devicetype",
];

/// Reads an announcement; empty for questions.
#[must_use]
pub fn announcement(message: &dns::Message<'_>) -> Announcement {
    let mut said = Announcement::default();
    if !message.response {
        return said;
    }
    for record in message.iter() {
        let name = match record.kind {
            // PTR: the type's name when types are enumerated, else the instance.
            12 => record.target(),
            1 | 28 | 33 => Some(record.name()),
            16 => {
                models(record.data, &mut said.models);
                continue;
            }
            _ => None,
        };
        let Some(name) = name.and_then(|name| name.strip_suffix(".local").map(str::to_owned)) else {
            continue;
        };
        if name.is_empty() {
            continue;
        }
        if matches!(record.kind, 1 | 28) {
            said.host.get_or_insert(name);
        } else if !said.services.contains(&name) && said.services.len() < 8 {
            said.services.push(name);
        }
    }
    said
}

/// `key=value` strings, each with its length before it (RFC 6763 section 6).
fn models(data: &[u8], models: &mut Vec<String>) {
    let mut reader = Reader(data);
    while let Ok(pair) = reader.field8() {
        let Some(equals) = pair.iter().position(|&byte| byte == b'=') else { continue };
        let Some((key, value)) = pair.split_at_checked(equals) else { continue };
        let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
        let value = value.trim().trim_matches(['(', ')']);
        let told = MODEL_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known.as_bytes()));
        if told && !value.is_empty() && models.len() < 4 && models.iter().all(|known| known != value) {
            models.push(value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_a_device_offers() {
        let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        bytes.extend(
            b"\x05_rtsp\x04_tcp\x05local\x00\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x09\x06Camera\xc0\x0c",
        );
        let message = parse(&bytes).unwrap();
        assert_eq!(announcement(&message).services, ["camera._rtsp._tcp"]);
        let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0];
        bytes.extend(b"\x05cam-7\x05local\x00\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\x0a\x00\x00\x07");
        bytes.extend(b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x78\x00\x12\x08md=P3245\x03x=y\x04flag\x09");
        let said = announcement(&parse(&bytes).unwrap());
        assert_eq!(
            (said.host.as_deref(), said.models.as_slice()),
            (Some("cam-7"), &["P3245".to_owned()][..])
        );
        assert!(parse(&[0; 12]).is_err());
        assert!(parse(b"hello").is_err());
    }
}
