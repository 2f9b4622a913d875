//! The tree: appended to from its right edge, read back through its tiles.
//!
//! Guarantees: what [`Tree`] gives was proved to belong to the root it was made with, whoever holds the tiles; what
//! cannot be proved is an error that names the resource. The arithmetic of RFC 6962 (which hashes make a root, an
//! inclusion proof, a consistency proof, and how they are checked) is that of `tlog_tiles`, Cloudflare's port of Go's
//! `sumdb/tlog` which its own logs run on; ours are the paths (the library writes those of Go's checksum database, which
//! have the height in them), the errors, and the bounds that its assertions rely on: no tree beyond [`MAX_SIZE`]
//! and no proof beyond [`MAX_PROOF`] hashes reaches it. Tests verify every proof with `ct-merkle`, which shares no code.

use crate::{
    Hash, Head, LeafError, MAX_LEAF, MAX_SIZE, Place, ResourceError, Source,
    place::{TILE_WIDTH, read_tile},
};
use std::cell::RefCell;
use tlog_tiles::{HashReader, Tile, TileHashReader, TileReader};

/// The most hashes that a proof may have.
pub const MAX_PROOF: usize = 63;

const TILE_BYTES: usize = TILE_WIDTH as usize * Hash::BYTES;

/// The right edge of a tree: all that is needed to append to it. At most 8 KiB a level, and a level for every eight
/// bits of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The partial tile of each level.
    edge: Vec<Vec<u8>>,
    /// Tiles that became full, not taken yet.
    finished: Vec<(Place, Vec<u8>)>,
    /// How many of the lowest levels changed since they were taken.
    touched: usize,
}

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

impl Frontier {
    /// Of a tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a tree that is kept, checked against its root.
    ///
    /// # Errors
    /// [`TreeError`] where its tiles are missing or do not give the root.
    pub fn restore<S: Source>(source: &S, head: Head) -> Result<Self, TreeError<S::Error>> {
        if head.size > MAX_SIZE {
            return Err(TreeError::TooLarge(head.size));
        }
        let mut frontier = Self { size: head.size, ..Self::default() };
        for place in Place::edge_of_tree(head.size) {
            let Place::Tile { level, width, .. } = place else { continue };
            frontier.edge.resize_with(usize::from(level) + 1, Vec::new);
            let tile = need_tile(source, place, width)?;
            if let Some(edge) = frontier.edge.last_mut() {
                *edge = tile;
            }
        }
        let restored = frontier.head();
        if restored == head {
            Ok(frontier)
        } else {
            Err(TreeError::Root { size: head.size, root: head.root })
        }
    }

    /// Appends a leaf and says which number it has, from 0.
    ///
    /// # Errors
    /// [`LeafError::TooLong`] for more than [`MAX_LEAF`] bytes.
    pub fn append(&mut self, leaf: &[u8]) -> Result<u64, LeafError> {
        if leaf.len() > MAX_LEAF {
            return Err(LeafError::TooLong(leaf.len()));
        }
        let index = self.size;
        self.size += 1;
        self.push(0, Hash::of_leaf(leaf).0);
        Ok(index)
    }

    fn push(&mut self, level: usize, hash: [u8; Hash::BYTES]) {
        if self.edge.len() <= level {
            self.edge.resize_with(level + 1, Vec::new);
        }
        self.touched = self.touched.max(level + 1);
        let Some(tile) = self.edge.get_mut(level) else { return };
        tile.extend_from_slice(&hash);
        if tile.len() == TILE_BYTES {
            let full = std::mem::take(tile);
            let above = Tile::subtree_hash(&full).0;
            let index = (self.size >> (8 * (level + 1))).saturating_sub(1);
            let place = Place::Tile { level: level as u8, index, width: TILE_WIDTH as u16 };
            self.finished.push((place, full));
            self.push(level + 1, above);
        }
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> Head {
        // The hashes that a root is made of are all at the right edge, so that nothing is missing here.
        let root = tlog_tiles::tree_hash(self.size, &Edge(self)).map_or(Hash::EMPTY, Hash::from);
        Head { size: self.size, root }
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What has to be kept since this was last asked: full tiles, each once, and the partial ones at the edge. A tile
    /// replaces the narrower ones of its level and index.
    pub fn take_changed(&mut self) -> Vec<(Place, Vec<u8>)> {
        let mut changed = std::mem::take(&mut self.finished);
        let touched = std::mem::take(&mut self.touched);
        for place in Place::edge_of_tree(self.size) {
            if let Place::Tile { level, .. } = place
                && usize::from(level) < touched
                && let Some(tile) = self.edge.get(usize::from(level))
            {
                changed.push((place, tile.clone()));
            }
        }
        changed
    }
}

/// The hashes that the right edge has.
struct Edge<'a>(&'a Frontier);

impl HashReader for Edge<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        indexes
            .iter()
            .map(|index| {
                let (height, n) = tlog_tiles::split_stored_hash_index(*index);
                let (level, within) = (height / 8, height % 8);
                let first = ((n << within) % TILE_WIDTH) as usize * Hash::BYTES;
                let tile = self.0.edge.get(usize::from(level));
                let hashes = tile.and_then(|tile| tile.get(first..first + (Hash::BYTES << within)));
                hashes.map(Tile::subtree_hash).ok_or(tlog_tiles::Error::IndexesNotInTree)
            })
            .collect()
    }
}

