//! What can be wrong, in words for whoever sent it.

use model::Timestamp;

/// Why a certificate signing request is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// Larger than any request is.
    #[error("the request has {found} bytes: expected at most {most}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// Not a PKCS#10 request in DER.
    #[error("this is no PKCS#10 certificate signing request in DER: {0}")]
    NotDer(der::Error),
    /// Not signed by the key it is about.
    #[error("the request is not signed by its own key: expected a signature that proves possession of it")]
    NotItsKey,
    /// A signature that proves nothing today.
    #[error(
        "the request is signed with {0}: expected ECDSA with SHA-256 or longer, Ed25519, or RSA (PKCS #1 v1.5) with \
         SHA-256 or longer"
    )]
    Algorithm(String),
    /// A key that is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A name that is none, or of a kind that is not issued.
    #[error("the request asks for {asked:?} as a name: {reason}")]
    Name {
        /// What was asked.
        asked: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More names than a certificate gets.
    #[error("the request asks for {found} names: expected at most {most}")]
    TooManyNames {
        /// How many.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// Something that stands twice.
    #[error("the request has {0} more than once")]
    Twice(&'static str),
}

/// Why a public key is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not read.
    #[error("the public key cannot be read: {0}")]
    NotDer(der::Error),
    /// Of a kind that is not taken.
    #[error(
        "the key is of a kind that is not taken ({0}): expected P-256, P-384, Ed25519, or RSA from 2048 bits"
    )]
    Kind(String),
    /// RSA that is too short or too long.
    #[error("the RSA key has {0} bits: expected 2048 to 8192")]
    RsaSize(usize),
    /// RSA with an exponent that weakens it.
    #[error("the RSA key has a weak exponent: expected an odd one from 65537")]
    RsaExponent,
}

/// Why a certificate is not read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    /// Larger than any certificate is.
    #[error("the certificate has {found} bytes: expected at most {most}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// Not a certificate in DER.
    #[error("this is no certificate in DER: {0}")]
    NotDer(der::Error),
    /// A key that is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A serial number that is none.
    #[error("the certificate's serial number is none: expected a positive number of 1 to 20 bytes")]
    Serial,
    /// A name in it that is none.
    #[error("a name in the certificate cannot be read")]
    Names,
}

/// Why an issuer's chain is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChainError {
    /// None, or more than there are.
    #[error("found {found} certificates: expected 1 to {most}, from the issuer's own to the root")]
    Count {
        /// How many.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// One that cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// None is about the key that asked.
    #[error(
        "none of the {found} certificates is about the key of this request: was another request certified?"
    )]
    OtherKey {
        /// How many there are.
        found: usize,
    },
    /// One that somebody is missing to.
    #[error(
        "the certificate of {by}, which issued that of {of}, is not among them: expected all up to the root"
    )]
    Missing {
        /// Whose issuer is missing.
        of: String,
        /// Who that is.
        by: String,
    },
    /// One that is not signed by whom it names.
    #[error("the certificate of {of} is not signed by {by}, as it says")]
    NotSigned {
        /// Whose.
        of: String,
        /// By whom it should be.
        by: String,
    },
    /// Only a root.
    #[error("this is a root: expected an authority's certificate that somebody above it signed")]
    IsRoot,
    /// One that is over, or not yet good.
    #[error("the certificate of {of} is good from {from} to {to}, and not at {now}")]
    NotGood {
        /// Whose.
        of: String,
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
        /// The moment.
        now: Timestamp,
    },
    /// Too many authorities below one another.
    #[error(
        "the certificate of {of} allows {most} authorities below it (path length), and there are {found}"
    )]
    TooDeep {
        /// Whose.
        of: String,
        /// How many it allows.
        most: u8,
        /// How many there are.
        found: usize,
    },
    /// One that may not be there.
    #[error("the certificate of {of} cannot be used: {reason}")]
    Unfit {
        /// Whose.
        of: String,
        /// Why.
        reason: String,
    },
}

