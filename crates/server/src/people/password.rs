//! Passwords: argon2id, and the two rules for choosing one.
//!
//! Guarantees: at most [`AT_ONCE`] hashes are made at a time, each in [`MEMORY_KIB`] KiB; somebody without a password
//! costs as much as somebody with one; a password is never part of an error or a log line.

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use aws_lc_rs::rand;
use tokio::sync::Semaphore;

/// The shortest password, in letters.
pub(crate) const SHORTEST: usize = 12;
/// The longest password, in letters. Long enough for any passphrase, short enough to be hashed for anybody who asks.
pub(crate) const LONGEST: usize = 256;
/// RFC 9106, section 4, the second recommended setting, with one lane.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// How many hashes are made side by side.
const AT_ONCE: usize = 2;

/// Compared where there is no password, so that it costs the same: no password is known to have this hash.
const NOBODY: &str =
    "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The words of `rules/common-passwords.txt`.
fn common() -> impl Iterator<Item = &'static str> {
    include_str!("../../../../rules/common-passwords.txt")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Hashes and compares passwords.
pub(crate) struct Passwords {
    hasher: Argon2<'static>,
    room: Semaphore,
}

/// A password could not be hashed or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no password can be hashed now: the machine lacks memory or randomness")]
pub(crate) struct CannotHash;

impl Passwords {
    /// # Errors
    /// Where the settings above are none.
    pub(crate) fn new() -> Result<Self, CannotHash> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| CannotHash)?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Ok(Self { hasher, room: Semaphore::new(AT_ONCE) })
    }

    /// What is kept of a password: a PHC string.
    ///
    /// # Errors
    /// [`CannotHash`].
    pub(crate) async fn hash(&self, password: String) -> Result<String, CannotHash> {
        let hasher = self.hasher.clone();
        self.with_room(move || hash(&hasher, &password)).await?
    }

    /// Whether `password` is the one of which `kept` was made. Takes as long where there is none.
    ///
    /// # Errors
    /// [`CannotHash`].
    pub(crate) async fn is(&self, password: String, kept: Option<String>) -> Result<bool, CannotHash> {
        if password.chars().count() > LONGEST {
            return Ok(false);
        }
        let (hasher, somebody) = (self.hasher.clone(), kept.is_some());
        let kept = kept.unwrap_or_else(|| NOBODY.to_owned());
        let same = self
            .with_room(move || hasher.verify_password(password.as_bytes(), kept.as_str()).is_ok())
            .await?;
        Ok(same && somebody)
    }

    async fn with_room<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CannotHash> {
        let _room = self.room.acquire().await.map_err(|_closed| CannotHash)?;
        tokio::task::spawn_blocking(work).await.map_err(|_panicked| CannotHash)
    }
}

fn hash(hasher: &Argon2<'_>, password: &str) -> Result<String, CannotHash> {
    let mut salt = [0_u8; 16];
    rand::fill(&mut salt).map_err(|_| CannotHash)?;
    let hash = hasher.hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| CannotHash)?;
    Ok(hash.to_string())
}

/// Why a password cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Too short or too long.
    #[error("expected {SHORTEST} to {LONGEST} letters; found {0}")]
    Length(usize),
    /// One of the commonest, or the name of its owner.
    #[error(
        "this is one of the first passwords that somebody who guesses would try; three or four random words are better"
    )]
    Common,
}

/// Whether a password may be chosen by somebody with these names. Length and commonness are the only rules.
///
/// # Errors
/// [`Unfit`] with what was expected.
pub(crate) fn check_choice(password: &str, names: &[&str]) -> Result<(), Unfit> {
    let letters = password.chars().count();
    if !(SHORTEST..=LONGEST).contains(&letters) {
        return Err(Unfit::Length(letters));
    }
    let core = core(password);
    let names = names.iter().flat_map(|name| name.split(|c: char| !c.is_alphanumeric())).map(fold);
    // One or two letters over and over, or none at all.
    let known = core.chars().count() <= 2
        || common().any(|word| core == word)
        || names.filter(|name| name.len() >= 3).any(|name| name == core)
        || is_a_walk(&fold(password));
    if known { Err(Unfit::Common) } else { Ok(()) }
}

