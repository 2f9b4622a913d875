//! Every route is closed without a session; the API keeps its description.

use crate::city::{self, Browser, HOST};
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use model::{AuthorityRole, Timestamp};
use serde_json::{Value, json};
use server::{
    AppState, Order, api, auth,
    intake::{Report, take},
    routes::ROUTES,
};
use std::{collections::BTreeSet, net::SocketAddr};
use tower::ServiceExt as _;

/// The paths of the router itself, as it writes them for debugging.
fn routes(state: &AppState) -> BTreeSet<String> {
    let text = format!("{:?}", server::router(state.clone()));
    let routes: BTreeSet<_> = text
        .match_indices("): \"/")
        .filter_map(|(at, _)| text.get(at + 4..)?.split('"').next())
        .map(str::to_owned)
        // The catch-all behind which nothing is.
        .filter(|path| !path.contains("__private__"))
        .collect();
    assert!(routes.len() > 40, "the router is written in another form now: {routes:?}");
    routes
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

async fn send(state: &AppState, method: &Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    ask(&server::router(state.clone()), method, path, headers, body).await
}

/// Sends one request, for our own name where the headers do not name another.
async fn ask(router: &Router, method: &Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 40_000))));
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header(header::HOST, HOST);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let text = match parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
        true => String::new(),
        false => String::from_utf8(axum::body::to_bytes(body, 16 << 20).await.unwrap().to_vec()).unwrap(),
    };
    Answer { status: parts.status, headers: parts.headers, text }
}

