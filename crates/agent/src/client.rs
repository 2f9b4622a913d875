//! Talking to the server: one exchange over TLS, bounded in time and bytes.

use crate::{
    address::Server,
    http::{HttpError, Request, Response},
    identity::{Identity, Trust, moment, provider},
};
use model::Timestamp;
use pki::{Algorithm, Signer};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureAlgorithm,
    SignatureScheme, Stream,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
    time_provider::TimeProvider,
};
use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long one exchange may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long connecting to one address may take.
const CONNECTING: Duration = Duration::from_secs(15);

/// A server as this device talks to it.
#[derive(Clone, Debug)]
pub struct Client {
    server: Server,
    config: Arc<ClientConfig>,
    now: Timestamp,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// It cannot be reached.
    #[error("{server} cannot be reached: {error}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        error: io::Error,
    },
    /// By the clock of this device, the server's certificate is not good.
    #[error(
        "the certificate of {server} is good {good}, and the clock of this device says {now}: is the clock right?"
    )]
    Clock {
        /// The server.
        server: String,
        /// From or until when.
        good: String,
        /// What the clock says.
        now: Timestamp,
    },
    /// It is not one that is trusted.
    #[error("{server} is not the server that this device trusts: {reason}")]
    Untrusted {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// It does not want this device.
    #[error("{server} does not accept the certificate of this device ({alert})")]
    NotAccepted {
        /// The server.
        server: String,
        /// What it said.
        alert: String,
    },
    /// No TLS, or no HTTP in it.
    #[error("{server}: {reason}")]
    Broken {
        /// The server.
        server: String,
        /// What is wrong.
        reason: String,
    },
}

/// The time of day as TLS is to have it: the caller's.
#[derive(Debug)]
struct At(UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

impl Client {
    /// One whose certificates are believed by nobody: for asking an unknown server for the certificate that a token names.
    ///
    /// # Errors
    /// Where there is no TLS at all.
    pub fn unverified(server: &Server, now: Timestamp) -> Result<Self, String> {
        let verifier = Arc::new(Unverified(provider()));
        let config = builder(now)?.dangerous().with_custom_certificate_verifier(verifier);
        Ok(Self { server: server.clone(), config: Arc::new(config.with_no_client_auth()), now })
    }

    /// One that has to be vouched for; `identity` is shown to it.
    ///
    /// # Errors
    /// Where the identity cannot be used.
    pub fn trusting(
        server: &Server,
        trust: &Trust,
        identity: Option<&Identity>,
        now: Timestamp,
    ) -> Result<Self, String> {
        let builder = builder(now)?.with_root_certificates(trust.store()?);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = identity.chain().iter().cloned().map(CertificateDer::from).collect();
                let key = Arc::new(TlsKey(Arc::clone(identity.key().signer())));
                let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        Ok(Self { server: server.clone(), config: Arc::new(config), now })
    }

    /// Asks, and takes at most `most` bytes of body for an answer.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn ask(&self, request: &Request<'_>, most: usize) -> Result<Response, TalkError> {
        let broken = |reason: String| TalkError::Broken { server: self.server.to_string(), reason };
        let name =
            ServerName::try_from(self.server.host().to_owned()).map_err(|error| broken(error.to_string()))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| broken(error.to_string()))?;
        let mut socket = self.connect()?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| self.failed(error))?;
        }
        let mut stream = Stream::new(&mut connection, &mut socket);
        match request.exchange(&self.server.authority(), &mut stream, most) {
            Ok(response) => Ok(response),
            Err(HttpError::Stream(error)) => Err(self.failed(error)),
            Err(error) => Err(broken(error.to_string())),
        }
    }

    fn connect(&self) -> Result<Timed, TalkError> {
        let unreachable = |error| TalkError::Unreachable { server: self.server.to_string(), error };
        let until = Instant::now() + PATIENCE;
        let addresses = (self.server.host(), self.server.port()).to_socket_addrs().map_err(unreachable)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in addresses.take(4) {
            match TcpStream::connect_timeout(&address, CONNECTING) {
                Ok(stream) => return Ok(Timed { stream, until }),
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    fn failed(&self, error: io::Error) -> TalkError {
        let server = self.server.to_string();
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return TalkError::Unreachable { server, error };
        };
        let at =
            |moment: &UnixTime| Timestamp::from_secs(i64::try_from(moment.as_secs()).unwrap_or(i64::MAX));
        let now = self.now;
        match tls {
            rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before, ..
            }) => TalkError::Clock { server, good: format!("only from {}", at(not_before)), now },
            rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
                TalkError::Clock { server, good: format!("until {} only", at(not_after)), now }
            }
            rustls::Error::InvalidCertificate(reason) => {
                TalkError::Untrusted { server, reason: reason.to_string() }
            }
            rustls::Error::AlertReceived(alert) => {
                TalkError::NotAccepted { server, alert: format!("{alert:?}") }
            }
            other => TalkError::Broken { server, reason: other.to_string() },
        }
    }
}

fn builder(now: Timestamp) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_details(provider(), Arc::new(At(moment(now))))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}

/// A socket on which everything is over in time.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let reason = format!("no whole answer within {} s", PATIENCE.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        Ok(Some(left))
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(into).map_err(in_words)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes).map_err(in_words)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The kernel says "would block" where a time is up.
fn in_words(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        return io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    }
    error
}

/// The device's key as TLS uses it, wherever it is.
struct TlsKey(Arc<dyn Signer>);

impl TlsKey {
    fn scheme(&self) -> SignatureScheme {
        match self.0.algorithm() {
            Algorithm::P256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            Algorithm::P384 => SignatureScheme::ECDSA_NISTP384_SHA384,
            Algorithm::Ed25519 => SignatureScheme::ED25519,
        }
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsKey").field(&self.scheme()).finish()
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let key = || -> Box<dyn rustls::sign::Signer> { Box::new(Self(Arc::clone(&self.0))) };
        offered.contains(&self.scheme()).then(key)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.algorithm() {
            Algorithm::P256 | Algorithm::P384 => SignatureAlgorithm::ECDSA,
            Algorithm::Ed25519 => SignatureAlgorithm::ED25519,
        }
    }
}

impl rustls::sign::Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.0.sign(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        Self::scheme(self)
    }
}

/// Believes any certificate, and verifies only that the server has its key. Nothing secret may be said to it.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
