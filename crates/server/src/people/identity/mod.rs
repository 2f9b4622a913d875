//! Signing in with an authority's identity provider: OpenID Connect Core 1.0, the authorization code flow with PKCE (RFC 7636).
//!
//! Guarantees: nothing is asked of a provider but for a sign-in that this node began, in the browser that began it, once; a
//! code goes only to the provider that the sign-in was begun with, because each has its own return address; what a
//! provider answers is bounded ([`wire`]), what it says counts only as a verified token ([`token`]); a provider that does
//! not answer is left alone for [`PAUSE_SECS`].

mod token;
mod who;
mod wire;

pub(crate) use token::{Said, TokenError};
pub(crate) use who::{Unknown, connect, whose};

use super::{
    seal::{DoesNotOpen, Seal},
    waiting::Waiting,
};
use crate::{
    auth::FRESH_SECS,
    client::{SendError, Trust},
    secret,
};
use model::{AuthorityId, PersonId, Timestamp};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, DiscoveryError, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreProviderMetadata,
        CoreTokenResponse,
    },
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{MOST_PROVIDERS, Provider, Recognises};
use token::Expected;
use tokio::sync::Semaphore;
use wire::Wire;

/// How long one answer of a provider may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long everything that is asked for one request may take: less than the request itself.
const PATIENCE_IN_ALL: Duration = Duration::from_secs(20);
/// How long discovery and keys are used, in seconds.
const KEPT_SECS: i64 = 600;
/// How old they have to be before an unknown key has them read again, in seconds.
const AGAIN_SECS: i64 = 10;
/// How long a provider is left alone that could not be read, in seconds.
const PAUSE_SECS: i64 = 5;
/// How much is asked of one provider side by side.
const AT_ONCE: usize = 8;
/// What the secret is sealed for.
const SEALED_FOR: &str = "oidc";
/// The longest issuer, in letters.
const MOST_ISSUER: usize = 512;

/// Everything that signing in with providers remembers.
pub(crate) struct Identities {
    /// Who is at a provider at the moment.
    pub(crate) begun: Waiting<Begun>,
    live: Mutex<HashMap<AuthorityId, Arc<Live>>>,
    url: String,
    version: String,
}

/// A sign-in that is under way.
pub(crate) struct Begun {
    /// With whose provider.
    pub(crate) authority: AuthorityId,
    pub(crate) purpose: Purpose,
    pub(crate) proof: Proof,
}

/// What shows that an answer belongs to a sign-in.
pub(crate) struct Proof {
    /// With which of the provider's settings it was begun.
    changed: Timestamp,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    at: Timestamp,
}

/// What somebody goes to a provider for.
pub(crate) enum Purpose {
    /// To sign in, and go on to this page; the session that this browser had ends with it.
    SignIn { next: String, before: Option<String> },
    /// To connect what they are there with their account here; in this session, which must go on.
    Connect { person: PersonId, session: String },
}

/// Where the browser goes on, and what it keeps meanwhile.
pub(crate) struct Onward {
    pub(crate) url: String,
    pub(crate) state: String,
}

/// Why a provider said nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// It cannot be read, or what it answers is no provider's answer.
    #[error("{0}")]
    Unreadable(String),
    /// It gives nothing for this code.
    #[error("the provider gave no token for the code: {0}")]
    NoToken(String),
    /// What it says does not hold.
    #[error("the provider's token does not hold: {0}")]
    Refused(TokenError),
    /// Too much is asked of it, or it takes too long.
    #[error("the provider is asked for too much at once, or takes too long")]
    Busy,
    /// Its settings were changed since the sign-in began.
    #[error("the settings of the provider were changed meanwhile")]
    Changed,
    /// Its secret was sealed with another key.
    #[error("the provider's secret was sealed with another people.key: set it again")]
    Sealed(#[from] DoesNotOpen),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] secret::NoRandomness),
}

/// What an issuer has to be.
pub(crate) const ISSUER: &str = "an address such as https://login.city.example/realms/city, exactly as the provider names itself: \
    https, without user, query or fragment; http for a provider on this machine only (127.0.0.1, [::1] or localhost)";

/// An issuer, and whether it is on this machine and talked to without TLS.
pub(crate) fn issuer(text: &str) -> Option<(IssuerUrl, bool)> {
    let issuer = IssuerUrl::new(text.to_owned()).ok().filter(|_| text.len() <= MOST_ISSUER)?;
    let url = issuer.url();
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    let here = url.scheme() == "http" && url.host_str().is_some_and(crate::client::is_loopback);
    let fits = plain && (here || url.scheme() == "https" && url.has_host());
    fits.then_some((issuer.clone(), here))
}

