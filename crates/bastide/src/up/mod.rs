//! `bastide up`: a whole node on one machine.
//!
//! Guarantees: whatever is wrong (a setting, the data directory, the database, the port, an interface) stops the start
//! before anything is watched or acted on, with what to do; what runs with privileges is the sensor alone: they are given
//! up before the first connection is taken.

mod greeting;
pub(crate) mod place;
pub(crate) mod pump;
mod serve;

use crate::settings::{self, Given, Loaded};
use anyhow::Context as _;
pub(crate) use place::{Place, database};
pub(crate) use serve::now;
use std::{net::TcpListener, path::PathBuf, process::ExitCode};

/// Arguments of `bastide up`. Each can also be set by a variable or in the settings file: see --print-config.
#[derive(clap::Args)]
#[command(
    after_help = "Open to anybody who reaches the port: /healthz (200 where all is well, 503 where not), signing in, and what devices \
                        need: EST (/.well-known/est), revocation lists, OCSP. \
                        /metrics (Prometheus) and the API (/api/v1/openapi.json) need a token (--token) or a session."
)]
pub(crate) struct Args {
    /// Where everything is kept: database, keys, journal [default: /var/lib/bastide as root, else ~/.local/share/bastide]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where the database is: sqlite:PATH or postgres://USER@HOST/DATABASE [default: bastide.sqlite in the data directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Whose node this is, by its id: founded at the first start, later to be found in the database's tree [default: local, or
    /// what the database was founded for]
    #[arg(long, value_name = "ID")]
    authority: Option<String>,
    /// What that authority is called, when it is founded [default: its id]
    #[arg(long, value_name = "NAME")]
    authority_name: Option<String>,
    /// national, regional, local or department, when it is founded [default: local]
    #[arg(long, value_name = "LEVEL")]
    authority_level: Option<String>,
    /// Address and port of console and API [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// A name under which console and API are reached; may be given several times
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    name: Vec<String>,
    /// An interface to watch; may be given several times. None: a console over what is there
    #[arg(long, value_name = "IFACE", value_delimiter = ',')]
    sensor: Vec<String>,
    /// A Suricata EVE, Zeek or Cowrie log to follow; may be given several times
    #[arg(long, value_name = "FILE")]
    follow: Vec<String>,
    /// Read followed logs from their beginning the first time
    #[arg(long)]
    follow_from_start: bool,
    /// What is ours; private networks where not given
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    home: Vec<String>,
    /// What is never looked into
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    exclude: Vec<String>,
    /// off, ask (a person approves each plan) or auto [default: ask]
    #[arg(long, value_name = "MODE")]
    respond: Option<String>,
    /// An administrator's address, never acted on; may be given several times
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    administrator: Vec<String>,
    /// Where each new or worse incident is POSTed as JSON
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Where each new or worse incident is sent by syslog: udp://HOST:PORT or tcp://HOST:PORT
    #[arg(long, value_name = "URL")]
    syslog: Option<String>,
    /// What is logged to standard error: error, warn, info, debug [default: warn]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Settings in TOML [environment: BASTIDE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print all settings with their meaning and where each came from, then stop
    #[arg(long)]
    print_config: bool,
    /// Print a new sign-in link for LOGIN, or for the administrator, then stop; works while a server runs on the same data.
    /// The link before it, where it was not used, no longer works
    #[arg(long, value_name = "LOGIN", num_args = 0..=1, default_missing_value = "")]
    sign_in_link: Option<String>,
    /// Make a token for a program (such as Prometheus) and print it, then stop
    #[arg(long, value_name = "NAME", conflicts_with = "sign_in_link", value_parser = server::name)]
    token: Option<String>,
    /// With --token: what it may: auditor (reads everything, changes nothing), analyst (closes incidents), operator (approves,
    /// refuses, undoes), integrator (enrols devices); may be given more than once
    #[arg(long, value_name = "ROLE", requires = "token", default_value = "auditor", value_parser = token_role)]
    token_role: Vec<model::AuthorityRole>,
    /// With --token: how long it is good, in days
    #[arg(long, value_name = "DAYS", requires = "token", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    token_days: u32,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let loaded = settings::load(&args.given(), settings::variables())?;
    if args.print_config {
        crate::terminal::say(&settings::print(&loaded))?;
        return Ok(ExitCode::SUCCESS);
    }
    log_to_stderr(&loaded.settings.log)?;
    // Whatever is made from here on is for its owner only.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    if args.sign_in_link.is_some() || args.token.is_some() {
        return hand_out(&args, &loaded);
    }
    up(&loaded)
}

