//! The tree, read back through its tiles.
//!
//! Guarantees: what [`Tree`] gives was proved to belong to the root it was opened with, whoever holds the tiles: the
//! tiles at the right edge give the root, and each full tile is what the tile above it says. What cannot be proved is
//! an error that names the resource. At most one tile a level is held.
//!
//! Why this is ours: there are two crates for it. `tlog_tiles` 0.2 reads tiles, but (as Go's `sumdb/tlog` did until
//! CVE-2026-56865) leaves some of them unchecked against their parents, which our tests found; it also writes the
//! paths of Go's checksum database rather than those of C2SP, and asserts where it should answer. `ct-merkle` 0.3
//! knows no tiles, but is light and checks proofs without panicking: [`crate::check_inclusion`] and
//! [`crate::check_consistency`] are its. So proofs are made here, as RFC 6962 writes them down, and checked there;
//! the tests check them with `tlog_tiles`, too.

use crate::{
    Frontier, Hash, Head, MAX_SIZE, Place, ResourceError, Source,
    place::{TILE_WIDTH, read_tile},
};
use std::{cell::RefCell, collections::BTreeMap, ops::Range, rc::Rc};

/// What is wrong with a tree that is read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError<E: std::error::Error + 'static> {
    /// Reading failed.
    #[error("{place} cannot be read")]
    Source {
        /// What was read.
        place: Place,
        /// Why it cannot be.
        #[source]
        source: E,
    },
    /// A resource is not there.
    #[error("{0} is missing")]
    Missing(Place),
    /// A resource is not what it must be.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// The tiles are not those of the root.
    #[error("the tiles of the tree of {size} leaves do not give its root {root}")]
    Root {
        /// The size of the tree.
        size: u64,
        /// The root it has to have.
        root: Hash,
    },
    /// A tile is not the one that the tile above it, or the root, says.
    #[error("{0} is not the tile that was signed")]
    Changed(Place),
    /// Asked for what is not in the tree.
    #[error("expected a size or an index within the {size} leaves of the tree, found {found}")]
    OutOfTree {
        /// The size of the tree.
        size: u64,
        /// What was asked for.
        found: u64,
    },
    /// More leaves than are worked with.
    #[error("expected a tree of at most {MAX_SIZE} leaves, found {0}")]
    TooLarge(u64),
}

/// A full tile and its index.
type Kept = (u64, Rc<[u8]>);

/// A tree that somebody keeps, under the root that it has to have.
#[derive(Debug)]
pub struct Tree<'a, S> {
    source: &'a S,
    edge: Frontier,
    /// The last full tile of each level, checked.
    kept: RefCell<BTreeMap<u8, Kept>>,
}

impl<'a, S: Source> Tree<'a, S> {
    /// Over whatever keeps it. The head has to come from where it can be trusted.
    ///
    /// # Errors
    /// [`TreeError`] where the tiles at its edge do not give the root.
    pub fn open(source: &'a S, head: Head) -> Result<Self, TreeError<S::Error>> {
        Ok(Self { source, edge: Frontier::restore(source, head)?, kept: RefCell::default() })
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The hash of a leaf.
    ///
    /// # Errors
    /// [`TreeError`] for no such leaf, and for tiles that are not those of the root.
    pub fn leaf_hash(&self, index: u64) -> Result<Hash, TreeError<S::Error>> {
        self.fits(index, index < self.size())?;
        self.node(0, index)
    }

    /// The proof that a leaf is in the tree, from its sibling up: PATH of RFC 6962, section 2.1.1.
    ///
    /// # Errors
    /// [`TreeError`] for no such leaf, and for tiles that are not those of the root.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, TreeError<S::Error>> {
        self.fits(index, index < self.size())?;
        let (mut around, mut proof) = (0..self.size(), Vec::new());
        while around.end - around.start > 1 {
            let middle = split(&around);
            let (left, right) = (around.start..middle, middle..around.end);
            let (inside, sibling) = if index < middle { (left, right) } else { (right, left) };
            proof.push(self.range(sibling)?);
            around = inside;
        }
        proof.reverse();
        Ok(proof)
    }

