//! What proves who somebody is: passwords with a second factor, passkeys, recovery codes, identities at a provider.
//!
//! Guarantees: nothing here is kept in clear; whoever does not exist costs as much time as whoever does; a proof is
//! taken once; guessing is slowed without giving anybody the means to lock somebody else out.

pub(crate) mod device;
pub(crate) mod identity;
pub(crate) mod passkey;
pub(crate) mod password;
pub(crate) mod patience;
pub(crate) mod prove;
pub(crate) mod recovery;
pub(crate) mod seal;
pub(crate) mod totp;
mod waiting;

use crate::{Node, keyfile};
use device::Questions;
use identity::Identities;
use model::PersonId;
use passkey::{PasskeyError, Passkeys};
use password::Passwords;
use patience::Patience;
use policy::PolicyError;
use prove::Step;
use seal::Seal;
pub(crate) use waiting::SECS as WAITING_SECS;
use waiting::Waiting;

/// The file with the key that seals what has to be read again, in the folder of the node's data.
const KEY: &str = "people.key";

/// Everything by which people prove who they are on this node.
pub(crate) struct Proofs {
    pub(crate) passwords: Passwords,
    /// Unset on a node without a name.
    passkeys: Option<Passkeys>,
    pub(crate) patience: Patience,
    pub(crate) seal: Seal,
    /// Whoever gave their password and has not given a code.
    pub(crate) steps: Waiting<Step>,
    /// Whoever chose a password and has not shown a code of their app.
    pub(crate) setups: Waiting<Setup>,
    pub(crate) identities: Identities,
    /// Programs that ask to be let in.
    pub(crate) questions: Questions,
    url: String,
}

/// A password that counts once a code of the app that belongs to it was shown.
pub(crate) struct Setup {
    pub(crate) person: PersonId,
    /// The hash.
    pub(crate) password: String,
    pub(crate) secret: [u8; totp::SECRET],
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policies that are shipped cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The key that seals second factors cannot be had.
    #[error("the key that seals people's second factors cannot be used")]
    Key(#[from] keyfile::KeyFileError),
    /// The passphrase of the certificate authorities cannot be had.
    #[error(transparent)]
    Passphrase(#[from] crate::ca::PassphraseError),
    /// Keys or settings were refused that are always good.
    #[error("the cryptography of this program does not work")]
    Cryptography,
}

impl Proofs {
    /// For a node; its key is made where it is missing.
    pub(crate) fn open(node: &Node) -> Result<Self, StartError> {
        let key = keyfile::at(&node.data_dir.join(KEY))?;
        Ok(Self {
            passwords: Passwords::new().map_err(|_| StartError::Cryptography)?,
            passkeys: Passkeys::new(&node.url),
            patience: Patience::default(),
            seal: Seal::new(&key).map_err(|_| StartError::Cryptography)?,
            steps: Waiting::default(),
            setups: Waiting::default(),
            identities: Identities::new(&node.url, &node.version),
            questions: Questions::default(),
            url: node.url.clone(),
        })
    }

    /// Passkeys, where this node has a name to which they can be bound.
    pub(crate) fn passkeys(&self) -> Result<&Passkeys, PasskeyError> {
        self.passkeys.as_ref().ok_or_else(|| PasskeyError::NoName(self.url.clone()))
    }
}
