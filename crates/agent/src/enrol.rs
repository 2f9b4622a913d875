//! Becoming a device of an authority, and staying one.

use crate::{
    address::Server,
    client::Client,
    clock,
    disk::{DiskError, Folder},
    est::{self, Answer, Est, EstError},
    identity::{Identity, Key, KeyError, Trust, fingerprint},
    state::{Enrolment, State},
};
use model::Timestamp;
use pkcs11::Place;
pub use pki::Algorithm;
use pki::{SignError, ask, ask_again};
use std::time::Duration;
use wire::Token;

/// How soon and how late the server is asked again while a person decides, in seconds.
const ASK_AGAIN: std::ops::RangeInclusive<u64> = 5..=900;
/// The most certificates of authorities that are shown along with the device's own.
const MOST_BETWEEN: usize = 4;

/// What is needed to enrol.
#[derive(Debug)]
pub struct Enrol {
    /// Where.
    pub server: Server,
    /// With which authority, where the server has several.
    pub label: Option<String>,
    /// What says that it may, and whom to trust.
    pub ground: Ground,
    /// What the device is called.
    pub name: String,
    /// The kind of its key.
    pub algorithm: Algorithm,
    /// On which token its key is made; without one, in the folder.
    pub token: Option<Place>,
}

/// On what ground a device is let in, and whom it trusts.
#[derive(Debug)]
pub enum Ground {
    /// A token, and whom it names.
    Token(Token),
    /// A token, and these authorities.
    TokenUnder(Token, Trust),
    /// A person's yes, and these authorities.
    Person(Trust),
}

impl Ground {
    const fn token(&self) -> Option<&Token> {
        match self {
            Self::Token(token) | Self::TokenUnder(token, _) => Some(token),
            Self::Person(_) => None,
        }
    }
}

/// Why a device is not enrolled, or its certificate not renewed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The server.
    #[error(transparent)]
    Est(#[from] EstError),
    /// The key.
    #[error("the key: {0}")]
    Key(#[from] SignError),
    /// A name that is none, a request that cannot be written, a certificate that cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl From<KeyError> for EnrolError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Disk(error) => Self::Disk(error),
            KeyError::Sign(error) => Self::Key(error),
        }
    }
}

impl Enrol {
    /// Enrols the device, however long a person takes to say yes: `wait` waits, and says what the time is then; `say`
    /// tells whoever looks on. Can be begun again after a power cut, with the same key.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub fn run(
        self,
        folder: &Folder,
        mut now: Timestamp,
        say: &mut dyn FnMut(String),
        wait: &mut dyn FnMut(Duration) -> Timestamp,
    ) -> Result<Identity, EnrolError> {
        let plain = |c: char| c.is_ascii_graphic() && !"\":/\\".contains(c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            let found: String = self.name.chars().take(64).collect();
            let expected = "1 to 64 letters, digits and signs other than \" : / \\ (--name)";
            return Err(EnrolError::Unusable(format!(
                "{found:?} is no name of a device: expected {expected}"
            )));
        }
        let est = Est::new(self.label.as_deref()).map_err(EnrolError::Unusable)?;
        let trust = self.trust(&est, now, say)?;
        // One that is enrolled anew, and whose key nobody uses then.
        let before = Identity::load(folder).ok().flatten();
        let is_there = |key: &Key| {
            let place =
                |token: &Place| key.token().and_then(Place::object).map(|object| token.with_object(object));
            self.token.as_ref().and_then(place).as_ref() == key.token()
        };
        let key = match Key::pending(folder)? {
            Some(key) if key.signer().algorithm() == self.algorithm && is_there(&key) => key,
            other => {
                let key = Key::generate_on(self.token.as_ref(), self.algorithm)?;
                key.save_pending(folder)?;
                // Nobody was told of it.
                let _ = other.map(|other| other.destroy());
                key
            }
        };
        let csr = ask(&**key.signer(), &self.name, &[]).map_err(unusable)?;
        let issued = loop {
            let client = Client::trusting(&self.server, &trust, None, now).map_err(EnrolError::Unusable)?;
            match est.enrol(&client, &csr, &self.name, self.ground.token())? {
                Answer::Certificates(issued) => break issued,
                Answer::Wait(secs) => {
                    let secs = secs.unwrap_or(30).clamp(*ASK_AGAIN.start(), *ASK_AGAIN.end());
                    say(format!(
                        "waiting for a person to approve {}; its key is {}; asking again in {secs} s",
                        self.name,
                        fingerprint(&**key.signer())
                    ));
                    now = wait(Duration::from_secs(secs));
                }
            }
        };
        let client = Client::trusting(&self.server, &trust, None, now).map_err(EnrolError::Unusable)?;
        let (authorities, _) = est.authorities(&client)?;
        let identity = accepted(key, issued, &authorities, &trust, now)?;
        let server = self.server.to_string();
        let enrolment = Enrolment { server, label: self.label, name: self.name, algorithm: self.algorithm };
        trust.save(folder)?;
        State::default().save(folder)?;
        enrolment.save(folder)?;
        // The last: with it the device is enrolled.
        identity.save(folder)?;
        if let Some(Err(error)) = before.map(|before| before.key().destroy()) {
            say(format!("the key of before stays on its token: {error}"));
        }
        Ok(identity)
    }

    /// Whom to trust from now on.
    fn trust(&self, est: &Est, now: Timestamp, say: &mut dyn FnMut(String)) -> Result<Trust, EnrolError> {
        let token = match &self.ground {
            Ground::Token(token) => token,
            Ground::TokenUnder(_, trust) | Ground::Person(trust) => return Ok(trust.clone()),
        };
        let client = Client::unverified(&self.server, now).map_err(EnrolError::Unusable)?;
        let (certificates, date) = est.authorities(&client)?;
        if let Some(hint) = clock::hint(date.as_deref(), now) {
            say(hint);
        }
        Ok(est::named_by(token, &certificates)?)
    }
}

