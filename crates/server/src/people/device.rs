//! Programs that ask to be let in as somebody: what waits between their question and a person's answer (RFC 8628).
//!
//! Guarantees: a question takes one answer and waits for [`SECS`]; what it came to is handed out once, and only to whoever
//! holds the device code, of which no more than a hash is kept; at most [`MOST`] wait, of one household [`OF_A_PLACE`], and
//! whoever asks more pushes out their own oldest first.

use crate::secret::{self, NoRandomness};
use model::Timestamp;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// How long a question waits for its answer, in seconds.
pub(crate) const SECS: i64 = 600;
/// How long a program waits between two looks at first, in seconds.
pub(crate) const INTERVAL: i64 = 5;
/// By how much longer it waits each time that it looked too early, in seconds.
const SLOWER: i64 = 5;
/// The letters of a code that people type: no vowels, so that it spells nothing (RFC 8628, section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code: 20^8, with [`MOST`] at once one guess in 25 million is one.
const CODE: usize = 8;
/// The longest name of a machine, in letters.
const NAME: usize = 64;
const MOST: usize = 1_024;
const OF_A_PLACE: usize = 32;

/// The questions, by the hash of their device codes.
#[derive(Default)]
pub(crate) struct Questions(Mutex<HashMap<String, Question>>);

struct Question {
    asker: Asker,
    interval: i64,
    looked: Option<Timestamp>,
    answer: Answer,
}

/// Who asks, as the person sees it who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    /// The code, as it is shown.
    pub(crate) code: String,
    /// What the machine calls itself, safe to show.
    pub(crate) machine: String,
    /// Where it asks from.
    pub(crate) place: IpAddr,
    /// Since when.
    pub(crate) from: Timestamp,
}

/// A session for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// What opens it.
    pub(crate) secret: String,
    /// Ends then.
    pub(crate) expires: Timestamp,
}

enum Answer {
    /// Nobody has answered.
    None,
    /// Somebody is answering.
    Coming,
    No,
    Yes(Granted),
}

/// What a program learns when it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Pending,
    TooEarly,
    Expired,
    Denied,
    Granted(Granted),
    /// Never asked, or what it came to was handed out.
    Unknown,
}

impl Questions {
    /// A new question of a machine at a place: the device code, and who asks with the code that a person types.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub(crate) fn ask(
        &self,
        machine: &str,
        place: IpAddr,
        now: Timestamp,
    ) -> Result<(String, Asker), NoRandomness> {
        let (device_code, code) = (secret::fresh()?, user_code()?);
        let machine = report::clipped(machine.trim(), NAME);
        let asker = Asker { code, machine, place: place.to_canonical(), from: now };
        let home = crate::listen::household(place);
        let of_home = |question: &Question| crate::listen::household(question.asker.place) == home;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST
            || waiting.values().filter(|question| of_home(question)).count() >= OF_A_PLACE
        {
            waiting.retain(|_, question| question.holds(now));
        }
        if waiting.values().filter(|question| of_home(question)).count() >= OF_A_PLACE {
            push_out(&mut waiting, of_home);
        } else if waiting.len() >= MOST {
            push_out(&mut waiting, |_| true);
        }
        let question =
            Question { asker: asker.clone(), interval: INTERVAL, looked: None, answer: Answer::None };
        waiting.insert(secret::hash(&device_code), question);
        Ok((device_code, asker))
    }

    /// A program looks whether somebody has answered.
    pub(crate) fn look(&self, device_code: &str, now: Timestamp) -> Look {
        let hash = secret::hash(device_code);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(question) = waiting.get_mut(&hash) else { return Look::Unknown };
        if !question.holds(now) {
            return Look::Expired;
        }
        let last = question.looked.replace(now);
        match &question.answer {
            Answer::None | Answer::Coming => {
                if last.is_some_and(|last| now.micros_since(last) < question.interval * 1_000_000) {
                    question.interval += SLOWER;
                    return Look::TooEarly;
                }
                Look::Pending
            }
            Answer::No => Look::Denied,
            Answer::Yes(granted) => {
                let granted = granted.clone();
                waiting.remove(&hash);
                Look::Granted(granted)
            }
        }
    }

    /// Who asks with a code that waits for its answer, however it was typed.
    pub(crate) fn asker(&self, code: &str, now: Timestamp) -> Option<Asker> {
        self.open(code, now, |question| question.asker.clone())
    }

    /// Somebody answers: from here on nobody else does.
    pub(crate) fn begin_answer(&self, code: &str, now: Timestamp) -> Option<Asker> {
        self.open(code, now, |question| {
            question.answer = Answer::Coming;
            question.asker.clone()
        })
    }

    /// The answer to what was begun: no where nothing is granted.
    pub(crate) fn answer(&self, asker: &Asker, granted: Option<Granted>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = waiting.values_mut().find(|question| question.asker == *asker) {
            question.answer = granted.map_or(Answer::No, Answer::Yes);
        }
    }

    /// The answer that was begun could not be given: somebody may try again.
    pub(crate) fn take_back(&self, asker: &Asker) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = waiting.values_mut().find(|question| question.asker == *asker) {
            question.answer = Answer::None;
        }
    }

    fn open<T>(&self, code: &str, now: Timestamp, then: impl FnOnce(&mut Question) -> T) -> Option<T> {
        let code = shown(code)?;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = waiting.values_mut().filter(|question| matches!(question.answer, Answer::None));
        open.find(|question| question.asker.code == code && question.holds(now)).map(then)
    }
}

impl Question {
    /// Also false where the clock was put back meanwhile.
    fn holds(&self, now: Timestamp) -> bool {
        now >= self.asker.from && now < self.asker.from.plus_secs(SECS)
    }
}

