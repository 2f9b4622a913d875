//! Every decision in an append-only, witnessed Merkle log that can be verified without Bastide.
//!
//! Guarantees: no IO, no clock, no randomness; keys, salts, moments and bytes come from the caller. What this crate
//! writes is what C2SP lays down (tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature, tlog-witness,
//! tlog-proof), so that other people's programs verify it; FORMAT.md has the one thing that is ours, the leaf. What
//! it reads it reads bounded, and never panics on.

mod archive;
mod bundle;
mod check;
mod checkpoint;
mod commitment;
mod deed;
mod export;
mod frontier;
mod gather;
mod hash;
mod key;
mod leaf;
mod note;
mod place;
mod proof;
mod shown;
mod tree;
mod verify;
pub mod witness;

pub use archive::MAX_ARCHIVE;
pub use bundle::{Bundle, BundleError, Exhibit, MAX_FILES, Proved, keys_file, read_keys};
pub use check::{MAX_PROOF, ProofError, check_consistency, check_inclusion};
pub use checkpoint::{Checkpoint, CheckpointError, Head, MAX_EXTENSIONS, Trust, Witnessed, origin};
pub use commitment::{Commitment, MAX_VALUE, Opening, Salt, ValueTooLong};
pub use deed::Deed;
pub use export::{ExportError, Resource, export};
pub use frontier::Frontier;
pub use gather::about;
pub use hash::{Hash, HashError};
pub use key::{Algorithm, KeyError, LogKey, VerifierKey, WitnessKey, new_private_key};
pub use leaf::{Decision, LeafError, MAX_LEAF, MAX_SUBJECTS, Subject, VERSION, Who};
pub use note::{MAX_NAME, MAX_NOTE, MAX_SIGNATURES, Note, NoteError, Signature};
pub use place::{Leaves, MAX_SIZE, Place, PlaceError, ResourceError, Source, TILE_WIDTH, entry_bundle};
pub use proof::{LeafProof, LeafProofError};
pub use shown::{MAX_OPENINGS, Part, Shown, ShownError};
pub use tree::{Tree, TreeError};
pub use verify::{Fault, Remembered, Verified, verify};
pub use witness::{Accepted, judge};

/// The beginning of a text that did not fit, for an error.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
