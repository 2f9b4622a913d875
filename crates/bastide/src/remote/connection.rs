//! One server, as the command line speaks with it.
//!
//! Guarantees: always over TLS, always verified; what came back is bounded, and nothing of it reaches the terminal as a
//! control sequence; what went wrong is said as a sentence with what to do.

use super::credentials::{Credentials, Entry};
use anyhow::{Context as _, bail};
use report::visible;
use serde::Deserialize;
use serde_json::Value;
use server::client::{Method, Remote, SendError, StatusCode};
use std::path::{Path, PathBuf};

/// Where a node of this machine is, where nothing else is said.
const HERE: &str = "https://localhost:8443";
/// The longest answer that is read, in bytes.
const MOST: usize = 64 << 20;
/// The most rows that a page of the API has.
const ROWS: usize = 500;

/// Which server.
#[derive(Clone, clap::Args)]
pub(crate) struct Which {
    /// The server, such as `https://bastide.city.example:8443` [default: the one signed in to last, else
    /// https://localhost:8443; environment: BASTIDE_SERVER]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The certificate (PEM) of the authority that the server's certificate comes from [default: for this machine the
    /// node's own tls/ca.pem where it can be read, else those of the system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A server, with what lets us in.
pub(super) struct Connection {
    pub(super) server: String,
    /// Unset where nobody is signed in.
    token: Option<String>,
    /// Whether the token came from the environment.
    given: bool,
    pub(super) ca: Option<PathBuf>,
    remote: Remote,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

/// A problem as RFC 9457 writes it.
#[derive(Deserialize)]
struct Told {
    detail: String,
    expected: Option<String>,
    #[serde(default)]
    errors: Vec<String>,
}

impl Which {
    /// The address: one form for each server, because credentials are kept by it.
    fn address(&self, last: Option<&String>) -> anyhow::Result<String> {
        match (&self.server, super::variable("BASTIDE_SERVER"), last) {
            (Some(server), _, _) => address(server).context("wrong --server"),
            (None, Some(server), _) => address(&server).context("wrong BASTIDE_SERVER"),
            (None, None, Some(last)) => address(last),
            (None, None, None) => Ok(HERE.to_owned()),
        }
    }

    /// Without anything that lets us in: for signing in.
    pub(super) fn stranger(&self, credentials: &Credentials) -> anyhow::Result<Connection> {
        let kept = credentials.read()?;
        let server = self.address(kept.last.as_ref())?;
        let ca = self.ca(&server, kept.servers.get(&server))?;
        Connection::new(server, None, false, ca)
    }

    /// As whoever is signed in, or with the token of BASTIDE_TOKEN.
    pub(super) fn connect(&self) -> anyhow::Result<Connection> {
        if let Some(token) = super::variable("BASTIDE_TOKEN") {
            // Scripts keep nothing, and nothing that is kept is read for them.
            let server = self.address(None)?;
            let ca = self.ca(&server, None)?;
            return Connection::new(server, Some(token.trim().to_owned()), true, ca);
        }
        let kept = Credentials::of_user()?.read()?;
        let server = self.address(kept.last.as_ref())?;
        let entry = kept.servers.get(&server);
        let ca = self.ca(&server, entry)?;
        let Some(entry) = entry else {
            bail!(
                "nobody is signed in to {server}: `bastide sign-in --server {server}`, or a token in BASTIDE_TOKEN"
            );
        };
        Connection::new(server, Some(entry.token.clone()), false, ca)
    }

    /// Whose certificate is trusted: the one that was named, the one that was used to sign in, that of a node here.
    fn ca(&self, server: &str, entry: Option<&Entry>) -> anyhow::Result<Option<PathBuf>> {
        if let Some(ca) = &self.ca {
            return Ok(Some(ca.canonicalize().with_context(|| format!("wrong --ca: {}", ca.display()))?));
        }
        if let Some(ca) = entry.and_then(|entry| entry.ca.clone()) {
            return Ok(Some(ca));
        }
        let host = server.trim_start_matches("https://");
        let here = ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name));
        let own = || {
            let data = super::variable("BASTIDE_DATA_DIR").map(PathBuf::from);
            data.unwrap_or_else(crate::settings::default_data_dir).join("tls/ca.pem")
        };
        Ok(Some(own()).filter(|own| here && std::fs::File::open(own).is_ok()))
    }
}

