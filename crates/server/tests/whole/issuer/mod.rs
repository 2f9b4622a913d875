//! An identity provider under a test's thumb: it signs what it is told to, and answers as badly as wanted.

#![allow(dead_code, reason = "each test uses a part")]

use aws_lc_rs::{
    digest, hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub(crate) const CLIENT: &str = "bastide";
pub(crate) const SECRET: &str = "s3cret & more";

/// What it does.
pub(crate) struct Knobs {
    /// Claims that are added, replaced, or left out where they are null.
    pub(crate) claims: Value,
    /// Fields of the discovery document, likewise.
    pub(crate) discovery: Value,
    /// The header of the token.
    pub(crate) header: Value,
    pub(crate) signed: Signed,
    /// Answers instead of what a path has.
    pub(crate) instead: BTreeMap<String, Vec<u8>>,
    /// The nonce and the challenge of the sign-in under way.
    nonce: String,
    challenge: String,
    /// Method and path of what was asked.
    pub(crate) asked: Vec<String>,
    published: Arc<EcdsaKeyPair>,
    kid: String,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Signed {
    Published,
    /// With a key that it does not publish.
    Other,
    /// With the client's secret.
    Secret,
    /// Not at all.
    Not,
}

pub(crate) struct Issuer {
    pub(crate) address: String,
    knobs: Arc<Mutex<Knobs>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn key() -> Arc<EcdsaKeyPair> {
    Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        text.extend(
            (0..=chunk.len()).map(|place| char::from(LETTERS[(group >> (18 - 6 * place)) as usize & 63])),
        );
    }
    text
}

/// The parameters of an address or a form.
pub(crate) fn parameters(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let (mut bytes, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                b'+' => b' ',
                other => other,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    let query = text.split_once('?').map_or(text, |(_, query)| query);
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn merged(mut base: Value, over: &Value) -> Value {
    for (name, value) in over.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            base[name] = value.clone();
        }
    }
    base
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let knobs = Arc::new(Mutex::new(Knobs {
            claims: json!({}),
            discovery: json!({}),
            header: json!({}),
            signed: Signed::Published,
            instead: BTreeMap::new(),
            nonce: String::new(),
            challenge: String::new(),
            asked: Vec::new(),
            published: key(),
            kid: "one".into(),
        }));
        let (shared, issuer) = (Arc::clone(&knobs), address.clone());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, Arc::clone(&shared), issuer.clone()));
            }
        });
        Self { address, knobs, task }
    }

    pub(crate) fn knobs(&self) -> MutexGuard<'_, Knobs> {
        self.knobs.lock().unwrap()
    }

    /// Signs with another key from now on, and publishes that.
    pub(crate) fn change_key(&self, kid: &str) {
        let mut knobs = self.knobs();
        (knobs.published, knobs.kid) = (key(), kid.to_owned());
    }

    /// Somebody comes with this address and lets it say who they are: the parameters with which they go back.
    pub(crate) fn visited(&self, address: &str) -> BTreeMap<String, String> {
        assert!(address.starts_with(&format!("{}/authorize?", self.address)), "{address}");
        let asked = parameters(address);
        assert_eq!(
            (asked["response_type"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        assert_eq!((asked["client_id"].as_str(), asked["max_age"].as_str()), (CLIENT, "900"));
        let mut knobs = self.knobs();
        (knobs.nonce, knobs.challenge) = (asked["nonce"].clone(), asked["code_challenge"].clone());
        asked
    }
}

async fn answer(mut stream: TcpStream, knobs: Arc<Mutex<Knobs>>, issuer: String) {
    let mut said = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut said).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&said).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let mut line = head.lines().next().unwrap().split(' ');
    let (method, path) = (line.next().unwrap(), line.next().unwrap());
    let answer = {
        let mut knobs = knobs.lock().unwrap();
        knobs.asked.push(format!("{method} {path}"));
        knobs.instead.get(path).cloned().unwrap_or_else(|| {
            let (status, body) = match path {
                "/.well-known/openid-configuration" => ("200 OK", discovery(&knobs, &issuer)),
                "/keys" => ("200 OK", keys(&knobs)),
                "/token" => token(&knobs, &issuer, &head, &body),
                _ => ("404 Not Found", json!({})),
            };
            let body = body.to_string();
            format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        })
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

fn discovery(knobs: &Knobs, issuer: &str) -> Value {
    let base = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    merged(base, &knobs.discovery)
}

fn keys(knobs: &Knobs) -> Value {
    let point = knobs.published.public_key().as_ref().to_vec();
    let [x, y] = [&point[1..33], &point[33..]].map(base64url);
    json!({ "keys": [{ "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": knobs.kid, "x": x, "y": y }] })
}

fn token(knobs: &Knobs, issuer: &str, head: &str, body: &str) -> (&'static str, Value) {
    let given = parameters(body);
    let verifier = given.get("code_verifier").cloned().unwrap_or_default();
    let proved = base64url(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref()) == knobs.challenge;
    let known = head.to_ascii_lowercase().contains("authorization: basic ");
    if !proved || !known || given["code"] != "the-code" {
        return (
            "400 Bad Request",
            json!({ "error": "invalid_grant", "error_description": "no <b>such</b> code" }),
        );
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": issuer, "sub": "7", "aud": CLIENT, "nonce": knobs.nonce,
        "iat": now, "exp": now + 300, "auth_time": now,
    });
    // Times are given as so many seconds from now.
    let mut over = knobs.claims.clone();
    for name in ["iat", "exp", "auth_time"] {
        if let Some(from_now) = over[name].as_i64() {
            over[name] = (now as i64 + from_now).into();
        }
    }
    let header = merged(json!({ "alg": "ES256", "kid": knobs.kid }), &knobs.header);
    let [header, claims] = [header, merged(claims, &over)].map(|part| base64url(part.to_string().as_bytes()));
    let text = format!("{header}.{claims}");
    let sign =
        |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec();
    let signature = match knobs.signed {
        Signed::Published => sign(&knobs.published),
        Signed::Other => sign(&key()),
        Signed::Secret => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes())
            .as_ref()
            .to_vec(),
        Signed::Not => Vec::new(),
    };
    let token = format!("{text}.{}", base64url(&signature));
    ("200 OK", json!({ "access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": token }))
}

/// One request to a provider, as a browser's; status, where to, and text.
pub(crate) async fn visit(method: &str, address: &str, form: &str) -> (u16, String, String) {
    let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    let (head, text) = said.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let to = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("location").then(|| value.to_owned())
    });
    (status, to.unwrap_or_default(), text.to_owned())
}
