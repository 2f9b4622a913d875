//! The root's key: taken out, away, and brought back.
//!
//! Guarantees: only a person takes it, themselves and not by a token, and each step is in the ledger before anything leaves;
//! it goes only when a copy of it was read back and opened, and a revocation list for the time without it was signed.

use super::{
    Ca, CaError, offline,
    status::{self, LIST_SECS},
};
use crate::{
    AppState,
    api::Problem,
    auth::{User, decided},
    secret,
};
use axum::http::StatusCode;
use ledger::Deed;
use model::Timestamp;
use pki::{Addresses, Bounds, Certificate, Issuer, RevocationList, SignedList};
use rustls::pki_types::{CertificateRevocationListDer, pem::PemObject as _};
use std::sync::PoisonError;
use store::{IssuerKey, IssuerRecord, IssuerState};

/// A root that was taken out.
pub(crate) struct Exported {
    pub(crate) file: String,
    /// The passphrase, where it was made here.
    pub(crate) passphrase: Option<String>,
}

pub(super) fn unfit(detail: &str, expected: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail.to_owned()).expected(expected.into())
}

/// Who issues certificates is changed by people, not by what a program was given.
pub(super) fn by_a_person(user: &User) -> Result<(), Problem> {
    match user.session() {
        Some(_) => Ok(()),
        None => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a token does not change who issues certificates, or where their keys are",
        )
        .expected("a person: bastide sign-in, or the console")),
    }
}

/// A root of this node.
async fn root(state: &AppState, id: &str) -> Result<IssuerRecord, Problem> {
    let record = state.repository().issuer(id).await?;
    let record = record.filter(|record| {
        record.authority == *state.authority()
            && record.parent.is_none()
            && matches!(record.state, IssuerState::Root | IssuerState::Retired)
    });
    record.ok_or_else(|| Problem::not_found("root of this node", id))
}

impl Ca {
    /// The root with its key under a passphrase, as it is kept offline. It stays here until it is taken away.
    pub(crate) async fn export_root(
        &self,
        state: &AppState,
        user: &User,
        id: &str,
        passphrase: Option<&str>,
    ) -> Result<Exported, Problem> {
        by_a_person(user)?;
        let record = root(state, id).await?;
        let made = match passphrase {
            Some(_) => None,
            None => Some(secret::fresh()?),
        };
        let under = passphrase.or(made.as_deref()).unwrap_or_default();
        offline::is_fit(under).map_err(|expected| unfit("the passphrase cannot be used", expected))?;
        let pkcs8 = self.keys.take(&record)?;
        let key = pki::seal(pkcs8.as_bytes(), under).map_err(CaError::from)?;
        let file = offline::RootFile::new(&record.certificate, key, &self.addresses(id)).text();
        let decided =
            decided(state, user, Deed::IssuerChanged, &[("issuer", id)], Some("key exported".into()))?;
        state.repository().decide(decided).await?;
        Ok(Exported { file, passphrase: made })
    }