/// `https://host[:port]`, in small letters and with nothing behind.
fn address(text: &str) -> anyhow::Result<String> {
    let wrong = |why: &str| {
        anyhow::anyhow!(
            "{why}: expected an address such as https://bastide.city.example:8443, found {}",
            visible(text)
        )
    };
    let lower = text.trim().to_ascii_lowercase();
    if lower.starts_with("http://") {
        return Err(wrong("a server is reached over TLS only"));
    }
    let host = lower.strip_prefix("https://").ok_or_else(|| wrong("not an address"))?.trim_end_matches('/');
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._:[]".contains(letter);
    if host.is_empty() || host.starts_with(':') || !host.chars().all(plain) || host.len() > 300 {
        return Err(wrong("not the address of a server"));
    }
    Ok(format!("https://{}", host.strip_suffix(":443").unwrap_or(host)))
}

impl Connection {
    fn new(server: String, token: Option<String>, given: bool, ca: Option<PathBuf>) -> anyhow::Result<Self> {
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            bail!("wrong BASTIDE_TOKEN: expected a token as `bastide up --token NAME` prints it");
        }
        let remote = Remote::new(&server, ca.as_deref())?;
        Ok(Self { server, token, given, ca, remote })
    }

    /// The same as somebody.
    pub(super) fn with(self, token: String) -> anyhow::Result<Self> {
        Self::new(self.server, Some(token), false, self.ca)
    }

    /// One exchange, whatever its status.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> anyhow::Result<Answer> {
        let mut request =
            self.remote.to(method, path, env!("CARGO_PKG_VERSION")).header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (kind, body) = body.unwrap_or(("application/json", Vec::new()));
        let request = request
            .header("content-type", kind)
            .body(body.into())
            .context("the request cannot be written")?;
        let answer = self.remote.send(request, MOST).await.map_err(|error| self.away(&error))?;
        Ok(Answer { status: answer.status(), body: answer.into_body().to_vec() })
    }

    /// Reads something.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answered(Method::GET, path, None).await
    }

    /// Has something done.
    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.answered(Method::POST, path, body.map(json)).await
    }

    /// Sends something else than JSON.
    pub(super) async fn send(&self, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        self.answered(Method::POST, path, Some((kind, body))).await
    }

    /// Changes some of what is there.
    pub(super) async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answered(Method::PATCH, path, Some(json(body))).await
    }

    /// Takes something away.
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.answered(Method::DELETE, path, None).await
    }

    async fn answered(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> anyhow::Result<Value> {
        let answer = self.exchange(method, path, body).await?;
        if answer.status.is_success() && answer.body.is_empty() {
            return Ok(Value::Null);
        }
        if answer.status.is_success() {
            return serde_json::from_slice(&answer.body).map_err(|error| {
                anyhow::anyhow!("{} answered something else than JSON: {error}", self.server)
            });
        }
        Err(self.refused(&answer))
    }

    /// The rows of a list, page by page, `limit` at most; and how many there are in all.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &Query,
        limit: usize,
    ) -> anyhow::Result<(Vec<Value>, u64)> {
        let rows = limit.clamp(1, ROWS);
        let (mut items, mut page) = (Vec::new(), 1);
        loop {
            let paged = query.clone().and("page", page).and("per_page", rows);
            let mut answer = self.get(&format!("{path}{}", paged.text())).await?;
            let total = answer.get("total").and_then(Value::as_u64).unwrap_or(0);
            let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) else {
                bail!("{} answered a list without items", self.server);
            };
            let last = more.len() < rows;
            items.extend(more);
            if last || items.len() >= limit {
                items.truncate(limit);
                return Ok((items, total));
            }
            page += 1;
        }
    }

    /// What an answer that is no success says, and what to do.
    pub(super) fn refused(&self, answer: &Answer) -> anyhow::Error {
        let server = &self.server;
        if answer.status == StatusCode::UNAUTHORIZED {
            return match self.given {
                true => anyhow::anyhow!(
                    "{server} does not take the token in BASTIDE_TOKEN: it is over, revoked, or another server's"
                ),
                false => {
                    anyhow::anyhow!("the session on {server} has ended: `bastide sign-in --server {server}`")
                }
            };
        }
        match serde_json::from_slice::<Told>(&answer.body) {
            Ok(Told { detail, expected, errors }) => {
                let expected = expected
                    .map_or_else(String::new, |expected| format!("; expected {}", visible(&expected)));
                let each: String = errors.iter().map(|error| format!("\n  {}", visible(error))).collect();
                anyhow::anyhow!("{}{expected}{each}", visible(&detail))
            }
            Err(_) => anyhow::anyhow!("{server} answered {}: is this a Bastide server?", answer.status),
        }
    }

    /// Why the server was not reached, and what to do.
    fn away(&self, error: &SendError) -> anyhow::Error {
        let (server, reason) = (&self.server, visible(&error.to_string()));
        match error {
            SendError::Untrusted(_) => {
                let trusted = self.ca.as_deref().map_or_else(
                    || "none of the authorities that this system trusts".to_owned(),
                    |ca| format!("not the authority in {}", Path::display(ca)),
                );
                anyhow::anyhow!(
                    "the certificate of {server} cannot be trusted ({reason}): it comes from {trusted}, or is for another name; \
                     name the node's own authority with --ca FILE (`bastide up` prints it behind “Trust”; on the node it is \
                     tls/ca.pem in the data directory)"
                )
            }
            SendError::Passing(_) | SendError::Final(_) => anyhow::anyhow!(
                "{server} cannot be reached ({reason}): is the server running, and is this its address? Another is named with \
                 --server URL"
            ),
        }
    }
}

