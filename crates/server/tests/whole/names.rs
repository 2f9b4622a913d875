//! Whatever people type to be read by others is one line that shows as it is written, through every way in.

use crate::city::{self, Browser, Page};
use axum::http::Method;
use model::PlanStatus;
use serde_json::{Map, Value, json};
use server::AppState;
use store::Paging;

/// A way in: method, path, its fields with TEXT for what is typed and NEW for an id that nobody has, and the longest text.
type Way = (&'static str, &'static str, &'static [(&'static str, &'static str)], usize);

const WAYS: &[Way] = &[
    ("POST", "/api/v1/people", &[("login", "NEW"), ("name", "TEXT")], 120),
    ("PATCH", "/api/v1/people/PERSON", &[("name", "TEXT")], 120),
    (
        "POST",
        "/api/v1/authorities",
        &[("id", "NEW"), ("name", "TEXT"), ("level", "department"), ("parent", "local")],
        120,
    ),
    ("PATCH", "/api/v1/authorities/local", &[("name", "TEXT")], 120),
    ("POST", "/api/v1/tokens", &[("name", "TEXT"), ("roles", "analyst")], 120),
    ("POST", "/api/v1/enrolment-tokens", &[("name", "TEXT")], 64),
    ("POST", "/api/v1/incidents/INCIDENT/close", &[("state", "resolved"), ("reason", "TEXT")], 500),
    ("POST", "/people", &[("login", "NEW"), ("name", "TEXT"), ("place", "local")], 120),
    ("POST", "/people/PERSON/name", &[("name", "TEXT")], 120),
    (
        "POST",
        "/authorities",
        &[("id", "NEW"), ("name", "TEXT"), ("level", "department"), ("parent", "local")],
        120,
    ),
    ("POST", "/authorities/local/rename", &[("name", "TEXT")], 120),
    ("POST", "/tokens", &[("name", "TEXT"), ("role", "analyst"), ("place", "local"), ("days", "7")], 120),
    ("POST", "/incidents/INCIDENT/close", &[("state", "resolved"), ("reason", "TEXT")], 500),
];

struct Scene {
    state: AppState,
    admin: Browser,
    person: String,
    incident: String,
    made: std::cell::Cell<u32>,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn send(&self, (method, path, fields, _): &Way, text: &str) -> Page {
        self.made.set(self.made.get() + 1);
        let new = format!("new-{}", self.made.get());
        let path = path.replace("PERSON", &self.person).replace("INCIDENT", &self.incident);
        if path.ends_with("/close") {
            // From the time before.
            let reopen = format!("/api/v1/incidents/{}/reopen", self.incident);
            self.admin.ask(&Method::POST, &reopen, &[], "").await;
        }
        let fields = fields.iter().map(|(name, value)| match *value {
            "TEXT" => (*name, text),
            "NEW" => (*name, new.as_str()),
            other => (*name, other),
        });
        let (kind, body) = if path.starts_with("/api/") {
            let value = |name: &str, value: &str| if name == "roles" { json!([value]) } else { json!(value) };
            let fields: Map<String, Value> =
                fields.map(|(name, text)| (name.to_owned(), value(name, text))).collect();
            ("application/json", Value::Object(fields).to_string())
        } else {
            let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let fields: Vec<_> = fields.map(|(name, text)| format!("{name}={}", encoded(text))).collect();
            ("application/x-www-form-urlencoded", fields.join("&"))
        };
        self.admin.ask(&method.parse().unwrap(), &path, &[("content-type", kind)], &body).await
    }

    /// How many decisions there are about more than opening again.
    async fn decisions(&self) -> usize {
        let all = self.state.repository().decisions(None, Paging::new(1, 500)).await.unwrap().items;
        all.iter().filter(|decision| decision.deed != ledger::Deed::IncidentReopened).count()
    }
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    city::night(&state, PlanStatus::Proposed).await;
    let admin = Browser::sign_in(&state).await;
    let new = json!({"login": "eve", "name": "Eve"}).to_string();
    let made =
        admin.ask(&Method::POST, "/api/v1/people", &[("content-type", "application/json")], &new).await;
    let made: Value = serde_json::from_str(&made.text).unwrap();
    let person = made["id"].as_str().unwrap().to_owned();
    let incident = city::incident_id("takeover").to_string();
    Scene { state, admin, person, incident, made: std::cell::Cell::new(0), _dir: dir }
}

#[tokio::test]
async fn what_shows_otherwise_than_it_is_written_is_refused() {
    let scene = scene().await;
    for way in WAYS {
        let before = scene.decisions().await;
        let longest = "é".repeat(way.3 + 1);
        for bad in [
            "",
            "  ",
            "a\0b",
            "a\u{1b}[2Jb",
            "a\u{7f}b",
            "a\u{9b}31mb",
            "a\u{202e}gpj.exe",
            "a\u{2066}b",
            "\u{200f}a",
            "a\u{2028}b",
            "a\u{2029}b",
            "\u{200b}",
            "a\u{200b}b",
            "\u{feff}",
            "\u{3164}",
            &longest,
        ] {
            let page = scene.send(way, bad).await;
            assert!(page.status == 422 || page.status == 400, "{way:?} {bad:?}: {}", page.status);
            assert!(page.text.contains(&format!("1 to {} letters", way.3)), "{way:?}: {}", page.text);
        }
        assert_eq!(scene.decisions().await, before, "{way:?}");
    }
}

#[tokio::test]
async fn letters_of_every_script_are_taken_and_markup_is_shown_as_text() {
    let scene = scene().await;
    let markup = "<script>alert(1)</script><img src=x onerror='alert(1)'>&amp;\"";
    for way in WAYS {
        for good in [
            markup,
            "e\u{301}le\u{300}ve",
            "שרה לוי",
            "محمد",
            "हिन्दी",
            "東京都",
            "O’Neill",
            &"é".repeat(way.3),
        ] {
            let page = scene.send(way, good).await;
            let done = page.status.is_success() || page.status == 303;
            assert!(done, "{way:?} {good:?}: {} {}", page.status, page.text);
        }
        // As it was written last, so that it stands on the pages.
        assert!(scene.send(way, markup).await.status != 422, "{way:?}");
    }
    let mut shown = 0;
    for path in [
        "/people".to_owned(),
        format!("/people/{}", scene.person),
        "/authorities".into(),
        "/tokens".into(),
        "/journal".into(),
        "/settings".into(),
        "/account".into(),
        "/incidents".into(),
        format!("/incidents/{}", scene.incident),
    ] {
        let page = scene.admin.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img"), "{path}");
        shown += usize::from(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    }
    assert!(shown >= 6, "it is shown on {shown} pages only");
}
