//! The console as a browser sees it: every page, by anybody, with text by an enemy.

use crate::city::{self, Browser, HOSTILE, Page};
use axum::http::{StatusCode, header};
use model::{Criticality, Effect, PlanStatus, Severity};
use server::{Order, intake::Report};

/// Every start tag with its attributes and their values, as a browser would read them.
fn tags(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    for part in page.split('<').skip(1) {
        let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        if name.is_empty() {
            continue;
        }
        let mut attributes = Vec::new();
        let (mut word, mut value, mut inside) = (String::new(), String::new(), false);
        for c in part.chars().skip(name.len()) {
            match c {
                '"' if inside => {
                    attributes.push((std::mem::take(&mut word), std::mem::take(&mut value)));
                    inside = false;
                }
                '"' => inside = true,
                c if inside => value.push(c),
                '>' => break,
                ' ' | '\n' | '/' => word.clear(),
                '=' => {}
                c => word.push(c),
            }
        }
        found.push((name.to_lowercase(), attributes));
    }
    found
}

/// No inline script or style, nothing from elsewhere, nothing that acts on the reader's screen, and a form that changes
/// something posts.
fn is_clean(path: &str, page: &str) {
    for (name, attributes) in tags(page) {
        let get =
            |key: &str| attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert!(
            !["style", "img", "iframe", "object", "embed", "base"].contains(&name.as_str()),
            "{path}: <{name}>"
        );
        if name == "script" {
            assert!(get("src").is_some_and(|src| src.starts_with("/static/")), "{path}: inline script");
        }
        for (attribute, value) in &attributes {
            assert!(!attribute.starts_with("on") && attribute != "style", "{path}: <{name} {attribute}>");
            if ["href", "action", "src"].contains(&attribute.as_str()) {
                assert!(
                    value.starts_with('/') || value.starts_with('#'),
                    "{path}: <{name} {attribute}={value}>"
                );
                assert!(!value.starts_with("//"), "{path}: {value}");
            }
        }
        if name == "svg" {
            assert!(get("role").is_some() || get("aria-hidden").is_some(), "{path}: an unnamed drawing");
        }
    }
    for c in page.chars() {
        assert!(!c.is_control() || c == '\n', "{path}: {c:?}");
        assert!(!matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'), "{path}: {c:?}");
    }
}

/// What WCAG asks of every page and a program can check.
fn is_accessible(path: &str, page: &str) {
    for part in
        ["<html lang=\"en\"", "<title>", "<main id=\"main\"", "<h1", "class=\"skip\"", "name=\"viewport\""]
    {
        assert!(page.contains(part), "{path} has no {part}");
    }
    assert_eq!(page.matches("<h1").count(), 1, "{path} has one main heading");
    assert_eq!(page.matches("<main").count(), 1, "{path}");
    let mut ids = std::collections::BTreeSet::new();
    let all = tags(page);
    for (name, attributes) in &all {
        for (attribute, value) in attributes {
            if attribute == "id" {
                assert!(ids.insert(value.clone()), "{path}: the id {value} twice");
            }
            if attribute == "tabindex" {
                assert!(value == "0" || value == "-1", "{path}: <{name} tabindex={value}>");
            }
        }
    }
    for (_, attributes) in &all {
        for (attribute, value) in attributes {
            if attribute == "aria-labelledby" {
                for id in value.split(' ') {
                    assert!(ids.contains(id), "{path}: nothing has the id {id}");
                }
            }
            if attribute == "href" && value.starts_with('#') {
                assert!(ids.contains(&value[1..]), "{path}: {value} leads nowhere");
            }
        }
    }
    for table in page.split("<table").skip(1) {
        let head = table.split("</thead>").next().unwrap();
        assert!(head.contains("scope=\"col\""), "{path}: a table without heads");
    }
    // Every field stands inside its label.
    for (before, after) in
        [("<select", "select"), ("<textarea", "textarea"), ("<input type=\"search\"", "search")]
    {
        for part in page.split(before).skip(1).zip(page.split(before)) {
            let (_, lead) = part;
            let label = lead.rfind("<label").unwrap_or(0);
            assert!(
                lead.rfind("</label>").is_none_or(|end| end < label),
                "{path}: a {after} without a label"
            );
        }
    }
}

async fn check(browser: &Browser, path: &str, status: StatusCode) -> Page {
    let page = browser.get(path).await;
    assert_eq!(page.status, status, "{path}: {}", page.text);
    is_clean(path, &page.text);
    is_accessible(path, &page.text);
    page
}

/// Every page there is, for an incident and an asset.
fn pages(incident: &str, asset: &str) -> Vec<String> {
    [
        "/",
        "/incidents",
        "/incidents?state=open&severity=high&sort=severity&stage=impact&text=192&rows=2",
        "/incidents?text=nothing-has-this",
        "/incidents?severity=grave&from=yesterday&page=-1",
        "/assets",
        "/assets?kind=camera&sort=name",
        "/assets?text=nothing-has-this",
        "/assets/at/203.0.113.66",
        "/journal",
        "/settings",
        "/people",
        "/people?text=nothing-has-this&page=2",
        "/authorities",
        "/tokens",
        "/account",
        "/account?done=password-set",
        "/account/confirm",
    ]
    .iter()
    .map(|path| (*path).to_owned())
    .chain([format!("/incidents/{incident}"), format!("/assets/{asset}")])
    .collect()
}

#[tokio::test]
async fn every_page_is_clean_and_accessible() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    for path in ["/", "/incidents", "/assets", "/journal", "/settings"] {
        check(&browser, path, StatusCode::OK).await;
    }
    let incident = city::incident_id("takeover");
    for status in [PlanStatus::Proposed, PlanStatus::Active, PlanStatus::Shown] {
        city::night(&state, status).await;
        for path in pages(incident.as_str(), "02:00:5e:10:00:11") {
            check(&browser, &path, StatusCode::OK).await;
        }
    }
    for path in [
        "/nothing",
        "/incidents/nothing",
        "/incidents/inc-0000000000000000",
        "/assets/nothing",
        "/assets/at/x",
    ] {
        check(&browser, path, StatusCode::NOT_FOUND).await;
    }
    let stranger = Browser::stranger(&state);
    check(&stranger, "/sign-in", StatusCode::OK).await;
    let link = format!("link={}", "A".repeat(43));
    check(&stranger, &format!("/sign-in?{link}"), StatusCode::OK).await;
    let refused = stranger.post("/sign-in/link", &link).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    is_clean("/sign-in/link", &refused.text);
    is_accessible("/sign-in/link", &refused.text);
}

