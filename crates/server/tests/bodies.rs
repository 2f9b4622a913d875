//! What is sent to the server is bounded, and whoever sends too much is told so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod city;

use city::Browser;
use tokio::process::Command;

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
    let browser = Browser::sign_in(&served.state).await;
    let cookie = format!("Cookie: {}", browser.cookie());
    let origin = format!("Origin: {}", served.url);
    let (json, form) = ("Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded");
    let problem = "application/problem+json";
    for size in [70_000, 200_000, 10_000_000] {
        let file = served.dir.path().join("body");
        std::fs::write(&file, vec![b'x'; size]).unwrap();
        for (path, headers, status, kind) in [
            ("/api/v1/people", vec![json, &origin], 401, problem),
            ("/api/v1/people", vec![json, &cookie, "Origin: https://evil.example"], 403, problem),
            ("/api/v1/people", vec![json, &cookie, &origin], 413, problem),
            ("/api/v1/commands/undo-all", vec![json, &cookie, &origin], 409, problem),
            ("/people", vec![form, &cookie, &origin], 413, "text/plain; charset=utf-8"),
            ("/sign-in/password", vec![form, &origin], 413, "text/plain; charset=utf-8"),
            ("/nothing", vec![form, &origin], 401, problem),
        ] {
            for (version, number) in [("--http2", "2"), ("--http1.1", "1.1")] {
                let answer = curl(&format!("{}{path}", served.url), version, &headers, &file).await;
                assert_eq!(answer, format!("{number} {status} {kind}"), "{size} bytes to {path} {headers:?}");
            }
        }
    }
}
