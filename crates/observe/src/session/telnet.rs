//! Telnet, and line-based logins that behave like it: who tries to log in, how it goes, and what loaders type then.
//!
//! How it is judged: what stands at the end of the server's text when the client begins to type is the prompt that
//! the client answers. After a password, a word of refusal in a complete line or another login prompt means
//! Refused; a shell's prompt, a shell's greeting, or output to a command means Accepted; if the flow ends first,
//! the attempt is told as Tried. A loader's command is told once a shell is seen to have taken it. A password leaves the session's memory, overwritten, as soon as its line ends.

use super::Conversation;
use super::code::typed_command;
use super::teller::{Attempt, Side, Teller, wipe};
use model::{HintKind, LoginOutcome, TransferKind};
use parse::app::telnet::Stripper;

const TAIL: usize = 160;
const TYPED: usize = 768;
const ECHOES: usize = 256;
const ORDERS: usize = 8;
/// More than anybody types or reads: what follows is bulk.
const BULK: u64 = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No prompt was answered yet.
    Idle,
    /// A user name is being typed.
    User,
    /// A user name was given; the password's prompt is awaited.
    UserGiven,
    /// A password is being typed.
    Password,
    /// A password was given; true once the client typed on.
    Judging { typed_on: bool },
    /// Refused by its words; a shell's prompt would still prove the contrary.
    Refused,
    /// Logged in.
    Shell,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Telnet {
    strippers: [Stripper; 2],
    escape: Escape,
    tail: Vec<u8>,
    typed: Vec<u8>,
    user: Vec<u8>,
    fresh_line: bool,
    after_return: bool,
    stage: Stage,
    attempt: Attempt,
    /// Loaders' commands of which it is not known yet whether a shell took them.
    orders: Vec<(TransferKind, &'static str)>,
    /// The password was typed before its prompt was seen.
    ahead: bool,
    /// Negotiation or a password's prompt was seen: this is a login, not some other talk in lines.
    certain: bool,
    banner: bool,
    seen: u64,
}

/// Where in a terminal's escape sequence the server's text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    Sequence,
}

impl Telnet {
    pub(super) const fn new() -> Self {
        Self {
            strippers: [Stripper::new(); 2],
            escape: Escape::None,
            tail: Vec::new(),
            typed: Vec::new(),
            user: Vec::new(),
            fresh_line: true,
            after_return: false,
            stage: Stage::Idle,
            attempt: Attempt::UNSEEN,
            orders: Vec::new(),
            ahead: false,
            certain: false,
            banner: true,
            seen: 0,
        }
    }

    fn server_byte(&mut self, byte: u8, tell: &mut Teller<'_>) {
        match (self.escape, byte) {
            (Escape::None, 0x1b) => self.escape = Escape::Begun,
            (Escape::Begun, b'[') => self.escape = Escape::Sequence,
            (Escape::Begun, _) | (Escape::Sequence, b'@'..=b'~') => self.escape = Escape::None,
            (Escape::Sequence, _) => {}
            (Escape::None, b'\r' | b'\n' | 0) => {
                if !self.tail.is_empty() {
                    self.server_line(tell);
                    self.tail.clear();
                }
            }
            (Escape::None, 0x08 | 0x7f) => {
                self.tail.pop();
            }
            (Escape::None, _) => {
                if self.tail.len() >= TAIL {
                    self.tail.drain(..TAIL / 2);
                }
                self.tail.push(byte);
            }
        }
    }

    /// A complete line of the server's.
    fn server_line(&mut self, tell: &mut Teller<'_>) {
        let line = self.tail.trim_ascii();
        if self.banner && line.len() >= 4 && matches!(self.stage, Stage::Idle) && prompt(line).is_none() {
            self.banner = false;
            tell.hint(Side::Server, HintKind::Banner, line);
        }
        let Stage::Judging { typed_on } = self.stage else { return };
        if line.is_empty() {
            return;
        }
        if refuses(line) {
            self.decide(LoginOutcome::Refused, tell);
        } else if welcomes(line) || (typed_on && prompt(line).is_none() && !self.is_echo(line)) {
            self.decide(LoginOutcome::Accepted, tell);
        }
    }

