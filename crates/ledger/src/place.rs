//! Where everything of a log is: the paths of C2SP tlog-tiles, and whoever can read what is there.
//!
//! Guarantees: a path has one [`Place`] and a place one path. Tiles have height 8. Beside what the standard lays down
//! stand `keys` (the verifier keys, one a line; whether they are to be trusted has to be learnt elsewhere),
//! `witnessed` (the latest checkpoint that witnesses cosigned) and `openings/<N>` (what may be shown of the leaves of
//! bundle `<N>`).

use crate::{Hash, MAX_LEAF, MAX_NOTE, MAX_OPENINGS, Shown, ShownError, shortened};
use std::{collections::BTreeMap, convert::Infallible, fmt, str::FromStr};

/// How many hashes or leaves a full tile has.
pub const TILE_WIDTH: u64 = 256;

/// The largest tree that is worked with, in leaves. A decision a microsecond fills it in nine years.
pub const MAX_SIZE: u64 = 1 << 48;

/// The longest file of verifier keys, in bytes.
pub(crate) const MAX_KEYS: usize = 64 * 1024;

/// One resource of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The signed checkpoint.
    Checkpoint,
    /// The verifier keys of the log and its witnesses.
    Keys,
    /// The latest checkpoint that witnesses cosigned; may be older than the checkpoint.
    Witnessed,
    /// Hashes: 32 bytes each.
    Tile {
        /// The level: 0 has the hashes of leaves.
        level: u8,
        /// Which of the level.
        index: u64,
        /// How many hashes, 1 to 256.
        width: u16,
    },
    /// Leaves: each after its length in two bytes, big-endian.
    Entries {
        /// Which bundle; leaf `n` is in bundle `n / 256`.
        index: u64,
        /// How many leaves, 1 to 256.
        width: u16,
    },
    /// What may be shown of the leaves of a bundle: a line of JSON for each [`crate::Shown`].
    Openings {
        /// Which bundle.
        index: u64,
    },
}

/// What was not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a path such as checkpoint, tile/0/x001/234.p/5 or tile/entries/000, found {0:?}")]
pub struct PlaceError(String);

/// Whoever can read the resources of one log: a folder, a database, another node.
pub trait Source {
    /// How reading goes wrong.
    type Error: std::error::Error + 'static;

    /// The bytes at a place; `None` where there is nothing. What was asked for by a width has exactly that width;
    /// where only the full tile or bundle is kept, `None` is answered, and the full one is asked for.
    ///
    /// # Errors
    /// Where it cannot be said what is there.
    fn read(&self, place: Place) -> Result<Option<Vec<u8>>, Self::Error>;

    /// What is shown of the leaves of a bundle: what lies at [`Place::Openings`], read. Who keeps them otherwise than in lines
    /// says so here, and saves writing and reading them.
    ///
    /// # Errors
    /// Where it cannot be said what is there; within, what is wrong with what is there.
    fn openings(&self, index: u64) -> Result<Result<Vec<Shown>, ShownError>, Self::Error> {
        let bytes = self.read(Place::Openings { index })?;
        Ok(bytes.map_or(Ok(Vec::new()), |bytes| Shown::from_lines(&bytes)))
    }
}

impl Source for BTreeMap<Place, Vec<u8>> {
    type Error = Infallible;

    fn read(&self, place: Place) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.get(&place).cloned())
    }
}

impl Place {
    /// All hashes and leaves of a tree of that size: what a checkpoint of it obliges the log to have.
    pub fn of_tree(size: u64) -> impl Iterator<Item = Self> {
        Self::entries_of_tree(size).chain(Self::hashes_of_tree(size))
    }

    /// The bundle of a leaf in a tree of that size.
    #[must_use]
    pub fn entries_with(leaf: u64, size: u64) -> Self {
        let index = leaf / TILE_WIDTH;
        let width = size.saturating_sub(index * TILE_WIDTH).clamp(1, TILE_WIDTH) as u16;
        Self::Entries { index, width }
    }

    /// All bundles of leaves of a tree of that size.
    pub fn entries_of_tree(size: u64) -> impl DoubleEndedIterator<Item = Self> {
        widths(size).map(|(index, width)| Self::Entries { index, width })
    }

    /// All tiles of hashes of a tree of that size.
    pub fn hashes_of_tree(size: u64) -> impl Iterator<Item = Self> {
        levels(size).flat_map(|(level, hashes)| {
            widths(hashes).map(move |(index, width)| Self::Tile { level, index, width })
        })
    }

