//! Enrolment over Secure Transport (RFC 7030, RFC 8951): how devices come to certificates and renew them.
//!
//! Guarantees: nobody gets a certificate without a ground: a one-time token, a maker that is trusted, a person's yes, or the
//! certificate before it; the request is signed by its own key, and where it is bound to a connection, to this one; it gets
//! what its profile and its authority allow, and no name that somebody else has to vouch for. What is refused is said in
//! plain text, for whoever reads it on a terminal.

use super::{Ca, CaError, issuing::Wanted, named_by, peer::Peer};
use crate::{AppState, api::Problem, listen::household, secret, words};
use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, FromRequest, FromRequestParts as _, Path},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::{AuthorityId, Timestamp};
use pki::{Algorithm, Request, Signer as _, SoftwareKey, View};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime},
    server::WebPkiClientVerifier,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use store::{Admission, EnrolmentRecord, EnrolmentState, Maker};

/// Where EST lives.
pub(crate) const PREFIX: &str = "/.well-known/est";
/// How certificates travel.
const CERTIFICATES: &str = "application/pkcs7-mime; smime-type=certs-only";
/// What a token begins with.
pub(crate) const TOKEN: &str = "bst-enrol_";
/// The profile of whoever is let in by a person.
const UNPROVED: &str = "device";
/// When somebody who waits for a person is to ask again, in seconds.
const RETRY_SECS: u32 = 30;
/// The longest name of a device, in letters: what a common name holds.
const MOST_NAME: usize = 64;
/// The longest that somebody who waits may call itself with all names, in letters: what is shown.
const MOST_SUBJECT: usize = 300;

/// The operations, each with and without the label that names an authority.
pub(crate) fn router() -> Router<AppState> {
    let mut router = Router::new();
    for at in [PREFIX.to_owned(), format!("{PREFIX}/{{label}}")] {
        router = router
            .route(&format!("{at}/cacerts"), routing::get(certificates))
            .route(&format!("{at}/csrattrs"), routing::get(attributes))
            .route(&format!("{at}/simpleenroll"), routing::post(enrol))
            .route(&format!("{at}/simplereenroll"), routing::post(renew))
            .route(&format!("{at}/serverkeygen"), routing::post(generate));
    }
    router
}

