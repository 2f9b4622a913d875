//! The HTTP client of the server and the command line: one exchange over TLS, bounded in time and bytes; redirections are
//! not followed.

use crate::notify::AddressError;
pub use axum::http::{Method, StatusCode};
use axum::http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// How long one exchange may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(15);

/// The other side.
#[derive(Clone)]
pub struct Remote {
    host: String,
    port: u16,
    path: String,
    tls: Option<TlsConnector>,
}

/// The certificates by which a server is known.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

/// Why something sent was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Try again.
    #[error("{0}")]
    Passing(String),
    /// The other side's certificate is not one that is trusted. Try again: it may be made anew.
    #[error("{0}")]
    Untrusted(String),
    /// Trying again is of no use.
    #[error("{0}")]
    Final(String),
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Remote {
    /// `https://host[:port]/path`; `http://` to loopback only. With `ca`, the certificate in that file is trusted and no
    /// other, else those of the system.
    ///
    /// # Errors
    /// [`AddressError`] with what was expected.
    pub fn new(address: &str, ca: Option<&Path>) -> Result<Self, AddressError> {
        Self::known_by(address, || ca.map_or_else(Trust::system, Trust::file))
    }

    /// The same, known by certificates that are asked for only where they are needed.
    ///
    /// # Errors
    /// [`AddressError`] with what was expected.
    pub(crate) fn known_by(
        address: &str,
        trust: impl FnOnce() -> Result<Trust, AddressError>,
    ) -> Result<Self, AddressError> {
        let wrong = |expected| AddressError { expected, found: shown(address) };
        const FORM: &str = "an address such as https://siem.city.example/hook (http:// to 127.0.0.1, [::1] or localhost only)";
        let uri: Uri = address.parse().map_err(|_| wrong(FORM))?;
        let host = uri.host().ok_or_else(|| wrong(FORM))?.trim_matches(['[', ']']).to_owned();
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("an address without a user: what is sent is signed"));
        }
        let tls = match uri.scheme_str() {
            Some("https") => Some(trust()?.0),
            Some("http") if is_loopback(&host) => None,
            _ => return Err(wrong(FORM)),
        };
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { host, port, path, tls })
    }

    /// A request to it, with its head begun.
    pub(crate) fn request(&self, method: Method, version: &str) -> axum::http::request::Builder {
        self.to(method, &self.path, version)
    }

    /// A request to a path there, with its head begun.
    pub fn to(&self, method: Method, path: &str, version: &str) -> axum::http::request::Builder {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("{host}:{}", self.port))
            .header(header::USER_AGENT, format!("bastide/{version}"))
    }

    /// Sends it; what was answered, with at most `most` bytes of body.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response<Bytes>, SendError> {
        match tokio::time::timeout(PATIENCE, self.connect_and_send(request, most)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::Passing(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    async fn connect_and_send(
        &self,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response<Bytes>, SendError> {
        let stream = self.dial().await.map_err(passing)?;
        let Some(tls) = &self.tls else { return exchange(stream, request, most).await };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| SendError::Final(format!("{} cannot be verified: {error}", self.host)))?;
        exchange(tls.connect(name, stream).await.map_err(handshake)?, request, most).await
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        if self.tls.is_none() && self.host == LOCALHOST {
            // Whatever a resolver says: without TLS nothing leaves this machine.
            let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return TcpStream::connect(both.map(|ip: IpAddr| SocketAddr::from((ip, self.port))).as_slice())
                .await;
        }
        TcpStream::connect((self.host.as_str(), self.port)).await
    }
}

const LOCALHOST: &str = "localhost";

/// Whether a host is this machine, by its address or as `localhost`.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == LOCALHOST || host.trim_matches(['[', ']']).parse().is_ok_and(|host: IpAddr| host.is_loopback())
}

/// As much of an address as may be shown: path and user are often the secret.
#[must_use]
pub fn shown(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let between = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{between}{host}/…").chars().take(200).collect()
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Response<Bytes>, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(passing)?;
    let mut talk = std::pin::pin!(async move {
        let answer = sender.send_request(request).await.map_err(passing)?;
        let (head, body) = answer.into_parts();
        if most == 0 {
            return Ok(Response::from_parts(head, Bytes::new()));
        }
        let body = Limited::new(body, most).collect().await;
        let body = body.map_err(|error| SendError::Passing(format!("the answer cannot be read: {error}")))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    });
    // The connection lives as long as this exchange.
    tokio::select! {
        answer = &mut talk => answer,
        // A receiver that answers and closes at once may be seen closing first: the answer is there all the same.
        _ended = connection => talk.await,
    }
}