    /// The server's text stands still at its last line.
    fn server_pause(&mut self, tell: &mut Teller<'_>) {
        let at_prompt = prompt(&self.tail);
        self.certain |= at_prompt == Some(Prompt::Password);
        if at_prompt == Some(Prompt::Shell) && matches!(self.stage, Stage::Idle) {
            self.obey(tell);
        }
        match (self.stage, at_prompt) {
            (Stage::Judging { .. }, Some(Prompt::Password)) if std::mem::take(&mut self.ahead) => {
                self.tail.clear()
            }
            (Stage::Judging { .. }, Some(Prompt::Login | Prompt::Password)) => {
                self.decide(LoginOutcome::Refused, tell)
            }
            (Stage::Judging { .. } | Stage::Refused, Some(Prompt::Shell)) => {
                self.decide(LoginOutcome::Accepted, tell)
            }
            (Stage::UserGiven, Some(Prompt::Shell)) => {
                // Let in by name alone.
                self.attempt = Attempt::of(&self.user, b"");
                self.decide(LoginOutcome::Accepted, tell);
            }
            (Stage::Refused, Some(Prompt::Login | Prompt::Password)) => self.stage = Stage::Idle,
            _ => {}
        }
    }

    fn decide(&mut self, outcome: LoginOutcome, tell: &mut Teller<'_>) {
        if self.certain {
            tell.login(self.attempt, outcome);
        }
        self.stage = if outcome == LoginOutcome::Accepted { Stage::Shell } else { Stage::Refused };
        if outcome == LoginOutcome::Accepted {
            self.obey(tell);
        }
    }

    /// There is a shell, and it takes what was typed.
    fn obey(&mut self, tell: &mut Teller<'_>) {
        for (kind, rule) in self.orders.drain(..) {
            tell.transfer(Side::Server, kind, rule);
        }
    }

    fn order(&mut self, tell: &mut Teller<'_>) {
        if self.orders.len() < ORDERS {
            self.orders.extend(typed_command(&self.typed));
        }
        if matches!(self.stage, Stage::Shell) {
            self.obey(tell);
        }
    }

    /// The server's line repeats what the client typed lately.
    fn is_echo(&self, line: &[u8]) -> bool {
        self.user.split(|&byte| byte == b'\n').any(|typed| !typed.is_empty() && line.ends_with(typed))
    }

