//! Signing in with an authority's identity provider: a real one, and one that does everything wrong.

use crate::city::{self, Browser, HOST};
use crate::issuer::{CLIENT, Issuer, SECRET, Signed, parameters, visit};
use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use ledger::{Deed, Salt};
use model::{Authority, AuthorityId, AuthorityLevel, AuthorityRole, PersonId, PersonState};
use serde_json::{Value, json};
use server::{AppState, auth};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use store::{Actor, CredentialKind, Decided, Paging, Person};
use tower::ServiceExt as _;

/// A browser that keeps cookies, and does not send all of them where it comes from another site.
struct Client {
    state: AppState,
    jar: BTreeMap<String, (String, bool)>,
    place: [u8; 4],
}

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    fn to(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }

    /// What the page says went wrong.
    fn problem(&self) -> &str {
        let (_, after) = self
            .text
            .split_once("<p class=\"notice bad\" role=\"alert\">")
            .unwrap_or_else(|| panic!("{}", self.text));
        after.split_once("</p>").unwrap().0
    }
}

impl Client {
    fn new(state: &AppState) -> Self {
        Self { state: state.clone(), jar: BTreeMap::new(), place: [192, 0, 2, 7] }
    }

    async fn by_link(state: &AppState, person: &Person) -> Self {
        let url = format!("https://{HOST}");
        let link = auth::make_link(state.repository(), &url, person, None, state.now(), 60).await.unwrap();
        let mut client = Self::new(state);
        let request = Request::post("/sign-in/link")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        client.send(request, false, link.split_once('?').unwrap().1).await;
        assert!(client.is_in());
        client
    }

    fn is_in(&self) -> bool {
        self.jar.contains_key("__Host-bastide")
    }

    async fn send(
        &mut self,
        request: axum::http::request::Builder,
        from_elsewhere: bool,
        body: &str,
    ) -> Page {
        let sent = self.jar.iter().filter(|(_, (_, strict))| !(from_elsewhere && *strict));
        let jar: Vec<String> = sent.map(|(name, (value, _))| format!("{name}={value}")).collect();
        let request = request
            .header(header::HOST, HOST)
            .header(header::COOKIE, jar.join("; "))
            .header(header::ACCEPT, "text/html")
            .extension(ConnectInfo(SocketAddr::from((self.place, 40_000))))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let (parts, body) = server::router(self.state.clone()).oneshot(request).await.unwrap().into_parts();
        for set in parts.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(set.contains("; Path=/; Secure; HttpOnly; SameSite="), "{set}");
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.ends_with("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), (value.to_owned(), set.contains("SameSite=Strict")));
            }
        }
        let text = axum::body::to_bytes(body, 16 << 20).await.unwrap();
        Page { status: parts.status, headers: parts.headers, text: String::from_utf8(text.to_vec()).unwrap() }
    }

    async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(path), false, "").await
    }

    async fn post(&mut self, path: &str) -> Page {
        let request = Request::post(path).header("sec-fetch-site", "same-origin");
        self.send(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded"), false, "").await
    }

    /// A provider sends it to this address.
    async fn sent_to(&mut self, address: &str) -> Page {
        let path = address.strip_prefix(&format!("https://{HOST}")).unwrap_or(address);
        self.send(Request::get(path).header("sec-fetch-site", "cross-site"), true, "").await
    }

    /// Goes to the provider of an authority; where it is sent back to.
    async fn goes(&mut self, issuer: &Issuer, authority: &str) -> String {
        let page = self.get(&format!("/sign-in/with/{authority}?next=/incidents")).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        self.lets_say(issuer, authority, page.to())
    }

    fn lets_say(&mut self, issuer: &Issuer, authority: &str, address: &str) -> String {
        let asked = issuer.visited(address);
        assert_eq!(asked["redirect_uri"], format!("https://{HOST}/sign-in/return/{authority}"));
        format!("/sign-in/return/{authority}?code=the-code&state={}", asked["state"])
    }

    /// Goes there and comes back.
    async fn signs_in(&mut self, issuer: &Issuer, authority: &str) -> Page {
        let back = self.goes(issuer, authority).await;
        self.sent_to(&back).await
    }
}

fn id(text: &str) -> AuthorityId {
    text.parse().unwrap()
}

fn decided(state: &AppState, deed: Deed) -> Decided {
    let salts = [Salt::new([1; 32]), Salt::new([2; 32])];
    Decided { at: state.now(), who: Actor::Program, deed, about: Vec::new(), details: None, salts }
}

