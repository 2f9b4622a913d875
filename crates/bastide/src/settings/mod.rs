//! The settings of `bastide up`: flags, then environment, then one TOML file, then defaults.
//!
//! Guarantees: a wrong setting stops the start and is named with its file, line and key (or its flag or variable) and what
//! was expected; a key that nobody knows is wrong; what is in force can be printed with the meaning and the source of each.

mod file;
mod known;
mod layers;
mod print;

pub(crate) use layers::{Given, default_data_dir, load, variables};
pub(crate) use print::print;

use known::KNOWN;
use model::{AuthorityId, AuthorityLevel, NetSet, Severity};
use sensor::ResponseConfig;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};
use store::{DatabaseUrl, Own};

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) database: Option<DatabaseUrl>,
    pub(crate) log: String,
    pub(crate) authority: Authority,
    pub(crate) server: Server,
    pub(crate) sensor: Sensor,
    pub(crate) response: ResponseConfig,
    pub(crate) retention: Retention,
    pub(crate) notify: Notify,
    pub(crate) ledger: Ledger,
    pub(crate) certificates: server::ca::Settings,
    pub(crate) agents: server::agents::Settings,
}

/// `[authority]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Authority {
    pub(crate) id: Option<AuthorityId>,
    #[serde(deserialize_with = "file::authority_name")]
    pub(crate) name: Option<String>,
    pub(crate) level: Option<AuthorityLevel>,
}

impl Authority {
    /// For whom the database is opened.
    pub(crate) fn own(&self) -> Own {
        Own { id: self.id.clone(), name: self.name.clone(), level: self.level }
    }
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    #[serde(deserialize_with = "file::socket_address")]
    pub(crate) listen: SocketAddr,
    #[serde(deserialize_with = "file::names")]
    pub(crate) names: Vec<String>,
}

/// `[sensor]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sensor {
    pub(crate) interfaces: Vec<String>,
    pub(crate) follow: Vec<PathBuf>,
    pub(crate) follow_from_start: bool,
    pub(crate) home: NetSet,
    pub(crate) exclude: NetSet,
    pub(crate) watched: NetSet,
    pub(crate) name: String,
    pub(crate) promiscuous: bool,
    #[serde(deserialize_with = "file::from_1_to_1024")]
    pub(crate) ring_mib: u32,
    #[serde(deserialize_with = "file::flows")]
    pub(crate) max_flows: u32,
}

/// `[retention]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retention {
    #[serde(deserialize_with = "file::days")]
    pub(crate) incident_days: u32,
    #[serde(deserialize_with = "file::days")]
    pub(crate) asset_days: u32,
    #[serde(deserialize_with = "file::days")]
    pub(crate) journal_days: u32,
    #[serde(deserialize_with = "file::days")]
    pub(crate) counter_days: u32,
    #[serde(deserialize_with = "file::disk_mib")]
    pub(crate) disk_mib: u64,
}

/// `[notify]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Notify {
    pub(crate) webhook: Option<String>,
    pub(crate) webhook_secret_file: Option<PathBuf>,
    pub(crate) webhook_ca: Option<PathBuf>,
    pub(crate) syslog: Option<String>,
    pub(crate) severity: Severity,
}

/// `[ledger]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ledger {
    pub(crate) witnesses: Vec<String>,
    #[serde(deserialize_with = "file::from_1_to_64")]
    pub(crate) quorum: u32,
    pub(crate) witness_ca: Option<PathBuf>,
    pub(crate) witness_for: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: layers::default_data_dir(),
            database: None,
            log: "warn".into(),
            authority: Authority::default(),
            server: Server::default(),
            sensor: Sensor::default(),
            response: ResponseConfig::default(),
            retention: Retention::default(),
            notify: Notify::default(),
            ledger: Ledger::default(),
            certificates: server::ca::Settings::default(),
            agents: server::agents::Settings::default(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)), names: Vec::new() }
    }
}

impl Default for Sensor {
    fn default() -> Self {
        let sensor = sensor::SensorConfig::default();
        Self {
            interfaces: sensor.interfaces,
            follow: sensor.follow,
            follow_from_start: sensor.follow_from_start,
            home: sensor.home,
            exclude: sensor.exclude,
            watched: sensor.watched,
            name: sensor.name,
            promiscuous: sensor.promiscuous,
            ring_mib: u32::try_from(sensor.ring_bytes >> 20).unwrap_or(8),
            max_flows: u32::try_from(sensor.max_flows).unwrap_or(u32::MAX),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { incident_days: 400, asset_days: 400, journal_days: 1100, counter_days: 400, disk_mib: 2048 }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self { witnesses: Vec::new(), quorum: 1, witness_ca: None, witness_for: Vec::new() }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            webhook: None,
            webhook_secret_file: None,
            webhook_ca: None,
            syslog: None,
            severity: Severity::Info,
        }
    }
}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody said anything.
    Default,
    /// The settings file.
    File(PathBuf),
    /// A variable.
    Environment(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Settings with where each came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    sources: BTreeMap<&'static str, Source>,
}

impl Loaded {
    /// Where the setting of a key came from.
    pub(crate) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// All settings as the API and the console show them.
    pub(crate) fn listed(&self) -> Vec<server::Setting> {
        let values = toml::Value::try_from(&self.settings).unwrap_or(toml::Value::Boolean(false));
        KNOWN
            .iter()
            .map(|known| server::Setting {
                key: known.key.to_owned(),
                value: print::value_at(&values, known.key)
                    .map(
                        |value| if known.key == "notify.webhook" { masked(value) } else { value.to_string() },
                    )
                    .unwrap_or_default(),
                source: self.source(known.key).to_string(),
                meaning: known.meaning.to_owned(),
            })
            .collect()
    }
}

/// A webhook's address without user and path, which often are the secret.
fn masked(address: &toml::Value) -> String {
    format!("{} (not shown: it may be a secret)", server::notify::shown(address.as_str().unwrap_or_default()))
}

/// A setting that stops the start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where: file with line and column, variable or flag.
    pub(crate) place: String,
    /// The key; empty where the file is no TOML.
    pub(crate) key: String,
    /// What was expected and what was found.
    pub(crate) problem: String,
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrong setting in {}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}
