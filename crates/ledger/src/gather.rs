//! The decisions about one thing, gathered from a whole log into a bundle.
//!
//! Guarantees: what is gathered is what was signed: a leaf that the tree does not prove is an error and not left out.
//! Each leaf is proved by the latest checkpoint that witnesses cosigned, where it is that old, else by the latest; so the
//! source has to have the tiles of both.

use crate::{
    Bundle, Decision, ExportError, Hash, Leaves, Note, Place, Shown, Source, Subject, Tree, TreeError,
    export::{read, read_checkpoint},
    place::read_bundle,
    read_keys,
};

/// The numbers of all leaves about a subject, smallest first. Reads the whole log: no index is believed.
///
/// # Errors
/// [`ExportError`] where the log cannot be read; what each leaf is, [`Bundle::gather`] proves.
pub fn about<S: Source>(source: &S, subject: &Subject) -> Result<Vec<u64>, ExportError<S::Error>> {
    let bytes = read(source, Place::Checkpoint)?.ok_or(TreeError::Missing(Place::Checkpoint))?;
    let (_, head) = read_checkpoint(&bytes)?;
    let mut numbers = Vec::new();
    for place in Place::entries_of_tree(head.size) {
        let (found_at, bytes) = entries(source, place)?;
        let Place::Entries { index, width } = place else { continue };
        for (leaf, number) in
            Leaves::new(found_at, &bytes).take(width.into()).zip(index * crate::TILE_WIDTH..)
        {
            let decision = Decision::from_bytes(leaf.map_err(TreeError::Resource)?);
            if decision.is_ok_and(|decision| decision.about.contains(subject)) {
                numbers.push(number);
            }
        }
    }
    Ok(numbers)
}

impl Bundle {
    /// The leaves of these numbers with their proofs and what may be shown of them.
    ///
    /// # Errors
    /// [`ExportError`] for a number that the log does not have, and for a leaf that the tree does not prove.
    pub fn gather<S: Source>(
        source: &S,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<Self, ExportError<S::Error>> {
        let bytes = read(source, Place::Checkpoint)?.ok_or(TreeError::Missing(Place::Checkpoint))?;
        let latest = Proving::new(source, &bytes)?;
        let witnessed =
            read(source, Place::Witnessed)?.map(|bytes| Proving::new(source, &bytes)).transpose()?;
        let keys = read(source, Place::Keys)?.map(|bytes| read_keys(&bytes)).transpose()?;
        let mut bundle = Self { keys: keys.unwrap_or_default(), ..Self::default() };
        let mut page = Page::default();
        for number in numbers {
            let proving =
                witnessed.as_ref().filter(|proving| number < proving.tree.size()).unwrap_or(&latest);
            let (leaf, shown) = page.leaf(source, number, latest.tree.size())?;
            let place = Place::entries_with(number, latest.tree.size());
            if latest.tree.leaf_hash(number)? != Hash::of_leaf(&leaf) {
                return Err(ExportError::Changed { leaf: number, place });
            }
            bundle.add(&proving.tree, &proving.note, number, leaf, shown)?;
        }
        Ok(bundle)
    }
}

/// A leaf, and what may be shown of it.
type Opened = (Vec<u8>, Vec<Shown>);

/// A checkpoint and its tree.
struct Proving<'a, S> {
    note: Note,
    tree: Tree<'a, S>,
}

impl<'a, S: Source> Proving<'a, S> {
    fn new(source: &'a S, bytes: &[u8]) -> Result<Self, ExportError<S::Error>> {
        let (note, head) = read_checkpoint(bytes)?;
        Ok(Self { note, tree: Tree::open(source, head)? })
    }
}

/// The bundle of leaves that was read last, with its openings.
#[derive(Default)]
struct Page {
    place: Option<Place>,
    leaves: Vec<Vec<u8>>,
    shown: Vec<Shown>,
}

impl Page {
    fn leaf<S: Source>(
        &mut self,
        source: &S,
        number: u64,
        size: u64,
    ) -> Result<Opened, ExportError<S::Error>> {
        let place = Place::entries_with(number, size);
        let Place::Entries { index, .. } = place else { return Err(TreeError::Missing(place).into()) };
        if self.place != Some(place) {
            let (found_at, bytes) = entries(source, place)?;
            let leaves: Result<Vec<_>, _> =
                Leaves::new(found_at, &bytes).map(|leaf| leaf.map(<[u8]>::to_vec)).collect();
            self.leaves = leaves.map_err(TreeError::Resource)?;
            let openings = Place::Openings { index };
            let shown = source.openings(index);
            let shown = shown.map_err(|source| TreeError::Source { place: openings, source })?;
            self.shown = shown.map_err(|error| ExportError::Shown { place: openings, error })?;
            self.place = Some(place);
        }
        let out = TreeError::OutOfTree { size, found: number };
        let at = (number % crate::TILE_WIDTH) as usize;
        let leaf = self.leaves.get(at).filter(|_| number < size).ok_or(out)?.clone();
        let shown = self.shown.iter().filter(|shown| shown.leaf == number).cloned().collect();
        Ok((leaf, shown))
    }
}

fn entries<S: Source>(source: &S, place: Place) -> Result<(Place, Vec<u8>), ExportError<S::Error>> {
    let bundle = read_bundle(source, place).map_err(|source| TreeError::Source { place, source })?;
    bundle.ok_or_else(|| TreeError::Missing(place).into())
}
