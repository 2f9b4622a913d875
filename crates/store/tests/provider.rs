//! Identity providers: for whom they vouch, and what goes with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use incidents::{decided, salts};
use ledger::Deed;
use model::{Authority, AuthorityId, AuthorityLevel, AuthorityRole, PersonId, PersonState, Timestamp};
use store::{
    Bound, Credential, CredentialKind, NewSession, Person, Provider, Recognises, Repository, Vouched,
    Vouching,
};

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    a_provider_is_kept_whole,
    a_provider_vouches_for_its_own,
    what_came_by_a_provider_goes_with_it,
}

fn id(text: &str) -> AuthorityId {
    text.parse().unwrap()
}

/// local, north and south below it, harbour below north.
async fn tree(repository: &Repository) {
    for (name, parent) in [("north", "local"), ("south", "local"), ("harbour", "north")] {
        let new = Authority {
            id: id(name),
            name: name.to_owned(),
            level: AuthorityLevel::Department,
            parent: Some(id(parent)),
        };
        let place = repository.of(id(parent));
        place.add_authority(&new, decided(Deed::AuthorityMade, NOW, &[])).await.unwrap().unwrap();
    }
}

fn provider(authority: &str, issuer: &str) -> Provider {
    Provider {
        authority: id(authority),
        name: "City login".into(),
        issuer: issuer.into(),
        client: "bastide".into(),
        secret: "sealed".into(),
        ca: None,
        recognises: Recognises::Email,
        changed: NOW,
    }
}

async fn set(repository: &Repository, authority: &str, issuer: &str) {
    let place = repository.of(id(authority));
    let deed = decided(Deed::ProviderSet, NOW, &[]);
    assert!(place.set_provider(&provider(authority, issuer), deed).await.unwrap());
}

async fn person(repository: &Repository, login: &str, home: &str) -> Person {
    let person = Person {
        authority: id(home),
        id: PersonId::from_random([login.len() as u8; 16]),
        login: login.parse().unwrap(),
        name: login.into(),
        state: PersonState::Active,
        made: NOW,
    };
    let invited = decided(Deed::PersonInvited, NOW, &[]);
    assert!(repository.of(id(home)).add_person(&person, &[AuthorityRole::Analyst], invited).await.unwrap());
    person
}

async fn bind(repository: &Repository, authority: &str, person: &Person, name: &str, first: bool) -> Bound {
    let identity = Credential {
        id: name.into(),
        kind: CredentialKind::Identity,
        label: "City login".into(),
        body: String::new(),
        made: NOW,
        used: None,
    };
    let added = decided(Deed::CredentialAdded, NOW, &[]);
    let place = repository.of(id(authority));
    place.bind_identity(&person.id, identity, since(repository, authority).await, first, added).await.unwrap()
}

/// Since when the provider of an authority is as it is.
async fn since(repository: &Repository, authority: &str) -> Timestamp {
    let provider = repository.of(id(authority)).provider().await.unwrap();
    provider.map_or(NOW, |provider| provider.changed)
}

async fn open(repository: &Repository, authority: &str, person: &Person, credential: &str) -> Vouched {
    let hash = format!("session {authority} {credential}");
    let session = NewSession {
        hash,
        method: "identity",
        device: "x".into(),
        place: "192.0.2.1".into(),
        made: NOW,
        expires: NOW.plus_secs(60),
    };
    let changed = since(repository, authority).await;
    let by = Vouching { authority: id(authority), changed, credential: credential.into() };
    repository.open_vouched_session(&person.id, by, session, salts()).await.unwrap()
}

async fn a_provider_is_kept_whole(database: Database) {
    let repository = database.open().await;
    tree(&repository).await;
    let north = repository.of(id("north"));
    assert_eq!(north.provider().await.unwrap(), None);
    let mut new = provider("north", "https://a.example");
    new.ca = Some("-----BEGIN CERTIFICATE-----\nx\n".into());
    assert!(north.set_provider(&new, decided(Deed::ProviderSet, NOW, &[])).await.unwrap());
    assert_eq!(north.provider().await.unwrap(), Some(new.clone()));
    (new.ca, new.recognises, new.name) = (None, Recognises::None, "Another".into());
    assert!(north.set_provider(&new, decided(Deed::ProviderSet, NOW, &[])).await.unwrap());
    // Told from what it was before by the same clock.
    new.changed = NOW.plus_micros(1);
    assert_eq!(repository.providers().await.unwrap(), [new]);
    assert_eq!(repository.provider().await.unwrap(), None, "another authority's");
    assert!(!format!("{:?}", north.provider().await.unwrap()).contains("sealed"));
}

