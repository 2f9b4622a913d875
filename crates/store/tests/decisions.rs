//! Every decision is a leaf that can be proved, written with what it decides.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use incidents::{copied, decided, head, incident, key};
use ledger::{Deed, Fault, Remembered, Subject, Trust};
use model::{AuthorityId, Timestamp};
use store::{Closed, IncidentState, LedgerKey, OpenError, Paging, Repository};

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    what_was_decided_can_be_verified_by_anybody,
    a_change_and_its_leaf_are_there_together_or_not_at_all,
    two_servers_continue_one_log,
    each_authority_has_a_log_of_its_own,
    a_broken_log_stops_its_decisions_and_nothing_else,
    another_nodes_ledger_is_refused,
}

fn trust(repository: &Repository) -> Trust {
    Trust::of(key().public(repository.authority()).unwrap())
}

async fn decide(repository: &Repository, times: usize) {
    let mut all = Vec::new();
    for n in 0..times {
        let about = format!("inc-{n}");
        let decided = decided(Deed::IncidentClosed, NOW, &[("incident", &about)]);
        let repository = repository.clone();
        all.push(tokio::spawn(async move { repository.decide(decided).await }));
    }
    for one in all {
        one.await.unwrap().unwrap();
    }
}

async fn what_was_decided_can_be_verified_by_anybody(database: Database) {
    let repository = database.open().await;
    assert!(repository.log().await.unwrap().is_none());
    decide(&repository, 3).await;
    let early = head(&repository).await;
    decide(&repository, 700).await;
    let copy = copied(&repository).await;
    let remembered = [Remembered { head: early, by: "an auditor".into() }];
    let verified = ledger::verify(&copy, &trust(&repository), &remembered).unwrap();
    assert_eq!((verified.witnessed.checkpoint.head.size, verified.shown, verified.unread), (703, 1_406, 0));
    // Closed and opened again, the log goes on where it was.
    repository.close().await;
    let repository = database.open().await;
    decide(&repository, 2).await;
    let verified = ledger::verify(&copied(&repository).await, &trust(&repository), &remembered).unwrap();
    assert_eq!(verified.witnessed.checkpoint.head.size, 705);
    let about = Subject::new("incident", "inc-1").unwrap();
    let page = repository.decisions(Some(&about), Paging::default()).await.unwrap();
    let numbers: Vec<_> = page.items.iter().map(|decision| decision.number).collect();
    assert_eq!((page.total, numbers.len()), (3, 3));
    assert!(numbers.is_sorted_by(|one, next| one > next));
    assert_eq!(page.items[0].who.as_deref(), Some("per-1 jean.dupont"));
    assert_eq!(page.items[0].details.as_deref(), Some("in their words"));
    // A leaf that somebody changes is found, and named.
    database.sql("UPDATE leaf SET body = (SELECT body FROM leaf WHERE number = 5) WHERE number = 300").await;
    let fault = ledger::verify(&copied(&repository).await, &trust(&repository), &[]).unwrap_err();
    assert!(matches!(fault, Fault::ChangedLeaf { .. }), "{fault}");
    assert!(fault.to_string().contains("300"), "{fault}");
}

async fn a_change_and_its_leaf_are_there_together_or_not_at_all(database: Database) {
    let repository = database.open().await;
    let known = incident("a");
    repository.keep_incident(&known, &[], NOW).await.unwrap();
    let closed = Closed { at: NOW, by: "jean".into(), reason: "seen".into() };
    let close = async |id: &model::IncidentId| {
        let decided = decided(Deed::IncidentClosed, NOW, &[("incident", id.as_str())]);
        repository.close_incident(id, IncidentState::Resolved, &closed, &[], decided).await.unwrap()
    };
    assert!(!close(&incident("unknown").id).await);
    assert_eq!(repository.decisions(None, Paging::default()).await.unwrap().total, 0);
    assert!(close(&known.id).await);
    assert_eq!(repository.decisions(None, Paging::default()).await.unwrap().total, 1);
    // Where the leaf cannot be written the change is not kept either.
    database.sql("DROP TABLE opening").await;
    let reopened = repository.reopen_incident(&known.id, decided(Deed::IncidentReopened, NOW, &[])).await;
    assert!(reopened.is_err());
    assert_eq!(repository.incident(&known.id).await.unwrap().unwrap().state, IncidentState::Resolved);
}

async fn two_servers_continue_one_log(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    for _ in 0..20 {
        tokio::join!(decide(&one, 7), decide(&other, 5));
    }
    let verified = ledger::verify(&copied(&one).await, &trust(&one), &[]).unwrap();
    assert_eq!(verified.witnessed.checkpoint.head.size, 240);
}

async fn each_authority_has_a_log_of_its_own(database: Database) {
    let city = database.open().await;
    let town = city.of("town".parse().unwrap());
    decide(&city, 3).await;
    decide(&town, 2).await;
    for (repository, size) in [(&city, 3), (&town, 2)] {
        let verified = ledger::verify(&copied(repository).await, &trust(repository), &[]).unwrap();
        assert_eq!(verified.witnessed.checkpoint.head.size, size);
    }
    assert!(ledger::verify(&copied(&city).await, &trust(&town), &[]).is_err());
}

async fn a_broken_log_stops_its_decisions_and_nothing_else(database: Database) {
    let repository = database.open().await;
    decide(&repository, 3).await;
    repository.close().await;
    database.sql("DELETE FROM tile").await;
    let repository = database.open().await;
    let town = repository.of("town".parse().unwrap());
    let known = incident("a");
    let (decision, kept, other) = tokio::join!(
        repository.decide(decided(Deed::PlanApproved, NOW, &[])),
        repository.keep_incident(&known, &[], NOW),
        town.decide(decided(Deed::PlanApproved, NOW, &[])),
    );
    let error = decision.unwrap_err().to_string();
    assert!(error.contains("does not continue what was signed"), "{error}");
    assert!(kept.is_ok() && other.is_ok());
    assert!(repository.health().await.ok);
}

async fn another_nodes_ledger_is_refused(database: Database) {
    let repository = database.open().await;
    decide(&repository, 1).await;
    repository.close().await;
    let other = LedgerKey::from_seed(&[8; 32]).unwrap();
    let refused = Repository::open(&database.url, AuthorityId::local(), other).await.err().unwrap();
    assert!(matches!(refused, OpenError::OtherKey { .. }), "{refused}");
    assert!(refused.to_string().contains("ledger.key"), "{refused}");
    database.open().await;
}