    /// Takes the root's key away from this node, once `file` showed that it is somewhere else. Until when its list holds.
    pub(crate) async fn remove_root_key(
        &self,
        state: &AppState,
        user: &User,
        id: &str,
        (file, passphrase): (&str, &str),
    ) -> Result<Timestamp, Problem> {
        by_a_person(user)?;
        let record = root(state, id).await?;
        let signer = self.keys.open(&record)?;
        if matches!(record.key, IssuerKey::At(_)) {
            // Where it is on the token is known here alone.
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "the key of this root is on a token, and stays there",
            )
            .expected("that the token itself is taken away, and brought back when it is needed"));
        }
        drop(opened(&record, file, passphrase)?);
        let now = state.now();
        let addresses = Addresses { delta: Vec::new(), ..self.addresses(id) };
        let issuer = Issuer::new(&record.certificate, signer, Bounds::default(), addresses);
        let issuer = issuer.map_err(CaError::from)?;
        let last = state.repository().last_below(id).await?;
        let next = last.unwrap_or(now).max(now.plus_secs(LIST_SECS)).min(record.ends);
        let listed = state.repository().listed(id, None, now).await?;
        let list = RevocationList { number: record.number, base: None, made: now, next };
        let list = issuer.revocation_list(list, listed.iter().filter_map(status::revoked));
        let list = list.map_err(CaError::from)?;
        let details = format!("key taken away; its revocation list holds until {next}");
        let decided = decided(state, user, Deed::IssuerChanged, &[("issuer", id)], Some(details))?;
        self.move_key(state, &record, IssuerKey::Away, Some(list), decided).await?;
        Ok(next)
    }

    /// Brings the root's key back.
    pub(crate) async fn return_root_key(
        &self,
        state: &AppState,
        user: &User,
        id: &str,
        (file, passphrase): (&str, &str),
    ) -> Result<(), Problem> {
        by_a_person(user)?;
        let record = root(state, id).await?;
        if record.key != IssuerKey::Away {
            return Err(Problem::new(StatusCode::CONFLICT, "the key of this root is on this node"));
        }
        let pkcs8 = opened(&record, file, passphrase)?;
        let kept = self.keys.keep(pkcs8.as_bytes()).map_err(CaError::from)?;
        let decided =
            decided(state, user, Deed::IssuerChanged, &[("issuer", id)], Some("key brought back".into()))?;
        self.move_key(state, &record, kept.key, None, decided).await
    }

    /// Takes a revocation list that was signed where the key is.
    pub(crate) async fn take_list(
        &self,
        state: &AppState,
        user: &User,
        id: &str,
        list: &str,
    ) -> Result<SignedList, Problem> {
        by_a_person(user)?;
        let record = root(state, id).await?;
        let der = CertificateRevocationListDer::from_pem_slice(list.as_bytes())
            .map_err(|_| unfit("this is no revocation list", "one in PEM (BEGIN X509 CRL)"))?;
        let by = Certificate::from_der(&record.certificate);
        let by = by.map_err(|_| CaError::Unreadable(record.name.clone()))?;
        let read = SignedList::verify(&der, &by)
            .map_err(|error| unfit(&error.to_string(), "a full list of this root, as it was signed"))?;
        let now = state.now();
        if read.next <= now || read.made > now.plus_secs(300) {
            return Err(unfit(
                &format!("the list is good from {} to {}, and not now ({now})", read.made, read.next),
                "one that is good now",
            ));
        }
        let details = format!("list {} taken, good until {}", read.number, read.next);
        let decided = decided(state, user, Deed::IssuerChanged, &[("issuer", id)], Some(details))?;
        if !state.repository().keep_list(id, (read.number, der.to_vec()), decided).await? {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "the list is not taken: the root's key is on this node, or there is a newer list",
            )
            .expected(format!("a number from {} on", record.number)));
        }
        Ok(read)
    }

    async fn move_key(
        &self,
        state: &AppState,
        record: &IssuerRecord,
        now: IssuerKey,
        list: Option<Vec<u8>>,
        decided: store::Decided,
    ) -> Result<(), Problem> {
        let moved = (&record.key, &now);
        if !state.repository().move_issuer_key(&record.id, moved, list, decided).await? {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "somebody else moved this key at the same moment",
            ));
        }
        self.working.write().unwrap_or_else(PoisonError::into_inner).remove(&record.id);
        self.status.forget();
        Ok(())
    }
}

/// The key in a file, which has to be that of the root.
fn opened(record: &IssuerRecord, file: &str, passphrase: &str) -> Result<pki::SecretDocument, Problem> {
    let wrong = |reason: String| {
        unfit(&format!("the file cannot be used: {reason}"), "what `bastide ca export-root` wrote")
    };
    let read = offline::RootFile::read(file).map_err(wrong)?;
    if read.certificate != record.certificate {
        return Err(unfit("the file holds another root", record.name.clone()));
    }
    read.open(passphrase).map_err(wrong)
}
