//! What kind of thing an asset is, from the signs that it showed.
//!
//! Signs of one kind add up as independent witnesses do: 1 − ∏(1 − weight). What speaks for the runner-up takes away
//! from the confidence. A general kind (a small embedded device) is named where no other can be, and takes nothing
//! away from others. A kind once settled on stays until another is better by a margin. Where anything noticeable
//! speaks for a protected kind, the asset counts as protected, whatever else it may be.

use crate::kinds::{Kinds, Source};
use model::{Criticality, Kind, Layer};

/// The least confidence for naming a kind at all.
const NAMED_FROM: u8 = 30;
/// The least confidence for treating an asset as less than protected.
const TRUSTED_FROM: u8 = 50;
/// By how much another kind must be better to replace the present one.
const MARGIN: f64 = 0.15;
/// From which score on a protected kind protects although another kind is likelier.
const PROTECTS_FROM: f64 = 0.3;
const MAX_SHOWN: usize = 32;
const MAX_REASONS: usize = 6;

/// The signs that an asset showed, each once, with the text that showed it first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    signs: Vec<(u16, String)>,
    kind: Option<u16>,
}

/// What was guessed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Guess {
    pub(crate) kind: Kind,
    pub(crate) layer: Layer,
    pub(crate) criticality: Criticality,
    pub(crate) confidence: u8,
    pub(crate) reasons: Vec<String>,
}

impl Shown {
    /// Takes a text from a source; true where it showed something new.
    pub(crate) fn take(&mut self, kinds: &Kinds, source: Source, text: &str) -> bool {
        let mut new = false;
        for sign in kinds.shown_by(source, text) {
            if self.signs.len() < MAX_SHOWN && self.signs.iter().all(|(known, _)| *known != sign) {
                self.signs.push((sign, printable(text)));
                new = true;
            }
        }
        new
    }

    /// Adds what another asset showed that turned out to be this one.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (sign, text) in other.signs {
            if self.signs.len() < MAX_SHOWN && self.signs.iter().all(|(known, _)| *known != sign) {
                self.signs.push((sign, text));
            }
        }
        self.kind = self.kind.or(other.kind);
    }

    /// Forgets what sources showed that turned out not to speak of this asset.
    pub(crate) fn forget(&mut self, kinds: &Kinds, sources: impl Fn(Source) -> bool) {
        self.signs.retain(|(sign, _)| kinds.sign(*sign).is_none_or(|sign| !sources(sign.source)));
        self.kind = self.kind.filter(|kind| {
            self.signs.iter().any(|(sign, _)| kinds.sign(*sign).is_some_and(|sign| sign.kind == *kind))
        });
    }

    /// What speaks for a kind, 0 to 1.
    fn score(&self, kinds: &Kinds, kind: u16) -> f64 {
        let doubt: f64 = self
            .signs
            .iter()
            .filter_map(|(sign, _)| kinds.sign(*sign))
            .filter(|sign| sign.kind == kind)
            .map(|sign| 1.0 - f64::from(sign.weight) / 100.0)
            .product();
        1.0 - doubt
    }

    /// The best guess from all that was shown.
    pub(crate) fn guess(&mut self, kinds: &Kinds) -> Guess {
        let mut scores: Vec<(u16, f64)> = Vec::new();
        for (sign, _) in &self.signs {
            if let Some(sign) =
                kinds.sign(*sign).filter(|sign| scores.iter().all(|(kind, _)| *kind != sign.kind))
            {
                scores.push((sign.kind, self.score(kinds, sign.kind)));
            }
        }
        // What a thing is for says more than what it is made of.
        let is_general = |kind: u16| kinds.kind(kind).is_some_and(|rule| rule.general);
        if scores.iter().any(|(kind, score)| !is_general(*kind) && *score * 100.0 >= f64::from(NAMED_FROM)) {
            scores.retain(|(kind, _)| !is_general(*kind));
        }
        // The order of equals is that of the list, not of arrival.
        scores.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        let held = self.kind.and_then(|kind| scores.iter().find(|(known, _)| *known == kind).copied());
        let (kind, score) = match (scores.first().copied(), held) {
            (Some(best), Some(held)) if best.1 < held.1 + MARGIN => held,
            (Some(best), _) => best,
            (None, _) => return Guess::unknown(),
        };
        let rival = scores.iter().find(|(other, _)| *other != kind).map_or(0.0, |(_, score)| *score);
        let confidence = (100.0 * score * (1.0 - 0.5 * rival)).round().clamp(0.0, 99.0) as u8;
        let threatened = scores.iter().any(|(kind, score)| {
            *score >= PROTECTS_FROM
                && kinds.kind(*kind).is_some_and(|kind| kind.criticality == Criticality::Protected)
        });
        let Some(rule) = kinds.kind(kind).filter(|_| confidence >= NAMED_FROM) else {
            return Guess { confidence, ..Guess::unknown() };
        };
        self.kind = Some(kind);
        Guess {
            kind: Kind(rule.name.clone()),
            layer: rule.layer,
            criticality: match (threatened, confidence >= TRUSTED_FROM) {
                (true, _) => Criticality::Protected,
                (false, true) => rule.criticality,
                (false, false) => Criticality::Unknown,
            },
            confidence,
            reasons: self.reasons(kinds, kind),
        }
    }

    /// The weightiest signs in words.
    fn reasons(&self, kinds: &Kinds, kind: u16) -> Vec<String> {
        let mut signs: Vec<_> = self
            .signs
            .iter()
            .filter_map(|(number, text)| kinds.sign(*number).map(|sign| (sign, text)))
            .filter(|(sign, _)| sign.kind == kind)
            .collect();
        signs.sort_by_key(|(sign, _)| std::cmp::Reverse(sign.weight));
        signs
            .iter()
            .take(MAX_REASONS)
            .map(|(sign, text)| match (sign.source, text.as_str(), &sign.means) {
                (Source::Function, "router", _) => "passes on what others send (router)".into(),
                (Source::Function, "resolver", _) => "looks up names for others (resolver)".into(),
                (Source::Function, "dhcp", _) => "hands out addresses (DHCP)".into(),
                (Source::Function, "time", _) => "tells others the time (NTP)".into(),
                (source, text, Some(means)) => format!("{} “{text}”: {means}", source.phrase()),
                (source, text, None) => format!("{} “{text}”", source.phrase()),
            })
            .collect()
    }
}