/// Looks at the answer to something that was sent.
fn look(what: &str, page: &Page, status: StatusCode) {
    assert_eq!(page.status, status, "{what}: {}", page.text);
    is_clean(what, &page.text);
    is_accessible(what, &page.text);
}

fn of_the_machine(state: &server::AppState, deed: ledger::Deed) -> store::Decided {
    let salts = [1, 2].map(|byte| ledger::Salt::new([byte; 32]));
    store::Decided { at: state.now(), who: store::Actor::Program, deed, about: vec![], details: None, salts }
}

#[tokio::test]
async fn pages_that_are_led_to_are_clean_and_accessible() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    // People: invited, looked at, changed, refused.
    let [invited, again] =
        browser.post_and_follow("/people", "login=eve&name=Eve&place=local&role=auditor").await;
    look("invited", &invited, StatusCode::OK);
    look("invited, loaded again", &again, StatusCode::OK);
    let eve = state.repository().person_by_login(&"eve".parse().unwrap()).await.unwrap().unwrap();
    let page = format!("/people/{}", eve.id);
    let [link, _] = browser.post_and_follow(&format!("{page}/link"), "").await;
    look("a new link", &link, StatusCode::OK);
    browser.post(&format!("{page}/suspend"), "").await;
    check(&browser, &page, StatusCode::OK).await;
    look("a link for nobody", &browser.post(&format!("{page}/link"), "").await, StatusCode::CONFLICT);
    look("twice", &browser.post("/people", "login=eve&name=E&place=local").await, StatusCode::CONFLICT);
    check(&browser, "/people/nobody", StatusCode::NOT_FOUND).await;
    browser.post("/authorities", "id=harbour&name=Harbour&level=department&parent=local").await;
    for path in ["/people", "/authorities", "/people?authority=harbour"] {
        check(&browser, path, StatusCode::OK).await;
    }
    let [token, _] = browser.post_and_follow("/tokens", "name=monitor&role=analyst&place=local&days=7").await;
    look("a token", &token, StatusCode::OK);
    look("no role", &browser.post("/tokens", "name=x&place=local").await, StatusCode::UNPROCESSABLE_ENTITY);
    // One's own account: a password that is refused, the app, its code, the codes for the day the phone is lost.
    let unfit = browser.post("/account/password", "password=short&again=short").await;
    look("an unfit password", &unfit, StatusCode::UNPROCESSABLE_ENTITY);
    let password = "password=sift+amber+quilt&again=sift+amber+quilt";
    let asked = browser.post("/account/password", password).await;
    look("the app", &asked, StatusCode::OK);
    let app = city::App::reads(&asked.text);
    let setup = |page: &Page| {
        page.text.split("name=\"setup\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let wrong = format!("setup={}&code=000000x", setup(&asked));
    let wrong = browser.post("/account/password/confirm", &wrong).await;
    look("a wrong code of the app", &wrong, StatusCode::UNPROCESSABLE_ENTITY);
    look("no password", &browser.post("/account/recovery", "").await, StatusCode::CONFLICT);
    let right = format!("setup={}&code={}", setup(&wrong), app.shows(state.now(), 0));
    let set = browser.post("/account/password/confirm", &right).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.text);
    look("recovery codes", &browser.post("/account/recovery", "").await, StatusCode::OK);
    check(&browser, "/account", StatusCode::OK).await;
    // Signing in with them.
    let stranger = Browser::stranger(&state);
    for (form, status) in [
        ("login=&password=", StatusCode::UNPROCESSABLE_ENTITY),
        ("login=nobody&password=x", StatusCode::FORBIDDEN),
        ("login=nobody&login=x", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        look(form, &stranger.post("/sign-in/password", form).await, status);
    }
    let first = stranger.post("/sign-in/password", "login=administrator&password=sift+amber+quilt").await;
    let waits = stranger.with(first.headers[header::SET_COOKIE].to_str().unwrap());
    let code = check(&waits, "/sign-in", StatusCode::OK).await;
    assert!(code.text.contains("One-time code"), "{}", code.text);
    look("a wrong code", &waits.post("/sign-in/code", "code=000000x").await, StatusCode::FORBIDDEN);
    look("no code", &stranger.post("/sign-in/code", "code=1").await, StatusCode::UNPROCESSABLE_ENTITY);
    look("signed out", &browser.post("/sign-out", "").await, StatusCode::OK);
}

#[tokio::test]
async fn text_by_an_enemy_stays_text() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    let now = state.now();
    let mut incident = city::takeover(now, 200);
    for text in [&mut incident.title, &mut incident.summary] {
        *text = HOSTILE.into();
    }
    incident.joined = vec![HOSTILE.into()];
    incident.advice = vec![HOSTILE.into()];
    for evidence in &mut incident.evidence {
        evidence.detector = HOSTILE.into();
        evidence.why = HOSTILE.into();
        evidence.file = HOSTILE.into();
    }
    let mut asset = city::asset(now, 17, Some(HOSTILE), HOSTILE, Criticality::Unknown);
    asset.id = HOSTILE.into();
    asset.vendor = Some(HOSTILE.into());
    asset.reasons = vec![HOSTILE.into()];
    asset.functions = vec![HOSTILE.into()];
    let mut isolate = city::isolate(now);
    isolate.why = HOSTILE.into();
    isolate.inverse = HOSTILE.into();
    for hit in &mut isolate.hits {
        hit.name = Some(HOSTILE.into());
        hit.loses = HOSTILE.into();
        hit.kind = model::Kind(HOSTILE.into());
    }
    let mut receipt = city::receipt(now, &isolate, Effect::Failed { reason: HOSTILE.into() });
    receipt.actuator = HOSTILE.into();
    let mut plan = city::plan(now, PlanStatus::Proposed, vec![isolate.clone()]);
    plan.because = HOSTILE.into();
    plan.withheld[0].reason = HOSTILE.into();
    let entry =
        serde_json::json!({"who": HOSTILE, "why": HOSTILE, "what": {"act": HOSTILE, "plan": HOSTILE}});
    let row = store::JournalRow { seq: 1, at: now, hash: HOSTILE.into(), entry };
    let Report::Stats { mut status, .. } = city::stats(now) else { unreachable!() };
    for input in &mut status.inputs {
        input.name = HOSTILE.into();
        input.kind = HOSTILE.into();
        input.problem = Some(HOSTILE.into());
    }
    status.counters.insert(HOSTILE.into(), 1);
    let reports = vec![
        Report::Incident(Box::new(incident)),
        city::seen(asset),
        Report::Plan(Box::new(plan)),
        Report::Receipt(receipt),
        Report::Journal(row),
        Report::Stats { status, counted: Vec::new() },
    ];
    server::intake::take(&state, reports).await;
    // What came in by another way than the forms, which take no such name.
    let repository = state.repository();
    let mallory = store::Person {
        authority: model::AuthorityId::local(),
        id: model::PersonId::from_random([9; 16]),
        login: "mallory".parse().unwrap(),
        name: HOSTILE.into(),
        state: model::PersonState::Active,
        made: now,
    };
    let invited = of_the_machine(&state, ledger::Deed::PersonInvited);
    assert!(repository.add_person(&mallory, &[model::AuthorityRole::Auditor], invited).await.unwrap());
    let harbour = model::Authority {
        id: "harbour".parse().unwrap(),
        name: HOSTILE.into(),
        level: model::AuthorityLevel::Department,
        parent: Some(model::AuthorityId::local()),
    };
    let made = of_the_machine(&state, ledger::Deed::AuthorityMade);
    repository.add_authority(&harbour, made).await.unwrap().unwrap();
    let token = store::Token {
        id: "a".repeat(64),
        authority: model::AuthorityId::local(),
        name: HOSTILE.into(),
        roles: vec![model::AuthorityRole::Auditor],
        person: Some(mallory.id.clone()),
        made: now,
        expires: now.plus_secs(3_600),
        used: None,
    };
    let made = of_the_machine(&state, ledger::Deed::TokenMade);
    assert!(repository.add_token(&token, made).await.unwrap());
    let own = repository.administrator().await.unwrap().unwrap();
    let passkey = store::Credential {
        id: "crd-0123456789abcdef0123456789abcdef".into(),
        kind: store::CredentialKind::Passkey,
        label: HOSTILE.into(),
        body: "{}".into(),
        made: now,
        used: None,
    };
    let added = store::Decided {
        details: Some(HOSTILE.into()),
        ..of_the_machine(&state, ledger::Deed::CredentialAdded)
    };
    assert!(repository.add_credentials(&own.id, vec![passkey], added).await.unwrap());
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut paths = pages(city::incident_id("takeover").as_str(), &encoded);
    paths.extend(
        ["text", "severity", "state", "stage", "address", "from", "sort"]
            .map(|key| format!("/incidents?{key}={encoded}")),
    );
    paths.extend(
        ["text", "kind", "criticality", "status", "sort"].map(|key| format!("/assets?{key}={encoded}")),
    );
    paths.push(format!("/people/{}", mallory.id));
    paths.push(format!("/people?text={encoded}"));
    paths.push("/authorities?authority=harbour".into());
    for path in &paths {
        let page = check(&browser, path, StatusCode::OK).await;
        assert!(!page.text.contains("<script>alert"), "{path}");
        assert!(!page.text.contains("=x onerror=alert(1)>"), "{path}");
    }
    let incident = browser.get(&format!("/incidents/{}", city::incident_id("takeover"))).await;
    assert!(incident.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "shown as text");
    assert!(incident.text.contains("⟨U+202E⟩") && incident.text.contains("{{7*7}}"));
    let report = browser.get(&format!("/incidents/{}/report.html", city::incident_id("takeover"))).await;
    assert!(!report.text.contains("<script") && report.text.contains("⟨U+202E⟩"));
    let missing = check(&browser, &format!("/assets/{encoded}x"), StatusCode::NOT_FOUND).await;
    assert!(missing.text.contains("&lt;script&gt;"));
}

