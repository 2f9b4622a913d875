//! Every route of the API and the console, tried as a stranger, as a sibling and with each role.

use crate::city::{self, Browser, Page};
use axum::http::{Method, StatusCode, header};
use identify::merge::Observed;
use ledger::{Deed, Salt, Subject};
use model::{
    Authority, AuthorityId, AuthorityLevel, AuthorityRole, Criticality, Effect, Exception, PersonId,
    PersonState, PlanStatus, Severity,
};
use policy::Action;
use server::{
    AppState,
    routes::{Door, ROUTES, reads_body},
};
use std::collections::{BTreeMap, BTreeSet};
use store::{Actor, Closed, Decided, ExceptionRecord, IncidentState, Paging, Person, Repository, Token};

city::on_both!(
    a_stranger_passes_no_door_but_the_open_ones,
    each_role_passes_its_doors_and_no_other,
    no_body_reaches_another_authority,
    siblings_see_and_change_nothing_of_each_other,
    the_same_id_in_two_authorities_is_two_records,
    a_token_may_no_more_than_whoever_made_it,
    links_from_above_lead_to_the_record_that_was_shown
);

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// What each role may, written down a second time: the policies are tested, not repeated.
fn roles_that_may(action: Action) -> &'static [AuthorityRole] {
    use AuthorityRole::*;
    match action {
        Action::SeeIncidents | Action::SeeRecord => &[Administrator, Analyst, Operator, Auditor],
        Action::SeeAssets | Action::SeeNode => &[Administrator, Analyst, Operator, Auditor, Integrator],
        Action::SeePeople => &[Administrator, Auditor],
        Action::JudgeIncidents => &[Analyst],
        Action::Respond => &[Operator],
        Action::MakeTokens => &[Administrator, Analyst, Operator, Auditor, Integrator],
        Action::EnrolDevices => &[Administrator, Integrator],
        Action::ManagePeople | Action::ManageAuthorities | Action::ChangeSettings => &[Administrator],
    }
}

/// Where only a device passes, by the certificate that it shows in TLS: a person is nobody there.
const BY_CERTIFICATE: [&str; 4] = [wire::REPORTS, wire::SETTINGS, wire::NOTICES, wire::ORDERS];

/// local, with north and south below it; everything happened in north.
struct Tree {
    state: AppState,
    given: city::Given,
    ids: BTreeMap<&'static str, String>,
    _dir: tempfile::TempDir,
}

fn salts() -> [Salt; 2] {
    [Salt::new([1; 32]), Salt::new([2; 32])]
}

fn decided(deed: Deed) -> Decided {
    Decided {
        at: model::Timestamp::from_secs(1_800_000_000),
        who: Actor::Program,
        deed,
        about: Vec::new(),
        details: None,
        salts: salts(),
    }
}

fn id(text: &str) -> AuthorityId {
    text.parse().unwrap()
}

async fn tree() -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    for name in ["north", "south"] {
        let new = Authority {
            id: id(name),
            name: name.to_uppercase(),
            level: AuthorityLevel::Department,
            parent: Some(AuthorityId::local()),
        };
        state.repository().add_authority(&new, decided(Deed::AuthorityMade)).await.unwrap().unwrap();
    }
    let north = state.repository().of(id("north"));
    let mut ids = night(&north, &state).await;
    let nora = Person {
        authority: id("north"),
        id: PersonId::from_random([1; 16]),
        login: "nora".parse().unwrap(),
        name: "Nora of North".into(),
        state: PersonState::Active,
        made: state.now(),
    };
    assert!(north.add_person(&nora, &[AuthorityRole::Auditor], decided(Deed::PersonInvited)).await.unwrap());
    let token = Token {
        id: hash("a token of north"),
        authority: id("north"),
        name: "the northern script".into(),
        roles: vec![AuthorityRole::Auditor],
        person: None,
        made: state.now(),
        expires: state.now().plus_secs(3_600),
        used: None,
    };
    assert!(north.add_token(&token, decided(Deed::TokenMade)).await.unwrap());
    ids.extend([("people", nora.id.to_string()), ("authorities", "north".into()), ("tokens", token.id)]);
    Tree { state, given, ids, _dir: dir }
}

