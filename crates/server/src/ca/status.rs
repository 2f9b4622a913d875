//! How certificates stand: revocation lists and OCSP, for whoever asks.
//!
//! Guarantees: a list is made of what is kept at the moment that it is asked for; an answer that is kept for others is given
//! for no longer than [`FRESH`] after anything was revoked anywhere, also on another server with the same database.

use super::{DAY, Working, peer::Sessions};
use crate::{AppState, api::Problem, secret};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::Timestamp;
use pki::{OcspRequest, Reason, Responder, RevocationList, Revoked, Serial, Status};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use store::{CertificateState, IssuerRecord, Listed};

pub(crate) const LIST: &str = "/crl/{file}";
pub(crate) const CERTIFICATE: &str = "/ca/{file}";
pub(crate) const OCSP: &str = "/ocsp/{issuer}";
pub(crate) const OCSP_GET: &str = "/ocsp/{issuer}/{*request}";

/// For how long an answer may be given that was not looked up.
const FRESH: Duration = Duration::from_millis(500);
/// How long a list is good, in seconds; a new one is made each day.
pub(super) const LIST_SECS: i64 = 7 * DAY;
/// How long an answer of OCSP is good, in seconds.
const ANSWER_SECS: i64 = 900;
/// The most answers that are kept.
const MOST_ANSWERS: usize = 32_768;
/// The longest question whose answer is kept, in bytes: what a usual one takes, twice.
const MOST_ASKED: usize = 256;
/// How often it is looked whether connections have to end.
const LOOK: Duration = FRESH;
/// How often connections are asked whether their certificates ended by age, in looks.
const LOOKS: u32 = 60;

/// Answers and lists that were given.
#[derive(Default)]
pub(crate) struct Told {
    /// The number of all revocations when it was last looked at, and when.
    seen: Mutex<Option<(u64, Instant)>>,
    answers: Mutex<HashMap<Vec<u8>, (Bytes, Timestamp)>>,
    lists: Mutex<HashMap<(String, bool), (u64, Bytes)>>,
}

impl Told {
    /// Something was revoked: nothing is known any more.
    pub(crate) fn forget(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Looks whether anything was revoked, no more often than [`FRESH`]: then nothing is known any more.
    async fn look(&self, state: &AppState) -> Result<(), Problem> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_some_and(|(_, at)| at.elapsed() < FRESH) {
            return Ok(());
        }
        let at = Instant::now();
        let now = state.repository().revocations().await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, at));
        if seen.is_none_or(|(before, _)| before != now) {
            self.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        Ok(())
    }
}

/// Lists, answers, and issuers' certificates. Nothing here is a secret, and all is signed.
pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route(LIST, routing::get(list))
        .route(CERTIFICATE, routing::get(certificate))
        .route(OCSP, routing::post(ask))
        .route(OCSP_GET, routing::get(ask_by_address))
}

/// An issuer's certificate: `<issuer>.cer`.
async fn certificate(State(state): State<AppState>, Path(file): Path<String>) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("certificate", &file);
    let id = file.strip_suffix(".cer").ok_or_else(unknown)?;
    let record = state.repository().issuer(id).await?.ok_or_else(unknown)?;
    Ok(([(header::CONTENT_TYPE, "application/pkix-cert")], record.certificate).into_response())
}

/// A revocation list: `<issuer>.crl`, or `<issuer>-delta.crl`.
async fn list(State(state): State<AppState>, Path(file): Path<String>) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("revocation list", &file);
    let id = file.strip_suffix(".crl").ok_or_else(unknown)?;
    let (id, delta) = id.strip_suffix("-delta").map_or((id, false), |id| (id, true));
    let ca = state.ca();
    let Some(working) = ca.by_id(&state, id).await? else {
        // Signed before its key went away, or where that is.
        let kept = state.repository().kept_list(id).await?.filter(|_| !delta);
        return kept.map(|list| told(list.into())).ok_or_else(unknown);
    };
    let now = state.now();
    let due = |record: &IssuerRecord| record.changed < now.plus_secs(-DAY) || record.changed > now;
    let mut record = state.repository().issuer(id).await?.ok_or_else(unknown)?;
    // Where it cannot be renewed now, the one that there is still holds.
    if due(&record) && state.repository().renew_list(id, now.plus_secs(-DAY), now).await.is_ok() {
        record = state.repository().issuer(id).await?.ok_or_else(unknown)?;
    }
    let key = (id.to_owned(), delta);
    let known = ca.status.lists.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    if let Some((_, bytes)) = known.filter(|(number, _)| *number == record.number) {
        return Ok(told(bytes));
    }
    loop {
        let base = delta.then_some(record.base);
        // What ended stands on one more list than it lived for (RFC 5280, 3.3).
        let listed = state.repository().listed(id, base, now.plus_secs(-LIST_SECS)).await?;
        let again = state.repository().issuer(id).await?.ok_or_else(unknown)?;
        if again.number != record.number {
            // Something was revoked in between: what was read belongs to the next list.
            record = again;
            continue;
        }
        let which = RevocationList {
            number: record.number,
            base,
            made: record.changed,
            next: record.changed.plus_secs(LIST_SECS),
        };
        let entries = listed.iter().filter_map(revoked);
        let bytes =
            Bytes::from(working.issuer.revocation_list(which, entries).map_err(super::CaError::from)?);
        let mut lists = ca.status.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(key, (record.number, bytes.clone()));
        return Ok(told(bytes));
    }
}