#[tokio::test]
async fn a_plan_shows_whom_it_hits_and_is_decided_by_forms() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    city::night(&state, PlanStatus::Proposed).await;
    let path = format!("/incidents/{}", city::incident_id("takeover"));
    let page = browser.get(&path).await.text;
    for said in [
        "Isolate cam-07 for 1 h and block 203.0.113.80 for 1 h",
        "Whom it would hit",
        "everything but DHCP, DNS and time",
        "recorder",
        "it is a gateway",
        "It waits for a person: nothing has been done yet.",
        "Refuse: leave things as they are",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let form = page.split("/approve\"").next().unwrap().rsplit('"').next().unwrap().to_owned();
    let plan = form.trim_start_matches("/plans/").trim_end_matches('/').to_owned();
    let administrator = state.repository().administrator().await.unwrap().unwrap().id.to_string();
    let answer = browser.post(&format!("/plans/{plan}/approve"), "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(answer.headers[header::LOCATION], format!("{path}#response"));
    assert!(
        matches!(given.lock().unwrap().last(), Some(Order::Approve { who, .. }) if *who == administrator)
    );
    let waiting = browser.get(&path).await.text;
    assert!(waiting.contains("It was approved by administrator; the sensor has not answered yet."));
    city::night(&state, PlanStatus::Active).await;
    let page = browser.get(&path).await.text;
    for said in
        ["Undo: let cam-07 talk again", "41\u{202f}022 packets stopped", "its packets still pass", "approved"]
    {
        assert!(page.contains(said), "{said}");
    }
    let command = city::isolate(state.now()).id;
    let answer = browser.post(&format!("/commands/{command}/undo"), "back=%2F").await;
    assert_eq!(answer.headers[header::LOCATION], "/");
    assert!(matches!(given.lock().unwrap().last(), Some(Order::Undo { .. })));
    let late = browser.post(&format!("/plans/{plan}/approve"), "").await;
    assert!(late.status.is_client_error() || late.status == StatusCode::SEE_OTHER);
    assert!(browser.get("/").await.text.contains("Undo: let cam-07 talk again"));
}

#[tokio::test]
async fn incidents_are_closed_with_a_narrow_exception_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    city::night(&state, PlanStatus::Proposed).await;
    let path = format!("/incidents/{}", city::incident_id("takeover"));
    let empty = browser
        .post(&format!("{path}/close"), "state=false-alarm&reason=&address=192.168.20.17&detector=loader")
        .await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    is_accessible("close without a reason", &empty.text);
    assert!(empty.text.contains("Nothing was changed"));
    let form = "state=false-alarm&reason=a+drill&days=7&address=192.168.20.17&peer=203.0.113.66&detector=loader&detector=flood-udp";
    let answer = browser.post(&format!("{path}/close"), form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert!(
        matches!(given.lock().unwrap().last(), Some(Order::Exceptions(exceptions)) if exceptions.len() == 2)
    );
    let page = browser.get(&path).await.text;
    assert!(page.contains("false alarm") && page.contains("a drill") && page.contains("Open it again"));
    let settings = browser.get("/settings").await.text;
    assert!(settings.contains("loader about 192.168.20.17 towards 203.0.113.66"));
    let exception =
        settings.split("/revoke").next().unwrap().rsplit("/exceptions/").next().unwrap().to_owned();
    assert_eq!(
        browser.post(&format!("/exceptions/{exception}/revoke"), "").await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(browser.post(&format!("{path}/reopen"), "").await.status, StatusCode::SEE_OTHER);
    assert!(browser.get(&path).await.text.contains("Close as resolved"));
}

#[tokio::test]
async fn the_lever_is_pulled_and_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let (state, given) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    city::night(&state, PlanStatus::Active).await;
    assert!(browser.get("/settings").await.text.contains("Stop all responding now"));
    browser.post("/responding/stop", "").await;
    assert!(matches!(given.lock().unwrap().last(), Some(Order::StopResponding { .. })));
    let Report::Stats { mut status, .. } = city::stats(state.now()) else { unreachable!() };
    status.responding_stopped = true;
    server::intake::take(&state, vec![Report::Stats { status, counted: Vec::new() }]).await;
    assert!(browser.get("/").await.text.contains("Responding is stopped."));
    assert!(browser.get("/settings").await.text.contains("Let it respond again"));
    browser.post("/responding/resume", "").await;
    assert!(matches!(given.lock().unwrap().last(), Some(Order::ResumeResponding { .. })));
}

#[tokio::test]
async fn without_a_sensor_orders_are_refused_with_a_page_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let browser = Browser::sign_in(&state).await;
    let page = check(&browser, "/", StatusCode::OK).await.text;
    assert!(page.contains("bastide up --sensor eth0"));
    let refused = browser.post("/responding/stop", "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    is_clean("/responding/stop", &refused.text);
    assert!(refused.text.contains("No sensor runs here"), "{}", refused.text);
}

#[tokio::test]
async fn with_the_database_gone_the_page_says_what_still_works() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    state.repository().close().await;
    let page = check(&browser, "/", StatusCode::SERVICE_UNAVAILABLE).await.text;
    assert!(page.contains("bastide stop-responding") && page.contains("Watching and responding go on"));
    let program = Browser::stranger(&state).post("/responding/stop", "").await;
    assert!(!program.status.is_success());
    is_accessible("a refused post", &program.text);
}