/// The id of the credential that binds somebody at a provider to somebody here: also with the same names there, those of
/// two authorities are two.
pub(crate) fn credential_id(provider: &Provider, subject: &str) -> String {
    let parts = [provider.authority.as_str(), &provider.issuer, subject].join("\0");
    format!("crd-{}", secret::hash(parts).chars().take(32).collect::<String>())
}

/// The secret as it is kept.
///
/// # Errors
/// Where the machine gives no randomness.
pub(crate) fn sealed(
    seal: &Seal,
    authority: &AuthorityId,
    secret: &str,
) -> Result<String, secret::NoRandomness> {
    seal.seal(SEALED_FOR, authority.as_str(), secret.as_bytes())
}

/// The certificates of a provider's settings can be read.
///
/// # Errors
/// With what was expected.
pub(crate) fn check_ca(pem: &str) -> Result<(), crate::notify::AddressError> {
    Trust::pem(pem.as_bytes()).map(drop)
}

impl Identities {
    /// For a node at `url`.
    pub(crate) fn new(url: &str, version: &str) -> Self {
        Self {
            begun: Waiting::default(),
            live: Mutex::default(),
            url: url.to_owned(),
            version: version.to_owned(),
        }
    }

    /// Where a provider sends people back to: to be registered there.
    pub(crate) fn return_address(&self, authority: &AuthorityId) -> String {
        format!("{}/sign-in/return/{authority}", self.url)
    }

    /// Reads a provider with these settings, as if somebody were to sign in.
    ///
    /// # Errors
    /// [`IdentityError`] with what was fetched and what was expected.
    pub(crate) async fn try_out(&self, provider: &Provider) -> Result<(), IdentityError> {
        let live = Live::new(provider.clone(), &self.version)?;
        bounded(live.discover()).await.map(drop)
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub(crate) async fn begin(
        &self,
        provider: Provider,
        purpose: Purpose,
        place: IpAddr,
        now: Timestamp,
    ) -> Result<Onward, IdentityError> {
        let live = self.live(provider)?;
        let found = bounded(live.found(now, KEPT_SECS)).await?;
        let (nonce, verifier) = (secret::fresh()?, PkceCodeVerifier::new(secret::fresh()?));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let settings = &live.settings;
        let begun = Begun {
            authority: settings.authority.clone(),
            purpose,
            proof: Proof { changed: settings.changed, nonce: Nonce::new(nonce.clone()), verifier, at: now },
        };
        let state = self.begun.begin(place, begun, now)?;
        let client = CoreClient::from_provider_metadata((*found).clone(), live.client(), None)
            .set_redirect_uri(self.redirect(&settings.authority)?);
        let (told, nonce) = (state.clone(), Nonce::new(nonce));
        let mut request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || CsrfToken::new(told), || nonce)
            .set_pkce_challenge(challenge)
            // Whoever proved it there long ago proves it again: a session here is good for changing credentials.
            .set_max_age(Duration::from_secs(FRESH_SECS.unsigned_abs()));
        request = match settings.recognises {
            Recognises::None => request,
            Recognises::PreferredUsername => request.add_scope(Scope::new("profile".to_owned())),
            Recognises::Email => request.add_scope(Scope::new("email".to_owned())),
        };
        Ok(Onward { url: request.url().0.to_string(), state })
    }

