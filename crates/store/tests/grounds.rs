//! What was looked at before a write still stands when it is made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use incidents::{decided, salts};
use ledger::Deed;
use model::{AuthorityId, AuthorityRole, PersonId, PersonState, Timestamp};
use store::{Erased, Ground, NewLink, NewSession, Person, Repository, StoreError, Taken, Token};

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    nothing_is_done_to_whom_others_took_over,
    nothing_is_done_by_whom_nobody_trusts_any_more,
    of_deeds_at_the_same_moment_the_first_counts,
}

async fn add(repository: &Repository, number: u8, role: AuthorityRole) -> Person {
    let person = Person {
        authority: repository.authority().clone(),
        id: PersonId::from_random([number; 16]),
        login: format!("login-{number}").parse().unwrap(),
        name: format!("Name {number}"),
        state: PersonState::Active,
        made: NOW,
    };
    let invited = decided(Deed::PersonInvited, NOW, &[]);
    assert!(repository.add_person(&person, &[role], invited).await.unwrap());
    person
}

async fn looked_at(repository: &Repository, person: &Person) -> Ground {
    let person = repository.person(&person.id).await.unwrap().unwrap();
    let holds = repository.holdings(&person.id).await.unwrap();
    Ground::Person { id: person.id, state: person.state, holds }
}

async fn leaves(repository: &Repository) -> u64 {
    repository.log().await.unwrap().unwrap().head().size
}

fn deed(deed: Deed) -> store::Decided {
    decided(deed, NOW, &[])
}

async fn nothing_is_done_to_whom_others_took_over(database: Database) {
    let root = database.open().await;
    let _first = add(&root, 1, AuthorityRole::Administrator).await;
    let ada = add(&root, 2, AuthorityRole::Analyst).await;
    let looked = root.on_grounds(&[looked_at(&root, &ada).await]);
    // Somebody further up gives her a role, where whoever looked decides nothing.
    let above: AuthorityId = "above".parse().unwrap();
    assert!(root.of(above).give_role(&ada.id, AuthorityRole::Auditor, deed(Deed::RoleGiven)).await.unwrap());
    let before = leaves(&root).await;
    let suspended = Some(PersonState::Suspended);
    let link = NewLink { hash: "link".into(), made: NOW, expires: NOW.plus_secs(9) };
    let outcomes = [
        looked.change_person(&ada.id, None, suspended, deed(Deed::PersonSuspended)).await.map(drop),
        looked.erase_person(&ada.id, deed(Deed::PersonErased)).await.map(drop),
        looked.end_sessions(&ada.id, None, None, deed(Deed::SessionEnded)).await.map(drop),
        looked.add_link(&ada.id, link, deed(Deed::LinkMade)).await.map(drop),
        looked.decide(deed(Deed::PersonChanged)).await,
        looked.take_role(&ada.id, AuthorityRole::Analyst, deed(Deed::RoleTaken)).await.map(drop),
        // Also for another authority, and beside other grounds.
        looked.of("other".parse().unwrap()).decide(deed(Deed::PersonChanged)).await,
        looked.on_grounds(&[looked_at(&root, &ada).await]).decide(deed(Deed::PersonChanged)).await,
    ];
    for (index, outcome) in outcomes.into_iter().enumerate() {
        assert!(matches!(outcome, Err(StoreError::Moved)), "{index}: {outcome:?}");
    }
    assert_eq!(leaves(&root).await, before);
    assert_eq!(root.person(&ada.id).await.unwrap().unwrap().state, PersonState::Active);
    // Whoever looks again may.
    let looked = root.on_grounds(&[looked_at(&root, &ada).await]);
    assert_eq!(looked.erase_person(&ada.id, deed(Deed::PersonErased)).await.unwrap(), Erased::Done);
    // And nobody is left to look at.
    let gone = looked.decide(deed(Deed::PersonChanged)).await;
    assert!(matches!(gone, Err(StoreError::Moved)), "{gone:?}");
    assert!(root.health().await.ok);
}

async fn nothing_is_done_by_whom_nobody_trusts_any_more(database: Database) {
    let root = database.open().await;
    let _first = add(&root, 1, AuthorityRole::Administrator).await;
    let eve = add(&root, 2, AuthorityRole::Administrator).await;
    let begin = async |hash: &str| {
        let (device, place) = ("Firefox on Linux".into(), "192.0.2.7".into());
        let expires = NOW.plus_secs(9_999);
        let session = NewSession { hash: hash.into(), method: "link", device, place, made: NOW, expires };
        assert!(root.open_session(&eve.id, session, salts()).await.unwrap());
    };
    let holds = async |by: &Repository| by.decide(deed(Deed::PersonChanged)).await.unwrap();
    let is_over = async |by: &Repository| {
        let outcome = by.decide(deed(Deed::PersonChanged)).await;
        assert!(matches!(outcome, Err(StoreError::Moved)), "{outcome:?}");
    };
    begin("one").await;
    let by = root.on_grounds(&[Ground::Session("one".into())]);
    holds(&by).await;
    assert_eq!(root.end_sessions(&eve.id, None, None, deed(Deed::SessionEnded)).await.unwrap(), 1);
    is_over(&by).await;
    let token = Token {
        id: "hash".into(),
        authority: root.authority().clone(),
        name: "export".into(),
        roles: vec![AuthorityRole::Auditor],
        person: Some(eve.id.clone()),
        made: NOW,
        expires: NOW.plus_secs(9_999),
        used: None,
    };
    assert!(root.add_token(&token, deed(Deed::TokenMade)).await.unwrap());
    let by = root.on_grounds(&[Ground::Token("hash".into())]);
    holds(&by).await;
    assert!(root.revoke_token("hash", deed(Deed::TokenRevoked)).await.unwrap());
    is_over(&by).await;
    let by = root.on_grounds(&[looked_at(&root, &eve).await]);
    holds(&by).await;
    let role = AuthorityRole::Administrator;
    assert_eq!(root.take_role(&eve.id, role, deed(Deed::RoleTaken)).await.unwrap(), Taken::Done);
    is_over(&by).await;
    let by = root.on_grounds(&[looked_at(&root, &eve).await]);
    holds(&by).await;
    let suspended = Some(PersonState::Suspended);
    root.change_person(&eve.id, None, suspended, deed(Deed::PersonSuspended)).await.unwrap();
    is_over(&by).await;
}

/// All of them wait for the same transaction: the later ones were looked at before the first one was made.
async fn of_deeds_at_the_same_moment_the_first_counts(database: Database) {
    let root = database.open().await;
    let _first = add(&root, 1, AuthorityRole::Administrator).await;
    let (ada, eve) = (
        add(&root, 2, AuthorityRole::Administrator).await,
        add(&root, 3, AuthorityRole::Administrator).await,
    );
    let by_ada = root.on_grounds(&[looked_at(&root, &ada).await]);
    let by_eve = root.on_grounds(&[looked_at(&root, &eve).await]);
    let role = AuthorityRole::Administrator;
    let (one, other) = tokio::join!(
        by_ada.take_role(&eve.id, role, deed(Deed::RoleTaken)),
        by_eve.take_role(&ada.id, role, deed(Deed::RoleTaken)),
    );
    let done = [&one, &other].iter().filter(|outcome| matches!(outcome, Ok(Taken::Done))).count();
    let moved = [&one, &other].iter().filter(|outcome| matches!(outcome, Err(StoreError::Moved))).count();
    assert_eq!((done, moved), (1, 1), "{one:?} {other:?}");
}