async fn a_provider_vouches_for_its_own(database: Database) {
    let repository = database.open().await;
    tree(&repository).await;
    let (own, below) =
        (person(&repository, "nora", "north").await, person(&repository, "hanna", "harbour").await);
    let (beside, above) =
        (person(&repository, "sue", "south").await, person(&repository, "lo", "local").await);
    assert_eq!(bind(&repository, "north", &own, "n", false).await, Bound::Gone, "there is no provider");
    set(&repository, "north", "https://a.example").await;
    assert_eq!(bind(&repository, "north", &own, "n", true).await, Bound::Done);
    assert_eq!(bind(&repository, "north", &below, "h", false).await, Bound::Done);
    assert_eq!(bind(&repository, "north", &beside, "s", false).await, Bound::NotTheirs);
    assert_eq!(bind(&repository, "north", &above, "l", true).await, Bound::NotTheirs);
    // An identity is one person's, and recognised is only who has nothing else.
    assert_eq!(bind(&repository, "north", &below, "n", false).await, Bound::Taken);
    assert_eq!(bind(&repository, "north", &own, "n2", true).await, Bound::Taken);
    assert_eq!(bind(&repository, "north", &own, "n2", false).await, Bound::Done);
    assert_eq!(open(&repository, "north", &own, "n").await, Vouched::Opened);
    assert_eq!(open(&repository, "north", &below, "h").await, Vouched::Opened);
    assert_eq!(open(&repository, "north", &below, "n").await, Vouched::Gone, "somebody else's");
    assert_eq!(open(&repository, "south", &own, "n").await, Vouched::Gone, "another authority's");
    // A role elsewhere, whoever gave it, and at the same moment.
    for place in ["local", "south"] {
        let place = repository.of(id(place));
        let role = AuthorityRole::Auditor;
        assert!(place.give_role(&own.id, role, decided(Deed::RoleGiven, NOW, &[])).await.unwrap());
        assert_eq!(open(&repository, "north", &own, "n2").await, Vouched::NotTheirs);
        assert_eq!(bind(&repository, "north", &own, "n3", false).await, Bound::NotTheirs);
        place.take_role(&own.id, role, decided(Deed::RoleTaken, NOW, &[])).await.unwrap();
    }
    let harbour = repository.of(id("harbour"));
    harbour.give_role(&own.id, AuthorityRole::Auditor, decided(Deed::RoleGiven, NOW, &[])).await.unwrap();
    assert_eq!(open(&repository, "north", &own, "n2").await, Vouched::Opened, "below is theirs");
    let north = repository.of(id("north"));
    let suspended = decided(Deed::PersonSuspended, NOW, &[]);
    north.change_person(&own.id, None, Some(PersonState::Suspended), suspended).await.unwrap();
    assert_eq!(open(&repository, "north", &own, "n2").await, Vouched::Gone);
    assert_eq!(bind(&repository, "north", &own, "n3", false).await, Bound::Gone);
}

async fn what_came_by_a_provider_goes_with_it(database: Database) {
    let repository = database.open().await;
    tree(&repository).await;
    let nora = person(&repository, "nora", "north").await;
    let north = repository.of(id("north"));
    for (number, remove) in [true, false].into_iter().enumerate() {
        set(&repository, "north", "https://a.example").await;
        set(&repository, "local", "https://a.example").await;
        let (theirs, aboves) = (format!("n{number}"), format!("l{number}"));
        assert_eq!(bind(&repository, "north", &nora, &theirs, number == 0).await, Bound::Done);
        assert_eq!(bind(&repository, "local", &nora, &aboves, false).await, Bound::Done);
        open(&repository, "north", &nora, &theirs).await;
        open(&repository, "local", &nora, &aboves).await;
        let counts = async || {
            let sessions = repository.sessions(&nora.id, NOW, NOW).await.unwrap().len();
            (sessions, repository.credentials(&nora.id).await.unwrap().len())
        };
        let before = counts().await;
        set(&repository, "north", "https://a.example").await;
        assert_eq!(counts().await, before, "the same provider");
        if remove {
            assert!(north.remove_provider(decided(Deed::ProviderRemoved, NOW, &[])).await.unwrap());
            assert!(!north.remove_provider(decided(Deed::ProviderRemoved, NOW, &[])).await.unwrap());
        } else {
            set(&repository, "north", "https://b.example").await;
        }
        assert_eq!(counts().await, (before.0 - 1, before.1 - 1));
        assert_eq!(open(&repository, "north", &nora, &theirs).await, Vouched::Gone);
    }
    // What the provider of before said while it was replaced counts for nothing, whoever is known under that name now.
    assert_eq!(bind(&repository, "north", &nora, "new", false).await, Bound::Done);
    let session = NewSession {
        hash: "late".into(),
        method: "identity",
        device: "x".into(),
        place: "192.0.2.1".into(),
        made: NOW,
        expires: NOW.plus_secs(60),
    };
    let by = Vouching { authority: id("north"), changed: NOW, credential: "new".into() };
    let late = repository.open_vouched_session(&nora.id, by, session, salts()).await.unwrap();
    assert_eq!(late, Vouched::Gone);
    // A session that somebody opens from one that was vouched for ends with it.
    open(&repository, "north", &nora, "new").await;
    let program = NewSession {
        hash: "program".into(),
        method: store::COMMAND_LINE,
        device: "x".into(),
        place: "192.0.2.1".into(),
        made: NOW,
        expires: NOW.plus_secs(60),
    };
    assert!(repository.open_session_from(&nora.id, "session north new", program, salts()).await.unwrap());
    assert!(repository.session("program", NOW, NOW).await.unwrap().is_some());
    assert!(north.remove_provider(decided(Deed::ProviderRemoved, NOW, &[])).await.unwrap());
    assert!(repository.session("program", NOW, NOW).await.unwrap().is_none());
}
