//! Passwords: argon2id, and the two rules for choosing one.
//!
//! Guarantees: at most two hashes are made at a time, each in [`MEMORY_KIB`] KiB, one of them for strangers; somebody without a password
//! costs as much as somebody with one; a password is never part of an error or a log line.

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use aws_lc_rs::rand;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The shortest password, in letters.
pub(crate) const SHORTEST: usize = 12;
/// The longest password, in letters. Long enough for any passphrase, short enough to be hashed for anybody who asks.
pub(crate) const LONGEST: usize = 256;
/// RFC 9106, section 4, the second recommended setting, with one lane.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// How many stand in line for a hash, of each kind.
const LINE: usize = 16;
/// As many guesses it has to take to find a password, as powers of ten, by the order in which guessers try.
const GUESSES: f64 = 9.0;
/// So many letters are looked at for that: nobody guesses by what comes after.
const LOOKED_AT: usize = 64;

/// Compared where there is no password, so that it costs the same: no password is known to have this hash.
const NOBODY: &str =
    "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Words that people here take, beyond those that are common everywhere.
fn ours<'a>() -> impl Iterator<Item = &'a str> {
    include_str!("../../../../rules/common-passwords.txt")
        .lines()
        .map(|line| -> &'a str { line.trim() })
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Hashes and compares passwords.
pub(crate) struct Passwords {
    hasher: Argon2<'static>,
    /// For whoever came in before; strangers stand in a line of their own, and do not stand in the way.
    known: Lane,
    strangers: Lane,
}

/// Where hashes are made one after the other.
struct Lane {
    room: Arc<Semaphore>,
    line: Semaphore,
}

/// A password could not be hashed or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotHash {
    /// Not by this machine.
    #[error("no password can be hashed now: the machine lacks memory or randomness")]
    Machine,
    /// Not now.
    #[error("too many passwords are being compared; try again in some seconds, or sign in with a passkey")]
    Busy,
}

impl Passwords {
    /// # Errors
    /// Where the settings above are none.
    pub(crate) fn new() -> Result<Self, CannotHash> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| CannotHash::Machine)?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let lane = || Lane { room: Arc::new(Semaphore::new(1)), line: Semaphore::new(LINE) };
        Ok(Self { hasher, known: lane(), strangers: lane() })
    }

    /// What is kept of a password: a PHC string.
    ///
    /// # Errors
    /// [`CannotHash`].
    pub(crate) async fn hash(&self, password: String) -> Result<String, CannotHash> {
        let hasher = self.hasher.clone();
        self.known.work(move || hash(&hasher, &password)).await?
    }

    /// Whether `password` is the one of which `kept` was made. Takes as long where there is none. `known`: asked by a
    /// browser with which its owner came in before.
    ///
    /// # Errors
    /// [`CannotHash`].
    pub(crate) async fn is(
        &self,
        password: String,
        kept: Option<String>,
        known: bool,
    ) -> Result<bool, CannotHash> {
        let (hasher, somebody) = (self.hasher.clone(), kept.is_some());
        let kept = kept.unwrap_or_else(|| NOBODY.to_owned());
        let lane = if known { &self.known } else { &self.strangers };
        let same =
            lane.work(move || hasher.verify_password(password.as_bytes(), kept.as_str()).is_ok()).await?;
        Ok(same && somebody)
    }
}

impl Lane {
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CannotHash> {
        let _stands_in_line = self.line.try_acquire().map_err(|_full| CannotHash::Busy)?;
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_closed| CannotHash::Machine)?;
        // The room is taken until the work is done, also where nobody waits for it any more.
        let work = move || {
            let _room = room;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_panicked| CannotHash::Machine)
    }
}

fn hash(hasher: &Argon2<'_>, password: &str) -> Result<String, CannotHash> {
    let mut salt = [0_u8; 16];
    rand::fill(&mut salt).map_err(|_| CannotHash::Machine)?;
    let hash = hasher.hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| CannotHash::Machine)?;
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
    let looked_at: String = password.chars().take(LOOKED_AT).collect();
    let parts = names.iter().flat_map(|name| name.split(|c: char| !c.is_alphanumeric()));
    let words: Vec<&str> = names.iter().copied().chain(parts).chain(ours()).collect();
    if zxcvbn::zxcvbn(&looked_at, &words).guesses_log10() < GUESSES {
        return Err(Unfit::Common);
    }
    Ok(())
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
            "1q2w3e4r5t6y",
            "qweasdzxc123",
            "1234qwerasdf",
            "a1b2c3d4e5f6",
            "abc123abc123",
            "trustno1trustno1",
            "letmeinplease",
            "dragonball12",
            "Sommer2026!!",
            "Bastide12345",
            "motdepasse2026",
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
        assert!(passwords.is("sift amber quilt".into(), Some(kept.clone()), true).await.unwrap());
        assert!(!passwords.is("sift amber quilts".into(), Some(kept.clone()), false).await.unwrap());
        assert!(!passwords.is(String::new(), Some(kept.clone()), false).await.unwrap());
        assert!(!passwords.is("sift amber quilt".into(), None, false).await.unwrap());
        // What is compared for nobody costs the same.
        let settings = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((NOBODY.len(), settings(NOBODY)), (kept.len(), settings(&kept)));
        assert!(!passwords.is("sift amber quilt".into(), Some("not a hash".into()), true).await.unwrap());
    }

    #[tokio::test]
    async fn strangers_stand_in_a_line_of_their_own_that_ends() {
        let passwords = Passwords::new().unwrap();
        let strangers = (0..LINE + 3).map(|n| passwords.is(format!("guess {n}"), None, false));
        let (answers, owner) = tokio::join!(
            futures_util::future::join_all(strangers),
            passwords.is("sift amber quilt".into(), None, true)
        );
        assert_eq!(answers.iter().filter(|answer| **answer == Err(CannotHash::Busy)).count(), 3);
        assert_eq!(owner, Ok(false));
    }

    #[tokio::test]
    async fn who_hangs_up_makes_no_room() {
        let lane = Lane { room: Arc::new(Semaphore::new(1)), line: Semaphore::new(LINE) };
        let (finish, waits) = std::sync::mpsc::channel::<()>();
        let begun = Arc::new(tokio::sync::Notify::new());
        let begins = Arc::clone(&begun);
        let work = lane.work(move || {
            begins.notify_one();
            let _ = waits.recv();
        });
        tokio::select! {
            _ = work => panic!("it waits"),
            () = begun.notified() => {}
        }
        // The client is gone, and the work goes on.
        assert_eq!(lane.room.available_permits(), 0);
        finish.send(()).unwrap();
        lane.work(|| ()).await.unwrap();
    }
}