/// local, with north and south below it.
struct Scene {
    state: AppState,
    admin: Browser,
    _dir: tempfile::TempDir,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let admin = Browser::sign_in(&state).await;
    for name in ["north", "south"] {
        let new = Authority {
            id: id(name),
            name: format!("The {name}"),
            level: AuthorityLevel::Department,
            parent: Some(AuthorityId::local()),
        };
        state.repository().add_authority(&new, decided(&state, Deed::AuthorityMade)).await.unwrap().unwrap();
    }
    Scene { state, admin, _dir: dir }
}

fn settings(issuer: &str, recognises: &str) -> Value {
    json!({ "name": "City login", "issuer": issuer, "client_id": CLIENT, "client_secret": SECRET, "recognises": recognises })
}

impl Scene {
    async fn put(&self, authority: &str, settings: &Value) -> city::Page {
        let path = format!("/api/v1/authorities/{authority}/identity-provider");
        let json = [("content-type", "application/json")];
        self.admin.ask(&Method::PUT, &path, &json, &settings.to_string()).await
    }

    async fn provider(&self, authority: &str, issuer: &Issuer, recognises: &str) {
        let page = self.put(authority, &settings(&issuer.address, recognises)).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    }

    async fn person(&self, login: &str, home: &str, roles: &[AuthorityRole]) -> Person {
        let place = self.state.repository().of(id(home));
        let number = login.bytes().fold(7_u128, |number, byte| number.wrapping_mul(257) + u128::from(byte));
        let person = Person {
            authority: id(home),
            id: PersonId::from_random(number.to_be_bytes()),
            login: login.parse().unwrap(),
            name: login.to_uppercase(),
            state: PersonState::Active,
            made: self.state.now(),
        };
        assert!(place.add_person(&person, roles, decided(&self.state, Deed::PersonInvited)).await.unwrap());
        person
    }

    /// Nora of north, connected with the provider of north.
    async fn nora(&self, issuer: &Issuer) -> Person {
        let nora = self.person("nora", "north", &[AuthorityRole::Analyst]).await;
        let page = self.connects(&nora, issuer, "north").await;
        assert!(page.text.contains("0;url=/account?done=identity-added#identities"), "{}", page.text);
        nora
    }

