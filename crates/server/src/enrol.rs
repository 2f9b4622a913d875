//! How people let devices in: one-time tokens, a yes or no to those who wait, makers that are trusted.
//!
//! Guarantees: a token is shown once and kept as a hash; each step is a decision in the ledger.

use crate::{
    AppState,
    api::Problem,
    auth::{User, decided},
    ca, secret, words,
};
use axum::http::StatusCode;
use ledger::Deed;
use model::AuthorityId;
use pki::View;
use policy::Action;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use store::{EnrolmentToken, Findable, MOST_ENROLMENT_TOKENS, MOST_MAKERS, Maker};

/// How long a token is good where nothing is said, in hours.
pub(crate) const TOKEN_HOURS: u32 = 24;
/// The longest that a token is good, in hours.
const MOST_HOURS: u32 = 24 * 90;
/// The longest name, in letters: what a common name holds.
const MOST_NAME: usize = 64;
/// The profile where nothing is said.
pub(crate) const PROFILE: &str = "device";

/// A token that is wanted.
pub(crate) struct NewToken {
    /// What the device is called; left to it where nothing is said.
    pub(crate) name: Option<String>,
    pub(crate) profile: String,
    /// The asset that it is, where that is known.
    pub(crate) asset: Option<String>,
    pub(crate) hours: u32,
}

/// A token that was made; its text is shown this once.
pub(crate) struct Made {
    pub(crate) text: String,
    pub(crate) token: EnrolmentToken,
}

/// The state in the name of the authority whose devices are let in: the one that is reached where nothing is said.
pub(crate) fn at(state: &AppState, user: &User, authority: Option<&str>) -> Result<AppState, Problem> {
    let Some(named) = authority else { return Ok(state.clone()) };
    let unknown = || Problem::not_found("authority whose devices you let in", named);
    let id: AuthorityId = named.parse().map_err(|_| unknown())?;
    user.may(Action::EnrolDevices, &id).map_err(|_| unknown())?;
    Ok(state.in_name_of(&id).writing_for(user))
}

/// Makes a token that lets one device in.
pub(crate) async fn make_token(state: &AppState, user: &User, new: NewToken) -> Result<Made, Problem> {
    let named = match new.asset.as_deref() {
        Some(asset) => &state.at(Findable::Asset, asset).await?,
        None => state,
    };
    let name = new.name.as_deref().map(|name| words::line(name, MOST_NAME)).transpose();
    let name = name.map_err(|expected| field("name", expected))?.unwrap_or_default();
    named.ca().may_be_called(named, &name).map_err(|problem| field("name", problem.detail().to_owned()))?;
    check_profile(state, &new.profile)?;
    if !(1..=MOST_HOURS).contains(&new.hours) {
        return Err(field("hours", format!("1 to {MOST_HOURS}")));
    }
    let root = state.ca().trusted(state).await?;
    let root = secret::hash(&root.certificate);
    let text = format!("{}{}_{}", ca::TOKEN, root.get(..32).unwrap_or_default(), secret::fresh()?);
    let now = state.now();
    let token = EnrolmentToken {
        id: secret::hash(&text),
        authority: named.repository().authority().clone(),
        name,
        profile: new.profile,
        asset: new.asset,
        made: now,
        expires: now.plus_secs(i64::from(new.hours) * 3_600),
        used: None,
    };
    let mut about = vec![("enrolment-token", token.id.as_str())];
    about.extend(token.asset.as_deref().map(|asset| ("asset", asset)));
    let details = format!(
        "{} as {} until {}",
        if token.name.is_empty() { "a device" } else { &token.name },
        token.profile,
        token.expires
    );
    let decided = decided(named, user, Deed::EnrolmentTokenMade, &about, Some(details))?;
    if !named.repository().add_enrolment_token(&token, decided).await? {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "the authority has too many tokens that were not used",
        )
        .expected(format!("at most {MOST_ENROLMENT_TOKENS}; those that are not needed can be taken away")));
    }
    Ok(Made { text, token })
}

