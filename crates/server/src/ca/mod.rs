//! The certificate authorities of this node: one for each authority that lets devices in, all under one root.
//!
//! Guarantees: an issuer comes to be when it is first needed and is replaced long before it ends, or when its bounds grow; what
//! it issued before stays good, and its list goes on. A private key lies in the database under a passphrase that does not, or on
//! a token. A certificate leaves this machine only after it is kept and its leaf is written.

mod est;
mod foreign;
mod issuing;
mod key;
mod keys;
pub mod offline;
mod outlook;
pub mod peer;
mod root;
mod settings;
mod signing;
mod standing;
mod status;

pub(crate) use est::{PREFIX as EST, Refusal, TOKEN};
pub(crate) use issuing::Wanted;
pub use key::PassphraseError;
pub(crate) use outlook::{ToDo, to_do};
pub use settings::Settings;
pub(crate) use standing::{Act, REASONS, let_stand};
pub use status::look_after;
pub(crate) use status::{CERTIFICATE, LIST, OCSP, OCSP_GET};

use crate::{AppState, Node, api::Problem, auth::salts, people::StartError, secret};
use axum::{Router, http::StatusCode};
use ledger::{Deed, Subject};
use model::{AuthorityId, Timestamp};
use pki::{
    Addresses, Algorithm, Bounds, IssueError, Issued, Issuer, NewAuthority, PublicKey, Responder, Serial,
    Signer, SoftwareKey,
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use store::{Actor, Decided, IssuerKey, IssuerRecord, IssuerState, NewCertificate, StoreError};

const DAY: i64 = 86_400;
/// How long a root is good.
const ROOT_DAYS: i64 = 20 * 365;
/// How long an authority's issuer is good.
const ISSUER_DAYS: i64 = 5 * 365;
/// How long an OCSP responder is good, and when it is made anew.
const RESPONDER_DAYS: i64 = 30;
/// What is left of an issuer when the next one comes: what it issues is good for as long as its profile says.
const RENEW_DAYS: i64 = 430;
/// The most issuers above one another.
const MOST_ABOVE: usize = 8;
/// How long a new root is known before it issues: who renews meanwhile learns of it.
const KNOWN_DAYS: i64 = 365;

/// What issues certificates and says how they stand.
pub(crate) struct Ca {
    settings: Settings,
    keys: keys::Keys,
    /// The names of the node itself, which its own issuer has to cover.
    own: RwLock<Bounds>,
    /// Those that were read, by their id.
    working: RwLock<HashMap<String, Arc<Working>>>,
    /// Held while an issuer is made: two would be one too many.
    making: tokio::sync::Mutex<()>,
    /// Tells that another issuer was taken in.
    pub(crate) changed: tokio::sync::Notify,
    /// What signs what agents are told, where anything was.
    signing: RwLock<Option<Arc<signing::Signing>>>,
    pub(crate) status: status::Told,
    pub(crate) sessions: peer::Sessions,
}

/// An issuer at work.
pub(crate) struct Working {
    pub(crate) record: IssuerRecord,
    pub(crate) issuer: Issuer,
    /// Those above it, the root last; none of a root.
    above: Vec<IssuerRecord>,
    responder: Responder,
    responder_ends: Timestamp,
}

impl Working {
    /// Its certificate and those above it but for the root, as they are shown along with what it issued.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &[u8]> {
        let between = self.above.iter().filter(|above| above.parent.is_some());
        std::iter::once(self.issuer.der()).chain(between.map(|above| above.certificate.as_slice()))
    }
}

/// Why nothing is issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaError {
    /// The key of an issuer is elsewhere.
    #[error(
        "the private key of {0} is not on this node: bring it back (bastide ca import-root), or have the issuer certified \
         where it is (bastide ca request, sign-issuer, import)"
    )]
    Away(String),
    /// Somebody else certified it, and it is over.
    #[error(
        "{0}, which was taken in, ended on {1}: have the next one certified (bastide ca request) and take it in (bastide ca \
         import)"
    )]
    Over(String, Timestamp),
    /// It cannot be made or used.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Its key does not open.
    #[error("the key of {issuer} cannot be used: {error}")]
    Key {
        /// Whose.
        issuer: String,
        /// Why.
        error: pki::SignError,
    },
    /// What is kept of it cannot be had.
    #[error("the database is away")]
    Kept(#[source] StoreError),
    /// What is kept of it is not what was written.
    #[error("what is kept of {0} cannot be read")]
    Unreadable(String),
}

impl From<pki::SignError> for CaError {
    fn from(error: pki::SignError) -> Self {
        Self::Issue(error.into())
    }
}

