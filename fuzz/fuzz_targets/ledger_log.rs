//! A whole log with bytes of anybody's choice in it: verification says that it is well only where nothing was changed.
#![no_main]

use ledger::{
    Decision, Deed, Frontier, Leaves, LogKey, Place, Source, Tree, Trust, Who, entry_bundle, export,
    new_private_key, verify,
};
use libfuzzer_sys::fuzz_target;
use model::{AuthorityId, Timestamp};
use std::{collections::BTreeMap, sync::LazyLock};

type Log = BTreeMap<Place, Vec<u8>>;

static LOG: LazyLock<(Log, Trust)> = LazyLock::new(|| {
    let key = LogKey::from_pkcs8("bastide/fuzz/local", &new_private_key(&[3; 32]).unwrap()).unwrap();
    let leaf = |number: i64| {
        let authority = AuthorityId::local();
        let (at, about) = (Timestamp::from_secs(number), vec![]);
        let decision =
            Decision { at, authority, who: Who::Program, deed: Deed::CommandRun, about, details: None };
        decision.to_bytes().unwrap()
    };
    let leaves: Vec<Vec<u8>> = (0..600).map(leaf).collect();
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| drop(frontier.append(leaf)));
    let mut log: Log = frontier.take_changed().into_iter().collect();
    for (index, chunk) in (0..).zip(leaves.chunks(256)) {
        let place = Place::Entries { index, width: chunk.len() as u16 };
        log.insert(place, entry_bundle(chunk.iter().map(Vec::as_slice)).unwrap());
    }
    log.insert(Place::Checkpoint, key.sign(frontier.head()).unwrap().to_string().into_bytes());
    (log, Trust::of(key.public().clone()))
});

/// The log with one resource replaced.
struct Changed<'a>(&'a Log, Place, Option<Vec<u8>>);

impl Source for Changed<'_> {
    type Error = std::convert::Infallible;

    fn read(&self, place: Place) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(if place == self.1 { self.2.clone() } else { self.0.get(&place).cloned() })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (log, trust) = &*LOG;
    let Some((&[which, how, high, low], rest)) = bytes.split_first_chunk() else { return };
    let place = *log.keys().nth(usize::from(which) % log.len()).unwrap();
    let good = &log[&place];
    let at = usize::from(u16::from_be_bytes([high, low])) % (good.len() + 1);
    let content = match how % 4 {
        0 => None,
        1 => Some(rest.to_vec()),
        // Written over what is there, or put between.
        how => {
            let mut bad = good.clone();
            let end = if how == 2 { (at + rest.len()).min(bad.len()) } else { at };
            bad.splice(at..end, rest.iter().copied());
            Some(bad)
        }
    };
    let same = content.as_ref() == Some(good);
    for leaf in Leaves::new(place, rest).flatten() {
        assert!(leaf.len() <= ledger::MAX_LEAF);
    }
    let changed = Changed(log, place, content);
    assert_eq!(verify(&changed, trust, &[]).is_ok(), same);
    if let Ok(files) = export(&changed) {
        let _ = files.take(64).filter(Result::is_ok).count();
    }
    if let Ok(path) = std::str::from_utf8(rest)
        && let Ok(place) = path.parse::<Place>()
    {
        assert_eq!(place.to_string(), path);
    }
    let head = trust.open(&ledger::Note::from_bytes(&log[&Place::Checkpoint]).unwrap()).unwrap();
    if let Ok(tree) = Tree::open(&changed, head.checkpoint.head) {
        let index = u64::from(u16::from_be_bytes([high, low])) % 600;
        if let (Ok(proof), Ok(hash)) = (tree.inclusion(index), tree.leaf_hash(index)) {
            let whole = Tree::open(log, head.checkpoint.head).unwrap();
            assert_eq!(Ok(proof), whole.inclusion(index));
            assert_eq!(Ok(hash), whole.leaf_hash(index));
        }
    }
});
