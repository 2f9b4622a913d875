//! Object identifiers that are needed beyond those of the format crates.

use der::asn1::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");
pub(crate) const SECP256R1: ObjectIdentifier = oid("1.2.840.10045.3.1.7");
pub(crate) const SECP384R1: ObjectIdentifier = oid("1.3.132.0.34");
pub(crate) const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
pub(crate) const ED25519: ObjectIdentifier = oid("1.3.101.112");
pub(crate) const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
pub(crate) const ECDSA_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
pub(crate) const ECDSA_SHA512: ObjectIdentifier = oid("1.2.840.10045.4.3.4");
pub(crate) const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
pub(crate) const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
pub(crate) const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");

pub(crate) const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
pub(crate) const SERIAL_NUMBER: ObjectIdentifier = oid("2.5.4.5");
pub(crate) const ORGANIZATION: ObjectIdentifier = oid("2.5.4.10");
pub(crate) const MAIL: ObjectIdentifier = oid("1.2.840.113549.1.9.1");
pub(crate) const UNIT: ObjectIdentifier = oid("2.5.4.11");

pub(crate) const EXTENSION_REQUEST: ObjectIdentifier = oid("1.2.840.113549.1.9.14");
pub(crate) const CHALLENGE_PASSWORD: ObjectIdentifier = oid("1.2.840.113549.1.9.7");

pub(crate) const CLIENT_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.2");
pub(crate) const SERVER_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.1");
pub(crate) const OCSP_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.9");
pub(crate) const OCSP_NO_CHECK: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.5");
pub(crate) const OCSP_ACCESS: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1");
pub(crate) const ISSUER_ACCESS: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.2");
pub(crate) const SUBJECT_NAMES: ObjectIdentifier = oid("2.5.29.17");
pub(crate) const NAME_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.30");
pub(crate) const ANY_USAGE: ObjectIdentifier = oid("2.5.29.37.0");
/// Extensions of authorities' certificates that verifiers know: key usage, names, basic constraints, name constraints,
/// policies, policy constraints, extended key usage, inhibited policies.
pub(crate) const KNOWN_CRITICAL: [ObjectIdentifier; 8] = [
    oid("2.5.29.15"),
    SUBJECT_NAMES,
    oid("2.5.29.19"),
    NAME_CONSTRAINTS,
    oid("2.5.29.32"),
    oid("2.5.29.36"),
    oid("2.5.29.37"),
    oid("2.5.29.54"),
];
pub(crate) const CRL_REASON: ObjectIdentifier = oid("2.5.29.21");

pub(crate) const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
pub(crate) const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