/// A tree that somebody keeps, and the root that it has to have.
#[derive(Debug)]
pub struct Tree<'a, S> {
    source: &'a S,
    head: Head,
}

impl<'a, S: Source> Tree<'a, S> {
    /// Over whatever keeps it. The head has to come from where it can be trusted.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`] beyond [`MAX_SIZE`].
    pub const fn new(source: &'a S, head: Head) -> Result<Self, TreeError<S::Error>> {
        if head.size > MAX_SIZE { Err(TreeError::TooLarge(head.size)) } else { Ok(Self { source, head }) }
    }

    /// The proof that a leaf is in the tree, from its sibling up.
    ///
    /// # Errors
    /// [`TreeError`] for no such leaf, and for tiles that are not those of the root.
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, TreeError<S::Error>> {
        if index >= self.head.size {
            return Err(TreeError::OutOfTree { size: self.head.size, found: index });
        }
        self.with(|reader| tlog_tiles::prove_record(self.head.size, index, reader)).map(hashes)
    }

    /// The proof that the tree continues the tree it was at an earlier size.
    ///
    /// # Errors
    /// [`TreeError`] for a larger size, and for tiles that are not those of the root.
    pub fn consistency(&self, old: u64) -> Result<Vec<Hash>, TreeError<S::Error>> {
        match old {
            0 => Ok(Vec::new()),
            old if old > self.head.size => Err(TreeError::OutOfTree { size: self.head.size, found: old }),
            old => self.with(|reader| tlog_tiles::prove_tree(self.head.size, old, reader)).map(hashes),
        }
    }

    /// The root that the tree had at an earlier size.
    ///
    /// # Errors
    /// [`TreeError`] for a larger size, and for tiles that are not those of the root.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeError<S::Error>> {
        if size > self.head.size {
            return Err(TreeError::OutOfTree { size: self.head.size, found: size });
        }
        self.with(|reader| tlog_tiles::tree_hash(size, reader)).map(Hash::from)
    }

    /// Runs what reads hashes; the library's errors are turned back into what happened.
    fn with<T>(
        &self,
        run: impl FnOnce(&TileHashReader<'_>) -> Result<T, tlog_tiles::Error>,
    ) -> Result<T, TreeError<S::Error>> {
        let tiles = Tiles { source: self.source, failed: RefCell::new(None) };
        let Head { size, root } = self.head;
        let result = run(&TileHashReader::new(size, root.into(), &tiles));
        result.map_err(|_| tiles.failed.into_inner().unwrap_or(TreeError::Root { size, root }))
    }
}

/// Our tiles as the library asks for them.
struct Tiles<'a, S: Source> {
    source: &'a S,
    failed: RefCell<Option<TreeError<S::Error>>>,
}

impl<S: Source> TileReader for Tiles<'_, S> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let width = tile.width() as u16;
            need_tile(
                self.source,
                Place::Tile { level: tile.level(), index: tile.level_index(), width },
                width,
            )
        };
        tiles.iter().map(read).collect::<Result<_, _>>().map_err(|error| {
            *self.failed.borrow_mut() = Some(error);
            tlog_tiles::Error::InvalidTile
        })
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

pub(crate) fn need_tile<S: Source>(
    source: &S,
    place: Place,
    width: u16,
) -> Result<Vec<u8>, TreeError<S::Error>> {
    let tile = read_tile(source, place, width).map_err(|error| TreeError::Source { place, source: error })?;
    Ok(tile.ok_or(TreeError::Missing(place))??)
}

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
pub fn check_inclusion(proof: &[Hash], head: Head, index: u64, leaf: Hash) -> Result<(), ProofError> {
    bounded(proof, head)?;
    if index >= head.size {
        return Err(ProofError::OutOfTree { size: head.size, found: index });
    }
    tlog_tiles::check_record(&library(proof), head.size, head.root.into(), index, leaf.into())
        .map_err(|_| ProofError::Inclusion { index, size: head.size })
}

/// Checks that the tree continues an earlier one.
///
/// # Errors
/// [`ProofError`] where that is not proved.
pub fn check_consistency(proof: &[Hash], head: Head, old: Head) -> Result<(), ProofError> {
    bounded(proof, head)?;
    let unproved = ProofError::Consistency { old: old.size, size: head.size };
    if old.size > head.size {
        return Err(ProofError::OutOfTree { size: head.size, found: old.size });
    }
    if old.size == 0 {
        // Every tree continues the empty one, whose root is known to all.
        let fits = proof.is_empty() && old == Head::EMPTY && (head.size > 0 || head == Head::EMPTY);
        return if fits { Ok(()) } else { Err(unproved) };
    }
    tlog_tiles::check_tree(&library(proof), head.size, head.root.into(), old.size, old.root.into())
        .map_err(|_| unproved)
}

const fn bounded(proof: &[Hash], head: Head) -> Result<(), ProofError> {
    if proof.len() > MAX_PROOF {
        return Err(ProofError::TooLong(proof.len()));
    }
    if head.size > MAX_SIZE {
        return Err(ProofError::OutOfTree { size: MAX_SIZE, found: head.size });
    }
    Ok(())
}

fn library(proof: &[Hash]) -> Vec<tlog_tiles::Hash> {
    proof.iter().map(|hash| (*hash).into()).collect()
}

fn hashes(proof: Vec<tlog_tiles::Hash>) -> Vec<Hash> {
    proof.into_iter().map(Hash::from).collect()
}
