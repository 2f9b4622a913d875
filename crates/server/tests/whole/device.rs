//! A command line is let in by somebody in a browser: the answers of RFC 8628, and what a session that is had so may not.

use crate::city::{self, Browser, HOSTILE, Page};
use axum::http::{Method, StatusCode, header};
use ledger::{Deed, Salt};
use model::{AuthorityId, AuthorityRole, PersonId, PersonState};
use serde_json::{Value, json};
use server::{AppState, auth};
use store::{Actor, Decided, NewSession, Paging, Person};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const ASK: &str = "client_id=bastide-cli&device_name=ops-laptop";

struct Scene {
    state: AppState,
    ada: Person,
    _dir: tempfile::TempDir,
}

/// What a program was told when it asked.
struct Asked {
    device_code: String,
    user_code: String,
    body: Value,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let ada = auth::administrator(state.repository(), state.now()).await.unwrap();
    Scene { state, ada, _dir: dir }
}

fn decided(state: &AppState, deed: Deed) -> Decided {
    let salts = [Salt::new([1; 32]), Salt::new([2; 32])];
    Decided { at: state.now(), who: Actor::Program, deed, about: Vec::new(), details: None, salts }
}

fn parsed(page: &Page) -> Value {
    serde_json::from_str(&page.text).unwrap_or_else(|error| panic!("{error}: {}", page.text))
}

/// What is kept of a secret.
fn hash(secret: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Scene {
    async fn post(&self, path: &str, form: &str) -> Page {
        Browser::stranger(&self.state).ask(&Method::POST, path, &[FORM], form).await
    }

    async fn ask(&self, form: &str) -> Asked {
        let page = self.post("/api/v1/device-authorization", form).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let body = parsed(&page);
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Asked { device_code: text("device_code"), user_code: text("user_code"), body }
    }

    /// What a program gets that looks: its token, or the error.
    async fn look(&self, device_code: &str) -> Result<String, String> {
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=bastide-cli&device_code={device_code}"
        );
        let page = self.post("/api/v1/token", &form).await;
        let body = parsed(&page);
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
        if page.status == StatusCode::OK {
            assert_eq!(body["token_type"], "Bearer");
            let lasts = body["expires_in"].as_i64().unwrap();
            assert!((12 * 3_600 - 60..=12 * 3_600).contains(&lasts), "{lasts}");
            return Ok(body["access_token"].as_str().unwrap().to_owned());
        }
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(body["error_description"].is_string());
        Err(body["error"].as_str().unwrap().to_owned())
    }

    async fn answer(&self, browser: &Browser, user_code: &str, answer: &str) -> Page {
        browser.post("/sign-in/device", &format!("user_code={user_code}&answer={answer}")).await
    }

    /// A command line that is let in as somebody.
    async fn let_in(&self, browser: &Browser) -> String {
        let asked = self.ask(ASK).await;
        let page = self.answer(browser, &asked.user_code, "yes").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        self.look(&asked.device_code).await.unwrap()
    }

    async fn person(&self, name: &str, roles: &[AuthorityRole]) -> (Person, Browser) {
        let number = name.bytes().fold(7_u128, |number, byte| number.wrapping_mul(257) + u128::from(byte));
        let person = Person {
            authority: AuthorityId::local(),
            id: PersonId::from_random(number.to_be_bytes()),
            login: name.parse().unwrap(),
            name: name.to_uppercase(),
            state: PersonState::Active,
            made: self.state.now(),
        };
        let decided = decided(&self.state, Deed::PersonInvited);
        assert!(self.state.repository().add_person(&person, roles, decided).await.unwrap());
        let browser = Browser::sign_in_as(&self.state, &person).await;
        (person, browser)
    }

    async fn bearer(&self, token: &str, method: Method, path: &str, body: &str) -> Page {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        Browser::stranger(&self.state).ask(&method, path, &headers, body).await
    }

    async fn gets(&self, token: &str) -> u16 {
        self.bearer(token, Method::GET, "/api/v1/incidents", "").await.status.as_u16()
    }

    async fn deeds(&self, deed: Deed) -> Vec<(Option<String>, Option<String>)> {
        let page = self.state.repository().decisions(None, Paging::default()).await.unwrap();
        let of = page.items.into_iter().filter(|decision| decision.deed == deed);
        of.map(|decision| (decision.who, decision.details)).collect()
    }
}

