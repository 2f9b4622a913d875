//! The checks of proofs, which whoever receives one makes.
//!
//! Guarantees: nothing is proved by a proof of another leaf, index, size or root. The checks are those of
//! `ct-merkle`; nothing reaches it that its assertions do not foresee.

use crate::{Hash, Head, MAX_SIZE};
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;

/// The most hashes that a proof may have.
pub const MAX_PROOF: usize = 63;

/// A proof does not prove what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// Longer than any proof is.
    #[error("expected a proof of at most {MAX_PROOF} hashes, found {0}")]
    TooLong(usize),
    /// Of a leaf or a tree that cannot be in the tree.
    #[error("expected something within the {size} leaves of the tree, found {found}")]
    OutOfTree {
        /// The size of the tree.
        size: u64,
        /// What it says to prove.
        found: u64,
    },
    /// The leaf is not in the tree at that place.
    #[error("the proof does not lead from leaf {index} to the root of the tree of {size} leaves")]
    Inclusion {
        /// Which leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The later tree does not continue the earlier one.
    #[error("the proof does not lead from the tree of {old} leaves to the tree of {size}")]
    Consistency {
        /// The size of the earlier tree.
        old: u64,
        /// The size of the later tree.
        size: u64,
    },
}

/// Checks that the tree has that leaf at that index.
///
/// # Errors
/// [`ProofError`] where that is not proved.
pub fn check_inclusion(proof: &[Hash], head: Head, index: u64, leaf: &[u8]) -> Result<(), ProofError> {
    let bytes = bounded(proof, head)?;
    if index >= head.size {
        return Err(ProofError::OutOfTree { size: head.size, found: index });
    }
    let read = InclusionProof::try_from_bytes(bytes);
    let checked = read.and_then(|proof| root(head).verify_inclusion(&leaf, index, &proof));
    checked.map_err(|_| ProofError::Inclusion { index, size: head.size })
}

/// Checks that the tree continues an earlier one.
///
/// # Errors
/// [`ProofError`] where that is not proved.
pub fn check_consistency(proof: &[Hash], head: Head, old: Head) -> Result<(), ProofError> {
    let bytes = bounded(proof, head)?;
    let unproved = ProofError::Consistency { old: old.size, size: head.size };
    if old.size > head.size {
        return Err(ProofError::OutOfTree { size: head.size, found: old.size });
    }
    if old.size == 0 {
        // Every tree continues the empty one, whose root is known to all.
        let fits = proof.is_empty() && old == Head::EMPTY && (head.size > 0 || head == Head::EMPTY);
        return if fits { Ok(()) } else { Err(unproved) };
    }
    let read = ConsistencyProof::try_from_bytes(bytes);
    let checked = read.and_then(|proof| root(head).verify_consistency(&root(old), &proof));
    checked.map_err(|_| unproved)
}

fn root(head: Head) -> RootHash<Sha256> {
    RootHash::new(head.root.0.into(), head.size)
}

/// The hashes one after the other, as the library takes them.
fn bounded(proof: &[Hash], head: Head) -> Result<Vec<u8>, ProofError> {
    if proof.len() > MAX_PROOF {
        return Err(ProofError::TooLong(proof.len()));
    }
    if head.size > MAX_SIZE {
        return Err(ProofError::OutOfTree { size: MAX_SIZE, found: head.size });
    }
    Ok(proof.iter().flat_map(|hash| hash.0).collect())
}