fn json(body: &Value) -> (&'static str, Vec<u8>) {
    ("application/json", body.to_string().into_bytes())
}

/// The query of an address.
#[derive(Clone, Default)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    pub(super) fn and(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    pub(super) fn and_some(self, name: &'static str, value: Option<&String>) -> Self {
        match value {
            Some(value) => self.and(name, value),
            None => self,
        }
    }

    /// With its question mark, where there is anything.
    pub(super) fn text(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// As it stands in an address or a form.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_address() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(address(text).ok().as_deref(), expected, "{text}");
        };
        check("https://localhost:8443", Some("https://localhost:8443"));
        check(" HTTPS://Bastide.City.example/ ", Some("https://bastide.city.example"));
        check("https://bastide.city.example:443/", Some("https://bastide.city.example"));
        check("https://[::1]:8443", Some("https://[::1]:8443"));
        check("http://localhost:8443", None);
        check("https://user@localhost", None);
        check("https://localhost/console", None);
        check("https://localhost?x", None);
        check("https://", None);
        check("localhost:8443", None);
        check("https://a\u{1b}[2J", None);
        let error = address("http://localhost:8443").unwrap_err().to_string();
        assert!(
            error.contains("over TLS only") && error.contains("expected an address such as https://"),
            "{error}"
        );
    }

    #[test]
    fn what_is_asked_stays_in_its_place() {
        let query = Query::default().and("text", "a&b=c é").and_some("state", None).and("page", 2);
        assert_eq!(query.text(), "?text=a%26b%3Dc%20%C3%A9&page=2");
        assert_eq!(Query::default().text(), "");
        assert_eq!(encoded("02:00/../x?y"), "02%3A00%2F..%2Fx%3Fy");
    }
}
