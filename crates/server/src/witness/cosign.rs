//! This node as a witness: `POST /witness/add-checkpoint`.

use crate::AppState;
use axum::{
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use ledger::{
    Head, judge,
    witness::{AddCheckpoint, Refusal},
};

/// Where it is asked: the submission prefix is `/witness`.
pub(crate) const PATH: &str = "/witness/add-checkpoint";

/// How often a request is judged anew where another one was kept meanwhile.
const TRIES: u32 = 8;

/// Cosigns a checkpoint of a log that is known and that continues what was cosigned of it. Whoever signed the checkpoint
/// asks; nobody signs in for this.
pub(crate) async fn add_checkpoint(State(state): State<AppState>, body: Bytes) -> Response {
    let Some(cosigner) = state.witnessing().and_then(|witnessing| witnessing.cosigner.as_ref()) else {
        return said(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "this node is no witness\n".into());
    };
    let request = match AddCheckpoint::from_bytes(&body) {
        Ok(request) => request,
        Err(error) => return refused(&Refusal::Malformed(error)),
    };
    let origin = match request.origin() {
        Ok(origin) => origin,
        Err(error) => return refused(&Refusal::Malformed(error)),
    };
    let keys: Vec<_> = cosigner.logs.iter().filter(|key| key.name() == origin).cloned().collect();
    for _ in 0..TRIES {
        let last = match keys.is_empty() {
            true => Ok(Head::EMPTY),
            false => state.repository().cosigned(&origin).await,
        };
        let accepted = match last.map(|last| judge(&request, &keys, last)) {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(refusal)) => {
                tracing::warn!(log = origin, %refusal, "a checkpoint was not cosigned");
                return refused(&refusal);
            }
            Err(error) => return unavailable(&error),
        };
        let now = state.now();
        let kept = state.repository().keep_cosigned(&origin, accepted.old(), accepted.head(), now).await;
        match kept {
            Ok(true) => {
                return match accepted.cosign(&cosigner.key, now) {
                    Ok(signature) => {
                        said(StatusCode::OK, "text/plain; charset=utf-8", format!("{signature}\n"))
                    }
                    Err(error) => unavailable(&error),
                };
            }
            // Somebody else was quicker: what is known of the log has changed.
            Ok(false) => {}
            Err(error) => return unavailable(&error),
        }
    }
    unavailable(&"too many ask at once")
}

fn refused(refusal: &Refusal) -> Response {
    let (kind, body) = refusal.body();
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    said(status, kind, body)
}

/// Nothing is told that was not kept.
fn unavailable(why: &dyn std::fmt::Display) -> Response {
    tracing::error!(%why, "a checkpoint could not be cosigned");
    let body = "the witness cannot keep what it would cosign; ask again\n";
    said(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", body.into())
}

fn said(status: StatusCode, kind: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}
