//! A sensor that reports to a server on another machine: it joins once with a token, tells what it notices and takes orders.
//!
//! Guarantees: what it noticed is on its disk before it counts as told, and stays there until the server has said that it is
//! kept; nothing here holds up watching or responding, with the server away for however long; whom it trusts is the one authority
//! that its token named. Its certificate renews itself.

use super::spool::Spool;
use crate::up::{
    now,
    pump::{Counting, journalled, report},
};
use ::sensor::{Notice, Order, respond::hand};
use agent::{
    address::Server,
    client::{Client, TalkError},
    disk::Folder,
    enrol::{self, Algorithm, Enrol, Ground},
    est,
    http::Request,
    identity::{Identity, Trust},
    machine::Machine,
    state::Enrolment,
};
use anyhow::{Context as _, bail};
use serde_json::Value;
use server::intake::Report;
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use wire::{Ask, Heard, NOTICES, ORDERS, Orders, VERSION, limit};

/// How often the figures of the moment are told.
const FIGURES: Duration = Duration::from_secs(5);
/// How long what is noticed waits for more, to be told together.
const GATHERING: Duration = Duration::from_millis(100);
/// The first wait after a failure, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Notices that may wait for the disk.
const MOST_WAITING: usize = 1_024;

/// Where a sensor reports.
#[derive(clap::Args)]
pub(super) struct Join {
    /// Report to this server, such as `https://bastide.city.example:8443`: once, with --token; from then on it does
    #[arg(long, value_name = "URL")]
    server: Option<Server>,
    /// The token from the console (Enrolment, profile `sensor`), good once; `-` reads it from standard input, where no list of
    /// processes shows it. It names whom to trust, too
    #[arg(long, value_name = "TOKEN", requires = "server")]
    token: Option<String>,
    /// What this sensor is called there [default: the name of this machine]
    #[arg(long, value_name = "NAME", requires = "server")]
    called: Option<String>,
    /// Which authority of the server the token is for, where that is not its first: the label in EST's paths
    #[arg(long, value_name = "LABEL", requires = "server")]
    label: Option<String>,
}

/// A sensor that has joined a server.
pub(super) struct Remote {
    folder: Folder,
    server: Server,
    enrolment: Enrolment,
    who: Mutex<(Identity, Trust)>,
    spool: Mutex<Spool>,
    figures: Mutex<Option<Value>>,
    stirred: Mutex<bool>,
    wake: Condvar,
    /// What its plans are told from those of other sensors by.
    identity: String,
    _lock: File,
}

impl Remote {
    /// The server that this sensor has joined, or joins now; none where it stands alone.
    pub(super) fn join(join: Join, state_dir: &Path) -> anyhow::Result<Option<Arc<Self>>> {
        let path = state_dir.join("server");
        if join.server.is_none() && !path.join("agent.json").exists() {
            return Ok(None);
        }
        let folder = Folder::open(&path)?;
        let lock = folder.lock()?;
        let there = (Enrolment::load(&folder)?, Identity::load(&folder)?, Trust::load(&folder)?);
        let (enrolment, identity, trust) = match there {
            (Some(enrolment), Some(identity), Some(trust)) => {
                if let Some(other) = join.server.filter(|server| server.to_string() != enrolment.server) {
                    bail!(
                        "this sensor has joined {}: to join {other}, choose another --state-dir, or remove {}",
                        enrolment.server,
                        path.display()
                    );
                }
                if join.token.is_some() {
                    tracing::warn!("this sensor has joined already: the token was not used");
                }
                (enrolment, identity, trust)
            }
            _ => enrol(join, &folder)?,
        };
        let server = enrolment.server.parse().context("the server that this sensor has joined")?;
        let own = match folder.read("sensor-id", limit::ANSWER_BYTES)? {
            Some(own) => String::from_utf8_lossy(&own).into_owned(),
            None => {
                folder.replace("sensor-id", identity.fingerprint().as_bytes())?;
                identity.fingerprint()
            }
        };
        let spool = Mutex::new(Spool::open(&folder, now())?);
        Ok(Some(Arc::new(Self {
            folder,
            server,
            enrolment,
            who: Mutex::new((identity, trust)),
            spool,
            figures: Mutex::default(),
            stirred: Mutex::default(),
            wake: Condvar::new(),
            identity: own,
            _lock: lock,
        })))
    }

