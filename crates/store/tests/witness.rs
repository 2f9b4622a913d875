//! What witnesses cosigned, and what this node cosigned: never backwards, never twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use incidents::decided;
use ledger::{Deed, Hash, Head, Place};
use model::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    of_two_who_ask_at_once_one_judges_again,
    the_latest_cosigned_checkpoint_stays,
}

fn head(size: u64) -> Head {
    Head { size, root: Hash::of_leaf(&size.to_be_bytes()) }
}

async fn of_two_who_ask_at_once_one_judges_again(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    assert_eq!(one.cosigned("log").await.unwrap(), Head::EMPTY);
    // An empty log may be cosigned as often as anybody likes.
    assert!(one.keep_cosigned("log", Head::EMPTY, Head::EMPTY, NOW).await.unwrap());
    assert!(one.keep_cosigned("log", Head::EMPTY, Head::EMPTY, NOW).await.unwrap());
    let mut last = Head::EMPTY;
    for size in 1..20 {
        let fork = Head { root: Hash::of_leaf(b"fork"), ..head(size) };
        let (kept, also) = tokio::join!(
            one.keep_cosigned("log", last, head(size), NOW),
            other.keep_cosigned("log", last, fork, NOW)
        );
        assert_ne!(kept.unwrap(), also.unwrap(), "at {size}");
        last = one.cosigned("log").await.unwrap();
        assert_eq!(last.size, size);
        assert!(!other.keep_cosigned("log", Head::EMPTY, head(99), NOW).await.unwrap());
    }
    one.close().await;
    assert_eq!(database.open().await.cosigned("log").await.unwrap(), last, "after a restart");
    assert_eq!(other.cosigned("another").await.unwrap(), Head::EMPTY);
}

async fn the_latest_cosigned_checkpoint_stays(database: Database) {
    let repository = database.open().await;
    assert_eq!(repository.logs().await.unwrap(), []);
    repository.decide(decided(Deed::PlanApproved, NOW, &[])).await.unwrap();
    let told = async || {
        let logs = repository.logs().await.unwrap();
        assert_eq!((logs.len(), logs[0].leaves), (1, 1));
        logs[0].cosigned
    };
    assert_eq!(told().await, None);
    repository.keep_witnessed(2, "two".into(), NOW).await.unwrap();
    repository.keep_witnessed(1, "one".into(), NOW.plus_secs(1)).await.unwrap();
    assert_eq!(told().await, Some((2, NOW)));
    repository.keep_witnessed(2, "two, and another".into(), NOW.plus_secs(2)).await.unwrap();
    assert_eq!(told().await, Some((2, NOW.plus_secs(2))));
    let log = repository.log().await.unwrap().unwrap();
    assert_eq!(log.read(Place::Witnessed).await.unwrap().unwrap(), b"two, and another");
}
