//! The decisions about one incident as a bundle that others can verify.
//!
//! Guarantees: a bundle is a folder, since what programs for the C2SP formats take is a file and its proof:
//! `<number>.json` is a leaf, byte for byte, `<number>.tlog-proof` proves it (`c2sp.org/tlog-proof@v1`),
//! `<number>.openings` shows what of it may be shown, and `keys` has the verifier keys, whose trust has to come from
//! elsewhere. A bundle proves each of its leaves. It cannot prove that it has all leaves of an incident; the whole
//! log does.

use crate::{
    Decision, LeafError, LeafProof, LeafProofError, MAX_ARCHIVE, MAX_LEAF, Note, Shown, ShownError, Source,
    Tree, TreeError, Trust, VerifierKey, Witnessed, checkpoint::number, place::MAX_KEYS, proof::MAX_TEXT,
    shortened, shown::MAX_OPENINGS,
};
use std::collections::BTreeMap;

/// The most files that a bundle may have.
pub const MAX_FILES: usize = 100_000;

/// The verifier keys as they stand in `keys`.
#[must_use]
pub fn keys_file(keys: &[VerifierKey]) -> Vec<u8> {
    keys.iter().flat_map(|key| format!("{key}\n").into_bytes()).collect()
}

/// One leaf of a bundle, with its proof and what is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhibit {
    /// The leaf, byte for byte.
    pub leaf: Vec<u8>,
    /// Its proof.
    pub proof: LeafProof,
    /// What is shown of it.
    pub shown: Vec<Shown>,
}

/// The decisions about one thing, to be given to somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The keys that the log says to have.
    pub keys: Vec<VerifierKey>,
    /// The leaves, by number.
    pub exhibits: BTreeMap<u64, Exhibit>,
}

/// A leaf of a bundle that is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Its number.
    pub index: u64,
    /// What it says, or why this program cannot read it.
    pub decision: Result<Decision, LeafError>,
    /// The checkpoint that it is proved by.
    pub witnessed: Witnessed,
}

/// What is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not a file of a bundle.
    #[error("expected keys, NUMBER.json, NUMBER.tlog-proof or NUMBER.openings, found {0:?}")]
    File(String),
    /// Too many of them.
    #[error("expected at most {MAX_FILES} files")]
    TooMany,
    /// Not an archive of files.
    #[error("expected a tar archive of at most {MAX_ARCHIVE} bytes: {0}")]
    Archive(String),
    /// Too long.
    #[error("{file}: expected at most {most} bytes, found {found}")]
    TooLong {
        /// Which.
        file: String,
        /// How long it may be.
        most: usize,
        /// How long it is.
        found: usize,
    },
    /// A leaf without a proof, or the other way round.
    #[error("leaf {leaf}: expected {missing}, found none")]
    Missing {
        /// Which leaf.
        leaf: u64,
        /// What is not there.
        missing: &'static str,
    },
    /// A key cannot be read.
    #[error("keys, line {line}: {reason}")]
    Key {
        /// Which line, from 1.
        line: usize,
        /// Why not.
        reason: String,
    },
    /// A proof that is not one.
    #[error("leaf {leaf}: {error}")]
    Proof {
        /// Which leaf.
        leaf: u64,
        /// What is wrong.
        #[source]
        error: LeafProofError,
    },
    /// A proof under the number of another leaf.
    #[error("leaf {leaf}: expected its proof, found that of leaf {found}")]
    OtherLeaf {
        /// Which leaf.
        leaf: u64,
        /// Whose proof it is.
        found: u64,
    },
    /// Something shown that the log did not commit to.
    #[error("leaf {leaf}: {error}")]
    Shown {
        /// Which leaf.
        leaf: u64,
        /// What is wrong.
        #[source]
        error: ShownError,
    },
}

impl Bundle {
    /// Adds a leaf with its proof.
    ///
    /// # Errors
    /// [`TreeError`] for no such leaf, and for tiles that are not those of the root.
    pub fn add<S: Source>(
        &mut self,
        tree: &Tree<'_, S>,
        checkpoint: &Note,
        index: u64,
        leaf: Vec<u8>,
        shown: Vec<Shown>,
    ) -> Result<(), TreeError<S::Error>> {
        let proof = LeafProof::new(tree, checkpoint.clone(), index)?;
        self.exhibits.insert(index, Exhibit { leaf, proof, shown });
        Ok(())
    }