#[tokio::test]
async fn the_theme_is_kept_in_a_cookie_and_leads_back() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    let answer = browser.post("/theme", "theme=dark&back=%2Fincidents%3Fstate%3Dopen").await;
    assert_eq!(answer.headers[header::LOCATION], "/incidents?state=open");
    assert!(answer.headers[header::SET_COOKIE].to_str().unwrap().starts_with("bastide-theme=dark;"));
    let elsewhere = browser.post("/theme", "theme=dark&back=%2F%2Fevil.example").await;
    assert_eq!(elsewhere.headers[header::LOCATION], "/");
}

#[tokio::test]
async fn the_lists_page_through_a_thousand() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let browser = Browser::sign_in(&state).await;
    thousand(&state).await;
    let page = check(&browser, "/incidents", StatusCode::OK).await.text;
    assert!(page.contains("1–50 of 1\u{202f}000") && page.contains("Page 1 of 20"));
    assert_eq!(page.matches("<tr data-row").count(), 50);
    let last = check(&browser, "/incidents?page=20", StatusCode::OK).await.text;
    assert!(last.contains("951–1\u{202f}000 of") && !last.contains("rel=\"next\""));
    let all = check(&browser, "/incidents?rows=200&sort=severity", StatusCode::OK).await.text;
    assert_eq!(all.matches("<tr data-row").count(), 200);
    assert!(check(&browser, "/", StatusCode::OK).await.text.contains("400 incidents need a person now"));
}

