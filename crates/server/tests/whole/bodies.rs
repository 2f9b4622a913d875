//! What is sent to the server is bounded, and whoever sends too much is told so.

use crate::city::{self, Browser, Page};
use axum::http::{Method, header};
use server::routes::{Door, ROUTES};
use tokio::process::Command;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const HTML: &str = "text/html; charset=utf-8";

/// The status and the kind of what curl was answered.
async fn curl(address: &str, version: &str, headers: &[&str], file: &std::path::Path) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--max-time", "30", version]);
    // Without asking first: it sends at once and reads what comes meanwhile.
    command.args(["--request", "POST", "--header", "Expect:"]);
    for header in headers {
        command.args(["--header", header]);
    }
    command.arg("--data-binary").arg(format!("@{}", file.display()));
    command.args(["--output", "/dev/null", "--write-out", "%{http_version} %{http_code} %{content_type}"]);
    let output = command.arg(address).output().await.expect("curl is needed by this test");
    assert!(output.status.success(), "{version} {address}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_reads_the_answer() {
    let served = city::serve().await;
    let browser = Browser::sign_in(&served.city).await;
    let cookie = format!("Cookie: {}", browser.cookie());
    let origin = format!("Origin: {}", served.url);
    let [json, form] = [JSON, FORM].map(|kind| format!("Content-Type: {kind}"));
    let (json, form) = (json.as_str(), form.as_str());
    for size in [70_000, 200_000, 10_000_000] {
        let file = served.dir.path().join("body");
        std::fs::write(&file, vec![b'x'; size]).unwrap();
        for (path, headers, status, kind) in [
            ("/api/v1/people", vec![json, &origin], 401, PROBLEM),
            ("/api/v1/people", vec![json, &cookie, "Origin: https://evil.example"], 403, PROBLEM),
            ("/api/v1/people", vec![json, &cookie, &origin], 413, PROBLEM),
            ("/api/v1/commands/undo-all", vec![json, &cookie, &origin], 400, PROBLEM),
            ("/people", vec![form, &cookie, &origin, "Accept: text/html"], 413, HTML),
            ("/sign-in/password", vec![form, &origin, "Accept: text/html"], 413, HTML),
            ("/nothing", vec![form, &origin], 401, PROBLEM),
        ] {
            for (version, number) in [("--http2", "2"), ("--http1.1", "1.1")] {
                let answer = curl(&format!("{}{path}", served.url), version, &headers, &file).await;
                assert_eq!(answer, format!("{number} {status} {kind}"), "{size} bytes to {path} {headers:?}");
            }
        }
    }
}

/// The address of a route with ids that could be: of nothing that there is.
fn path(route: &str) -> String {
    let id = match route.trim_start_matches("/api/v1/").trim_start_matches('/').split('/').next().unwrap() {
        "incidents" => "inc-0123456789abcdef",
        "plans" => "plan-0123456789abcdef",
        "commands" => "cmd-0123456789abcdef",
        "authorities" => "local",
        "people" => "per-0123456789abcdef0123456789abcdef",
        _ => "nothing",
    };
    route
        .replace("{id}", id)
        .replace("{address}", "192.0.2.7")
        .replace("{deed}", "sign-out")
        .replace("{place}", "local")
        .replace("{role}", "auditor")
        .replace("{file}", "console.css")
}

/// What a request with a body is answered, once for a program and once for a browser, in the form that each reads.
async fn refused(browser: &Browser, method: &str, route: &str, kind: &str, body: &str) -> Vec<Page> {
    let mut pages = Vec::new();
    for accept in &["*/*", "text/html"] {
        let headers = [("content-type", kind), ("accept", *accept)];
        let page = browser.ask(&method.parse().unwrap(), &path(route), &headers, body).await;
        let told = page.headers[header::CONTENT_TYPE].to_str().unwrap();
        let expected: &[&str] = match *accept {
            _ if route.starts_with("/api/") => &[PROBLEM],
            "text/html" => &[HTML],
            // What a form's handler refuses is a page, whoever asks.
            _ => &[PROBLEM, HTML],
        };
        // What a witness and EST answer is text by their standards, what lets programs in is JSON by its.
        let lets_in = ["/api/v1/token", "/api/v1/device-authorization"].contains(&route) && told == JSON;
        let speaks_text = route.starts_with("/witness/") || route.starts_with("/.well-known/est/");
        let fits = expected.contains(&told) || speaks_text || lets_in;
        assert!(fits, "{method} {route}: {told}: {}", page.text);
        pages.push(page);
    }
    pages
}

#[tokio::test]
async fn ten_megabytes_are_refused_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let browser = Browser::sign_in(&state).await;
    let body = "x".repeat(10_000_000);
    for (method, route, _) in ROUTES {
        if [wire::REPORTS, wire::NOTICES, wire::ORDERS].contains(route) {
            // Nothing of it is read before it is known which device or sensor sends it.
            let page = browser.ask(&Method::POST, route, &[("content-type", JSON)], &body).await;
            assert_eq!(page.status.as_u16(), 401, "{}", page.text);
            continue;
        }
        let mut clearly = false;
        for kind in [JSON, FORM] {
            for page in refused(&browser, method, route, kind, &body).await {
                let status = page.status.as_u16();
                assert!([400, 413, 415].contains(&status), "{method} {route} {kind}: {status} {}", page.text);
                let text = page.text.to_lowercase();
                clearly |= text.contains("takes no body") || text.contains("too long") || status == 413;
            }
        }
        assert!(clearly, "{method} {route} does not say that it was too much");
    }
}

#[tokio::test]
async fn fields_that_nobody_reads_are_refused_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let browser = Browser::sign_in(&state).await;
    for (method, route, door) in ROUTES.iter().filter(|(_, _, door)| *door != Door::Proved) {
        let mut named = false;
        for (kind, body) in [(JSON, r#"{"x-unknown": "1"}"#), (FORM, "x-unknown=1")] {
            for page in refused(&browser, method, route, kind, body).await {
                assert!(page.status.is_client_error(), "{method} {route} {kind}: {}", page.status);
                named |=
                    page.text.contains("x-unknown") || page.text.to_lowercase().contains("takes no body");
            }
        }
        assert!(named, "{method} {route} ({door:?}) does not say which field is not known");
    }
}

#[tokio::test]
async fn parameters_that_nobody_reads_are_refused_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = city::open(dir.path(), false).await;
    let browser = Browser::sign_in(&state).await;
    for (method, route, door) in ROUTES {
        let address = path(route);
        let ask = async |query: &str| {
            let method: Method = method.parse().unwrap();
            browser.ask(&method, &format!("{address}?{query}"), &[("content-type", FORM)], "").await
        };
        let narrows = matches!(door, Door::Of(_) | Door::Here(_));
        if matches!(door, Door::Anybody | Door::Proved) {
            // Whoever leads somebody here from elsewhere adds what they like.
            continue;
        }
        for query in ["x-unknown=1", "x-unknown", "authority=local&x-unknown=1"] {
            let page = ask(query).await;
            let named = page.text.contains("x-unknown") || !narrows && page.text.contains("authority");
            assert!(page.status == 400 && named, "{method} {route}?{query}: {} {}", page.status, page.text);
            assert_eq!(page.headers[header::CONTENT_TYPE], PROBLEM, "{method} {route}?{query}");
        }
        if narrows && *method == "GET" && !route.contains('{') {
            assert!(ask("authority=local").await.status.is_success(), "{method} {route}");
            assert_eq!(ask("authority=local&authority=local").await.status, 400, "{method} {route}");
        }
    }
}