    /// What its plans are told from those of other sensors by.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Begins to report and to take orders. What is sent there is reported.
    pub(super) fn start(
        self: &Arc<Self>,
        orders: SyncSender<Order>,
        state_dir: PathBuf,
        mode: &str,
    ) -> anyhow::Result<(SyncSender<Notice>, thread::JoinHandle<()>)> {
        // What was ordered by hand while nobody was there to hear of it; told again, it is the same.
        for given in hand::given(&state_dir)?.chunks(limit::NOTICES) {
            locked(&self.spool).push(given.iter().map(journalled).filter_map(written).collect())?;
        }
        let (notices, from) = sync_channel(MOST_WAITING);
        let (this, mode) = (Arc::clone(self), mode.to_owned());
        let keeping = spawn("keep", move || this.keep(&from, &state_dir, &mode))?;
        let this = Arc::clone(self);
        spawn("deliver", move || this.deliver())?;
        let this = Arc::clone(self);
        spawn("orders", move || this.take_orders(&orders))?;
        Ok((notices, keeping))
    }

    /// Takes notices onto the disk, until there are none any more.
    fn keep(&self, notices: &Receiver<Notice>, state_dir: &Path, mode: &str) {
        let mut counting = Counting::default();
        while let Ok(first) = notices.recv() {
            let mut batch = vec![first];
            let until = Instant::now() + GATHERING;
            while batch.len() < limit::NOTICES
                && let Ok(next) = notices.recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                batch.push(next);
            }
            let mut lasting = Vec::new();
            for notice in batch {
                let report = report(notice, state_dir, mode, 0, &mut counting);
                let passing = matches!(&report, Report::Stats { counted, .. } if counted.is_empty());
                let Some(written) = written(report) else { continue };
                if passing {
                    *locked(&self.figures) = Some(written);
                } else {
                    lasting.push(written);
                }
            }
            let stirs = !lasting.is_empty();
            // The parts of what is too large for one batch go one by one.
            for part in parts(lasting) {
                while let Err(error) = locked(&self.spool).push(part.clone()) {
                    tracing::error!(%error, "what was noticed cannot be kept; trying again");
                    thread::sleep(LONGEST_WAIT / 10);
                }
            }
            if stirs {
                *locked(&self.stirred) = true;
                self.wake.notify_all();
            }
        }
    }

    /// Tells the server what waits, for ever.
    fn deliver(&self) {
        let mut trouble = Trouble::default();
        loop {
            let outcome = self.renew().and_then(|()| self.tell());
            if let Some(wait) = trouble.heed(outcome, "tells") {
                thread::sleep(wait);
                continue;
            }
            let stirred = locked(&self.stirred);
            let waited = self.wake.wait_timeout_while(stirred, FIGURES, |stirred| !*stirred);
            *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
        }
    }

    fn tell(&self) -> Result<(), Fault> {
        loop {
            let first = locked(&self.spool).first().map_err(Fault::other)?;
            let Some((number, batch)) = first else { break };
            match self.post(NOTICES, &batch, limit::ANSWER_BYTES) {
                Ok(answer) => {
                    let heard = Heard::from_json(&answer).map_err(Fault::other)?;
                    if heard.number != number {
                        return Err(Fault::other(format!(
                            "it heard batch {} where {number} was told",
                            heard.number
                        )));
                    }
                    locked(&self.spool).remove(number).map_err(Fault::other)?;
                }
                // It will never be taken, and what comes after it must not wait for that.
                Err(Fault { status: Some(400 | 413 | 415 | 422), said }) => {
                    tracing::error!(number, %said, "the server does not take what was noticed");
                    locked(&self.spool).shed(number).map_err(Fault::other)?;
                }
                Err(fault) => return Err(fault),
            }
        }
        let figures = locked(&self.figures).take();
        let batch = locked(&self.spool).batch(0, figures.into_iter().collect());
        self.post(NOTICES, &batch, limit::ANSWER_BYTES).map(drop)
    }

    /// Asks for orders and takes them to the sensor, until that ends.
    fn take_orders(&self, to: &SyncSender<Order>) {
        let (mut trouble, mut after) = (Trouble::default(), 0);
        loop {
            let asked = self.ask(after);
            let orders = match asked {
                Ok(orders) => {
                    trouble.heed(Ok(()), "listens");
                    orders
                }
                Err(fault) => {
                    if let Some(wait) = trouble.heed(Err(fault), "listens") {
                        thread::sleep(wait);
                    }
                    continue;
                }
            };
            for numbered in orders.orders {
                match serde_json::from_value::<Order>(numbered.order) {
                    Ok(order) => {
                        if to.send(order).is_err() {
                            return;
                        }
                    }
                    Err(error) => tracing::error!(%error, "an order of the server is not understood"),
                }
                after = numbered.number;
            }
        }
    }

    fn ask(&self, after: u64) -> Result<Orders, Fault> {
        let ask = serde_json::to_vec(&Ask { version: VERSION, after }).map_err(Fault::other)?;
        let answer = self.post(ORDERS, &ask, limit::ORDERS_BYTES)?;
        Orders::from_json(&answer).map_err(Fault::other)
    }

    /// One exchange with the server, as whom this is now.
    fn post(&self, path: &str, body: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        let client = {
            let who = locked(&self.who);
            Client::trusting(&self.server, &who.1, Some(&who.0), now()).map_err(Fault::other)?
        };
        let answer = client.ask(&Request::post(path.to_owned(), "application/json", body), most)?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let said = est::said(&answer.body);
        Err(Fault {
            status: Some(answer.status),
            said: format!("the server refuses ({}): {said}", answer.status),
        })
    }

    fn renew(&self) -> Result<(), Fault> {
        if now() < locked(&self.who).0.renew_from() {
            return Ok(());
        }
        // Asking may take long, and orders are to come meanwhile.
        let current = (Identity::load(&self.folder), Trust::load(&self.folder));
        let (Ok(Some(identity)), Ok(Some(trust))) = current else {
            return Err(Fault::other("the certificate cannot be read to be renewed"));
        };
        match enrol::renew(&self.folder, &self.server, &self.enrolment, (&identity, &trust), now()) {
            Ok(Some(renewed)) => {
                tracing::info!(until = %renewed.0.certificate().view().ends, "the certificate is renewed");
                *locked(&self.who) = renewed;
                Ok(())
            }
            // The old one is good for a while.
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the certificate is not renewed yet");
                Ok(())
            }
        }
    }
}

