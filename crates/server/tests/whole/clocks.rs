//! Sessions, links and tokens end when they should, also where the clock is put.

use crate::city::{self, Browser, HOST};
use axum::http::{Method, header};
use model::AuthorityRole;
use server::auth;

const HOUR: i64 = 3_600;

/// What the API and the console say to a cookie: the status of each.
async fn met(browser: &Browser) -> (u16, u16) {
    let api = browser.ask(&Method::GET, "/api/v1/incidents", &[], "").await;
    let console = browser.get("/incidents").await;
    if console.status == 303 {
        assert_eq!(console.headers[header::LOCATION], "/sign-in?next=/incidents");
    }
    (api.status.as_u16(), console.status.as_u16())
}

#[tokio::test]
async fn a_session_ends_after_two_idle_hours_and_after_twelve() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let (idle, busy) = (Browser::sign_in(&state).await, Browser::sign_in(&state).await);
    // What a page asks by itself keeps nobody signed in.
    let by_itself = [("bastide-background", "1")];
    let asked = idle.after(HOUR).ask(&Method::GET, "/live", &by_itself, "").await;
    assert_eq!(asked.status, 200);
    assert_eq!(met(&idle.after(2 * HOUR + 1)).await, (401, 303));
    assert_eq!(met(&idle.after(2 * HOUR - 60)).await, (200, 200), "it was idle for less than two hours");
    assert_eq!(met(&idle.after(4 * HOUR - 120)).await, (200, 200), "and was used since");
    for hour in 1..12 {
        assert_eq!(met(&busy.after(hour * HOUR)).await, (200, 200), "after {hour} h");
    }
    assert_eq!(met(&busy.after(12 * HOUR - 60)).await, (200, 200));
    assert_eq!(met(&busy.after(12 * HOUR + 1)).await, (401, 303), "however much it is used");
}

#[tokio::test]
async fn a_cookie_is_good_for_nothing_after_signing_out() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let (gone, other) = (Browser::sign_in(&state).await, Browser::sign_in(&state).await);
    assert_eq!(met(&gone).await, (200, 200));
    let out = gone.post("/sign-out", "").await;
    assert!(out.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    // Whoever kept it sends it again.
    assert_eq!(met(&gone).await, (401, 303));
    let changed = gone.post("/theme", "theme=dark").await;
    assert_eq!(changed.status, 401, "{}", changed.text);
    assert_eq!(met(&other).await, (200, 200), "another session of theirs stays");
}

#[tokio::test]
async fn a_forged_cookie_or_token_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let browser = Browser::sign_in(&state).await;
    let (name, secret) = browser.cookie().split_once('=').unwrap();
    let other = if secret.starts_with('A') { "B" } else { "A" };
    let stranger = Browser::stranger(&state);
    for forged in [
        String::new(),
        secret[..42].to_owned(),
        format!("{secret}A"),
        format!("{other}{}", &secret[1..]),
        secret.to_lowercase(),
        secret.to_uppercase(),
        "A".repeat(43),
        "A".repeat(8_000),
        format!("{secret}%00"),
        "../../etc/passwd".into(),
        "' OR 1=1 --".into(),
    ] {
        if forged == secret {
            continue;
        }
        for (header, value) in
            [("cookie", format!("{name}={forged}")), ("authorization", format!("Bearer {forged}"))]
        {
            let headers = [(header, value.as_str()), ("sec-fetch-site", "same-origin")];
            let page = stranger.ask(&Method::GET, "/api/v1/incidents", &headers, "").await;
            assert_eq!(page.status, 401, "{header}: {value:?}");
            let page = stranger.ask(&Method::POST, "/api/v1/commands/undo-all", &headers, "").await;
            assert_eq!(page.status, 401, "{header}: {value:?}");
        }
    }
    // A session is no token, and a token no session.
    let headers = [("authorization", format!("Bearer {secret}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(stranger.ask(&Method::GET, "/api/v1/incidents", &headers, "").await.status, 401);
    let token = auth::make_token(state.repository(), None, "x", &[AuthorityRole::Auditor], state.now(), 1);
    let cookie = format!("{name}={}", token.await.unwrap());
    let headers = [("cookie", cookie.as_str())];
    assert_eq!(stranger.ask(&Method::GET, "/api/v1/incidents", &headers, "").await.status, 401);
}

/// What was made before the clock was put is judged by the clock as it is now.
#[tokio::test]
async fn a_clock_that_is_put_by_an_hour_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let url = format!("https://{HOST}");
    let ada = auth::administrator(state.repository(), state.now()).await.unwrap();
    let session = Browser::sign_in(&state).await;
    let token = async |days| {
        let (repository, now) = (state.repository(), state.now());
        auth::make_token(repository, None, "monitor", &[AuthorityRole::Auditor], now, days).await.unwrap()
    };
    let (lasting, over) = (token(1).await, token(0).await);
    for (put, signed_in, fresh, lasts, link_opens) in [
        (0, 200, true, 200, true),
        (HOUR, 200, false, 200, false),
        // Behind: what begins only later is not fresh, and nothing lasts longer than it would have on that clock.
        (-HOUR, 200, false, 200, true),
        (25 * HOUR, 401, false, 401, false),
    ] {
        let there = city::after(&state, put);
        assert_eq!(met(&session.after(put)).await.0, signed_in, "session, {put} s");
        if signed_in == 200 {
            let page = session.after(put).post("/account/recovery", "").await;
            let confirms = page.headers.get(header::LOCATION).is_some_and(|to| to == "/account/confirm");
            assert_eq!(!confirms, fresh, "fresh, {put} s: {} {}", page.status, page.text);
        }
        let program = Browser::stranger(&there);
        let ask = async |token: &str| {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str())];
            program.ask(&Method::GET, "/api/v1/incidents", &headers, "").await.status.as_u16()
        };
        assert_eq!(ask(&lasting).await, lasts, "token, {put} s");
        if put >= 0 {
            assert_eq!(ask(&over).await, 401, "token that is over, {put} s");
        }
        // Of the present; what opens it stands where the clock was put.
        let link = auth::make_link(state.repository(), &url, &ada, None, state.now(), auth::LINK_SECS)
            .await
            .unwrap();
        let link = link.split_once('?').unwrap().1;
        let page = Browser::stranger(&there).post("/sign-in/link", link).await;
        assert_eq!(
            page.headers.contains_key(header::SET_COOKIE),
            link_opens,
            "link, {put} s: {}",
            page.status
        );
    }
}
