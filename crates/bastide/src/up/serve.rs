//! The server's life: open, greet, serve, look after, stop.

use super::{
    greeting::{Greeting, farewell},
    place::Place,
    pump,
};
use crate::settings::{Ledger, Loaded, Notify, Settings};
use anyhow::{Context as _, bail};
use model::Timestamp;
use sensor::SensorHandle;
use server::{
    AppState, Doors, Node, OrderError, act, auth, basis, ca, listen,
    notify::{self, Receiver, Syslog, Webhook},
    quarantine::{self, Untold},
    tls::{self, Tls},
    witness::Witnessing,
};
use std::{
    io::Write as _,
    net::{IpAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use store::{Repository, Retention};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// The name under which the store keeps where the console lives, for links made next to a running server.
pub(super) const URL: &str = "url";
/// How often old records are swept out.
const SWEEP: Duration = Duration::from_secs(3600);

/// The moment that it is now.
#[expect(clippy::disallowed_methods, reason = "time comes in here")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

pub(super) async fn serve(
    loaded: &Loaded,
    place: &Place,
    (listener, plain): (TcpListener, Option<TcpListener>),
    sensor: Option<SensorHandle>,
    receivers: Vec<Receiver>,
) -> anyhow::Result<ExitCode> {
    let settings = &loaded.settings;
    let mut stop = Stop::new()?;
    let address = listener.local_addr()?;
    let addresses = reached_at(address.ip());
    let url = url(settings, address.ip(), address.port());
    let repository =
        Repository::open(place.database(settings), settings.authority.own(), place.ledger_key()?).await?;
    repository.set_setting(URL, &url, now()).await?;

    let doors = Doors::new(&settings.server.names, &addresses, address.port());
    let node = node(loaded, place, &url, &receivers);
    let (orders, notices, guard) = match sensor {
        Some(handle) => (Some(pump::orders(handle.orders)), Some(handle.notices), Some(handle.guard)),
        None => (None, None, None),
    };
    let state = AppState::new(repository.clone(), node, doors, orders)?;
    let tls = tls::open(&state, &place.tls(), &settings.server.names, &addresses).await?;
    state.set_witnessing(witnessing(settings, place)?);
    basis::note(&state).await;
    if let Err(error) = pump::catch_up(&state, &place.sensor()).await {
        tracing::error!(%error, "what was ordered on the command line meanwhile cannot be read");
    }
    let intake = match notices {
        Some(notices) => Some(pump::start(state.clone(), notices, place.sensor())?),
        None => None,
    };
    if let Err(problem) = act::send_exceptions(&state).await {
        tracing::warn!(problem = problem.detail(), "the sensor does not know the exceptions yet");
    }
    match quarantine::tell(&state, "bastide").await {
        // Where none runs, nobody has to know.
        Ok(()) | Err(Untold::Order(OrderError::NoSensor)) => {}
        Err(problem) => tracing::warn!(%problem, "the sensor does not know yet what is suspended"),
    }
    greet(&state, settings, &tls, &url).await?;

    let (certificate, certificates) = watch::channel(Arc::clone(&tls.config));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let tasks = [
        tokio::spawn(sweep(state.clone())),
        tokio::spawn(ca::look_after(state.clone())),
        tokio::spawn(act::keep_known(state.clone())),
        tokio::spawn(tls::look_after(
            state.clone(),
            certificate,
            place.tls(),
            settings.server.names.clone(),
            addresses,
        )),
    ];
    let told: Vec<_> =
        receivers.into_iter().map(|receiver| tokio::spawn(notify::run(state.clone(), receiver))).collect();
    let asking = Witnessing::start(&state);
    let plain = plain.map(tokio::net::TcpListener::from_std).transpose()?.map(|listener| {
        let router = server::status_router(state.clone());
        tokio::spawn(listen::serve(listener, None, router, state.clone(), std::future::pending()))
    });
    let router = server::router(state.clone());
    let stopping = async {
        stop.asked().await;
        state.stop();
    };
    listen::serve(listener, Some(certificates), router, state.clone(), stopping).await;

    // First the sensor, so that its last words are kept; then the store.
    let last_words = async {
        tokio::task::spawn_blocking(move || {
            drop(guard);
            intake.map(std::thread::JoinHandle::join)
        })
        .await
    };
    if tokio::time::timeout(Duration::from_secs(10), last_words).await.is_err() {
        tracing::warn!("the sensor did not stop within 10 s; what it still had to say is lost");
    }
    tasks.iter().chain(&plain).chain(&asking).for_each(tokio::task::JoinHandle::abort);
    for task in told {
        let _ = tokio::time::timeout(Duration::from_secs(1), task).await;
    }
    let in_force = repository.commands_in_force(now()).await.unwrap_or_default();
    repository.close().await;
    std::io::stdout().write_all(farewell(&in_force).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Who witnesses the ledger here, and whose this node witnesses.
fn witnessing(settings: &Settings, place: &Place) -> anyhow::Result<Witnessing> {
    let Ledger { witnesses, quorum, witness_ca, witness_for } = &settings.ledger;
    let asking = Witnessing::new(place.ledger_key()?)
        .asking(witnesses, *quorum as usize, witness_ca.as_deref())
        .context("wrong setting: ledger.witnesses")?;
    if witness_for.is_empty() {
        return Ok(asking);
    }
    asking.cosigning(witness_for, &place.witness_key()?).context("wrong setting: ledger.witness_for")
}

async fn greet(state: &AppState, settings: &Settings, tls: &Tls, url: &str) -> anyhow::Result<()> {
    let repository = state.repository();
    let now = now();
    let administrator = auth::administrator(repository, now).await?;
    let sessions = repository.sessions(&administrator.id, now, now.plus_secs(-auth::IDLE_SECS)).await?;
    // Whoever has a passkey or a password needs no link.
    let in_a_browser = sessions.iter().any(|session| !session.is_command_line());
    let finds_in = in_a_browser || !repository.credentials(&administrator.id).await?.is_empty();
    let link = match finds_in {
        true => None,
        false => Some(auth::make_link(repository, url, &administrator, None, now, auth::LINK_SECS).await?),
    };
    let greeting = Greeting {
        url,
        link: link.as_deref(),
        tls,
        data_dir: &state.node().data_dir.display().to_string(),
        settings,
        open: repository.open_incidents().await?,
    };
    let mut out = std::io::stdout();
    out.write_all(greeting.text().as_bytes())?;
    Ok(out.flush()?)
}

fn node(loaded: &Loaded, place: &Place, url: &str, receivers: &[Receiver]) -> Node {
    let settings = &loaded.settings;
    let sensor = &settings.sensor;
    let files = sensor.follow.iter().map(|path| path.display().to_string());
    let retention = &settings.retention;
    Node {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        url: url.to_owned(),
        data_dir: place.path().to_owned(),
        watched: sensor.interfaces.iter().cloned().chain(files).collect(),
        response_mode: settings.response.mode.as_str().to_owned(),
        retention: Retention {
            incident_days: retention.incident_days,
            asset_days: retention.asset_days,
            journal_days: retention.journal_days,
            counter_days: retention.counter_days,
            most_bytes: retention.disk_mib << 20,
        },
        channels: receivers.iter().map(Receiver::channel).collect(),
        least_told: settings.notify.severity,
        settings: loaded.listed(),
        certificates: settings.certificates.clone(),
        agents: settings.agents.clone(),
    }
}

/// Where the console is reached: the first name, else this machine itself, else the address that is listened on.
fn url(settings: &Settings, address: IpAddr, port: u16) -> String {
    let host = match (settings.server.names.first(), address) {
        (Some(name), _) => name.clone(),
        (None, address) if address.is_loopback() || address.is_unspecified() => "localhost".to_owned(),
        (None, IpAddr::V4(v4)) => v4.to_string(),
        (None, IpAddr::V6(v6)) => format!("[{v6}]"),
    };
    if port == 443 { format!("https://{host}") } else { format!("https://{host}:{port}") }
}

/// The addresses that go into the certificate: what is listened on, which may be all of this machine's.
fn reached_at(address: IpAddr) -> Vec<IpAddr> {
    if address.is_unspecified() { sensor::own_addresses() } else { vec![address] }
}

/// Where incidents are told, with addresses and secrets that were looked at.
pub(super) fn receivers(notify: &Notify) -> anyhow::Result<Vec<Receiver>> {
    let mut receivers = Vec::new();
    if let Some(address) = &notify.webhook {
        let secret = notify.webhook_secret_file.as_deref().map(secret).transpose()?;
        let webhook = Webhook::new(address, secret.as_deref(), notify.webhook_ca.as_deref())
            .context("wrong setting: notify.webhook")?;
        receivers.push(Receiver::Webhook(Box::new(webhook)));
    }
    if let Some(address) = &notify.syslog {
        receivers.push(Receiver::Syslog(Syslog::new(address).context("wrong setting: notify.syslog")?));
    }
    Ok(receivers)
}

fn secret(path: &Path) -> anyhow::Result<String> {
    let wrong = || format!("wrong setting: notify.webhook_secret_file: {} cannot be read", path.display());
    let mode = std::fs::metadata(path).with_context(wrong)?.mode();
    if mode & 0o077 != 0 {
        bail!(
            "wrong setting: notify.webhook_secret_file: {} can be read by others (mode {:04o}): expected 0600",
            path.display(),
            mode & 0o7777
        );
    }
    let secret = std::fs::read_to_string(path).with_context(wrong)?.trim().to_owned();
    if secret.len() < 16 {
        bail!(
            "wrong setting: notify.webhook_secret_file: expected at least 16 letters in {}",
            path.display()
        );
    }
    Ok(secret)
}

/// Sweeps out what is too old or does not fit, for as long as the server runs.
async fn sweep(state: AppState) {
    tokio::time::sleep(Duration::from_secs(30)).await;
    loop {
        match state.repository().sweep(&state.node().retention, state.now()).await {
            Ok(swept) if swept == store::Swept::default() => {}
            Ok(swept) => tracing::info!(?swept, "swept"),
            Err(error) => tracing::error!(%error, "old records could not be swept out"),
        }
        tokio::time::sleep(SWEEP).await;
    }
}

/// SIGINT and SIGTERM; a second one ends the process at once.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        self.either().await;
        tracing::info!("stopping");
        let (mut interrupt, mut terminate) =
            match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
                (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
                _ => return,
            };
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    }

    async fn either(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
