//! Authorities, people, and how they come in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use incidents::{decided, incident, salts};
use ledger::Deed;
use model::{
    Authority, AuthorityId, AuthorityLevel, AuthorityRole, Holding, PersonId, PersonState, Timestamp,
};
use store::{
    Credential, CredentialKind, Findable, IncidentFilter, MOST_CREDENTIALS, MOST_HOLDINGS, NewLink,
    NewSession, NotPlanted, Paging, Person, Repository, Taken, Token,
};

const NOW: Timestamp = Timestamp::from_secs(10_000);

on_both! {
    authorities_form_a_tree,
    lists_show_the_authorities_that_are_seen,
    a_login_is_one_persons,
    the_last_administrator_stays,
    whoever_is_suspended_is_out,
    a_sign_in_link_is_good_once_and_for_a_while,
    an_invitation_has_its_link_or_there_is_none,
    a_session_ends_by_idleness_by_age_and_by_hand,
    a_token_is_good_as_long_as_its_maker,
    credentials_take_the_place_of_those_before,
    what_is_good_once_is_taken_once,
    each_change_is_a_leaf,
    guests_stand_in_the_list_of_where_they_hold_a_role,
    names_are_found_in_every_script,
    nobody_uses_up_what_a_node_takes,
    a_database_belongs_to_whom_it_was_founded_for,
}

fn id(text: &str) -> AuthorityId {
    text.parse().unwrap()
}

fn authority(name: &str, level: AuthorityLevel, parent: Option<&str>) -> Authority {
    Authority { id: id(name), name: name.to_uppercase(), level, parent: parent.map(id) }
}

fn person(number: u8, login: &str) -> Person {
    Person {
        authority: AuthorityId::local(),
        id: PersonId::from_random([number; 16]),
        login: login.parse().unwrap(),
        name: login.to_uppercase(),
        state: PersonState::Active,
        made: NOW,
    }
}

async fn add(repository: &Repository, number: u8, login: &str, roles: &[AuthorityRole]) -> Person {
    let person = Person { authority: repository.authority().clone(), ..person(number, login) };
    assert!(repository.add_person(&person, roles, decided(Deed::PersonInvited, NOW, &[])).await.unwrap());
    person
}

fn session(hash: &str, at: Timestamp) -> NewSession {
    NewSession {
        hash: hash.into(),
        method: "link",
        device: "Firefox on Linux".into(),
        place: "192.0.2.7".into(),
        made: at,
        expires: at.plus_secs(9_999),
    }
}

async fn authorities_form_a_tree(database: Database) {
    let repository = database.open().await;
    let plant = async |new: &Authority| {
        let parent = new.parent.clone().unwrap_or_else(AuthorityId::local);
        repository.of(parent).add_authority(new, decided(Deed::AuthorityMade, NOW, &[])).await.unwrap()
    };
    use AuthorityLevel::*;
    assert_eq!(plant(&authority("police", Department, Some("local"))).await, Ok(()));
    assert_eq!(plant(&authority("night", Department, Some("police"))).await, Ok(()));
    assert_eq!(plant(&authority("police", Department, Some("night"))).await, Err(NotPlanted::Taken));
    assert_eq!(plant(&authority("land", Regional, Some("local"))).await, Err(NotPlanted::TooWide));
    assert_eq!(plant(&authority("ward", Department, Some("nowhere"))).await, Err(NotPlanted::NoParent));
    let mut above = "night".to_owned();
    let mut outcome = Ok(());
    for level in 0..20 {
        let name = format!("deep-{level}");
        outcome = plant(&authority(&name, Department, Some(&above))).await;
        if outcome.is_err() {
            break;
        }
        above = name;
    }
    assert_eq!(outcome, Err(NotPlanted::TooDeep));
    // A later start finds the same tree.
    repository.close().await;
    let tree = database.open().await.tree().await.unwrap();
    assert!(tree.lineage(&id("night")).upwards().eq(&[id("night"), id("police"), id("local")]));
    assert_eq!(tree.below(&id("local")).map(|below| below.id.as_str()).collect::<Vec<_>>(), ["police"]);
    assert_eq!(tree.get(&id("police")).unwrap().name, "POLICE");
    assert!(tree.lineage(&id("elsewhere")).upwards().eq(&[id("elsewhere")]));
}