/// Takes a token away that was not used.
pub(crate) async fn revoke_token(state: &AppState, user: &User, id: &str) -> Result<(), Problem> {
    let state = &state.at(Findable::EnrolmentToken, id).await?;
    let decided = decided(state, user, Deed::EnrolmentTokenRevoked, &[("enrolment-token", id)], None)?;
    match state.repository().remove_enrolment_token(id, decided).await? {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::CONFLICT, "this token was used")
            .expected("a token that was not; what came in by it is suspended or revoked as an asset")),
    }
}

/// Says yes or no to somebody who waits.
pub(crate) async fn judge(state: &AppState, user: &User, id: &str, yes: bool) -> Result<(), Problem> {
    let state = &state.at(Findable::Enrolment, id).await?;
    let waiting =
        state.repository().enrolment(id).await?.ok_or_else(|| Problem::not_found("enrolment", id))?;
    let deed = if yes { Deed::EnrolmentApproved } else { Deed::EnrolmentRefused };
    let details = format!("{} from {}, key {}", waiting.subject, waiting.place, waiting.key);
    let decided = decided(state, user, deed, &[("enrolment", id)], Some(details))?;
    match state.repository().judge_enrolment(id, yes, decided).await? {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::CONFLICT, format!("this is {}", waiting.state.as_str()))
            .expected("somebody who waits")),
    }
}

/// Trusts a maker to say who its devices are.
pub(crate) async fn trust(
    state: &AppState,
    user: &User,
    name: &str,
    profile: &str,
    pem: &str,
) -> Result<Maker, Problem> {
    let name = words::line(name, MOST_NAME).map_err(|expected| field("name", expected))?;
    check_profile(state, profile)?;
    let der = CertificateDer::from_pem_slice(pem.trim().as_bytes())
        .map_err(|error| field("certificate", format!("one certificate in PEM ({error})")))?;
    let view = View::of(&der).map_err(|error| field("certificate", error.to_string()))?;
    if !view.is_authority {
        return Err(field(
            "certificate",
            "that of an authority which issues (basic constraints: CA), not a device's own".into(),
        ));
    }
    let now = state.now();
    if now < view.begins || now >= view.ends {
        let expected = format!("one that is good now; this one is from {} to {}", view.begins, view.ends);
        return Err(field("certificate", expected));
    }
    let maker = Maker {
        id: secret::hash(&der),
        authority: state.repository().authority().clone(),
        name,
        profile: profile.to_owned(),
        made: now,
        body: der.to_vec(),
    };
    let details = format!("{}: {} as {}", maker.name, view.subject, maker.profile);
    let decided = decided(state, user, Deed::MakerTrusted, &[("maker", &maker.id)], Some(details))?;
    if !state.repository().add_maker(&maker, decided).await? {
        return Err(Problem::new(StatusCode::CONFLICT, "the authority trusts too many makers")
            .expected(format!("at most {MOST_MAKERS}")));
    }
    Ok(maker)
}

/// Trusts a maker no longer. What came in by it stays.
pub(crate) async fn distrust(state: &AppState, user: &User, id: &str) -> Result<(), Problem> {
    let state = &state.at(Findable::Maker, id).await?;
    let decided = decided(state, user, Deed::MakerDistrusted, &[("maker", id)], None)?;
    match state.repository().remove_maker(id, decided).await? {
        true => Ok(()),
        false => Err(Problem::not_found("maker", id)),
    }
}

fn check_profile(state: &AppState, profile: &str) -> Result<(), Problem> {
    let profiles = &state.ca().settings().profiles;
    if profiles.get(profile).is_some() {
        return Ok(());
    }
    let all: Vec<&str> = profiles.iter().map(|(name, _)| name).collect();
    Err(field("profile", format!("one of {}", all.join(", "))))
}

fn field(name: &str, expected: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{name}` is wrong")).expected(expected)
}