#[tokio::test]
async fn a_command_line_is_let_in_by_a_person_in_a_browser() {
    let scene = scene().await;
    let browser = Browser::sign_in_as(&scene.state, &scene.ada).await;
    let asked = scene.ask(ASK).await;
    let page = format!("https://{}/sign-in/device", city::HOST);
    assert_eq!(asked.body["verification_uri"], page);
    assert_eq!(asked.body["verification_uri_complete"], format!("{page}?user_code={}", asked.user_code));
    assert_eq!((&asked.body["expires_in"], &asked.body["interval"]), (&json!(600), &json!(5)));

    assert_eq!(scene.look(&asked.device_code).await.unwrap_err(), "authorization_pending");
    assert_eq!(scene.look(&asked.device_code).await.unwrap_err(), "slow_down");

    // A stranger goes over the sign-in page and comes back.
    let path = format!("/sign-in/device?user_code={}", asked.user_code);
    let closed = Browser::stranger(&scene.state).get(&path).await;
    let to = format!("/sign-in?next=/sign-in/device%3Fuser_code%3D{}", asked.user_code);
    assert_eq!(
        (closed.status, closed.headers[header::LOCATION].to_str().unwrap()),
        (StatusCode::SEE_OTHER, &*to)
    );

    let shown = browser.get(&path).await;
    for part in [
        &*asked.user_code,
        "ops-laptop",
        "127.0.0.1",
        "Only if you ran <code>bastide sign-in</code>",
        "administrator",
    ] {
        assert!(shown.text.contains(part), "{part}: {}", shown.text);
    }
    // Looking is no answer; the code may be typed in any case.
    let typed = asked.user_code.to_lowercase().replace('-', "+");
    assert!(browser.get(&format!("/sign-in/device?user_code={typed}")).await.text.contains(&asked.user_code));
    assert_eq!(
        scene.answer(&browser, &asked.user_code, "maybe").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let answered = scene.answer(&browser, &asked.user_code, "yes").await;
    assert!(answered.status == StatusCode::OK && answered.text.contains("It is let in"), "{}", answered.text);
    assert_eq!(
        scene.answer(&browser, &asked.user_code, "no").await.status,
        StatusCode::NOT_FOUND,
        "answered once"
    );

    let token = scene.look(&asked.device_code).await.unwrap();
    assert_eq!(scene.look(&asked.device_code).await.unwrap_err(), "invalid_grant", "handed out once");
    assert_eq!(scene.gets(&token).await, 200);
    let me = parsed(&scene.bearer(&token, Method::GET, "/api/v1/me", "").await);
    assert_eq!((&me["name"], &me["session"]["method"]), (&json!("administrator"), &json!("cli")));
    assert_eq!(me["holds"].as_array().unwrap().len(), 3);
    assert!(!me.to_string().contains(&hash(&token)));

    // It is a sign-in like every other: listed, and a leaf.
    let account = browser.get("/account").await.text;
    assert!(account.contains("bastide on ops-laptop") && account.contains("command line"), "{account}");
    let signed_in = scene.deeds(Deed::SignedIn).await;
    assert_eq!(signed_in[0].1.as_deref(), Some("by cli from 127.0.0.1, bastide on ops-laptop"));
    assert!(signed_in[0].0.as_ref().unwrap().contains("administrator"));

    // It signs itself out.
    assert_eq!(scene.bearer(&token, Method::POST, "/sign-out", "").await.status, StatusCode::OK);
    assert_eq!(scene.gets(&token).await, 401);
    let again = scene.bearer(&token, Method::POST, "/sign-out", "").await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "and learns that it is out");
    assert_eq!(scene.deeds(Deed::SignedOut).await.len(), 1);
    assert_eq!(browser.get("/account").await.status, StatusCode::OK, "the browser stays signed in");
}

