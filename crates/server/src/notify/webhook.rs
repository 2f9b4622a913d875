//! The webhook: a POST of JSON, signed.
//!
//! `X-Bastide-Signature: t=SECONDS,v1=HEX` holds the HMAC-SHA256 of `SECONDS.BODY` under the shared secret; a receiver
//! compares it and refuses old seconds. `X-Bastide-Message` is the same when a message is sent again.

use super::{AddressError, SendError};
use crate::{AppState, secret};
use aws_lc_rs::hmac;
use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use model::Incident;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde::Serialize;
use std::{fmt, path::Path, sync::Arc, time::Duration};
use store::Outgoing;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// How long one POST may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where to POST.
#[derive(Clone)]
pub struct Webhook {
    host: String,
    port: u16,
    path: String,
    tls: Option<TlsConnector>,
    key: Option<hmac::Key>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({}:{})", self.host, self.port)
    }
}

/// What is sent.
#[derive(Serialize)]
struct Message<'a> {
    event: &'static str,
    at: model::Timestamp,
    node: &'a str,
    link: String,
    incident: &'a Incident,
}

impl Webhook {
    /// `https://host[:port]/path`; `http://` to loopback only. With `ca`, that certificate is trusted and no other, else
    /// those of the system.
    ///
    /// # Errors
    /// [`AddressError`] with what was expected.
    pub fn new(address: &str, secret: Option<&str>, ca: Option<&Path>) -> Result<Self, AddressError> {
        let wrong = |expected| AddressError { expected, found: shown(address) };
        const FORM: &str =
            "an address such as https://siem.city.example/hook (http:// to 127.0.0.1 or [::1] only)";
        let uri: Uri = address.parse().map_err(|_| wrong(FORM))?;
        let host = uri.host().ok_or_else(|| wrong(FORM))?.trim_matches(['[', ']']).to_owned();
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("an address without a user; requests are signed with `webhook_secret_file`"));
        }
        let tls = match uri.scheme_str() {
            Some("https") => Some(connector(ca)?),
            Some("http") if host.parse().is_ok_and(|host: std::net::IpAddr| host.is_loopback()) => None,
            _ => return Err(wrong(FORM)),
        };
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let key = secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        Ok(Self { host, port, path, tls, key })
    }

    pub(super) async fn send(&self, state: &AppState, message: &Outgoing) -> Result<(), SendError> {
        match tokio::time::timeout(PATIENCE, self.post(state, message)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::Passing(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    async fn post(&self, state: &AppState, message: &Outgoing) -> Result<(), SendError> {
        let request = self.request(state, message)?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(passing)?;
        let status = match &self.tls {
            None => exchange(stream, request).await?,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|error| {
                    SendError::Final(format!("{} cannot be verified: {error}", self.host))
                })?;
                exchange(tls.connect(name, stream).await.map_err(passing)?, request).await?
            }
        };
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(SendError::Final("the receiver answered 410: it wants no more".into())),
            status => Err(SendError::Passing(format!("the receiver answered {status}"))),
        }
    }

    fn request(&self, state: &AppState, message: &Outgoing) -> Result<Request<Full<Bytes>>, SendError> {
        let node = state.node();
        let now = state.now();
        let told = Message {
            event: "incident",
            at: now,
            node: &node.url,
            link: format!("{}/incidents/{}", node.url, message.incident.id),
            incident: &message.incident,
        };
        let body = serde_json::to_vec(&told).map_err(|error| SendError::Final(error.to_string()))?;
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let mut request = Request::post(&self.path)
            .header(header::HOST, format!("{host}:{}", self.port))
            .header(header::USER_AGENT, format!("bastide/{}", node.version))
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-bastide-message", format!("{}-{}", message.seq, message.made.micros()));
        if let Some(key) = &self.key {
            let seconds = now.micros().div_euclid(1_000_000);
            request = request
                .header("x-bastide-signature", format!("t={seconds},v1={}", sign(key, seconds, &body)));
        }
        request.body(Full::new(Bytes::from(body))).map_err(|error| SendError::Final(error.to_string()))
    }
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

fn sign(key: &hmac::Key, seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    secret::hex(context.sign().as_ref())
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(passing)?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    // The connection lives as long as this exchange; nothing of the answer but its status is read.
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // A receiver that answers and closes at once may be seen closing first: the answer is there all the same.
        _ended = connection => answer.await,
    };
    Ok(answer.map_err(passing)?.status())
}

fn passing(error: impl std::error::Error) -> SendError {
    let mut reason = error.to_string();
    if let Some(source) = error.source() {
        reason = format!("{reason}: {source}");
    }
    SendError::Passing(reason)
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, AddressError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let wrong = || AddressError {
                expected: "`webhook_ca` to name a PEM file with a certificate",
                found: path.display().to_string(),
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|_| wrong())? {
                roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
            }
            if roots.is_empty() {
                return Err(wrong());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| AddressError { expected: "TLS 1.2 or 1.3", found: String::new() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_https_and_loopback_only() {
        let check = |address: &str, expected: bool| {
            assert_eq!(Webhook::new(address, None, None).is_ok(), expected, "{address}");
        };
        check("https://siem.city.example/hook?x=1", true);
        check("https://siem.city.example:8443", true);
        check("http://127.0.0.1:9000/hook", true);
        check("http://[::1]:9000/hook", true);
        check("http://siem.city.example/hook", false);
        check("http://127.0.0.1.evil.example/hook", false);
        check("https://user:secret@siem.city.example/", false);
        check("siem.city.example", false);
        check("ftp://siem.city.example/", false);
        check("", false);
        for address in
            ["http://siem.city.example/secret", "https://u:secret@siem.city.example/?secret#secret"]
        {
            let error = Webhook::new(address, None, None).unwrap_err().to_string();
            assert!(error.contains("siem.city.example/…") && !error.contains("secret\""), "{error}");
            assert_eq!(
                error.matches("secret").count(),
                error.matches("webhook_secret_file").count(),
                "{error}"
            );
        }
        let error =
            Webhook::new("https://x/", None, Some(Path::new("/does/not/exist"))).unwrap_err().to_string();
        assert!(error.contains("webhook_ca"), "{error}");
    }

    #[tokio::test]
    async fn one_message_goes_out_and_what_goes_wrong_is_said_once() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let check = async |answer: &'static [u8], expected: &str| {
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
            let outcome = exchange(stream, request).await;
            let outcome = outcome.map_or_else(|error| error.to_string(), |status| status.to_string());
            assert_eq!((outcome.as_str(), receiver.await.unwrap()), (expected, 1));
        };
        check(b"HTTP/1.1 204 No Content\r\n\r\n", "204 No Content").await;
        check(b"", "connection closed before message completed").await;
        check(b"rubbish\r\n\r\n", "invalid HTTP version parsed").await;
    }

    #[test]
    fn signs_time_and_body() {
        // RFC 4231 has no such form; the figure was made with `printf '7.{}' | openssl dgst -sha256 -hmac key`.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        assert_eq!(sign(&key, 7, b"{}"), "77bc83bd1f40422311e47918b203449aecf84b02c1568bb1b570ac2a474cc2d8");
    }
}
