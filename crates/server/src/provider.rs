//! Setting up the identity provider of an authority, the same for the API and the console.
//!
//! Guarantees: only whoever manages the people of an authority sees or sets its provider; settings are kept only after the
//! provider could be read with them; its secret is sealed, shown to nobody, and never sent to another issuer or under other
//! certificates than those it was set with; a provider on the machine itself is set by the node's own administrators.

use crate::{
    AppState,
    api::Problem,
    auth::{User, decided},
    client::is_loopback,
    manage::{name, within},
    people::identity::{self, ISSUER},
};
use axum::http::{StatusCode, Uri};
use ledger::Deed;
use model::AuthorityId;
use policy::Action;
use store::{MOST_PROVIDERS, Provider, Recognises};

/// The longest name by which a provider knows this node, in letters.
const MOST_CLIENT: usize = 255;
/// The longest secret, in letters.
const MOST_SECRET: usize = 1_024;

/// A provider as somebody wants it.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) client: String,
    /// Unset where it stays.
    pub(crate) secret: Option<String>,
    pub(crate) ca: Option<String>,
    pub(crate) recognises: Recognises,
}

/// The provider of an authority that the request reaches.
pub(crate) async fn of(state: &AppState, id: &AuthorityId) -> Result<Option<Provider>, Problem> {
    Ok(within(state, Some(id))?.provider().await?)
}

/// Sets it up, once it could be read.
pub(crate) async fn set(
    state: &AppState,
    user: &User,
    id: &AuthorityId,
    wanted: Wanted,
) -> Result<Provider, Problem> {
    let place = within(state, Some(id))?;
    let before = place.provider().await?;
    let new = checked(state, user, place.authority(), wanted, before)?;
    state.proofs().identities.try_out(&new).await.map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the provider cannot be read with these settings, and nothing was changed",
        )
        .expected(error.to_string())
    })?;
    let details =
        format!("{}, {} as {}, recognises by {}", new.name, new.issuer, new.client, new.recognises.as_str());
    let about = [("authority", id.as_str())];
    let decided = decided(state, user, Deed::ProviderSet, &about, Some(details))?;
    if place.set_provider(&new, decided).await? {
        return Ok(new);
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        format!("a node serves {MOST_PROVIDERS} identity providers at most"),
    ))
}

/// Takes it away: sessions begun with it end, and its identities are good for nothing.
pub(crate) async fn remove(state: &AppState, user: &User, id: &AuthorityId) -> Result<(), Problem> {
    let place = within(state, Some(id))?;
    let decided = decided(state, user, Deed::ProviderRemoved, &[("authority", id.as_str())], None)?;
    if place.remove_provider(decided).await? {
        return Ok(());
    }
    Err(none(id))
}

/// The authority has none.
pub(crate) fn none(id: &AuthorityId) -> Problem {
    Problem::not_found("identity provider of", id.as_str())
}

fn checked(
    state: &AppState,
    user: &User,
    authority: &AuthorityId,
    wanted: Wanted,
    before: Option<Provider>,
) -> Result<Provider, Problem> {
    let wrong = |field: &str, expected: String| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the field `{field}` is wrong"))
            .expected(expected)
    };
    let text = wanted.issuer.trim();
    let (_, here) = identity::issuer(text).ok_or_else(|| wrong("issuer", ISSUER.to_owned()))?;
    let here = here || text.parse::<Uri>().ok().and_then(|uri| uri.host().map(is_loopback)).unwrap_or(true);
    if here && user.may_here(Action::ManagePeople).is_err() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "a provider on this machine is not yours to set up")
            .expected("an https issuer, or an administrator of the node's own authority"));
    }
    let fits = |text: &str, most: usize| {
        (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    let client = wanted.client.trim().to_owned();
    if !fits(&client, MOST_CLIENT) {
        return Err(wrong("client_id", format!("1 to {MOST_CLIENT} letters, as the provider gave it")));
    }
    let ca = wanted.ca.map(|pem| pem.trim().to_owned()).filter(|pem| !pem.is_empty());
    if let Some(pem) = &ca {
        identity::check_ca(pem).map_err(|error| wrong("ca", error.to_string()))?;
    }
    let same = before.as_ref().filter(|old| old.issuer == text && old.client == client && old.ca == ca);
    let secret = match wanted.secret.filter(|secret| !secret.is_empty()) {
        Some(secret) if fits(&secret, MOST_SECRET) => {
            identity::sealed(&state.proofs().seal, authority, &secret)?
        }
        None if let Some(old) = same => old.secret.clone(),
        _ => {
            let expected = format!(
                "1 to {MOST_SECRET} letters, as the provider gave it; it can be left out only where it was set before and \
                 issuer, client_id and ca stay"
            );
            return Err(wrong("client_secret", expected));
        }
    };
    // Later than before also where the clock was put back: what was begun under the settings before is told apart.
    let now = state.now();
    let changed = before.as_ref().map_or(now, |old| now.max(old.changed.plus_micros(1)));
    Ok(Provider {
        authority: authority.clone(),
        name: name(&wanted.name)?,
        issuer: text.to_owned(),
        client,
        secret,
        ca,
        recognises: wanted.recognises,
        changed,
    })
}
