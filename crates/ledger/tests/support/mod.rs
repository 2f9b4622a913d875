//! Logs to test with.
#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

pub(crate) mod others;

use ledger::{
    Commitment, Decision, Deed, Frontier, Head, LogKey, Opening, Place, Salt, Subject, Who, WitnessKey,
    entry_bundle, new_private_key,
};
use model::{AuthorityId, Timestamp};
use std::collections::BTreeMap;

pub type Folder = BTreeMap<Place, Vec<u8>>;

pub const ORIGIN: &str = "bastide/node.example/local";

pub fn log_key() -> LogKey {
    LogKey::from_pkcs8(ORIGIN, &new_private_key(&[7; 32]).unwrap()).unwrap()
}

pub fn witness_key(name: &str, seed: u8) -> WitnessKey {
    WitnessKey::from_pkcs8(name, &new_private_key(&[seed; 32]).unwrap()).unwrap()
}

pub fn opening(number: u64) -> Opening {
    let mut salt = [0x5a; Salt::BYTES];
    salt[..8].copy_from_slice(&number.to_be_bytes());
    Opening::new(Salt::new(salt), format!("person number {number}")).unwrap()
}

pub fn decision(number: u64) -> Decision {
    let deeds = Deed::ALL;
    Decision {
        at: Timestamp::from_secs(1_790_000_000 + number as i64),
        authority: AuthorityId::local(),
        who: if number.is_multiple_of(5) { Who::Program } else { Who::Person(opening(number).commitment()) },
        deed: deeds[number as usize % deeds.len()],
        about: vec![Subject::new("incident", format!("inc-{:016x}", number % 3)).unwrap()],
        details: number.is_multiple_of(2).then_some(Commitment([number as u8; 32])),
    }
}

pub fn decisions(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|number| decision(number).to_bytes().unwrap()).collect()
}

/// Everything that a log of these leaves has, but for its checkpoint.
pub fn tiles(leaves: &[Vec<u8>]) -> (Folder, Head) {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.append(leaf).unwrap();
    }
    let mut folder: Folder = frontier.take_changed().into_iter().collect();
    for (index, chunk) in leaves.chunks(256).enumerate() {
        let place = Place::Entries { index: index as u64, width: chunk.len() as u16 };
        folder.insert(place, entry_bundle(chunk.iter().map(Vec::as_slice)).unwrap());
    }
    (folder, frontier.head())
}

/// A whole exported folder.
pub fn folder(leaves: &[Vec<u8>]) -> (Folder, Head) {
    let (mut folder, head) = tiles(leaves);
    folder.insert(Place::Checkpoint, log_key().sign(head).unwrap().to_string().into_bytes());
    folder.insert(Place::Keys, format!("{}\n", log_key().public()).into_bytes());
    (folder, head)
}
