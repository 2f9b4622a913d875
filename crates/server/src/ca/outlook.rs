//! What has to be done about issuers by people, said long before it is needed.

use super::{DAY, RENEW_DAYS};
use crate::{AppState, api::Problem};
use model::Timestamp;
use pki::{Certificate, SignedList};
use store::{IssuerKey, IssuerRecord, IssuerState};

/// How long before it has to be done it is on the overview, in days.
const SOON_DAYS: i64 = 180;

/// Something to do about an issuer.
pub(crate) struct ToDo {
    /// Which.
    pub(crate) issuer: String,
    pub(crate) words: String,
    /// Whether it is time.
    pub(crate) soon: bool,
}

/// What people have to do about the issuers of the authority that `state` acts for.
pub(crate) async fn to_do(state: &AppState) -> Result<Vec<ToDo>, Problem> {
    let now = state.now();
    let issuers = state.repository().issuers().await?;
    let roots = state.repository().roots().await?;
    let mut all = Vec::new();
    for issuer in &issuers {
        let about = |words: String, from: Timestamp| {
            let soon = from <= now.plus_secs(SOON_DAYS * DAY);
            ToDo { issuer: issuer.id.clone(), words, soon }
        };
        let day = |moment: Timestamp| moment.to_string().chars().take(10).collect::<String>();
        let above = match &issuer.parent {
            None => None,
            Some(parent) => state.repository().issuer(parent).await?,
        };
        match (issuer.state, above) {
            (IssuerState::Active, Some(above)) if above.state == IssuerState::Foreign => {
                let words = format!(
                    "it ends on {}: have the next one certified before (bastide ca request, then import)",
                    day(issuer.ends)
                );
                all.push(about(words, issuer.ends));
            }
            (IssuerState::Active, Some(above)) if above.key == IssuerKey::Away => {
                let from = issuer.ends.plus_secs(-RENEW_DAYS * DAY);
                let words = format!(
                    "the root's key is needed from {} to {} to renew it (bastide ca import-root; or request, sign-issuer \
                     and import)",
                    day(from),
                    day(issuer.ends)
                );
                all.push(about(words, from));
            }
            _ => {}
        }
        if let Some(next) = kept_list(state, issuer, &roots).await? {
            let words = format!(
                "its revocation list holds until {}: sign the next one before (bastide ca sign-list, import-list)",
                day(next)
            );
            all.push(about(words, next));
        }
    }
    Ok(all)
}

/// Until when the list of a root holds whose key is away.
async fn kept_list(
    state: &AppState,
    issuer: &IssuerRecord,
    roots: &[IssuerRecord],
) -> Result<Option<Timestamp>, Problem> {
    let is_away = issuer.key == IssuerKey::Away && issuer.state != IssuerState::Foreign;
    if !is_away || !roots.iter().any(|root| root.id == issuer.id) {
        return Ok(None);
    }
    let list = state.repository().kept_list(&issuer.id).await?.unwrap_or_default();
    let by = Certificate::from_der(&issuer.certificate).ok();
    Ok(by.and_then(|by| SignedList::verify(&list, &by).ok()).map(|list| list.next))
}
