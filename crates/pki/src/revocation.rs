//! Revocation lists (RFC 5280): full ones, and deltas that say what changed since.

use crate::{
    encode,
    error::IssueError,
    issuer::{Issuer, Serial, points},
    oid,
};
use der::{Encode as _, asn1::Uint};
use model::Timestamp;
use x509_cert::{
    Version,
    crl::{CertificateList, RevokedCert, TbsCertList},
    ext::{
        AsExtension as _,
        pkix::{BaseCrlNumber, CrlNumber, CrlReason, crl::FreshestCrl},
    },
};

/// Why a certificate is no good any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not said.
    Unspecified,
    /// Somebody else has the key.
    KeyCompromise,
    /// Somebody else has the issuer's key.
    CaCompromise,
    /// It belongs elsewhere now.
    AffiliationChanged,
    /// There is a newer one.
    Superseded,
    /// It does nothing any more.
    CessationOfOperation,
    /// Suspended: it can be taken back.
    CertificateHold,
    /// It was suspended, and is not any more: in deltas only.
    RemoveFromCrl,
    /// What it was for was taken away.
    PrivilegeWithdrawn,
}

impl Reason {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::RemoveFromCrl,
        Self::PrivilegeWithdrawn,
    ];

    /// As RFC 5280 names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::CaCompromise => "ca-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::CertificateHold => "certificate-hold",
            Self::RemoveFromCrl => "remove-from-crl",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    pub(crate) const fn code(self) -> CrlReason {
        match self {
            Self::Unspecified => CrlReason::Unspecified,
            Self::KeyCompromise => CrlReason::KeyCompromise,
            Self::CaCompromise => CrlReason::CaCompromise,
            Self::AffiliationChanged => CrlReason::AffiliationChanged,
            Self::Superseded => CrlReason::Superseded,
            Self::CessationOfOperation => CrlReason::CessationOfOperation,
            Self::CertificateHold => CrlReason::CertificateHold,
            Self::RemoveFromCrl => CrlReason::RemoveFromCRL,
            Self::PrivilegeWithdrawn => CrlReason::PrivilegeWithdrawn,
        }
    }
}

/// A certificate that is no good any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its number.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// Which list it is and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationList {
    /// Rises with each list; a delta and a full list made together have the same.
    pub number: u64,
    /// For a delta: the number of the full list on which it builds.
    pub base: Option<u64>,
    /// When it was made.
    pub made: Timestamp,
    /// When the next one comes at the latest.
    pub next: Timestamp,
}

impl Issuer {
    /// A revocation list in DER. A full one holds all certificates of this issuer that are revoked and have not ended.
    ///
    /// # Errors
    /// [`IssueError`] where the key does not sign.
    pub fn revocation_list(
        &self,
        list: RevocationList,
        revoked: impl IntoIterator<Item = Revoked>,
    ) -> Result<Vec<u8>, IssueError> {
        let number = |number: u64| Uint::new(&number.to_be_bytes());
        let mut extensions = vec![
            self.authority_key()?.to_extension(self.name(), &[])?,
            CrlNumber(number(list.number)?).to_extension(self.name(), &[])?,
        ];
        match list.base {
            Some(base) => {
                extensions.push(BaseCrlNumber(number(base)?).to_extension(self.name(), &[])?);
            }
            None if !self.addresses().delta.is_empty() => {
                extensions
                    .push(FreshestCrl(points(&self.addresses().delta)?).to_extension(self.name(), &[])?);
            }
            None => {}
        }
        let entries = revoked.into_iter().map(|revoked| {
            let reason = (revoked.reason != Reason::Unspecified)
                .then(|| encode::extension(oid::CRL_REASON, false, &revoked.reason.code()))
                .transpose()?;
            Ok(RevokedCert {
                serial_number: revoked.serial.encoded()?,
                revocation_date: encode::time(revoked.at)?,
                crl_entry_extensions: reason.map(|reason| vec![reason]),
            })
        });
        let entries = entries.collect::<der::Result<Vec<_>>>()?;
        let tbs_cert_list = TbsCertList {
            // Version 2 of lists is written as 1, as version 2 of certificates.
            version: Version::V2,
            signature: self.signer().algorithm().identifier(),
            issuer: self.name().clone(),
            this_update: encode::time(list.made)?,
            next_update: Some(encode::time(list.next)?),
            // Absent where there are none (RFC 5280, 5.1.2.6).
            revoked_certificates: if entries.is_empty() { None } else { Some(entries) },
            crl_extensions: Some(extensions),
        };
        let signature = encode::sign(self.signer(), &tbs_cert_list)?;
        let signature_algorithm = self.signer().algorithm().identifier();
        Ok(CertificateList { tbs_cert_list, signature_algorithm, signature }.to_der()?)
    }
}
