//! Reads what `nft -j list table` says of our table.
//!
//! Guarantees: what cannot be understood is left out, never guessed; nothing here can panic.

use super::elements::{Atom, Element, Set};
use model::CommandId;
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands in one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// Elements, with the packets that they counted.
    pub(crate) elements: BTreeMap<Element, u64>,
    /// Packets that the rules of limited flows stopped.
    pub(crate) limits: BTreeMap<CommandId, u64>,
    /// Names of commands in comments.
    pub(crate) commands: Vec<String>,
    /// Sets of ours that are there.
    pub(crate) sets: usize,
    /// Rules outside the chain `limits`.
    pub(crate) rules: usize,
}

impl Listing {
    pub(crate) fn parse(output: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(output).map_err(|error| format!("nft listed no JSON: {error}"))?;
        let items = value.get("nftables").and_then(Value::as_array).ok_or("nft listed no \"nftables\"")?;
        let mut listing = Self::default();
        for item in items {
            if let Some(set) = item.get("set") {
                listing.set(set);
            }
            if let Some(rule) = item.get("rule") {
                listing.rule(rule);
            }
        }
        listing.commands.sort_unstable();
        listing.commands.dedup();
        Ok(listing)
    }

    fn set(&mut self, value: &Value) {
        let Some(set) = value.get("name").and_then(Value::as_str).and_then(Set::named) else { return };
        self.sets += 1;
        for item in value.get("elem").and_then(Value::as_array).into_iter().flatten() {
            let inner = item.get("elem").unwrap_or(item);
            let key = inner.get("val").unwrap_or(inner);
            if let Some(comment) = inner.get("comment").and_then(Value::as_str) {
                self.commands.push(comment.to_owned());
            }
            if let Some(key) = atoms(key) {
                let packets = inner.pointer("/counter/packets").and_then(Value::as_u64).unwrap_or(0);
                self.elements.insert(Element { set, key }, packets);
            }
        }
    }

    fn rule(&mut self, value: &Value) {
        if value.get("chain").and_then(Value::as_str) != Some("limits") {
            self.rules += 1;
            return;
        }
        let Some(comment) = value.get("comment").and_then(Value::as_str) else { return };
        let Ok(id) = comment.parse::<CommandId>() else { return };
        let expressions = value.get("expr").and_then(Value::as_array);
        let packets = expressions
            .into_iter()
            .flatten()
            .find_map(|expression| expression.pointer("/counter/packets").and_then(Value::as_u64));
        self.limits.insert(id, packets.unwrap_or(0));
    }
}

fn atoms(key: &Value) -> Option<Vec<Atom>> {
    let atom = |value: &Value| match value {
        Value::String(text) => Atom::parse(text),
        Value::Number(number) => number.as_u64().map(|number| match u8::try_from(number) {
            // Transport protocols without a name are listed as numbers; so are short payloads.
            Ok(protocol) => Atom::Protocol(model::Protocol(protocol)),
            Err(_) => Atom::Number(u128::from(number)),
        }),
        _ => None,
    };
    match key.get("concat").and_then(Value::as_array) {
        Some(parts) => parts.iter().map(atom).collect(),
        None => atom(key).map(|atom| vec![atom]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_elements_counters_and_comments() {
        let output = br#"{"nftables": [{"metainfo": {}}, {"set": {"family": "bridge", "name": "stopped_m",
            "elem": [{"elem": {"val": "02:00:00:00:00:01", "timeout": 90, "expires": 89,
            "comment": "cmd-0123456789abcdef", "counter": {"packets": 7, "bytes": 9}}}]}},
            {"set": {"name": "ask_m4", "elem": [{"elem": {"val": {"concat": ["02:00:00:00:00:01", "10.0.0.53"]}}}]}},
            {"set": {"name": "blocked_4", "elem": ["192.0.2.1"]}}, {"set": {"name": "theirs", "elem": ["x"]}},
            {"rule": {"chain": "forward", "expr": []}},
            {"rule": {"chain": "limits", "comment": "cmd-0123456789abcdef",
              "expr": [{"match": {}}, {"counter": {"packets": 3, "bytes": 1}}, {"drop": null}]}}]}"#;
        let listing = Listing::parse(output).unwrap();
        assert_eq!((listing.sets, listing.rules), (3, 1));
        let shown: Vec<(String, u64)> =
            listing.elements.iter().map(|(element, packets)| (element.key(), *packets)).collect();
        assert_eq!(
            shown,
            [
                ("02:00:00:00:00:01".into(), 7),
                ("02:00:00:00:00:01 . 10.0.0.53".into(), 0),
                ("192.0.2.1".into(), 0)
            ]
        );
        assert_eq!(listing.commands, ["cmd-0123456789abcdef"]);
        assert_eq!(listing.limits.values().copied().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn what_is_no_listing_is_refused_or_left_out() {
        for bad in [&b""[..], b"[]", b"{}", b"{\"nftables\": 3}", b"\xff"] {
            assert!(Listing::parse(bad).is_err());
        }
        let odd = br#"{"nftables": [3, {"set": 3}, {"set": {"name": "blocked_4", "elem": [3, {}, null, "x", {"elem": {}}]}}]}"#;
        assert!(Listing::parse(odd).unwrap().elements.len() <= 1);
    }
}