    fn client_byte(&mut self, byte: u8, tell: &mut Teller<'_>) {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if after_return && matches!(byte, b'\n' | 0) {
            return;
        }
        if std::mem::take(&mut self.fresh_line) {
            self.begin_line(tell);
        }
        match byte {
            b'\r' | b'\n' => {
                self.client_line(tell);
                self.fresh_line = true;
            }
            0x08 | 0x7f => {
                self.typed.pop();
            }
            // Interrupt, end, kill: the line begins anew.
            0x03 | 0x04 | 0x15 => wipe(&mut self.typed),
            _ if self.typed.len() < TYPED => self.typed.push(byte),
            _ => {}
        }
    }

    /// The client begins a line: what does it answer?
    fn begin_line(&mut self, tell: &mut Teller<'_>) {
        self.server_pause(tell);
        let at_prompt = prompt(&self.tail);
        if self.banner && at_prompt == Some(Prompt::Login) {
            self.banner = false;
            tell.hint(Side::Server, HintKind::Banner, self.tail.trim_ascii());
        }
        self.tail.clear();
        self.stage = match (at_prompt, self.stage) {
            (Some(Prompt::Login), _) => Stage::User,
            (Some(Prompt::Password), _) => {
                self.ahead = false;
                Stage::Password
            }
            (Some(Prompt::Shell), Stage::Idle | Stage::Refused) => Stage::Shell,
            (None, Stage::UserGiven) => {
                self.ahead = true;
                Stage::Password
            }
            (_, stage) => stage,
        };
    }

    fn client_line(&mut self, tell: &mut Teller<'_>) {
        match self.stage {
            Stage::User => {
                let empty = self.typed.trim_ascii().is_empty();
                self.user = std::mem::take(&mut self.typed);
                self.user.truncate(64);
                self.stage = if empty { Stage::Idle } else { Stage::UserGiven };
            }
            Stage::Password => {
                let user = self.user.trim_ascii();
                self.attempt = Attempt::of(user, &self.typed);
                wipe(&mut self.typed);
                self.stage = Stage::Judging { typed_on: false };
            }
            Stage::Idle | Stage::UserGiven | Stage::Judging { .. } | Stage::Refused | Stage::Shell => {
                self.order(tell);
                if matches!(self.stage, Stage::Judging { .. }) && !self.typed.trim_ascii().is_empty() {
                    self.stage = Stage::Judging { typed_on: true };
                    // Kept to know its echo, beside the user's name.
                    let room = ECHOES.saturating_sub(self.user.len());
                    self.user.push(b'\n');
                    self.user.extend_from_slice(
                        self.typed.trim_ascii().get(..room).unwrap_or(self.typed.trim_ascii()),
                    );
                }
                wipe(&mut self.typed);
            }
        }
    }
}

impl Conversation for Telnet {
    fn heard(&mut self, from: Side, mut bytes: &[u8], lost: u32, tell: &mut Teller<'_>) {
        self.seen += bytes.len() as u64 + u64::from(lost);
        let quiet = matches!(self.stage, Stage::Shell) && from == Side::Server;
        if quiet && bytes.len() > 2 * TAIL {
            // Output of commands: only its end can be a prompt.
            bytes = bytes.get(bytes.len() - 2 * TAIL..).unwrap_or(bytes);
        }
        self.certain |= memchr::memchr(0xff, bytes).is_some();
        for &byte in bytes {
            let [client, server] = &mut self.strippers;
            match from {
                Side::Client => {
                    if let Some(byte) = client.byte(byte) {
                        self.client_byte(byte, tell);
                    }
                }
                Side::Server => {
                    if let Some(byte) = server.byte(byte) {
                        self.server_byte(byte, tell);
                    }
                }
            }
        }
        if lost > 0 {
            self.strippers = [Stripper::new(); 2];
            if from == Side::Client {
                wipe(&mut self.typed);
                // What was lost may hold the end of the line.
                self.fresh_line = true;
                if matches!(self.stage, Stage::User | Stage::Password) {
                    self.stage = Stage::Idle;
                }
            } else {
                self.tail.clear();
            }
        } else if from == Side::Server {
            self.server_pause(tell);
        }
    }

    fn close(&mut self, tell: &mut Teller<'_>) {
        if matches!(self.stage, Stage::Judging { .. }) {
            self.decide(LoginOutcome::Tried, tell);
        } else if matches!(self.stage, Stage::Shell) {
            self.order(tell);
        }
        wipe(&mut self.typed);
        self.stage = Stage::Idle;
    }

    fn is_finished(&self) -> bool {
        self.seen > BULK
    }
}

impl Drop for Telnet {
    fn drop(&mut self) {
        wipe(&mut self.typed);
    }
}

/// What the server waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Login,
    Password,
    Shell,
}

const LOGIN_WORDS: [&str; 14] = [
    "login",
    "username",
    "user name",
    "user",
    "userid",
    "user id",
    "user-name",
    "account",
    "logon",
    "login as",
    "benutzername",
    "utilisateur",
    "usuario",
    "login name",
];
const PASSWORD_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "passcode",
    "pass",
    "pwd",
    "pass word",
    "passphrase",
    "passwort",
    "kennwort",
    "mot de passe",
    "senha",
];