    /// The proof that the tree continues the tree it was at an earlier size: PROOF of RFC 6962, section 2.1.2.
    ///
    /// # Errors
    /// [`TreeError`] for a larger size, and for tiles that are not those of the root.
    pub fn consistency(&self, old: u64) -> Result<Vec<Hash>, TreeError<S::Error>> {
        self.fits(old, old <= self.size())?;
        let (mut around, mut proof) = (0..self.size(), Vec::new());
        if old == 0 || old == around.end {
            return Ok(proof);
        }
        while around.end != old {
            let middle = split(&around);
            let (left, right) = (around.start..middle, middle..around.end);
            let (inside, sibling) = if old <= middle { (left, right) } else { (right, left) };
            proof.push(self.range(sibling)?);
            around = inside;
        }
        // The old root itself is known to whoever asks.
        if around.start > 0 {
            proof.push(self.range(around)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// The root that the tree had at an earlier size.
    ///
    /// # Errors
    /// [`TreeError`] for a larger size, and for tiles that are not those of the root.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeError<S::Error>> {
        self.fits(size, size <= self.size())?;
        if size == 0 { Ok(Hash::EMPTY) } else { self.range(0..size) }
    }

    const fn fits(&self, found: u64, fits: bool) -> Result<(), TreeError<S::Error>> {
        if fits { Ok(()) } else { Err(TreeError::OutOfTree { size: self.size(), found }) }
    }

    /// The hash of the leaves of a range that begins at a whole subtree: MTH of RFC 6962, section 2.1.
    fn range(&self, mut leaves: Range<u64>) -> Result<Hash, TreeError<S::Error>> {
        let mut lefts = Vec::new();
        loop {
            let count = leaves.end - leaves.start;
            if count.is_power_of_two() {
                let height = count.trailing_zeros();
                let last = self.node(height, leaves.start >> height)?;
                return Ok(lefts.into_iter().rev().fold(last, |right, left| Hash::of_node(left, right)));
            }
            let middle = split(&leaves);
            let height = (middle - leaves.start).trailing_zeros();
            lefts.push(self.node(height, leaves.start >> height)?);
            leaves.start = middle;
        }
    }

    /// The hash of a whole subtree: the n-th of 2^height leaves.
    fn node(&self, height: u32, n: u64) -> Result<Hash, TreeError<S::Error>> {
        let (level, within) = ((height / 8) as u8, height % 8);
        let first = n << within;
        let tile = self.tile(level, first / TILE_WIDTH)?;
        let from = (first % TILE_WIDTH) as usize * Hash::BYTES;
        let hashes = tile.get(from..from + (Hash::BYTES << within));
        let out = TreeError::OutOfTree { size: self.size(), found: n << height };
        hashes.map(Hash::of_subtree).ok_or(out)
    }

    /// A tile that is what the one above it says.
    fn tile(&self, level: u8, index: u64) -> Result<Rc<[u8]>, TreeError<S::Error>> {
        if index == self.size() >> (8 * (u32::from(level) + 1)) {
            return Ok(self.edge.edge(level).into());
        }
        if let Some((_, tile)) = self.kept.borrow().get(&level).filter(|(kept, _)| *kept == index) {
            return Ok(Rc::clone(tile));
        }
        let expected = self.node(8 * (u32::from(level) + 1), index)?;
        let place = Place::Tile { level, index, width: TILE_WIDTH as u16 };
        let tile = read_tile(self.source, place, TILE_WIDTH as u16)
            .map_err(|source| TreeError::Source { place, source })?
            .ok_or(TreeError::Missing(place))??;
        if Hash::of_subtree(&tile) != expected {
            return Err(TreeError::Changed(place));
        }
        let tile: Rc<[u8]> = tile.into();
        self.kept.borrow_mut().insert(level, (index, Rc::clone(&tile)));
        Ok(tile)
    }
}

/// Where RFC 6962 splits a range of two leaves or more: after the largest power of two that is smaller than it.
const fn split(leaves: &Range<u64>) -> u64 {
    let count = leaves.end - leaves.start;
    leaves.start + (1 << (count - 1).ilog2())
}
