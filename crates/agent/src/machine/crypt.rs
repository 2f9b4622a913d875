//! Whether a password is the one of a hash in `shadow`: the forms that devices use, as crypt(5) describes them.
//!
//! Forms that are made to be slow beyond what a small device can spare (yescrypt, bcrypt, many rounds) are not tried.

use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

/// The most rounds of SHA-crypt that are tried; 5000 are usual.
const MOST_ROUNDS: u32 = 20_000;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether it is; nothing where hashes of that form are not tried.
pub(super) fn matches(password: &[u8], hash: &str) -> Option<bool> {
    let (form, rest) = hash.strip_prefix('$')?.split_once('$')?;
    match form {
        "1" => {
            let (salt, digest) = rest.split_once('$')?;
            Some(md5(password, salt.as_bytes()) == digest)
        }
        "5" => sha::<Sha256>(password, rest, &ORDER_256),
        "6" => sha::<Sha512>(password, rest, &ORDER_512),
        _ => None,
    }
}

/// MD5-crypt, by Poul-Henning Kamp.
fn md5(password: &[u8], salt: &[u8]) -> String {
    use md5::Digest as _;
    let salt = salt.get(..8).unwrap_or(salt);
    let both = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = Md5::new().chain_update(password).chain_update("$1$").chain_update(salt);
    first.update(repeated(&both, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &[0] } else { password.get(..1).unwrap_or_default() });
        bits >>= 1;
    }
    let mut digest = first.finalize();
    for round in 0..1_000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &digest });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &digest } else { password });
        digest = next.finalize();
    }
    written(&digest, &ORDER_MD5)
}

/// SHA-crypt, by Ulrich Drepper.
fn sha<D: Digest>(password: &[u8], rest: &str, order: &[usize]) -> Option<bool> {
    let (rounds, rest) = match rest.strip_prefix("rounds=") {
        Some(rest) => {
            let (rounds, rest) = rest.split_once('$')?;
            (rounds.parse::<u32>().ok()?.max(1_000), rest)
        }
        None => (5_000, rest),
    };
    if rounds > MOST_ROUNDS {
        return None;
    }
    let (salt, expected) = rest.split_once('$')?;
    let salt = salt.as_bytes();
    let salt = salt.get(..16).unwrap_or(salt);
    let both = D::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = D::new().chain_update(password).chain_update(salt);
    first.update(repeated(&both, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &both } else { password });
        bits >>= 1;
    }
    let mut digest = first.finalize();
    let times = |part: &[u8], times: usize| {
        let mut hash = D::new();
        (0..times).for_each(|_| hash.update(part));
        hash.finalize()
    };
    let by_password = repeated(&times(password, password.len()), password.len());
    let salted = 16 + digest.first().copied().map_or(0, usize::from);
    let by_salt = repeated(&times(salt, salted), salt.len());
    for round in 0..rounds {
        let mut next = D::new();
        next.update(if round & 1 == 1 { &by_password } else { &digest[..] });
        if round % 3 != 0 {
            next.update(&by_salt);
        }
        if round % 7 != 0 {
            next.update(&by_password);
        }
        next.update(if round & 1 == 1 { &digest[..] } else { &by_password });
        digest = next.finalize();
    }
    Some(written(&digest, order) == expected)
}

/// A digest over and over, until it is that long.
fn repeated(digest: &[u8], length: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(length).collect()
}

/// In which order the bytes of a digest are written, three at a time, the first of them highest.
const ORDER_MD5: [usize; 16] = [0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 5, 11];
const ORDER_256: [usize; 32] = [
    0, 10, 20, 21, 1, 11, 12, 22, 2, 3, 13, 23, 24, 4, 14, 15, 25, 5, 6, 16, 26, 27, 7, 17, 18, 28, 8, 9, 19,
    29, 31, 30,
];
const ORDER_512: [usize; 64] = [
    0, 21, 42, 22, 43, 1, 44, 2, 23, 3, 24, 45, 25, 46, 4, 47, 5, 26, 6, 27, 48, 28, 49, 7, 50, 8, 29, 9, 30,
    51, 31, 52, 10, 53, 11, 32, 12, 33, 54, 34, 55, 13, 56, 14, 35, 15, 36, 57, 37, 58, 16, 59, 17, 38, 18,
    39, 60, 40, 61, 19, 62, 20, 41, 63,
];

/// In the alphabet of crypt, lowest bits first.
fn written(digest: &[u8], order: &[usize]) -> String {
    let mut text = String::new();
    for three in order.chunks(3) {
        let mut bits =
            three.iter().fold(0_u32, |bits, &at| bits << 8 | digest.get(at).copied().map_or(0, u32::from));
        for _ in 0..=three.len() {
            text.push(ALPHABET.get((bits & 63) as usize).copied().map_or('.', char::from));
            bits >>= 6;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn openssl(form: &str, salt: &str, password: &str) -> String {
        let arguments = ["passwd", form, "-salt", salt, password];
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn agrees_with_openssl() {
        let long = "a password that is longer than any digest, by far: 0123456789 0123456789 0123456789";
        for password in ["a", "admin", "12345678", "0123456789abcdef", "Üß", long] {
            for (form, salt) in [
                ("-1", "abcdefgh"),
                ("-1", "ab"),
                ("-5", "0123456789abcdef"),
                ("-5", "x"),
                ("-6", "saltsalt"),
                ("-5", "rounds=1000$abc"),
                ("-6", "rounds=6001$abc"),
            ] {
                let hash = openssl(form, salt, password);
                assert_eq!(matches(password.as_bytes(), &hash), Some(true), "{hash}");
                assert_eq!(matches(b"another", &hash), Some(false), "{hash}");
            }
        }
    }

    #[test]
    fn what_is_too_slow_or_strange_is_not_tried() {
        for hash in [
            "$y$j9T$abc$def",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$5$rounds=20001$salt$x",
            "$5$rounds=x$salt$x",
            "$6$nodollar",
            "$1$",
            "$",
            "rubbish",
        ] {
            assert_eq!(matches(b"admin", hash), None, "{hash}");
        }
    }
}