fn push_out(waiting: &mut HashMap<String, Question>, of: impl Fn(&Question) -> bool) {
    let oldest = waiting.iter().filter(|(_, question)| of(question));
    let oldest = oldest.min_by_key(|(_, question)| question.asker.from).map(|(hash, _)| hash.clone());
    if let Some(hash) = oldest {
        waiting.remove(&hash);
    }
}

/// A fresh code, each letter as likely as any other.
fn user_code() -> Result<String, NoRandomness> {
    let mut code = String::new();
    while code.len() < CODE {
        for byte in secret::random::<32>()? {
            let fair = usize::from(byte) < 256 / LETTERS.len() * LETTERS.len();
            let letter = LETTERS.get(usize::from(byte) % LETTERS.len()).filter(|_| fair && code.len() < CODE);
            code.extend(letter.copied().map(char::from));
        }
    }
    Ok(dashed(&code))
}

/// A code as it is shown, from what was typed: small letters, blanks and a missing dash do as well.
fn shown(typed: &str) -> Option<String> {
    let letters: String = typed
        .chars()
        .take(4 * CODE)
        .filter(|letter| !letter.is_whitespace() && *letter != '-')
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    let is_code = letters.len() == CODE && letters.bytes().all(|letter| LETTERS.contains(&letter));
    is_code.then(|| dashed(&letters))
}

fn dashed(letters: &str) -> String {
    let (first, second) = letters.split_at_checked(CODE / 2).unwrap_or((letters, ""));
    format!("{first}-{second}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn place(n: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + n).into())
    }

    fn granted() -> Granted {
        Granted { secret: "secret".into(), expires: NOW.plus_secs(9_999) }
    }

    #[test]
    fn an_answer_is_given_once_and_handed_out_once() {
        let questions = Questions::default();
        let (device, asker) = questions.ask("ops", place(1), NOW).unwrap();
        assert_eq!(questions.look(&device, NOW), Look::Pending);
        assert_eq!(questions.asker(&asker.code, NOW), Some(asker.clone()));
        assert_eq!(questions.begin_answer(&asker.code, NOW), Some(asker.clone()));
        assert_eq!(questions.begin_answer(&asker.code, NOW), None, "somebody else was faster");
        assert_eq!(questions.look(&device, NOW.plus_secs(5)), Look::Pending);
        questions.take_back(&asker);
        assert_eq!(questions.begin_answer(&asker.code, NOW), Some(asker.clone()));
        questions.answer(&asker, Some(granted()));
        assert_eq!(questions.asker(&asker.code, NOW), None);
        assert_eq!(questions.look("AAAA", NOW), Look::Unknown);
        assert_eq!(questions.look(&device, NOW.plus_secs(6)), Look::Granted(granted()), "however early");
        assert_eq!(questions.look(&device, NOW.plus_secs(20)), Look::Unknown);

        let (device, asker) = questions.ask("ops", place(1), NOW).unwrap();
        questions.begin_answer(&asker.code, NOW).unwrap();
        questions.answer(&asker, None);
        assert_eq!(questions.look(&device, NOW), Look::Denied);
    }

    #[test]
    fn who_looks_too_early_waits_longer() {
        let questions = Questions::default();
        let (device, _) = questions.ask("ops", place(1), NOW).unwrap();
        let look = |secs| questions.look(&device, NOW.plus_secs(secs));
        for (at, expected) in [
            (0, Look::Pending),
            (5, Look::Pending),
            (9, Look::TooEarly),
            (18, Look::TooEarly),
            (33, Look::Pending),
            (SECS, Look::Expired),
            (SECS + 60, Look::Expired),
            (-1, Look::Expired),
        ] {
            assert_eq!(look(at), expected, "{at}");
        }
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = user_code().unwrap();
        assert!(code.len() == 9 && code.as_bytes()[4] == b'-', "{code}");
        for typed in [
            code.clone(),
            code.to_lowercase(),
            code.replace('-', ""),
            format!(" {} ", code.replace('-', " - ")),
        ] {
            assert_eq!(shown(&typed), Some(code.clone()), "{typed}");
        }
        for typed in ["", "BCDF", "BCDF-GHJKL", "ACDF-GHJK", "BCDF-GHJ1", "ЖCDF-GHJK", &"-".repeat(10_000)] {
            assert_eq!(shown(typed), None, "{typed}");
        }
        let questions = Questions::default();
        let (_, asker) = questions.ask("ops", place(1), NOW).unwrap();
        assert!(questions.asker(&asker.code.to_lowercase(), NOW).is_some());
        assert_eq!(questions.asker(&asker.code, NOW.plus_secs(SECS)), None);
        let (_, hostile) = questions.ask(&"\u{202e}\u{1b}[2J<b>".repeat(100), place(1), NOW).unwrap();
        assert!(hostile.machine.chars().count() <= NAME && !hostile.machine.contains(['\u{202e}', '\u{1b}']));
    }

    #[test]
    fn whoever_asks_too_much_pushes_out_their_own() {
        let questions = Questions::default();
        let (mine, _) = questions.ask("mine", place(1), NOW).unwrap();
        for _ in 0..1_000 {
            questions.ask("theirs", place(2), NOW.plus_secs(1)).unwrap();
        }
        assert_eq!(questions.look(&mine, NOW.plus_secs(1)), Look::Pending);
        assert_eq!(questions.0.lock().unwrap().len(), OF_A_PLACE + 1);
        for n in 0..5_000 {
            questions.ask("many", place(n), NOW.plus_secs(2)).unwrap();
        }
        assert_eq!(questions.0.lock().unwrap().len(), MOST);
    }
}