fn passing(error: impl std::error::Error) -> SendError {
    let mut reason = error.to_string();
    if let Some(source) = error.source() {
        reason = format!("{reason}: {source}");
    }
    SendError::Passing(reason)
}

/// What a handshake failed of.
fn handshake(error: std::io::Error) -> SendError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error @ rustls::Error::InvalidCertificate(_)) => SendError::Untrusted(error.to_string()),
        _ => passing(error),
    }
}

impl Trust {
    /// Those of the system.
    ///
    /// # Errors
    /// Where there is no TLS at all.
    pub(crate) fn system() -> Result<Self, AddressError> {
        let mut roots = RootCertStore::empty();
        let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::of(roots)
    }

    /// Those in a PEM file, and no others.
    fn file(path: &Path) -> Result<Self, AddressError> {
        let wrong = || AddressError {
            expected: "a PEM file with the certificate of an authority",
            found: path.display().to_string(),
        };
        let text = std::fs::read(path).map_err(|_| wrong())?;
        Self::pem(&text).map_err(|_| wrong())
    }

    /// Those of a PEM text, and no others.
    ///
    /// # Errors
    /// [`AddressError`] with what was expected.
    pub(crate) fn pem(text: &[u8]) -> Result<Self, AddressError> {
        let wrong = |found: &str| AddressError {
            expected: "certificates of authorities as PEM, each from -----BEGIN CERTIFICATE----- to its end",
            found: found.to_owned(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(|_| wrong("a PEM text that cannot be read"))?;
            roots.add(certificate).map_err(|_| wrong("a certificate that cannot be read"))?;
        }
        if roots.is_empty() {
            return Err(wrong("none"));
        }
        Self::of(roots)
    }

    fn of(roots: RootCertStore) -> Result<Self, AddressError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| AddressError { expected: "TLS 1.2 or 1.3", found: String::new() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_https_and_loopback_only() {
        let check = |address: &str, expected: bool| {
            assert_eq!(Remote::new(address, None).is_ok(), expected, "{address}");
        };
        check("https://siem.city.example/hook?x=1", true);
        check("https://siem.city.example:8443", true);
        check("http://127.0.0.1:9000/hook", true);
        check("http://[::1]:9000/hook", true);
        check("http://localhost:9000/hook", true);
        check("http://localhost.evil.example/hook", false);
        check("http://siem.city.example/hook", false);
        check("http://127.0.0.1.evil.example/hook", false);
        check("https://user:secret@siem.city.example/", false);
        check("siem.city.example", false);
        check("ftp://siem.city.example/", false);
        check("", false);
        for address in
            ["http://siem.city.example/secret", "https://u:secret@siem.city.example/?secret#secret"]
        {
            let error = Remote::new(address, None).unwrap_err().to_string();
            assert!(error.contains("siem.city.example/…") && !error.contains("secret"), "{error}");
        }
        let error = Remote::new("https://x/", Some(Path::new("/does/not/exist"))).unwrap_err().to_string();
        assert!(error.contains("a PEM file") && error.contains("/does/not/exist"), "{error}");
    }

    #[tokio::test]
    async fn one_message_goes_out_and_what_goes_wrong_is_said_once() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let check = async |answer: &'static [u8], most: usize, expected: &str| {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let receiver = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut said = Vec::new();
                while !said.ends_with(b"{}") {
                    stream.read_buf(&mut said).await.unwrap();
                }
                stream.write_all(answer).await.unwrap();
                // Answered and closed at once; whatever else was sent is read to its end.
                stream.shutdown().await.unwrap();
                stream.read_to_end(&mut said).await.unwrap();
                String::from_utf8(said).unwrap().matches("POST /hook").count()
            });
            let request = Request::post("/hook").body(Full::new(Bytes::from("{}"))).unwrap();
            let stream = TcpStream::connect(address).await.unwrap();
            let outcome = exchange(stream, request, most).await;
            let outcome = outcome.map_or_else(
                |error| error.to_string(),
                |answer| format!("{} {}", answer.status(), String::from_utf8_lossy(answer.body())),
            );
            assert_eq!((outcome.trim(), receiver.await.unwrap()), (expected, 1));
        };
        check(b"HTTP/1.1 204 No Content\r\n\r\n", 0, "204 No Content").await;
        check(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes", 0, "200 OK").await;
        check(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes", 3, "200 OK yes").await;
        let long = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes";
        check(long, 2, "the answer cannot be read: length limit exceeded").await;
        check(b"", 9, "connection closed before message completed").await;
        check(b"rubbish\r\n\r\n", 9, "invalid HTTP version parsed").await;
    }
}
