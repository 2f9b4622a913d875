//! An issuer that somebody else certifies: its request, and the certificate that comes back with its chain.
//!
//! Guarantees: what is taken in was verified up to its root, and can certify what this node needs; the key never leaves. It
//! stays the issuer for as long as it is good: nothing takes its place but another one that a person takes in.

use super::{
    Ca, CaError, ISSUER_DAYS, NewAuthority, new_certificate,
    root::{by_a_person, unfit},
};
use crate::{
    AppState,
    api::Problem,
    auth::{User, decided},
    secret, tls,
};
use axum::http::StatusCode;
use ledger::Deed;
use pki::{Chain, Issued, Issuer, Serial, SubjectName, View};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use store::{IssuerKey, IssuerRecord, IssuerRequest, IssuerState};

impl Ca {
    /// The request of this node's issuer, in PEM; the one that waits, where one does and no other is wanted.
    pub(crate) async fn request(
        &self,
        state: &AppState,
        user: &User,
        again: bool,
    ) -> Result<String, Problem> {
        by_a_person(user)?;
        let before = state.repository().issuer_request().await?;
        if let Some(waiting) = before.as_ref().filter(|_| !again) {
            return Ok(tls::pem("CERTIFICATE REQUEST", &waiting.body));
        }
        let authority = state.authority();
        let bounds = self.needed(state, authority);
        let kept = self.keys.make(self.settings.algorithm).map_err(CaError::from)?;
        let organization = &self.settings.organization;
        let new = NewAuthority { organization, unit: authority.as_str(), bounds: &bounds, days: ISSUER_DAYS };
        let body = pki::ask_for_authority(&*kept.signer, &new).map_err(CaError::from)?;
        let id: String = secret::hash(&body).chars().take(32).collect();
        let details = Some("asked to be certified elsewhere".to_owned());
        let decided = decided(state, user, Deed::IssuerChanged, &[("issuer-request", &id)], details)?;
        let request = IssuerRequest { id, key: kept.key, made: state.now(), body };
        state.repository().add_issuer_request(&request, decided).await?;
        if let Some(before) = before {
            self.keys.forget(&before.key);
        }
        Ok(tls::pem("CERTIFICATE REQUEST", &request.body))
    }

    /// Takes an issuer in: certificates in PEM, and its key with the passphrase it is under, where that does not wait here.
    pub(crate) async fn import(
        &self,
        state: &AppState,
        user: &User,
        chain: &str,
        key: Option<(&str, &str)>,
    ) -> Result<IssuerRecord, Problem> {
        by_a_person(user)?;
        let ders = CertificateDer::pem_slice_iter(chain.as_bytes()).take(17).collect::<Result<Vec<_>, _>>();
        let ders = ders
            .map_err(|error| unfit(&format!("the chain cannot be read: {error}"), "certificates in PEM"))?;
        let ders: Vec<Vec<u8>> = ders.iter().map(|der| der.to_vec()).collect();
        let kept = match key {
            Some((pem, passphrase)) => {
                let pkcs8 = pki::unseal(pem, passphrase).map_err(|error| {
                    unfit(&error.to_string(), "an encrypted private key (PKCS #8, PEM), and its passphrase")
                })?;
                self.keys
                    .keep(pkcs8.as_bytes())
                    .map_err(|error| unfit(&error.to_string(), "P-256, P-384 or Ed25519"))?
            }
            None => {
                let waiting = state.repository().issuer_request().await?.ok_or_else(|| {
                    Problem::new(StatusCode::CONFLICT, "no request of this node waits for a certificate")
                        .expected("bastide ca request first, or the key with the certificate")
                })?;
                self.keys.again(waiting.key, "the request")?
            }
        };
        let now = state.now();
        let chain = Chain::verify(&ders, kept.signer.public_key(), now).map_err(|error| {
            unfit(&error.to_string(), "the issuer's certificate with all above it, in PEM")
        })?;
        let ids: Vec<String> = chain.ders().map(|der| secret::hash(der).chars().take(32).collect()).collect();
        let mut records = Vec::new();
        for (at, der) in chain.ders().enumerate() {
            let view = View::of(der).map_err(CaError::from)?;
            records.push(IssuerRecord {
                id: ids.get(at).cloned().unwrap_or_default(),
                authority: state.authority().clone(),
                parent: ids.get(at + 1).cloned(),
                name: view.subject,
                key: IssuerKey::Away,
                bounds: "{\"domains\":[],\"networks\":[]}".into(),
                begins: view.begins,
                ends: view.ends,
                state: IssuerState::Foreign,
                number: 2,
                base: 1,
                changed: now,
                certificate: der.to_vec(),
            });
        }
        let mut own = records.remove(0);
        let bounds = self.needed(state, state.authority());
        let issuer = Issuer::new(&own.certificate, kept.signer, bounds.clone(), self.addresses(&own.id));
        let issuer = issuer.and_then(|issuer| issuer.below(chain.ders().skip(1)));
        let issuer = issuer.map_err(|error| unfit(&error.to_string(), "an authority's certificate"))?;
        self.certifies_the_node(&issuer)?;
        own.key = kept.key;
        own.state = IssuerState::Active;
        own.bounds = serde_json::to_string(&bounds).unwrap_or_default();
        let certificate = self.as_issued_here(state, &chain, &own).await?;
        let details = format!("taken in: {}, good until {}", own.name, own.ends);
        let decided = decided(state, user, Deed::IssuerChanged, &[("issuer", &own.id)], Some(details))?;
        if !state.repository().import_issuer(own.clone(), records, certificate, decided).await? {
            return Err(Problem::new(StatusCode::CONFLICT, "this issuer is known already"));
        }
        self.changed.notify_one();
        Ok(own)
    }

    /// The node's own certificate comes from it: one of the node's names has to lie within what it may name.
    fn certifies_the_node(&self, issuer: &Issuer) -> Result<(), Problem> {
        let names = self.own_names();
        let refusals: Vec<String> = names
            .iter()
            .filter_map(|name| issuer.allows(name).err())
            .map(|error| error.to_string())
            .collect();
        match refusals.len() == names.len() && !names.is_empty() {
            false => Ok(()),
            true => Err(unfit(
                &format!("this authority could not certify this node itself: {}", refusals.join("; ")),
                "an authority that may name one of the names of this node (server.names)",
            )),
        }
    }

    pub(super) fn own_names(&self) -> Vec<SubjectName> {
        let own = self.own.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let domains = own.domains.iter().cloned().map(SubjectName::Dns);
        domains.chain(own.networks.iter().map(|net| SubjectName::Address(net.address()))).collect()
    }

    /// How a root of this node keeps a certificate that was signed with its key elsewhere.
    async fn as_issued_here(
        &self,
        state: &AppState,
        chain: &Chain,
        own: &IssuerRecord,
    ) -> Result<Option<store::NewCertificate>, Problem> {
        let Some(parent) = &own.parent else { return Ok(None) };
        let by = state.repository().issuer(parent).await?;
        let Some(by) = by.filter(|by| by.state != IssuerState::Foreign) else { return Ok(None) };
        let serial = chain.own().map(|own| own.serial().as_bytes().to_vec()).unwrap_or_default();
        let serial = Serial::from_bytes(&serial).map_err(CaError::from)?;
        let issued = Issued { der: own.certificate.clone(), serial, from: own.begins, to: own.ends };
        let view = View::of(&own.certificate).map_err(CaError::from)?;
        Ok(Some(new_certificate(&issued, &by.id, None, "authority", &view)?))
    }
}