async fn thousand(state: &server::AppState) {
    let now = state.now();
    for chunk in (0..1_000_usize).collect::<Vec<_>>().chunks(100) {
        let reports = chunk.iter().map(|number| {
            Report::Incident(Box::new(city::guessing(now, *number, Severity::ALL[number % 5])))
        });
        server::intake::take(state, reports.collect()).await;
    }
}

/// Serves the pages without TLS and already signed in, for looking at: `BASTIDE_LOOK=night:8501 cargo test -p server
/// --test console -- --ignored`. The scene is `empty`, `door` (nobody is signed in), `bare`, `proposed`, `night`, `thousand`, `long` or `live`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves pages to look at until it is ended"]
#[expect(clippy::disallowed_methods, reason = "what to show comes from whoever looks")]
async fn serve_pages_to_look_at() {
    let asked = std::env::var("BASTIDE_LOOK").unwrap();
    let (scene, port) = asked.split_once(':').unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), scene != "bare").await;
    let browser = Browser::sign_in(&state).await;
    match scene {
        "night" => city::night(&state, PlanStatus::Active).await,
        "proposed" => city::night(&state, PlanStatus::Proposed).await,
        "thousand" => thousand(&state).await,
        "long" => long(&state).await,
        "door" | "providers" => providers(&state).await,
        "live" => {
            city::night(&state, PlanStatus::Proposed).await;
            tokio::spawn(live(state.clone()));
        }
        _ => {}
    }
    let cookie = if scene == "door" { String::new() } else { browser.cookie().to_owned() };
    let signed_in = axum::middleware::from_fn(
        move |mut request: axum::extract::Request, next: axum::middleware::Next| {
            let cookie = match request.headers().get(header::COOKIE).and_then(|value| value.to_str().ok()) {
                Some(sent) => format!("{sent}; {cookie}"),
                None => cookie.clone(),
            };
            request.headers_mut().insert(header::HOST, city::HOST.parse().unwrap());
            request.headers_mut().remove(header::ORIGIN);
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
            next.run(request)
        },
    );
    let app = server::router(state).layer(signed_in);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse().unwrap())).await.unwrap();
    axum::serve(listener, app.into_make_service_with_connect_info::<std::net::SocketAddr>()).await.unwrap();
}

