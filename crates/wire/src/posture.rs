//! How a device stands: what an attacker would look at first, without anything that would help one.
//!
//! Never in here: passwords and their hashes, names of people beyond the accounts that are open to anybody, what is sent
//! to whom.

use crate::limit::{self, Invalid};
use model::{Mac, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How a device stands. What was not collected, or could not be, is absent; why not stands in `unread`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posture {
    /// The version of the agent.
    pub agent: String,
    /// What it runs.
    pub os: Os,
    /// The id of this start of the kernel: another one after every start.
    pub boot: Option<String>,
    /// When the kernel started, by the clock of the device.
    pub started: Option<Timestamp>,
    /// The hardware addresses of its own network interfaces, in ascending order.
    #[serde(default)]
    pub hardware: Vec<Mac>,
    /// What is installed: the list itself is the SBOM.
    pub software: Option<Software>,
    /// Ports on which something waits, in ascending order.
    pub listening: Option<Vec<Listening>>,
    /// TCP ports on which telnet is open to others than the device itself, in ascending order.
    pub telnet: Option<Vec<u16>>,
    /// Accounts that anybody could use.
    pub accounts: Option<Accounts>,
    /// What could not be read, and why: silence about it is no good news.
    pub unread: Vec<Unread>,
}

/// The operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Os {
    /// `ID` of `os-release`, such as `debian`; `linux` where there is none.
    pub id: String,
    /// `VERSION_ID`, such as `12`.
    pub version: Option<String>,
    /// `PRETTY_NAME`.
    pub name: Option<String>,
    /// The kernel's release, such as `6.1.0-18-arm64`.
    pub kernel: String,
    /// The architecture of the agent, such as `aarch64`.
    pub architecture: String,
}

/// What is installed, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// How many packages.
    pub packages: u32,
    /// The serial number of the SBOM that lists them.
    pub sbom: String,
}

/// A port on which something waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listening {
    /// TCP or UDP.
    pub transport: Transport,
    /// Which port.
    pub port: u16,
    /// On which address; the unspecified one means all.
    pub address: IpAddr,
    /// The name of the process, where it could be read.
    pub process: Option<String>,
}

/// What carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What was seen of the accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Those that anybody could use, in ascending order.
    pub weak: Vec<WeakAccount>,
    /// How many have a password that could not be compared: its hash is of a form that takes too much to try.
    pub unchecked: u32,
}

/// An account that anybody could use. Its password is not in here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeakAccount {
    /// Its name.
    pub name: String,
    /// What it matches: `empty password`, or the name of an entry in the list of factory passwords.
    pub rule: String,
}

/// A source that could not be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unread {
    /// Which: `/etc/shadow`.
    pub source: String,
    /// Why.
    pub reason: String,
}

impl Posture {
    /// Whether every field is within its bounds.
    ///
    /// # Errors
    /// [`Invalid`] with the first that is not.
    pub fn check(&self) -> Result<(), Invalid> {
        let short = |field, text: &str| limit::text(field, text, limit::TEXT);
        let optional = |field, text: &Option<String>| text.as_ref().map_or(Ok(()), |text| short(field, text));
        short("posture.agent", &self.agent)?;
        short("posture.os.id", &self.os.id)?;
        optional("posture.os.version", &self.os.version)?;
        optional("posture.os.name", &self.os.name)?;
        short("posture.os.kernel", &self.os.kernel)?;
        short("posture.os.architecture", &self.os.architecture)?;
        optional("posture.boot", &self.boot)?;
        limit::count("posture.hardware", self.hardware.len(), limit::INTERFACES)?;
        limit::sorted("posture.hardware", &self.hardware)?;
        if let Some(software) = &self.software {
            limit::count("posture.software.packages", software.packages as usize, limit::COMPONENTS)?;
            crate::sbom::serial("posture.software.sbom", &software.sbom)?;
        }
        if let Some(listening) = &self.listening {
            limit::count("posture.listening", listening.len(), limit::LISTENING)?;
            limit::sorted("posture.listening", listening)?;
            for one in listening {
                optional("posture.listening.process", &one.process)?;
            }
        }
        if let Some(telnet) = &self.telnet {
            limit::count("posture.telnet", telnet.len(), limit::LISTENING)?;
            limit::sorted("posture.telnet", telnet)?;
        }
        if let Some(accounts) = &self.accounts {
            limit::count("posture.accounts.weak", accounts.weak.len(), limit::ACCOUNTS)?;
            limit::sorted("posture.accounts.weak", &accounts.weak)?;
            for weak in &accounts.weak {
                short("posture.accounts.weak.name", &weak.name)?;
                short("posture.accounts.weak.rule", &weak.rule)?;
            }
        }
        limit::count("posture.unread", self.unread.len(), limit::UNREAD)?;
        for unread in &self.unread {
            short("posture.unread.source", &unread.source)?;
            short("posture.unread.reason", &unread.reason)?;
        }
        Ok(())
    }
}