/// Which prompt the text without line end is, if any.
pub(super) fn prompt(tail: &[u8]) -> Option<Prompt> {
    let text =
        String::from_utf8_lossy(tail.get(tail.len().saturating_sub(TAIL)..).unwrap_or(tail)).to_lowercase();
    let text = text.trim();
    if let Some(asked) = text.strip_suffix([':', '\u{ff1a}', '?', '>']) {
        let asked = asked.trim_end();
        let last =
            asked.char_indices().rev().nth(48).map_or(asked, |(at, _)| asked.get(at..).unwrap_or(asked));
        let changes = last.contains("new ") || last.contains("retype") || last.contains("change");
        if PASSWORD_WORDS.iter().any(|word| has_word(last, word)) {
            return (!changes).then_some(Prompt::Password);
        }
        if LOGIN_WORDS.iter().any(|word| ends_with_word(asked, word)) && !has_word(asked, "last") {
            return Some(Prompt::Login);
        }
    }
    is_shell(text).then_some(Prompt::Shell)
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word)
        .is_some_and(|before| !before.chars().next_back().is_some_and(char::is_alphanumeric))
}

/// `~ #`, `$`, `[root@camera ~]#`, `Router>`.
fn is_shell(text: &str) -> bool {
    let mut characters = text.chars().rev();
    let (last, before) = (characters.next(), characters.next());
    let sign = match (last, before) {
        (Some('#' | '>'), Some(before))
            if before == '#' || before == '>' || before == '-' || before == '=' =>
        {
            false
        }
        (Some('#' | '$' | '>'), _) => true,
        (Some('%'), before) => !before.is_some_and(|before| before.is_ascii_digit()),
        _ => false,
    };
    sign && text.chars().count() <= 64 && !text.starts_with('<')
}

/// The line says that a login failed.
fn refuses(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_lowercase();
    // Such as "3 failed login attempts since the last successful login".
    let history = line.contains("since") || has_word(&line, "last");
    const WORDS: [&str; 22] = [
        "incorrect",
        "fail",
        "invalid",
        "denied",
        "bad password",
        "bad login",
        "bad user",
        "% bad",
        "wrong",
        "not allowed",
        "unauthorized",
        "illegal",
        "unknown user",
        "no such user",
        "try again",
        "too many",
        "locked",
        "error",
        "refused",
        "reject",
        "not correct",
        "mismatch",
    ];
    !history && !line.contains("applet not found") && WORDS.iter().any(|word| line.contains(word))
}

/// The line is a shell's greeting, or what only a shell answers.
fn welcomes(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_lowercase();
    const WORDS: [&str; 7] = [
        "busybox v",
        "built-in shell",
        "applet not found",
        "last login",
        "welcome",
        "logged in",
        "login successful",
    ];
    WORDS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_told_apart() {
        for (text, expected) in [
            ("login: ", Some(Prompt::Login)),
            ("(none) login:", Some(Prompt::Login)),
            ("dvrdvs login: ", Some(Prompt::Login)),
            ("Username:", Some(Prompt::Login)),
            ("User Name : ", Some(Prompt::Login)),
            ("Account:", Some(Prompt::Login)),
            ("Password: ", Some(Prompt::Password)),
            ("Password for root:", Some(Prompt::Password)),
            ("root@camera's password: ", Some(Prompt::Password)),
            ("Enter your password:", Some(Prompt::Password)),
            ("New password: ", None),
            ("Last login:", None),
            ("superuser x: y:", None),
            ("~ # ", Some(Prompt::Shell)),
            ("$ ", Some(Prompt::Shell)),
            ("[root@camera /]# ", Some(Prompt::Shell)),
            ("Router>", Some(Prompt::Shell)),
            ("[admin@MikroTik] > ", Some(Prompt::Shell)),
            ("###", None),
            ("100%", None),
            ("<html>", None),
            ("-->", None),
            ("", None),
        ] {
            assert_eq!(prompt(text.as_bytes()), expected, "{text:?}");
        }
    }
}
