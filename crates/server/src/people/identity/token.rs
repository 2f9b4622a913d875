//! What an ID token says, once it is verified (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! Guarantees: nothing is said by a token that its provider did not sign with a published asymmetric key, for this client,
//! for this sign-in, lately; clocks may differ by [`SKEW_SECS`].

use crate::auth::FRESH_SECS;
use chrono::{DateTime, Utc};
use model::Timestamp;
use openidconnect::{
    ClaimsVerificationError, ClientId, IssuerUrl, Nonce, SignatureVerificationError,
    core::{CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm},
};

/// By how much a provider's clock may differ from ours, in seconds.
pub(super) const SKEW_SECS: i64 = 60;
/// The longest name of somebody at a provider, in bytes (Core, section 2).
const MOST_SUBJECT: usize = 255;

/// Signatures with a published key. Not those with the shared secret, which this node could make itself.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What a token has to be for.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a IssuerUrl,
    pub(super) client: &'a ClientId,
    pub(super) nonce: &'a Nonce,
    /// When this sign-in began.
    pub(super) begun: Timestamp,
    pub(super) now: Timestamp,
}

/// What a provider says of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Who it is there, for ever.
    pub(crate) subject: String,
    pub(crate) username: Option<String>,
    /// Where the provider has verified it.
    pub(crate) email: Option<String>,
}

/// Why a token says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Signed with a key that is not among those that are known: there may be new ones.
    #[error("it is signed with a key that the provider does not publish")]
    UnknownKey,
    /// Anything else.
    #[error("{0}")]
    Refused(String),
}

/// What the token says.
///
/// # Errors
/// [`TokenError`].
pub(super) fn verify(
    token: &CoreIdToken,
    keys: &CoreJsonWebKeySet,
    expected: &Expected<'_>,
) -> Result<Said, TokenError> {
    let (now, begun) = (moment(expected.now, 0)?, expected.begun);
    let (latest, earliest) = (moment(expected.now, SKEW_SECS)?, moment(begun, -SKEW_SECS)?);
    let (lenient, last_proof) = (moment(expected.now, -SKEW_SECS)?, moment(begun, -SKEW_SECS - FRESH_SECS)?);
    let within = move |what: &str, at: DateTime<Utc>, earliest: DateTime<Utc>| {
        let fits = (earliest..=latest).contains(&at);
        let told = || format!("{what} is {at}: expected {earliest} to {latest}; our clock says {now}");
        if fits { Ok(()) } else { Err(told()) }
    };
    let verifier = CoreIdTokenVerifier::new_public_client(
        expected.client.clone(),
        expected.issuer.clone(),
        keys.clone(),
    )
    .set_allowed_algs(ALGORITHMS)
    .set_time_fn(move || lenient)
    .set_issue_time_verifier_fn(move |at| within("iat", at, earliest))
    .set_auth_time_verifier_fn(move |at| at.map_or(Ok(()), |at| within("auth_time", at, last_proof)));
    let claims = token.claims(&verifier, expected.nonce).map_err(|error| match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            TokenError::UnknownKey
        }
        ClaimsVerificationError::SignatureVerification(error) => TokenError::Refused(error.to_string()),
        error => TokenError::Refused(error.to_string()),
    })?;
    // The library leaves this one to us (step 5).
    if let Some(party) = claims.authorized_party().filter(|party| *party != expected.client) {
        return Err(TokenError::Refused(format!("azp names another client, {:?}", cut(party))));
    }
    said(claims)
}

fn said(claims: &CoreIdTokenClaims) -> Result<Said, TokenError> {
    let subject = claims.subject().to_string();
    if !(1..=MOST_SUBJECT).contains(&subject.len()) {
        let reason = format!("sub has {} bytes: expected 1 to {MOST_SUBJECT}", subject.len());
        return Err(TokenError::Refused(reason));
    }
    let verified = claims.email_verified() == Some(true);
    Ok(Said {
        subject,
        username: claims.preferred_username().map(|name| name.as_str().to_owned()),
        email: claims.email().filter(|_| verified).map(|email| email.as_str().to_owned()),
    })
}

fn moment(at: Timestamp, secs: i64) -> Result<DateTime<Utc>, TokenError> {
    let moment = DateTime::from_timestamp_micros(at.plus_secs(secs).micros());
    moment.ok_or_else(|| TokenError::Refused("the clock of this machine shows no date".to_owned()))
}

/// What somebody else wrote, short enough for a log.
fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}