fn up(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let settings = &loaded.settings;
    let place = Place::take(&settings.data_dir)?;
    let listener = listen(settings.server.listen, "--listen ADDR:PORT")?;
    let plain =
        settings.certificates.listen.map(|address| listen(address, "certificates.listen")).transpose()?;
    // Looked at before a sensor starts: what is wrong here must not be found out while somebody is being cut off.
    let receivers = serve::receivers(&settings.notify)?;
    let key = place.ledger_key()?;
    small_runtime()?.block_on(async {
        let repository =
            store::Repository::open(place.database(settings), settings.authority.own(), key).await?;
        repository.close().await;
        Ok::<_, store::OpenError>(())
    })?;
    let sensor = match pump::sensor_config(settings, &place) {
        Some(config) => Some(sensor::spawn(config).context("the sensor could not start")?),
        None => None,
    };
    // The sensor's threads keep what they need; from here on nothing has any privilege.
    sensor::give_up_privileges().context("privileges could not be given up")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_name("server")
        .enable_all()
        .build()
        .context("no threads could be started")?;
    let served = runtime.block_on(serve::serve(loaded, &place, (listener, plain), sensor, receivers));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    served
}

/// `--sign-in-link` and `--token`: next to a server that runs, for the database takes both.
fn hand_out(args: &Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let database = Place::look(&loaded.settings)?;
    small_runtime()?.block_on(async {
        let key = place::ledger_key(&loaded.settings.data_dir)?;
        let repository = store::Repository::open(database, loaded.settings.authority.own(), key).await?;
        let now = now();
        let url =
            repository.setting(serve::URL).await?.unwrap_or_else(|| "https://localhost:8443".to_owned());
        let line = match &args.token {
            Some(name) => {
                let roles = &args.token_role;
                server::auth::make_token(&repository, None, name, roles, now, args.token_days).await?
            }
            None => {
                // For the person, not for the program that takes the link.
                eprintln!(
                    "Good once, within {} minutes. Links made before that were not used no longer work.",
                    server::auth::LINK_SECS / 60
                );
                let person = match args.sign_in_link.as_deref().filter(|login| !login.is_empty()) {
                    None => server::auth::administrator(&repository, now).await?,
                    Some(login) => named(&repository, login).await?,
                };
                server::auth::make_link(&repository, &url, &person, None, now, server::auth::LINK_SECS)
                    .await?
            }
        };
        repository.close().await;
        crate::terminal::say(&line)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The roles of a token: what manages people is for people.
fn token_role(text: &str) -> Result<model::AuthorityRole, String> {
    match text.parse()? {
        model::AuthorityRole::Administrator => Err("a token cannot be an administrator".to_owned()),
        role => Ok(role),
    }
}

async fn named(repository: &store::Repository, login: &str) -> anyhow::Result<store::Person> {
    let login: model::LoginName = login.parse().map_err(anyhow::Error::msg)?;
    match repository.person_by_login(&login).await? {
        Some(person) if person.state == model::PersonState::Active => Ok(person),
        Some(_) => {
            anyhow::bail!("{login} is suspended: an administrator can let them in again in the console")
        }
        None => anyhow::bail!(
            "nobody signs in as {login}: --sign-in-link without a name is for the administrator"
        ),
    }
}

pub(crate) fn small_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime could be started")
}

/// `change` says how another address is chosen.
fn listen(address: std::net::SocketAddr, change: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("another program listens there: stop it, or choose another port with {change}")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                format!(
                    "this machine has no such address: see `ip address`, and choose another with {change}"
                )
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 need a privilege: choose another with {change}")
            }
            _ => error.to_string(),
        };
        anyhow::anyhow!("cannot listen on {address}: {what}")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!(
            "wrong setting: log: expected error, warn, info, debug or part=level, found {filter:?} ({error})"
        )
    })?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    // Where nothing can be logged (a full disk), nobody is to end for it.
    let log = log.log_internal_errors(false);
    let _ = log.with_writer(std::io::stderr).try_init();
    Ok(())
}

impl Args {
    fn given(&self) -> Given {
        let mut flags = Vec::new();
        for (key, value) in [
            ("data_dir", &self.data_dir),
            ("database", &self.database),
            ("authority.id", &self.authority),
            ("authority.name", &self.authority_name),
            ("authority.level", &self.authority_level),
            ("server.listen", &self.listen),
            ("response.mode", &self.respond),
            ("notify.webhook", &self.webhook),
            ("notify.syslog", &self.syslog),
            ("log", &self.log),
        ] {
            flags.extend(value.iter().map(|value| (key, vec![value.clone()])));
        }
        for (key, values) in [
            ("server.names", &self.name),
            ("sensor.interfaces", &self.sensor),
            ("sensor.follow", &self.follow),
            ("sensor.home", &self.home),
            ("sensor.exclude", &self.exclude),
            ("response.administrators", &self.administrator),
        ] {
            if !values.is_empty() {
                flags.push((key, values.clone()));
            }
        }
        if self.follow_from_start {
            flags.push(("sensor.follow_from_start", vec!["true".to_owned()]));
        }
        Given { file: self.config.clone(), flags }
    }
}
