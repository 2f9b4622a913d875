//! The settings of responding: what an authority allows, per kind of asset, and what is never touched.
//!
//! Guarantees: the defaults respond to nothing without a person. Settings that [`ResponseConfig::validate`] passed
//! keep every number in its bounds.

use model::{Kind, Net, Severity};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, net::IpAddr};

/// Whether plans are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Never; plans show what would have been done.
    Off,
    /// When a person approves.
    #[default]
    Ask,
    /// At once, within the caps.
    Auto,
}

impl Mode {
    /// The word used in settings and every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ask => "ask",
            Self::Auto => "auto",
        }
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("response.{key}: expected {expected}, found {found}")]
pub struct ConfigError {
    /// The key in the table `[response]`.
    pub key: String,
    /// What may stand there.
    pub expected: String,
    /// What stood there.
    pub found: String,
}

/// The table `[response]` of the settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseConfig {
    /// For kinds of asset that `kinds` does not name. Assets of unknown kind are asked about even under `auto`.
    pub mode: Mode,
    /// Per kind of asset, such as `camera = "auto"`.
    pub kinds: BTreeMap<String, Mode>,
    /// Networks that are never acted on.
    pub never: Vec<Net>,
    /// The administrators' addresses: never acted on.
    pub administrators: Vec<IpAddr>,
    /// The city's resolvers: never acted on, reachable for isolated devices at a bounded rate.
    pub resolvers: Vec<IpAddr>,
    /// The city's time servers: never acted on, reachable for isolated devices at a bounded rate.
    pub time_servers: Vec<IpAddr>,
    /// Bastide's own addresses: never acted on, always reachable.
    pub keep: Vec<IpAddr>,
    /// Routers, address translators and DHCP servers: never acted on.
    pub gateways: Vec<IpAddr>,
    /// Whom a protected asset has to reach even when it is infected.
    pub declared_peers: BTreeMap<IpAddr, Vec<IpAddr>>,
    /// Automatic responses hit at most so many distinct assets of ours in any hour.
    pub cap_assets_per_hour: u32,
    /// Automatic responses hit at most this share of the known assets of one kind in any hour, but one always.
    pub cap_share_of_kind: f64,
    /// Automatic responses block at most so many distinct remote addresses in any hour.
    pub cap_blocks_per_hour: u32,
    /// Incidents below this severity are never responded to automatically.
    pub auto_severity: Severity,
    /// Incidents below this confidence (0 to 100) are never responded to automatically.
    pub auto_confidence: u8,
    /// How long a device stays isolated or restricted the first time, in seconds.
    pub isolate_for_secs: u32,
    /// How long a remote address stays blocked the first time, in seconds.
    pub block_for_secs: u32,
    /// How long a flow stays limited the first time, in seconds.
    pub limit_for_secs: u32,
    /// The rate at which a limited flow still passes, in packets per second.
    pub limit_packets_per_second: u32,
    /// The rate at which an isolated device reaches each kept resolver and time server, in packets per second.
    pub kept_packets_per_second: u32,
    /// How long an expired command is watched for the attack to go on, in seconds.
    pub probe_secs: u32,
    /// What a repeated command grows to at most, in seconds.
    pub longest_secs: u32,
}

impl Default for ResponseConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Ask,
            kinds: BTreeMap::new(),
            never: Vec::new(),
            administrators: Vec::new(),
            resolvers: Vec::new(),
            time_servers: Vec::new(),
            keep: Vec::new(),
            gateways: Vec::new(),
            declared_peers: BTreeMap::new(),
            cap_assets_per_hour: 5,
            cap_share_of_kind: 0.02,
            cap_blocks_per_hour: 20,
            auto_severity: Severity::Medium,
            auto_confidence: 50,
            isolate_for_secs: 3600,
            block_for_secs: 3600,
            limit_for_secs: 900,
            limit_packets_per_second: 1000,
            kept_packets_per_second: 20,
            probe_secs: 300,
            longest_secs: 86_400,
        }
    }
}

