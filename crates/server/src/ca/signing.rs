//! Messages that the node signs for devices: what an agent is told.

use super::{Ca, CaError, serial};
use crate::{AppState, api::Problem};
use model::Timestamp;
use pki::{NameKind, Profile, Signer as _, SoftwareKey, Subject, Usage, sign_jws};
use std::sync::{Arc, PoisonError};

/// How long the certificate is good, in days, and what is left of it when the next one is made.
const DAYS: u32 = 30;
const RENEW_DAYS: i64 = 10;

/// A key of this process alone, with a certificate that bears the node's own names: a device believes what is signed by
/// whoever may be its server in TLS.
pub(super) struct Signing {
    key: SoftwareKey,
    chain: Vec<Vec<u8>>,
    ends: Timestamp,
}

impl Ca {
    /// Signs a message of that type in the node's name.
    pub(crate) async fn sign(&self, state: &AppState, typ: &str, payload: &[u8]) -> Result<String, Problem> {
        let signing = self.signing(state).await?;
        let chain: Vec<&[u8]> = signing.chain.iter().map(Vec::as_slice).collect();
        Ok(sign_jws(&signing.key, typ, &chain, payload).map_err(CaError::from)?)
    }

    async fn signing(&self, state: &AppState) -> Result<Arc<Signing>, Problem> {
        let own = state.in_name_of(state.authority());
        let issuer = self.of(&own, own.repository().authority()).await?;
        let lasting = |signing: &Arc<Signing>| {
            own.now().plus_secs(RENEW_DAYS * super::DAY) < signing.ends
                && signing.chain.get(1).is_some_and(|by| by == issuer.issuer.der())
        };
        let known = self.signing.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(signing) = known.filter(lasting) {
            return Ok(signing);
        }
        let key = SoftwareKey::generate(self.settings.algorithm).map_err(CaError::from)?;
        let key = SoftwareKey::read(&key).map_err(CaError::from)?;
        let names = self.own_names().into_iter().filter(|name| issuer.issuer.allows(name).is_ok());
        let profile = Profile {
            days: DAYS,
            usages: vec![Usage::Server],
            names: vec![NameKind::Dns, NameKind::Address],
            server_keygen: false,
        };
        let subject = Subject { common_name: "settings".into(), serial_number: None };
        let issued = issuer
            .issuer
            .issue(
                &subject,
                key.public_key(),
                &names.collect::<Vec<_>>(),
                ("settings", &profile),
                serial()?,
                own.now(),
            )
            .map_err(CaError::from)?;
        let chain: Vec<Vec<u8>> =
            std::iter::once(issued.der).chain(issuer.chain().map(<[u8]>::to_vec)).collect();
        let signing = Arc::new(Signing { key, chain, ends: issued.to });
        *self.signing.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&signing));
        Ok(signing)
    }
}
