//! The beginning of a body: forms, answers to forms, programs, descriptions.

use super::super::code::{self, HEAD, contains};
use super::super::teller::{Attempt, Side, Teller};
use model::{HintKind, LoginOutcome, TransferKind};
use parse::app::{http, ssdp};

/// The first KiB of a body, while it is of interest.
#[derive(Debug, Default)]
pub(super) struct BodyStart {
    kept: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unwanted,
    Wanted,
    Cut,
    Judged,
}

impl BodyStart {
    pub(super) const fn wanted(wanted: bool) -> Self {
        Self { kept: Vec::new(), state: if wanted { State::Wanted } else { State::Judged } }
    }

    /// Keeps what there is room for; true once there is enough to judge.
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        if self.state != State::Wanted {
            return false;
        }
        let room = HEAD - self.kept.len().min(HEAD);
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        // An ELF program is known long before the KiB is full.
        self.kept.len() >= HEAD || (self.kept.starts_with(b"\x7fELF") && self.kept.len() >= 20)
    }

    /// Bytes are missing from here on.
    pub(super) fn cut(&mut self) {
        if self.state == State::Wanted {
            self.state = if self.kept.is_empty() { State::Judged } else { State::Cut };
        }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.state = State::Judged;
        std::mem::take(&mut self.kept)
    }

    pub(super) const fn is_wanted(&self) -> bool {
        matches!(self.state, State::Wanted | State::Cut)
    }

    pub(super) const fn is_judged(&self) -> bool {
        matches!(self.state, State::Judged)
    }
}

