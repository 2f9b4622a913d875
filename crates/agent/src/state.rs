//! What the agent keeps of itself: as whom it is enrolled where, and how far it came.

use crate::disk::{DiskError, Folder};
use model::Timestamp;
use pki::Algorithm;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const ENROLMENT: &str = "agent.json";
const STATE: &str = "state.json";
const MOST_BYTES: usize = 64 * 1024;

/// As whom it is enrolled, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The server: `https://host:port`.
    pub server: String,
    /// Which authority's: the label in EST's paths.
    pub label: Option<String>,
    /// The device's name.
    pub name: String,
    /// The kind of its keys.
    pub algorithm: Algorithm,
}

/// How far it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// No report has this number or a higher one.
    pub next: u64,
    /// How many reports were shed.
    pub shed: u64,
    /// The highest number of settings that were taken.
    pub settings: u64,
    /// The last posture that was queued.
    pub posture: Option<Queued>,
    /// The last SBOM that was queued.
    pub sbom: Option<Queued>,
    /// When the server took a report last.
    pub taken: Option<Timestamp>,
}

/// What was queued, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queued {
    /// SHA-256 of what counts as a change, in hexadecimal digits.
    pub content: String,
    /// When.
    pub at: Timestamp,
}

impl Enrolment {
    /// The one of this folder; nothing where it is not enrolled.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn load(folder: &Folder) -> Result<Option<Self>, DiskError> {
        let Some(bytes) = folder.read(ENROLMENT, MOST_BYTES)? else { return Ok(None) };
        read(&bytes).map(Some).map_err(|reason| {
            folder.content(ENROLMENT, format!("{reason}; enrol the device again with --replace"))
        })
    }

    /// Keeps it.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn save(&self, folder: &Folder) -> Result<(), DiskError> {
        folder.replace(ENROLMENT, &written(self))
    }
}

impl State {
    /// That of this folder. One that cannot be read (a failing disk) is begun anew, and said so: the device goes on.
    ///
    /// # Errors
    /// [`DiskError`] where the disk fails.
    pub fn load(folder: &Folder) -> Result<(Self, Option<String>), DiskError> {
        let fresh = |reason: String| {
            let said = format!("{}: {reason}; begun anew", folder.path(STATE).display());
            (Self::default(), Some(said))
        };
        Ok(match folder.read(STATE, MOST_BYTES) {
            Ok(None) => (Self::default(), None),
            Ok(Some(bytes)) => read(&bytes).map_or_else(fresh, |state| (state, None)),
            Err(DiskError::Content { reason, .. }) => fresh(reason),
            Err(error) => return Err(error),
        })
    }

    /// Keeps it.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn save(&self, folder: &Folder) -> Result<(), DiskError> {
        folder.replace(STATE, &written(self))
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn written(value: &impl Serialize) -> Vec<u8> {
    // Structs of texts and numbers can always be written.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}