    /// The partial tiles at the right edge of a tree of that size, lowest first: what the tree can be continued from.
    pub fn edge_of_tree(size: u64) -> impl Iterator<Item = Self> {
        levels(size).filter_map(|(level, hashes)| {
            let width = (hashes % TILE_WIDTH) as u16;
            (width > 0).then_some(Self::Tile { level, index: hashes / TILE_WIDTH, width })
        })
    }

    /// How many bytes may be there: whoever reads for a [`Source`] need not read on.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Checkpoint | Self::Witnessed => MAX_NOTE,
            Self::Keys => MAX_KEYS,
            Self::Tile { width, .. } => width as usize * Hash::BYTES,
            Self::Entries { width, .. } => width as usize * (2 + MAX_LEAF),
            Self::Openings { .. } => MAX_OPENINGS,
        }
    }

    /// The same place when it will be full; itself where it is or has no width.
    #[must_use]
    pub const fn full(self) -> Self {
        match self {
            Self::Tile { level, index, .. } => Self::Tile { level, index, width: TILE_WIDTH as u16 },
            Self::Entries { index, .. } => Self::Entries { index, width: TILE_WIDTH as u16 },
            other => other,
        }
    }
}

/// The levels of tiles of a tree of that size, and how many hashes each has.
fn levels(size: u64) -> impl Iterator<Item = (u8, u64)> {
    (0_u8..8).map(move |level| (level, size >> (8 * u32::from(level)))).take_while(|(_, hashes)| *hashes > 0)
}

/// The indexes and widths of the tiles that so many hashes make.
fn widths(hashes: u64) -> impl DoubleEndedIterator<Item = (u64, u16)> {
    (0..hashes.div_ceil(TILE_WIDTH))
        .map(move |index| (index, hashes.saturating_sub(index * TILE_WIDTH).min(TILE_WIDTH) as u16))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Keys => f.write_str("keys"),
            Self::Witnessed => f.write_str("witnessed"),
            Self::Tile { level, index, width } => {
                write!(f, "tile/{level}/")?;
                write_index(f, index)?;
                write_width(f, width)
            }
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                write_index(f, index)?;
                write_width(f, width)
            }
            Self::Openings { index } => {
                f.write_str("openings/")?;
                write_index(f, index)
            }
        }
    }
}

fn write_index(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let digits = format!("{index:03}");
    // Threes from the right; the first may need zeros.
    let digits = format!("{}{digits}", "0".repeat((3 - digits.len() % 3) % 3));
    let mut rest = digits.as_str();
    while let Some((three, more)) = rest.split_at_checked(3).filter(|(_, more)| !more.is_empty()) {
        write!(f, "x{three}/")?;
        rest = more;
    }
    f.write_str(rest)
}

fn write_width(f: &mut fmt::Formatter<'_>, width: u16) -> fmt::Result {
    if u64::from(width) == TILE_WIDTH { Ok(()) } else { write!(f, ".p/{width}") }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(path: &str) -> Result<Self, PlaceError> {
        // Whatever is read is written again: only the one path of a place is taken.
        let place = if path.len() <= 64 { read_place(path) } else { None };
        place.filter(|place| place.to_string() == path).ok_or_else(|| PlaceError(shortened(path)))
    }
}

fn read_place(path: &str) -> Option<Place> {
    match path {
        "checkpoint" => return Some(Place::Checkpoint),
        "keys" => return Some(Place::Keys),
        "witnessed" => return Some(Place::Witnessed),
        _ => {}
    }
    if let Some(index) = path.strip_prefix("openings/") {
        return Some(Place::Openings { index: read_index(index)? });
    }
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok().filter(|width| (1..256).contains(width))?),
        None => (rest, TILE_WIDTH as u16),
    };
    let index = read_index(index)?;
    if level == "entries" {
        return Some(Place::Entries { index, width });
    }
    Some(Place::Tile { level: level.parse().ok().filter(|level| *level < 64)?, index, width })
}

fn read_index(text: &str) -> Option<u64> {
    text.split('/').try_fold(0_u64, |index, three| {
        let three: u64 = three.strip_prefix('x').unwrap_or(three).parse().ok()?;
        index.checked_mul(1_000)?.checked_add(three)
    })
}

