//! Telling outside: each new incident, and each that got worse, by webhook and syslog where configured.
//!
//! Guarantees: what is to be told was written with the incident (see `store`'s outbox) and is told at least once, also
//! after a crash; a receiver that does not answer is tried again, ever slower, for about a day; receivers do not wait for
//! each other; what was given up is counted.

mod syslog;
mod webhook;

pub use syslog::Syslog;
pub use webhook::Webhook;

pub use crate::client::shown;

use crate::{AppState, auth::salts, client::SendError, intake::NotKept, live::Change};
use ledger::{Deed, Subject};
use model::{Incident, Timestamp};
use std::time::Duration;
use store::{Actor, Decided, Outgoing, StoreError};

/// Messages sent before the queue is looked at again.
const AT_ONCE: u32 = 50;
/// How often a message is tried.
const TRIES: u32 = 30;
/// The first pause after a failure, in seconds; it doubles each time.
const FIRST_PAUSE: i64 = 5;
/// The longest pause, in seconds.
const LONGEST_PAUSE: i64 = 3600;
/// How often the queue is looked at where nothing is new.
const IDLE: Duration = Duration::from_secs(5);

/// Where incidents are told.
#[derive(Clone, Debug)]
pub enum Receiver {
    /// By HTTP POST.
    Webhook(Box<Webhook>),
    /// By RFC 5424.
    Syslog(Syslog),
}

/// A setting of a receiver that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct AddressError {
    /// What may stand there.
    pub expected: &'static str,
    /// What stood there.
    pub found: String,
}

impl Receiver {
    /// Its name in the outbox and in figures.
    #[must_use]
    pub const fn channel(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Syslog(_) => "syslog",
        }
    }

    /// Where it is, as far as that may be shown.
    fn place(&self) -> String {
        match self {
            Self::Webhook(webhook) => webhook.place(),
            Self::Syslog(syslog) => syslog.place(),
        }
    }

    async fn send(&self, state: &AppState, message: &Outgoing) -> Result<(), SendError> {
        match self {
            Self::Webhook(webhook) => webhook.send(state, message).await,
            Self::Syslog(syslog) => syslog.send(state, message).await,
        }
    }
}

/// Tells one receiver, until the server stops.
pub async fn run(state: AppState, receiver: Receiver) {
    let mut changes = state.changes();
    loop {
        let more = match tell(&state, &receiver).await {
            Ok(more) => more,
            Err(error) => {
                tracing::error!(%error, channel = receiver.channel(), "the queue of messages cannot be read");
                false
            }
        };
        if more {
            continue;
        }
        let pause = tokio::time::sleep(IDLE);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = state.stopping() => return,
                () = &mut pause => break,
                change = changes.recv() => match change {
                    Ok(Change::Incident { .. }) | Err(_) => break,
                    Ok(_) => {}
                },
            }
        }
    }
}

/// Sends what is due. True where there may be more at once.
async fn tell(state: &AppState, receiver: &Receiver) -> Result<bool, StoreError> {
    let due = state.repository().outgoing(receiver.channel(), state.now(), AT_ONCE).await?;
    let full = due.len() >= AT_ONCE as usize;
    for message in due {
        let outcome = tokio::select! {
            () = state.stopping() => return Ok(false),
            outcome = receiver.send(state, &message) => outcome,
        };
        settle(state, receiver, &message, outcome).await?;
    }
    Ok(full)
}

async fn settle(
    state: &AppState,
    receiver: &Receiver,
    message: &Outgoing,
    outcome: Result<(), SendError>,
) -> Result<(), StoreError> {
    let (repository, channel) = (state.repository(), receiver.channel());
    let error = match outcome {
        Ok(()) => match note_sent(state, receiver, message).await {
            Ok(()) => return repository.add_to_counters(state.now(), &[("messages sent", 1)]).await,
            Err(NotKept::Store(error)) if error.is_passing() => return Err(error),
            // What the ledger does not say was not sent; until it says so it is sent again, ever slower.
            Err(error) => SendError::Passing(error.to_string()),
        },
        Err(error) => error,
    };
    match error {
        SendError::Passing(reason) | SendError::Untrusted(reason) if message.tries + 1 < TRIES => {
            tracing::warn!(channel, incident = %message.incident.id, tries = message.tries + 1, %reason, "a message was not taken");
            repository.outgoing_later(message.seq, due_again(state.now(), message.tries), &reason).await
        }
        error => {
            tracing::error!(channel, incident = %message.incident.id, %error, "a message was given up");
            repository.outgoing_done(message.seq, None).await?;
            repository.add_to_counters(state.now(), &[("messages given up", 1)]).await
        }
    }
}

/// Takes a message that was sent out of the queue, and into the ledger.
async fn note_sent(state: &AppState, receiver: &Receiver, message: &Outgoing) -> Result<(), NotKept> {
    let Incident { id, severity, title, .. } = &message.incident;
    let details = format!("to {}: {severity}, {title}", receiver.place());
    let sent = Decided {
        at: state.now(),
        who: Actor::Program,
        deed: Deed::ReportSent,
        about: vec![Subject::new("incident", id)?],
        details: Some(details),
        salts: salts()?,
    };
    Ok(state.repository().outgoing_done(message.seq, Some(sent)).await?)
}

fn due_again(now: Timestamp, tries: u32) -> Timestamp {
    let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(20)).min(LONGEST_PAUSE);
    now.plus_secs(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_ever_longer() {
        let now = Timestamp::from_secs(0);
        let check = |tries, secs| assert_eq!(due_again(now, tries), now.plus_secs(secs), "{tries}");
        check(0, 5);
        check(1, 10);
        check(5, 160);
        check(12, 3600);
        check(u32::MAX, 3600);
    }
}