/// A route that the table does not know is refused to everybody; one that is only in the table is a mistake.
#[tokio::test]
async fn the_table_of_doors_knows_every_route() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let known: BTreeSet<_> = ROUTES.iter().map(|(_, path, _)| (*path).to_owned()).collect();
    assert_eq!(known, routes(&state));
    let browser = Browser::sign_in(&state).await;
    for (method, path, _) in ROUTES {
        let method: Method = method.parse().unwrap();
        let headers = [("cookie", browser.cookie()), ("sec-fetch-site", "same-origin")];
        if *path != "/sign-out" {
            let path =
                path.replace("{address}", "10.0.0.1").replace("{file}", "console.css").replace("{id}", "x");
            let status = send(&state, &method, &path, &headers, "").await.status;
            assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_is_no_route_is_closed_too() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let check = async |path: &str, accept: &str, expected: StatusCode| {
        assert_eq!(
            send(&state, &Method::GET, path, &[("accept", accept)], "").await.status,
            expected,
            "{path}"
        );
    };
    check("/nothing", "*/*", StatusCode::UNAUTHORIZED).await;
    check("/nothing", "text/html", StatusCode::SEE_OTHER).await;
    check("/api/v1/nothing", "text/html", StatusCode::UNAUTHORIZED).await;
    check("/static/../healthz", "*/*", StatusCode::UNAUTHORIZED).await;
    check("/static/%2e%2e/lib.rs", "*/*", StatusCode::UNAUTHORIZED).await;
    check("//healthz", "*/*", StatusCode::UNAUTHORIZED).await;
    let answer = send(&state, &Method::GET, "/incidents?text=a%20b", &[("accept", "text/html")], "").await;
    assert_eq!(answer.headers[header::LOCATION], "/sign-in?next=/incidents%3Ftext%3Da%2520b");
}

#[tokio::test]
async fn every_api_route_is_described_and_every_description_is_a_route() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let document = api::document();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let routes: BTreeSet<_> = routes(&state)
        .into_iter()
        .filter(|path| path.starts_with("/api/") || path == "/metrics" || path == "/healthz")
        .collect();
    assert_eq!(described, routes);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let name = text[at + 21..].split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is spoken of and not described");
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let ok = operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
            assert!(ok && operation["summary"].is_string(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_doors_refuse_what_is_not_for_us_or_not_from_us() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    let cookie = ("cookie", browser.cookie());
    let get = async |headers: &[(&str, &str)], expected: u16| {
        let answer = send(&state, &Method::GET, "/api/v1/stats", headers, "").await;
        assert_eq!(answer.status.as_u16(), expected, "{headers:?}: {}", answer.text);
    };
    get(&[cookie], 200).await;
    get(&[cookie, ("host", "evil.example:8443")], 421).await;
    get(&[cookie, ("host", "localhost:9999")], 421).await;
    get(&[("host", "")], 421).await;
    let post = async |headers: &[(&str, &str)], expected: u16| {
        let answer = send(&state, &Method::POST, "/api/v1/commands/undo-all", headers, "").await;
        assert_eq!(answer.status.as_u16(), expected, "{headers:?}: {}", answer.text);
    };
    post(&[cookie], 403).await;
    post(&[cookie, ("origin", "https://evil.example")], 403).await;
    post(&[cookie, ("sec-fetch-site", "cross-site"), ("origin", "https://localhost:8443")], 403).await;
    assert!(given.lock().unwrap().is_empty());
    post(&[cookie, ("origin", "https://localhost:8443")], 202).await;
    post(&[cookie, ("sec-fetch-site", "same-origin")], 202).await;
    // By id: what the sensor writes down cannot be changed when somebody is erased.
    let administrator = state.repository().administrator().await.unwrap().unwrap().id.to_string();
    assert_eq!(*given.lock().unwrap(), vec![Order::UndoAll { who: administrator }; 2]);

    let answer = send(&state, &Method::GET, "/healthz", &[], "").await;
    for (name, part) in [
        ("content-security-policy", "default-src 'none'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("strict-transport-security", "max-age="),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert!(answer.headers[name].to_str().unwrap().contains(part), "{name}");
    }
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn tokens_read_or_act_and_are_shown_once() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    use AuthorityRole::{Auditor, Operator};
    let token = async |role, days| {
        let (repository, now) = (state.repository(), state.now());
        let token = auth::make_token(repository, None, "prometheus", &[role], now, days).await.unwrap();
        format!("Bearer {token}")
    };
    let (reads, acts, over) = (token(Auditor, 1).await, token(Operator, 1).await, token(Operator, 0).await);
    let check = async |token: &str, method: &Method, path: &str, expected: u16| {
        let answer = send(&state, method, path, &[("authorization", token)], "").await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {path}: {}", answer.text);
        answer
    };
    let metrics = check(&reads, &Method::GET, "/metrics", 200).await;
    assert!(metrics.text.contains("bastide_store_up 1\n"), "{}", metrics.text);
    check(&reads, &Method::POST, "/api/v1/commands/undo-all", 403).await;
    check(&over, &Method::GET, "/metrics", 401).await;
    assert!(given.lock().unwrap().is_empty());
    check(&acts, &Method::POST, "/api/v1/commands/undo-all", 202).await;
    assert_eq!(given.lock().unwrap()[0], Order::UndoAll { who: "token prometheus".into() });
    let database = std::fs::read(dir.path().join("bastide.sqlite-wal")).unwrap();
    for secret in [&reads, &acts] {
        let secret = secret.trim_start_matches("Bearer ").as_bytes();
        assert!(
            !database.windows(secret.len()).any(|window| window == secret),
            "a token is in the database in clear"
        );
    }
}

#[tokio::test]
async fn a_link_is_used_up_by_its_button_and_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let url = format!("https://{HOST}");
    let ada = auth::administrator(state.repository(), state.now()).await.unwrap();
    let link =
        auth::make_link(state.repository(), &url, &ada, None, state.now(), auth::LINK_SECS).await.unwrap();
    let path = link.strip_prefix(&url).unwrap();
    let look = async |method: &Method, path: &str| send(&state, method, path, &[], "").await;
    for _ in 0..20 {
        let page = look(&Method::GET, path).await;
        assert!(page.status == 200 && page.text.contains("action=\"/sign-in/link\""), "{}", page.text);
        assert!(!page.headers.contains_key(header::SET_COOKIE) && !page.text.contains("dministrator"));
    }
    assert_eq!(look(&Method::HEAD, path).await.status, 200);
    assert_eq!(look(&Method::GET, &format!("{path}x")).await.status, 403);
    let press = async |from: &str, body: &str| {
        let headers = [("sec-fetch-site", from), ("content-type", "application/x-www-form-urlencoded")];
        send(&state, &Method::POST, "/sign-in/link", &headers, body).await.status.as_u16()
    };
    let body = path.strip_prefix("/sign-in?").unwrap();
    assert_eq!(press("cross-site", body).await, 403, "another site presses no button here");
    assert_eq!(press("same-origin", "next=/").await, 422);
    assert_eq!(press("same-origin", &format!("{body}x")).await, 403);
    assert_eq!(press("same-origin", body).await, 303);
    for tries in 0..40 {
        let expected = if tries < 28 { 403 } else { 429 };
        assert_eq!(press("same-origin", body).await, expected, "{tries}");
    }
}

#[tokio::test]
async fn errors_say_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let incident = city::takeover(state.now(), 60);
    take(&state, vec![Report::Incident(Box::new(incident.clone()))]).await;
    let browser = Browser::sign_in(&state).await;
    let check = async |method: Method, path: &str, body: Value, status: u16, expected: &str| {
        let headers = [
            ("cookie", browser.cookie()),
            ("origin", "https://localhost:8443"),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = send(&state, &method, path, &headers, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{method} {path}");
        assert!(answer.text.contains(expected), "{method} {path}: {}", answer.text);
        assert_eq!(answer.json()["status"], status);
    };
    let get = async |path: &str, status, expected: &str| {
        check(Method::GET, path, Value::Null, status, expected).await
    };
    get("/api/v1/incidents?severity=loud", 400, "expected one of `info`").await;
    get("/api/v1/incidents?servity=low", 400, "unknown field `servity`, expected one of").await;
    get("/api/v1/incidents?page=0", 400, "a number from 1").await;
    get("/api/v1/incidents?per_page=501", 400, "a number from 1 to 500").await;
    get("/api/v1/incidents?from=yesterday", 400, "expected an RFC 3339 moment").await;
    get("/api/v1/incidents?address=10.0.0", 400, "invalid IP address syntax").await;
    get("/api/v1/incidents/1", 400, "expected an id such as inc-").await;
    get("/api/v1/incidents/inc-0123456789abcdef", 404, "there is no incident").await;
    get("/api/v1/assets/10.9.9.9", 404, "there is no asset").await;
    let close = format!("/api/v1/incidents/{}/close", incident.id);
    let post = async |body, status, expected: &str| check(Method::POST, &close, body, status, expected).await;
    post(json!({}), 422, "missing field `reason`").await;
    post(json!({"reason": "x", "because": "y"}), 422, "unknown field `because`").await;
    post(json!({"reason": "  "}), 422, "`reason` in 1 to 500 letters").await;
    post(json!({"reason": "x", "days": 91}), 422, "`days` from 1 to 90").await;
    post(json!({"reason": "x", "state": "open"}), 422, "closed as `false-alarm` or as `resolved`").await;
    let narrow = json!({"reason": "x", "exceptions": [{"detector": "nothing", "address": "192.168.20.17"}]});
    post(narrow, 422, "`detector` one of: ").await;
    let elsewhere =
        json!({"reason": "x", "exceptions": [{"detector": "scan-horizontal", "address": "10.9.9.9"}]});
    post(elsewhere, 422, "`address` one of the incident's `assets`").await;
    check(Method::POST, "/api/v1/plans/plan-0123456789abcdef/approve", Value::Null, 404, "there is no plan")
        .await;
    check(Method::POST, "/api/v1/commands/undo-all", Value::Null, 409, "bastide up` with --sensor").await;
    check(Method::POST, "/api/v1/responding", json!({"responding": "no"}), 422, "expected a boolean").await;
    check(Method::POST, &close, json!({"reason": "x".repeat(70_000)}), 413, "").await;
}

#[tokio::test]
async fn an_incident_is_closed_with_exceptions_by_the_api_and_the_stream_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let incident = city::takeover(state.now(), 60);
    let mut changes = state.changes();
    take(&state, vec![Report::Incident(Box::new(incident.clone()))]).await;
    let browser = Browser::sign_in(&state).await;
    let headers = [
        ("cookie", browser.cookie()),
        ("origin", "https://localhost:8443"),
        ("content-type", "application/json"),
    ];
    let path = format!("/api/v1/incidents/{}", incident.id);
    let known = send(&state, &Method::GET, &path, &headers, "").await.json();
    assert_eq!((known["state"].as_str(), known["revision"].as_u64()), (Some("open"), Some(1)));
    assert!(!known["exceptions_suggested"].as_array().unwrap().is_empty());
    let body = json!({"reason": "the installer's laptop", "days": 7,
        "exceptions": [{"detector": "scan-horizontal", "address": "192.168.20.17", "peer": "203.0.113.66"}]});
    let closed = send(&state, &Method::POST, &format!("{path}/close"), &headers, &body.to_string()).await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT, "{}", closed.text);
    let Some(Order::Exceptions(told)) = given.lock().unwrap().last().cloned() else {
        panic!("the sensor was not told")
    };
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].detector.as_str(), told[0].who.as_str()), ("scan-horizontal", "administrator"));
    let lasts = told[0].until.seconds_since(Timestamp::from_micros(state.now().micros()));
    assert!((6.9 * 86_400.0..=7.0 * 86_400.0).contains(&lasts), "{lasts}");
    let listed = send(&state, &Method::GET, "/api/v1/incidents?state=false-alarm", &headers, "").await.json();
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["items"][0]["closed"]["reason"], "the installer's laptop");
    let names: Vec<_> = std::iter::from_fn(|| changes.try_recv().ok()).map(|change| change.name()).collect();
    assert_eq!(names, ["incident", "incident", "exceptions"]);
    let decisions = send(&state, &Method::GET, "/api/v1/decisions", &headers, "").await.json();
    let what: Vec<_> =
        decisions["items"].as_array().unwrap().iter().map(|one| one["deed"].as_str().unwrap()).collect();
    let expected =
        ["incident-closed", "exception-made", "evidence-opened", "signed-in", "link-made", "person-invited"];
    assert_eq!(what, expected);
    assert_eq!(decisions["items"][0]["details"], "false-alarm: the installer's laptop");

    let exception = send(&state, &Method::GET, "/api/v1/exceptions", &headers, "").await.json();
    let id = exception["items"][0]["id"].as_str().unwrap().to_owned();
    let revoked = send(&state, &Method::DELETE, &format!("/api/v1/exceptions/{id}"), &headers, "").await;
    assert_eq!(revoked.status, StatusCode::ACCEPTED);
    assert_eq!(given.lock().unwrap().last(), Some(&Order::Exceptions(vec![])));
}