/// What is wrong with a resource that was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// A tile of another length.
    #[error("{place}: expected {expected} bytes, found {found}")]
    TileLength {
        /// Which.
        place: Place,
        /// How long it has to be.
        expected: usize,
        /// How long it is.
        found: usize,
    },
    /// A bundle that ends inside a leaf.
    #[error("{place}: expected {expected} bytes of leaf {leaf} at byte {offset}, found {found}")]
    LeafCut {
        /// Which bundle.
        place: Place,
        /// Which leaf of the log.
        leaf: u64,
        /// Where it begins.
        offset: usize,
        /// How long it has to be.
        expected: usize,
        /// How much is there.
        found: usize,
    },
    /// A bundle of more or fewer leaves.
    #[error("{place}: expected {expected} leaves, found {found}")]
    LeafCount {
        /// Which bundle.
        place: Place,
        /// How many leaves it has to have.
        expected: usize,
        /// How many it has; one too many stands for all that follow.
        found: usize,
    },
}

impl ResourceError {
    /// Which resource.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self {
            Self::TileLength { place, .. } | Self::LeafCut { place, .. } | Self::LeafCount { place, .. } => {
                *place
            }
        }
    }
}

/// Reads a tile; a log that has the full tile need not keep the partial one.
pub(crate) fn read_tile<S: Source>(
    source: &S,
    place: Place,
    width: u16,
) -> Result<Option<Result<Vec<u8>, ResourceError>>, S::Error> {
    let expected = usize::from(width) * Hash::BYTES;
    if let Some(bytes) = source.read(place)? {
        let found = bytes.len();
        return Ok(Some(if found == expected {
            Ok(bytes)
        } else {
            Err(ResourceError::TileLength { place, expected, found })
        }));
    }
    let full = place.full();
    if full == place {
        return Ok(None);
    }
    Ok(source.read(full)?.map(|mut bytes| {
        let (found, expected_full) = (bytes.len(), TILE_WIDTH as usize * Hash::BYTES);
        if found == expected_full {
            bytes.truncate(expected);
            Ok(bytes)
        } else {
            Err(ResourceError::TileLength { place: full, expected: expected_full, found })
        }
    }))
}

/// The leaves as they stand in a bundle.
///
/// # Errors
/// [`crate::LeafError::TooLong`] for a leaf of more than [`crate::MAX_LEAF`] bytes.
pub fn entry_bundle<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, crate::LeafError> {
    let mut out = Vec::new();
    for leaf in leaves {
        let length = u16::try_from(leaf.len()).map_err(|_| crate::LeafError::TooLong(leaf.len()))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(leaf);
    }
    Ok(out)
}

/// The leaves of a bundle, one after the other. `place` is that of the bundle, for the errors.
#[derive(Clone, Debug)]
pub struct Leaves<'a> {
    place: Place,
    next: u64,
    offset: usize,
    rest: &'a [u8],
}

impl<'a> Leaves<'a> {
    /// Of the bytes at a place.
    #[must_use]
    pub const fn new(place: Place, bytes: &'a [u8]) -> Self {
        let first = match place {
            Place::Entries { index, .. } => index.saturating_mul(TILE_WIDTH),
            _ => 0,
        };
        Self { place, next: first, offset: 0, rest: bytes }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ResourceError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ResourceError::LeafCut {
            place: self.place,
            leaf: self.next,
            offset: self.offset,
            expected: length,
            found: self.rest.len(),
        })?;
        self.rest = rest;
        self.offset += length;
        Ok(taken)
    }
}

impl<'a> Iterator for Leaves<'a> {
    type Item = Result<&'a [u8], ResourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let length =
            self.take(2).map(|length| length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
        let leaf = length.and_then(|length| self.take(length));
        match leaf {
            Ok(_) => self.next = self.next.saturating_add(1),
            Err(_) => self.rest = &[],
        }
        Some(leaf)
    }
}

/// Reads a bundle; a log that has the full bundle need not keep the partial one. What is read says where it was
/// found.
pub(crate) fn read_bundle<S: Source>(source: &S, place: Place) -> Result<Option<(Place, Vec<u8>)>, S::Error> {
    let full = place.full();
    match source.read(place)? {
        Some(bytes) => Ok(Some((place, bytes))),
        None if full == place => Ok(None),
        None => Ok(source.read(full)?.map(|bytes| (full, bytes))),
    }
}