/// Why an operation did not go well, in plain text.
pub(crate) struct Refusal(Problem);

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut text = format!("{}\n", self.0.detail());
        if let Some(expected) = self.0.what_was_expected() {
            text.push_str(&format!("expected: {expected}\n"));
        }
        let mut response =
            (self.0.status(), [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
        if self.0.status() == StatusCode::UNAUTHORIZED {
            let realm = header::HeaderValue::from_static("Basic realm=\"bastide enrolment\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

/// What an operation is asked with.
struct Asked {
    /// The state in the name of the authority that is asked, which the label names.
    state: AppState,
    peer: Peer,
    place: SocketAddr,
    headers: HeaderMap,
    body: Bytes,
}

impl FromRequest<AppState> for Asked {
    type Rejection = Response;

    async fn from_request(request: axum::extract::Request, state: &AppState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let label = Option::<Path<String>>::from_request_parts(&mut parts, state).await;
        let label = label.map_err(IntoResponse::into_response)?;
        let place = ConnectInfo::<SocketAddr>::from_request_parts(&mut parts, state).await;
        let ConnectInfo(place) = place.map_err(IntoResponse::into_response)?;
        let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_default();
        let headers = parts.headers.clone();
        let body = Bytes::from_request(axum::extract::Request::from_parts(parts, body), state).await;
        let body = body.map_err(IntoResponse::into_response)?;
        let authority = match label {
            None => state.authority().clone(),
            Some(Path(label)) => {
                named(state, &label).await.map_err(|problem| Refusal(problem).into_response())?
            }
        };
        Ok(Self { state: state.in_name_of(&authority), peer, place, headers, body })
    }
}

/// The authority that a label names.
async fn named(state: &AppState, label: &str) -> Result<AuthorityId, Problem> {
    let unknown = || Problem::not_found("authority that enrols", label);
    let id: AuthorityId = label.parse().map_err(|_| unknown())?;
    match state.repository().tree().await?.get(&id) {
        Some(_) => Ok(id),
        None => Err(unknown()),
    }
}

/// The certificates to trust and those of the authority's issuer.
async fn certificates(asked: Asked) -> Result<Response, Refusal> {
    let issuer = asked.state.ca().of(&asked.state, asked.state.repository().authority()).await?;
    let roots = asked.state.repository().roots().await?;
    let all = roots.iter().map(|root| root.certificate.as_slice()).chain(issuer.chain());
    Ok(encoded(CERTIFICATES, &pki::certificates_only(all).map_err(CaError::from)?))
}

/// What a request is to hold.
async fn attributes() -> Result<Response, Refusal> {
    let attributes = pki::attributes().map_err(pki::IssueError::from).map_err(CaError::from)?;
    Ok(encoded("application/csrattrs", &attributes))
}

async fn enrol(asked: Asked) -> Result<Response, Refusal> {
    let request = asked.request()?;
    let ground = match asked.ground(&request).await? {
        None => asked.let_wait(&request).await?,
        some => some,
    };
    let Some(admitted) = ground else { return Ok(wait()) };
    Ok(encoded(CERTIFICATES, &asked.certify(&request, request.key(), admitted).await?))
}

async fn renew(asked: Asked) -> Result<Response, Refusal> {
    let request = asked.request()?;
    let Some(admitted) = asked.renewal(&request).await? else {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "no certificate of this node was shown in TLS");
        return Err(problem
            .expected("the certificate that is to be renewed (curl --cert FILE --key FILE)")
            .into());
    };
    Ok(encoded(CERTIFICATES, &asked.certify(&request, request.key(), admitted).await?))
}

/// A key that is made here for a device that cannot make one, where its profile allows that.
async fn generate(asked: Asked) -> Result<Response, Refusal> {
    let request = asked.request()?;
    let Some(admitted) = asked.ground(&request).await? else {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "a key is made for nobody who proves nothing");
        return Err(problem.expected("a one-time token as the password (curl -u NAME:TOKEN)").into());
    };
    let allowed =
        asked.ca().settings().profiles.get(&admitted.profile).is_some_and(|profile| profile.server_keygen);
    if !allowed {
        let detail = format!(
            "no keys are made here for the profile `{}`: a key is best known to its device alone",
            admitted.profile
        );
        let problem = Problem::new(StatusCode::FORBIDDEN, detail);
        return Err(problem
            .expected("simpleenroll, or `server_keygen = true` in the profile's settings")
            .into());
    }
    let pkcs8 = SoftwareKey::generate(Algorithm::P256).map_err(CaError::from)?;
    let key = SoftwareKey::read(&pkcs8).map_err(CaError::from)?;
    let certificates = asked.certify(&request, key.public_key(), admitted).await?;
    let boundary = format!("bastide-{}", secret::hash(&certificates).chars().take(24).collect::<String>());
    let part = |kind: &str, der: &[u8]| {
        format!(
            "--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            STANDARD.encode(der)
        )
    };
    let text = format!(
        "{}{}--{boundary}--\r\n",
        part("application/pkcs8", &pkcs8),
        part(CERTIFICATES, &certificates)
    );
    Ok(([(header::CONTENT_TYPE, format!("multipart/mixed; boundary={boundary}"))], text).into_response())
}

/// Somebody who is let in, and as what.
struct Admitted {
    on: Admission,
    profile: String,
    /// The asset that it is, where that is known; else it is made of the key.
    asset: Option<String>,
    /// What it is called; what it calls itself where nothing is said.
    name: Option<String>,
    /// The names that it may have; those of its profile and authority where nothing is said.
    names: Option<Vec<pki::SubjectName>>,
}

impl Asked {
    fn ca(&self) -> &Ca {
        self.state.ca()
    }

    /// The request in a body: base64, or DER as it is.
    fn request(&self) -> Result<Request, Problem> {
        let kind =
            self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/pkcs10"))
        {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is to be a certificate signing request",
            )
            .expected("Content-Type: application/pkcs10, and the request (PKCS #10, DER) in base64"));
        }
        let der = decoded(&self.body).ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "the body is not base64")
                .expected("the request (PKCS #10, DER) in base64: openssl req -new -outform DER … | base64")
        })?;
        let request = Request::from_der(&der)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        self.bound(&request)?;
        Ok(request)
    }

    /// A challenge password that is no token binds the request to the connection (RFC 7030, 3.5, with RFC 9266).
    fn bound(&self, request: &Request) -> Result<(), Problem> {
        let Some(challenge) = request.challenge().filter(|challenge| !challenge.starts_with(TOKEN)) else {
            return Ok(());
        };
        let here = self.peer.binding().map(|binding| STANDARD.encode(binding));
        if here.as_deref() == Some(challenge) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the request is bound to another connection: its challenge password is neither a token nor the channel binding \
             of this connection",
        )
        .expected("tls-exporter (RFC 9266) in base64, a token, or no challenge password"))
    }

    /// On what ground somebody is let in at once.
    async fn ground(&self, request: &Request) -> Result<Option<Admitted>, Problem> {
        let token = password(&self.headers)?
            .or_else(|| request.challenge().map(str::to_owned).filter(|text| text.starts_with(TOKEN)));
        if let Some(token) = token {
            return self.by_token(&token).await.map(Some);
        }
        if let Some(admitted) = self.renewal(request).await? {
            return Ok(Some(admitted));
        }
        self.by_maker().await
    }

    async fn by_token(&self, token: &str) -> Result<Admitted, Problem> {
        let wrong = |detail: &str| {
            Problem::new(StatusCode::UNAUTHORIZED, detail)
                .expected("a token that was made for this authority's devices")
        };
        let hash = secret::hash(token.trim());
        let known = self.state.repository().enrolment_token(&hash).await?;
        let known = known.filter(|known| known.authority == *self.state.repository().authority());
        let known = known.ok_or_else(|| wrong("this is no token that lets a device in here"))?;
        if self.state.now() >= known.expires {
            return Err(wrong(&format!("this token ended at {}", known.expires)));
        }
        // One that was used is no good for another key, which the transaction finds out.
        Ok(Admitted {
            on: Admission::Token(hash),
            profile: known.profile,
            asset: known.asset,
            name: Some(known.name).filter(|name| !name.is_empty()),
            names: None,
        })
    }

    /// By the certificate before it, which is good.
    async fn renewal(&self, request: &Request) -> Result<Option<Admitted>, Problem> {
        let Some(known) = self.peer.known(&self.state).await? else { return Ok(None) };
        let Some(asset) =
            known.asset.clone().filter(|_| known.authority == *self.state.repository().authority())
        else {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the certificate that was shown is no device's of this authority",
            ));
        };
        let before = View::of(&known.body).map_err(CaError::from)?;
        if let Some(new) = request.names().iter().find(|name| !before.names.contains(name)) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("a renewal adds no names, and {new} is new"),
            )
            .expected("the names of the certificate that was shown, or a token for new ones"));
        }
        Ok(Some(Admitted {
            on: Admission::Renewal(known.fingerprint),
            profile: known.profile,
            asset: Some(asset),
            name: before.common_name,
            names: Some(before.names),
        }))
    }

    /// By the certificate that its maker gave it (IDevID, IEEE 802.1AR).
    async fn by_maker(&self) -> Result<Option<Admitted>, Problem> {
        let Some((certificate, between)) = self.peer.chain() else { return Ok(None) };
        let makers = self.state.repository().makers().await?;
        let maker = vouching(&makers, certificate, between, self.state.now())?;
        let view = View::of(certificate).map_err(CaError::from)?;
        let device = view.key.as_ref().ok().and_then(|key| named_by(key).ok()).ok_or_else(|| {
            Problem::new(
                StatusCode::FORBIDDEN,
                "the key of the maker's certificate is of a kind that is not taken",
            )
        })?;
        Ok(Some(Admitted {
            on: Admission::Maker(maker.id.clone()),
            profile: maker.profile.clone(),
            // The device stays what it is, whatever key it makes.
            asset: Some(asset_of(&device)),
            name: view.common_name.or(view.serial_number),
            names: None,
        }))
    }

    /// Whoever proves nothing waits for a person; nothing until one said yes.
    async fn let_wait(&self, request: &Request) -> Result<Option<Admitted>, Problem> {
        let key = named_by(request.key())?;
        let der = decoded(&self.body).unwrap_or_default();
        let called = name_of(request).unwrap_or_else(|| asset_of(&key));
        let names: Vec<String> = request.names().iter().map(ToString::to_string).collect();
        let subject = if names.is_empty() { called } else { format!("{called} ({})", names.join(", ")) };
        // Whoever says yes says it to every name.
        if subject.chars().count() > MOST_SUBJECT || report::visible(&subject) != subject {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "a person cannot be shown all the names that this asks for",
            )
            .expected(format!(
                "at most {MOST_SUBJECT} letters of names, or a one-time token (curl -u NAME:TOKEN)"
            )));
        }
        let now = self.state.now();
        // The same key that asks for the same is the same, however often it signs.
        let id: String = secret::hash(format!("{key} {subject}")).chars().take(32).collect();
        let new = EnrolmentRecord {
            id: id.clone(),
            authority: self.state.repository().authority().clone(),
            subject,
            profile: UNPROVED.to_owned(),
            key,
            place: household(self.place.ip()).to_string(),
            asked: now,
            seen: now,
            state: EnrolmentState::Waiting,
            body: der,
        };
        match self.state.repository().ask_for_enrolment(&new).await? {
            Some(EnrolmentState::Waiting) => Ok(None),
            Some(EnrolmentState::Approved | EnrolmentState::Issued) => Ok(Some(Admitted {
                on: Admission::Approval(id),
                profile: new.profile,
                asset: None,
                name: None,
                names: None,
            })),
            Some(EnrolmentState::Refused) => {
                Err(Problem::new(StatusCode::FORBIDDEN, "somebody looked at this request and refused it"))
            }
            None => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many wait for a person already")
                .expected("to ask again later, or a one-time token as the password (curl -u NAME:TOKEN)")),
        }
    }

    /// The certificate, as EST carries it.
    async fn certify(
        &self,
        request: &Request,
        key: &pki::PublicKey,
        admitted: Admitted,
    ) -> Result<Vec<u8>, Problem> {
        let Admitted { on, profile: called, asset, name, names } = admitted;
        let profile = self.ca().settings().profiles.get(&called).ok_or_else(|| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the profile `{called}` is not in the settings any more"),
            )
        })?;
        let key_name = named_by(key)?;
        let asset = asset.unwrap_or_else(|| asset_of(&key_name));
        let name = name.or_else(|| name_of(request)).unwrap_or_else(|| asset.clone());
        let wanted = Wanted {
            asset: Some(&asset),
            name: &name,
            key,
            names: names.as_deref().unwrap_or(request.names()),
            profile: (&called, profile),
        };
        let der = self.ca().issue(&self.state, &wanted, on).await?.der;
        Ok(pki::certificates_only([der.as_slice()]).map_err(CaError::from)?)
    }
}

