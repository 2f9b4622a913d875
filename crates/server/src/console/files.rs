//! The style sheet, the script and the icon: in the program, served under names that change with their content.

use axum::{
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::sync::OnceLock;

const SCRIPT: &str = include_str!("../../static/console.js");
const PASSKEY: &str = include_str!("../../static/passkey.js");
const ICON: &str = include_str!("../../static/icon.svg");

/// One style sheet: the themes and drawings that reports share, then the console's own rules.
fn css() -> &'static str {
    static CSS: OnceLock<String> = OnceLock::new();
    CSS.get_or_init(|| {
        [report::TOKENS_CSS, report::DRAWING_CSS, include_str!("../../static/console.css")].concat()
    })
}

fn versioned(path: &str, content: &str) -> String {
    let hash: String = crate::secret::hash(content).chars().take(12).collect();
    format!("{path}?v={hash}")
}

/// The style sheet's address.
pub(super) fn css_path() -> String {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| versioned("/static/console.css", css())).clone()
}

/// The script's address.
pub(super) fn script_path() -> String {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| versioned("/static/console.js", SCRIPT)).clone()
}

/// The address of the script for passkeys.
pub(super) fn passkey_path() -> String {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| versioned("/static/passkey.js", PASSKEY)).clone()
}

/// `GET /static/{file}`.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    let (kind, content) = match name.as_str() {
        "console.css" => ("text/css; charset=utf-8", css()),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "passkey.js" => ("text/javascript; charset=utf-8", PASSKEY),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return (StatusCode::NOT_FOUND, "there is no such file").into_response(),
    };
    let mut response = content.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let keep = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, keep);
    response
}