/// Renews the certificate with a new key, and looks whom to trust beside whom it trusts already. `None`: a person is asked.
///
/// # Errors
/// [`EnrolError`].
pub fn renew(
    folder: &Folder,
    server: &Server,
    enrolment: &Enrolment,
    (identity, trust): (&Identity, &Trust),
    now: Timestamp,
) -> Result<Option<(Identity, Trust)>, EnrolError> {
    let est = Est::new(enrolment.label.as_deref()).map_err(EnrolError::Unusable)?;
    let client = Client::trusting(server, trust, Some(identity), now).map_err(EnrolError::Unusable)?;
    // The same request as long as a person is asked: the key is kept until there is a certificate.
    let key = match Key::pending(folder)? {
        Some(key) => key,
        None => {
            let key = Key::generate_on(identity.key().token(), enrolment.algorithm)?;
            key.save_pending(folder)?;
            key
        }
    };
    let (authorities, _) = est.authorities(&client)?;
    let shown = est::roots(&authorities);
    // Who shows nobody that is trusted already is not followed.
    let trust = match Trust::new(shown) {
        Ok(new) if new.shares_with(trust) => new,
        _ => trust.clone(),
    };
    let csr = ask_again(&**key.signer(), identity.certificate()).map_err(unusable)?;
    let Answer::Certificates(issued) = est.renew(&client, &csr)? else { return Ok(None) };
    let renewed = accepted(key, issued, &authorities, &trust, now)?;
    trust.save(folder)?;
    renewed.save(folder)?;
    // A token that does not let go of it keeps one key more, which proves nothing once its certificate ended.
    let _ = identity.key().destroy();
    Ok(Some((renewed, trust)))
}

/// The identity that the server's answer makes, where it is one.
fn accepted(
    key: Key,
    issued: Vec<Vec<u8>>,
    authorities: &[Vec<u8>],
    trust: &Trust,
    now: Timestamp,
) -> Result<Identity, EnrolError> {
    let own = |der: &Vec<u8>| {
        pki::Certificate::from_der(der).is_ok_and(|read| read.key() == key.signer().public_key())
    };
    let (mut chain, between): (Vec<_>, Vec<_>) = issued.into_iter().partition(own);
    if chain.len() != 1 {
        let found = chain.len();
        let reason =
            format!("the server's answer holds {found} certificates of this device's key: expected one");
        return Err(EnrolError::Unusable(reason));
    }
    for certificate in between.iter().chain(authorities) {
        let is_root = est::roots(std::slice::from_ref(certificate)).len() == 1;
        if !is_root && !chain.contains(certificate) && chain.len() <= MOST_BETWEEN {
            chain.push(certificate.clone());
        }
    }
    trust.vouches_for_device(&chain, now).map_err(|reason| {
        EnrolError::Unusable(format!("the certificate that the server issued cannot be used: {reason}"))
    })?;
    Identity::new(key, chain).map_err(EnrolError::Unusable)
}

fn unusable(error: pki::IssueError) -> EnrolError {
    EnrolError::Unusable(format!("the request: {error}"))
}