impl ResponseConfig {
    /// The longest list that any key may hold.
    pub const MAX_LIST: usize = 4096;

    /// Checks every bound.
    ///
    /// # Errors
    /// [`ConfigError`] with the key and what may stand there.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, expected: &str, found: String| {
            Err(ConfigError { key: key.into(), expected: expected.into(), found })
        };
        if self.kinds.get(Kind::unknown().as_str()) == Some(&Mode::Auto) {
            return refuse("kinds.unknown", "off or ask, for nobody knows what would be hit", "auto".into());
        }
        if !(0.0..=1.0).contains(&self.cap_share_of_kind) {
            return refuse(
                "cap_share_of_kind",
                "a share from 0.0 to 1.0",
                self.cap_share_of_kind.to_string(),
            );
        }
        if self.auto_confidence > 100 {
            return refuse("auto_confidence", "0 to 100", self.auto_confidence.to_string());
        }
        let day = 86_400;
        for (key, value, least, most) in [
            ("isolate_for_secs", self.isolate_for_secs, 1, self.longest_secs),
            ("block_for_secs", self.block_for_secs, 1, self.longest_secs),
            ("limit_for_secs", self.limit_for_secs, 1, self.longest_secs),
            ("longest_secs", self.longest_secs, 1, 30 * day),
            ("probe_secs", self.probe_secs, 1, day),
            ("limit_packets_per_second", self.limit_packets_per_second, 1, 10_000_000),
            ("kept_packets_per_second", self.kept_packets_per_second, 1, 10_000),
        ] {
            if !(least..=most).contains(&value) {
                return refuse(key, &format!("{least} to {most}"), value.to_string());
            }
        }
        for (key, length) in [
            ("kinds", self.kinds.len()),
            ("never", self.never.len()),
            ("administrators", self.administrators.len()),
            ("resolvers", self.resolvers.len()),
            ("time_servers", self.time_servers.len()),
            ("keep", self.keep.len()),
            ("gateways", self.gateways.len()),
            ("declared_peers", self.declared_peers.len()),
            ("declared_peers", self.declared_peers.values().map(Vec::len).max().unwrap_or(0)),
        ] {
            if length > Self::MAX_LIST {
                return refuse(key, &format!("at most {} entries", Self::MAX_LIST), length.to_string());
            }
        }
        Ok(())
    }

    /// How plans for this kind of asset are treated.
    #[must_use]
    pub fn mode_for(&self, kind: &Kind) -> Mode {
        let mode = self.kinds.get(kind.as_str()).copied().unwrap_or(self.mode);
        if *kind == Kind::unknown() { mode.min(Mode::Ask) } else { mode }
    }

    /// Whether any kind of asset is responded to automatically.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.mode == Mode::Auto || self.kinds.values().any(|mode| *mode == Mode::Auto)
    }

    /// Why an address is never acted on, where settings say so.
    #[must_use]
    pub fn spared(&self, address: IpAddr) -> Option<&'static str> {
        let listed = |list: &[IpAddr]| list.contains(&address);
        if listed(&self.keep) {
            Some("it is Bastide itself")
        } else if listed(&self.administrators) {
            Some("it is an administrator's address")
        } else if listed(&self.resolvers) {
            Some("it is a resolver of the city")
        } else if listed(&self.time_servers) {
            Some("it is a time server of the city")
        } else if listed(&self.gateways) {
            Some("it is a gateway")
        } else if self.never.iter().any(|net| net.contains(address)) {
            Some("it is on the list of what is never acted on")
        } else {
            None
        }
    }

    /// SHA-256 of the settings in hexadecimal: what the journal names as the configuration that was in force.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // The maps are ordered and every field can be written: equal settings give equal bytes.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_respond_to_nothing_by_themselves() {
        let config = ResponseConfig::default();
        assert_eq!(config.validate(), Ok(()));
        assert!(!config.is_automatic());
        for kind in ["camera", "unknown", "traffic-light"] {
            assert_eq!(config.mode_for(&Kind(kind.into())), Mode::Ask, "{kind}");
        }
    }

    #[test]
    fn modes_go_by_kind_and_the_unknown_is_asked_about() {
        let check = |text: &str, kind: &str, expected: Mode| {
            let config: ResponseConfig = toml::from_str(text).unwrap();
            assert_eq!(config.mode_for(&Kind(kind.into())), expected, "{text} {kind}");
        };
        check("mode = 'auto'", "camera", Mode::Auto);
        check("mode = 'auto'", "unknown", Mode::Ask);
        check("mode = 'off'", "unknown", Mode::Off);
        check("kinds = { camera = 'auto' }", "camera", Mode::Auto);
        check("kinds = { camera = 'auto' }", "meter", Mode::Ask);
        check("mode = 'auto'\nkinds = { camera = 'off' }", "camera", Mode::Off);
    }

    #[test]
    fn wrong_settings_name_the_key_and_what_was_expected() {
        let check = |text: &str, expected: &str| {
            let config: ResponseConfig = toml::from_str(text).unwrap();
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        };
        check(
            "kinds = { unknown = 'auto' }",
            "response.kinds.unknown: expected off or ask, for nobody knows what would be hit, found auto",
        );
        check(
            "cap_share_of_kind = 2.5",
            "response.cap_share_of_kind: expected a share from 0.0 to 1.0, found 2.5",
        );
        check(
            "cap_share_of_kind = nan",
            "response.cap_share_of_kind: expected a share from 0.0 to 1.0, found NaN",
        );
        check("auto_confidence = 101", "response.auto_confidence: expected 0 to 100, found 101");
        check("isolate_for_secs = 0", "response.isolate_for_secs: expected 1 to 86400, found 0");
        check("block_for_secs = 90000", "response.block_for_secs: expected 1 to 86400, found 90000");
        check(
            "kept_packets_per_second = 0",
            "response.kept_packets_per_second: expected 1 to 10000, found 0",
        );
        for unread in
            ["modus = 'auto'", "mode = 'yes'", "never = ['10.0.0.0/40']", "kinds = { camera = 'on' }"]
        {
            assert!(toml::from_str::<ResponseConfig>(unread).is_err(), "{unread}");
        }
    }

    #[test]
    fn listed_addresses_are_spared_with_the_reason() {
        let config: ResponseConfig = toml::from_str(
            "never = ['10.9.0.0/16']\nadministrators = ['10.0.0.2']\nresolvers = ['fd00::53']\nkeep = ['10.0.0.3']\n\
             time_servers = ['10.0.0.4']\ngateways = ['10.0.0.1']",
        )
        .unwrap();
        let check = |address: &str, word: Option<&str>| {
            let reason = config.spared(address.parse().unwrap());
            assert_eq!(reason.is_some(), word.is_some(), "{address} {reason:?}");
            assert!(reason.unwrap_or("").contains(word.unwrap_or("")), "{address} {reason:?}");
        };
        check("10.9.3.4", Some("never"));
        check("10.0.0.2", Some("administrator"));
        check("fd00::53", Some("resolver"));
        check("10.0.0.3", Some("Bastide"));
        check("10.0.0.4", Some("time"));
        check("10.0.0.1", Some("gateway"));
        check("10.0.0.9", None);
    }

    #[test]
    fn the_fingerprint_follows_the_content() {
        let base = ResponseConfig::default();
        let other = ResponseConfig { cap_assets_per_hour: 6, ..base.clone() };
        assert_eq!(base.fingerprint(), base.clone().fingerprint());
        assert_ne!(base.fingerprint(), other.fingerprint());
        assert_eq!(base.fingerprint().len(), 64);
    }
}