/// An attack in an authority: incident, two plans, a command in force, an exception, an asset.
async fn night(repository: &Repository, state: &AppState) -> BTreeMap<&'static str, String> {
    let now = state.now();
    let (isolate, block) = (city::isolate(now), city::block(now));
    let (attack, guessing) = (city::takeover(now, 240), city::guessing(now, 3, Severity::High));
    let camera = city::asset(now, 17, Some("cam-07"), "camera", Criticality::Ordinary);
    let seen = Observed { asset: camera.clone(), known: Vec::new(), talks: Vec::new() };
    repository.observe(store::Source::Sensor(None), seen).await.unwrap();
    for incident in [&attack, &guessing] {
        repository.keep_incident(incident, &[], now).await.unwrap();
    }
    let proposed = city::plan(now, PlanStatus::Proposed, vec![isolate]);
    repository.keep_plan(&proposed, now, salts()).await.unwrap();
    repository
        .keep_plan(&city::plan(now, PlanStatus::Active, vec![block.clone()]), now, salts())
        .await
        .unwrap();
    repository.keep_receipt(&city::receipt(now, &block, Effect::Applied), salts()).await.unwrap();
    let exception = Exception {
        incident: guessing.id.clone(),
        detector: guessing.evidence[0].detector.clone(),
        address: guessing.assets[0].address,
        peer: None,
        until: now.plus_secs(86_400),
        reason: "the installer".into(),
        who: "ada".into(),
    };
    let closed = Closed { at: now, by: "ada".into(), reason: "the installer".into() };
    let record = ExceptionRecord::new(repository.authority().clone(), exception, now);
    let exceptions = [(record, decided(Deed::ExceptionMade))];
    let (false_alarm, decided) = (IncidentState::FalseAlarm, decided(Deed::IncidentClosed));
    repository.close_incident(&guessing.id, false_alarm, &closed, &exceptions, decided).await.unwrap();
    let exception = repository.exceptions().await.unwrap()[0].id.clone();
    BTreeMap::from([
        ("incidents", attack.id.to_string()),
        ("plans", proposed.id.to_string()),
        ("commands", block.id.to_string()),
        ("exceptions", exception),
        ("assets", camera.id),
    ])
}

impl Tree {
    async fn person(&self, name: &str, place: &str, roles: &[AuthorityRole]) -> Browser {
        let number = name.bytes().fold(7_u128, |number, byte| number.wrapping_mul(257) + u128::from(byte));
        let place = self.state.repository().of(id(place));
        let person = Person {
            authority: place.authority().clone(),
            id: PersonId::from_random(number.to_be_bytes()),
            login: name.parse().unwrap(),
            name: name.to_uppercase(),
            state: PersonState::Active,
            made: self.state.now(),
        };
        assert!(place.add_person(&person, roles, decided(Deed::PersonInvited)).await.unwrap());
        Browser::sign_in_as(&self.state, &person).await
    }

    /// The address of a route with the ids of what is in north.
    fn path(&self, route: &str) -> String {
        let kind = route.split('/').find(|part| self.ids.contains_key(part)).unwrap_or("incidents");
        route
            .replace("{id}", &self.ids[kind].replace(':', "%3A"))
            .replace("{address}", "192.168.20.17")
            .replace("{deed}", "sign-out")
            .replace("{place}", "north")
            .replace("{role}", "auditor")
            .replace("{file}", "console.css")
    }

    /// Everything that a request could have changed.
    async fn record(&self) -> String {
        let north = self.state.repository().of(id("north"));
        let incident = north.incident(&self.ids["incidents"].parse().unwrap()).await.unwrap().unwrap();
        let plans = north.plans(None, Paging::default()).await.unwrap();
        let exceptions = north.exceptions().await.unwrap();
        let decisions = north.decisions(None, Paging::default()).await.unwrap().total;
        let orders = self.given.lock().unwrap().len();
        let people = north.people(None, Paging::default()).await.unwrap().items;
        let tokens = north.tokens(None, self.state.now()).await.unwrap();
        let tree = north.tree().await.unwrap();
        format!(
            "{:?} {:?} {exceptions:?} {decisions} {orders} {people:?} {tokens:?} {tree:?}",
            (incident.state, incident.revision),
            plans.items
        )
    }
}