impl From<StoreError> for CaError {
    fn from(error: StoreError) -> Self {
        Self::Kept(error)
    }
}

impl From<CaError> for Problem {
    fn from(error: CaError) -> Self {
        tracing::error!(%error, "no certificate can be issued");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

/// What everybody may ask: enrolment, revocation lists, OCSP.
pub(crate) fn router() -> Router<AppState> {
    est::router().merge(status::router())
}

/// The part of it that answers about certificates.
pub(crate) fn status_router() -> Router<AppState> {
    status::router()
}

impl Ca {
    pub(crate) fn open(node: &Node) -> Result<Self, StartError> {
        let mut settings = node.certificates.clone();
        if settings.addresses.is_empty() {
            settings.addresses.push(settings.listened_at(&node.url));
        }
        Ok(Self {
            keys: keys::Keys::new(key::Passphrase::at(&node.data_dir)?, settings.keys.clone()),
            settings,
            own: RwLock::default(),
            working: RwLock::default(),
            making: tokio::sync::Mutex::default(),
            changed: tokio::sync::Notify::default(),
            signing: RwLock::default(),
            status: status::Told::default(),
            sessions: peer::Sessions::default(),
        })
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Says what names the node's own certificate holds.
    pub(crate) fn cover_own(&self, names: &Bounds) {
        names.clone_into(&mut self.own.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// What assets of an authority may be named: the node's own all that is set; another the domain of its id in each domain
    /// that is set, and no addresses.
    fn bounds_of(&self, state: &AppState, authority: &AuthorityId) -> Bounds {
        let set = self.settings.bounds();
        if authority == state.authority() {
            return set;
        }
        let domains = set.domains.iter().map(|domain| format!("{authority}.{domain}"));
        Bounds { domains: domains.collect(), networks: Vec::new() }
    }

    /// What the issuer of an authority has to cover.
    fn needed(&self, state: &AppState, authority: &AuthorityId) -> Bounds {
        let set = self.bounds_of(state, authority);
        if authority != state.authority() {
            return set;
        }
        set.and(&self.own.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// An issuer by its id, whosever it is; nothing where its key is away.
    pub(crate) async fn by_id(&self, state: &AppState, id: &str) -> Result<Option<Arc<Working>>, Problem> {
        if let Some(known) = self.known(id, state.now()) {
            return Ok(Some(known));
        }
        match state.repository().issuer(id).await? {
            Some(record) if record.key != IssuerKey::Away => Ok(Some(self.put_to_work(state, record).await?)),
            _ => Ok(None),
        }
    }

    /// The issuer of a record.
    async fn at_work(&self, state: &AppState, record: IssuerRecord) -> Result<Arc<Working>, CaError> {
        match self.known(&record.id, state.now()) {
            Some(known) => Ok(known),
            None => self.put_to_work(state, record).await,
        }
    }

    /// Those above an issuer, the root last.
    async fn above(&self, state: &AppState, of: &IssuerRecord) -> Result<Vec<IssuerRecord>, StoreError> {
        let (mut above, mut next) = (Vec::<IssuerRecord>::new(), of.parent.clone());
        while let Some(id) = next.filter(|_| above.len() < MOST_ABOVE) {
            let Some(record) = state.repository().issuer(&id).await? else { break };
            next = record.parent.clone();
            above.push(record);
        }
        Ok(above)
    }

    /// Whether somebody else certified an issuer.
    async fn is_foreign(&self, state: &AppState, of: &IssuerRecord) -> Result<bool, StoreError> {
        let Some(parent) = &of.parent else { return Ok(false) };
        let parent = state.repository().issuer(parent).await?;
        Ok(parent.is_some_and(|parent| parent.state == IssuerState::Foreign))
    }

    fn known(&self, id: &str, now: Timestamp) -> Option<Arc<Working>> {
        let working = self.working.read().unwrap_or_else(PoisonError::into_inner);
        // A responder is made anew in time, but for that of an issuer which ends itself.
        let lasts = |known: &Working| {
            known.responder_ends >= known.record.ends
                || now.plus_secs(RESPONDER_DAYS / 2 * DAY) < known.responder_ends
        };
        let known = working.get(id).filter(|known| lasts(known));
        known.cloned()
    }

    async fn put_to_work(&self, state: &AppState, record: IssuerRecord) -> Result<Arc<Working>, CaError> {
        let above = self.above(state, &record).await?;
        let signer = self.keys.open(&record)?;
        let bounds =
            serde_json::from_str(&record.bounds).map_err(|_| CaError::Unreadable(record.name.clone()))?;
        let addresses = self.addresses(&record.id);
        let issuer = Issuer::new(&record.certificate, signer, bounds, addresses)?
            .below(above.iter().map(|above| above.certificate.as_slice()))?;
        let (responder, responder_ends) = responder(&issuer, self.settings.algorithm, state.now())?;
        let working = Arc::new(Working { record, issuer, above, responder, responder_ends });
        self.working
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(working.record.id.clone(), Arc::clone(&working));
        Ok(working)
    }

    /// Where an issuer's lists and answers are found.
    fn addresses(&self, id: &str) -> Addresses {
        let at = |what: &str| self.settings.addresses.iter().map(|base| format!("{base}/{what}")).collect();
        Addresses {
            crl: at(&format!("crl/{id}.crl")),
            delta: at(&format!("crl/{id}-delta.crl")),
            ocsp: at(&format!("ocsp/{id}")),
            issuer: at(&format!("ca/{id}.cer")),
        }
    }

    /// The issuer of an authority; made where there is none, or none that covers what has to be named and is good for long
    /// enough.
    pub(crate) async fn of(
        &self,
        state: &AppState,
        authority: &AuthorityId,
    ) -> Result<Arc<Working>, Problem> {
        let state = &state.in_name_of(authority);
        let needed = self.needed(state, authority);
        if let Some(working) = self.fitting(state, &needed).await? {
            return Ok(working);
        }
        let _turn = self.making.lock().await;
        // Another server may be as quick: then its is taken.
        for _ in 0..4 {
            if let Some(working) = self.fitting(state, &needed).await? {
                return Ok(working);
            }
            let before = state.repository().issuer_in(IssuerState::Active).await?;
            if let Some(over) = &before
                && self.is_foreign(state, over).await?
            {
                return Err(CaError::Over(over.name.clone(), over.ends).into());
            }
            let root = match (self.at_work(state, self.issuing_root(state).await?).await, &before) {
                (Ok(root), _) => root,
                // The root is away: the issuer that there is goes on with what it covers for as long as it is good.
                (Err(error), Some(before)) if state.now() < before.ends => {
                    tracing::warn!(%error, issuer = before.name, "this issuer cannot be replaced");
                    return Ok(self.at_work(state, before.clone()).await?);
                }
                (Err(error), _) => return Err(error.into()),
            };
            let bounds: Bounds = before
                .as_ref()
                .and_then(|record| serde_json::from_str(&record.bounds).ok())
                .unwrap_or_else(Bounds::default)
                .and(&needed);
            let kept = self.keys.make(self.settings.algorithm).map_err(CaError::from)?;
            let new = NewAuthority {
                organization: &self.settings.organization,
                unit: authority.as_str(),
                bounds: &bounds,
                days: ISSUER_DAYS,
            };
            let issued = root
                .issuer
                .authority(&new, kept.signer.public_key(), serial()?, state.now())
                .map_err(CaError::from)?;
            let made = Made {
                issued,
                key: kept.key,
                parent: Some(&root.record.id),
                bounds: &bounds,
                state: IssuerState::Active,
            };
            self.keep(state, made, before.map(|record| record.id)).await?;
        }
        Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "another server makes the issuer at this moment; try again",
        ))
    }

    /// The root that whoever is let in now is to trust: its hash begins a token, so that a device needs nothing else. The
    /// next one is made as soon as this one's end can be seen.
    pub(crate) async fn trusted(&self, state: &AppState) -> Result<IssuerRecord, Problem> {
        let _turn = self.making.lock().await;
        let own = &state.in_name_of(state.authority());
        // The node's own certificate, with which it meets who is let in, comes from this one.
        if let Some(active) = own.repository().issuer_in(IssuerState::Active).await?
            && let Some(top) = self.above(own, &active).await?.pop()
            && top.state == IssuerState::Foreign
        {
            return Ok(top);
        }
        self.issuing_root(own).await
    }

    async fn fitting(&self, state: &AppState, needed: &Bounds) -> Result<Option<Arc<Working>>, Problem> {
        let Some(record) = state.repository().issuer_in(IssuerState::Active).await? else { return Ok(None) };
        let bounds: Option<Bounds> = serde_json::from_str(&record.bounds).ok();
        let fits = bounds.is_some_and(|bounds| bounds.cover(needed))
            && state.now().plus_secs(RENEW_DAYS * DAY) < record.ends;
        // One that somebody else certified stays as long as it is good: what it may name is theirs to say.
        if !(fits || state.now() < record.ends && self.is_foreign(state, &record).await?) {
            return Ok(None);
        }
        Ok(Some(self.at_work(state, record).await?))
    }

    /// The root that issues now. The next one comes while the one before it is good for long, is known for a while, and only
    /// then issues.
    async fn issuing_root(&self, state: &AppState) -> Result<IssuerRecord, Problem> {
        let now = state.now();
        let enough = (ISSUER_DAYS + RENEW_DAYS) * DAY;
        let mut roots = self.own_roots(state).await?;
        let latest = roots.first();
        // The next one is not made here while the key of this one is kept elsewhere: that is for people to say.
        if latest.is_none_or(|root| {
            root.key != IssuerKey::Away && now.plus_secs(enough + KNOWN_DAYS * DAY) >= root.ends
        }) {
            let kept = self.keys.make(self.settings.algorithm).map_err(CaError::from)?;
            let issued = Issuer::root(&self.settings.organization, &*kept.signer, serial()?, now, ROOT_DAYS)
                .map_err(CaError::from)?;
            let bounds = Bounds::default();
            let made =
                Made { issued, key: kept.key, parent: None, bounds: &bounds, state: IssuerState::Root };
            self.keep(
                state,
                made,
                latest.filter(|root| root.state == IssuerState::Root).map(|root| root.id.clone()),
            )
            .await?;
            roots = self.own_roots(state).await?;
        }
        let known = |root: &&IssuerRecord| root.begins.plus_secs(KNOWN_DAYS * DAY) <= now;
        let lasting = |root: &&IssuerRecord| now.plus_secs(ISSUER_DAYS * DAY) < root.ends;
        let chosen = roots.iter().filter(lasting).find(known).or(roots.first()).cloned();
        Ok(chosen.ok_or_else(|| CaError::Unreadable("the root".into()))?)
    }

    /// The roots that are ours, the latest first.
    async fn own_roots(&self, state: &AppState) -> Result<Vec<IssuerRecord>, StoreError> {
        let mut roots = state.repository().roots().await?;
        roots.retain(|root| root.state != IssuerState::Foreign);
        roots.sort_by_key(|root| std::cmp::Reverse(root.begins));
        Ok(roots)
    }

    /// Keeps an issuer that was made. Where another was made in the meantime, this one is forgotten.
    async fn keep(
        &self,
        state: &AppState,
        made: Made<'_>,
        instead_of: Option<String>,
    ) -> Result<(), Problem> {
        let Made { issued, key, parent, bounds, state: standing } = made;
        let view = pki::View::of(&issued.der).map_err(CaError::from)?;
        let id: String = secret::hash(&issued.der).chars().take(32).collect();
        let record = IssuerRecord {
            id: id.clone(),
            authority: state.repository().authority().clone(),
            parent: parent.map(str::to_owned),
            name: view.subject.clone(),
            key,
            bounds: serde_json::to_string(bounds).unwrap_or_default(),
            begins: issued.from,
            ends: issued.to,
            state: standing,
            // The first list, which is empty, is number 1: deltas build on it.
            number: 2,
            base: 1,
            changed: state.now(),
            certificate: issued.der.clone(),
        };
        let certificate = match parent {
            Some(parent) => Some(new_certificate(&issued, parent, None, "authority", &view)?),
            None => None,
        };
        let about = Subject::new("issuer", &id).into_iter().collect();
        let decided = program(state, Deed::IssuerChanged, about, Some(format!("made: {}", view.subject)))?;
        if !state.repository().add_issuer(&record, instead_of.as_deref(), certificate, decided).await? {
            self.keys.forget(&record.key);
        }
        Ok(())
    }
}

/// An issuer that was made and is not kept yet.
struct Made<'a> {
    issued: Issued,
    key: IssuerKey,
    parent: Option<&'a str>,
    bounds: &'a Bounds,
    state: IssuerState,
}

/// A certificate as it is to be kept.
fn new_certificate(
    issued: &Issued,
    issuer: &str,
    asset: Option<(&str, &str)>,
    profile: &str,
    view: &pki::View,
) -> Result<NewCertificate, Problem> {
    let unreadable = || Problem::from(CaError::Unreadable("what was issued".into()));
    let key = view.key.as_ref().map_err(|_| unreadable())?;
    Ok(NewCertificate {
        issuer: issuer.to_owned(),
        serial: issued.serial.to_string(),
        asset: asset.map(|(id, _)| id.to_owned()),
        name: asset.map(|(_, name)| name.to_owned()).unwrap_or_default(),
        subject: view.subject.clone(),
        profile: profile.to_owned(),
        names: view.names.iter().map(ToString::to_string).collect(),
        key: named_by(key)?,
        fingerprint: secret::hash(&issued.der),
        begins: issued.from,
        ends: issued.to,
        body: issued.der.clone(),
    })
}

/// What a public key is called wherever it is kept or shown: SHA-256 of it, in hexadecimal.
fn named_by(key: &PublicKey) -> Result<String, CaError> {
    Ok(secret::hex(&key.fingerprint().map_err(IssueError::from)?))
}

/// A decision of the program by its settings.
fn program(
    state: &AppState,
    deed: Deed,
    about: Vec<Subject>,
    details: Option<String>,
) -> Result<Decided, Problem> {
    Ok(Decided { at: state.now(), who: Actor::Program, deed, about, details, salts: salts()? })
}

fn serial() -> Result<Serial, secret::NoRandomness> {
    Ok(Serial::from_random(secret::random()?))
}

/// Whoever answers OCSP for an issuer: a key of this process alone.
fn responder(
    issuer: &Issuer,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<(Responder, Timestamp), CaError> {
    let key = SoftwareKey::read(&SoftwareKey::generate(algorithm)?)?;
    let random = secret::random().map_err(|_| pki::SignError::Refused("no randomness".into()))?;
    let issued = issuer.responder(key.public_key(), Serial::from_random(random), now, RESPONDER_DAYS)?;
    Ok((Responder::new(issuer, &issued.der, Arc::new(key))?, issued.to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls;
    use model::AuthorityId;
    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
        server::WebPkiClientVerifier,
    };
    use std::{
        sync::atomic::{AtomicI64, Ordering},
        time::Duration,
    };
    use store::Admission;

    fn trusting(roots: &[IssuerRecord]) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        roots.iter().for_each(|root| store.add(CertificateDer::from(root.certificate.clone())).unwrap());
        Arc::new(store)
    }

    /// Forty years in steps of sixty days: whoever trusts what was known at the step before goes on trusting.
    #[tokio::test]
    async fn everything_renews_itself_for_three_generations_without_a_gap() {
        let data = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let given = Arc::clone(&clock);
        let state = AppState::bare(data.path())
            .await
            .with_clock(Arc::new(move || Timestamp::from_secs(given.load(Ordering::Relaxed))));
        let (dir, ca) = (data.path().join("tls"), state.ca());
        let profile = ca.settings().profiles.get("device").unwrap().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (mut known, mut before): (Vec<IssuerRecord>, Option<String>) = (Vec::new(), None);
        for step in 0..245 {
            let now = state.now();
            let secs = u64::try_from(now.micros() / 1_000_000).unwrap();
            let moment = UnixTime::since_unix_epoch(Duration::from_secs(secs));
            tls::open(&state, &dir, &[], &[]).await.unwrap();
            let chain = CertificateDer::pem_file_iter(dir.join("server.pem")).unwrap();
            let chain: Vec<_> = chain.collect::<Result<_, _>>().unwrap();
            let roots = state.repository().roots().await.unwrap();
            let trusted = trusting(if step == 0 { &roots } else { &known });
            let name = ServerName::try_from("localhost").unwrap();
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&trusted), Arc::clone(&provider))
                .build()
                .unwrap()
                .verify_server_cert(&chain[0], &chain[1..], &name, &[], moment)
                .unwrap_or_else(|error| panic!("step {step}, {now}: {error}"));
            // A device that renews each time, with a new key.
            let key = SoftwareKey::read(&SoftwareKey::generate(Algorithm::P256).unwrap()).unwrap();
            let wanted = Wanted {
                asset: Some("dev-1"),
                name: "lamp",
                key: key.public_key(),
                names: &[],
                profile: ("device", &profile),
            };
            let on = before.take().map_or(Admission::Program, Admission::Renewal);
            let certified = ca.issue(&state, &wanted, on).await.unwrap();
            let device = CertificateDer::from(certified.der.clone());
            let by = CertificateDer::from(certified.issuer.issuer.der().to_vec());
            WebPkiClientVerifier::builder_with_provider(trusting(&roots), Arc::clone(&provider))
                .build()
                .unwrap()
                .verify_client_cert(&device, &[by], moment)
                .unwrap_or_else(|error| panic!("step {step}, {now}: {error}"));
            // What it gets is good for as long as its profile says.
            let view = pki::View::of(&certified.der).unwrap();
            assert_eq!(view.ends, now.plus_secs(90 * DAY), "step {step}");
            before = Some(secret::hash(&certified.der));
            known = roots;
            clock.fetch_add(60 * DAY, Ordering::Relaxed);
        }
        assert!(known.len() >= 3, "{} roots", known.len());
        let issuers = state.repository().of(AuthorityId::local()).issuers().await.unwrap();
        assert!(issuers.len() >= 9 + known.len(), "{} issuers", issuers.len());
    }
}
