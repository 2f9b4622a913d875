//! Passkeys (WebAuthn level 2): made for this node's name, always with user verification, found without a login name.
//!
//! Guarantees: the state of a ceremony never leaves the server, is good once and for a while ([`Waiting`]); nobody learns
//! from the first step whether somebody exists.

use super::waiting::Waiting;
use crate::secret;
use model::{PersonId, Timestamp};
use std::net::IpAddr;
use store::Person;
use uuid::Uuid;
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    prelude::{
        CreationChallengeResponse, DiscoverableAuthentication, Passkey, PasskeyRegistration,
        PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse, Url, WebauthnError,
    },
};
use webauthn_rs_proto::ResidentKeyRequirement;

/// How many passkeys a person has at most.
pub(crate) const OF_A_PERSON: usize = 20;

/// Makes and checks passkeys.
pub(crate) struct Passkeys {
    webauthn: Webauthn,
    registrations: Waiting<(PersonId, PasskeyRegistration)>,
    sign_ins: Waiting<DiscoverableAuthentication>,
}

/// Why a passkey was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasskeyError {
    /// The node has no name that a passkey could be bound to.
    #[error(
        "passkeys are bound to a name, and {0} has none: open the console at https://localhost or under a configured --name"
    )]
    NoName(String),
    /// Too late, done before, or begun elsewhere.
    #[error("this took too long or was begun in another window; try again")]
    NotBegun,
    /// The browser's or the key's answer does not hold.
    #[error("the passkey's answer does not hold")]
    Refused(#[source] WebauthnError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] secret::NoRandomness),
}

impl Passkeys {
    /// For a node at `url`, such as `https://localhost:8443`; unset where the address is not a name.
    pub(crate) fn new(url: &str) -> Option<Self> {
        let origin = Url::parse(url).ok()?;
        let name = origin.domain()?;
        let webauthn = WebauthnBuilder::new(name, &origin)
            .and_then(|builder| builder.rp_name("Bastide").build())
            .ok()?;
        Some(Self { webauthn, registrations: Waiting::default(), sign_ins: Waiting::default() })
    }

    /// What the browser is asked in order to make a passkey, and the name of the ceremony.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub(crate) fn begin_registration(
        &self,
        person: &Person,
        has: &[Passkey],
        place: IpAddr,
        now: Timestamp,
    ) -> Result<(String, CreationChallengeResponse), PasskeyError> {
        let handle = Uuid::from_bytes(person.id.to_bytes());
        let known = has.iter().map(|key| key.cred_id().clone()).collect();
        let (mut asked, state) = self
            .webauthn
            .start_passkey_registration(handle, person.login.as_str(), &person.name, Some(known))
            .map_err(PasskeyError::Refused)?;
        if let Some(selection) = &mut asked.public_key.authenticator_selection {
            // Found without a login name later: the key has to know whose it is.
            selection.resident_key = Some(ResidentKeyRequirement::Required);
            selection.require_resident_key = true;
        }
        Ok((self.registrations.begin(place, (person.id.clone(), state), now)?, asked))
    }

    /// The passkey that the browser made for `person`.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub(crate) fn finish_registration(
        &self,
        ceremony: &str,
        person: &PersonId,
        answer: &RegisterPublicKeyCredential,
        now: Timestamp,
    ) -> Result<Passkey, PasskeyError> {
        let (whose, state) = self.registrations.take(ceremony, now).ok_or(PasskeyError::NotBegun)?;
        if whose != *person {
            return Err(PasskeyError::NotBegun);
        }
        self.webauthn.finish_passkey_registration(answer, &state).map_err(PasskeyError::Refused)
    }

    /// What the browser is asked in order to sign in, and the name of the ceremony.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub(crate) fn begin_sign_in(
        &self,
        place: IpAddr,
        now: Timestamp,
    ) -> Result<(String, RequestChallengeResponse), PasskeyError> {
        let (mut asked, state) =
            self.webauthn.start_discoverable_authentication().map_err(PasskeyError::Refused)?;
        // Asked for by pressing a button, not offered while somebody types.
        asked.mediation = None;
        Ok((self.sign_ins.begin(place, state, now)?, asked))
    }

    /// Whose passkey answers, and which: to be looked up before [`Self::finish_sign_in`].
    ///
    /// # Errors
    /// [`PasskeyError::Refused`].
    pub(crate) fn whose<'a>(
        &self,
        answer: &'a PublicKeyCredential,
    ) -> Result<(PersonId, &'a [u8]), PasskeyError> {
        let (handle, key) =
            self.webauthn.identify_discoverable_authentication(answer).map_err(PasskeyError::Refused)?;
        Ok((PersonId::from_random(handle.into_bytes()), key))
    }

    /// Whether the answer was made with `key`, whose counter is brought up to date: true where it changed.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub(crate) fn finish_sign_in(
        &self,
        ceremony: &str,
        answer: &PublicKeyCredential,
        key: &mut Passkey,
        now: Timestamp,
    ) -> Result<bool, PasskeyError> {
        let state = self.sign_ins.take(ceremony, now).ok_or(PasskeyError::NotBegun)?;
        let result = self
            .webauthn
            .finish_discoverable_authentication_v2(answer, state, &*key)
            .map_err(PasskeyError::Refused)?;
        Ok(key.update_credential(&result).unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AuthorityId, PersonState};

    #[test]
    fn a_passkey_needs_a_name() {
        for url in ["https://127.0.0.1:8443", "https://[::1]:8443", "nonsense"] {
            assert!(Passkeys::new(url).is_none(), "{url}");
        }
        for url in ["https://localhost:8443", "https://bastide.city.example"] {
            assert!(Passkeys::new(url).is_some(), "{url}");
        }
    }

    #[test]
    fn what_is_asked_of_the_browser_is_bound_to_the_name_and_verifies_the_user() {
        let passkeys = Passkeys::new("https://localhost:8443").unwrap();
        let now = Timestamp::from_secs(1_000);
        let place = IpAddr::from([192, 0, 2, 1]);
        let jean = Person {
            authority: AuthorityId::local(),
            id: PersonId::from_random([7; 16]),
            login: "jean".parse().unwrap(),
            name: "Jean".into(),
            state: PersonState::Active,
            made: now,
        };
        let (_, asked) = passkeys.begin_registration(&jean, &[], place, now).unwrap();
        let asked = serde_json::to_value(asked).unwrap();
        assert_eq!(asked["publicKey"]["rp"]["id"], "localhost");
        assert_eq!(asked["publicKey"]["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(asked["publicKey"]["authenticatorSelection"]["userVerification"], "required");
        let (_, asked) = passkeys.begin_sign_in(place, now).unwrap();
        let asked = serde_json::to_value(asked).unwrap();
        assert_eq!(asked["publicKey"]["userVerification"], "required");
        assert_eq!(asked["publicKey"]["allowCredentials"], serde_json::json!([]));
    }
}
