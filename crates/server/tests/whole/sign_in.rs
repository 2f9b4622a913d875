//! Signing in by password and code, and one's own account, as a browser sends it.

use crate::city::{self, App, HOST, HOSTILE};
use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode, header},
};
use ledger::{Deed, Salt};
use model::{AuthorityId, AuthorityRole, Timestamp};
use server::{AppState, auth};
use std::{collections::BTreeMap, net::SocketAddr};
use store::{Actor, Credential, CredentialKind, Decided, NewSession, Paging, Person, Token};
use tower::ServiceExt as _;

city::on_both!(
    a_password_counts_once_its_app_shows_a_code,
    a_password_alone_opens_nothing,
    a_recovery_code_stands_in_for_the_app_once,
    who_guesses_waits_and_nobody_else,
    changes_need_a_session_that_is_fresh,
    the_last_way_in_goes_only_with_a_warning,
    a_changed_password_ends_what_waits_for_a_code,
    sessions_and_tokens_are_listed_and_ended_by_their_owner_only,
    a_credential_of_somebody_else_is_not_removed,
    what_is_no_sign_in_is_refused_clearly
);

const PASSWORD: &str = "sift amber quilt";

/// A browser with its cookies, at some place.
struct Client {
    state: AppState,
    jar: BTreeMap<String, String>,
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
}

impl Client {
    fn new(state: &AppState) -> Self {
        Self { state: state.clone(), jar: BTreeMap::new(), place: [192, 0, 2, 7] }
    }

    fn at(mut self, last: u8) -> Self {
        self.place[3] = last;
        self
    }

