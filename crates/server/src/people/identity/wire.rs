//! How a provider is talked to: bounded in time and bytes, without redirections, over TLS but for a provider on this machine.

use crate::client::{Remote, SendError, Trust, is_loopback};
use http_body_util::Full;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, url::Url};
use std::{pin::Pin, time::Duration};

/// The longest answer that is read, in bytes: discovery documents and key sets have a few thousand.
const MOST: usize = 256 << 10;

/// The way to one provider.
pub(super) struct Wire {
    /// Unset for a provider on this machine that is talked to without TLS.
    pub(super) trust: Option<Trust>,
    pub(super) version: String,
    /// How long one answer may take.
    pub(super) patience: Duration,
}

impl Wire {
    /// Whether an address may be talked to: also one that a provider names.
    pub(super) fn reaches(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => self.trust.is_some(),
            "http" => self.trust.is_none() && url.host_str().is_some_and(is_loopback),
            _ => false,
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, SendError> {
        let (head, body) = request.into_parts();
        let address = head.uri.to_string();
        if !Url::parse(&address).is_ok_and(|url| self.reaches(&url)) {
            let shown = crate::client::shown(&address);
            return Err(SendError::Final(format!("{shown} is not talked to: {EXPECTED}")));
        }
        let trust = || self.trust.clone().map_or_else(Trust::system, Ok);
        let remote =
            Remote::known_by(&address, trust).map_err(|error| SendError::Final(error.to_string()))?;
        let mut ours = remote.request(head.method, &self.version);
        for (name, value) in &head.headers {
            ours = ours.header(name, value);
        }
        let ours = ours.body(Full::new(body.into())).map_err(|error| SendError::Final(error.to_string()))?;
        let answer = tokio::time::timeout(self.patience, remote.send(ours, MOST)).await;
        let waited = || SendError::Passing(format!("no answer within {} s", self.patience.as_secs_f32()));
        Ok(answer.map_err(|_| waited())??.map(Into::into))
    }
}

/// What an address of a provider has to be.
pub(super) const EXPECTED: &str = "expected https (or, where the issuer itself is http on this machine, http to 127.0.0.1, [::1] or localhost)";

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, SendError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    fn wire(tls: bool) -> Wire {
        let trust = tls.then(|| Trust::system().unwrap());
        Wire { trust, version: String::new(), patience: Duration::from_millis(200) }
    }

    #[test]
    fn only_https_is_talked_to_or_this_machine_where_the_provider_is_there() {
        let check = |tls: bool, address: &str, expected: bool| {
            assert_eq!(wire(tls).reaches(&Url::parse(address).unwrap()), expected, "{tls} {address}");
        };
        check(true, "https://login.city.example/token", true);
        check(true, "http://127.0.0.1:9400/token", false);
        check(true, "http://localhost/token", false);
        check(true, "ftp://login.city.example/", false);
        check(false, "http://127.0.0.1:9400/token", true);
        check(false, "http://[::1]:9400/token", true);
        check(false, "http://localhost:9400/token", true);
        check(false, "http://10.0.0.1/token", false);
        check(false, "http://login.city.example/token", false);
        check(false, "https://login.city.example/token", false);
        check(false, "file:///etc/passwd", false);
    }

    /// What comes of a GET that is answered with this, or never.
    async fn fetched(answer: Option<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/x", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 1_024];
            let _ = stream.read(&mut said).await;
            if let Some(answer) = answer {
                let _ = stream.write_all(&answer).await;
            } else {
                let _ = stream.read(&mut said).await;
            }
        });
        let request = axum::http::Request::get(address).body(Vec::new()).unwrap();
        let outcome = wire(false).call(request).await;
        served.abort();
        match outcome {
            Ok(answer) => format!("{} {}", answer.status(), answer.body().len()),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn what_is_read_is_bounded_in_bytes_and_time() {
        let answer = |length: usize| {
            let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
            answer.extend(vec![b'x'; length]);
            Some(answer)
        };
        assert_eq!(fetched(answer(MOST)).await, format!("200 OK {MOST}"));
        assert_eq!(fetched(answer(MOST + 1)).await, "the answer cannot be read: length limit exceeded");
        assert_eq!(fetched(None).await, "no answer within 0.2 s");
        let elsewhere = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(fetched(Some(elsewhere.to_vec())).await, "302 Found 0", "not followed");
    }
}
