//! How fast a ledger is: appending, verifying a whole log, proving leaves. `cargo run --release -p ledger --example
//! million` (an argument gives another number of leaves). The log is held in memory, so that no disk is measured;
//! seconds are those of the CPU, so that neighbours are not.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a program that prints, and ends where it fails"
)]

use ledger::{
    Commitment, Decision, Deed, Frontier, LogKey, Place, Remembered, Source, Subject, Tree, Trust, Who,
    entry_bundle, new_private_key, verify,
};
use model::{AuthorityId, Timestamp};
use std::{cell::Cell, collections::BTreeMap, convert::Infallible};

/// The log, and how much of it was read.
struct Log(BTreeMap<Place, Vec<u8>>, Cell<u64>);

impl Source for Log {
    type Error = Infallible;

    fn read(&self, place: Place) -> Result<Option<Vec<u8>>, Infallible> {
        let bytes = self.0.get(&place).cloned();
        self.1.set(self.1.get() + bytes.as_ref().map_or(0, |bytes| bytes.len() as u64));
        Ok(bytes)
    }
}

fn main() {
    let count: u64 = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().unwrap());
    let authority = AuthorityId::local();
    let leaf = |number: u64| {
        let mut commitment = [7; 32];
        commitment[..8].copy_from_slice(&number.to_be_bytes());
        let decision = Decision {
            at: Timestamp::from_micros(1_790_000_000_000_000 + number as i64),
            authority: authority.clone(),
            who: Who::Person(Commitment(commitment)),
            deed: Deed::ALL[number as usize % Deed::ALL.len()],
            about: vec![
                Subject::new("plan", format!("plan-{number:016x}")).unwrap(),
                Subject::new("incident", format!("inc-{:016x}", number / 10)).unwrap(),
            ],
            details: Some(Commitment(commitment)),
        };
        decision.to_bytes().unwrap()
    };

    let mut log = BTreeMap::new();
    let mut frontier = Frontier::new();
    let begin = cpu_seconds();
    for index in 0..count.div_ceil(256) {
        let leaves: Vec<Vec<u8>> = (index * 256..count.min((index + 1) * 256)).map(leaf).collect();
        for leaf in &leaves {
            frontier.append(leaf).unwrap();
        }
        let place = Place::Entries { index, width: leaves.len() as u16 };
        log.insert(place, entry_bundle(leaves.iter().map(Vec::as_slice)).unwrap());
        log.extend(frontier.take_changed());
    }
    told("made and appended", count, begin);

    let key = LogKey::from_pkcs8("bastide/bench/local", &new_private_key(&[1; 32]).unwrap()).unwrap();
    let head = frontier.head();
    log.insert(Place::Checkpoint, key.sign(head).unwrap().to_string().into_bytes());
    let log = Log(log, Cell::new(0));
    let remembered = Remembered { head, by: "here".into() };
    let begin = cpu_seconds();
    let verified = verify(&log, &Trust::of(key.public().clone()), &[remembered]).unwrap();
    told("verified", count, begin);
    println!("{:>12} bytes read, {} leaves unread", log.1.get(), verified.unread);

    let tree = Tree::open(&log, head).unwrap();
    let proofs = count.min(10_000);
    let begin = cpu_seconds();
    for number in 0..proofs {
        tree.inclusion(number * (count / proofs)).unwrap();
    }
    told("proved, all over the log", proofs, begin);
}

fn told(what: &str, count: u64, begin: f64) {
    let seconds = cpu_seconds() - begin;
    println!("{count:>12} leaves {what}: {seconds:.2} CPU-seconds, {:.0} a second", count as f64 / seconds);
}

/// What this program has used so far.
fn cpu_seconds() -> f64 {
    let said = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    said.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