    /// What the provider says of whoever came back with this code.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub(crate) async fn finish(
        &self,
        seal: &Seal,
        provider: Provider,
        proof: Proof,
        code: String,
        now: Timestamp,
    ) -> Result<Said, IdentityError> {
        let Proof { changed, nonce, verifier, at } = proof;
        if changed != provider.changed {
            return Err(IdentityError::Changed);
        }
        let secret = seal.open(SEALED_FOR, provider.authority.as_str(), &provider.secret)?;
        let secret = ClientSecret::new(String::from_utf8_lossy(&secret).into_owned());
        let redirect = self.redirect(&provider.authority)?;
        let live = self.live(provider)?;
        bounded(async {
            let _room = live.room.acquire().await.map_err(|_closed| IdentityError::Busy)?;
            let found = live.found(now, KEPT_SECS).await?;
            let token = live.exchange(&found, secret, redirect, verifier, code).await?;
            let (issuer, client) = (found.issuer(), live.client());
            let expected = Expected { issuer, client: &client, nonce: &nonce, begun: at, now };
            match token::verify(&token, found.jwks(), &expected) {
                // Keys are changed now and then; what is known may be from before.
                Err(TokenError::UnknownKey) => {
                    let found = live.found(now, AGAIN_SECS).await?;
                    token::verify(&token, found.jwks(), &expected).map_err(IdentityError::Refused)
                }
                verified => verified.map_err(IdentityError::Refused),
            }
        })
        .await
    }

    fn redirect(&self, authority: &AuthorityId) -> Result<RedirectUrl, IdentityError> {
        let address = self.return_address(authority);
        RedirectUrl::new(address).map_err(|_| {
            IdentityError::Unreadable(format!("this node's own address, {}, cannot be returned to", self.url))
        })
    }

    /// A provider with what is known of it; anew where its settings were changed.
    fn live(&self, settings: Provider) -> Result<Arc<Live>, IdentityError> {
        let mut all = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = all.get(&settings.authority)
            && live.settings == settings
        {
            return Ok(Arc::clone(live));
        }
        if all.len() >= MOST_PROVIDERS {
            // Some were taken away meanwhile.
            all.clear();
        }
        let live = Arc::new(Live::new(settings.clone(), &self.version)?);
        all.insert(settings.authority, Arc::clone(&live));
        Ok(live)
    }
}

async fn bounded<T>(work: impl Future<Output = Result<T, IdentityError>>) -> Result<T, IdentityError> {
    tokio::time::timeout(PATIENCE_IN_ALL, work).await.unwrap_or(Err(IdentityError::Busy))
}

/// What a provider publishes, or why that could not be read.
type Found = Result<Arc<CoreProviderMetadata>, IdentityError>;

/// A provider and what was read of it.
struct Live {
    settings: Provider,
    issuer: IssuerUrl,
    wire: Wire,
    found: Arc<tokio::sync::Mutex<Option<(Timestamp, Found)>>>,
    room: Semaphore,
}

impl Live {
    fn new(settings: Provider, version: &str) -> Result<Self, IdentityError> {
        let unreadable = |what: String| IdentityError::Unreadable(what);
        let (issuer, here) = issuer(&settings.issuer)
            .ok_or_else(|| unreadable(format!("the issuer cannot be used: expected {ISSUER}")))?;
        let trust = match (here, &settings.ca) {
            (true, _) => None,
            (false, None) => Some(Trust::system()),
            (false, Some(pem)) => Some(Trust::pem(pem.as_bytes())),
        };
        let trust = trust.transpose().map_err(|error| unreadable(error.to_string()))?;
        let wire = Wire { trust, version: version.to_owned(), patience: PATIENCE };
        let (found, room) = (Arc::default(), Semaphore::new(AT_ONCE));
        Ok(Self { settings, issuer, wire, found, room })
    }

    fn client(&self) -> ClientId {
        ClientId::new(self.settings.client.clone())
    }

    /// What the provider publishes, at most `age` seconds old. Whoever asks meanwhile waits for the one who reads.
    async fn found(self: &Arc<Self>, now: Timestamp, age: i64) -> Found {
        let mut found = Arc::clone(&self.found).lock_owned().await;
        if let Some((at, outcome)) = &*found {
            let age = if outcome.is_ok() { age } else { PAUSE_SECS };
            if (0.0..age as f64).contains(&now.seconds_since(*at)) {
                return outcome.clone();
            }
        }
        // Read to its end also where whoever asked hangs up: else strangers could keep it from ever being read.
        let live = Arc::clone(self);
        let read = tokio::spawn(async move {
            let outcome = live.discover().await.map(Arc::new);
            *found = Some((now, outcome.clone()));
            outcome
        });
        read.await.unwrap_or(Err(IdentityError::Busy))
    }