impl Guess {
    fn unknown() -> Self {
        Self {
            kind: Kind::unknown(),
            layer: Layer::Device,
            criticality: Criticality::Unknown,
            confidence: 0,
            reasons: Vec::new(),
        }
    }
}

/// Text from the network as it may be shown: no control characters, at most 64 characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(64).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> Kinds {
        Kinds::from_toml(
            r#"
            [kind.camera]
            layer = "device"
            criticality = "ordinary"
            signs = [
                { from = "dhcp-hostname", any = ["cam"], weight = 60 },
                { from = "serves", any = ["rtsp"], weight = 50 },
                { from = "vendor", any = ["acme"], weight = 20 },
            ]
            [kind.sensor]
            layer = "device"
            criticality = "ordinary"
            signs = [
                { from = "dhcp-hostname", any = ["sensor"], weight = 60 },
                { from = "mdns", any = ["sensor"], weight = 70 },
                { from = "banner", any = ["sensor"], weight = 70 },
            ]
            [kind.traffic-light-controller]
            layer = "device"
            criticality = "protected"
            signs = [{ from = "banner", any = ["signal"], weight = 40 }]
            [kind.embedded-device]
            layer = "device"
            criticality = "unknown"
            general = true
            signs = [{ from = "dhcp-parameters", any = ["1,3,6"], weight = 70, means = "a small system" }]
            "#,
        )
        .unwrap()
    }

    #[test]
    fn signs_add_up_and_settle() {
        let kinds = kinds();
        let mut shown = Shown::default();
        let mut check = |source, text: &str, kind: &str, criticality, confidence: u8| {
            shown.take(&kinds, source, text);
            let guess = shown.guess(&kinds);
            let found = (guess.kind.as_str().to_owned(), guess.criticality, guess.confidence);
            assert_eq!(found, (kind.to_owned(), criticality, confidence), "after {text}");
        };
        use Criticality::{Ordinary, Protected, Unknown};
        check(Source::Vendor, "Acme", "unknown", Unknown, 20);
        check(Source::DhcpHostname, "cam-7", "camera", Ordinary, 68);
        check(Source::DhcpHostname, "cam-8", "camera", Ordinary, 68);
        check(Source::Serves, "rtsp", "camera", Ordinary, 84);
        check(Source::Mdns, "sensor", "camera", Ordinary, 55);
        // Better by less than the margin: the kind stays, though less is thought of it.
        check(Source::Banner, "sensor", "camera", Unknown, 46);
        check(Source::DhcpHostname, "sensor", "camera", Unknown, 44);
        check(Source::Banner, "signal", "camera", Protected, 44);
    }

    #[test]
    fn what_a_thing_is_made_of_is_said_where_nothing_better_is_known() {
        let kinds = kinds();
        let mut shown = Shown::default();
        shown.take(&kinds, Source::Vendor, "Acme");
        shown.take(&kinds, Source::DhcpParameters, "1,3,6");
        let guess = shown.guess(&kinds);
        assert_eq!((guess.kind.as_str(), guess.confidence), ("embedded-device", 63));
        assert_eq!(guess.criticality, Criticality::Unknown);
        assert_eq!(guess.reasons, ["asks DHCP for the options “1,3,6”: a small system"]);
        shown.take(&kinds, Source::Serves, "rtsp");
        let guess = shown.guess(&kinds);
        assert_eq!((guess.kind.as_str(), guess.confidence), ("camera", 60));
    }
}
