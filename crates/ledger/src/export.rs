//! A whole log as a folder.
//!
//! Guarantees: the folder is exactly what C2SP tlog-tiles serves (`checkpoint`, `tile/…`, `tile/entries/…`), with
//! `keys` and `openings/…` beside it, so that whatever reads such logs reads it; it is complete for the size that its
//! checkpoint says, however the log grows meanwhile. Files are the caller's: here are places and bytes.

use crate::{
    Checkpoint, CheckpointError, Leaves, Note, Place, ResourceError, Source, TreeError,
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
}

/// All files of a log, for the size that its checkpoint says when this is called.
///
/// # Errors
/// [`ExportError`] where there is no checkpoint; each file may fail by itself.
pub fn export<S: Source>(
    source: &S,
) -> Result<impl Iterator<Item = Resource<S::Error>> + '_, ExportError<S::Error>> {
    let bytes = read(source, Place::Checkpoint)?.ok_or(TreeError::Missing(Place::Checkpoint))?;
    let note = Note::from_bytes(&bytes).map_err(CheckpointError::Note)?;
    let size = note.text().parse::<Checkpoint>()?.head.size;
    let tree = Place::of_tree(size).map(|place| Ok((place, tree_resource(source, place)?)));
    let openings = Place::entries_of_tree(size).filter_map(|place| {
        let Place::Entries { index, .. } = place else { return None };
        optional(source, Place::Openings { index })
    });
    let first = std::iter::once(Ok((Place::Checkpoint, bytes))).chain(optional(source, Place::Keys));
    Ok(first.chain(tree).chain(openings))
}

fn read<S: Source>(source: &S, place: Place) -> Result<Option<Vec<u8>>, TreeError<S::Error>> {
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