    async fn discover(&self) -> Result<CoreProviderMetadata, IdentityError> {
        let read = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.wire).await;
        let at = format!("{}/.well-known/openid-configuration", self.issuer.as_str().trim_end_matches('/'));
        let unreadable = |what: String| IdentityError::Unreadable(what);
        let found = read.map_err(|error| {
            let what = match error {
                DiscoveryError::Request(error) => format!("cannot be fetched, or the keys it names: {error}"),
                DiscoveryError::Response(_, _, what) => {
                    format!("or the keys it names (jwks_uri): {what}; expected status 200 and application/json")
                }
                DiscoveryError::Parse(error) => format!(
                    "is no discovery document, or the keys it names (jwks_uri) are no key set: {:?} cannot be read, in line {}, column {}",
                    error.path().to_string(),
                    error.inner().line(),
                    error.inner().column()
                ),
                DiscoveryError::Validation(what) => what,
                error => error.to_string(),
            };
            unreadable(format!("{at}: {what}"))
        })?;
        let named = [
            ("authorization_endpoint", Some(found.authorization_endpoint().url())),
            ("token_endpoint", found.token_endpoint().map(|endpoint| endpoint.url())),
        ];
        for (name, address) in named {
            if !address.is_some_and(|address| self.wire.reaches(address)) {
                let shown =
                    address.map_or_else(|| "nothing".to_owned(), |it| crate::client::shown(it.as_str()));
                return Err(unreadable(format!("{at}: {name} is {shown}; {}", wire::EXPECTED)));
            }
        }
        if found.jwks().keys().is_empty() {
            let what = "expected keys of kind RSA, EC (P-256, P-384) or OKP (Ed25519)";
            return Err(unreadable(format!(
                "{at}: the keys it names (jwks_uri) are none that can be used; {what}"
            )));
        }
        Ok(found)
    }

    /// The ID token for a code.
    async fn exchange(
        &self,
        found: &CoreProviderMetadata,
        secret: ClientSecret,
        redirect: RedirectUrl,
        verifier: PkceCodeVerifier,
        code: String,
    ) -> Result<CoreIdToken, IdentityError> {
        let takes = |method: &CoreClientAuthMethod| {
            // What a provider does not say means `client_secret_basic` (Discovery, section 3).
            found.token_endpoint_auth_methods_supported().is_some_and(|methods| methods.contains(method))
        };
        let in_body = takes(&CoreClientAuthMethod::ClientSecretPost)
            && !takes(&CoreClientAuthMethod::ClientSecretBasic);
        let client = CoreClient::from_provider_metadata(found.clone(), self.client(), Some(secret))
            .set_redirect_uri(redirect)
            .set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth });
        let no_token = |why: &dyn std::fmt::Display| {
            let why: String = why.to_string().chars().take(300).collect();
            IdentityError::NoToken(report::visible(&why))
        };
        let request = client.exchange_code(AuthorizationCode::new(code)).map_err(|error| no_token(&error))?;
        let answer: Result<CoreTokenResponse, RequestTokenError<SendError, _>> =
            request.set_pkce_verifier(verifier).request_async(&self.wire).await;
        let answer = answer.map_err(|error| match error {
            RequestTokenError::Request(error) => no_token(&format!("the token endpoint: {error}")),
            RequestTokenError::ServerResponse(error) => no_token(&error),
            RequestTokenError::Parse(error, _) => no_token(&format!("{error}")),
            RequestTokenError::Other(error) => no_token(&error),
        })?;
        // Nothing is asked with it: it is forgotten here.
        let _ = answer.access_token();
        answer.extra_fields().id_token().cloned().ok_or_else(|| no_token(&"the answer holds no id_token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        let check = |text: &str, expected: Option<bool>| {
            assert_eq!(issuer(text).map(|(_, here)| here), expected, "{text}");
        };
        check("https://login.city.example", Some(false));
        check("https://login.city.example/realms/city/", Some(false));
        check("http://127.0.0.1:9400", Some(true));
        check("http://[::1]:9400", Some(true));
        check("http://localhost:9400/x", Some(true));
        for bad in [
            "",
            "login.city.example",
            "http://login.city.example",
            "http://127.0.0.1.evil.example",
            "http://10.0.0.1",
            "https://user@login.city.example",
            "https://:secret@login.city.example",
            "https://login.city.example/?x=1",
            "https://login.city.example/#x",
            "https://login.city.example/a b",
            "https://login.city.example/\n",
            "ftp://login.city.example",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            check(bad, None);
        }
        check(&format!("https://login.city.example/{}", "x".repeat(MOST_ISSUER)), None);
    }

    #[test]
    fn the_same_name_at_two_providers_is_two_people() {
        let provider = |authority: &str, issuer: &str| Provider {
            authority: authority.parse().unwrap(),
            name: String::new(),
            issuer: issuer.to_owned(),
            client: String::new(),
            secret: String::new(),
            ca: None,
            recognises: Recognises::None,
            changed: Timestamp::from_secs(0),
        };
        let ids = [
            credential_id(&provider("north", "https://a.example"), "7"),
            credential_id(&provider("south", "https://a.example"), "7"),
            credential_id(&provider("north", "https://b.example"), "7"),
            credential_id(&provider("north", "https://a.example"), "8"),
            credential_id(&provider("north", "https://a.example7"), ""),
        ];
        let apart: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(apart.len(), ids.len(), "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 36));
    }
}
