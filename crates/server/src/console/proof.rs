//! The proof of what is displayed: whose log it is in, who signed and cosigned that, and how to check it elsewhere.

use super::view::{self, Markup};
use crate::{AppState, api::Problem};
use model::{AuthorityId, Timestamp};
use report::words;

/// The logs that the decisions of a page are in.
#[derive(Default)]
pub(super) struct Proof {
    pub(super) logs: Vec<LogView>,
}

/// The log of one authority.
pub(super) struct LogView {
    pub(super) authority: String,
    pub(super) leaves: String,
    pub(super) root: String,
    /// The verifier key that it is signed with.
    pub(super) key: String,
    /// How far witnesses have cosigned it, and when they last did.
    pub(super) cosigned: String,
    pub(super) cosigned_at: Option<Markup>,
    pub(super) witnesses: Vec<WitnessView>,
}

/// One witness.
pub(super) struct WitnessView {
    pub(super) name: String,
    pub(super) place: String,
    pub(super) last: Option<Markup>,
    pub(super) leaves: String,
    pub(super) problem: String,
}

/// The logs of these authorities, each once; those that hold nothing yet are left out.
pub(super) async fn of<'a>(
    state: &AppState,
    authorities: impl IntoIterator<Item = &'a AuthorityId>,
) -> Result<Proof, Problem> {
    let mut wanted: Vec<&AuthorityId> = authorities.into_iter().collect();
    wanted.sort();
    wanted.dedup();
    let mut logs = Vec::new();
    for authority in wanted {
        let Some(log) = state.repository().of(authority.clone()).log().await? else { continue };
        let witnessing = state.witnessing();
        let key = witnessing.and_then(|witnessing| witnessing.keys(authority).into_iter().next());
        let standing = witnessing.map(|witnessing| witnessing.standing(authority)).unwrap_or_default();
        let now = state.now();
        let (cosigned, cosigned_at) = cosigned(state, authority, log.head().size, now).await?;
        logs.push(LogView {
            authority: authority.to_string(),
            leaves: words::counted(log.head().size, "decision", "decisions"),
            root: log.head().root.to_string(),
            key: key.map(|key| key.to_string()).unwrap_or_default(),
            cosigned,
            cosigned_at,
            witnesses: standing
                .into_iter()
                .map(|(key, place, standing)| WitnessView {
                    name: report::clipped(key.name(), 80),
                    place: report::clipped(place, 120),
                    last: standing.at.map(|at| view::ago(at, now)),
                    leaves: words::counted(standing.leaves, "decision", "decisions"),
                    problem: report::clipped(&standing.problem.unwrap_or_default(), 300),
                })
                .collect(),
        });
    }
    Ok(Proof { logs })
}

async fn cosigned(
    state: &AppState,
    authority: &AuthorityId,
    leaves: u64,
    now: Timestamp,
) -> Result<(String, Option<Markup>), Problem> {
    let (quorum, asked) = state.witnessing().map_or((0, 0), crate::witness::Witnessing::quorum);
    if asked == 0 {
        return Ok((String::new(), None));
    }
    let logs = state.repository().logs().await?;
    let found = logs.iter().find(|log| log.authority == *authority).and_then(|log| log.cosigned);
    Ok(match found {
        None => (format!("not yet: {quorum} of {asked} have to"), None),
        Some((size, at)) if size >= leaves => ("all of them".to_owned(), Some(view::ago(at, now))),
        Some((size, at)) => (format!("the first {}", words::count(size)), Some(view::ago(at, now))),
    })
}
