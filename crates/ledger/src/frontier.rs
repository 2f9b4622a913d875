//! The right edge of a tree: what appending needs, and what it leaves to be kept.

use crate::{
    Hash, Head, LeafError, MAX_LEAF, MAX_SIZE, Place, Source, TreeError,
    place::{TILE_WIDTH, read_tile},
};

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
            let tile =
                read_tile(source, place, width).map_err(|source| TreeError::Source { place, source })?;
            let tile = tile.ok_or(TreeError::Missing(place))??;
            if let Some(edge) = frontier.edge.last_mut() {
                *edge = tile;
            }
        }
        if frontier.head() == head {
            Ok(frontier)
        } else {
            Err(TreeError::Root { size: head.size, root: head.root })
        }
    }

    /// The partial tile of a level; empty where there is none.
    pub(crate) fn edge(&self, level: u8) -> &[u8] {
        self.edge.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Appends a leaf and says which number it has, from 0.
    ///
    /// # Errors
    /// [`LeafError::TooLong`] for more than [`MAX_LEAF`] bytes.
    pub fn append(&mut self, leaf: &[u8]) -> Result<u64, LeafError> {
        if leaf.len() > MAX_LEAF {
            return Err(LeafError::TooLong(leaf.len()));
        }
        Ok(self.append_hash(Hash::of_leaf(leaf)))
    }

    /// Appends a leaf by its hash.
    pub(crate) fn append_hash(&mut self, hash: Hash) -> u64 {
        let index = self.size;
        self.size += 1;
        self.push(0, hash.0);
        index
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
            let above = Hash::of_subtree(&full);
            let index = (self.size >> (8 * (level + 1))).saturating_sub(1);
            let place = Place::Tile { level: level as u8, index, width: TILE_WIDTH as u16 };
            self.finished.push((place, full));
            self.push(level + 1, above.0);
        }
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> Head {
        // Whole subtrees stand at the edge, the smallest last: one for every bit of the size.
        let mut root: Option<Hash> = None;
        for tile in &self.edge {
            let mut rest = tile.as_slice();
            while !rest.is_empty() {
                let hashes = rest.len() / Hash::BYTES;
                let (before, subtree) = rest.split_at(rest.len() - (Hash::BYTES << hashes.trailing_zeros()));
                let left = Hash::of_subtree(subtree);
                root = Some(root.map_or(left, |right| Hash::of_node(left, right)));
                rest = before;
            }
        }
        Head { size: self.size, root: root.unwrap_or(Hash::EMPTY) }
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