    /// Names and bytes of its files.
    pub fn files(&self) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
        let exhibits = self.exhibits.iter().flat_map(|(index, exhibit)| {
            let shown = (!exhibit.shown.is_empty())
                .then(|| (format!("{index}.openings"), Shown::to_lines(&exhibit.shown)));
            let leaf = (format!("{index}.json"), exhibit.leaf.clone());
            let proof = (format!("{index}.tlog-proof"), exhibit.proof.to_string().into_bytes());
            [leaf, proof].into_iter().chain(shown)
        });
        std::iter::once(("keys".to_owned(), keys_file(&self.keys))).chain(exhibits)
    }

    /// Reads the files of a bundle.
    ///
    /// # Errors
    /// [`BundleError`] naming the leaf or the file.
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, BundleError> {
        let mut keys = Vec::new();
        let (mut leaves, mut proofs, mut shown) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (count, (name, bytes)) in files.into_iter().enumerate() {
            if count == MAX_FILES {
                return Err(BundleError::TooMany);
            }
            let (file, most) = File::named(&name).ok_or_else(|| BundleError::File(shortened(&name)))?;
            if bytes.len() > most {
                return Err(BundleError::TooLong { file: name, most, found: bytes.len() });
            }
            match file {
                File::Keys => keys = read_keys(&bytes)?,
                File::Leaf(leaf) => drop(leaves.insert(leaf, bytes)),
                File::Proof(leaf) => {
                    let proof = LeafProof::from_bytes(&bytes);
                    proofs.insert(leaf, proof.map_err(|error| BundleError::Proof { leaf, error })?);
                }
                File::Openings(leaf) => {
                    let lines = Shown::from_lines(&bytes);
                    shown.insert(leaf, lines.map_err(|error| BundleError::Shown { leaf, error })?);
                }
            }
        }
        let mut exhibits = BTreeMap::new();
        for (index, leaf) in leaves {
            let missing = BundleError::Missing { leaf: index, missing: "a proof" };
            let proof = proofs.remove(&index).ok_or(missing)?;
            let shown = shown.remove(&index).unwrap_or_default();
            exhibits.insert(index, Exhibit { leaf, proof, shown });
        }
        match proofs.keys().chain(shown.keys()).next() {
            Some(leaf) => Err(BundleError::Missing { leaf: *leaf, missing: "the leaf itself" }),
            None => Ok(Self { keys, exhibits }),
        }
    }

    /// Checks every leaf, every proof and everything that is shown. A leaf that is proved but newer than this program
    /// comes with why it cannot be read.
    ///
    /// # Errors
    /// [`BundleError`] naming the first leaf that is not proved.
    pub fn verify(&self, trust: &Trust) -> Result<Vec<Proved>, BundleError> {
        let mut proved = Vec::new();
        for (&leaf, exhibit) in &self.exhibits {
            if exhibit.proof.index != leaf {
                return Err(BundleError::OtherLeaf { leaf, found: exhibit.proof.index });
            }
            let checked = exhibit.proof.check(&exhibit.leaf, trust);
            let witnessed = checked.map_err(|error| BundleError::Proof { leaf, error })?;
            for shown in &exhibit.shown {
                let other = if shown.leaf == leaf { Ok(()) } else { Err(ShownError::NoSuchLeaf(shown.leaf)) };
                let checked = other.and_then(|()| shown.check(&exhibit.leaf));
                checked.map_err(|error| BundleError::Shown { leaf, error })?;
            }
            let decision = Decision::from_bytes(&exhibit.leaf);
            proved.push(Proved { index: leaf, decision, witnessed });
        }
        Ok(proved)
    }
}

/// A file of a bundle.
pub(crate) enum File {
    Keys,
    Leaf(u64),
    Proof(u64),
    Openings(u64),
}

impl File {
    /// What a name stands for, and how long it may be.
    pub(crate) fn named(name: &str) -> Option<(Self, usize)> {
        if name == "keys" {
            return Some((Self::Keys, MAX_KEYS));
        }
        let (digits, kind) = name.split_once('.')?;
        let leaf = number(digits)?;
        match kind {
            "json" => Some((Self::Leaf(leaf), MAX_LEAF)),
            "tlog-proof" => Some((Self::Proof(leaf), MAX_TEXT)),
            "openings" => Some((Self::Openings(leaf), MAX_OPENINGS)),
            _ => None,
        }
    }
}

/// Reads `keys`: a verifier key a line.
///
/// # Errors
/// [`BundleError::Key`] naming the line.
pub fn read_keys(bytes: &[u8]) -> Result<Vec<VerifierKey>, BundleError> {
    let text = String::from_utf8_lossy(bytes);
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    let read = |(line, key): (usize, &str)| {
        key.parse().map_err(|error: crate::KeyError| BundleError::Key { line, reason: error.to_string() })
    };
    lines.map(read).collect()
}