/// Why a revocation list is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ListError {
    /// Larger than any list here.
    #[error("the revocation list has {found} bytes: expected at most {most}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// Not a list in DER.
    #[error("this is no revocation list in DER: {0}")]
    NotDer(der::Error),
    /// Somebody else's.
    #[error("the revocation list is that of {found}: expected {expected}")]
    OtherIssuer {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// Not signed by its issuer.
    #[error("the revocation list is not signed by {expected}")]
    NotSigned {
        /// By whom it should be.
        expected: String,
    },
    /// Something that a list needs here.
    #[error("the revocation list lacks {0}")]
    Lacks(&'static str),
}

/// Why a signed message is not believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JwsError {
    /// Not of that form.
    #[error("this is no signed message: {0}")]
    Form(&'static str),
    /// A header that is not understood.
    #[error("the header of the signed message cannot be used: {0}")]
    Header(String),
    /// The signer's certificate.
    #[error("the certificate that came with the signature: {0}")]
    Signer(#[from] CertificateError),
    /// Signed with something else.
    #[error("the message is marked {marked} and was signed by a key of {key}")]
    Algorithm {
        /// What the header says.
        marked: &'static str,
        /// What the key is.
        key: String,
    },
    /// Not signed by that key.
    #[error("the signature over the message is not that of its certificate")]
    NotSigned,
}

/// Why a key does not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The private key cannot be used.
    #[error("the private key cannot be read: expected PKCS #8 of a {0} key")]
    Unreadable(&'static str),
    /// It lies encrypted and does not open.
    #[error("the private key does not open: {0}")]
    NotOpened(String),
    /// Where the key is kept cannot be reached.
    #[error("the private key cannot be reached: {0}")]
    Away(String),
    /// Where the key is kept it was refused.
    #[error("the key did not sign: {0}")]
    Refused(String),
}

/// Why no certificate, list or answer is issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A value that DER does not hold.
    #[error("cannot be written as DER: {0}")]
    Der(#[from] der::Error),
    /// A certificate that cannot issue.
    #[error("the issuer's certificate cannot be used: {0}")]
    Issuer(String),
    /// The issuer's own certificate is not good at that moment.
    #[error("the issuer's certificate is good from {from} to {to}, and not at {now}")]
    IssuerNotGood {
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
        /// The moment.
        now: Timestamp,
    },
    /// A name outside of what the authority is.
    #[error("{name} is not this authority's: expected {expected}")]
    OutOfBounds {
        /// The name.
        name: String,
        /// What is.
        expected: String,
    },
    /// A name of a kind that the profile does not give.
    #[error("certificates of the profile `{profile}` hold no {kind}: expected {expected}")]
    NotInProfile {
        /// The profile.
        profile: String,
        /// The kind of name.
        kind: &'static str,
        /// The kinds it gives.
        expected: String,
    },
    /// A subject that no certificate can hold.
    #[error("{what} of the subject has {found} characters: expected 1 to {most}, and no control characters")]
    Subject {
        /// Which part.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The bound of RFC 5280.
        most: usize,
    },
    /// A serial number that is none.
    #[error("a serial number has 8 to 20 bytes and is positive")]
    Serial,
}

/// Why an OCSP request is answered with an error.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OcspError {
    /// Not an OCSP request, or too much of one.
    #[error("this is no OCSP request that is answered: {0}")]
    Malformed(String),
}

/// What is wrong in the settings of profiles.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProfileError {
    /// A lifetime out of bounds.
    #[error("profile `{profile}`: `days` is {found}: expected 1 to {most}")]
    Days {
        /// The profile.
        profile: String,
        /// What was found.
        found: u32,
        /// The bound.
        most: u32,
    },
    /// Good for nothing.
    #[error("profile `{profile}`: `usages` is empty: expected `client`, `server` or both")]
    NoUsage {
        /// The profile.
        profile: String,
    },
    /// A name that is none.
    #[error("profile `{0}`: expected a name of 1 to 32 small letters, digits and dashes")]
    Name(String),
}