const fn refused(page: &Page) -> bool {
    matches!(page.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

async fn a_stranger_passes_no_door_but_the_open_ones() {
    let tree = tree().await;
    let before = tree.record().await;
    const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let (cookie, token) = (format!("__Host-bastide={NONE}"), format!("Bearer {NONE}"));
    let strangers: [&[(&str, &str)]; 5] = [
        &[],
        &[("sec-fetch-site", "same-origin")],
        &[("origin", "https://localhost:8443"), ("accept", "text/html")],
        &[("cookie", &cookie), ("sec-fetch-site", "same-origin")],
        &[("authorization", &token)],
    ];
    let mut open = BTreeSet::new();
    let browser = Browser::stranger(&tree.state);
    for path in ROUTES.iter().map(|(_, path, _)| *path).collect::<BTreeSet<_>>() {
        for method in &METHODS {
            for headers in strangers {
                let page = browser.ask(method, &tree.path(path), headers, "").await;
                let to_sign_in = page.status == StatusCode::SEE_OTHER
                    && page.headers[header::LOCATION].to_str().unwrap().starts_with("/sign-in");
                if !refused(&page) && !to_sign_in {
                    let name = if *method == Method::HEAD { "GET" } else { method.as_str() };
                    open.insert((name.to_owned(), path));
                }
            }
        }
    }
    let expected: BTreeSet<_> = ROUTES
        .iter()
        .filter(|(_, path, door)| {
            matches!(door, Door::Anybody | Door::Proved) && !BY_CERTIFICATE.contains(path)
        })
        .map(|(method, path, _)| ((*method).to_owned(), *path))
        .collect();
    assert_eq!(open, expected);
    assert_eq!(tree.record().await, before);
}

async fn each_role_passes_its_doors_and_no_other() {
    let tree = tree().await;
    for role in AuthorityRole::ALL {
        for place in ["north", "local"] {
            let browser = tree.person(&format!("{role}-{place}"), place, &[role]).await;
            for (method, route, door) in ROUTES {
                if *route == "/sign-out" {
                    continue;
                }
                let may = match door {
                    Door::Anybody | Door::Proved | Door::SignedIn => true,
                    Door::Of(action) => roles_that_may(*action).contains(&role),
                    // The node is local's, and who stands below it has no say in it.
                    Door::Here(action) => place == "local" && roles_that_may(*action).contains(&role),
                };
                let before = tree.record().await;
                let page = browser.ask(&method.parse().unwrap(), &tree.path(route), &[], "").await;
                if BY_CERTIFICATE.contains(route) {
                    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{role} of {place}: {method} {route}");
                    continue;
                }
                assert_eq!(!refused(&page), may, "{role} of {place}: {method} {route}: {}", page.status);
                if !may {
                    assert_eq!(tree.record().await, before, "{role} of {place}: {method} {route}");
                    let told = page.text.contains("takes the role of");
                    assert!(told, "{role} of {place}: {method} {route}: {}", page.text);
                }
            }
        }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A body that would do for a route.
fn body_of(route: &str) -> &'static str {
    match route {
        "/api/v1/people" => r#"{"login": "eve", "name": "Eve", "authority": "north", "roles": ["auditor"]}"#,
        "/api/v1/authorities" => r#"{"id": "new", "name": "New", "level": "department", "parent": "north"}"#,
        "/api/v1/tokens" => r#"{"name": "x", "authority": "north", "roles": ["auditor"]}"#,
        "/api/v1/assets/{id}/{deed}" | "/api/v1/certificates/{fingerprint}/{deed}" => "{}",
        "/api/v1/certificate-authorities/{id}/{deed}" | "/api/v1/certificate-authorities/request" => "{}",
        "/api/v1/certificate-authorities/import" => r#"{"chain": "x"}"#,
        "/api/v1/enrolment-tokens" => r#"{"name": "x", "authority": "north"}"#,
        "/api/v1/makers" => r#"{"name": "x", "certificate": "x", "authority": "north"}"#,
        "/enrolment/tokens" => "name=x&place=north",
        "/enrolment/makers" => "name=x&profile=device&certificate=x&place=north",
        "/api/v1/people/{id}/roles" => r#"{"role": "operator", "authority": "north"}"#,
        "/api/v1/people/{id}" | "/api/v1/authorities/{id}" => r#"{"name": "Eve"}"#,
        "/api/v1/assets" => r#"{"ids": ["02:00:5e:10:00:11"], "owner": "x"}"#,
        "/api/v1/assets/{id}/join" => r#"{"with": "x"}"#,
        "/api/v1/assets/{id}/part" => r#"{"source": "sensor", "subject": "x"}"#,
        "/assets/declare" => "ids=02%3A00%3A5e%3A10%3A00%3A11&owner=x",
        "/api/v1/responding" => r#"{"responding": false}"#,
        "/api/v1/authorities/{id}/identity-provider" => {
            r#"{"name": "x", "issuer": "https://x.example", "client_id": "x", "client_secret": "x"}"#
        }
        "/people" => "login=eve&name=Eve&place=north&role=auditor",
        "/authorities" => "id=new&name=New&level=department&parent=north",
        "/authorities/{id}/rename" => "name=Eve",
        "/tokens" => "name=x&place=north&role=auditor&days=1",
        "/authorities/{id}/identity-provider" => {
            "name=x&issuer=https%3A%2F%2Fx.example&client_id=x&client_secret=x&recognises=none"
        }
        "/incidents/{id}/close" => "state=resolved&reason=done",
        route if route.starts_with("/api/") => r#"{"reason": "done", "state": "resolved"}"#,
        _ => "",
    }
}

/// A maker whose certificate is good until 2126.
const MAKER: &str = concat!(
    r#"{"name": "x", "authority": "PLACE", "certificate": "-----BEGIN CERTIFICATE-----\n"#,
    r"MIIBdzCCAR2gAwIBAgIUF29jL348+OJhjsCEGeIFMq2LOnMwCgYIKoZIzj0EAwIw\n",
    r"EDEOMAwGA1UECgwFTWFrZXIwIBcNMjYxMTIzMDA1MDA1WhgPMjEyNjEwMzAwMDUw\n",
    r"MDVaMBAxDjAMBgNVBAoMBU1ha2VyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n",
    r"xmWEXRz317tln+6iWHWGgGecgSDuOrw5OWr+gFvLLnLx0C9Fn8stXm7l43wg0k9o\n",
    r"MK/wloOR2Tt0gqYwCXj+TaNTMFEwHQYDVR0OBBYEFFZwfY34a9Yvaw0c3slvPHLb\n",
    r"gtiAMB8GA1UdIwQYMBaAFFZwfY34a9Yvaw0c3slvPHLbgtiAMA8GA1UdEwEB/wQF\n",
    r"MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhALz92kOK/m6RvzQgmfppvanUOhHHVIIo\n",
    r"D5CikJnIeM+cAiBRwNXHHQz17NzVLTCbjWzV+zM/sqYy7l4qpxNaNIVfeQ==\n",
    r#"-----END CERTIFICATE-----\n"}"#
);

/// Method and path of what takes a body in which an authority is named, by the API's description.
fn naming_an_authority() -> BTreeSet<(String, String)> {
    let document = server::api::document();
    let mut found = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"][JSON]["schema"]["$ref"];
            let name = schema.as_str().unwrap_or_default().rsplit('/').next().unwrap();
            let fields = document["components"]["schemas"][name]["properties"].as_object();
            if fields.is_some_and(|fields| fields.contains_key("authority") || fields.contains_key("parent"))
            {
                found.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    found
}

async fn no_body_reaches_another_authority() {
    let tree = tree().await;
    let sibling = tree.person("sibling", "south", &AuthorityRole::ALL).await;
    tree.person("sue", "south", &[AuthorityRole::Auditor]).await;
    let sue = tree.state.repository().person_by_login(&"sue".parse().unwrap()).await.unwrap().unwrap().id;
    // What is one's own stands in the path, so that only the body can be what is refused.
    let own = |route: &str| route.replace("{id}", sue.as_str());
    let mut tried = BTreeSet::new();
    for (method, route, body) in [
        ("POST", "/api/v1/people", r#"{"login": "eve", "name": "Eve", "authority": "PLACE"}"#),
        ("POST", "/api/v1/people/{id}/roles", r#"{"role": "auditor", "authority": "PLACE"}"#),
        (
            "POST",
            "/api/v1/authorities",
            r#"{"id": "new", "name": "New", "level": "department", "parent": "PLACE"}"#,
        ),
        ("POST", "/api/v1/tokens", r#"{"name": "x", "authority": "PLACE", "roles": ["auditor"]}"#),
        ("POST", "/api/v1/enrolment-tokens", r#"{"authority": "PLACE"}"#),
        ("POST", "/api/v1/makers", MAKER),
        ("DELETE", "/api/v1/people/{id}/roles/PLACE/auditor", ""),
        ("POST", "/people", "login=eve&name=Eve&place=PLACE&role=auditor"),
        ("POST", "/people/{id}/give", "role=auditor&place=PLACE"),
        ("POST", "/people/{id}/take", "role=auditor&place=PLACE"),
        ("POST", "/authorities", "id=new&name=New&level=department&parent=PLACE"),
        ("POST", "/tokens", "name=x&place=PLACE&role=auditor&days=1"),
    ] {
        tried.insert((method.to_owned(), route.to_owned()));
        let kind = if route.starts_with("/api/") { JSON } else { FORM };
        let ask = async |place: &str| {
            let path = own(route).replace("PLACE", place);
            let body = body.replace("PLACE", place);
            sibling.ask(&method.parse().unwrap(), &path, &[("content-type", kind)], &body).await
        };
        let leaves = async || {
            let mut leaves = Vec::new();
            for place in ["north", "south", "local"] {
                let theirs = tree.state.repository().of(id(place));
                leaves.push(theirs.decisions(None, Paging::default()).await.unwrap().total);
            }
            leaves
        };
        let before = (tree.record().await, leaves().await);
        // Nobody learns which of them there are.
        let nowhere = ask("nowhere").await;
        for place in ["north", "local"] {
            let page = ask(place).await;
            assert!(
                matches!(page.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
                "{method} {route} of {place}: {} {}",
                page.status,
                page.text
            );
            assert_eq!(
                (page.status, page.text.replace(place, "nowhere")),
                (nowhere.status, nowhere.text.clone()),
                "{method} {route} of {place}"
            );
        }
        assert_eq!((tree.record().await, leaves().await), before, "{method} {route}");
        // In their own they may: else the test could not fail.
        if method == "POST" && route != "/people/{id}/take" {
            let page = ask("south").await;
            let done = page.status.is_success() || page.status == StatusCode::SEE_OTHER;
            let known = page.status == StatusCode::CONFLICT;
            assert!(done || known, "{method} {route}: {} {}", page.status, page.text);
        }
    }
    let missing: Vec<_> = naming_an_authority().difference(&tried).cloned().collect();
    assert!(missing.is_empty(), "not tried: {missing:?}");
}

async fn siblings_see_and_change_nothing_of_each_other() {
    let tree = tree().await;
    // Whoever looks from above sees it: else the test could not fail.
    let above = tree.person("above", "local", &AuthorityRole::ALL).await;
    let sibling = tree.person("sibling", "south", &AuthorityRole::ALL).await;
    let secrets = [
        "nora",
        "northern",
        "cam-07",
        "192.168.20.17",
        "203.0.113.",
        "north",
        "NORTH",
        "the installer",
        "street0",
    ];
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for (method, route, door) in ROUTES {
        if *route == "/sign-out" || *route == "/api/v1/stream" {
            continue;
        }
        let method: Method = method.parse().unwrap();
        let path = tree.path(route);
        if method == Method::GET {
            let page = above.ask(&method, &path, &[], "").await;
            shown.extend(secrets.iter().copied().filter(|secret| page.text.contains(*secret)));
        }
        let before = tree.record().await;
        for path in [path.clone(), format!("{path}?authority=north"), format!("{path}?authority=local")] {
            let kind = if path.starts_with("/api/") { JSON } else { FORM };
            let body = if reads_body(&method, route) { body_of(route) } else { "" };
            let page = sibling.ask(&method, &path, &[("content-type", kind)], body).await;
            assert_eq!(tree.record().await, before, "{method} {path}");
            // What was sent comes back in a message, and the last address of a page in its links.
            let text = tree.ids.values().fold(page.text.replace(&path, ""), |text, id| text.replace(id, ""));
            let text =
                text.replace("there is no address \"192.168.20.17\"", "").replace("?authority=north", "");
            let leaked: Vec<_> =
                secrets.iter().filter(|secret| text.contains(**secret) && !path.contains(**secret)).collect();
            assert!(leaked.is_empty() || page.status == StatusCode::NOT_FOUND, "{method} {path}: {leaked:?}");
            match door {
                // A list is one's own: it names nothing of others.
                _ if method == Method::POST
                    && !path.contains('?')
                    && ["/assets/list", "/api/v1/assets"].contains(route) =>
                {
                    assert_eq!(
                        page.status,
                        StatusCode::UNPROCESSABLE_ENTITY,
                        "{method} {path}: {}",
                        page.text
                    );
                }
                Door::Here(_) => assert_eq!(page.status, StatusCode::FORBIDDEN, "{method} {path}"),
                Door::Of(_) if route.contains('{') || path.contains('?') || method != Method::GET => {
                    assert_eq!(page.status, StatusCode::NOT_FOUND, "{method} {path}: {}", page.text);
                }
                Door::Of(_) | Door::Anybody | Door::Proved | Door::SignedIn => {}
            }
        }
    }
    for secret in ["nora", "northern", "cam-07", "192.168.20.17", "203.0.113.", "north", "the installer"] {
        assert!(shown.contains(secret), "{secret} is shown to nobody: the test would miss it");
    }
}

async fn the_same_id_in_two_authorities_is_two_records() {
    let tree = tree().await;
    let south = tree.state.repository().of(id("south"));
    night(&south, &tree.state).await;
    let above = tree.person("above", "local", &AuthorityRole::ALL).await;
    let path = format!("/api/v1/incidents/{}", tree.ids["incidents"]);
    let ask = async |path: &str| above.ask(&Method::GET, path, &[], "").await;
    let both = ask(&path).await;
    assert_eq!(both.status, StatusCode::CONFLICT);
    assert!(both.text.contains("`?authority=` with one of north, south"), "{}", both.text);
    for name in ["north", "south"] {
        let one = ask(&format!("{path}?authority={name}")).await;
        let record: serde_json::Value = serde_json::from_str(&one.text).unwrap();
        assert_eq!(record["authority"], name);
        let listed = ask(&format!("/api/v1/incidents?authority={name}&state=open")).await;
        let listed: serde_json::Value = serde_json::from_str(&listed.text).unwrap();
        assert_eq!((&listed["total"], &listed["items"][0]["authority"]), (&1.into(), &name.into()));
    }
    let close = format!("{path}/close?authority=south");
    let body = r#"{"reason": "done", "state": "resolved"}"#;
    let answer = above.ask(&Method::POST, &close, &[("content-type", "application/json")], body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    let state = async |name: &str| {
        let theirs = tree.state.repository().of(id(name));
        theirs.incident(&tree.ids["incidents"].parse().unwrap()).await.unwrap().unwrap().state
    };
    assert_eq!((state("north").await, state("south").await), (IncidentState::Open, IncidentState::Resolved));
    // It stands in the ledger of the authority that it is about.
    let closed = async |of: &Repository| {
        let about = Subject::new("incident", &tree.ids["incidents"]).unwrap();
        let decisions = of.decisions(Some(&about), Paging::default()).await.unwrap().items;
        decisions.iter().any(|decision| decision.deed == Deed::IncidentClosed)
    };
    let north = tree.state.repository().of(id("north"));
    assert_eq!((closed(&north).await, closed(&south).await), (false, true));
}

/// What is kept of a secret.
fn hash(secret: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn a_token_may_no_more_than_whoever_made_it() {
    let tree = tree().await;
    let repository = tree.state.repository();
    tree.person("maker", "local", &[AuthorityRole::Operator]).await;
    let person = repository.person_by_login(&"maker".parse().unwrap()).await.unwrap().unwrap();
    let token = Token {
        id: hash("BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"),
        authority: AuthorityId::local(),
        name: "script".into(),
        roles: vec![AuthorityRole::Operator, AuthorityRole::Analyst],
        person: Some(person.id.clone()),
        made: tree.state.now(),
        expires: tree.state.now().plus_secs(60),
        used: None,
    };
    assert!(repository.add_token(&token, decided(Deed::TokenMade)).await.unwrap());
    let program = Browser::stranger(&tree.state);
    let ask = async |method: Method, path: &str| {
        let bearer = [("authorization", "Bearer BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB")];
        program.ask(&method, path, &bearer, "").await.status.as_u16()
    };
    let judge = format!("/api/v1/incidents/{}/reopen", tree.ids["incidents"]);
    assert_eq!(ask(Method::POST, "/api/v1/commands/undo-all").await, 202);
    assert_eq!(ask(Method::POST, &judge).await, 403, "its maker is no analyst");
    let taken = decided(Deed::RoleTaken);
    repository.take_role(&person.id, AuthorityRole::Operator, taken).await.unwrap();
    assert_eq!(
        ask(Method::POST, "/api/v1/commands/undo-all").await,
        403,
        "its maker is no operator any more"
    );
}

async fn links_from_above_lead_to_the_record_that_was_shown() {
    let tree = tree().await;
    // The same attack is known here, too: the address alone would mean this one.
    night(tree.state.repository(), &tree.state).await;
    let above = tree.person("above", "local", &AuthorityRole::ALL).await;
    let id = &tree.ids["incidents"];
    let link = format!("/incidents/{id}?authority=north");
    let plan = format!("/plans/{}/approve?authority=north", tree.ids["plans"]);
    for (path, wanted) in [
        ("/incidents", format!("href=\"{link}\"")),
        ("/", format!("href=\"{link}\"")),
        ("/assets", format!("href=\"/assets/{}?authority=north\"", tree.ids["assets"].replace(':', "%3A"))),
        (&link, format!("action=\"/incidents/{id}/close?authority=north\"")),
        (&link, format!("action=\"{plan}\"")),
        (&link, "href=\"/assets/at/192.168.20.17?authority=north\"".to_owned()),
    ] {
        let page = above.get(path).await;
        assert!(page.text.contains(&wanted), "{path}: {wanted}\n{}", page.text);
    }
    let form = "state=resolved&reason=done";
    let closed = above.post(&format!("/incidents/{id}/close?authority=north"), form).await;
    assert_eq!(closed.headers[header::LOCATION], *link);
    let state = async |place: &str| {
        let theirs = tree.state.repository().of(self::id(place));
        theirs.incident(&id.parse().unwrap()).await.unwrap().unwrap().state
    };
    assert_eq!((state("north").await, state("local").await), (IncidentState::Resolved, IncidentState::Open));
    // No sensor of north runs here.
    assert_eq!(above.post(&plan, "").await.status, StatusCode::CONFLICT);
}

/// Server time of pages for an administrator with 2 000 authorities: `cargo nextest run --release -p server
/// --run-ignored only --no-capture pages_of_a_large_tree`.
#[tokio::test]
#[ignore = "measures: bench/README.md has the figures"]
async fn pages_of_a_large_tree() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let plant = async |parent: &str, name: &str| {
        let (level, parent) = (AuthorityLevel::Department, id(parent));
        let new = Authority { id: id(name), name: name.to_uppercase(), level, parent: Some(parent.clone()) };
        let made = decided(Deed::AuthorityMade);
        state.repository().of(parent).add_authority(&new, made).await.unwrap().unwrap();
    };
    for district in 0..10 {
        let district = format!("district-{district}");
        plant("local", &district).await;
        for street in 0..198 {
            plant(&district, &format!("{district}-street-{street}")).await;
        }
    }
    let browser = Browser::sign_in(&state).await;
    println!("{:<34} {:>10} {:>10} {:>10}", "page", "median ms", "worst ms", "KiB");
    for path in ["/", "/incidents", "/people", "/authorities", "/tokens", "/account", "/api/v1/incidents"] {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..11 {
            let begun = std::time::Instant::now();
            let page = browser.get(path).await;
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            assert_eq!(page.status, StatusCode::OK, "{path}");
            bytes = page.text.len() >> 10;
        }
        times.sort_by(f64::total_cmp);
        println!("{path:<34} {:>10.1} {:>10.1} {bytes:>10}", times[5], times[10]);
    }
}
