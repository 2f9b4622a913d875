//! What the server tells a device to do: believed only from whoever may be the server.
//!
//! A signature counts where its certificate leads to the pinned authority and is good for the server's own name: any other
//! device has a certificate of that authority, too, and may not tell this one anything.

use crate::identity::Trust;
use model::Timestamp;
use pki::{Jws, JwsError};
use wire::{Collect, Invalid, SETTINGS_TYPE, Settings};

/// Why settings are not taken.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not signed, or not by who says so.
    #[error("the settings are not taken: {0}")]
    Signature(#[from] JwsError),
    /// Signed by somebody else.
    #[error("the settings are not taken: who signed them is not the server: {0}")]
    Signer(String),
    /// Not settings of this version.
    #[error("the settings are not taken: {0}")]
    Invalid(#[from] Invalid),
    /// Not for this device.
    #[error("the settings are not taken: they are for the device {found}, and this is {own}")]
    Device {
        /// For whom they are.
        found: String,
        /// Who this is.
        own: String,
    },
    /// Older than what was in force already.
    #[error("the settings are not taken: their number is {found}, and number {highest} was in force already")]
    Older {
        /// Theirs.
        found: u64,
        /// The highest so far.
        highest: u64,
    },
    /// Over.
    #[error("the settings are not taken: they held until {0}")]
    Over(Timestamp),
}

/// Who a device is, and whom it believes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Whom it trusts.
    pub trust: &'a Trust,
    /// The server's name.
    pub host: &'a str,
    /// The fingerprint of its own key.
    pub device: &'a str,
    /// The highest number that it ever took.
    pub highest: u64,
}

impl Reader<'_> {
    /// Settings out of a signed message, where everything about them holds.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(&self, text: &str, now: Timestamp) -> Result<Settings, SettingsError> {
        let message = Jws::parse(text.trim_end())?;
        if message.kind() != SETTINGS_TYPE {
            let found: String = message.kind().chars().take(64).collect();
            return Err(SettingsError::Signer(format!("it signed {found:?}: expected {SETTINGS_TYPE:?}")));
        }
        let vouched = self.trust.vouches_for_server(message.chain(), self.host, now);
        vouched.map_err(SettingsError::Signer)?;
        if !message.signer().may_sign() {
            return Err(SettingsError::Signer("its key may not sign messages (key usage)".into()));
        }
        let settings = Settings::from_json(&message.payload_signed()?)?;
        if settings.device != self.device {
            return Err(SettingsError::Device { found: settings.device, own: self.device.to_owned() });
        }
        if settings.number < self.highest {
            return Err(SettingsError::Older { found: settings.number, highest: self.highest });
        }
        if settings.not_after <= now {
            return Err(SettingsError::Over(settings.not_after));
        }
        Ok(settings)
    }
}

/// What is in force: those of the server as long as they hold, else those that the agent comes with.
#[must_use]
pub fn in_force(settings: Option<&Settings>, now: Timestamp) -> (u64, u32, Collect) {
    match settings.filter(|settings| now < settings.not_after) {
        Some(settings) => (settings.number, settings.report_every, settings.collect),
        None => (0, Settings::REPORT_EVERY, Collect::default()),
    }
}
