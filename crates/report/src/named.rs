//! Names in sentences: a name comes before an address wherever there is one.

use crate::{Names, clipped};
use std::net::IpAddr;

/// A sentence with the names of the addresses in it: `cam-07 (10.0.0.7)` the first time, `cam-07` from then on.
#[must_use]
pub fn with_names(text: &str, names: &Names) -> String {
    let mut told: Vec<IpAddr> = Vec::new();
    replaced(text, names, |name, address| {
        if told.contains(&address) {
            name.to_owned()
        } else {
            told.push(address);
            format!("{name} ({address})")
        }
    })
}

/// A headline with names instead of addresses.
#[must_use]
pub fn titled(text: &str, names: &Names) -> String {
    replaced(text, names, |name, _| name.to_owned())
}

fn replaced(text: &str, names: &Names, mut tell: impl FnMut(&str, IpAddr) -> String) -> String {
    if names.is_empty() {
        return text.to_owned();
    }
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_part(c) != is_part(first)).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        let before_word = tail.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        match (is_part(first) && !after_word && !before_word).then(|| address_in(piece)).flatten() {
            Some((address, length)) if names.contains_key(&address) => {
                let name = names.get(&address).map(|name| clipped(name, 60)).unwrap_or_default();
                out.push_str(&tell(&name, address));
                out.push_str(piece.get(length..).unwrap_or_default());
            }
            _ => out.push_str(piece),
        }
        after_word = piece.ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        rest = tail;
    }
    out
}

/// The address at the beginning of a piece and its length: `10.0.0.7`, `10.0.0.7:53`, `10.0.0.7.`, `fd00::7:`.
fn address_in(piece: &str) -> Option<(IpAddr, usize)> {
    let trimmed = piece.trim_end_matches(['.', ':']);
    let candidates = [piece, trimmed, trimmed.split_once(':').map_or("", |(host, _)| host)];
    candidates.iter().find_map(|text| text.parse().ok().map(|address| (address, text.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_before_addresses() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let names: Names =
            [(address("10.0.0.7"), "cam-07".to_owned()), (address("fd00::7"), "meter".to_owned())].into();
        for (text, expected) in [
            ("10.0.0.7 floods 10.0.0.70.", "cam-07 (10.0.0.7) floods 10.0.0.70."),
            ("scan by 10.0.0.7, then 10.0.0.7:53.", "scan by cam-07 (10.0.0.7), then cam-07:53."),
            ("It was 10.0.0.7.", "It was cam-07 (10.0.0.7)."),
            ("fd00::7: silent", "meter (fd00::7): silent"),
            ("x10.0.0.7 and 10.0.0.7x and 10.0.0.7-b", "x10.0.0.7 and 10.0.0.7x and 10.0.0.7-b"),
            ("a deed, a face: 1.2", "a deed, a face: 1.2"),
            ("", ""),
        ] {
            assert_eq!(with_names(text, &names), expected);
        }
        assert_eq!(titled("10.0.0.7 floods 10.0.0.7", &names), "cam-07 floods cam-07");
        assert_eq!(titled("10.0.0.7", &Names::new()), "10.0.0.7");
    }
}