/// The maker that issued a certificate.
fn vouching<'a>(
    makers: &'a [Maker],
    certificate: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<&'a Maker, Problem> {
    let refused = |detail: String| {
        Problem::new(StatusCode::FORBIDDEN, detail).expected(
            "a certificate of this node, that of a maker which is trusted here, or a one-time token",
        )
    };
    let mut over = None;
    for maker in makers {
        let is_now = View::of(&maker.body).is_ok_and(|view| view.begins <= now && now < view.ends);
        if !issued_by(maker, certificate, between, now) {
            continue;
        }
        if is_now {
            return Ok(maker);
        }
        over = Some(maker);
    }
    Err(match over {
        Some(maker) => refused(format!("the certificate of the maker {:?} itself has ended", maker.name)),
        None => refused("the certificate that was shown was issued by nobody who is trusted here".to_owned()),
    })
}

fn issued_by(
    maker: &Maker,
    certificate: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    now: Timestamp,
) -> bool {
    let mut roots = RootCertStore::empty();
    if roots.add(CertificateDer::from(maker.body.clone())).is_err() {
        return false;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let Ok(verifier) = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let secs = u64::try_from(now.micros().div_euclid(1_000_000)).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(secs));
    verifier.verify_client_cert(certificate, between, now).is_ok()
}

