//! Where reading of followed files stopped, kept over restarts in `follow.json`.
//!
//! Guarantees: the file is replaced as a whole or not at all. A position only fits the very file that it was taken in.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{DefaultHasher, Hasher},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const NAME: &str = "follow.json";
/// So many bytes before the offset tell whether it is still the same text.
const CONTEXT: u64 = 256;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    device: u64,
    inode: u64,
    /// Everything before was told.
    pub(crate) offset: u64,
    /// Digest of the bytes before the offset.
    context: u64,
}

impl Position {
    pub(crate) fn new((device, inode): (u64, u64), offset: u64, file: &File) -> io::Result<Self> {
        Ok(Self { device, inode, offset, context: context(file, offset)? })
    }

    /// Whether it was taken in this file, as it is now.
    pub(crate) fn fits(&self, identity: (u64, u64), length: u64, file: &File) -> bool {
        identity == (self.device, self.inode)
            && self.offset <= length
            && context(file, self.offset).is_ok_and(|context| context == self.context)
    }
}

fn context(file: &File, offset: u64) -> io::Result<u64> {
    let start = offset.saturating_sub(CONTEXT);
    let mut bytes = vec![0; (offset - start) as usize];
    file.read_exact_at(&mut bytes, start)?;
    // Not keyed: the digest must be the same in the next run.
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Ok(hasher.finish())
}

/// The positions of all followed files.
pub(crate) struct Positions {
    path: PathBuf,
    known: BTreeMap<PathBuf, Position>,
}

impl Positions {
    /// As the last run left them. A file that cannot be read counts as none: following begins as the first time.
    pub(crate) fn load(state_dir: &Path) -> Self {
        let path = state_dir.join(NAME);
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %path.display(), %error, "positions cannot be read: following begins anew");
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        Self { path, known }
    }

    pub(crate) fn of(&self, path: &Path) -> Option<Position> {
        self.known.get(path).cloned()
    }

    /// Remembers a position; nothing is written yet.
    pub(crate) fn set(&mut self, path: &Path, position: Position) -> bool {
        self.known.insert(path.to_owned(), position.clone()) != Some(position)
    }

    /// Writes all positions down.
    pub(crate) fn save(&self) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&self.known)?;
        let beside = self.path.with_extension("json.new");
        fs::write(&beside, text)?;
        fs::rename(&beside, &self.path)
    }
}
