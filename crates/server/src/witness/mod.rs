//! Witnesses (`c2sp.org/tlog-witness`): this node asks its own to cosign its logs, and cosigns those of others.
//!
//! Guarantees: a witness is only what is configured, and cosigns only logs whose keys are listed; what it cosigns is kept
//! before it is told, and continues all that it cosigned before, also after a restart; asking never holds up a decision; what
//! a witness does not cosign is asked for again, ever slower, and told with the reason.

mod ask;
mod cosign;

pub(crate) use cosign::PATH;

use crate::{AppState, client::Remote, notify::AddressError};
use axum::{Router, extract::DefaultBodyLimit, routing};
use ledger::{Algorithm, Note, VerifierKey, WitnessKey};
use model::{AuthorityId, Timestamp};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};
use store::LedgerKey;

/// The one route of a witness; its requests may be longer than others.
pub(crate) fn router() -> Router<AppState> {
    let limit = DefaultBodyLimit::max(ledger::witness::MAX_REQUEST);
    Router::new().route(PATH, routing::post(cosign::add_checkpoint).layer(limit))
}

/// The most witnesses that are asked, and the most logs that are cosigned.
pub const MOST: usize = 64;

/// What this node has to do with witnesses.
pub struct Witnessing {
    /// What its own logs are signed with.
    log_key: LedgerKey,
    /// Those that are asked.
    asked: Vec<Asked>,
    /// How many of them have to cosign.
    quorum: usize,
    /// Set where this node is a witness itself.
    cosigner: Option<Cosigner>,
    /// What came of asking, by log and by witness.
    standing: Mutex<BTreeMap<(AuthorityId, usize), Standing>>,
    /// Checkpoints with the cosignatures so far.
    collected: Mutex<BTreeMap<AuthorityId, Note>>,
}

/// A witness that is asked.
struct Asked {
    key: VerifierKey,
    remote: Remote,
    /// Where it is, to be shown.
    place: String,
}

/// This node as a witness of others.
struct Cosigner {
    key: WitnessKey,
    logs: Vec<VerifierKey>,
}

/// How it stands with one witness of one log.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// What it is known to have cosigned.
    pub leaves: u64,
    /// When it did so last.
    pub at: Option<Timestamp>,
    /// Why it did not, where it was asked since.
    pub problem: Option<String>,
    /// Whether it knows another history of this log: somebody signed one, or this node was put back.
    pub other_history: bool,
    /// How often it did not, since it last did.
    failures: u32,
    /// Not to be asked before.
    due: Option<Timestamp>,
}

/// A setting of witnesses that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Not a witness.
    #[error("expected `NAME+ID+KEY https://host/prefix`, the key of a witness (type 4), found {0:?}")]
    Form(String),
    /// Not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Not a key of a log.
    #[error("expected the verifier key of a log (type 1), found {0:?}")]
    Log(String),
    /// Too many.
    #[error("expected at most {MOST}")]
    TooMany,
    /// More than there are.
    #[error("expected at most as many as there are witnesses, {0}, and at least 1")]
    Quorum(usize),
    /// No key of its own.
    #[error("the witness's key: {0}")]
    Key(#[from] ledger::KeyError),
}

impl Witnessing {
    /// A node without witnesses that is none itself.
    #[must_use]
    pub fn new(log_key: LedgerKey) -> Self {
        Self {
            log_key,
            asked: Vec::new(),
            quorum: 0,
            cosigner: None,
            standing: Mutex::default(),
            collected: Mutex::default(),
        }
    }