/// Two authorities with identity providers, one of them with a long name, and an administrator who is connected.
async fn providers(state: &server::AppState) {
    let decided = |deed| store::Decided {
        at: state.now(),
        who: store::Actor::Program,
        deed,
        about: Vec::new(),
        details: None,
        salts: [ledger::Salt::new([1; 32]), ledger::Salt::new([2; 32])],
    };
    let repository = state.repository();
    let harbour = model::Authority {
        id: "harbour-police".parse().unwrap(),
        name: "Harbour police of the free and hanseatic city".into(),
        level: model::AuthorityLevel::Department,
        parent: Some(model::AuthorityId::local()),
    };
    repository.add_authority(&harbour, decided(ledger::Deed::AuthorityMade)).await.unwrap().unwrap();
    for (authority, name) in
        [("local", "City login"), ("harbour-police", "the account of the harbour police")]
    {
        let provider = store::Provider {
            authority: authority.parse().unwrap(),
            name: name.into(),
            issuer: "https://login.city.example/realms/city".into(),
            client: "bastide".into(),
            secret: "sealed".into(),
            ca: None,
            recognises: store::Recognises::PreferredUsername,
            changed: state.now(),
        };
        let place = repository.of(provider.authority.clone());
        assert!(place.set_provider(&provider, decided(ledger::Deed::ProviderSet)).await.unwrap());
    }
    let ada = repository.administrator().await.unwrap().unwrap();
    let identity = store::Credential {
        id: "crd-0123456789abcdef0123456789abcdef".into(),
        kind: store::CredentialKind::Identity,
        label: "City login".into(),
        body: String::new(),
        made: state.now(),
        used: None,
    };
    let added = decided(ledger::Deed::CredentialAdded);
    let changed = repository.provider().await.unwrap().unwrap().changed;
    repository.bind_identity(&ada.id, identity, changed, false, added).await.unwrap();
}

