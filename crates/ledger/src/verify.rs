//! Verification of a whole log: every leaf, every tile, the checkpoint, and whatever anybody remembers of it.
//!
//! Guarantees: [`verify`] says that all is well only where the leaves, taken one by one, give every tile and the root
//! that a trusted key signed, and continue every remembered head. What is wrong is named: a changed leaf by its
//! number, where the authentic tiles prove it; a cut-off tail by its sizes; a fork and a rewound checkpoint by the
//! head that contradicts them and by who remembers it. It holds one bundle of leaves at a time and one tile a level.
//!
//! Without a remembered or a witnessed head nobody can tell a log from one that its own key signed instead: that is
//! what remembering and witnesses are for.

use crate::{
    CheckpointError, Decision, Frontier, Hash, Head, LeafError, Leaves, Note, Place, ResourceError,
    ShownError, Source, TILE_WIDTH, Tree, Trust, Witnessed,
    place::{read_bundle, read_tile},
};

/// A head of the log that somebody saw: an earlier verification, another node, a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What was seen.
    pub head: Head,
    /// By whom, for the message.
    pub by: String,
}

/// What a verification found to be well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The checkpoint, and who witnessed it.
    pub witnessed: Witnessed,
    /// How many leaves are whole but not decisions that this program can read: of a newer form, or a newer deed.
    pub unread: u64,
    /// The first of them and why.
    pub first_unread: Option<(u64, LeafError)>,
    /// How many openings were shown, and open what they say.
    pub shown: u64,
    /// How many remembered heads the log continues.
    pub remembered: usize,
}

/// What is wrong with a log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault<E: std::error::Error + 'static> {
    /// Reading failed.
    #[error("{place} cannot be read")]
    Source {
        /// What was read.
        place: Place,
        /// Why it cannot be.
        #[source]
        source: E,
    },
    /// There is no checkpoint.
    #[error("expected a checkpoint, found none")]
    NoCheckpoint,
    /// The checkpoint cannot be believed.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[source] CheckpointError),
    /// A leaf is not the one that was signed; the tiles are, and prove it.
    #[error("leaf {index} ({place}) was changed: its hash is {found}, the log signed {expected}")]
    ChangedLeaf {
        /// The bundle that it is in.
        place: Place,
        /// Which.
        index: u64,
        /// The hash that was signed.
        expected: Hash,
        /// The hash it has.
        found: Hash,
    },
    /// A tile is not the one that was signed; the leaves are.
    #[error("{place} was changed at hash {at}; the leaves are those that were signed")]
    ChangedTile {
        /// Which.
        place: Place,
        /// Which of its hashes.
        at: u64,
    },
    /// Leaves and tiles were changed together, but not what was signed.
    #[error(
        "the {size} leaves give the root {found}, the log signed {expected}: leaves were changed{}",
        .first.map(|leaf| format!(", the first seems to be leaf {leaf} ({})", Place::entries_with(leaf, *size)))
            .unwrap_or_default()
    )]
    Rewritten {
        /// The size that was signed.
        size: u64,
        /// The root that was signed.
        expected: Hash,
        /// The root that the leaves give.
        found: Hash,
        /// The first leaf that does not fit its tile, if there is one.
        first: Option<u64>,
    },
    /// The tail is missing.
    #[error("the tail was cut off: the log signed {expected} leaves, and {found} are there")]
    CutOff {
        /// How many were signed.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Something in the middle is missing.
    #[error("{0} is missing")]
    Missing(Place),
    /// A resource is not what it must be.
    #[error(transparent)]
    Resource(ResourceError),
    /// The log has two histories.
    #[error("the log forked: {by} saw root {expected} at {size} leaves, here it is {found}")]
    Fork {
        /// At which size.
        size: u64,
        /// Who remembers another root.
        by: String,
        /// The root that is remembered.
        expected: Hash,
        /// The root that is here.
        found: Hash,
    },
    /// The log was put back to an earlier state.
    #[error("the log was rewound: {by} saw {remembered} leaves, its checkpoint now says {found}")]
    Rewound {
        /// Who remembers more.
        by: String,
        /// How many leaves are remembered.
        remembered: u64,
        /// How many the checkpoint says.
        found: u64,
    },
    /// What is shown is not what the log committed to.
    #[error("{place}: {error}")]
    Shown {
        /// Where it is shown.
        place: Place,
        /// What is wrong.
        #[source]
        error: ShownError,
    },
}