async fn lists_show_the_authorities_that_are_seen(database: Database) {
    let city = database.open().await;
    for below in ["north", "south"] {
        let new = authority(below, AuthorityLevel::Department, Some("local"));
        city.add_authority(&new, decided(Deed::AuthorityMade, NOW, &[])).await.unwrap().unwrap();
    }
    let (north, south) = (city.of(id("north")), city.of(id("south")));
    let same = incident("a");
    north.keep_incident(&same, &[], NOW).await.unwrap();
    south.keep_incident(&same, &[], NOW).await.unwrap();
    south.keep_incident(&incident("b"), &[], NOW).await.unwrap();
    let check = async |sees: &[&str], expected: &[(&str, u64)]| {
        let sees: Vec<_> = sees.iter().map(|name| id(name)).collect();
        let view = city.seeing(&sees);
        let page = view.incidents(&IncidentFilter::default(), Paging::default()).await.unwrap();
        let total: u64 = expected.iter().map(|(_, number)| number).sum();
        assert_eq!((page.total, page.items.len() as u64), (total, total), "{sees:?}");
        assert_eq!(view.open_incidents().await.unwrap().high, total, "{sees:?}");
        for (name, number) in expected {
            let of = page.items.iter().filter(|record| record.authority == id(name)).count();
            assert_eq!(of as u64, *number, "{sees:?}: {name}");
        }
        let by_address =
            IncidentFilter { address: Some(same.assets[0].address), ..IncidentFilter::default() };
        let found = view.incidents(&by_address, Paging::default()).await.unwrap();
        assert!(found.items.iter().all(|record| sees.contains(&record.authority)), "{sees:?}");
        view.whose_is(Findable::Incident, same.id.as_str()).await.unwrap()
    };
    assert_eq!(check(&["local"], &[]).await, []);
    assert_eq!(check(&["north"], &[("north", 1)]).await, [id("north")]);
    assert_eq!(check(&["local", "south"], &[("south", 2)]).await, [id("south")]);
    assert_eq!(check(&["south", "north"], &[("north", 1), ("south", 2)]).await, [id("north"), id("south")]);
    // Part of a name is no name.
    assert_eq!(check(&["nort"], &[]).await, []);
    assert_eq!(check(&[], &[]).await, []);
}