/// Something happens every two seconds.
async fn live(state: server::AppState) {
    for number in 100.. {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let now = state.now();
        let mut incident = city::takeover(now, 200);
        incident.findings = number as u64;
        incident.last = now;
        let reports = vec![
            Report::Incident(Box::new(city::guessing(now, number, Severity::High))),
            Report::Incident(Box::new(incident)),
            city::stats(now),
        ];
        server::intake::take(&state, reports).await;
    }
}

/// Names as long as nobody wants them.
async fn long(state: &server::AppState) {
    let now = state.now();
    city::night(state, PlanStatus::Active).await;
    let name = "very-long-name-of-a-camera-at-the-corner-of-harbour-street-and-old-market-".repeat(3);
    let mut asset = city::asset(now, 17, Some(&name), "camera", Criticality::Ordinary);
    asset.vendor = Some("Shenzhen Extraordinarily Long Company Name For Optical Instruments Limited".into());
    let mut incident = city::takeover(now, 240);
    incident.title = format!("{name} was taken over and floods {HOSTILE}");
    incident.summary = format!("{} {HOSTILE}", "A sentence that goes on and on. ".repeat(12));
    incident.findings = 12;
    incident.last = now;
    let reports = vec![city::seen(asset), Report::Incident(Box::new(incident))];
    server::intake::take(state, reports).await;
}

