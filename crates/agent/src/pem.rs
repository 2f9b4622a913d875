//! PEM texts: certificates and a key, each between its lines (RFC 7468).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pkcs11::Place;
use rustls::pki_types::pem::{PemObject as _, SectionKind};

/// The most parts that are read of one text.
const MOST: usize = 32;

/// The parts of a text.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Certificates in DER.
    pub(crate) certificates: Vec<Vec<u8>>,
    /// Private keys as PKCS #8 in DER.
    pub(crate) keys: Vec<Vec<u8>>,
    /// Where a private key is instead: a line of its own before the certificates, which others skip (RFC 7468, 2).
    pub(crate) places: Vec<Place>,
}

/// The certificates and private keys of a text; other parts are skipped.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(text: &[u8]) -> Result<Parts, String> {
    let mut parts = Parts::default();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"pkcs11:"));
    for line in lines.take(MOST) {
        let place = String::from_utf8_lossy(line).trim_end().parse();
        parts.places.push(place.map_err(|error: pkcs11::PlaceError| error.to_string())?);
    }
    for (count, part) in <(SectionKind, Vec<u8>)>::pem_slice_iter(text).enumerate() {
        let (kind, der) = part.map_err(|error| format!("expected PEM: {error}"))?;
        if count >= MOST {
            return Err(format!("expected at most {MOST} parts"));
        }
        match kind {
            SectionKind::Certificate => parts.certificates.push(der),
            SectionKind::PrivateKey => parts.keys.push(der),
            _ => {}
        }
    }
    Ok(parts)
}

/// One part.
pub(crate) fn write(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in BASE64_STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
