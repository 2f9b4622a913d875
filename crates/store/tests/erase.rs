//! A person who is erased leaves no trace but leaves that say nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use incidents::{copied, incident, key};
use ledger::{Deed, Place, Remembered, Salt, Subject, Trust};
use model::{AuthorityRole, PersonId, PersonState, Timestamp};
use store::{
    Actor, Closed, Decided, ERASED, Erased, IncidentState, NewLink, NewSession, Paging, Person, Repository,
};

const NOW: Timestamp = Timestamp::from_secs(10_000);
/// In everything that only a person can have said or be called.
const MARK: &str = "quisquilia";

on_both! {
    what_is_theirs_goes_and_the_log_stays,
    the_last_administrator_is_not_erased,
}

fn person(number: u8, login: &str, repository: &Repository) -> Person {
    Person {
        authority: repository.authority().clone(),
        id: PersonId::from_random([number; 16]),
        login: login.parse().unwrap(),
        name: format!("Dr. {login}"),
        state: PersonState::Active,
        made: NOW,
    }
}

fn decided(who: &Person, deed: Deed, about: &[(&str, &str)], number: u8) -> Decided {
    Decided {
        at: NOW,
        who: Actor::Person { id: who.id.to_string(), login: who.login.to_string() },
        deed,
        about: about.iter().map(|(kind, id)| Subject::new(kind, id).unwrap()).collect(),
        details: Some(format!("{} wrote this", who.login)),
        salts: [Salt::new([number; 32]), Salt::new([number ^ 0x80; 32])],
    }
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

async fn what_is_theirs_goes_and_the_log_stays(database: Database) {
    let repository = database.open().await;
    let (ada, gone) = (person(1, "ada", &repository), person(2, MARK, &repository));
    let mine = decided(&ada, Deed::PersonInvited, &[], 1);
    assert!(repository.add_person(&ada, &[AuthorityRole::Administrator], mine).await.unwrap());
    // Ada says who it is that she invites.
    let mut invited = decided(&ada, Deed::PersonInvited, &[("person", gone.id.as_str())], 2);
    invited.details = Some(format!("invited {MARK}"));
    assert!(repository.add_person(&gone, &[AuthorityRole::Analyst], invited).await.unwrap());
    let known = incident("a");
    repository.keep_incident(&known, &[], NOW).await.unwrap();
    let closed = Closed { at: NOW, by: MARK.into(), reason: "seen".into() };
    let deed = decided(&gone, Deed::IncidentClosed, &[("incident", known.id.as_str())], 3);
    repository.close_incident(&known.id, IncidentState::Resolved, &closed, &[], deed).await.unwrap();
    // In the log of another authority, too.
    let town = repository.of("town".parse().unwrap());
    town.decide(decided(&gone, Deed::PlanApproved, &[], 4)).await.unwrap();
    town.decide(decided(&ada, Deed::PlanApproved, &[], 5)).await.unwrap();
    let session = NewSession {
        hash: "hash".into(),
        method: "link",
        device: format!("phone of {MARK}"),
        place: "192.0.2.7".into(),
        made: NOW,
        expires: NOW.plus_secs(9_999),
    };
    let link = NewLink { hash: "link".into(), made: NOW, expires: NOW.plus_secs(900) };
    let made = decided(&ada, Deed::LinkMade, &[("person", gone.id.as_str())], 9);
    assert!(repository.add_link(&gone.id, link, made).await.unwrap());
    assert!(
        repository
            .redeem_link("link", session, [Salt::new([6; 32]), Salt::new([7; 32])])
            .await
            .unwrap()
            .is_some()
    );
    let before = repository.log().await.unwrap().unwrap().head();
    let openings = copied(&repository).await[&Place::Openings { index: 0 }].clone();
    assert!(contains(&openings, MARK.as_bytes()));

    let unknown = PersonId::from_random([9; 16]);
    let deed = || decided(&ada, Deed::PersonErased, &[("person", gone.id.as_str())], 8);
    assert_eq!(repository.erase_person(&unknown, deed()).await.unwrap(), Erased::Unknown);
    assert_eq!(town.erase_person(&gone.id, deed()).await.unwrap(), Erased::Unknown, "not theirs");
    assert_eq!(repository.erase_person(&gone.id, deed()).await.unwrap(), Erased::Done);
    assert_eq!(repository.erase_person(&gone.id, deed()).await.unwrap(), Erased::Unknown);

    // The logs are whole, and continue what they were.
    let remembered = [Remembered { head: before, by: "an auditor".into() }];
    for (log, remembered) in [(&repository, &remembered[..]), (&town, &[])] {
        let copy = copied(log).await;
        let trust = Trust::of(key().public(log.authority()).unwrap());
        ledger::verify(&copy, &trust, remembered).unwrap();
        assert!(!copy.values().any(|bytes| contains(bytes, MARK.as_bytes())), "in an export");
    }
    // What Ada did and said is there, but for what she said of them.
    let decisions = repository.decisions(None, Paging::default()).await.unwrap().items;
    let of = |number: u64| decisions.iter().find(|one| one.number == number).unwrap();
    assert_eq!((of(0).erased, of(0).who.is_some(), of(0).details.is_some()), (false, true, true));
    assert_eq!((of(1).erased, of(1).who.is_some(), of(1).details.is_some()), (true, true, false));
    assert_eq!((of(2).erased, of(2).who.is_some(), of(2).details.is_some()), (true, false, false));
    // Which role it was that they had says nothing of them.
    assert!(of(1).about.iter().any(|subject| subject.as_str() == "role:analyst"), "{:?}", of(1).about);
    let last = &decisions[0];
    assert_eq!((last.deed, last.erased), (Deed::PersonErased, false));
    assert_eq!(repository.incident(&known.id).await.unwrap().unwrap().closed.unwrap().by, ERASED);
    assert!(repository.person(&gone.id).await.unwrap().is_none());
    repository.close().await;
    // And nothing is left on the disk, also of what was only moved or overwritten.
    if let store::DatabaseUrl::Sqlite(path) = &database.url {
        for beside in ["", "-wal", "-shm"] {
            let mut path = path.clone().into_os_string();
            path.push(beside);
            let bytes = std::fs::read(&path).unwrap_or_default();
            assert!(!contains(&bytes, MARK.as_bytes()), "in {}", path.display());
            for salt in [[3_u8; 32], [3 ^ 0x80; 32], [4; 32], [2 ^ 0x80; 32]] {
                assert!(!contains(&bytes, &salt), "a salt in {}", path.display());
            }
        }
    }
}

async fn the_last_administrator_is_not_erased(database: Database) {
    let repository = database.open().await;
    let (ada, joe) = (person(1, "ada", &repository), person(2, "joe", &repository));
    let roles = [AuthorityRole::Administrator];
    assert!(repository.add_person(&ada, &roles, decided(&ada, Deed::PersonInvited, &[], 1)).await.unwrap());
    let erase = async |who: &Person| {
        repository.erase_person(&who.id, decided(who, Deed::PersonErased, &[], 2)).await.unwrap()
    };
    assert_eq!(erase(&ada).await, Erased::Last);
    assert!(repository.person(&ada.id).await.unwrap().is_some());
    assert!(repository.add_person(&joe, &roles, decided(&ada, Deed::PersonInvited, &[], 3)).await.unwrap());
    assert_eq!(erase(&ada).await, Erased::Done);
    assert_eq!(erase(&joe).await, Erased::Last);
}