/// Server time of each page of a city with 10 000 assets and 1 000 incidents: `cargo nextest run --release -p server
/// --run-ignored only --no-capture pages_of_a_large_city`.
#[tokio::test]
#[ignore = "measures: bench/README.md has the figures"]
async fn pages_of_a_large_city() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), true).await;
    let now = state.now();
    let assets: Vec<Report> = (0..10_000_u32)
        .map(|number| {
            let [_, high, middle, low] = number.to_be_bytes();
            let mac = model::Mac([2, 0, 0x5e, high, middle, low]);
            let name = format!("cam-{number:05}");
            let asset = city::asset(now, low, Some(&name), "camera", model::Criticality::Ordinary);
            let addresses = vec![[10, high, middle, low].into()];
            city::seen(model::Asset { id: mac.to_string(), mac: Some(mac), addresses, ..asset })
        })
        .collect();
    let incidents: Vec<Report> = (1..=1_000)
        .map(|number| {
            let severity = Severity::ALL[number % Severity::ALL.len()];
            Report::Incident(Box::new(city::guessing(now, number, severity)))
        })
        .collect();
    let incident = match &incidents[500] {
        Report::Incident(incident) => incident.id.clone(),
        _ => unreachable!(),
    };
    server::intake::take(&state, assets).await;
    server::intake::take(&state, incidents).await;
    let browser = Browser::sign_in(&state).await;
    println!("{:<34} {:>10} {:>10} {:>10}", "page", "median ms", "worst ms", "KiB");
    for path in [
        "/",
        "/incidents",
        "/incidents?sort=severity&state=open",
        "/incidents?text=guess&page=10",
        &format!("/incidents/{incident}"),
        "/assets",
        "/assets?sort=kind&page=100",
        "/assets?text=cam-04",
        "/assets/02%3A00%3A5e%3A00%3A01%3A02",
        "/journal",
        "/people",
        "/settings",
    ] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..21 {
            let begun = std::time::Instant::now();
            let page = browser.get(path).await;
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            assert_eq!(page.status, StatusCode::OK, "{path}");
            bytes = page.text.len();
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{:<34} {:>10.1} {:>10.1} {:>10}",
            path.chars().take(34).collect::<String>(),
            times[10],
            times[20],
            bytes >> 10
        );
    }
}
