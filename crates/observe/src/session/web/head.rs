//! What the head of a message says: target, lengths, credentials, names of software.

use super::super::code::scanner;
use super::super::digest;
use super::super::teller::{Attempt, Side, Teller};
use super::body;
use model::HintKind;
use parse::app::http::{self, Family};

/// The head of the message that is being read.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) method: &'static str,
    pub(super) path_digest: u64,
    pub(super) status: Option<u16>,
    pub(super) host: Option<Vec<u8>>,
    pub(super) scanner: Option<&'static str>,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    /// Compressed: its content cannot be seen.
    pub(super) encoded: bool,
    pub(super) form: bool,
    pub(super) may_log_in: bool,
    pub(super) cookie: bool,
    /// Where an answer leads: `Some(true)` back to a login page.
    pub(super) redirect: Option<bool>,
    /// The server wants the same credentials again, under a new nonce (RFC 7616 section 3.3).
    pub(super) stale: bool,
    pub(super) credentials: Option<(Attempt, u64)>,
    pub(super) credentials_digest: Option<u64>,
    pub(super) query_attempt: Option<Attempt>,
}

const METHODS: [&str; 24] = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "OPTIONS",
    "DELETE",
    "CONNECT",
    "PATCH",
    "TRACE",
    "PROPFIND",
    "NOTIFY",
    "SUBSCRIBE",
    "DESCRIBE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "TEARDOWN",
    "ANNOUNCE",
    "GET_PARAMETER",
    "REGISTER",
    "INVITE",
    "ACK",
    "BYE",
    "MESSAGE",
];

impl Head {
    pub(super) fn request(&mut self, method: &str, target: &[u8]) {
        self.method = METHODS.iter().find(|known| **known == method).copied().unwrap_or("OTHER");
        let path = http::path(target);
        self.path_digest = digest(path);
        let lower = path.to_ascii_lowercase();
        let other = [&b"register"[..], b"signup", b"setpass", b"change", b"reset"];
        self.may_log_in = !other.iter().any(|part| super::code::contains(&lower, part));
        if self.may_log_in {
            self.query_attempt = body::pairs_attempt(http::query(target));
        }
    }

    pub(super) fn header(&mut self, line: &[u8]) {
        let Some((name, value)) = http::header(line) else { return };
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("content-length") || is("l") {
            self.length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        } else if is("transfer-encoding") {
            self.chunked = value.to_ascii_lowercase().ends_with(b"chunked");
        } else if is("content-encoding") {
            self.encoded = !value.eq_ignore_ascii_case(b"identity");
        } else if is("content-type") {
            self.form = value.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded");
        } else if is("host") {
            self.host = Some(value.get(..128).unwrap_or(value).to_vec());
        } else if is("set-cookie") {
            self.cookie = true;
        } else if is("location") {
            let lower = value.to_ascii_lowercase();
            let back = [&b"login"[..], b"error", b"fail", b"logon", b"signin", b"auth"];
            self.redirect = Some(back.iter().any(|part| super::code::contains(&lower, part)));
        } else if is("www-authenticate") || is("proxy-authenticate") {
            let lower = value.to_ascii_lowercase();
            self.stale |= [&b"stale=true"[..], b"stale=\"true\""]
                .iter()
                .any(|word| super::super::code::contains(&lower, word));
        } else if is("authorization") || is("proxy-authorization") {
            self.credentials = credentials(value).map(|attempt| (attempt, digest(value)));
        }
    }

    /// A client's name for itself.
    pub(super) fn agent(&mut self, name: &[u8], value: &[u8], tell: &mut Teller<'_>) {
        if name.eq_ignore_ascii_case(b"user-agent") {
            self.scanner = scanner(value);
            tell.hint(Side::Client, HintKind::UserAgent, value);
        }
    }
}

/// Basic and Digest credentials; tokens are no guesses.
fn credentials(value: &[u8]) -> Option<Attempt> {
    let space = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = value.split_at_checked(space)?;
    if scheme.eq_ignore_ascii_case(b"digest") {
        return Some(Attempt::UNSEEN);
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut decoded = [0; 256];
    let length = http::base64_decode(rest.trim_ascii(), &mut decoded).unwrap_or(0);
    let pair = decoded.get(..length).unwrap_or_default();
    let attempt = pair.iter().position(|&byte| byte == b':').and_then(|colon| {
        let (user, password) = pair.split_at_checked(colon)?;
        Some(Attempt::of(user, password.get(1..)?))
    });
    decoded.fill(0);
    std::hint::black_box(&mut decoded);
    Some(attempt.unwrap_or(Attempt::UNSEEN))
}

/// What a server's headers say of it.
pub(super) fn server_hints(family: Family, name: &[u8], value: &[u8], tell: &mut Teller<'_>) {
    let kind = if family == Family::Http { HintKind::HttpServer } else { HintKind::Banner };
    if name.eq_ignore_ascii_case(b"server") || name.eq_ignore_ascii_case(b"user-agent") {
        tell.hint(Side::Server, kind, value);
    } else if name.eq_ignore_ascii_case(b"www-authenticate") {
        // realm="Camera"
        let realm = memchr::memmem::find(value, b"realm=\"").and_then(|at| value.get(at + 7..));
        if let Some(realm) = realm.and_then(|realm| realm.split(|&byte| byte == b'"').next()) {
            tell.hint(Side::Server, kind, realm);
        }
    }
}