    /// Asks these witnesses, each `NAME+ID+KEY URL`, of which `quorum` have to cosign.
    ///
    /// # Errors
    /// [`WitnessError`] with what was expected.
    pub fn asking(
        mut self,
        witnesses: &[String],
        quorum: usize,
        ca: Option<&Path>,
    ) -> Result<Self, WitnessError> {
        if witnesses.len() > MOST {
            return Err(WitnessError::TooMany);
        }
        for text in witnesses {
            let form = || WitnessError::Form(text.chars().take(200).collect());
            let (key, address) = text.trim().split_once(' ').ok_or_else(form)?;
            let key: VerifierKey = key.parse().map_err(|_| form())?;
            if key.algorithm() != Algorithm::Cosignature {
                return Err(form());
            }
            let place = address.trim().trim_end_matches('/').to_owned();
            let remote = Remote::new(&format!("{place}/add-checkpoint"), ca)?;
            self.asked.push(Asked { key, remote, place });
        }
        if !self.asked.is_empty() && !(1..=self.asked.len()).contains(&quorum) {
            return Err(WitnessError::Quorum(self.asked.len()));
        }
        self.quorum = quorum;
        Ok(self)
    }

    /// Cosigns these logs, by their verifier keys, with a key of 32 random bytes that is the node's own for ever and signs
    /// nothing else. None of them: it is no witness.
    ///
    /// # Errors
    /// [`WitnessError`] with what was expected.
    pub fn cosigning(mut self, logs: &[String], seed: &[u8; 32]) -> Result<Self, WitnessError> {
        if logs.len() > MOST {
            return Err(WitnessError::TooMany);
        }
        let read = |text: &String| {
            let key = text.parse().ok().filter(|key: &VerifierKey| key.algorithm() == Algorithm::Note);
            key.ok_or_else(|| WitnessError::Log(text.chars().take(200).collect()))
        };
        let logs = logs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if !logs.is_empty() {
            self.cosigner = Some(Cosigner { key: key(seed)?, logs });
        }
        Ok(self)
    }

    /// Starts asking; each witness by itself, so that none waits for another.
    pub fn start(state: &AppState) -> Vec<tokio::task::JoinHandle<()>> {
        let count = state.witnessing().map_or(0, |witnessing| witnessing.asked.len());
        (0..count).map(|witness| tokio::spawn(ask::run(state.clone(), witness))).collect()
    }

    /// The key that others verify this node's cosignatures with, where it is a witness.
    #[must_use]
    pub fn own_key(&self) -> Option<&VerifierKey> {
        self.cosigner.as_ref().map(|cosigner| cosigner.key.public())
    }

    /// How many have to cosign, and how many are asked.
    #[must_use]
    pub const fn quorum(&self) -> (usize, usize) {
        (self.quorum, self.asked.len())
    }

    /// What an authority's log is verified with: its own key, then those of the witnesses.
    #[must_use]
    pub fn keys(&self, authority: &AuthorityId) -> Vec<VerifierKey> {
        let own = self.log_key.public(authority).ok();
        own.into_iter().chain(self.asked.iter().map(|asked| asked.key.clone())).collect()
    }

    /// How it stands with each witness of an authority's log: its key, where it is, and what came of asking.
    #[must_use]
    pub fn standing(&self, authority: &AuthorityId) -> Vec<(&VerifierKey, &str, Standing)> {
        let standing = locked(&self.standing);
        let of = |(number, _): (usize, &Asked)| {
            standing.get(&(authority.clone(), number)).cloned().unwrap_or_default()
        };
        self.asked.iter().enumerate().map(|pair| (&pair.1.key, pair.1.place.as_str(), of(pair))).collect()
    }
}

/// The key of a witness for 32 random bytes, named by itself, so that it is nobody else's.
///
/// # Errors
/// [`ledger::KeyError`] where they make no key.
pub fn key(seed: &[u8; 32]) -> Result<WitnessKey, ledger::KeyError> {
    let pkcs8 = ledger::new_private_key(seed)?;
    let named = WitnessKey::from_pkcs8("bastide-witness", &pkcs8)?.public().to_string();
    let mark = ledger::Hash::of_leaf(named.as_bytes()).0;
    let mark: String = mark.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    WitnessKey::from_pkcs8(&format!("bastide-witness/{mark}"), &pkcs8)
}

/// A figure half written by a thread that died is replaced with the next answer.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