async fn a_login_is_one_persons(database: Database) {
    let repository = database.open().await;
    let ada = add(&repository, 1, "ada", &[AuthorityRole::Analyst]).await;
    let other = repository.of(id("elsewhere"));
    let again = person(2, "ada");
    assert!(!other.add_person(&again, &[], decided(Deed::PersonInvited, NOW, &[])).await.unwrap());
    assert_eq!(repository.person_by_login(&"ADA".parse().unwrap()).await.unwrap(), Some(ada.clone()));
    assert_eq!(repository.person(&ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(repository.person(&again.id).await.unwrap(), None);
    let found = async |text| repository.people(text, Paging::default()).await.unwrap().items;
    assert_eq!(found(Some("Ad")).await, [ada]);
    assert_eq!(found(Some("%")).await, []);
}

async fn the_last_administrator_stays(database: Database) {
    use AuthorityRole::*;
    let repository = database.open().await;
    assert_eq!(repository.administrator().await.unwrap(), None);
    let ada = add(&repository, 1, "ada", &[Administrator, Analyst]).await;
    let bob = add(&repository, 2, "bob", &[]).await;
    let give = async |who: &Person, role| {
        repository.give_role(&who.id, role, decided(Deed::RoleGiven, NOW, &[])).await.unwrap()
    };
    let take = async |who: &Person, role| {
        repository.take_role(&who.id, role, decided(Deed::RoleTaken, NOW, &[])).await.unwrap()
    };
    assert_eq!(take(&ada, Administrator).await, Taken::Last);
    assert_eq!(take(&bob, Administrator).await, Taken::NotHeld);
    assert_eq!(take(&ada, Analyst).await, Taken::Done);
    assert!(give(&bob, Administrator).await);
    assert!(!give(&bob, Administrator).await, "held already");
    assert_eq!(take(&ada, Administrator).await, Taken::Done);
    assert_eq!(repository.administrator().await.unwrap(), Some(bob.clone()));
    let held = Holding { role: Administrator, authority: AuthorityId::local() };
    assert_eq!(repository.holdings(&bob.id).await.unwrap(), [held]);
    assert_eq!(repository.holdings(&ada.id).await.unwrap(), []);
    // Two at once cannot leave nobody: neither by taking, nor by suspending, nor by one of each.
    assert!(give(&ada, Administrator).await);
    let suspend = async |who: &Person| {
        let state = Some(PersonState::Suspended);
        repository
            .change_person(&who.id, None, state, decided(Deed::PersonSuspended, NOW, &[]))
            .await
            .unwrap()
    };
    let (first, second) = tokio::join!(suspend(&ada), suspend(&bob));
    assert!([first, second].contains(&Taken::Last) && [first, second].contains(&Taken::Done));
    for who in [&ada, &bob] {
        let state = Some(PersonState::Active);
        repository.change_person(&who.id, None, state, decided(Deed::PersonChanged, NOW, &[])).await.unwrap();
    }
    // An administrator of a department is no substitute.
    let below = authority("below", AuthorityLevel::Department, Some("local"));
    repository.add_authority(&below, decided(Deed::AuthorityMade, NOW, &[])).await.unwrap().unwrap();
    let department = repository.of(id("below"));
    add(&department, 3, "cyd", &[Administrator]).await;
    let (first, second) = tokio::join!(take(&ada, Administrator), suspend(&bob));
    assert!([first, second].contains(&Taken::Last) && [first, second].contains(&Taken::Done));
    let state = Some(PersonState::Active);
    repository.change_person(&bob.id, None, state, decided(Deed::PersonChanged, NOW, &[])).await.unwrap();
    for number in 0..MOST_HOLDINGS {
        let place = repository.of(id(&format!("place-{number}")));
        let given = place.give_role(&bob.id, Auditor, decided(Deed::RoleGiven, NOW, &[])).await.unwrap();
        assert_eq!(given, number + 1 < MOST_HOLDINGS, "{number}");
    }
}

fn link(hash: &str) -> NewLink {
    NewLink { hash: hash.into(), made: NOW, expires: NOW.plus_secs(900) }
}

async fn whoever_is_suspended_is_out(database: Database) {
    let repository = database.open().await;
    let ada = add(&repository, 1, "ada", &[]).await;
    assert!(repository.open_session(&ada.id, session("s1", NOW), salts()).await.unwrap());
    assert!(repository.add_link(&ada.id, link("l1"), decided(Deed::LinkMade, NOW, &[])).await.unwrap());
    let state = async |state| {
        let decided = decided(Deed::PersonSuspended, NOW, &[]);
        let changed = repository.change_person(&ada.id, Some("Ada"), Some(state), decided).await.unwrap();
        assert_eq!(changed, Taken::Done);
    };
    state(PersonState::Suspended).await;
    assert_eq!(repository.session("s1", NOW, NOW).await.unwrap(), None);
    assert_eq!(repository.redeem_link("l1", session("s2", NOW), salts()).await.unwrap(), None);
    assert!(!repository.open_session(&ada.id, session("s3", NOW), salts()).await.unwrap());
    assert!(!repository.add_link(&ada.id, link("l2"), decided(Deed::LinkMade, NOW, &[])).await.unwrap());
    state(PersonState::Active).await;
    assert_eq!(repository.session("s1", NOW, NOW).await.unwrap(), None, "it was ended, not hidden");
    assert!(repository.open_session(&ada.id, session("s4", NOW), salts()).await.unwrap());
    let elsewhere = repository.of(id("elsewhere"));
    let theirs = elsewhere.change_person(
        &ada.id,
        Some("Eve"),
        Some(PersonState::Suspended),
        decided(Deed::PersonSuspended, NOW, &[]),
    );
    assert_eq!(theirs.await.unwrap(), Taken::NotHeld, "of another authority");
}

async fn a_sign_in_link_is_good_once_and_for_a_while(database: Database) {
    let repository = database.open().await;
    let (ada, bob) = (add(&repository, 1, "ada", &[]).await, add(&repository, 2, "bob", &[]).await);
    let link = async |hash: &str, whose: &Person| {
        let decided = decided(Deed::LinkMade, NOW, &[("person", whose.id.as_str())]);
        assert!(repository.add_link(&whose.id, link(hash), decided).await.unwrap());
    };
    let redeem = async |link: &str, hash: &str, at| {
        repository.redeem_link(link, session(hash, at), salts()).await.unwrap().map(|person| person.login)
    };
    link("one", &ada).await;
    // Two at the same moment: one of them.
    let (first, second) = tokio::join!(redeem("one", "s1", NOW), redeem("one", "s2", NOW));
    assert_eq!(usize::from(first.is_some()) + usize::from(second.is_some()), 1);
    assert_eq!(redeem("one", "s3", NOW).await, None);
    assert_eq!(redeem("none", "s4", NOW).await, None);
    link("two", &ada).await;
    assert_eq!(redeem("two", "s5", NOW.plus_secs(900)).await, None);
    link("three", &ada).await;
    link("bobs", &bob).await;
    link("four", &ada).await;
    assert_eq!(redeem("three", "s6", NOW).await, None, "a newer link ends the older one");
    assert_eq!(redeem("bobs", "s7", NOW).await, Some(bob.login), "of the same person only");
    assert_eq!(redeem("four", "s8", NOW).await, Some(ada.login));
    let page = repository.decisions(None, Paging::default()).await.unwrap();
    let made = page.items.iter().filter(|decision| decision.deed == Deed::LinkMade);
    assert_eq!(made.count(), 5, "each is a leaf");
}

async fn an_invitation_has_its_link_or_there_is_none(database: Database) {
    let repository = database.open().await;
    let bob = add(&repository, 2, "bob", &[]).await;
    let cleo = Person { id: PersonId::from_random([3; 16]), login: "cleo".parse().unwrap(), ..bob.clone() };
    let invite = async |person: &Person, hash: &str| {
        let decided = decided(Deed::PersonInvited, NOW, &[("person", person.id.as_str())]);
        repository.invite_person(person, &[AuthorityRole::Auditor], link(hash), decided).await.unwrap()
    };
    let redeem = async |link: &str, hash: &str| {
        repository.redeem_link(link, session(hash, NOW), salts()).await.unwrap().map(|person| person.login)
    };
    // The login is taken: nobody new, and nothing to come in by.
    assert!(!invite(&Person { login: bob.login, ..cleo.clone() }, "one").await);
    assert_eq!(redeem("one", "s1").await, None);
    assert!(invite(&cleo, "two").await);
    assert_eq!(redeem("two", "s2").await, Some(cleo.login));
}

async fn a_session_ends_by_idleness_by_age_and_by_hand(database: Database) {
    let repository = database.open().await;
    let ada = add(&repository, 1, "ada", &[]).await;
    for hash in ["s1", "s2", "s3"] {
        assert!(repository.open_session(&ada.id, session(hash, NOW), salts()).await.unwrap());
    }
    let found = async |hash: &str, at: Timestamp| {
        repository.session(hash, at, at.plus_secs(-60)).await.unwrap().map(|session| session.person)
    };
    assert_eq!(found("s1", NOW.plus_secs(60)).await, Some(ada.clone()));
    assert_eq!(found("s1", NOW.plus_secs(61)).await, None, "idle for too long");
    repository.touch_session("s1", NOW.plus_secs(9_998)).await.unwrap();
    assert!(found("s1", NOW.plus_secs(9_998)).await.is_some());
    assert_eq!(found("s1", NOW.plus_secs(9_999)).await, None, "at its end");
    let listed = repository.sessions(&ada.id, NOW, NOW).await.unwrap();
    assert_eq!(listed.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), ["s1", "s2", "s3"]);
    assert_eq!((listed[1].method.as_str(), listed[1].place.as_str()), ("link", "192.0.2.7"));
    let end = async |hash, keep| {
        let decided = decided(Deed::SessionEnded, NOW, &[]);
        repository.end_sessions(&ada.id, hash, keep, decided).await.unwrap()
    };
    assert_eq!(end(Some("s2"), None).await, 1);
    assert_eq!(end(None, Some("s1")).await, 1);
    assert_eq!(end(Some("s1"), Some("s1")).await, 0);
    assert!(found("s1", NOW).await.is_some());
    assert_eq!(end(None, None).await, 1);
}

async fn a_token_is_good_as_long_as_its_maker(database: Database) {
    let repository = database.open().await;
    let ada = add(&repository, 1, "ada", &[]).await;
    let token = |id: &str, person: Option<&Person>| Token {
        id: id.into(),
        authority: AuthorityId::local(),
        name: "prometheus".into(),
        roles: vec![AuthorityRole::Analyst, AuthorityRole::Operator],
        person: person.map(|person| person.id.clone()),
        made: NOW,
        expires: NOW.plus_secs(10),
        used: None,
    };
    let (hers, ours) = (token("t1", Some(&ada)), token("t2", None));
    for token in [&hers, &ours] {
        assert!(repository.add_token(token, decided(Deed::TokenMade, NOW, &[])).await.unwrap());
    }
    let good = async |id: &str| repository.token(id, NOW.plus_secs(9)).await.unwrap();
    assert_eq!(good("t1").await, Some(hers.clone()));
    assert_eq!(repository.token("t1", NOW.plus_secs(10)).await.unwrap(), None);
    repository.touch_token("t1", NOW.plus_secs(3)).await.unwrap();
    assert_eq!(good("t1").await.unwrap().used, Some(NOW.plus_secs(3)));
    assert_eq!(repository.tokens(Some(&ada.id), NOW).await.unwrap().len(), 1);
    assert_eq!(repository.tokens(None, NOW).await.unwrap().len(), 2);
    let suspended = decided(Deed::PersonSuspended, NOW, &[]);
    repository.change_person(&ada.id, None, Some(PersonState::Suspended), suspended).await.unwrap();
    assert_eq!(good("t1").await, None);
    assert!(good("t2").await.is_some());
    let revoke = async |place: &Repository, id: &str| {
        place.revoke_token(id, decided(Deed::TokenRevoked, NOW, &[])).await.unwrap()
    };
    assert!(!revoke(&repository.of(id_elsewhere()), "t2").await, "another authority's");
    assert!(revoke(&repository, "t2").await);
    assert_eq!(good("t2").await, None);
}

fn id_elsewhere() -> AuthorityId {
    id("elsewhere")
}

fn credential(id: &str, kind: CredentialKind, body: &str) -> Credential {
    Credential { id: id.into(), kind, label: "key".into(), body: body.into(), made: NOW, used: None }
}

async fn credentials_take_the_place_of_those_before(database: Database) {
    use CredentialKind::*;
    let repository = database.open().await;
    let (ada, bob) = (add(&repository, 1, "ada", &[]).await, add(&repository, 2, "bob", &[]).await);
    let give = async |who: &Person, new: Vec<Credential>| {
        let decided = decided(Deed::CredentialAdded, NOW, &[]);
        repository.add_credentials(&who.id, new, decided).await.unwrap()
    };
    let has = async |who: &Person| {
        let mut ids: Vec<_> =
            repository.credentials(&who.id).await.unwrap().into_iter().map(|known| known.id).collect();
        ids.sort();
        ids
    };
    assert!(give(&ada, vec![credential("p1", Passkey, "a"), credential("w1", Password, "b")]).await);
    assert!(give(&ada, vec![credential("p2", Passkey, "c"), credential("w2", Password, "d")]).await);
    assert_eq!(has(&ada).await, ["p1", "p2", "w2"]);
    assert!(give(&ada, vec![credential("r1", Recovery, "x"), credential("r2", Recovery, "y")]).await);
    assert!(give(&ada, vec![credential("r3", Recovery, "z")]).await);
    assert_eq!(has(&ada).await, ["p1", "p2", "r3", "w2"]);
    assert!(!give(&bob, vec![credential("p1", Passkey, "a")]).await, "another's");
    assert_eq!(has(&bob).await, [""; 0]);
    assert_eq!(repository.whose_credential(Passkey, "p2").await.unwrap(), Some(ada.id.clone()));
    assert_eq!(repository.whose_credential(Identity, "p2").await.unwrap(), None);
    let many = (0..MOST_CREDENTIALS - 3).map(|n| credential(&format!("n{n}"), Passkey, "")).collect();
    assert!(!give(&ada, many).await, "too many");
    let remove = async |who: &Person, id: &str| {
        repository.remove_credential(&who.id, id, decided(Deed::CredentialRemoved, NOW, &[])).await.unwrap()
    };
    assert!(!remove(&bob, "p1").await, "another's");
    assert!(remove(&ada, "p1").await);
    assert_eq!(has(&ada).await, ["p2", "r3", "w2"]);
}

async fn what_is_good_once_is_taken_once(database: Database) {
    let repository = database.open().await;
    let ada = add(&repository, 1, "ada", &[]).await;
    let new = vec![
        credential("t", CredentialKind::Totp, "sealed"),
        credential("r1", CredentialKind::Recovery, "hash"),
    ];
    let deed = decided(Deed::CredentialAdded, NOW, &[]);
    assert!(repository.add_credentials(&ada.id, new, deed).await.unwrap());
    let step = async |at, body| repository.use_credential("t", at, body).await.unwrap();
    let (first, second) = tokio::join!(step(NOW, None), step(NOW, None));
    assert_eq!(usize::from(first) + usize::from(second), 1);
    assert!(!step(NOW.plus_secs(-30), None).await, "an earlier code");
    assert!(step(NOW.plus_secs(30), Some("new".into())).await);
    assert_eq!(repository.credentials(&ada.id).await.unwrap().last().unwrap().body, "new");
    let take = async |hash: &str| repository.take_recovery_code(&ada.id, hash).await.unwrap();
    assert!(!take("other").await);
    let (first, second) = tokio::join!(take("hash"), take("hash"));
    assert_eq!(usize::from(first) + usize::from(second), 1);
    assert!(!repository.use_credential("r1", NOW, None).await.unwrap(), "it is gone");
}

async fn each_change_is_a_leaf(database: Database) {
    let repository = database.open().await;
    let ada = add(&repository, 1, "ada", &[AuthorityRole::Administrator]).await;
    repository.open_session(&ada.id, session("s1", NOW), salts()).await.unwrap();
    // What changed nothing decided nothing.
    let nobody = PersonId::from_random([9; 16]);
    repository.end_sessions(&nobody, None, None, decided(Deed::SessionEnded, NOW, &[])).await.unwrap();
    let role = AuthorityRole::Administrator;
    repository.take_role(&ada.id, role, decided(Deed::RoleTaken, NOW, &[])).await.unwrap();
    let page = repository.decisions(None, Paging::default()).await.unwrap();
    let deeds: Vec<_> = page.items.iter().map(|decision| decision.deed).collect();
    assert_eq!(deeds, [Deed::SignedIn, Deed::PersonInvited]);
    let signed_in = &page.items[0];
    assert_eq!(signed_in.details.as_deref(), Some("by link from 192.0.2.7, Firefox on Linux"));
    assert!(signed_in.who.as_deref().unwrap().contains("ada"));
}

async fn guests_stand_in_the_list_of_where_they_hold_a_role(database: Database) {
    let root = database.open().await;
    for name in ["north", "south"] {
        let new = authority(name, AuthorityLevel::Department, Some("local"));
        root.add_authority(&new, decided(Deed::AuthorityMade, NOW, &[])).await.unwrap().unwrap();
    }
    let (north, south) = (root.of(id("north")), root.of(id("south")));
    let nora = add(&north, 1, "nora", &[AuthorityRole::Administrator]).await;
    let sam = add(&south, 2, "sam", &[AuthorityRole::Analyst]).await;
    let listed = async |view: &Repository, text: Option<&str>| {
        let page = view.people(text, Paging::default()).await.unwrap();
        assert_eq!(page.total, page.items.len() as u64);
        page.items.into_iter().map(|person| person.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(&north, None).await, vec![nora.id.clone()]);
    let given = decided(Deed::RoleGiven, NOW, &[]);
    assert!(north.give_role(&sam.id, AuthorityRole::Operator, given).await.unwrap());
    assert_eq!(listed(&north, None).await, [nora.id.clone(), sam.id.clone()]);
    assert_eq!(listed(&south, None).await, vec![sam.id.clone()]);
    // Once, where they are at home and guest at the same time.
    assert_eq!(listed(&root.seeing(&[id("north"), id("south")]), None).await, [nora.id, sam.id.clone()]);
    // A guest is found by name; what they sign in as is nothing to go by.
    let renamed = decided(Deed::PersonChanged, NOW, &[]);
    south.change_person(&sam.id, Some("Wilhelm"), None, renamed).await.unwrap();
    assert_eq!(listed(&north, Some("wilh")).await, vec![sam.id.clone()]);
    assert_eq!(listed(&north, Some("sam")).await, []);
    assert_eq!(listed(&south, Some("sam")).await, vec![sam.id.clone()]);
    assert_eq!(listed(&root.seeing(&[]), None).await, []);
    let logins = root.logins(&[sam.id.clone(), PersonId::from_random([9; 16])].into()).await.unwrap();
    assert_eq!(logins, [(sam.id, "sam".parse().unwrap())].into());
}

async fn names_are_found_in_every_script(database: Database) {
    let root = database.open().await;
    for (number, name) in [(1, "Ælfgifu ÉCOLE"), (2, "Ωmega"), (3, "Żółć"), (4, "Иван"), (5, "anna_b")]
    {
        let person = Person { name: name.into(), ..person(number, &format!("login-{number}")) };
        assert!(root.add_person(&person, &[], decided(Deed::PersonInvited, NOW, &[])).await.unwrap());
    }
    let check = async |text: &str, expected: &[u8]| {
        let page = root.people(Some(text), Paging::default()).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|n| PersonId::from_random([*n; 16])).collect();
        assert_eq!(page.items.into_iter().map(|person| person.id).collect::<Vec<_>>(), expected, "{text}");
    };
    check("école", &[1]).await;
    check("ÆLF", &[1]).await;
    check("ωM", &[2]).await;
    check("żÓŁ", &[3]).await;
    check("ИВ", &[4]).await;
    check("A_B", &[5]).await;
    check("a.b", &[]).await;
    // Written by a program that did not know the column, as the migration leaves it.
    database.sql("UPDATE person SET search = '' WHERE login = 'login-4'").await;
    check("ив", &[]).await;
    root.close().await;
    let root = database.open().await;
    assert_eq!(root.people(Some("ив"), Paging::default()).await.unwrap().total, 1);
}

async fn nobody_uses_up_what_a_node_takes(database: Database) {
    let root = database.open().await;
    let plant = async |name: &str, parent: &str| {
        let new = authority(name, AuthorityLevel::Department, Some(parent));
        root.of(id(parent)).add_authority(&new, decided(Deed::AuthorityMade, NOW, &[])).await.unwrap()
    };
    for name in ["north", "south"] {
        plant(name, "local").await.unwrap();
    }
    let mut above = "north".to_owned();
    for depth in 0..3 {
        let name = format!("deep-{depth}");
        plant(&name, &above).await.unwrap();
        above = name;
    }
    // Four steps down a quarter of a quarter of a quarter of a quarter is left, but a few in any case.
    let mut planted = 0;
    let full = loop {
        match plant(&format!("leaf-{planted}"), &above).await {
            Ok(()) => planted += 1,
            Err(reason) => break reason,
        }
    };
    assert_eq!((planted, full), (15, NotPlanted::Full(16)));
    // Beside it, and above it, there is room.
    assert_eq!(plant("more", "deep-1").await, Ok(()));
    assert_eq!(plant("beside", "south").await, Ok(()));
    let deep = root.of(id("leaf-0"));
    let invite = async |repository: &Repository, number: u128| {
        let person = Person {
            authority: repository.authority().clone(),
            id: PersonId::from_random(number.to_be_bytes()),
            ..person(1, &format!("login-{number}"))
        };
        repository.add_person(&person, &[], decided(Deed::PersonInvited, NOW, &[])).await
    };
    for number in 0..100 {
        assert!(invite(&deep, number).await.unwrap());
    }
    let refused = invite(&deep, 100).await;
    assert!(matches!(refused, Err(store::StoreError::Full { what: "people", most: 100 })), "{refused:?}");
    assert!(invite(&root.of(id("deep-0")), 100).await.unwrap());
    assert!(root.health().await.ok);
}

async fn a_database_belongs_to_whom_it_was_founded_for(database: Database) {
    let key = incidents::key;
    let own = |name: &str| store::Own { id: Some(id(name)), ..store::Own::default() };
    let city = store::Own {
        name: Some("Harbour City".into()),
        level: Some(AuthorityLevel::Regional),
        ..own("harbour-city")
    };
    let repository = Repository::open(&database.url, city, key()).await.unwrap();
    let tree = repository.tree().await.unwrap();
    let root = tree.get(&id("harbour-city")).unwrap();
    assert_eq!((root.name.as_str(), root.level), ("Harbour City", AuthorityLevel::Regional));
    assert_eq!(tree.root(), Some(&root.id));
    assert_eq!(tree.all().count(), 1);
    let police = authority("police", AuthorityLevel::Department, Some("harbour-city"));
    repository.add_authority(&police, decided(Deed::AuthorityMade, NOW, &[])).await.unwrap().unwrap();
    // Nothing stands beside the root, or above it.
    let other = authority("other", AuthorityLevel::National, None);
    let beside = repository.add_authority(&other, decided(Deed::AuthorityMade, NOW, &[])).await.unwrap();
    assert_eq!(beside, Err(NotPlanted::NoParent));
    repository.close().await;
    let whose = async |own: store::Own| {
        let opened = Repository::open(&database.url, own, key()).await;
        match opened {
            Ok(repository) => {
                repository.close().await;
                Ok(repository.authority().to_string())
            }
            Err(error) => Err(error.to_string()),
        }
    };
    assert_eq!(whose(store::Own::default()).await.as_deref(), Ok("harbour-city"));
    assert_eq!(whose(own("harbour-city")).await.as_deref(), Ok("harbour-city"));
    assert_eq!(whose(own("police")).await.as_deref(), Ok("police"));
    let refused = whose(own("elsewhere")).await.unwrap_err();
    assert!(
        refused.contains("belongs to authority harbour-city, and elsewhere is not below it"),
        "{refused}"
    );
    let archive = store::Archive::open(database.url.clone()).await.unwrap();
    assert_eq!(archive.own().await.unwrap(), id("harbour-city"));
    archive.close().await;
}
