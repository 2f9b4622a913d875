//! Multicast DNS and DNS-based service discovery (RFC 6762, 6763): what a device says about itself.

use super::{Unread, dns};

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

/// The names that an announcement gives for its sender: service types such as `_rtsp._tcp`, instance and host names.
#[must_use]
pub fn names(message: &dns::Message<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if !message.response {
        return names;
    }
    for record in message.iter() {
        let name = match record.kind {
            // PTR: the type's name when types are enumerated, else the instance.
            12 => record.target(),
            1 | 28 | 33 => Some(record.name()),
            _ => None,
        };
        let Some(name) = name.and_then(|name| name.strip_suffix(".local").map(str::to_owned)) else {
            continue;
        };
        if !name.is_empty() && !names.contains(&name) && names.len() < 8 {
            names.push(name);
        }
    }
    names
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
        assert_eq!(names(&message), ["camera._rtsp._tcp"]);
        assert!(parse(&[0; 12]).is_err());
        assert!(parse(b"hello").is_err());
    }
}