    async fn connects(&self, person: &Person, issuer: &Issuer, authority: &str) -> Page {
        let mut client = Client::by_link(&self.state, person).await;
        let page = client.post(&format!("/account/identities/{authority}/connect")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let address =
            page.text.split("0;url=").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
        let back = client.lets_say(issuer, authority, &address);
        client.sent_to(&back).await
    }

    async fn identities(&self, person: &Person) -> usize {
        let credentials = self.state.repository().credentials(&person.id).await.unwrap();
        credentials.iter().filter(|one| one.kind == CredentialKind::Identity).count()
    }

    async fn deeds(&self, authority: &str) -> Vec<Deed> {
        let theirs = self.state.repository().of(id(authority));
        let page = theirs.decisions(None, Paging::default()).await.unwrap();
        page.items.iter().map(|decision| decision.deed).collect()
    }
}

#[tokio::test]
async fn somebody_connects_their_account_and_signs_in_with_it() {
    let (scene, issuer) = (scene().await, Issuer::start().await);
    scene.provider("north", &issuer, "none").await;
    let mut client = Client::new(&scene.state);
    let page = client.get("/sign-in?next=/incidents").await;
    let button = "<a class=\"button wide\" href=\"/sign-in/with/north?next=%2Fincidents\">Sign in with City login<span class=\"quiet\">The north</span></a>";
    assert!(page.text.contains(button), "{}", page.text);
    // Nobody is made by signing in, and nobody recognised where nobody said so.
    issuer.knobs().claims = json!({ "preferred_username": "nora", "email": "nora", "email_verified": true });
    let page = client.signs_in(&issuer, "north").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.problem().contains("nobody here is connected with your account there"), "{}", page.text);
    let nora = scene.nora(&issuer).await;
    let page = client.signs_in(&issuer, "north").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("content=\"0;url=/incidents\""), "{}", page.text);
    assert!(client.is_in() && !client.jar.contains_key("__Host-bastide-away"));
    assert_eq!(client.get("/incidents").await.status, StatusCode::OK);
    let account = client.get("/account").await;
    assert!(account.text.contains("<td data-label=\"By\">identity provider</td>"), "{}", account.text);
    // A provider's word changes nothing that stays.
    assert!(!account.text.contains("Remove City login"), "{}", account.text);
    assert_eq!(
        scene.deeds("north").await[..4],
        [Deed::SignedIn, Deed::CredentialAdded, Deed::SignedIn, Deed::LinkMade]
    );
    // Proving it once more ends the session before, which the browser does not show when it comes back.
    let before = client.jar["__Host-bastide"].0.clone();
    client.signs_in(&issuer, "north").await;
    let mut old = Client::new(&scene.state);
    old.jar.insert("__Host-bastide".into(), (before, true));
    assert!(old.get("/account").await.to().starts_with("/sign-in"));
    // A provider's word changes nothing that stays: for that somebody comes in otherwise.
    let confirm = client.get("/account/confirm").await.text;
    assert!(confirm.contains("Confirm that it is you") && !confirm.contains("/sign-in/with/"), "{confirm}");
    assert_eq!(client.post("/account/recovery").await.to(), "/account/confirm");
    let mut client = Client::by_link(&scene.state, &nora).await;
    let account = client.get("/account").await.text;
    assert!(account.contains("Remove City login") && account.contains("This is your last way in."));
    // What is taken away opens nothing any more.
    let credential = scene.state.repository().credentials(&nora.id).await.unwrap()[0].id.clone();
    assert_eq!(
        client.post(&format!("/account/credentials/{credential}/remove")).await.status,
        StatusCode::CONFLICT
    );
    let request = Request::post(format!("/account/credentials/{credential}/remove"))
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    assert_eq!(
        client.send(request, false, "last=yes").await.to(),
        "/account?done=identity-removed#identities"
    );
    assert_eq!(Client::new(&scene.state).signs_in(&issuer, "north").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn only_the_browser_that_went_comes_back_and_once() {
    let (scene, issuer) = (scene().await, Issuer::start().await);
    scene.provider("north", &issuer, "none").await;
    scene.provider("south", &issuer, "none").await;
    scene.nora(&issuer).await;
    let mut client = Client::new(&scene.state);
    let back = client.goes(&issuer, "north").await;
    issuer.knobs().asked.clear();
    let refused = |page: Page, why: &str| {
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{why}");
        assert!(page.problem().contains("was not begun in this browser"), "{why}: {}", page.text);
    };
    refused(Client::new(&scene.state).sent_to(&back).await, "another browser");
    refused(client.sent_to("/sign-in/return/north").await, "nothing");
    refused(client.sent_to("/sign-in/return/north?code=the-code").await, "no state");
    let forged = format!("/sign-in/return/north?code=the-code&state={}", "A".repeat(43));
    refused(client.sent_to(&forged).await, "a forged state");
    let mut forger = Client::new(&scene.state);
    forger.jar.insert("__Host-bastide-away".into(), ("A".repeat(43), false));
    refused(forger.sent_to(&forged).await, "a forged state and cookie");
    let look = Request::head(back.as_str());
    assert_eq!(client.send(look, true, "").await.status, StatusCode::NO_CONTENT, "looking uses nothing up");
    assert!(client.sent_to(&back).await.status.is_success() && client.is_in());
    let asked = issuer.knobs().asked.clone();
    assert_eq!(asked, ["POST /token"], "nothing is asked for an answer to nothing");
    refused(client.sent_to(&back).await, "once more");
    // The answer of one provider at the address of another: its code is shown to neither.
    let back = client.goes(&issuer, "north").await.replace("/return/north", "/return/south");
    issuer.knobs().asked.clear();
    refused(client.sent_to(&back).await, "another provider's");
    let back = client.goes(&issuer, "north").await;
    let page = client.sent_to(&format!("{back}&iss=https://evil.example")).await;
    assert!(page.problem().contains("is not from City login"), "{}", page.text);
    assert!(!issuer.knobs().asked.contains(&"POST /token".to_owned()));
}

#[tokio::test]
async fn a_provider_that_says_no_is_told_in_words() {
    let (scene, issuer) = (scene().await, Issuer::start().await);
    scene.provider("north", &issuer, "none").await;
    for (sent, told) in [
        ("error=access_denied", "City login did not let you in: you or they refused."),
        ("error=server_error", "they are in trouble; try again later."),
        (
            "error=odd&error_description=%3Cb%3Eclick%3C/b%3E%0A%E2%80%AEhere",
            "did not let you in: odd. They say: “&#60;b&#62;click",
        ),
        ("error=access_denied&code=the-code", "you or they refused."),
        ("x=y", "without a code that can be used"),
        ("code=", "without a code that can be used"),
        ("code=wrong", "cannot be verified"),
    ] {
        let mut client = Client::new(&scene.state);
        let back = client.goes(&issuer, "north").await;
        let page = client.sent_to(&back.replace("code=the-code", sent)).await;
        let said = page.problem().replace("&lt;", "&#60;").replace("&gt;", "&#62;");
        assert!(said.contains(told), "{sent}: {said}");
        assert!(!page.text.contains("<b>") && !client.is_in(), "{sent}");
    }
    let mut client = Client::new(&scene.state);
    let long = "x".repeat(5_000);
    let back = client.goes(&issuer, "north").await.replace("the-code", &long);
    assert!(client.sent_to(&back).await.problem().contains("without a code"));
    let back = client.goes(&issuer, "north").await.replace("code=the-code", &format!("error={long}"));
    assert!(client.sent_to(&back).await.text.len() < 10_000);
}

#[tokio::test]
async fn a_token_that_does_not_hold_lets_nobody_in() {
    let (scene, issuer) = (scene().await, Issuer::start().await);
    scene.provider("north", &issuer, "none").await;
    scene.nora(&issuer).await;
    let published = Signed::Published;
    let cases: &[(&str, Value, Value, Signed, bool)] = &[
        ("as it should be", json!({}), json!({}), published, true),
        ("one audience in a list", json!({ "aud": [CLIENT], "azp": CLIENT }), json!({}), published, true),
        (
            "a clock that is half a minute ahead",
            json!({ "iat": 30, "auth_time": 30 }),
            json!({}),
            published,
            true,
        ),
        ("over for half a minute", json!({ "exp": -30 }), json!({}), published, true),
        ("no word of when they proved it", json!({ "auth_time": null }), json!({}), published, true),
        ("another nonce", json!({ "nonce": "x" }), json!({}), published, false),
        ("no nonce", json!({ "nonce": null }), json!({}), published, false),
        ("another audience", json!({ "aud": "other" }), json!({}), published, false),
        ("one audience more", json!({ "aud": [CLIENT, "other"] }), json!({}), published, false),
        ("no audience", json!({ "aud": [] }), json!({}), published, false),
        ("for another client", json!({ "azp": "other" }), json!({}), published, false),
        ("another issuer", json!({ "iss": "https://login.city.example" }), json!({}), published, false),
        (
            "the issuer with a slash",
            json!({ "iss": format!("{}/", issuer.address) }),
            json!({}),
            published,
            false,
        ),
        ("over", json!({ "exp": -90 }), json!({}), published, false),
        ("from the future", json!({ "iat": 3_600 }), json!({}), published, false),
        ("from before this sign-in", json!({ "iat": -120 }), json!({}), published, false),
        ("proved long ago", json!({ "auth_time": -3_600 }), json!({}), published, false),
        ("nobody", json!({ "sub": "" }), json!({}), published, false),
        ("a name too long", json!({ "sub": "7".repeat(256) }), json!({}), published, false),
        ("no name", json!({ "sub": null }), json!({}), published, false),
        ("a name that is none", json!({ "sub": 7 }), json!({}), published, false),
        ("not signed", json!({}), json!({ "alg": "none" }), Signed::Not, false),
        ("not signed, in capitals", json!({}), json!({ "alg": "NONE" }), Signed::Not, false),
        ("signed by nothing", json!({}), json!({}), Signed::Not, false),
        ("another key under the same name", json!({}), json!({}), Signed::Other, false),
        ("another key without a name", json!({}), json!({ "kid": null }), Signed::Other, false),
        ("a key that is not published", json!({}), json!({ "kid": "two" }), Signed::Other, false),
        ("the client's secret", json!({}), json!({ "alg": "HS256" }), Signed::Secret, false),
        (
            "a key that it brings along",
            json!({}),
            json!({ "jku": "https://evil.example/keys", "kid": "two" }),
            Signed::Other,
            false,
        ),
        (
            "something that must be understood",
            json!({}),
            json!({ "crit": ["b64"], "b64": false }),
            published,
            false,
        ),
    ];
    for (number, (what, claims, header, signed, expected)) in cases.iter().enumerate() {
        let mut client = Client::new(&scene.state);
        // One place would have to wait.
        client.place[3] = number as u8;
        let back = client.goes(&issuer, "north").await;
        {
            let mut knobs = issuer.knobs();
            (knobs.claims, knobs.header, knobs.signed) = (claims.clone(), header.clone(), *signed);
        }
        let page = client.sent_to(&back).await;
        assert_eq!(client.is_in(), *expected, "{what}: {}", page.text);
        if !expected {
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{what}");
            assert!(page.problem().contains("cannot be verified"), "{what}");
        }
    }
}

#[tokio::test]
async fn a_provider_vouches_only_for_people_who_are_wholly_its_authoritys() {
    let (scene, issuer) = (scene().await, Issuer::start().await);
    scene.provider("north", &issuer, "none").await;
    let nora = scene.nora(&issuer).await;
    let (local, south) = (scene.state.repository().of(id("local")), scene.state.repository().of(id("south")));
    for place in [&local, &south] {
        let role = AuthorityRole::Auditor;
        assert!(place.give_role(&nora.id, role, decided(&scene.state, Deed::RoleGiven)).await.unwrap());
        let mut client = Client::new(&scene.state);
        let page = client.signs_in(&issuer, "north").await;
        assert_eq!((page.status, client.is_in()), (StatusCode::FORBIDDEN, false));
        assert!(page.problem().contains("hold a role in, more than its authority"), "{}", page.text);
        place.take_role(&nora.id, role, decided(&scene.state, Deed::RoleTaken)).await.unwrap();
        assert!(Client::new(&scene.state).signs_in(&issuer, "north").await.status.is_success());
    }
    // Nor are people of above, or beside, connected with it.
    issuer.knobs().claims = json!({ "sub": "8" });
    for home in ["local", "south"] {
        let other = scene.person(&format!("of-{home}"), home, &[]).await;
        let page = scene.connects(&other, &issuer, "north").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.text);
        assert_eq!(scene.identities(&other).await, 0);
    }
    // A provider above vouches for those below.
    scene.provider("local", &issuer, "none").await;
    let page = scene.connects(&nora, &issuer, "local").await;
    assert!(page.text.contains("identity-added"), "{}", page.text);
    assert!(Client::new(&scene.state).signs_in(&issuer, "local").await.status.is_success());
    // Whoever is suspended comes in by nothing.
    let north = scene.state.repository().of(id("north"));
    let suspended = decided(&scene.state, Deed::PersonSuspended);
    north.change_person(&nora.id, None, Some(PersonState::Suspended), suspended).await.unwrap();
    assert_eq!(Client::new(&scene.state).signs_in(&issuer, "local").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_same_name_at_two_providers_is_two_people() {
    let (scene, northern, southern) = (scene().await, Issuer::start().await, Issuer::start().await);
    scene.provider("north", &northern, "none").await;
    scene.provider("south", &southern, "none").await;
    let nora = scene.nora(&northern).await;
    // Both say `7`.
    assert_eq!(Client::new(&scene.state).signs_in(&southern, "south").await.status, StatusCode::FORBIDDEN);
    let sue = scene.person("sue", "south", &[AuthorityRole::Analyst]).await;
    assert!(scene.connects(&sue, &southern, "south").await.text.contains("identity-added"));
    for (issuer, authority, who) in [(&northern, "north", &nora), (&southern, "south", &sue)] {
        let mut client = Client::new(&scene.state);
        client.signs_in(issuer, authority).await;
        assert!(client.get("/account").await.text.contains(&format!("<code>{}</code>", who.login)));
    }
    // One account is one person's.
    let ned = scene.person("ned", "north", &[]).await;
    let page = scene.connects(&ned, &northern, "north").await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.problem().contains("is connected here already"), "{}", page.text);
}

#[tokio::test]
async fn somebody_invited_is_recognised_once_where_that_is_allowed() {
    let (scene, issuer) = (scene().await, Issuer::start().await);
    let nora = scene.person("nora@north.example", "north", &[AuthorityRole::Analyst]).await;
    scene.person("above@north.example", "local", &[AuthorityRole::Analyst]).await;
    let both = json!({ "preferred_username": "nora@north.example", "email": "Nora@north.example", "email_verified": true });
    let check = async |recognises: &str, claims: &Value, expected: bool| {
        scene.provider("north", &issuer, recognises).await;
        issuer.knobs().claims = claims.clone();
        let mut client = Client::new(&scene.state);
        let page = client.signs_in(&issuer, "north").await;
        assert_eq!(client.is_in(), expected, "{recognises} {claims}: {}", page.text);
    };
    check("none", &both, false).await;
    check("email", &json!({ "preferred_username": "nora@north.example" }), false).await;
    check("email", &json!({ "email": "nora@north.example" }), false).await;
    check("email", &json!({ "email": "nora@north.example", "email_verified": false }), false).await;
    check("email", &json!({ "email": "above@north.example", "email_verified": true }), false).await;
    check("email", &json!({ "email": "nobody@north.example", "email_verified": true }), false).await;
    check("preferred_username", &json!({ "preferred_username": "<b>" }), false).await;
    // Another letter is another account there.
    for other in ["Nora@north.example", " nora@north.example", "nora@north.example\u{a0}"] {
        check("preferred_username", &json!({ "preferred_username": other }), false).await;
    }
    check("email", &json!({ "email": "nora@north.example ", "email_verified": true }), false).await;
    check("preferred_username", &json!({ "email": "nora@north.example", "email_verified": true }), false)
        .await;
    assert_eq!(scene.identities(&nora).await, 0);
    check("preferred_username", &both, true).await;
    assert_eq!(scene.identities(&nora).await, 1);
    // By what they are there from now on: a name that somebody else was given there later is nobody here.
    check("preferred_username", &json!({ "preferred_username": "other" }), true).await;
    let mut taken = both.clone();
    taken["sub"] = "8".into();
    check("preferred_username", &taken, false).await;
    check("none", &json!({}), true).await;
    assert_eq!(scene.deeds("north").await.iter().filter(|deed| **deed == Deed::CredentialAdded).count(), 1);
}

#[tokio::test]
async fn without_its_provider_nobody_is_in_by_it() {
    let (scene, issuer, other) = (scene().await, Issuer::start().await, Issuer::start().await);
    scene.provider("north", &issuer, "none").await;
    let nora = scene.nora(&issuer).await;
    let by_link = Client::by_link(&scene.state, &nora).await;
    let signed_in = async || {
        let mut client = Client::new(&scene.state);
        client.signs_in(&issuer, "north").await;
        assert!(client.is_in());
        client
    };
    let is_out = async |mut client: Client| client.get("/account").await.to().starts_with("/sign-in");
    // Another name or secret changes nothing; what was begun before is begun again.
    let (client, mut late) = (signed_in().await, Client::new(&scene.state));
    let back = late.goes(&issuer, "north").await;
    scene.provider("north", &issuer, "email").await;
    assert!(late.sent_to(&back).await.problem().contains("were changed meanwhile"));
    assert!(!is_out(client).await);
    // Another issuer is another provider.
    let client = signed_in().await;
    scene.provider("north", &other, "none").await;
    assert!(is_out(client).await && scene.identities(&nora).await == 0);
    assert_eq!(Client::new(&scene.state).signs_in(&other, "north").await.status, StatusCode::FORBIDDEN);
    scene.provider("north", &issuer, "none").await;
    assert!(scene.connects(&nora, &issuer, "north").await.text.contains("identity-added"));
    let (client, mut late) = (signed_in().await, Client::new(&scene.state));
    let back = late.goes(&issuer, "north").await;
    let path = "/api/v1/authorities/north/identity-provider";
    assert_eq!(scene.admin.ask(&Method::DELETE, path, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(scene.admin.ask(&Method::DELETE, path, &[], "").await.status, StatusCode::NOT_FOUND);
    assert!(is_out(client).await && scene.identities(&nora).await == 0);
    assert!(!is_out(by_link).await, "sessions by other means go on");
    assert_eq!(late.sent_to(&back).await.status, StatusCode::NOT_FOUND);
    assert_eq!(late.get("/sign-in/with/north").await.status, StatusCode::NOT_FOUND);
    assert!(!late.get("/sign-in").await.text.contains("City login"));
    let deeds = scene.deeds("north").await;
    assert_eq!(deeds.iter().filter(|deed| **deed == Deed::ProviderSet).count(), 4);
    assert_eq!(deeds[0], Deed::ProviderRemoved);
}

#[tokio::test]
async fn settings_are_kept_once_the_provider_could_be_read_with_them() {
    let (scene, issuer) = (scene().await, Issuer::start().await);
    let good = settings(&issuer.address, "none");
    let with = |name: &str, value: Value| {
        let mut settings = good.clone();
        settings[name] = value;
        settings
    };
    let away = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let check = async |what: &str, settings: Value, expected: &str| {
        let page = scene.put("north", &settings).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{what}: {}", page.text);
        assert!(page.text.contains(expected), "{what}: {}", page.text);
        assert!(!page.text.contains(SECRET), "{what}");
        assert!(scene.state.repository().of(id("north")).provider().await.unwrap().is_none(), "{what}");
    };
    check(
        "http",
        with("issuer", "http://login.city.example".into()),
        "http for a provider on this machine only",
    )
    .await;
    check("no client", with("client_id", "".into()), "1 to 255 letters").await;
    check("no secret", with("client_secret", Value::Null), "issuer, client_id and ca stay").await;
    check("a control character", with("client_secret", "a\nb".into()), "1 to 1024 letters").await;
    check("no certificate", with("ca", "rubbish".into()), "certificates of authorities as PEM").await;
    check("no name", with("name", " ".into()), "1 to 120 letters").await;
    check("an unknown word", with("recognises", "anything".into()), "unknown variant").await;
    check("an unknown field", with("scope", "all".into()), "unknown field").await;
    check("away", with("issuer", away.into()), "/.well-known/openid-configuration: cannot be fetched").await;
    check("a slash more", with("issuer", format!("{}/", issuer.address).into()), "unexpected issuer URI")
        .await;
    let read = async |what: &str, discovery: Value, instead: Option<(&str, Vec<u8>)>, expected: &str| {
        {
            let mut knobs = issuer.knobs();
            knobs.discovery = discovery;
            knobs.instead = instead.into_iter().map(|(path, answer)| (path.to_owned(), answer)).collect();
        }
        check(what, good.clone(), expected).await;
    };
    let answer = |head: &str, body: &str| {
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let config = "/.well-known/openid-configuration";
    for (what, discovery, expected) in [
        ("another issuer", json!({ "issuer": "https://login.city.example" }), "unexpected issuer URI"),
        ("no token endpoint", json!({ "token_endpoint": null }), "token_endpoint is nothing; expected https"),
        ("plain", json!({ "token_endpoint": "http://10.0.0.1/" }), "token_endpoint is http://10.0.0.1/…"),
        ("a script", json!({ "authorization_endpoint": "javascript:alert(1)" }), "authorization_endpoint is"),
        (
            "keys elsewhere",
            json!({ "jwks_uri": "http://10.0.0.1/keys" }),
            "http://10.0.0.1/… is not talked to",
        ),
        ("no keys", json!({ "jwks_uri": null }), "is no discovery document"),
    ] {
        read(what, discovery, None, expected).await;
    }
    for (what, path, answer, expected) in [
        ("no page", config, answer("404 Not Found", "gone"), "HTTP status code 404"),
        ("a redirection", config, answer("302 Found\r\nlocation: /keys", ""), "HTTP status code 302"),
        (
            "no JSON",
            config,
            answer("200 OK\r\ncontent-type: text/html", "<p>"),
            "should be `application/json`",
        ),
        ("half of it", config, answer("200 OK", "{\\\"issuer\\\":"), "is no discovery document"),
        ("too much", config, answer("200 OK", &"x".repeat(300 << 10)), "length limit exceeded"),
        ("too deep", config, answer("200 OK", &"[".repeat(100_000)), "is no discovery document"),
        ("keys too large", "/keys", answer("200 OK", &"x".repeat(300 << 10)), "length limit exceeded"),
        ("no keys in it", "/keys", answer("200 OK", "{\"keys\":[]}"), "are none that can be used"),
        (
            "unknown keys",
            "/keys",
            answer("200 OK", "{\"keys\":[{\"kty\":\"XX\"}]}"),
            "are none that can be used",
        ),
    ] {
        read(what, json!({}), Some((path, answer)), expected).await;
    }
    issuer.knobs().instead.clear();
    let page = scene.put("north", &good).await;
    let shown: Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!(shown["return_address"], format!("https://{HOST}/sign-in/return/north"));
    // The secret stays where everything that it goes to stays, and is shown to nobody.
    let mut again = with("client_secret", Value::Null);
    again["name"] = "Another name".into();
    assert_eq!(scene.put("north", &again).await.status, StatusCode::OK);
    for (field, value) in [("client_id", "other"), ("issuer", "https://login.city.example")] {
        let mut other = again.clone();
        other[field] = value.into();
        assert!(scene.put("north", &other).await.text.contains("client_secret"), "{field}");
    }
    let path = "/api/v1/authorities/north/identity-provider";
    assert!(!scene.admin.ask(&Method::GET, path, &[], "").await.text.contains(SECRET));
    let form = scene.admin.get("/authorities/north/identity-provider").await;
    assert!(form.text.contains("Another name") && !form.text.contains("s3cret"), "{}", form.text);
    let kept = scene.state.repository().of(id("north")).provider().await.unwrap().unwrap();
    assert!(!kept.secret.contains("s3cret") && kept.secret.len() > 60);
    // What is on this machine is its administrators' business.
    let nadia = scene.person("nadia", "north", &[AuthorityRole::Administrator]).await;
    let nadia = Browser::sign_in_as(&scene.state, &nadia).await;
    let json = [("content-type", "application/json")];
    let page = nadia.ask(&Method::PUT, path, &json, &good.to_string()).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.text);
    assert_eq!(nadia.ask(&Method::DELETE, path, &[], "").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_form_keeps_what_was_typed_but_the_secret() {
    let scene = scene().await;
    let path = "/authorities/north/identity-provider";
    let form = "name=%3Cb%3ECity&issuer=http%3A%2F%2Flogin.example&client_id=c&client_secret=s3cret&ca=&recognises=email";
    let page = scene.admin.post(path, form).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("The field `issuer` is wrong") && page.text.contains("http://login.example"));
    assert!(
        page.text.contains("value=\"email\" selected") && !page.text.contains("<b>City"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("s3cret"));
    let issuer = Issuer::start().await;
    let form = form.replace("http%3A%2F%2Flogin.example", &issuer.address);
    assert_eq!(scene.admin.post(path, &form).await.status, StatusCode::SEE_OTHER);
    assert!(scene.admin.get("/authorities").await.text.contains(path));
    assert_eq!(scene.admin.post(&format!("{path}/remove"), "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_a_provider_publishes_is_read_now_and_then_and_its_absence_told() {
    let (scene, issuer) = (scene().await, Issuer::start().await);
    scene.provider("north", &issuer, "none").await;
    scene.nora(&issuer).await;
    issuer.knobs().asked.clear();
    for _ in 0..3 {
        assert!(Client::new(&scene.state).signs_in(&issuer, "north").await.status.is_success());
    }
    assert_eq!(issuer.knobs().asked.clone(), ["POST /token"; 3]);
    // A key that nobody knew a moment ago is not looked for at once: somebody could ask for it all the time.
    issuer.change_key("two");
    for _ in 0..3 {
        assert_eq!(Client::new(&scene.state).signs_in(&issuer, "north").await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(issuer.knobs().asked.clone(), ["POST /token"; 6]);
    // Away: told, and left alone for a while.
    scene.provider("north", &issuer, "email").await;
    let broken = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_vec();
    issuer.knobs().instead.insert("/.well-known/openid-configuration".into(), broken);
    issuer.knobs().asked.clear();
    let mut client = Client::new(&scene.state);
    for _ in 0..5 {
        let page = client.get("/sign-in/with/north").await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.problem().contains("City login does not answer as it should."), "{}", page.text);
    }
    assert_eq!(issuer.knobs().asked.len(), 1);
}

#[tokio::test]
async fn who_comes_back_and_was_not_sent_waits() {
    let scene = scene().await;
    let mut client = Client::new(&scene.state);
    let mut statuses = Vec::new();
    for _ in 0..31 {
        statuses.push(client.sent_to("/sign-in/return/north?code=x&state=y").await.status.as_u16());
    }
    assert_eq!((statuses[29], statuses[30]), (422, 429));
}

/// A real provider, ended with the test.
struct Real(Child, String);

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Real {
    /// Unset where it is not installed.
    async fn start() -> Option<Self> {
        let cache = std::env::var("XDG_CACHE_HOME")
            .or_else(|_| Ok::<_, std::env::VarError>(format!("{}/.cache", std::env::var("HOME")?)));
        let program = format!("{}/bastide/tools/oidc-provider-mock/bin/oidc-provider-mock", cache.ok()?);
        let port = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let nora = json!({ "sub": "u-7", "preferred_username": "nora", "email": "nora@north.example", "email_verified": true });
        let child = Command::new(program)
            .args([
                "--port",
                &port.to_string(),
                "--require-nonce",
                "true",
                "--user-claims",
                &nora.to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let real = Self(child, format!("http://127.0.0.1:{port}"));
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the provider does not come up");
            tokio::task::yield_now().await;
        }
        Some(real)
    }
}

#[tokio::test]
async fn a_real_provider_signs_people_in() {
    let Some(provider) = Real::start().await else {
        eprintln!(
            "SKIPPED: oidc-provider-mock is not installed; ./test installs it where PyPI can be reached"
        );
        return;
    };
    let scene = scene().await;
    let nora = scene.person("nora", "north", &[AuthorityRole::Analyst]).await;
    let mut wanted = settings(&provider.1, "preferred_username");
    wanted["client_id"] = "any-client".into();
    let page = scene.put("north", &wanted).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let mut client = Client::new(&scene.state);
    let sign_in = async |client: &mut Client, sub: &str| {
        let page = client.get("/sign-in/with/north").await;
        let (status, _, form) = visit("GET", page.to(), "").await;
        assert!(status == 200 && form.contains("Authorize Client"), "{form}");
        let (status, back, text) = visit("POST", page.to(), &format!("sub={sub}")).await;
        assert_eq!(status, 302, "{text}");
        assert_eq!(parameters(&back)["state"], parameters(page.to())["state"]);
        (client.sent_to(&back).await, back)
    };
    // Recognised by what they are called there, and known from then on.
    for _ in 0..2 {
        let (page, _) = sign_in(&mut client, "u-7").await;
        assert!(page.status == StatusCode::OK && client.is_in(), "{}", page.text);
        assert!(client.get("/account").await.text.contains("<code>nora</code>"));
        assert_eq!(scene.identities(&nora).await, 1);
    }
    let mut other = Client::new(&scene.state);
    let (page, back) = sign_in(&mut other, "somebody-else").await;
    assert_eq!((page.status, other.is_in()), (StatusCode::FORBIDDEN, false));
    assert_eq!(other.sent_to(&back).await.status, StatusCode::UNPROCESSABLE_ENTITY, "once");
    // Away.
    drop(provider);
    let page = other.get("/sign-in/with/north").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "what it publishes is still known");
    let mut wanted = settings("http://127.0.0.1:9", "none");
    wanted["name"] = "Gone".into();
    assert_eq!(scene.put("south", &wanted).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}
