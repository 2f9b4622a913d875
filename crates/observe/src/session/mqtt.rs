//! MQTT: who connects and whether the broker lets it in.
//!
//! A CONNECT without user and password is no attempt unless the broker refuses it for that.

use super::Conversation;
use super::teller::{Attempt, Side, Teller, wipe};
use model::{HintKind, LoginOutcome};
use parse::app::{Unread, mqtt};

const LIMIT: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mqtt {
    client: Vec<u8>,
    server: Vec<u8>,
    connected: bool,
    attempt: Option<Attempt>,
    done: bool,
}

impl Mqtt {
    fn connect(&mut self) {
        let read = mqtt::connect(&self.client);
        match read {
            Ok(connect) => {
                self.attempt = (connect.user.is_some() || connect.password.is_some()).then(|| {
                    let (user, password) =
                        (connect.user.unwrap_or_default(), connect.password.unwrap_or_default());
                    Attempt::of(user, password)
                });
                self.connected = true;
            }
            Err(Unread::Incomplete) if self.client.len() < LIMIT => {}
            // Too long to be kept (a large will): who it is stays unknown.
            Err(_) => {
                self.attempt = Some(Attempt::UNSEEN);
                self.connected = true;
            }
        }
        if self.connected {
            wipe(&mut self.client);
            self.client = Vec::new();
        }
    }

    fn connack(&mut self, tell: &mut Teller<'_>) {
        let code = match mqtt::connack(&self.server) {
            Ok(code) => code,
            Err(Unread::Incomplete) => return,
            Err(Unread::Not(_)) => {
                self.done = true;
                return;
            }
        };
        self.done = true;
        tell.hint(Side::Server, HintKind::Serves, b"mqtt");
        let outcome = match code {
            0 => LoginOutcome::Accepted,
            code if mqtt::refuses_credentials(code) => LoginOutcome::Refused,
            _ => LoginOutcome::Tried,
        };
        match self.attempt.take() {
            Some(attempt) => tell.login(attempt, outcome),
            None if outcome == LoginOutcome::Refused => tell.login(Attempt::UNSEEN, outcome),
            None => {}
        }
    }
}

impl Conversation for Mqtt {
    fn heard(&mut self, from: Side, bytes: &[u8], lost: u32, tell: &mut Teller<'_>) {
        match from {
            Side::Client if !self.connected => {
                let room = LIMIT - self.client.len().min(LIMIT);
                self.client.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                if lost > 0 {
                    self.client.resize(LIMIT, 0xff);
                }
                self.connect();
            }
            Side::Client => {}
            Side::Server => {
                let room = 16 - self.server.len().min(16);
                self.server.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                self.connack(tell);
                self.done |= lost > 0;
            }
        }
    }

    fn close(&mut self, tell: &mut Teller<'_>) {
        if let Some(attempt) = self.attempt.take() {
            tell.login(attempt, LoginOutcome::Tried);
        }
        wipe(&mut self.client);
        self.done = true;
    }

    fn is_finished(&self) -> bool {
        self.done && self.attempt.is_none()
    }
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        wipe(&mut self.client);
    }
}