impl<E: std::error::Error + 'static> Fault<E> {
    /// The first leaf that is wrong, where that is known.
    #[must_use]
    pub const fn leaf(&self) -> Option<u64> {
        match self {
            Self::ChangedLeaf { index, .. } => Some(*index),
            Self::Rewritten { first, .. } => *first,
            // The first that is not there any more.
            Self::CutOff { found, .. } => Some(*found),
            _ => None,
        }
    }

    /// The resource that is wrong, where it is one.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Source { place, .. }
            | Self::ChangedLeaf { place, .. }
            | Self::ChangedTile { place, .. }
            | Self::Missing(place)
            | Self::Shown { place, .. } => Some(*place),
            Self::NoCheckpoint | Self::Checkpoint(_) | Self::Rewound { .. } => Some(Place::Checkpoint),
            Self::Rewritten { size, first, .. } => first.map(|leaf| Place::entries_with(leaf, *size)),
            Self::CutOff { expected, found } => Some(Place::entries_with(*found, *expected)),
            Self::Resource(error) => Some(error.place()),
            Self::Fork { .. } => None,
        }
    }

    /// One word for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Source { .. } => "unreadable",
            Self::NoCheckpoint => "no-checkpoint",
            Self::Checkpoint(_) => "checkpoint",
            Self::ChangedLeaf { .. } => "changed-leaf",
            Self::ChangedTile { .. } => "changed-tile",
            Self::Rewritten { .. } => "rewritten",
            Self::CutOff { .. } => "cut-off",
            Self::Missing(_) => "missing",
            Self::Resource(_) => "malformed",
            Self::Fork { .. } => "fork",
            Self::Rewound { .. } => "rewound",
            Self::Shown { .. } => "opening",
        }
    }
}

/// Verifies a whole log. `remembered` may be in any order; a head that a witness cosigned belongs there, too.
///
/// # Errors
/// The first [`Fault`].
pub fn verify<S: Source>(
    source: &S,
    trust: &Trust,
    remembered: &[Remembered],
) -> Result<Verified, Fault<S::Error>> {
    let place = Place::Checkpoint;
    let bytes = source.read(place).map_err(|source| Fault::Source { place, source })?;
    let note = Note::from_bytes(&bytes.ok_or(Fault::NoCheckpoint)?);
    let note = note.map_err(|error| Fault::Checkpoint(error.into()))?;
    let witnessed = trust.open(&note).map_err(Fault::Checkpoint)?;
    let head = witnessed.checkpoint.head;
    let mut earlier: Vec<&Remembered> = remembered.iter().collect();
    earlier.sort_by_key(|seen| seen.head.size);
    if let Some(seen) = earlier.last().filter(|seen| seen.head.size > head.size) {
        let (by, remembered) = (seen.by.clone(), seen.head.size);
        return Err(Fault::Rewound { by, remembered, found: head.size });
    }
    let mut pass = Pass {
        source,
        head,
        earlier: &earlier,
        frontier: Frontier::new(),
        suspect: None,
        fork: None,
        unread: 0,
        first_unread: None,
        shown: 0,
    };
    pass.remember();
    for place in Place::entries_of_tree(head.size) {
        pass.bundle(place)?;
    }
    pass.finish()?;
    let Pass { unread, first_unread, shown, .. } = pass;
    Ok(Verified { witnessed, unread, first_unread, shown, remembered: remembered.len() })
}

/// One way through the leaves.
struct Pass<'a, S: Source> {
    source: &'a S,
    head: Head,
    /// Remembered heads that were not reached yet, smallest first.
    earlier: &'a [&'a Remembered],
    frontier: Frontier,
    /// The first tile that the leaves do not give, and at which hash.
    suspect: Option<(Place, u64)>,
    fork: Option<Fault<S::Error>>,
    unread: u64,
    first_unread: Option<(u64, LeafError)>,
    shown: u64,
}