fn enrol(join: Join, folder: &Folder) -> anyhow::Result<(Enrolment, Identity, Trust)> {
    let (Some(server), Some(token)) = (join.server, join.token) else {
        bail!("this sensor has not joined a server yet: expected --server URL and --token TOKEN");
    };
    let token = match token.as_str() {
        "-" => {
            let mut line = String::new();
            std::io::stdin().take(1_024).read_to_string(&mut line)?;
            line
        }
        _ => token,
    };
    let name = join.called.or_else(|| Machine::new(Path::new("/")).host_name());
    let name = name.context("this machine has no name: expected --called NAME")?;
    let ground = Ground::Token(token.trim().parse()?);
    let enrol = Enrol { server, label: join.label, ground, name, algorithm: Algorithm::P256, token: None };
    let mut wait = |time| {
        thread::sleep(time);
        now()
    };
    enrol.run(folder, now(), &mut |word| tracing::warn!("{word}"), &mut wait)?;
    match (Enrolment::load(folder)?, Identity::load(folder)?, Trust::load(folder)?) {
        (Some(enrolment), Some(identity), Some(trust)) => Ok((enrolment, identity, trust)),
        _ => bail!("{}: what was just enrolled is not there", folder.path("").display()),
    }
}

/// What went wrong with the server, in words.
struct Fault {
    status: Option<u16>,
    said: String,
}

impl Fault {
    fn other(error: impl ToString) -> Self {
        Self { status: None, said: error.to_string() }
    }
}

impl From<TalkError> for Fault {
    fn from(error: TalkError) -> Self {
        Self::other(error)
    }
}

/// Says once what is wrong, and waits ever longer.
#[derive(Default)]
struct Trouble {
    said: Option<String>,
    wait: Duration,
}

impl Trouble {
    /// How long to wait where something is wrong.
    fn heed(&mut self, outcome: Result<(), Fault>, does: &str) -> Option<Duration> {
        match outcome {
            Ok(()) => {
                if self.said.take().is_some() {
                    tracing::warn!("the server is back: this sensor {does} again");
                }
                self.wait = Duration::ZERO;
                None
            }
            Err(Fault { said, .. }) => {
                if self.said.as_ref() != Some(&said) {
                    tracing::error!("{said}; what is noticed waits here, and responding goes on");
                    self.said = Some(said);
                }
                self.wait = (self.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
                Some(self.wait)
            }
        }
    }
}

fn written(report: Report) -> Option<Value> {
    serde_json::to_value(report)
        .inspect_err(|error| tracing::error!(%error, "a notice cannot be written"))
        .ok()
}

/// In parts that each fit into a batch.
fn parts(notices: Vec<Value>) -> Vec<Vec<Value>> {
    const ROOM: usize = limit::NOTICES_BYTES - (64 << 10);
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for notice in notices {
        let size = notice.to_string().len() + 1;
        if bytes + size > ROOM && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(notice);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> anyhow::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run).context("no thread could be started")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
