//! The chain of an issuer that somebody else certified: its own certificate, those between, and the root.
//!
//! A [`Chain`] that exists was verified: each certificate is signed by the next, which may sign it, all are good at the
//! moment, and what is issued below it is taken by whoever trusts the root.

use crate::{certificate::Certificate, error::ChainError, key::PublicKey, limits::Limits, oid};
use model::Timestamp;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

/// The most certificates that are read of a file.
const MOST: usize = 16;
/// The longest chain, its root included.
const LONGEST: usize = 8;

/// An issuer's certificate (first), those above it, and the root (last), in DER.
#[derive(Debug)]
pub struct Chain {
    certificates: Vec<(Vec<u8>, Certificate)>,
}

impl Chain {
    /// Out of these certificates, in whatever order, the chain of the one that is about `key`.
    ///
    /// # Errors
    /// [`ChainError`] with what does not fit, and what was expected.
    pub fn verify(ders: &[Vec<u8>], key: &PublicKey, now: Timestamp) -> Result<Self, ChainError> {
        if ders.is_empty() || ders.len() > MOST {
            return Err(ChainError::Count { found: ders.len(), most: MOST });
        }
        let read = ders.iter().map(|der| Ok((der.clone(), Certificate::from_der(der)?)));
        let mut left: Vec<(Vec<u8>, Certificate)> = read.collect::<Result<_, ChainError>>()?;
        left.dedup_by(|one, other| one.0 == other.0);
        let own = left.iter().position(|(_, certificate)| certificate.key() == key);
        let own = own.ok_or(ChainError::OtherKey { found: left.len() })?;
        let mut certificates = vec![left.swap_remove(own)];
        while let Some((_, current)) = certificates.last()
            && !current.is_root()
        {
            let of = current.view().subject.clone();
            let named = |(_, above): &(Vec<u8>, Certificate)| above.subject() == current.issuer();
            if current.issuer() == current.subject() {
                return Err(ChainError::NotSigned { by: of.clone(), of });
            }
            let by = current.issuer().to_string();
            if !left.iter().any(named) {
                return Err(ChainError::Missing { of, by });
            }
            let signed = left.iter().position(|above| named(above) && current.is_signed_by(&above.1));
            let above = signed.ok_or(ChainError::NotSigned { of, by })?;
            let above = left.swap_remove(above);
            certificates.push(above);
            if certificates.len() > LONGEST {
                return Err(ChainError::Count { found: certificates.len(), most: LONGEST });
            }
        }
        for (below, (_, certificate)) in certificates.iter().enumerate() {
            check(certificate, below, now)?;
        }
        if certificates.len() < 2 {
            return Err(ChainError::IsRoot);
        }
        Ok(Self { certificates })
    }

    /// The certificates in DER, the issuer's own first.
    pub fn ders(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.certificates.iter().map(|(der, _)| der.as_slice())
    }

    /// The issuer's own certificate.
    #[must_use]
    pub fn own(&self) -> Option<&Certificate> {
        self.certificates.first().map(|(_, certificate)| certificate)
    }
}

/// Whether a certificate may be where it is, with so many authorities below it.
fn check(certificate: &Certificate, below: usize, now: Timestamp) -> Result<(), ChainError> {
    let of = || certificate.view().subject.clone();
    let unfit = |reason: &str| ChainError::Unfit { of: of(), reason: reason.to_owned() };
    let (from, to) = (certificate.view().begins, certificate.view().ends);
    if now < from || now >= to {
        return Err(ChainError::NotGood { of: of(), from, to, now });
    }
    let body = certificate.body();
    let constraints =
        body.get::<BasicConstraints>().map_err(|_| unfit("its basic constraints cannot be read"))?;
    let constraints = constraints.map(|(_, constraints)| constraints).filter(|constraints| constraints.ca);
    let constraints =
        constraints.ok_or_else(|| unfit("it is not an authority's (basic constraints without CA)"))?;
    let usage = body.get::<KeyUsage>().map_err(|_| unfit("its key usage cannot be read"))?;
    if let Some((_, usage)) = usage {
        if !usage.key_cert_sign() {
            return Err(unfit("its key may not sign certificates (key usage without keyCertSign)"));
        }
        if below == 0 && !usage.crl_sign() {
            return Err(unfit("its key may not sign revocation lists (key usage without cRLSign)"));
        }
    }
    if let Some(most) = constraints.path_len_constraint.filter(|most| usize::from(*most) < below) {
        return Err(ChainError::TooDeep { of: of(), most, found: below });
    }
    let usages =
        body.get::<ExtendedKeyUsage>().map_err(|_| unfit("its extended key usage cannot be read"))?;
    if let Some((_, usages)) = usages
        && !usages.0.contains(&oid::ANY_USAGE)
        && ![oid::CLIENT_AUTH, oid::SERVER_AUTH].iter().all(|usage| usages.0.contains(usage))
    {
        return Err(unfit("what it issues is not for TLS clients and servers (extended key usage)"));
    }
    Limits::of(certificate.certificate()).map_err(unfit)?;
    let extensions = body.extensions.iter().flatten();
    let unknown =
        extensions.filter(|one| one.critical).find(|one| !oid::KNOWN_CRITICAL.contains(&one.extn_id));
    match unknown {
        Some(unknown) => {
            let id = unknown.extn_id;
            Err(unfit(&format!("it has a critical extension that verifiers will not know ({id})")))
        }
        None => Ok(()),
    }
}