/// Case and look-alikes taken away.
fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            '0' => 'o',
            '1' | '!' | '|' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .collect()
}

/// What is left when digits and signs around it and repetition are taken away.
fn core(password: &str) -> String {
    let inner = password.trim_matches(|letter: char| !letter.is_alphabetic());
    // Signs at the edge may stand for letters: "p@ssword" keeps its second letter, "$ecret" its first.
    let folded = fold(if inner.is_empty() { "" } else { inner });
    let letters: Vec<char> = folded.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let period = (1..=letters.len() / 2).find(|period| {
        letters.len().is_multiple_of(*period)
            && letters.chunks(*period).all(|chunk| chunk == letters.get(..*period).unwrap_or_default())
    });
    letters.into_iter().take(period.unwrap_or(usize::MAX)).collect()
}

/// Rows of the keyboard and of the alphabet, read in either direction, or one letter over and over.
fn is_a_walk(folded: &str) -> bool {
    const ROWS: [&str; 6] = [
        "qwertyuiopasdfghjklzxcvbnm",
        "qwertzuiopasdfghjklyxcvbnm",
        "azertyuiopqsdfghjklmwxcvbn",
        "abcdefghijklmnopqrstuvwxyz",
        "qazwsxedcrfvtgbyhnujmikolp",
        "iaeasetboiaeasetboiaeasetbo",
    ];
    let letters: String = folded.chars().filter(|letter| letter.is_alphabetic()).collect();
    let back: String = letters.chars().rev().collect();
    letters.len() >= 5 && ROWS.iter().any(|row| row.contains(&letters) || row.contains(&back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_commonness_are_the_only_rules() {
        let check = |password: &str, expected: Result<(), Unfit>| {
            assert_eq!(check_choice(password, &["jean.dupont", "Harbour City"]), expected, "{password:?}");
        };
        check("sift amber quilt", Ok(()));
        check("correcthorse-battery", Ok(()));
        check("ÄÖÜ äöü ßßß éèê", Ok(()));
        check("elevenchars", Err(Unfit::Length(11)));
        check(&"x y".repeat(86), Err(Unfit::Length(258)));
        for common in [
            "Password1234!",
            "p@ssw0rd2026",
            "passwordpassword",
            "PASSWORDPASSWORD1",
            "qwertyuiop12",
            "123456789012",
            "1234567890!?",
            "aaaaaaaaaaaa",
            "abababababab",
            "adminadminadmin",
            "Welcome2026!!",
            "zxcvbnm12345",
            "abcdefghijkl",
            "poiuytrewq99",
            "dupontdupont",
            "Jean12345678",
            "Harbour2026!",
            "correcthorsebatterystaple",
        ] {
            check(common, Err(Unfit::Common));
        }
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_nothing_else_is() {
        let passwords = Passwords::new().unwrap();
        let kept = passwords.hash("sift amber quilt".into()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{kept}");
        assert_ne!(kept, passwords.hash("sift amber quilt".into()).await.unwrap());
        assert!(passwords.is("sift amber quilt".into(), Some(kept.clone())).await.unwrap());
        assert!(!passwords.is("sift amber quilts".into(), Some(kept.clone())).await.unwrap());
        assert!(!passwords.is(String::new(), Some(kept.clone())).await.unwrap());
        assert!(!passwords.is("sift amber quilt".into(), None).await.unwrap());
        // What is compared for nobody costs the same.
        let settings = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((NOBODY.len(), settings(NOBODY)), (kept.len(), settings(&kept)));
        assert!(!passwords.is("sift amber quilt".into(), Some("not a hash".into())).await.unwrap());
    }
}
