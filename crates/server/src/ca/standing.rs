//! The one action that takes an identity away, for a while or for ever, and gives it back.
//!
//! Guarantees: what is decided is kept and in the ledger before anything ends; then, before the answer, the connections of the
//! asset end, no answer is given any more that was made before, and the sensor quarantines its addresses. A part that keeps sessions of its own ends them at the
//! same place.

use crate::{
    AppState,
    api::Problem,
    auth::{User, decided},
    live::Change,
    quarantine::{self, Quarantine},
    suspending, words,
};
use axum::http::StatusCode;
use ledger::Deed;
use model::Asset;
use pki::Reason;
use store::{Changed, Findable, Standing, Which};

/// The longest reason in words, in letters.
const MOST_WORDS: usize = 500;
/// What a revocation may be for.
pub(crate) const REASONS: &[Reason] = &[
    Reason::Unspecified,
    Reason::KeyCompromise,
    Reason::AffiliationChanged,
    Reason::Superseded,
    Reason::CessationOfOperation,
    Reason::PrivilegeWithdrawn,
];

/// What is done with an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// For a while.
    Suspend,
    /// Given back.
    Restore,
    /// For ever.
    Revoke,
}

impl Act {
    /// By its word in an address.
    pub(crate) fn named(word: &str) -> Result<Self, Problem> {
        match word {
            "suspend" => Ok(Self::Suspend),
            "restore" => Ok(Self::Restore),
            "revoke" => Ok(Self::Revoke),
            other => {
                let found: String = other.chars().take(40).collect();
                Err(Problem::new(StatusCode::NOT_FOUND, "there is no such deed")
                    .expected(format!("expected suspend, restore or revoke; found {found:?}")))
            }
        }
    }
}

/// What came of it.
pub(crate) struct Ended {
    /// The certificates that changed.
    pub(crate) certificates: usize,
    /// The connections that were ended.
    pub(crate) connections: usize,
    /// The asset as it stands now; unset where it was about one certificate.
    pub(crate) asset: Option<Box<Asset>>,
    /// What became of its addresses; unset where it was about one certificate.
    pub(crate) quarantine: Option<Quarantine>,
}

/// Suspends, restores or revokes an asset with all its certificates, or one certificate.
pub(crate) async fn let_stand(
    state: &AppState,
    user: &User,
    which: Which,
    deed: Act,
    reason: Option<&str>,
    why: Option<&str>,
) -> Result<Ended, Problem> {
    let (state, about) = match &which {
        Which::Asset(id) => (state.at(Findable::Asset, id).await?, ("asset", id.as_str())),
        Which::Certificate(id) => (state.at(Findable::Certificate, id).await?, ("certificate", id.as_str())),
    };
    let why = why.map(|why| words::lines(why, MOST_WORDS)).transpose().map_err(|expected| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the reason cannot be used")
            .expected(format!("`why` in {expected}"))
    })?;
    let (standing, ledger) = match deed {
        Act::Suspend => (Standing::Held, Deed::Suspended),
        Act::Restore => (Standing::Good, Deed::Restored),
        Act::Revoke => (Standing::Revoked(known_reason(reason)?), Deed::Revoked),
    };
    if reason.is_some() && deed != Act::Revoke {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "only a revocation has a reason of RFC 5280",
        )
        .expected("`why`, in words"));
    }
    let said = reason.filter(|_| deed == Act::Revoke).map(str::to_owned);
    let details = [said, why].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let decided =
        decided(&state, user, ledger, &[about], Some(details).filter(|details| !details.is_empty()))?;
    match state.repository().let_stand(which.clone(), standing, decided).await? {
        Changed::Unknown => Err(Problem::not_found(about.0, about.1)),
        Changed::Not(how) => Err(Problem::new(StatusCode::CONFLICT, format!("this is {how}"))),
        Changed::Done { certificates, asset } => {
            let ca = state.ca();
            ca.status.forget();
            let connections = match deed {
                Act::Restore => 0,
                Act::Suspend | Act::Revoke => certificates.iter().map(|one| ca.sessions.cut(one)).sum(),
            };
            let quarantine = match &asset {
                Some(asset) => {
                    if deed == Act::Restore {
                        suspending::restored(&state, user, &asset.id).await?;
                    }
                    state.announce(Change::Asset { id: asset.id.clone(), label: asset.label(), new: false });
                    Some(quarantine::follow(&state, user, asset).await?)
                }
                None => None,
            };
            Ok(Ended { certificates: certificates.len(), connections, asset, quarantine })
        }
    }
}

fn known_reason(word: Option<&str>) -> Result<&'static str, Problem> {
    let Some(word) = word else { return Ok(Reason::Unspecified.as_str()) };
    REASONS.iter().map(|reason| reason.as_str()).find(|known| *known == word).ok_or_else(|| {
        let all: Vec<&str> = REASONS.iter().map(|reason| reason.as_str()).collect();
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "this is no reason for a revocation")
            .expected(format!("`reason` one of {}", all.join(", ")))
    })
}
