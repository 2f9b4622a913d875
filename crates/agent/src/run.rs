//! The agent at work: it looks, keeps what it saw, and speaks when the server is there.
//!
//! One [`Agent::turn`] after the other, none of which ends the agent: what fails is told and tried again, ever less often.
//! Times of day come from the caller and decide only what is about them (certificates, settings); how long ago something was
//! is measured by a clock that nobody sets, so that a device whose clock jumps goes on.

use crate::{
    address::Server,
    client::{Client, TalkError},
    clock,
    disk::{DiskError, Folder},
    enrol::{self, EnrolError},
    est::{self, EstError},
    http::{Request, Response},
    identity::{Identity, Trust},
    machine::{Guesses, Machine},
    settings::{self, Reader, SettingsError},
    spool::Spool,
    state::{Enrolment, Queued, State},
};
use model::Timestamp;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use wire::{About, Invalid, Posture, REPORTS, Report, SETTINGS, Settings, Taken, VERSION, limit};

/// The name of the file with the settings as they came, signed.
const SETTINGS_FILE: &str = "settings.jws";
/// After what time something is reported again that did not change, in seconds.
const AT_LEAST_EVERY: i64 = 86_400;
/// The first wait after a failure, and the longest, in seconds.
const FIRST_WAIT: u64 = 15;
const LONGEST_WAIT: u64 = 3_600;

/// The agent of an enrolled device.
#[derive(Debug)]
pub struct Agent {
    folder: Folder,
    machine: Machine,
    server: Server,
    enrolment: Enrolment,
    identity: Identity,
    trust: Trust,
    state: State,
    spool: Spool,
    settings: Option<Settings>,
    guesses: Guesses,
    look_at: Duration,
    speak_at: Duration,
    ask_settings: bool,
    failures: u32,
    faults: [String; 2],
}