#[tokio::test]
async fn what_is_described_is_what_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let incident = city::takeover(state.now(), 60);
    take(&state, vec![Report::Incident(Box::new(incident.clone()))]).await;
    let browser = Browser::sign_in(&state).await;
    let answer =
        send(&state, &Method::GET, "/api/v1/incidents", &[("cookie", browser.cookie())], "").await.json();
    let schemas = api::document()["components"]["schemas"].clone();
    let described = |name: &str| {
        let own = schemas[name]["properties"].as_object().cloned().unwrap_or_default();
        let all = schemas[name]["allOf"].as_array().cloned().unwrap_or_default();
        let extended =
            all.iter().flat_map(|part| part["properties"].as_object().cloned().unwrap_or_default());
        own.into_iter().chain(extended).map(|(key, _)| key).collect::<BTreeSet<_>>()
    };
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let record = &answer["items"][0];
    let expected: BTreeSet<_> = described("Incident").union(&described("IncidentRecord")).cloned().collect();
    assert_eq!(keys(record), expected);
    assert_eq!(keys(&record["assets"][0]), described("IncidentAsset"));
    assert_eq!(keys(&record["evidence"][0]), described("Evidence"));
    assert_eq!(keys(&answer), described("Incidents"));
    let cookie = [("cookie", browser.cookie())];
    let answer = send(&state, &Method::GET, "/api/v1/decisions", &cookie, "").await.json();
    assert_eq!(keys(&answer["items"][0]), described("Decision"));
    assert_eq!(keys(&answer), described("Decisions"));
}