#[tokio::test]
async fn no_and_somebody_elses_yes() {
    let scene = scene().await;
    let (_, ben) = scene.person("ben", &[AuthorityRole::Auditor]).await;
    let ada = Browser::sign_in_as(&scene.state, &scene.ada).await;
    let asked = scene.ask(ASK).await;
    let page = scene.answer(&ada, &asked.user_code, "no").await;
    assert!(page.text.contains("It is not let in"), "{}", page.text);
    assert_eq!(scene.look(&asked.device_code).await.unwrap_err(), "access_denied");
    assert_eq!(scene.answer(&ada, &asked.user_code, "yes").await.status, StatusCode::NOT_FOUND);

    // Whoever says yes is who it acts as, with their roles and no others; it is too late for anybody else.
    let asked = scene.ask(ASK).await;
    assert_eq!(scene.answer(&ben, &asked.user_code, "yes").await.status, StatusCode::OK);
    assert_eq!(scene.answer(&ada, &asked.user_code, "yes").await.status, StatusCode::NOT_FOUND);
    let token = scene.look(&asked.device_code).await.unwrap();
    let me = parsed(&scene.bearer(&token, Method::GET, "/api/v1/me", "").await);
    assert_eq!(
        (&me["name"], &me["holds"]),
        (&json!("ben"), &json!([{"role": "auditor", "authority": "local"}]))
    );
    assert_eq!(
        scene.bearer(&token, Method::POST, "/api/v1/commands/undo-all", "").await.status,
        StatusCode::FORBIDDEN
    );

    // A yes from another site is none, nor one of a stranger.
    let asked = scene.ask(ASK).await;
    let form = format!("user_code={}&answer=yes", asked.user_code);
    for (browser, site) in [(&ada, "cross-site"), (&Browser::stranger(&scene.state), "same-origin")] {
        let headers = [FORM, ("sec-fetch-site", site), ("cookie", browser.cookie())];
        let page =
            Browser::stranger(&scene.state).ask(&Method::POST, "/sign-in/device", &headers, &form).await;
        assert!(matches!(page.status.as_u16(), 401 | 403), "{}", page.status);
    }
    assert_eq!(scene.look(&asked.device_code).await.unwrap_err(), "authorization_pending");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_the_words_of_the_standard() {
    let scene = scene().await;
    let long = "x".repeat(70_000);
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:device_code";
    for (path, form, status, error) in [
        ("device-authorization", "", 400, "invalid_request"),
        ("device-authorization", "client_id=other", 400, "invalid_client"),
        ("device-authorization", "client_id=bastide-cli&client_id=bastide-cli", 400, "invalid_request"),
        ("device-authorization", "client_id=bastide-cli&scope=all&other=1", 200, ""),
        ("token", "", 400, "invalid_request"),
        ("token", "grant_type=password&client_id=bastide-cli", 400, "unsupported_grant_type"),
        ("token", &format!("{grant}&client_id=other&device_code=x"), 400, "invalid_client"),
        ("token", &format!("{grant}&client_id=bastide-cli"), 400, "invalid_request"),
        ("token", &format!("{grant}&client_id=bastide-cli&device_code=x"), 400, "invalid_grant"),
        (
            "token",
            &format!("{grant}&client_id=bastide-cli&device_code=x&device_code=y"),
            400,
            "invalid_request",
        ),
        ("token", &format!("{grant}&client_id=bastide-cli&device_code={long}"), 413, "invalid_request"),
        ("token", "%ff=%fe&\0", 400, "invalid_request"),
    ] {
        let page = scene.post(&format!("/api/v1/{path}"), form).await;
        assert_eq!(page.status.as_u16(), status, "{path} {form}: {}", page.text);
        if status != 200 {
            assert_eq!(parsed(&page)["error"], error, "{path} {form}");
        }
    }
    let json = [("content-type", "application/json")];
    let stranger = Browser::stranger(&scene.state);
    let page = stranger.ask(&Method::POST, "/api/v1/token", &json, "{}").await;
    assert_eq!(parsed(&page)["error"], "invalid_request");
}

#[tokio::test]
async fn a_hostile_machine_is_shown_as_text() {
    let scene = scene().await;
    let browser = Browser::sign_in_as(&scene.state, &scene.ada).await;
    let name: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let asked = scene.ask(&format!("client_id=bastide-cli&device_name={name}")).await;
    let path = format!("/sign-in/device?user_code={}", asked.user_code);
    let shown = browser.get(&path).await.text;
    scene.answer(&browser, &asked.user_code, "yes").await;
    for page in [
        shown,
        browser.get("/account").await.text,
        browser.get(&format!("/people/{}", scene.ada.id)).await.text,
    ] {
        assert!(
            page.contains("&lt;script&gt;") && !page.contains("<script>alert") && !page.contains('\u{202e}'),
            "{page}"
        );
    }
    let nameless = scene.ask("client_id=bastide-cli").await;
    let shown = browser.get(&format!("/sign-in/device?user_code={}", nameless.user_code)).await.text;
    assert!(shown.contains("(has no name)"), "{shown}");
}

#[tokio::test]
async fn guessing_codes_makes_the_guesser_wait_and_nobody_else() {
    let scene = scene().await;
    let (_, ben) = scene.person("ben", &[AuthorityRole::Auditor]).await;
    let ada = Browser::sign_in_as(&scene.state, &scene.ada).await;
    let asked = scene.ask(ASK).await;
    let mut wrong = 0;
    // Both ways of trying a code count.
    let waits = loop {
        let page = match wrong % 2 {
            0 => ben.get("/sign-in/device?user_code=BBBB-BBBB").await,
            _ => scene.answer(&ben, "CCCC-CCCC", "yes").await,
        };
        if page.status != StatusCode::NOT_FOUND {
            break page;
        }
        assert!(page.text.contains("No program asks with this code"), "{}", page.text);
        wrong += 1;
        assert!(wrong < 12, "guessing costs nothing");
    };
    assert!(wrong >= 5 && waits.status == StatusCode::TOO_MANY_REQUESTS, "{wrong}: {}", waits.status);
    assert!(waits.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(scene.answer(&ada, &asked.user_code, "yes").await.status, StatusCode::OK);
}

/// What a session that a file on a disk opens may not: change by what its person signs in, or make something that outlasts it.
#[tokio::test]
async fn a_command_line_changes_nothing_by_which_somebody_comes_in() {
    let scene = scene().await;
    let browser = Browser::sign_in_as(&scene.state, &scene.ada).await;
    let token = scene.let_in(&browser).await;
    let other = scene.ask(ASK).await;
    let person = format!("/api/v1/people/{}", scene.ada.id);
    for (method, path, body, status) in [
        (Method::GET, "/sign-in/device".to_owned(), "", 403),
        (Method::POST, "/api/v1/tokens".to_owned(), r#"{"name": "x", "roles": ["analyst"]}"#, 403),
        (Method::POST, format!("{person}/link"), "", 403),
        (Method::GET, person, "", 200),
    ] {
        let page = scene.bearer(&token, method.clone(), &path, body).await;
        assert_eq!(page.status.as_u16(), status, "{method} {path}: {}", page.text);
    }
    let stranger = Browser::stranger(&scene.state);
    let authorization = format!("Bearer {token}");
    let as_form = [FORM, ("authorization", authorization.as_str()), ("accept", "text/html")];
    let yes = format!("user_code={}&answer=yes", other.user_code);
    let page = stranger.ask(&Method::POST, "/sign-in/device", &as_form, &yes).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(scene.look(&other.device_code).await.unwrap_err(), "authorization_pending");
    for path in ["/account/password", "/account/recovery", "/account/passkeys/begin"] {
        let form = "password=sift+amber+quilt&again=sift+amber+quilt";
        let page = stranger.ask(&Method::POST, path, &as_form, form).await;
        assert!(!page.status.is_success(), "{path}: {}", page.text);
    }
    assert!(scene.state.repository().credentials(&scene.ada.id).await.unwrap().is_empty());

    // A bearer is no cookie, and a cookie no bearer.
    let cookie = format!("__Host-bastide={token}");
    let page = stranger.ask(&Method::GET, "/api/v1/me", &[("cookie", cookie.as_str())], "").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    let secret = browser.cookie().strip_prefix("__Host-bastide=").unwrap();
    assert_eq!(scene.gets(secret).await, 401);
}

#[tokio::test]
async fn it_ends_with_everything_that_ends_a_session() {
    let scene = scene().await;
    let ada = Browser::sign_in_as(&scene.state, &scene.ada).await;
    let (ben, browser) = scene.person("ben", &[AuthorityRole::Auditor]).await;
    let api = format!("/api/v1/people/{}", ben.id);
    let json = [("content-type", "application/json")];

    // By its owner, in the list.
    let token = scene.let_in(&browser).await;
    let end = format!("/account/sessions/{}/end", hash(&token));
    assert_eq!(browser.post(&end, "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(scene.gets(&token).await, 401);

    // Roles are those of the moment.
    let token = scene.let_in(&browser).await;
    assert_eq!(scene.gets(&token).await, 200);
    let role = format!("{api}/roles/local/auditor");
    assert_eq!(ada.ask(&Method::DELETE, &role, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(scene.gets(&token).await, 403);

    // By an administrator, also before it was fetched.
    let asked = scene.ask(ASK).await;
    scene.answer(&browser, &asked.user_code, "yes").await;
    assert_eq!(
        ada.ask(&Method::DELETE, &format!("{api}/sessions"), &[], "").await.status,
        StatusCode::NO_CONTENT
    );
    let late = scene.look(&asked.device_code).await.unwrap();
    assert_eq!((scene.gets(&token).await, scene.gets(&late).await), (401, 401));

    // By suspension; and letting them in again brings it not back.
    let browser = Browser::sign_in_as(&scene.state, &ben).await;
    let token = scene.let_in(&browser).await;
    for state in ["suspended", "active"] {
        let body = json!({"state": state}).to_string();
        assert_eq!(ada.ask(&Method::PATCH, &api, &json, &body).await.status, StatusCode::NO_CONTENT);
        assert_eq!(scene.gets(&token).await, 401, "{state}");
    }

    // By erasing.
    let browser = Browser::sign_in_as(&scene.state, &ben).await;
    let token = scene.let_in(&browser).await;
    assert_eq!(ada.ask(&Method::DELETE, &api, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(scene.gets(&token).await, 401);
}

#[tokio::test]
async fn it_lasts_twelve_hours_whether_used_or_not() {
    const SECRETS: [&str; 3] = [
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
        "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
    ];
    let scene = scene().await;
    let hour = 3_600;
    for (secret, method, ago, expected) in [
        (SECRETS[0], "cli", 11 * hour, 200),
        (SECRETS[1], "cli", 12 * hour, 401),
        (SECRETS[2], "link", hour, 401),
    ] {
        let made = scene.state.now().plus_secs(-ago);
        let session = NewSession {
            hash: hash(secret),
            method,
            device: "bastide on ops-laptop".into(),
            place: "192.0.2.7".into(),
            made,
            expires: made.plus_secs(12 * hour),
        };
        let salts = [Salt::new([3; 32]), Salt::new([4; 32])];
        assert!(scene.state.repository().open_session(&scene.ada.id, session, salts).await.unwrap());
        assert_eq!(scene.gets(secret).await, expected, "{method} {ago}");
    }
}
