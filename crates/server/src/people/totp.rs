//! The second factor beside a password: codes of an authenticator app (RFC 6238: SHA-1, six digits, thirty seconds).
//!
//! Guarantees: a code is good within one step of its moment; the step is given back, so that the caller takes each once.

use crate::secret::NoRandomness;
use model::Timestamp;
use totp_rs::{Builder, Secret, Totp};

/// Bytes of a shared secret (RFC 4226, section 4: at least 16, 20 recommended).
pub(crate) const SECRET: usize = 20;
/// How long a code is the current one, in seconds.
const STEP_SECS: u64 = 30;

/// A fresh shared secret.
///
/// # Errors
/// Where the machine has no randomness.
pub(crate) fn fresh() -> Result<[u8; SECRET], NoRandomness> {
    crate::secret::random()
}

/// The step in whose code somebody typed at `now`; unset where it is no code of these moments.
pub(crate) fn step(secret: &[u8], typed: &str, now: Timestamp) -> Option<u64> {
    let code: String = typed.chars().filter(|letter| !letter.is_whitespace()).take(7).collect();
    app(secret, "", "")?.check(&code, seconds(now))
}

/// The moment that a step is for.
pub(crate) fn moment(step: u64) -> Timestamp {
    Timestamp::from_secs(i64::try_from(step.saturating_mul(STEP_SECS)).unwrap_or(i64::MAX / 1_000_000))
}

/// The secret as it is typed where no picture can be read: groups of four letters.
pub(crate) fn as_text(secret: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in secret {
        (bits, held) = (bits << 8 | u32::from(*byte), held + 8);
        while held >= 5 {
            held -= 5;
            let index = (bits >> held) & 31;
            if text.len() % 5 == 4 {
                text.push(' ');
            }
            text.push(LETTERS.get(index as usize).copied().map_or('A', char::from));
        }
    }
    text
}

/// What an authenticator app reads from the QR code: `otpauth://totp/…`.
pub(crate) fn address(secret: &[u8], issuer: &str, login: &str) -> Option<String> {
    // A colon would end the issuer.
    app(secret, &issuer.replace(':', " "), &login.replace(':', " "))?.to_url().ok()
}

fn app(secret: &[u8], issuer: &str, login: &str) -> Option<Totp> {
    let issuer = Some(issuer.to_owned()).filter(|issuer| !issuer.is_empty());
    let secret = Secret::new(secret.into());
    Builder::new().with_secret(secret).with_issuer(issuer).with_account_name(login).build().ok()
}

fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.micros().div_euclid(1_000_000)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, the last six of its eight digits.
        let secret = b"12345678901234567890";
        let check = |at: i64, code: &str, expected: Option<u64>| {
            assert_eq!(step(secret, code, Timestamp::from_secs(at)), expected, "{code} at {at}");
        };
        check(59, "287082", Some(1));
        check(1_111_111_109, "081804", Some(37_037_036));
        check(20_000_000_000, "353130", Some(666_666_666));
        check(59, " 287 082 ", Some(1));
        // A step early or late is taken, two are not.
        check(89, "287082", Some(1));
        check(29, "287082", Some(1));
        check(90, "287082", None);
        check(59, "28708", None);
        check(59, "2870822", None);
        check(59, "abcdef", None);
        check(59, "", None);
        // A phone whose clock is an hour off.
        check(59 + 3_600, "287082", None);
        assert_eq!(moment(1), Timestamp::from_secs(30));
    }

    #[test]
    fn an_app_reads_the_address() {
        let address = address(b"12345678901234567890", "Harbour: City", "jean dupont").unwrap();
        assert!(address.starts_with("otpauth://totp/"), "{address}");
        assert!(address.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "{address}");
        assert!(address.contains("issuer=Harbour"), "{address}");
        assert_eq!(as_text(b"12345678901234567890"), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    }
}
