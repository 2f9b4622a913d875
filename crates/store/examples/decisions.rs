//! How many decisions a second become durable leaves: `cargo run --release -p store --example decisions [COUNT]
//! [DATABASE]`. DATABASE is sqlite:PATH or postgres://…; a file under /tmp where none is named. Each decision is written,
//! signed and synced before it counts; those that wait together share one sync (group commit). The seconds are those of
//! the clock, since it is the disk that is waited for; how many wait at once is told with the figure. In the end the whole
//! log is verified out of the database, as `bastide ledger verify` does; those seconds are the processors'.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program that prints, ends where it fails, and reads the clock"
)]

use ledger::{Deed, Salt, Subject, Trust};
use model::{AuthorityId, Timestamp};
use std::time::Instant;
use store::{Actor, Decided, LedgerKey, Repository};

/// How many wait at once: clients of an API that each wait for their answer.
const WAITING: [u64; 3] = [1, 32, 256];

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(20_000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", dir.path().join("bastide.sqlite").display());
    let database: store::DatabaseUrl = arguments.next().unwrap_or(file).parse().unwrap();
    let key = LedgerKey::from_seed(&[7; 32]).unwrap();
    let repository = Repository::open(&database, AuthorityId::local(), key.clone()).await.unwrap();
    // None: only what is there is verified.
    for waiting in WAITING.into_iter().filter(|_| count > 0) {
        // One at a time takes long: a part of them is enough.
        let each = (count / waiting).min(count / 20).max(1);
        let (commits, begin) = (repository.health().await.commits, Instant::now());
        let tasks: Vec<_> = (0..waiting)
            .map(|client| {
                let repository = repository.clone();
                tokio::spawn(async move {
                    for number in 0..each {
                        repository.decide(decided(client * count + number)).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let (seconds, all) = (begin.elapsed().as_secs_f64(), waiting * each);
        let syncs = repository.health().await.commits - commits;
        println!(
            "{all:>9} decisions, {waiting:>3} waiting at once: {seconds:6.2} s, {:>6.0} a second, {syncs} syncs",
            all as f64 / seconds
        );
    }
    let (log, begin) = (repository.log().await.unwrap().unwrap().blocking(), cpu_seconds());
    let trust = Trust {
        origin: key.public(&AuthorityId::local()).unwrap().name().to_owned(),
        log: vec![key.public(&AuthorityId::local()).unwrap()],
        witnesses: Vec::new(),
        quorum: 0,
    };
    let verified =
        tokio::task::spawn_blocking(move || ledger::verify(&log, &trust, &[]).unwrap()).await.unwrap();
    let (seconds, leaves) = (cpu_seconds() - begin, verified.witnessed.checkpoint.head.size);
    println!(
        "{leaves:>9} leaves with {} openings verified out of {}: {seconds:.2} CPU-seconds, {:.1} a million",
        verified.shown,
        repository.url(),
        seconds * 1e6 / leaves as f64
    );
    repository.close().await;
}

/// What all threads of this process have used of the processors.
fn cpu_seconds() -> f64 {
    let used = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    [used.user_time(), used.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .into_iter()
        .sum()
}

fn decided(number: u64) -> Decided {
    let mut salt = [0x5a; Salt::BYTES];
    for (to, from) in salt.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    let (salt, mut other) = (Salt::new(salt), salt);
    other.reverse();
    Decided {
        at: Timestamp::from_micros(1_790_000_000_000_000 + number.cast_signed()),
        who: Actor::Person { id: "per-000102030405060708090a0b0c0d0e0f".into(), login: "jean.dupont".into() },
        deed: Deed::PlanApproved,
        about: vec![
            Subject::new("plan", format!("plan-{number:016x}")).unwrap(),
            Subject::new("incident", format!("inc-{:016x}", number / 10)).unwrap(),
        ],
        details: Some("approved after a look at the camera".into()),
        salts: [salt, Salt::new(other)],
    }
}