/// The password of HTTP Basic; nothing where none is sent.
fn password(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(sent) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let wrong = || {
        Problem::new(StatusCode::UNAUTHORIZED, "what is sent to authorise this cannot be read")
            .expected("a one-time token as the password of HTTP Basic (curl -u NAME:TOKEN)")
    };
    let (scheme, rest) = sent.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(wrong)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(wrong());
    }
    let pair = STANDARD
        .decode(rest.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(wrong)?;
    pair.split_once(':').map(|(_, password)| Some(password.to_owned())).ok_or_else(wrong)
}

/// What a body holds: base64 with whatever breaks its lines, or DER as it is.
fn decoded(body: &[u8]) -> Option<Vec<u8>> {
    if body.first() == Some(&0x30) {
        return Some(body.to_vec());
    }
    let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok().filter(|der| !der.is_empty())
}

/// What a device calls itself, where others can read that.
fn name_of(request: &Request) -> Option<String> {
    let named = request.common_name().or_else(|| request.serial_number())?;
    words::line(&named, MOST_NAME).ok()
}

/// The asset whose identity begins with this key.
fn asset_of(key: &str) -> String {
    format!("dev-{}", key.chars().take(24).collect::<String>())
}

/// In base64 (RFC 8951: whatever is said of its encoding, it is this).
fn encoded(kind: &'static str, der: &[u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::HeaderName::from_static("content-transfer-encoding"), "base64"),
    ];
    let mut text = STANDARD.encode(der);
    text.push('\n');
    (headers, text).into_response()
}

fn wait() -> Response {
    let text = format!(
        "a person has to let this device in; the same request, asked again in {RETRY_SECS} s or later, gets the certificate\n"
    );
    let headers = [
        (header::RETRY_AFTER, RETRY_SECS.to_string()),
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".into()),
    ];
    (StatusCode::ACCEPTED, headers, text).into_response()
}
