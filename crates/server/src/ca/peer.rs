//! Who is at the other end of a connection: the certificate that was shown in TLS, and what ends with it.
//!
//! Guarantees: whoever shows a certificate has its key; that it is good is looked up for each request, in what is kept of it,
//! and never believed from the certificate alone. A connection that was opened with a certificate ends when that is no good
//! any more, whatever is under way in it.

use crate::{AppState, api::Problem, secret};
use axum::http::StatusCode;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::CertificateRecord;
use tokio::sync::watch;

/// The label of RFC 9266.
const BINDING: &[u8] = b"EXPORTER-Channel-Binding";

/// The other end of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer(Option<Arc<Shown>>);

/// What was shown and agreed on in TLS.
#[derive(Debug)]
struct Shown {
    /// Its certificate and those that issued it, where one was shown.
    chain: Vec<CertificateDer<'static>>,
    /// SHA-256 of its certificate.
    fingerprint: Option<String>,
    /// What only the two ends of this connection know (tls-exporter).
    binding: Option<[u8; 32]>,
}

impl Peer {
    /// Of a connection whose handshake is done.
    pub(crate) fn of(connection: &rustls::ServerConnection) -> Self {
        let chain: Vec<_> = connection
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|one| one.clone().into_owned())
            .collect();
        // Before TLS 1.3 it binds only where the master secret is of the extended kind, which is not told here.
        let binds = connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        let binding = connection.export_keying_material([0; 32], BINDING, Some(b"")).ok().filter(|_| binds);
        let fingerprint = chain.first().map(secret::hash);
        Self(Some(Arc::new(Shown { chain, fingerprint, binding })))
    }

    /// SHA-256 of the certificate that was shown.
    pub(crate) fn fingerprint(&self) -> Option<&str> {
        self.0.as_ref()?.fingerprint.as_deref()
    }

    /// The certificate that was shown, and those that issued it.
    pub(crate) fn chain(&self) -> Option<(&CertificateDer<'static>, &[CertificateDer<'static>])> {
        self.0.as_ref()?.chain.split_first()
    }

    pub(crate) fn binding(&self) -> Option<&[u8; 32]> {
        self.0.as_ref()?.binding.as_ref()
    }

    /// What is kept of the certificate that was shown, where it is one of ours and good.
    ///
    /// # Errors
    /// [`Problem`] where it is one of ours and is not good.
    pub(crate) async fn known(&self, state: &AppState) -> Result<Option<CertificateRecord>, Problem> {
        let Some(fingerprint) = self.fingerprint() else { return Ok(None) };
        let Some(known) = state.repository().certificate(fingerprint).await? else { return Ok(None) };
        let now = state.now();
        if known.is_good(now) {
            return Ok(Some(known));
        }
        let why = match known.state {
            store::CertificateState::Good if now < known.begins => {
                format!("is good from {} on, and it is {now}: one of the two clocks is wrong", known.begins)
            }
            store::CertificateState::Good => format!("ended at {}", known.ends),
            store::CertificateState::Held => format!("was suspended at {}", known.changed),
            store::CertificateState::Revoked => format!("was revoked at {}", known.changed),
        };
        Err(Problem::new(StatusCode::FORBIDDEN, format!("the certificate that was shown {why}")))
    }
}

/// Takes any certificate whose key signed the handshake: what it is good for is looked up later.
#[derive(Debug)]
pub(crate) struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    /// Whose certificates are asked for: a browser with others asks nobody to choose one.
    hints: Vec<DistinguishedName>,
}

impl AnyCertificate {
    pub(crate) const fn new(provider: Arc<CryptoProvider>, hints: Vec<DistinguishedName>) -> Self {
        Self { provider, hints }
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The connections that were opened with a certificate, by its fingerprint.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Opened>>);

#[derive(Default)]
struct Opened {
    /// What ends them, and how many there are.
    by_certificate: HashMap<String, (watch::Sender<bool>, usize)>,
    /// Those with which a connection began since it was last asked.
    begun: HashSet<String>,
}

/// A connection that stands in [`Sessions`] as long as this lives.
pub(crate) struct Session {
    sessions: Sessions,
    fingerprint: String,
    cut: watch::Receiver<bool>,
}

impl Sessions {
    /// A connection with this certificate.
    pub(crate) fn enter(&self, fingerprint: &str) -> Session {
        let mut opened = self.locked();
        let (cut, count) = opened
            .by_certificate
            .entry(fingerprint.to_owned())
            .or_insert_with(|| (watch::Sender::new(false), 0));
        *count += 1;
        let cut = cut.subscribe();
        opened.begun.insert(fingerprint.to_owned());
        drop(opened);
        Session { sessions: self.clone(), fingerprint: fingerprint.to_owned(), cut }
    }

    /// Ends all connections with this certificate; how many.
    pub(crate) fn cut(&self, fingerprint: &str) -> usize {
        let Some((cut, count)) = self.locked().by_certificate.remove(fingerprint) else { return 0 };
        cut.send_replace(true);
        count
    }

    /// The fingerprints with which connections are open.
    pub(crate) fn open(&self) -> Vec<String> {
        self.locked().by_certificate.keys().cloned().collect()
    }

    /// Those with which one began since this was last asked.
    pub(crate) fn begun(&self) -> Vec<String> {
        self.locked().begun.drain().collect()
    }

    fn locked(&self) -> MutexGuard<'_, Opened> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Resolves when it is to end.
    pub(crate) async fn is_cut(&mut self) {
        let _ = self.cut.wait_for(|cut| *cut).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut opened = self.sessions.locked();
        // What was cut stands there no more; what does began since, and does not count this one.
        if *self.cut.borrow() {
            return;
        }
        if let Some((_, count)) = opened.by_certificate.get_mut(&self.fingerprint) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                opened.by_certificate.remove(&self.fingerprint);
                opened.begun.remove(&self.fingerprint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_connections_with_a_certificate_are_cut_and_no_others() {
        let sessions = Sessions::default();
        let (mut one, mut two, other) = (sessions.enter("a"), sessions.enter("a"), sessions.enter("b"));
        assert_eq!(sessions.cut("a"), 2);
        one.is_cut().await;
        two.is_cut().await;
        assert!(!*other.cut.borrow());
        let mut again = sessions.enter("a");
        drop((one, two));
        assert_eq!(sessions.cut("a"), 1);
        again.is_cut().await;
        drop((again, other));
        assert!(sessions.open().is_empty());
        assert_eq!(sessions.cut("b"), 0);
    }
}
