//! A whole log as a folder.
//!
//! Guarantees: the folder is exactly what C2SP tlog-tiles serves (`checkpoint`, `tile/…`, `tile/entries/…`), with
//! `keys`, `witnessed` and `openings/…` beside it, so that whatever reads such logs reads it; it is complete for the size that its
//! checkpoint says, however the log grows meanwhile. Files are the caller's: here are places and bytes.

use crate::{
    BundleError, Checkpoint, CheckpointError, Head, Leaves, Note, Place, ResourceError, ShownError, Source,
    TreeError,
    place::{entry_bundle, read_bundle, read_tile},
};

/// One file of the folder, or why there is none.
pub type Resource<E> = Result<(Place, Vec<u8>), TreeError<E>>;

/// Why a log cannot be exported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError<E: std::error::Error + 'static> {
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError<E>),
    /// The checkpoint cannot be.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The verifier keys cannot be.
    #[error(transparent)]
    Keys(#[from] BundleError),
    /// What may be shown cannot be read.
    #[error("{place}: {error}")]
    Shown {
        /// Where it is.
        place: Place,
        /// What is wrong.
        #[source]
        error: ShownError,
    },
    /// A leaf is not the one that was signed: nothing would prove it.
    #[error("leaf {leaf} ({place}) is not the one that was signed; verify the log")]
    Changed {
        /// Which.
        leaf: u64,
        /// The bundle that it is in.
        place: Place,
    },
}

/// All files of a log, for the size that its checkpoint says when this is called.
///
/// # Errors
/// [`ExportError`] where there is no checkpoint; each file may fail by itself.
pub fn export<S: Source>(
    source: &S,
) -> Result<impl Iterator<Item = Resource<S::Error>> + '_, ExportError<S::Error>> {
    let bytes = read(source, Place::Checkpoint)?.ok_or(TreeError::Missing(Place::Checkpoint))?;
    let (_, head) = read_checkpoint(&bytes)?;
    let size = head.size;
    let tree = Place::of_tree(size).map(|place| Ok((place, tree_resource(source, place)?)));
    let openings = Place::entries_of_tree(size).filter_map(|place| {
        let Place::Entries { index, .. } = place else { return None };
        optional(source, Place::Openings { index })
    });
    let beside = [Place::Keys, Place::Witnessed].into_iter().filter_map(|place| optional(source, place));
    // Last: a folder that was not written to its end has no checkpoint, and is no log.
    let last = std::iter::once(Ok((Place::Checkpoint, bytes)));
    Ok(tree.chain(openings).chain(beside).chain(last))
}

/// A checkpoint and what it says; whether it is to be believed is another question.
pub(crate) fn read_checkpoint(bytes: &[u8]) -> Result<(Note, Head), CheckpointError> {
    let note = Note::from_bytes(bytes)?;
    let head = note.text().parse::<Checkpoint>()?.head;
    Ok((note, head))
}

pub(crate) fn read<S: Source>(source: &S, place: Place) -> Result<Option<Vec<u8>>, TreeError<S::Error>> {
    source.read(place).map_err(|source| TreeError::Source { place, source })
}

fn optional<S: Source>(source: &S, place: Place) -> Option<Resource<S::Error>> {
    read(source, place).transpose().map(|read| read.map(|bytes| (place, bytes)))
}

/// A tile or a bundle of exactly its width, also where only the full one is kept.
fn tree_resource<S: Source>(source: &S, place: Place) -> Result<Vec<u8>, TreeError<S::Error>> {
    let failed = |source| TreeError::Source { place, source };
    match place {
        Place::Tile { width, .. } => {
            let tile = read_tile(source, place, width).map_err(failed)?;
            Ok(tile.ok_or(TreeError::Missing(place))??)
        }
        Place::Entries { width, .. } => {
            let (found_at, bytes) =
                read_bundle(source, place).map_err(failed)?.ok_or(TreeError::Missing(place))?;
            let leaves: Vec<&[u8]> =
                Leaves::new(found_at, &bytes).take(width.into()).collect::<Result<_, _>>()?;
            if leaves.len() < usize::from(width) {
                let (expected, found) = (width.into(), leaves.len());
                return Err(ResourceError::LeafCount { place, expected, found }.into());
            }
            // What was read had its lengths in two bytes.
            Ok(entry_bundle(leaves).unwrap_or_default())
        }
        other => read(source, other)?.ok_or(TreeError::Missing(other)),
    }
}