/// Why a turn did not do all that it was to do.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The certificate.
    #[error("the certificate is not renewed: {0}")]
    Renewal(#[from] EnrolError),
    /// No answer.
    #[error(transparent)]
    Talk(#[from] TalkError),
    /// The server says no, for now.
    #[error("the server refuses {what} ({status}): {said}")]
    Refused {
        /// What was sent or asked.
        what: &'static str,
        /// The status.
        status: u16,
        /// Its words.
        said: String,
        /// When to come back, where it says so.
        retry_after: Option<u64>,
    },
    /// An answer that is none.
    #[error("the server's answer cannot be used: {0}")]
    Answer(#[from] Invalid),
    /// Settings that are not believed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What should not be.
    #[error("{0}")]
    Unusable(String),
}

impl Agent {
    /// The one of this folder.
    ///
    /// # Errors
    /// Where it is not enrolled, or the folder cannot be used.
    pub fn open(folder: Folder, machine: Machine, now: Timestamp) -> Result<(Self, Vec<String>), TurnError> {
        let enrolled = (Enrolment::load(&folder)?, Identity::load(&folder)?, Trust::load(&folder)?);
        let (Some(enrolment), Some(identity), Some(trust)) = enrolled else {
            let path = folder.path("").display().to_string();
            return Err(TurnError::Unusable(format!(
                "{path}: this device is not enrolled: bastide-agent enrol --server URL --token TOKEN"
            )));
        };
        let server: Server =
            enrolment.server.parse().map_err(|error| TurnError::Unusable(format!("agent.json: {error}")))?;
        let (mut state, anew) = State::load(&folder)?;
        let spool = Spool::open(&folder)?;
        state.next = state.next.max(spool.next());
        let mut agent = Self {
            folder,
            machine,
            server,
            enrolment,
            identity,
            trust,
            state,
            spool,
            settings: None,
            guesses: Guesses::default(),
            look_at: Duration::ZERO,
            speak_at: Duration::ZERO,
            ask_settings: true,
            failures: 0,
            faults: Default::default(),
        };
        let kept =
            agent.load_settings(now).err().map(|error| format!("{error}; those that it comes with hold"));
        Ok((agent, anew.into_iter().chain(kept).collect()))
    }

    /// One turn at the time of day `now`, `elapsed` after the agent began. Returns how long to wait for the next.
    pub fn turn(&mut self, now: Timestamp, elapsed: Duration, say: &mut dyn FnMut(&str)) -> Duration {
        if elapsed >= self.look_at {
            let (_, every, _) = settings::in_force(self.settings.as_ref(), now);
            self.look_at = elapsed + Duration::from_secs(u64::from(every));
            self.ask_settings = true;
            let looked = self.look(now);
            self.tell(0, looked.err(), say);
        }
        if elapsed >= self.speak_at && self.has_to_speak(now) {
            let spoken = self.speak(now, say);
            match &spoken {
                Ok(()) => self.failures = 0,
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    self.speak_at = elapsed + self.wait(error);
                }
            }
            self.tell(1, spoken.err(), say);
        }
        let next = if self.has_to_speak(now) { self.look_at.min(self.speak_at) } else { self.look_at };
        // Not longer: that the certificate is to be renewed is known by the time of day.
        next.saturating_sub(elapsed).clamp(Duration::from_secs(1), Duration::from_secs(LONGEST_WAIT))
    }

    /// Tells what looking (0) or speaking (1) came to: once, and not every time that it still is so.
    fn tell(&mut self, what: usize, fault: Option<TurnError>, say: &mut dyn FnMut(&str)) {
        let fault = fault.map(|fault| fault.to_string()).unwrap_or_default();
        if let Some(told) = self.faults.get_mut(what).filter(|told| **told != fault) {
            say(if fault.is_empty() { "all is well again" } else { &fault });
            *told = fault;
        }
    }

    /// How far it came.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What waits for the server.
    #[must_use]
    pub const fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The settings that were taken last.
    #[must_use]
    pub const fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    fn has_to_speak(&self, now: Timestamp) -> bool {
        self.ask_settings || !self.spool.waiting().is_empty() || now >= self.identity.renew_from()
    }

    /// Looks at the device, and queues what changed or was not said for a day.
    fn look(&mut self, now: Timestamp) -> Result<(), TurnError> {
        let (_, _, collect) = settings::in_force(self.settings.as_ref(), now);
        let (posture, sbom) = self.machine.look(env!("CARGO_PKG_VERSION"), collect, &mut self.guesses);
        if let Some(sbom) = sbom {
            let content = sbom.serial_number.clone();
            if is_due(self.state.sbom.as_ref(), &content, now) {
                self.queue(About::Sbom(sbom), now)?;
                self.state.sbom = Some(Queued { content, at: now });
                self.state.save(&self.folder)?;
            }
        }
        let content = content_of(&posture);
        if is_due(self.state.posture.as_ref(), &content, now) {
            self.queue(About::Posture(posture), now)?;
            self.state.posture = Some(Queued { content, at: now });
            self.state.save(&self.folder)?;
        }
        Ok(())
    }

    fn queue(&mut self, about: About, now: Timestamp) -> Result<(), TurnError> {
        let number = self.state.next.max(1);
        let (settings, _, _) = settings::in_force(self.settings.as_ref(), now);
        let report = Report { version: VERSION, number, made: now, shed: self.state.shed, settings, about };
        report.check()?;
        // The number is used up before it is used: no two reports have the same, whenever the power is cut.
        self.state.next = number.saturating_add(1);
        self.state.save(&self.folder)?;
        self.spool.push(&report, &mut self.state)?;
        Ok(())
    }

    /// Renews what is to be renewed, sends what waits, asks for settings.
    fn speak(&mut self, now: Timestamp, say: &mut dyn FnMut(&str)) -> Result<(), TurnError> {
        let mut renewal = Ok(());
        if now >= self.identity.renew_from() {
            // A renewal that fails keeps nothing back: the old certificate may be good for a month.
            renewal = self.renew(now, say);
        }
        let client = Client::trusting(&self.server, &self.trust, Some(&self.identity), now)
            .map_err(TurnError::Unusable)?;
        while let Some(number) = self.spool.waiting().first().map(|first| first.number) {
            let Some(bytes) = self.spool.read(number)? else {
                say(&format!("report {number} could not be read any more and is lost"));
                continue;
            };
            self.send(&client, number, &bytes, now, say)?;
        }
        if self.ask_settings {
            self.fetch_settings(&client, now, say)?;
            self.ask_settings = false;
        }
        renewal
    }

    fn send(
        &mut self,
        client: &Client,
        number: u64,
        bytes: &[u8],
        now: Timestamp,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), TurnError> {
        let answer =
            client.ask(&Request::post(REPORTS.to_owned(), "application/json", bytes), limit::ANSWER_BYTES)?;
        match answer.status {
            200 => {
                let taken = Taken::from_json(&answer.body)?;
                if taken.number != number {
                    let reason = format!("it took report {} where {number} was sent", taken.number);
                    return Err(TurnError::Unusable(reason));
                }
                self.ask_settings |= taken.settings > self.state.settings;
                self.taken(number, now)
            }
            // It will never be taken, and what comes after it must not wait for that.
            400 | 413 | 415 | 422 => {
                let said = est::said(&answer.body);
                say(&format!("the server does not take report {number} ({}): {said}", answer.status));
                self.state.shed = self.state.shed.saturating_add(1);
                self.state.save(&self.folder)?;
                self.spool.remove(number)?;
                Ok(())
            }
            _ => Err(refused("a report", &answer)),
        }
    }

    fn fetch_settings(
        &mut self,
        client: &Client,
        now: Timestamp,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), TurnError> {
        let answer = client.ask(&Request::get(SETTINGS.to_owned()), limit::ANSWER_BYTES)?;
        if let Some(hint) = clock::hint(answer.date.as_deref(), now) {
            say(&hint);
        }
        match answer.status {
            200 => {}
            // There are none for this device.
            204 | 404 => return Ok(()),
            _ => return Err(refused("to give settings", &answer)),
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let settings = self.read_settings(&text, now)?;
        let known = self.settings.as_ref();
        let is_same = known.is_some_and(|known| {
            (known.number, &known.device, known.report_every, known.collect)
                == (settings.number, &settings.device, settings.report_every, settings.collect)
        });
        // They are signed anew each time: that they hold a little longer is not worth a write.
        if is_same
            && known.is_some_and(|known| settings.not_after < known.not_after.plus_secs(AT_LEAST_EVERY))
        {
            return Ok(());
        }
        if !is_same {
            say(&format!("settings {} hold until {}", settings.number, settings.not_after));
            // What they change is looked at at once.
            self.look_at = Duration::ZERO;
        }
        self.keep_settings(settings, &text)
    }

    /// A report was taken: it waits no longer.
    fn taken(&mut self, number: u64, now: Timestamp) -> Result<(), TurnError> {
        self.state.taken = Some(now);
        self.state.save(&self.folder)?;
        Ok(self.spool.remove(number)?)
    }

    fn keep_settings(&mut self, settings: Settings, text: &str) -> Result<(), TurnError> {
        // The number first: whatever happens now, no older ones are taken.
        self.state.settings = settings.number;
        self.state.save(&self.folder)?;
        self.folder.replace(SETTINGS_FILE, text.as_bytes())?;
        self.settings = Some(settings);
        Ok(())
    }

    fn load_settings(&mut self, now: Timestamp) -> Result<(), TurnError> {
        if let Some(bytes) = self.folder.read(SETTINGS_FILE, limit::ANSWER_BYTES)? {
            self.settings = Some(self.read_settings(&String::from_utf8_lossy(&bytes), now)?);
        }
        Ok(())
    }

    fn read_settings(&self, text: &str, now: Timestamp) -> Result<Settings, SettingsError> {
        let device = self.identity.fingerprint();
        let (trust, host, highest) = (&self.trust, self.server.host(), self.state.settings);
        Reader { trust, host, device: &device, highest }.read(text, now)
    }

    fn renew(&mut self, now: Timestamp, say: &mut dyn FnMut(&str)) -> Result<(), TurnError> {
        let current = (&self.identity, &self.trust);
        let renewed = enrol::renew(&self.folder, &self.server, &self.enrolment, current, now)?;
        let Some((identity, trust)) = renewed else {
            return Err(TurnError::Unusable("a person is asked whether the certificate is renewed".into()));
        };
        say(&format!("the certificate is renewed, until {}", identity.certificate().view().ends));
        (self.identity, self.trust) = (identity, trust);
        // They are made for a key, and that is another one now.
        self.ask_settings = true;
        Ok(())
    }

    /// How long to leave the server alone: twice as long each time, for each device a little different.
    fn wait(&self, error: &TurnError) -> Duration {
        let doubled = FIRST_WAIT << self.failures.saturating_sub(1).min(8);
        let doubled = doubled.min(LONGEST_WAIT);
        let share =
            u64::from(self.identity.share()).wrapping_mul(167).wrapping_add(u64::from(self.failures) * 89);
        let wait = doubled / 2 + doubled / 2 * (share % 256) / 256;
        let asked = match error {
            TurnError::Refused { retry_after, .. }
            | TurnError::Renewal(EnrolError::Est(EstError::Refused { retry_after, .. })) => *retry_after,
            _ => None,
        };
        Duration::from_secs(wait.max(asked.unwrap_or_default().min(LONGEST_WAIT)))
    }
}

fn refused(what: &'static str, answer: &Response) -> TurnError {
    let said = est::said(&answer.body);
    TurnError::Refused { what, status: answer.status, said, retry_after: answer.retry_after }
}

/// Whether something is to be said: it changed, or a day went by; a clock that was set back counts as a day.
fn is_due(last: Option<&Queued>, content: &str, now: Timestamp) -> bool {
    last.is_none_or(|last| {
        last.content != content || now < last.at || now >= last.at.plus_secs(AT_LEAST_EVERY)
    })
}

/// What counts as a change: everything but the moment of the start, which moves when the clock is set. A start itself shows in
/// the id of the boot.
fn content_of(posture: &Posture) -> String {
    let posture = Posture { started: None, ..posture.clone() };
    let digest = Sha256::digest(serde_json::to_vec(&posture).unwrap_or_default());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod power_cut;
