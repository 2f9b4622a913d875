//! What kinds of assets there are and how each is recognised: `rules/kinds.toml`, read and checked.

use hashbrown::HashMap;
use model::{Criticality, HintKind, Layer, Mac};
use serde::Deserialize;
use std::collections::BTreeMap;

const SHIPPED: &str = include_str!("../../../rules/kinds.toml");

/// What is wrong with a list of kinds.
#[derive(Debug, thiserror::Error)]
pub enum KindsError {
    /// Not TOML, or not of the form that is described in `rules/kinds.toml`.
    #[error("kinds: {0}")]
    Form(#[from] toml::de::Error),
    /// A value that cannot be.
    #[error("kinds: {key}: expected {expected}, found {found:?}")]
    Value {
        /// The key.
        key: String,
        /// What was expected.
        expected: &'static str,
        /// What was there.
        found: String,
    },
}

/// The kinds of assets, their layer and criticality, and the signs by which they are recognised.
#[derive(Clone, Debug)]
pub struct Kinds {
    kinds: Vec<KindRule>,
    signs: Vec<Sign>,
    /// Which signs look at a source, the clouds left out.
    by_source: HashMap<Source, Vec<u16>>,
    /// Which sign a cloud's domain belongs to.
    domains: HashMap<String, Vec<u16>>,
    vendors: HashMap<[u8; 3], String>,
}

/// A kind of asset.
#[derive(Clone, Debug)]
pub(crate) struct KindRule {
    pub(crate) name: String,
    pub(crate) layer: Layer,
    pub(crate) criticality: Criticality,
    /// What many things are besides what they are for; named where nothing better is known.
    pub(crate) general: bool,
}

/// Something by which a kind is recognised.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    pub(crate) kind: u16,
    pub(crate) source: Source,
    /// How far this sign alone makes sure, 1 to 95.
    pub(crate) weight: u8,
    /// What it means, for people: “the cloud of Blink cameras”.
    pub(crate) means: Option<String>,
    patterns: Vec<Pattern>,
}

/// Where a sign is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    DhcpHostname,
    DhcpVendorClass,
    DhcpParameters,
    Mdns,
    Ssdp,
    /// Maker, model or product as announced.
    Model,
    /// The name that somebody gave it.
    GivenName,
    UserAgent,
    HttpServer,
    Banner,
    Cloud,
    Ja4,
    Serves,
    Function,
    /// The maker by the hardware address.
    Vendor,
}

impl Source {
    /// What a hint is a sign of; `None` where it only tells one device from another.
    pub(crate) const fn of(kind: HintKind) -> Option<Self> {
        Some(match kind {
            HintKind::DhcpClientId | HintKind::Uuid => return None,
            HintKind::DhcpHostname => Self::DhcpHostname,
            HintKind::DhcpVendorClass => Self::DhcpVendorClass,
            HintKind::DhcpParameters => Self::DhcpParameters,
            HintKind::Mdns | HintKind::MdnsHost => Self::Mdns,
            HintKind::Model => Self::Model,
            HintKind::GivenName => Self::GivenName,
            HintKind::Ja4 => Self::Ja4,
            HintKind::Ssdp => Self::Ssdp,
            HintKind::UserAgent => Self::UserAgent,
            HintKind::HttpServer => Self::HttpServer,
            HintKind::Banner => Self::Banner,
            HintKind::Cloud => Self::Cloud,
            HintKind::Serves => Self::Serves,
            HintKind::Function => Self::Function,
        })
    }

    /// Whether it can be another device's that this one carries on: what a resolver or a translator of addresses asks
    /// for, it asks for others.
    pub(crate) const fn is_carried(self) -> bool {
        matches!(self, Self::Cloud | Self::UserAgent | Self::Ja4)
    }

    /// How a reason begins.
    pub(crate) const fn phrase(self) -> &'static str {
        match self {
            Self::DhcpHostname => "calls itself",
            Self::DhcpVendorClass => "calls its DHCP client",
            Self::DhcpParameters => "asks DHCP for the options",
            Self::Mdns => "announces in multicast DNS",
            Self::Ssdp => "announces in SSDP",
            Self::Model => "names its maker or model as",
            Self::GivenName => "was given the name",
            Self::UserAgent => "calls itself towards web servers",
            Self::HttpServer => "its web page says",
            Self::Banner => "greets with",
            Self::Cloud => "talks to",
            Self::Ja4 => "opens TLS in the manner (JA4)",
            Self::Serves => "serves",
            Self::Function => "is to the network a",
            Self::Vendor => "has a hardware address of",
        }
    }
}

/// A pattern on normalised text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(String);