    fn is_in(&self) -> bool {
        self.jar.contains_key("__Host-bastide")
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Vec<u8>) -> Page {
        let jar: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(header::HOST, HOST)
            .header(header::COOKIE, jar.join("; "))
            .header(header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0")
            .extension(ConnectInfo(SocketAddr::from((self.place, 40_000))))
            .body(Body::from(body))
            .unwrap();
        let (parts, body) = server::router(self.state.clone()).oneshot(request).await.unwrap().into_parts();
        for set in parts.headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(
                set.ends_with(char::is_numeric)
                    && set.contains("; Path=/; Secure; HttpOnly; SameSite=Strict")
            );
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.ends_with("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        let text = axum::body::to_bytes(body, 16 << 20).await.unwrap();
        Page { status: parts.status, headers: parts.headers, text: String::from_utf8(text.to_vec()).unwrap() }
    }

    async fn get(&mut self, path: &str) -> Page {
        let request = Request::get(path).header(header::ACCEPT, "text/html");
        self.send(request, Vec::new()).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let form: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = Request::post(path)
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        self.send(request, form.join("&").into_bytes()).await
    }

    async fn json(&mut self, path: &str, body: &str) -> Page {
        let request = Request::post(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header("origin", format!("https://{HOST}"));
        self.send(request, body.as_bytes().to_vec()).await
    }

    async fn by_link(state: &AppState, person: &Person) -> Self {
        let url = format!("https://{HOST}");
        let link = auth::make_link(state.repository(), &url, person, None, state.now(), 60).await.unwrap();
        let mut client = Self::new(state);
        let secret = link.strip_prefix(&format!("{url}/sign-in?link=")).unwrap();
        client.post("/sign-in/link", &[("link", secret)]).await;
        assert!(client.is_in());
        client
    }
}

fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    page.split(before)
        .nth(1)
        .unwrap_or_else(|| panic!("{before} is not in {page}"))
        .split(after)
        .next()
        .unwrap()
}

fn decided(state: &AppState, deed: Deed) -> Decided {
    let salts = [Salt::new([1; 32]), Salt::new([2; 32])];
    Decided { at: state.now(), who: Actor::Program, deed, about: Vec::new(), details: None, salts }
}

struct Scene {
    state: AppState,
    ada: Person,
    _dir: tempfile::TempDir,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let ada = auth::administrator(state.repository(), state.now()).await.unwrap();
    Scene { state, ada, _dir: dir }
}

impl Scene {
    /// Sets Ada's password and app.
    async fn with_password(&self) -> (Client, App) {
        let mut client = Client::by_link(&self.state, &self.ada).await;
        let page = client.post("/account/password", &[("password", PASSWORD), ("again", PASSWORD)]).await;
        let app = App::reads(&page.text);
        let setup = between(&page.text, "name=\"setup\" value=\"", "\"").to_owned();
        let code = app.shows(self.state.now(), 0);
        let done = client.post("/account/password/confirm", &[("setup", &setup), ("code", &code)]).await;
        assert_eq!(done.to(), "/account?done=password-set#password", "{}", done.text);
        (client, app)
    }

    async fn kinds(&self) -> Vec<CredentialKind> {
        let credentials = self.state.repository().credentials(&self.ada.id).await.unwrap();
        let mut kinds: Vec<_> = credentials.iter().map(|credential| credential.kind).collect();
        kinds.sort();
        kinds
    }

    async fn deeds(&self) -> Vec<Deed> {
        let page = self.state.repository().decisions(None, Paging::default()).await.unwrap();
        page.items.iter().map(|decision| decision.deed).collect()
    }

    /// A session of Ada's that began so many seconds ago.
    async fn session(&self, ago: i64) -> Client {
        const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let made = self.state.now().plus_secs(-ago);
        let session = NewSession {
            hash: hash(SECRET),
            method: "passkey",
            device: "Firefox on Linux".into(),
            place: "192.0.2.1".into(),
            made,
            expires: made.plus_secs(12 * 3600),
        };
        let salts = [Salt::new([1; 32]), Salt::new([2; 32])];
        assert!(self.state.repository().open_session(&self.ada.id, session, salts).await.unwrap());
        let mut client = Client::new(&self.state);
        client.jar.insert("__Host-bastide".into(), SECRET.into());
        client
    }
}

fn hash(secret: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn login(password: &str) -> [(&str, &str); 3] {
    [("login", " Administrator "), ("password", password), ("next", "/incidents")]
}

async fn a_password_counts_once_its_app_shows_a_code() {
    let scene = scene().await;
    let mut client = Client::by_link(&scene.state, &scene.ada).await;
    let banner = "You came in by a link, which is used up.";
    assert!(client.get("/").await.text.contains(banner));
    for (password, again, said) in [
        ("short", "short", "Expected 12 to 256 letters; found 5."),
        ("Password1234!", "Password1234!", "one of the first passwords"),
        ("administrator", "administrator", "one of the first passwords"),
        (PASSWORD, "sift amber quilts", "The two are not the same."),
    ] {
        let page = client.post("/account/password", &[("password", password), ("again", again)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text.contains(said), "{password}: {}", page.text);
        let comes_back = page.text.contains(&format!("value=\"{password}\""));
        assert!(!comes_back || password == scene.ada.login.as_str(), "a password comes back");
    }
    let page = client.post("/account/password", &[("password", PASSWORD), ("again", PASSWORD)]).await;
    assert!(page.text.contains("<svg viewBox=\"0 0 ") && page.text.contains("QR code"), "{}", page.text);
    let app = App::reads(&page.text);
    let setup = between(&page.text, "name=\"setup\" value=\"", "\"").to_owned();
    // An hour early, an hour late, nonsense; the setup goes on under another name, and the one before is used up.
    let mut name = setup.clone();
    for code in [app.shows(scene.state.now(), -120), app.shows(scene.state.now(), 120), HOSTILE.into()] {
        let page = client.post("/account/password/confirm", &[("setup", &name), ("code", &code)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.text);
        name = between(&page.text, "name=\"setup\" value=\"", "\"").to_owned();
    }
    let code = app.shows(scene.state.now(), 0);
    let replayed = client.post("/account/password/confirm", &[("setup", &setup), ("code", &code)]).await;
    assert_eq!(replayed.status, StatusCode::CONFLICT);
    assert!(scene.kinds().await.is_empty(), "nothing counts before the code");
    let done = client.post("/account/password/confirm", &[("setup", &name), ("code", &code)]).await;
    assert_eq!(done.to(), "/account?done=password-set#password");
    assert_eq!(scene.kinds().await, [CredentialKind::Password, CredentialKind::Totp]);
    assert_eq!(scene.deeds().await[0], Deed::CredentialAdded);
    assert!(!client.get("/").await.text.contains(banner));
    // What is kept holds neither.
    for credential in scene.state.repository().credentials(&scene.ada.id).await.unwrap() {
        assert!(
            !credential.body.contains(PASSWORD) && !credential.body.contains("GEZD"),
            "{}",
            credential.body
        );
    }
}

async fn a_password_alone_opens_nothing() {
    let scene = scene().await;
    let (_, app) = scene.with_password().await;
    let mut client = Client::new(&scene.state);
    let wrong = client.post("/sign-in/password", &login("sift amber quilts")).await;
    let unknown = [("login", "nobody"), ("password", PASSWORD), ("next", "/incidents")];
    let unknown = client.post("/sign-in/password", &unknown).await;
    assert_eq!((wrong.status, unknown.status), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    assert_eq!(wrong.text.replace(" Administrator ", "nobody"), unknown.text, "tells who exists");
    assert!(!wrong.text.contains("quilts") && client.jar.is_empty());

    let first = client.post("/sign-in/password", &login(PASSWORD)).await;
    assert_eq!((first.status, first.to()), (StatusCode::SEE_OTHER, "/sign-in"));
    assert!(!client.is_in() && client.get("/").await.to().starts_with("/sign-in"));
    assert!(client.get("/sign-in").await.text.contains("One-time code"));
    assert!(client.get("/sign-in?again=1").await.text.contains("name=\"password\""));
    // The code with which the app was set up is used up.
    let used = app.shows(scene.state.now(), 0);
    let stolen = client.jar.clone();
    for code in [used.as_str(), "000000x", "", HOSTILE] {
        let page = client.post("/sign-in/code", &[("code", code)]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{code:?}: {}", page.text);
        assert!(!client.is_in());
    }
    // A name of a step is good for one code, right or wrong.
    let mut thief = Client { jar: stolen, ..Client::new(&scene.state) };
    let code = app.shows(scene.state.now(), 1);
    assert_eq!(
        thief.post("/sign-in/code", &[("code", &code)]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let step = client.jar.clone();
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    let done = client.post("/sign-in/code", &[("code", &spaced)]).await;
    assert_eq!((done.status, done.to()), (StatusCode::SEE_OTHER, "/incidents"), "{}", done.text);
    assert!(client.is_in() && client.get("/").await.status == StatusCode::OK);
    let sessions =
        scene.state.repository().sessions(&scene.ada.id, scene.state.now(), Timestamp::from_secs(0));
    assert!(sessions.await.unwrap().iter().any(|session| session.method == "password"));

    // Neither the step nor the code again.
    let mut replay = Client { jar: step, ..Client::new(&scene.state) };
    assert_eq!(
        replay.post("/sign-in/code", &[("code", &code)]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    replay.post("/sign-in/password", &login(PASSWORD)).await;
    assert_eq!(replay.post("/sign-in/code", &[("code", &code)]).await.status, StatusCode::FORBIDDEN);
    // Five wrong ones in all, and the password is asked for again.
    for expected in [403, 403, 403, 422, 422] {
        assert_eq!(replay.post("/sign-in/code", &[("code", "x")]).await.status.as_u16(), expected);
    }
    assert!(!replay.is_in());
}

async fn a_recovery_code_stands_in_for_the_app_once() {
    let scene = scene().await;
    let (mut client, _) = scene.with_password().await;
    let page = client.post("/account/recovery", &[]).await;
    let codes: Vec<&str> =
        page.text.split("<li><code>").skip(1).map(|part| part.split('<').next().unwrap()).collect();
    assert_eq!(codes.len(), 10);
    assert!(client.get("/account").await.text.contains("10 left"));
    for (number, method) in [(0, Some("recovery")), (0, None), (9, Some("recovery"))] {
        let mut client = Client::new(&scene.state);
        client.post("/sign-in/password", &login(PASSWORD)).await;
        client.post("/sign-in/code", &[("code", &codes[number].to_lowercase().replace('-', " "))]).await;
        assert_eq!(client.is_in(), method.is_some(), "{number}");
        if client.is_in() {
            assert!(client.get("/account").await.text.contains("recovery code"));
        }
    }
    assert!(client.get("/account").await.text.contains("8 left"));
    client.post("/account/recovery", &[]).await;
    let mut late = Client::new(&scene.state);
    late.post("/sign-in/password", &login(PASSWORD)).await;
    late.post("/sign-in/code", &[("code", codes[1])]).await;
    assert!(!late.is_in(), "those before end");
}

async fn who_guesses_waits_and_nobody_else() {
    let scene = scene().await;
    let (owner, app) = scene.with_password().await;
    // The owner came in with this browser before.
    let mut own = Client::new(&scene.state);
    own.post("/sign-in/password", &login(PASSWORD)).await;
    own.post("/sign-in/code", &[("code", &app.shows(scene.state.now(), 1))]).await;
    assert!(own.is_in() && own.jar.contains_key("__Host-bastide-known"));
    own.jar.remove("__Host-bastide");
    let mut guesser = Client::new(&scene.state);
    for number in 0..5 {
        let page = guesser.post("/sign-in/password", &login(&format!("wrong {number}"))).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
    }
    let page = guesser.post("/sign-in/password", &login(PASSWORD)).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "the right one neither");
    assert!(page.headers.contains_key(header::RETRY_AFTER) && page.text.contains("passkeys do not wait"));
    let ask = async |mut client: Client| client.post("/sign-in/password", &login(PASSWORD)).await.status;
    assert_eq!(ask(own).await, StatusCode::SEE_OTHER, "the owner's browser at the same place");
    assert_eq!(ask(Client::new(&scene.state).at(9)).await, StatusCode::SEE_OTHER, "elsewhere");
    let mut forged = Client::new(&scene.state);
    forged.jar.insert("__Host-bastide-known".into(), "0".repeat(64));
    assert_eq!(ask(forged).await, StatusCode::TOO_MANY_REQUESTS);
    let begun = guesser.json("/sign-in/passkey/begin", "").await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    drop(owner);
}

/// What a fresh session may change.
const CHANGES: [&str; 7] = [
    "/account/passkeys/begin",
    "/account/passkeys/finish",
    "/account/credentials/crd-x/remove",
    "/account/password",
    "/account/password/confirm",
    "/account/password/remove",
    "/account/recovery",
];

async fn changes_need_a_session_that_is_fresh() {
    for ago in [15 * 60, 3_600, -3_600] {
        let scene = scene().await;
        scene.with_password().await;
        let before = (scene.kinds().await, scene.deeds().await.len());
        let mut client = scene.session(ago).await;
        let page = client.get("/account").await.text;
        assert!(page.contains("Changes are locked") && !page.contains("/account/password/remove"), "{ago}");
        let fields = [("password", PASSWORD), ("again", PASSWORD), ("last", "yes")];
        for path in CHANGES {
            let page = client.post(path, &fields).await;
            let refused = page.to() == "/account/confirm" || page.status.is_client_error();
            assert!(refused, "{path} {ago}: {} {}", page.status, page.text);
        }
        let begun = client.json("/account/passkeys/begin", "").await;
        assert_eq!(begun.status, StatusCode::CONFLICT);
        assert_eq!((scene.kinds().await, scene.deeds().await.len()), (before.0, before.1 + 1), "{ago}");
    }
    let scene = scene().await;
    let (_, app) = scene.with_password().await;
    let mut client = scene.session(3_600).await;
    let page = client.get("/account/confirm").await.text;
    assert!(page.contains("Confirm that it is you") && page.contains("value=\"administrator\""));
    let before = client.jar["__Host-bastide"].clone();
    client
        .post(
            "/sign-in/password",
            &[("login", "administrator"), ("password", PASSWORD), ("next", "/account")],
        )
        .await;
    let done = client.post("/sign-in/code", &[("code", &app.shows(scene.state.now(), 1))]).await;
    assert_eq!(done.to(), "/account");
    assert!(!client.get("/account").await.text.contains("Changes are locked"));
    let mut old = Client::new(&scene.state);
    old.jar.insert("__Host-bastide".into(), before);
    assert_eq!(old.get("/account").await.status, StatusCode::SEE_OTHER, "the session before has ended");
}

async fn the_last_way_in_goes_only_with_a_warning() {
    let scene = scene().await;
    let (mut client, _) = scene.with_password().await;
    client.post("/account/recovery", &[]).await;
    assert!(client.get("/account").await.text.contains("This is your last way in."));
    let refused = client.post("/account/password/remove", &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("your last way in"), "{}", refused.text);
    let gone = client.post("/account/password/remove", &[("last", "yes")]).await;
    assert_eq!(gone.to(), "/account?done=password-removed#password");
    assert!(scene.kinds().await.is_empty());
    assert_eq!(scene.deeds().await[0], Deed::CredentialRemoved);
    let mut out = Client::new(&scene.state);
    assert_eq!(out.post("/sign-in/password", &login(PASSWORD)).await.status, StatusCode::FORBIDDEN);
}

async fn a_changed_password_ends_what_waits_for_a_code() {
    let scene = scene().await;
    let (mut client, app) = scene.with_password().await;
    let mut waiting = Client::new(&scene.state);
    waiting.post("/sign-in/password", &login(PASSWORD)).await;
    let other = [("password", "another amber quilt"), ("again", "another amber quilt")];
    assert_eq!(
        client.post("/account/password", &other).await.to(),
        "/account?done=password-changed#password"
    );
    let page = waiting.post("/sign-in/code", &[("code", &app.shows(scene.state.now(), 1))]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.text);
    assert!(!waiting.is_in());
}

async fn sessions_and_tokens_are_listed_and_ended_by_their_owner_only() {
    let scene = scene().await;
    let mut one = Client::by_link(&scene.state, &scene.ada).await;
    let mut other = Client::by_link(&scene.state, &scene.ada).await;
    let eve = Person {
        id: model::PersonId::from_random([9; 16]),
        login: "eve".parse().unwrap(),
        ..scene.ada.clone()
    };
    let repository = scene.state.repository();
    assert!(
        repository
            .add_person(&eve, &[AuthorityRole::Auditor], decided(&scene.state, Deed::PersonInvited))
            .await
            .unwrap()
    );
    let mut stranger = Client::by_link(&scene.state, &eve).await;
    let token = |id: &str, person: &Person| Token {
        id: hash(id),
        authority: AuthorityId::local(),
        name: format!("{id} {HOSTILE}"),
        roles: vec![AuthorityRole::Auditor],
        person: Some(person.id.clone()),
        made: scene.state.now(),
        expires: scene.state.now().plus_secs(600),
        used: None,
    };
    for (id, person) in [("adas", &scene.ada), ("eves", &eve)] {
        assert!(
            repository.add_token(&token(id, person), decided(&scene.state, Deed::TokenMade)).await.unwrap()
        );
    }
    let page = one.get("/account").await.text;
    assert_eq!(page.matches("Firefox on Linux").count(), 2);
    assert!(page.contains("192.0.2.7") && page.contains("One. <a href=\"/tokens\""), "{page}");
    let of = |page: &str| between(page, "/account/sessions/", "/end").to_owned();
    let (session, token) = (of(&page), hash("adas"));
    for path in [format!("/account/sessions/{session}/end"), format!("/tokens/{token}/revoke")] {
        let status = stranger.post(&path, &[]).await.status;
        assert!([StatusCode::NOT_FOUND, StatusCode::FORBIDDEN].contains(&status), "{path}: {status}");
    }
    assert_eq!(one.post(&format!("/tokens/{token}/revoke"), &[]).await.status, StatusCode::SEE_OTHER);
    assert!(one.get("/account").await.text.contains("None. <a href=\"/tokens\""));
    assert_eq!(other.get("/account").await.status, StatusCode::OK);
    assert_eq!(
        one.post(&format!("/account/sessions/{session}/end"), &[]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(scene.deeds().await[0], Deed::SessionEnded);
    assert_eq!(other.get("/account").await.status, StatusCode::SEE_OTHER);
    let mut third = Client::by_link(&scene.state, &scene.ada).await;
    one.post("/account/sessions/end-others", &[]).await;
    assert_eq!(
        (one.get("/account").await.status, third.get("/account").await.status.as_u16()),
        (StatusCode::OK, 303)
    );
    assert_eq!(stranger.get("/account").await.status, StatusCode::OK);
}

async fn a_credential_of_somebody_else_is_not_removed() {
    let scene = scene().await;
    let (mut client, _) = scene.with_password().await;
    let eve = Person {
        id: model::PersonId::from_random([9; 16]),
        login: "eve".parse().unwrap(),
        ..scene.ada.clone()
    };
    let repository = scene.state.repository();
    assert!(repository.add_person(&eve, &[], decided(&scene.state, Deed::PersonInvited)).await.unwrap());
    let kind = CredentialKind::Passkey;
    let credential = |id: &str| Credential {
        id: id.into(),
        kind,
        label: HOSTILE.into(),
        body: "{}".into(),
        made: scene.state.now(),
        used: None,
    };
    for (id, person) in [("crd-of-eve", &eve), ("crd-of-ada", &scene.ada)] {
        let added = repository.add_credentials(
            &person.id,
            vec![credential(id)],
            decided(&scene.state, Deed::CredentialAdded),
        );
        assert!(added.await.unwrap());
    }
    let page = client.get("/account").await.text;
    assert!(page.contains("crd-of-ada") && !page.contains("crd-of-eve") && !page.contains("<script>alert"));
    let totp = repository.credentials(&scene.ada.id).await.unwrap();
    let totp = totp.iter().find(|one| one.kind == CredentialKind::Totp).unwrap();
    for id in ["crd-of-eve", totp.id.as_str(), "x"] {
        let page = client.post(&format!("/account/credentials/{id}/remove"), &[("last", "yes")]).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{id}");
    }
    assert_eq!(
        client.post("/account/credentials/crd-of-ada/remove", &[]).await.to(),
        "/account?done=passkey-removed#passkeys"
    );
    assert_eq!(repository.credentials(&eve.id).await.unwrap().len(), 1);
}

async fn what_is_no_sign_in_is_refused_clearly() {
    let scene = scene().await;
    let mut client = Client::new(&scene.state);
    let none = "A".repeat(43);
    client.jar.insert("__Host-bastide-step".into(), none.clone());
    let answer = r#"{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response":
        {"authenticatorData": "AAAA", "clientDataJSON": "AAAA", "signature": "AAAA", "userHandle": "AAAAAAAAAAAAAAAAAAAAAA"}}"#;
    let passkey = format!(r#"{{"ceremony": "{none}", "credential": {answer}}}"#);
    let unknown = format!(r#"{{"ceremony": "{none}", "credential": {answer}, "admin": true}}"#);
    assert_eq!(client.post("/sign-in/code", &[("code", "123456")]).await.status.as_u16(), 422, "forged");
    assert_eq!(client.post("/sign-in/password", &[]).await.status.as_u16(), 422);
    for (body, expected) in [(passkey.as_str(), 403), (&unknown, 422), ("{}", 422), ("{", 400), ("", 400)] {
        let page = client.json("/sign-in/passkey/finish", body).await;
        assert_eq!(page.status.as_u16(), expected, "{body}: {}", page.text);
    }
    let (large, mut owner) = (vec![b'x'; 10 << 20], Client::by_link(&scene.state, &scene.ada).await);
    for path in ["/sign-in/password", "/sign-in/code", "/sign-in/passkey/finish"].iter().chain(&CHANGES) {
        let request = Request::post(*path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        let page = owner.send(request, large.clone()).await;
        let unread = ["/account/passkeys/begin", "/account/recovery"].contains(path);
        assert!(
            page.status.as_u16() == 413 || page.status.as_u16() == 415 || unread,
            "{path}: {}",
            page.status
        );
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            let request = Request::post(*path).header(name, value);
            assert_eq!(owner.send(request, Vec::new()).await.status, StatusCode::FORBIDDEN, "{path} {value}");
        }
    }
    let page = client
        .post("/sign-in/password", &[("login", HOSTILE), ("password", HOSTILE), ("next", "//evil.example")])
        .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(!page.text.contains("<script>alert") && !page.text.contains("evil.example"), "{}", page.text);
}

/// Prints how long signing in takes: `cargo test --release -p server --test sign_in -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measure, not a test"]
async fn how_long_signing_in_takes() {
    let scene = scene().await;
    let (mut owner, _) = scene.with_password().await;
    let codes = owner.post("/account/recovery", &[]).await.text;
    let codes: Vec<String> =
        codes.split("<li><code>").skip(1).map(|part| part.split('<').next().unwrap().to_owned()).collect();
    let mut measured: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut note = |what, begin: std::time::Instant| {
        measured.entry(what).or_default().push(begin.elapsed().as_secs_f64() * 1e3);
    };
    let params = argon2::Params::new(64 << 10, 3, 1, None).unwrap();
    let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    for (round, code) in (0_u8..).zip(&codes) {
        let begin = std::time::Instant::now();
        hasher.hash_password_into(PASSWORD.as_bytes(), &[round; 16], &mut [0; 32]).unwrap();
        note("argon2id alone", begin);
        for (what, fields) in [
            ("a wrong password", login("sift amber quilts")),
            ("an unknown login", [("login", "nobody"), ("password", PASSWORD), ("next", "/")]),
        ] {
            let mut client = Client::new(&scene.state).at(round);
            let begin = std::time::Instant::now();
            assert_eq!(client.post("/sign-in/password", &fields).await.status, StatusCode::FORBIDDEN);
            note(what, begin);
        }
        let mut client = Client::new(&scene.state).at(round);
        let begin = std::time::Instant::now();
        client.post("/sign-in/password", &login(PASSWORD)).await;
        client.post("/sign-in/code", &[("code", code)]).await;
        note("signing in, both steps", begin);
        assert!(client.is_in());
    }
    for (what, mut times) in measured {
        times.sort_by(f64::total_cmp);
        println!("{what}: median {:.0} ms, slowest of ten {:.0} ms", times[5], times[9]);
    }
}
