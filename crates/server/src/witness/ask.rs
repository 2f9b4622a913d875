//! Asking one witness to cosign each log of this node, whenever it has grown.

use super::{Standing, Witnessing, locked};
use crate::{AppState, client::SendError};
use axum::http::{Method, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use ledger::{
    MAX_NOTE, Note, Tree,
    witness::{AddCheckpoint, Answer, answered},
};
use std::{collections::BTreeMap, time::Duration};
use store::{Log, LogState};

/// How often it is looked whether a log has grown.
const LOOK: Duration = Duration::from_secs(2);
/// The longest pause after failures, in looks; it doubles each time.
const LONGEST_PAUSE: u32 = 150;
/// How often one question is asked again at once, where the witness stands elsewhere than was thought.
const AGAIN: u32 = 3;

/// Asks the witness of that number, until the server stops.
pub(super) async fn run(state: AppState, witness: usize) {
    let mut failures = 0;
    loop {
        failures = if round(&state, witness).await { 0 } else { failures + 1 };
        tokio::select! {
            () = state.stopping() => return,
            () = tokio::time::sleep(LOOK * pause(failures)) => {}
        }
    }
}

/// How many looks to wait after so many failures.
const fn pause(failures: u32) -> u32 {
    let pause = 1 << if failures > 16 { 16 } else { failures };
    if pause > LONGEST_PAUSE { LONGEST_PAUSE } else { pause }
}

/// Asks for every log that has grown. False where the witness cannot be reached, or the logs not be read.
async fn round(state: &AppState, witness: usize) -> bool {
    let logs = match state.repository().logs().await {
        Ok(logs) => logs,
        Err(error) => {
            tracing::warn!(%error, "the logs cannot be read, and are not cosigned");
            return false;
        }
    };
    let Some(witnessing) = state.witnessing() else { return true };
    for LogState { authority, leaves, .. } in logs {
        let key = (authority, witness);
        let before = locked(&witnessing.standing).get(&key).cloned().unwrap_or_default();
        let done = before.at.is_some() && before.leaves == leaves && before.problem.is_none();
        if done || before.due.is_some_and(|due| state.now() < due) {
            continue;
        }
        let (standing, reached) = match ask(state, witnessing, &key, before.leaves).await {
            Ok(standing) => (standing, true),
            Err(Problem { what, other_history, unreachable }) => {
                if before.problem.as_ref() != Some(&what) {
                    let witness = witnessing.place(witness);
                    tracing::warn!(log = %key.0, witness, problem = what, "a checkpoint is not cosigned");
                }
                // One log that it refuses holds up no other.
                let failures = before.failures.saturating_add(1);
                let wait = LOOK.as_secs().saturating_mul(pause(failures).into());
                let due = (!unreachable).then(|| state.now().plus_secs(wait.cast_signed()));
                (Standing { problem: Some(what), other_history, failures, due, ..before }, !unreachable)
            }
        };
        locked(&witnessing.standing).insert(key, standing);
        if !reached {
            return false;
        }
    }
    true
}

impl Witnessing {
    fn place(&self, witness: usize) -> &str {
        self.asked.get(witness).map_or("", |asked| asked.place.as_str())
    }
}

/// Why a checkpoint is not cosigned.
struct Problem {
    what: String,
    /// The witness knows another history of the log.
    other_history: bool,
    /// The witness was not reached.
    unreachable: bool,
}

fn problem(what: impl std::fmt::Display) -> Problem {
    Problem { what: what.to_string(), other_history: false, unreachable: false }
}

/// Asks one witness for one log; `theirs` is what it is believed to have cosigned last.
async fn ask(
    state: &AppState,
    witnessing: &Witnessing,
    (authority, witness): &(model::AuthorityId, usize),
    mut theirs: u64,
) -> Result<Standing, Problem> {
    let asked = witnessing.asked.get(*witness).ok_or_else(|| problem("no such witness"))?;
    let repository = state.repository().of(authority.clone());
    let mut other = 0;
    for _ in 0..AGAIN {
        // Each time anew: another server may have continued the log.
        let log = repository.log().await.map_err(problem)?.ok_or_else(|| problem("the log is gone"))?;
        let leaves = log.head().size;
        if theirs > leaves {
            other = theirs;
            break;
        }
        let request = request(log.clone(), theirs).await?;
        let answer = send(state, asked, &request)
            .await
            .map_err(|error| Problem { unreachable: true, ..problem(error) })?;
        let (status, body) = (answer.status().as_u16(), answer.body());
        let mut note = request.checkpoint.clone();
        match answered(&request, &mut note, &asked.key, status, body).map_err(problem)? {
            Answer::Cosigned => {
                collect(state, witnessing, authority, &log, note).await?;
                return Ok(Standing { leaves, at: Some(state.now()), ..Standing::default() });
            }
            Answer::Conflict(size) => theirs = size,
            // Perhaps another server of this log has told it more meanwhile.
            Answer::OtherHistory(size) if size > leaves => theirs = size,
            Answer::OtherHistory(size) => {
                other = size;
                break;
            }
            Answer::Refused { status, reason } => {
                return Err(problem(format!("it answered {status}: {reason}")));
            }
        }
    }
    match other {
        0 => Err(problem("it stands elsewhere each time it is asked")),
        size => Err(Problem {
            other_history: true,
            ..problem(format!(
                "it cosigned {size} leaves of another history of this log: somebody signed one with its key, or this \
                 node was put back to an earlier state"
            ))
        }),
    }
}

/// What is asked, with the proof that the log continues what it was at `old`.
async fn request(log: Log, old: u64) -> Result<AddCheckpoint, Problem> {
    let (head, note) = (log.head(), Note::from_bytes(log.checkpoint().as_bytes()).map_err(problem)?);
    let source = log.blocking();
    let proof = tokio::task::spawn_blocking(move || {
        let proof = Tree::open(&source, head).and_then(|tree| tree.consistency(old));
        proof.map_err(|error| format!("the log cannot prove itself: {error}"))
    });
    let proof = proof.await.map_err(problem)?.map_err(problem)?;
    Ok(AddCheckpoint { old, proof, checkpoint: note })
}

async fn send(
    state: &AppState,
    asked: &super::Asked,
    request: &AddCheckpoint,
) -> Result<Response<Bytes>, SendError> {
    let body = Full::new(Bytes::from(request.to_string()));
    let request = asked.remote.request(Method::POST, &state.node().version).body(body);
    asked.remote.send(request.map_err(|error| SendError::Final(error.to_string()))?, MAX_NOTE).await
}

/// Adds a cosignature to those of the same checkpoint, and keeps it where there are enough.
async fn collect(
    state: &AppState,
    witnessing: &Witnessing,
    authority: &model::AuthorityId,
    log: &Log,
    cosigned: Note,
) -> Result<(), Problem> {
    let kept = log.witnessed().and_then(|note| Note::from_bytes(note.as_bytes()).ok());
    let whole = {
        let mut collected: std::sync::MutexGuard<'_, BTreeMap<_, Note>> = locked(&witnessing.collected);
        let known = [collected.remove(authority), kept].into_iter().flatten();
        let mut whole = cosigned;
        for note in known.filter(|note| note.text() == whole.text()).collect::<Vec<_>>() {
            for signature in note.signatures() {
                let known = whole
                    .signatures()
                    .iter()
                    .any(|one| (one.name(), one.id()) == (signature.name(), signature.id()));
                if !known {
                    whole.add(signature.clone()).map_err(problem)?;
                }
            }
        }
        collected.insert(authority.clone(), whole.clone());
        whole
    };
    let by =
        |asked: &&super::Asked| whole.signatures().iter().any(|signature| asked.key.is_named_by(signature));
    if witnessing.asked.iter().filter(by).count() < witnessing.quorum {
        return Ok(());
    }
    let repository = state.repository().of(authority.clone());
    repository.keep_witnessed(log.head().size, whole.to_string(), state.now()).await.map_err(problem)
}