impl Pattern {
    fn new(text: &str) -> Self {
        let words = normalised(text);
        let words = words.trim();
        let start = if text.starts_with('*') { "" } else { " " };
        let end = if text.ends_with('*') { "" } else { " " };
        Self(format!("{start}{words}{end}"))
    }
}

/// Lower case, with runs of letters and runs of digits as words, and a single space around each.
pub(crate) fn normalised(text: &str) -> String {
    let mut result = String::with_capacity(text.len() + 2);
    let mut last = ' ';
    for letter in text.chars().take(256) {
        let letter = if letter.is_alphanumeric() { letter } else { ' ' };
        let breaks = last == ' ' || letter == ' ' || last.is_numeric() != letter.is_numeric();
        if breaks && !result.ends_with(' ') {
            result.push(' ');
        }
        if letter != ' ' {
            result.extend(letter.to_lowercase());
        }
        last = letter;
    }
    if !result.ends_with(' ') {
        result.push(' ');
    }
    result
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    kind: BTreeMap<String, FileKind>,
    #[serde(default)]
    vendor: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKind {
    layer: Layer,
    criticality: Criticality,
    #[serde(default)]
    general: bool,
    #[serde(default)]
    signs: Vec<FileSign>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSign {
    from: Source,
    any: Vec<String>,
    weight: u8,
    means: Option<String>,
}

impl Kinds {
    /// The kinds that Bastide ships.
    #[must_use]
    pub fn shipped() -> Self {
        // A test holds that the shipped list reads; should it not, every asset is unknown, which is safe.
        Self::from_toml(SHIPPED).unwrap_or_else(|_| Self::none())
    }

    /// The shipped kinds with a list of one's own on top, of the same form: a kind of the same name is replaced.
    ///
    /// # Errors
    /// [`KindsError`] says which key holds what it should not.
    pub fn shipped_with(own: &str) -> Result<Self, KindsError> {
        let mut file: File = toml::from_str(SHIPPED)?;
        let own: File = toml::from_str(own)?;
        file.kind.extend(own.kind);
        file.vendor.extend(own.vendor);
        Self::from_file(file)
    }

    /// Reads a list of kinds.
    ///
    /// # Errors
    /// [`KindsError`] says which key holds what it should not.
    pub fn from_toml(text: &str) -> Result<Self, KindsError> {
        Self::from_file(toml::from_str(text)?)
    }

    fn none() -> Self {
        Self {
            kinds: Vec::new(),
            signs: Vec::new(),
            by_source: HashMap::new(),
            domains: HashMap::new(),
            vendors: HashMap::new(),
        }
    }

    fn from_file(file: File) -> Result<Self, KindsError> {
        let mut kinds = Self::none();
        for (name, mut rule) in file.kind {
            let index = u16::try_from(kinds.kinds.len()).map_err(|_| KindsError::Value {
                key: "kind".into(),
                expected: "at most 65536 kinds",
                found: name.clone(),
            })?;
            for sign in std::mem::take(&mut rule.signs) {
                kinds.add_sign(&name, index, sign)?;
            }
            let FileKind { layer, criticality, general, .. } = rule;
            kinds.kinds.push(KindRule { name, layer, criticality, general });
        }
        for (name, prefixes) in file.vendor {
            for prefix in prefixes {
                let mac: Mac = format!("{prefix}:00:00:00").parse().map_err(|_| KindsError::Value {
                    key: format!("vendor.{name:?}"),
                    expected: "the first three bytes of a hardware address, such as 00:40:8c",
                    found: prefix.clone(),
                })?;
                let [a, b, c, ..] = mac.0;
                kinds.vendors.insert([a, b, c], name.clone());
            }
        }
        Ok(kinds)
    }

    fn add_sign(&mut self, name: &str, kind: u16, sign: FileSign) -> Result<(), KindsError> {
        let error = |expected, found: String| KindsError::Value {
            key: format!("kind.{name}.signs"),
            expected,
            found,
        };
        if !(1..=95).contains(&sign.weight) {
            return Err(error("a weight from 1 to 95", sign.weight.to_string()));
        }
        let number = u16::try_from(self.signs.len())
            .map_err(|_| error("at most 65536 signs in all", String::new()))?;
        if let Some(empty) = sign.any.iter().find(|text| normalised(text).trim().len() < 2) {
            return Err(error("patterns of two letters or more", empty.clone()));
        }
        if sign.from == Source::Cloud {
            for domain in &sign.any {
                self.domains.entry(domain.to_lowercase()).or_default().push(number);
            }
        } else {
            self.by_source.entry(sign.from).or_default().push(number);
        }
        let patterns = sign.any.iter().map(|text| Pattern::new(text)).collect();
        let FileSign { from: source, weight, means, .. } = sign;
        self.signs.push(Sign { kind, source, weight, means, patterns });
        Ok(())
    }

    /// The names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|kind| kind.name.as_str())
    }

    /// Layer and criticality of a kind; `None` where there is no such kind.
    #[must_use]
    pub fn meaning(&self, name: &str) -> Option<(Layer, Criticality)> {
        self.kinds.iter().find(|kind| kind.name == name).map(|kind| (kind.layer, kind.criticality))
    }

    /// The maker of a hardware address, where it is listed. Addresses made locally have none.
    #[must_use]
    pub fn vendor(&self, mac: Mac) -> Option<&str> {
        let [a, b, c, ..] = mac.0;
        if mac.is_local() { None } else { self.vendors.get(&[a, b, c]).map(String::as_str) }
    }

    pub(crate) fn kind(&self, index: u16) -> Option<&KindRule> {
        self.kinds.get(usize::from(index))
    }

    pub(crate) fn sign(&self, number: u16) -> Option<&Sign> {
        self.signs.get(usize::from(number))
    }

    /// The numbers of the signs that a text from a source shows.
    pub(crate) fn shown_by(&self, source: Source, text: &str) -> Vec<u16> {
        if source == Source::Cloud {
            return self.clouds(text);
        }
        let Some(candidates) = self.by_source.get(&source) else { return Vec::new() };
        let text = normalised(text);
        let shown = |number: &&u16| {
            self.sign(**number)
                .is_some_and(|sign| sign.patterns.iter().any(|pattern| text.contains(&pattern.0)))
        };
        candidates.iter().filter(shown).copied().collect()
    }

    /// A domain and those above it are looked up, so that a list of any length costs a few look-ups.
    fn clouds(&self, name: &str) -> Vec<u16> {
        let name = name.trim_end_matches('.').to_lowercase();
        let mut rest = name.as_str();
        for _ in 0..16 {
            if let Some(signs) = self.domains.get(rest) {
                return signs.clone();
            }
            match rest.split_once('.') {
                Some((_, above)) => rest = above,
                None => break,
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_kinds_read_and_hold_the_promises_about_criticality() {
        let kinds = Kinds::from_toml(SHIPPED).unwrap();
        let check = |kind: &str, expected| assert_eq!(kinds.meaning(kind).unwrap().1, expected, "{kind}");
        check("traffic-light-controller", Criticality::Protected);
        check("camera", Criticality::Ordinary);
        check("meter", Criticality::Ordinary);
        check("unknown", Criticality::Unknown);
        assert!(kinds.names().count() >= 20);
    }

    #[test]
    fn words_match_words_and_domains_match_their_subdomains() {
        let kinds = Kinds::from_toml(
            r#"
            [kind.camera]
            layer = "device"
            criticality = "ordinary"
            signs = [
                { from = "dhcp-hostname", any = ["cam", "ipcam*", "*cam32", "video door"], weight = 50 },
                { from = "cloud", any = ["cams.example"], weight = 50 },
            ]
            "#,
        )
        .unwrap();
        let check = |source, text: &str, expected: usize| {
            assert_eq!(kinds.shown_by(source, text).len(), expected, "{text}");
        };
        check(Source::DhcpHostname, "Street-CAM-01", 1);
        check(Source::DhcpHostname, "cam01", 1);
        check(Source::DhcpHostname, "camden", 0);
        check(Source::DhcpHostname, "IPCAM7", 1);
        check(Source::DhcpHostname, "espcam32", 1);
        check(Source::DhcpHostname, "front_video.door", 1);
        check(Source::Mdns, "cam", 0);
        check(Source::Cloud, "eu.api.cams.example.", 1);
        check(Source::Cloud, "cams.example", 1);
        check(Source::Cloud, "webcams.example", 0);
        check(Source::Cloud, "", 0);
    }

    #[test]
    fn a_wrong_list_says_where_and_what() {
        let check = |text: &str, expected: &str| {
            let found = Kinds::from_toml(text).unwrap_err().to_string();
            assert!(found.contains(expected), "{found}");
        };
        let kind = |sign: &str| {
            format!("[kind.x]\nlayer = \"device\"\ncriticality = \"ordinary\"\nsigns = [{sign}]")
        };
        check(&kind("{ from = \"mdns\", any = [\"ab\"], weight = 0 }"), "weight from 1 to 95");
        check(&kind("{ from = \"mdns\", any = [\"*\"], weight = 10 }"), "two letters");
        check(&kind("{ from = \"nowhere\", any = [\"ab\"], weight = 10 }"), "nowhere");
        check("[vendor]\nx = [\"00:11\"]", "first three bytes");
        check("[kind.x]\nlayer = \"device\"", "criticality");
    }
}
