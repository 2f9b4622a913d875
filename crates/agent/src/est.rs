//! Enrolment over secure transport (RFC 7030 with RFC 8951), the device's side.

use crate::{
    client::{Client, TalkError},
    http::{Request, Response},
    identity::Trust,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use pki::Certificate;
use wire::Token;

/// The largest answer, in bytes.
const MOST_BYTES: usize = 256 * 1024;
const REQUEST: &str = "application/pkcs10";

/// Where a label's EST is.
#[derive(Clone, Debug)]
pub struct Est {
    label: Option<String>,
}

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    /// The certificates, the device's own among them, in DER.
    Certificates(Vec<Vec<u8>>),
    /// A person is asked. To be asked again after so many seconds, where the server says how many.
    Wait(Option<u64>),
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum EstError {
    /// No answer.
    #[error(transparent)]
    Talk(#[from] TalkError),
    /// It says no.
    #[error("the server refuses ({status}): {said}")]
    Refused {
        /// The status.
        status: u16,
        /// Its words.
        said: String,
        /// When to ask again, where it says so.
        retry_after: Option<u64>,
    },
    /// An answer that cannot be used.
    #[error("the server's answer cannot be used: {0}")]
    Answer(String),
    /// The certificate that the token names is not there.
    #[error(
        "this server does not show the authority that the token names (it showed {found} authorities, {fitting} of which \
         fit): is it the right server, and the token whole?"
    )]
    NotTheOne {
        /// How many self-signed ones it showed.
        found: usize,
        /// How many of them fit.
        fitting: usize,
    },
}

impl Est {
    /// That of a label; without one, the server's default.
    ///
    /// # Errors
    /// What is wrong with the label.
    pub fn new(label: Option<&str>) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if let Some(label) = label
            && (label.is_empty() || label.len() > 64 || !label.chars().all(plain))
        {
            let found: String = label.chars().take(64).collect();
            return Err(format!("{found:?} is no label: expected 1 to 64 letters, digits, -, _ and ."));
        }
        Ok(Self { label: label.map(str::to_owned) })
    }

    fn path(&self, operation: &str) -> String {
        match &self.label {
            Some(label) => format!("/.well-known/est/{label}/{operation}"),
            None => format!("/.well-known/est/{operation}"),
        }
    }

    /// The certificates of the authority, with what the server's clock says.
    ///
    /// # Errors
    /// [`EstError`].
    pub fn authorities(&self, client: &Client) -> Result<(Vec<Vec<u8>>, Option<String>), EstError> {
        let answer = client.ask(&Request::get(self.path("cacerts")), MOST_BYTES)?;
        let date = answer.date.clone();
        Ok((certificates(accepted(answer)?)?, date))
    }

    /// Sends a first request; `name` and the token say that it may. Without a token a person is asked.
    ///
    /// # Errors
    /// [`EstError`].
    pub fn enrol(
        &self,
        client: &Client,
        csr: &[u8],
        name: &str,
        token: Option<&Token>,
    ) -> Result<Answer, EstError> {
        let body = BASE64_STANDARD.encode(csr);
        let mut request = Request::post(self.path("simpleenroll"), REQUEST, body.as_bytes());
        if let Some(token) = token {
            let credentials = BASE64_STANDARD.encode(format!("{name}:{}", token.reveal()));
            request.headers.push(("Authorization", format!("Basic {credentials}")));
        }
        answered(client.ask(&request, MOST_BYTES)?)
    }

    /// Sends a request to renew; the certificate that is shown in TLS says that it may.
    ///
    /// # Errors
    /// [`EstError`].
    pub fn renew(&self, client: &Client, csr: &[u8]) -> Result<Answer, EstError> {
        let body = BASE64_STANDARD.encode(csr);
        let request = Request::post(self.path("simplereenroll"), REQUEST, body.as_bytes());
        answered(client.ask(&request, MOST_BYTES)?)
    }
}

/// The one self-signed certificate that the token names.
///
/// # Errors
/// [`EstError::NotTheOne`].
pub fn named_by(token: &Token, certificates: &[Vec<u8>]) -> Result<Trust, EstError> {
    let roots = roots(certificates);
    let mut fitting: Vec<Vec<u8>> = roots.iter().filter(|root| token.names(root)).cloned().collect();
    fitting.dedup();
    if fitting.len() != 1 {
        return Err(EstError::NotTheOne { found: roots.len(), fitting: fitting.len() });
    }
    Trust::new(fitting).map_err(EstError::Answer)
}

/// Those that are signed by themselves.
#[must_use]
pub fn roots(certificates: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let own = |der: &&Vec<u8>| Certificate::from_der(der).is_ok_and(|read| read.is_root());
    let mut roots: Vec<Vec<u8>> = certificates.iter().filter(own).cloned().collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

fn answered(answer: Response) -> Result<Answer, EstError> {
    if answer.status == 202 {
        return Ok(Answer::Wait(answer.retry_after));
    }
    Ok(Answer::Certificates(certificates(accepted(answer)?)?))
}

fn accepted(answer: Response) -> Result<Vec<u8>, EstError> {
    if answer.status == 200 {
        return Ok(answer.body);
    }
    Err(EstError::Refused {
        status: answer.status,
        said: said(&answer.body),
        retry_after: answer.retry_after,
    })
}

/// The words of a refusal, on one line: as problem details (RFC 9457), or as they are.
#[must_use]
pub fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
        expected: Option<String>,
    }
    let body = body.get(..4_096).unwrap_or(body);
    let text = match serde_json::from_slice(body) {
        Ok(Problem { detail, expected: Some(expected) }) => format!("{detail}; expected {expected}"),
        Ok(Problem { detail, expected: None }) => detail,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let said = crate::machine::cut(&words.join(" "), 500);
    if said.is_empty() { "without a reason".into() } else { said }
}

/// The certificates of an answer: PKCS #7 in base64, in lines or not.
///
/// # Errors
/// [`EstError::Answer`].
pub fn certificates(body: Vec<u8>) -> Result<Vec<Vec<u8>>, EstError> {
    let text: Vec<u8> = body.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let der = BASE64_STANDARD.decode(text);
    let der = der.map_err(|error| EstError::Answer(format!("expected base64 (RFC 8951): {error}")))?;
    pki::read_certificates(&der)
        .map_err(|error| EstError::Answer(format!("expected certificates as PKCS #7: {error}")))
}