impl<S: Source> Pass<'_, S> {
    fn bundle(&mut self, place: Place) -> Result<(), Fault<S::Error>> {
        let Place::Entries { index, width } = place else { return Ok(()) };
        let read = read_bundle(self.source, place).map_err(|source| Fault::Source { place, source })?;
        let Some((found_at, bytes)) = read else { return Err(self.cut_off(place)?) };
        let (first, width) = (self.frontier.size(), usize::from(width));
        let mut leaves = Vec::with_capacity(width);
        let mut broken = None;
        for leaf in Leaves::new(found_at, &bytes) {
            match leaf {
                Ok(leaf) if leaves.len() < width => leaves.push(leaf),
                Ok(_) => {
                    // A full bundle has more than a partial one asks for.
                    let full = found_at != place;
                    let count = ResourceError::LeafCount { place, expected: width, found: width + 1 };
                    broken = (!full).then_some(count);
                    break;
                }
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        let decisions: Vec<_> = leaves.iter().map(|leaf| self.leaf(leaf)).collect();
        // A leaf that was changed in its length breaks those after it: the first that differs is named.
        self.tiles()?;
        if let Some(error) = broken {
            return Err(Fault::Resource(error));
        }
        if leaves.len() < width {
            return Err(self.cut_off(place)?);
        }
        self.openings(index, first, &decisions)
    }

    fn leaf(&mut self, leaf: &[u8]) -> Result<Decision, LeafError> {
        let index = self.frontier.size();
        let decision = Decision::from_bytes(leaf);
        if let Err(error) = &decision {
            self.unread += 1;
            self.first_unread.get_or_insert_with(|| (index, error.clone()));
        }
        self.frontier.append_hash(Hash::of_leaf(leaf));
        self.remember();
        decision
    }

    /// Compares with what is remembered of this size.
    fn remember(&mut self) {
        while let Some((seen, rest)) = self.earlier.split_first() {
            if seen.head.size != self.frontier.size() {
                return;
            }
            self.earlier = rest;
            let found = self.frontier.head().root;
            if found != seen.head.root && self.fork.is_none() {
                let (size, expected) = (seen.head.size, seen.head.root);
                self.fork = Some(Fault::Fork { size, by: seen.by.clone(), expected, found });
            }
        }
    }

    /// Compares the tiles that the leaves gave with those that are kept.
    fn tiles(&mut self) -> Result<(), Fault<S::Error>> {
        for (place, ours) in self.frontier.take_changed() {
            let Place::Tile { level, index, width } = place else { continue };
            let hashes = self.head.size >> (8 * u32::from(level));
            let whole = hashes.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH) as u16;
            // What will grow yet is compared when it has grown; but where the leaves end early, so do their hashes.
            if width != whole && level > 0 {
                continue;
            }
            let place = Place::Tile { level, index, width: whole };
            let kept =
                read_tile(self.source, place, whole).map_err(|source| Fault::Source { place, source })?;
            let kept = kept.ok_or(Fault::Missing(place))?.map_err(Fault::Resource)?;
            self.compare(place, &ours, &kept)?;
        }
        Ok(())
    }

    fn compare(&mut self, place: Place, ours: &[u8], kept: &[u8]) -> Result<(), Fault<S::Error>> {
        let pairs = ours.chunks_exact(Hash::BYTES).zip(kept.chunks_exact(Hash::BYTES));
        let Some((at, (ours, _))) = (0_u64..).zip(pairs).find(|(_, (ours, kept))| ours != kept) else {
            return Ok(());
        };
        if let Place::Tile { level: 0, index, .. } = place {
            // Leaf or tile? What the tiles can prove to be under the root that was signed is what was signed.
            let index = index * TILE_WIDTH + at;
            let signed = Tree::open(self.source, self.head).and_then(|tree| tree.leaf_hash(index));
            if let (Ok(expected), Ok(found)) = (signed, ours.try_into().map(Hash))
                && expected != found
            {
                let place = Place::entries_with(index, self.head.size);
                return Err(Fault::ChangedLeaf { place, index, expected, found });
            }
        }
        self.suspect.get_or_insert((place, at));
        Ok(())
    }

    fn openings(
        &mut self,
        index: u64,
        first: u64,
        decisions: &[Result<Decision, LeafError>],
    ) -> Result<(), Fault<S::Error>> {
        let place = Place::Openings { index };
        let shown = self.source.openings(index).map_err(|source| Fault::Source { place, source })?;
        let wrong = |error| Fault::Shown { place, error };
        for shown in shown.map_err(wrong)? {
            let at = shown.leaf.checked_sub(first).and_then(|at| usize::try_from(at).ok());
            let decision =
                at.and_then(|at| decisions.get(at)).ok_or(wrong(ShownError::NoSuchLeaf(shown.leaf)))?;
            shown.check_decision(decision.as_ref()).map_err(wrong)?;
            self.shown += 1;
        }
        Ok(())
    }

    /// What it means that a bundle is missing or short: nothing after it, or a hole.
    fn cut_off(&self, place: Place) -> Result<Fault<S::Error>, Fault<S::Error>> {
        if let Some(last) = Place::entries_of_tree(self.head.size).next_back().filter(|last| *last != place) {
            let read = read_bundle(self.source, last);
            if read.map_err(|source| Fault::Source { place: last, source })?.is_some() {
                return Ok(Fault::Missing(place));
            }
        }
        Ok(Fault::CutOff { expected: self.head.size, found: self.frontier.size() })
    }

    /// All leaves were read: do they give what was signed, and what is remembered?
    fn finish(&mut self) -> Result<(), Fault<S::Error>> {
        let Head { size, root } = self.head;
        let found = self.frontier.head().root;
        if found != root {
            let first = self.suspect.and_then(|(place, at)| match place {
                Place::Tile { level: 0, index, .. } => Some(index * TILE_WIDTH + at),
                _ => None,
            });
            return Err(Fault::Rewritten { size, expected: root, found, first });
        }
        if let Some((place, at)) = self.suspect {
            return Err(Fault::ChangedTile { place, at });
        }
        self.fork.take().map_or(Ok(()), Err)
    }
}