fn told(list: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/pkix-crl")], list).into_response()
}

pub(super) fn revoked(listed: &Listed) -> Option<Revoked> {
    let serial = Serial::from_bytes(&secret::unhex(&listed.serial)?).ok()?;
    let reason = listed.reason.as_deref().map_or(Reason::RemoveFromCrl, reason);
    Some(Revoked { serial, at: listed.at, reason })
}

/// A reason by the word that is kept.
fn reason(word: &str) -> Reason {
    Reason::ALL.into_iter().find(|known| known.as_str() == word).unwrap_or(Reason::Unspecified)
}

/// OCSP by POST.
async fn ask(
    State(state): State<AppState>,
    Path(issuer): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    answer(&state, &issuer, &body).await
}

/// OCSP by GET: the request in base64, as part of the address.
async fn ask_by_address(
    State(state): State<AppState>,
    Path((issuer, request)): Path<(String, String)>,
) -> Result<Response, Problem> {
    match STANDARD.decode(&request) {
        Ok(request) => answer(&state, &issuer, &request).await,
        Err(_) => malformed(),
    }
}

fn malformed() -> Result<Response, Problem> {
    said(Responder::malformed().map_err(pki::IssueError::from).map_err(super::CaError::from)?.into())
}

fn said(bytes: Bytes) -> Result<Response, Problem> {
    Ok(([(header::CONTENT_TYPE, "application/ocsp-response")], bytes).into_response())
}

async fn answer(state: &AppState, id: &str, request: &[u8]) -> Result<Response, Problem> {
    let ca = state.ca();
    let Ok(request) = OcspRequest::from_der(request) else { return malformed() };
    ca.status.look(state).await?;
    let now = state.now();
    let single = request.single().filter(|asked| asked.len() <= MOST_ASKED);
    let key = single.map(|asked| [id.as_bytes(), &[0], &asked].concat());
    if let Some(key) = &key {
        let answers = ca.status.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((bytes, _)) = answers.get(key).filter(|(_, until)| now < *until) {
            return said(bytes.clone());
        }
    }
    let Some(working) = ca.by_id(state, id).await? else {
        // One whose key is away answers when it is back; its list holds until then.
        return match state.repository().issuer(id).await? {
            Some(_) => said(
                Responder::try_later().map_err(pki::IssueError::from).map_err(super::CaError::from)?.into(),
            ),
            None => Err(Problem::not_found("issuer", id)),
        };
    };
    let before = *ca.status.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let standing = standing(state, &working, &request).await?;
    let next = now.plus_secs(ANSWER_SECS);
    let verdict = working
        .responder
        .answer(&request, now, next, |serial| standing.get(serial).copied().unwrap_or(Status::Unknown))
        .map_err(super::CaError::from)?;
    let bytes = Bytes::from(verdict.der);
    // What nobody issued is not kept: there is no end of it.
    let is_known = standing.values().any(|status| *status != Status::Unknown);
    if let Some(key) = key.filter(|_| is_known) {
        // Where something was revoked while this was looked up, it is not kept for others.
        let seen = ca.status.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.map(|(number, _)| number) == before.map(|(number, _)| number) && before.is_some() {
            let mut answers = ca.status.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= MOST_ANSWERS {
                answers.clear();
            }
            // Half of its life: whoever gets it can use it for a while.
            answers.insert(key, (bytes.clone(), now.plus_secs(ANSWER_SECS / 2)));
        }
    }
    said(bytes)
}

/// How those stand that are asked about.
async fn standing(
    state: &AppState,
    working: &Working,
    request: &OcspRequest,
) -> Result<HashMap<Serial, Status>, Problem> {
    let mut standing = HashMap::new();
    for serial in working.responder.asked(request).into_iter().flatten() {
        let kept = state.repository().standing_of(&working.record.id, &serial.to_string()).await?;
        let status = match kept {
            None => Status::Unknown,
            Some((CertificateState::Good, ..)) => Status::Good,
            Some((_, since, why)) => {
                Status::Revoked(since, why.as_deref().map_or(Reason::Unspecified, reason))
            }
        };
        standing.insert(serial, status);
    }
    Ok(standing)
}

/// Ends the connections whose certificates are not good any more, for as long as the server runs: those that another server
/// revoked, and those that end by their age.
pub async fn look_after(state: AppState) {
    let (mut looks, mut before) = (0_u32, None);
    loop {
        tokio::time::sleep(LOOK).await;
        looks = looks.wrapping_add(1);
        let sessions = &state.ca().sessions;
        // The database is away: what was looked up before still holds, and each request is looked up anew.
        let Ok(revocations) = state.repository().revocations().await else { continue };
        let all = before.replace(revocations) != Some(revocations) || looks.is_multiple_of(LOOKS);
        // One that began while something was revoked is looked at once.
        let begun = sessions.begun();
        end_those_not_good(&state, sessions, if all { sessions.open() } else { begun }).await;
    }
}

async fn end_those_not_good(state: &AppState, sessions: &Sessions, which: Vec<String>) {
    for fingerprint in which {
        let kept = state.repository().certificate(&fingerprint).await;
        // One that is not ours opened nothing; it stays as long as it likes.
        if kept.is_ok_and(|kept| kept.is_some_and(|kept| !kept.is_good(state.now()))) {
            sessions.cut(&fingerprint);
        }
    }
}
