//! The webhook: a POST of JSON, signed.
//!
//! `X-Bastide-Signature: t=SECONDS,v1=HEX` holds the HMAC-SHA256 of `SECONDS.BODY` under the shared secret; a receiver
//! compares it and refuses old seconds. `X-Bastide-Message` is the same when a message is sent again.

use super::AddressError;
use crate::{
    AppState,
    client::{Remote, SendError},
    secret,
};
use aws_lc_rs::hmac;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use model::Incident;
use serde::Serialize;
use std::path::Path;
use store::Outgoing;

/// Where to POST.
#[derive(Clone, Debug)]
pub struct Webhook {
    remote: Remote,
    key: Option<hmac::Key>,
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
        let key = secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        Ok(Self { remote: Remote::new(address, ca)?, key })
    }

    /// Where it is: path and query may be secrets.
    pub(super) fn place(&self) -> String {
        format!("the webhook at {:?}", self.remote)
    }

    pub(super) async fn send(&self, state: &AppState, message: &Outgoing) -> Result<(), SendError> {
        // Nothing of the answer but its status is read.
        match self.remote.send(self.request(state, message)?, 0).await?.status() {
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
        let mut request = self
            .remote
            .request(Method::POST, &node.version)
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

fn sign(key: &hmac::Key, seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    secret::hex(context.sign().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_time_and_body() {
        // RFC 4231 has no such form; the figure was made with `printf '7.{}' | openssl dgst -sha256 -hmac key`.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        assert_eq!(sign(&key, 7, b"{}"), "77bc83bd1f40422311e47918b203449aecf84b02c1568bb1b570ac2a474cc2d8");
    }
}