/// What a body's beginning is.
pub(super) enum Verdict {
    Program(TransferKind, &'static str),
    Nothing,
}

pub(super) fn program(begun: &[u8]) -> Verdict {
    match code::program(begun, true) {
        Some(Some((kind, what))) => Verdict::Program(kind, what),
        _ => Verdict::Nothing,
    }
}

/// Credentials in a body: a form, or JSON.
pub(super) fn form_attempt(begun: &[u8]) -> Option<Attempt> {
    match begun.trim_ascii_start().first() {
        Some(b'{' | b'[') => json_attempt(begun),
        Some(b'<') => None,
        _ => pairs_attempt(begun),
    }
}

/// Credentials in `user=…&password=…`.
pub(super) fn pairs_attempt(form: &[u8]) -> Option<Attempt> {
    if !form.contains(&b'=') {
        return None;
    }
    let mut user = None;
    let mut password = None;
    for (name, value) in http::pairs(form).take(32) {
        match field(name) {
            Some(Field::User) if user.is_none() => user = Some(value),
            Some(Field::Password) if password.is_none() => password = Some(value),
            _ => {}
        }
    }
    let (user, password) = (user?, password?);
    let (mut plain_user, mut plain_password) = ([0; 64], [0; 64]);
    let user_length = http::percent_decode(user, true, &mut plain_user);
    let password_length = http::percent_decode(password, true, &mut plain_password);
    let attempt = plain_user
        .get(..user_length)
        .zip(plain_password.get(..password_length))
        .map(|(user, password)| Attempt::of(user, password));
    plain_password.fill(0);
    std::hint::black_box(&mut plain_password);
    attempt
}

fn json_attempt(body: &[u8]) -> Option<Attempt> {
    let mut strings = body.split(|&byte| byte == b'"').skip(1).take(64);
    let (mut user, mut password) = (None, None);
    // Strings and what stands between them take turns.
    while let (Some(name), Some(between)) = (strings.next(), strings.next()) {
        if between.trim_ascii() != b":" {
            continue;
        }
        let (Some(value), Some(_)) = (strings.next(), strings.next()) else { break };
        match field(name) {
            Some(Field::User) if user.is_none() => user = Some(value),
            Some(Field::Password) if password.is_none() => password = Some(value),
            _ => {}
        }
    }
    Some(Attempt::of(user?, password?))
}

enum Field {
    User,
    Password,
}

fn field(name: &[u8]) -> Option<Field> {
    let name = name.get(..32).unwrap_or(name).to_ascii_lowercase();
    let has = |part: &[u8]| contains(&name, part);
    if has(b"pass") || has(b"pwd") || has(b"psw") || has(b"psd") || name == b"pw" || name.ends_with(b"pas") {
        Some(Field::Password)
    } else if [&b"user"[..], b"usr", b"uname", b"account", b"email"].iter().any(|part| has(part))
        || [&b"login"[..], b"loginuse", b"name", b"uid", b"id", b"log"].contains(&name.as_slice())
    {
        Some(Field::User)
    } else {
        None
    }
}

/// What the head of an answer to a form said.
#[derive(Clone, Copy, Debug)]
pub(super) struct FormAnswer {
    pub(super) redirect: Option<bool>,
    pub(super) cookie: bool,
}

impl FormAnswer {
    /// How the login went, given the beginning of the answer's body.
    pub(super) fn outcome(self, body: &[u8]) -> LoginOutcome {
        // Words of failure, or the login form again.
        const FAILURES: [&[u8]; 12] = [
            b"incorrect",
            b"invalid",
            b"failed",
            b"failure",
            b"denied",
            b"wrong",
            b"unauthorized",
            b"\"success\":false",
            b"bad password",
            b"type=\"password\"",
            b"type='password'",
            b"type=password",
        ];
        const TOKENS: [&[u8]; 6] = [
            b"\"token\":",
            b"\"sessionid\":",
            b"\"session_id\":",
            b"\"success\":true",
            b"\"access_token\":",
            b"\"sid\":",
        ];
        let lower: Vec<u8> = body.to_ascii_lowercase().into_iter().filter(|byte| *byte != b' ').collect();
        let said = |words: &[&[u8]]| {
            words.iter().any(|word| {
                contains(&lower, &word.iter().copied().filter(|byte| *byte != b' ').collect::<Vec<_>>())
            })
        };
        match self.redirect {
            Some(true) => LoginOutcome::Refused,
            Some(false) if self.cookie => LoginOutcome::Accepted,
            _ if said(&FAILURES) => LoginOutcome::Refused,
            _ if said(&TOKENS) => LoginOutcome::Accepted,
            _ => LoginOutcome::Tried,
        }
    }
}

/// A UPnP description names its device.
pub(super) fn description_hints(body: &[u8], tell: &mut Teller<'_>) {
    if !contains(body, b"schemas-upnp-org") {
        return;
    }
    for (tag, kind) in [
        (&b"<UDN>"[..], HintKind::Uuid),
        (b"<friendlyName>", HintKind::GivenName),
        (b"<manufacturer>", HintKind::Model),
        (b"<modelName>", HintKind::Model),
        (b"<modelDescription>", HintKind::Model),
        (b"<deviceType>", HintKind::Ssdp),
    ] {
        let value = memchr::memmem::find(body, tag).and_then(|at| body.get(at + tag.len()..));
        let value = value.and_then(|value| value.split(|&byte| byte == b'<').next()).unwrap_or_default();
        match kind {
            HintKind::Uuid => {
                let uuid = ssdp::uuid(value).map(str::to_ascii_lowercase).unwrap_or_default();
                tell.hint(Side::Server, kind, uuid.as_bytes());
            }
            _ => tell.hint(Side::Server, kind, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_give_up_only_the_entry() {
        let factory = |body: &[u8]| form_attempt(body).map(|attempt| attempt.factory);
        assert_eq!(factory(b"username=root&password=vizxv"), Some(Some("mirai-list-02 (Dahua DVR)")));
        assert_eq!(factory(b"luci_username=root&luci_password=x%21"), Some(None));
        assert_eq!(
            factory(b"{\"user\": \"root\", \"n\": 1, \"pwd\": \"vizxv\"}"),
            Some(Some("mirai-list-02 (Dahua DVR)"))
        );
        assert_eq!(factory(b"loginuse=admin&loginpas=admin"), Some(Some("mirai-list-04 (many makers)")));
        assert_eq!(factory(b"a=b&c=d"), None);
        assert_eq!(factory(b"{\"temperature\": 21}"), None);
        assert_eq!(factory(b""), None);
    }

    #[test]
    fn answers_to_forms_are_judged_by_what_they_say() {
        let check = |redirect, cookie, body: &[u8], expected| {
            assert_eq!(FormAnswer { redirect, cookie }.outcome(body), expected, "{body:?}");
        };
        check(None, false, b"<p>Invalid user name or password</p>", LoginOutcome::Refused);
        check(None, false, b"{\"success\": true}", LoginOutcome::Accepted);
        check(None, true, b"<html>menu</html>", LoginOutcome::Tried);
        check(None, true, b"<form><input name=p type=\"password\"></form>", LoginOutcome::Refused);
        check(Some(false), true, b"", LoginOutcome::Accepted);
        check(Some(true), true, b"", LoginOutcome::Refused);
    }
}
