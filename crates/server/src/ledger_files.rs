//! The logs of decisions over HTTP: what C2SP tlog-tiles lays out, and bundles, for whoever may see the record.

use crate::{
    AppState,
    api::Problem,
    reach::{Granted, Reach},
};
use axum::{
    Extension,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use ledger::{Bundle, Place, Subject};
use model::{AuthorityId, IncidentId};
use store::{Log, Paging};

/// `<authority>/checkpoint`, `<authority>/tile/…`, `<authority>/keys`, `<authority>/witnessed`, `<authority>/openings/…`,
/// and bundles: `<authority>/leaf/<number>.tar`, `<authority>/incident/<id>.tar`.
pub(crate) const PATH: &str = "/ledger/{authority}/{*path}";

/// The most decisions in a bundle that is downloaded; more of them come with `bastide ledger export`.
const MOST: u32 = 500;

/// One file of the log of an authority that is reached.
pub(crate) async fn serve(
    Reach(state): Reach,
    Extension(granted): Extension<Granted>,
    Path((authority, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("log of the authority", &authority);
    let authority: AuthorityId = authority.parse().map_err(|_| unknown())?;
    if !granted.0.iter().any(|grant| *grant.authority() == authority) {
        return Err(unknown());
    }
    let state = state.reaching(std::slice::from_ref(&authority));
    let keys = state.witnessing().map(|witnessing| witnessing.keys(&authority)).unwrap_or_default();
    let log = state.repository().log().await?.ok_or_else(unknown)?.with_keys(keys);
    if let Some(numbers) = exhibits(&state, &path).await? {
        return bundle(log, numbers, &path).await;
    }
    let place: Place = path.parse().map_err(|error: ledger::PlaceError| {
        Problem::not_found("file of a log", &path).expected(error.to_string())
    })?;
    let bytes = log.read(place).await?.ok_or_else(|| Problem::not_found("file of this log", &path))?;
    let kind = match place {
        Place::Checkpoint | Place::Keys | Place::Witnessed | Place::Openings { .. } => {
            "text/plain; charset=utf-8"
        }
        Place::Tile { .. } | Place::Entries { .. } => "application/octet-stream",
    };
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

/// The numbers of the leaves that a bundle is asked of; nothing where the path asks for none.
async fn exhibits(state: &AppState, path: &str) -> Result<Option<Vec<u64>>, Problem> {
    let Some((kind, name)) = path.split_once('/').filter(|(kind, _)| matches!(*kind, "leaf" | "incident"))
    else {
        return Ok(None);
    };
    let unknown = || Problem::not_found(kind, name);
    let id = name.strip_suffix(".tar").ok_or_else(unknown)?;
    if kind == "leaf" {
        return id.parse().map(|number| Some(vec![number])).map_err(|_| unknown());
    }
    let incident: IncidentId = id.parse().map_err(|_| unknown())?;
    let about = Subject::new("incident", &incident).map_err(|_| unknown())?;
    let decided = state.repository().decisions(Some(&about), Paging::new(1, MOST)).await?;
    if decided.total > u64::from(MOST) {
        let detail = format!("{} decisions are about {incident}", decided.total);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).expected(format!(
            "at most {MOST}; `bastide ledger export --incident {incident}` writes all of them"
        )));
    }
    let mut numbers: Vec<u64> = decided.items.iter().map(|decision| decision.number).collect();
    numbers.sort_unstable();
    if numbers.is_empty() { Err(unknown()) } else { Ok(Some(numbers)) }
}

async fn bundle(log: Log, numbers: Vec<u64>, path: &str) -> Result<Response, Problem> {
    let size = log.head().size;
    if numbers.iter().any(|number| *number >= size) {
        return Err(Problem::not_found("file of this log", path));
    }
    let source = log.blocking();
    let gathered = tokio::task::spawn_blocking(move || {
        let bundle = Bundle::gather(&source, numbers).map_err(|error| error.to_string())?;
        bundle.to_archive().map_err(|error| error.to_string())
    });
    let archive = gathered.await.map_err(|error| error.to_string()).and_then(|archive| archive);
    let archive = archive.map_err(|reason| {
        tracing::error!(reason, "decisions cannot be proved");
        let detail = "the log cannot prove this: `bastide ledger verify` says what is wrong with it";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })?;
    let name = path.replace('/', "-");
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"ledger-{name}\"")),
    ];
    Ok((headers, archive).into_response())
}
