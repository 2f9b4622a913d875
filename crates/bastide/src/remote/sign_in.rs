//! `bastide sign-in`, `sign-out`, `whoami`: the command line is let in by whoever says yes in a browser (RFC 8628).

use super::{
    connection::{Answer, Connection, Which, encoded},
    credentials::{Credentials, Entry},
};
use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use model::Timestamp;
use report::visible;
use serde::Deserialize;
use server::client::{Method, StatusCode};
use std::{
    io::IsTerminal as _,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

/// The longest wait between two looks, in seconds, whatever a server says.
const LONGEST_INTERVAL: u64 = 60;
/// The longest that an answer is waited for, in seconds, whatever a server says.
const LONGEST: u64 = 3_600;

/// Arguments of `bastide sign-in`.
#[derive(clap::Args)]
pub(crate) struct SignInArgs {
    #[command(flatten)]
    which: Which,
    /// Opens no browser
    #[arg(long)]
    no_browser: bool,
}

/// Arguments of `bastide sign-out`.
#[derive(clap::Args)]
pub(crate) struct SignOutArgs {
    #[command(flatten)]
    which: Which,
}

/// Arguments of `bastide whoami`.
#[derive(clap::Args)]
pub(crate) struct WhoamiArgs {
    #[command(flatten)]
    which: Which,
    /// What the API answered, as JSON
    #[arg(long)]
    json: bool,
}

/// How it goes on.
#[derive(Deserialize)]
struct Asked {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
}

#[derive(Deserialize)]
struct NotGiven {
    error: String,
}

/// Who one is.
#[derive(Deserialize)]
struct Me {
    name: String,
    authority: String,
    holds: Vec<Holding>,
    session: Option<Session>,
}

#[derive(Deserialize)]
struct Holding {
    role: String,
    authority: String,
}

#[derive(Deserialize)]
struct Session {
    expires: Timestamp,
}

/// `bastide sign-in`.
pub(crate) fn sign_in(args: &SignInArgs) -> anyhow::Result<ExitCode> {
    let credentials = Credentials::of_user()?;
    let connection = args.which.stranger(&credentials)?;
    super::run(async {
        let signed_in = async {
            let asked = ask(&connection).await?;
            show(&connection, &asked, args.no_browser)?;
            wait(&connection, &asked).await
        };
        let token = tokio::select! {
            token = signed_in => token?,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("\nNot signed in.");
                return Ok(ExitCode::from(130));
            }
        };
        let connection = connection.with(token.clone())?;
        let me = who(&connection).await?;
        let session = me.session.context("the server gave something else than a session")?;
        let server = connection.server.clone();
        let entry =
            Entry { token, login: me.name.clone(), expires: session.expires, ca: connection.ca.clone() };
        let before = credentials.change(|kept| {
            kept.last = Some(server.clone());
            kept.servers.insert(server.clone(), entry)
        })?;
        if let Some(before) = before {
            // Nobody can use it any more; where it cannot be ended it ends by itself.
            let _ = connection.with(before.token)?.exchange(Method::POST, "/sign-out", None).await;
        }
        crate::terminal::say(&format!(
            "Signed in to {server} as {} until {}.",
            visible(&me.name),
            session.expires
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `bastide sign-out`: also where the server has forgotten the session.
pub(crate) fn sign_out(args: &SignOutArgs) -> anyhow::Result<ExitCode> {
    let credentials = Credentials::of_user()?;
    let stranger = args.which.stranger(&credentials)?;
    let server = stranger.server.clone();
    let Some(entry) = credentials.read()?.servers.remove(&server) else {
        bail!("nobody is signed in to {server} here");
    };
    super::run(async {
        let connection = stranger.with(entry.token.clone())?;
        let answer = connection
            .exchange(Method::POST, "/sign-out", None)
            .await
            .with_context(|| format!("the session goes on, and stays in {}", credentials.path().display()))?;
        let known = match answer.status {
            StatusCode::UNAUTHORIZED => false,
            status if status.is_success() => true,
            _ => return Err(connection.refused(&answer)),
        };
        // Somebody may have signed in anew meanwhile.
        credentials.change(|kept| {
            if kept.servers.get(&server) == Some(&entry) {
                kept.servers.remove(&server);
            }
        })?;
        let before = if known { "" } else { "; the session had ended before" };
        crate::terminal::say(&format!("Signed out of {server}{before}."))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `bastide whoami`.
pub(crate) fn whoami(args: &WhoamiArgs) -> anyhow::Result<ExitCode> {
    let connection = args.which.connect()?;
    super::run(async {
        let answer = connection.get("/api/v1/me").await?;
        if args.json {
            crate::terminal::say(&serde_json::to_string_pretty(&answer)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let me: Me = serde_json::from_value(answer).context("the server answered something unknown")?;
        let mut text =
            format!("{} on {}, of {}", visible(&me.name), connection.server, visible(&me.authority));
        if let Some(session) = me.session {
            text.push_str(&format!(", until {}", session.expires));
        }
        if me.holds.is_empty() {
            text.push_str("\n  without a role");
        }
        for held in me.holds {
            text.push_str(&format!("\n  {} in {}", visible(&held.role), visible(&held.authority)));
        }
        crate::terminal::say(&text)?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn who(connection: &Connection) -> anyhow::Result<Me> {
    serde_json::from_value(connection.get("/api/v1/me").await?)
        .context("the server answered something unknown")
}

async fn form(connection: &Connection, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Answer> {
    let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let body = Some(("application/x-www-form-urlencoded", pairs.join("&").into_bytes()));
    connection.exchange(Method::POST, path, body).await
}

async fn ask(connection: &Connection) -> anyhow::Result<Asked> {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let fields = [("client_id", "bastide-cli"), ("device_name", machine.as_str())];
    let answer = form(connection, "/api/v1/device-authorization", &fields).await?;
    if !answer.status.is_success() {
        return Err(connection.refused(&answer));
    }
    serde_json::from_slice(&answer.body).with_context(|| {
        format!("{} lets no program in this way: is this a Bastide server?", connection.server)
    })
}

/// Says where to go, and goes there where somebody sits before a screen.
fn show(connection: &Connection, asked: &Asked, no_browser: bool) -> anyhow::Result<()> {
    let address = asked.verification_uri_complete.as_ref().unwrap_or(&asked.verification_uri);
    crate::terminal::say(&format!(
        "To sign in to {}, open\n\n  {}\n\nin a browser, and say yes if it shows the code\n\n  {}\n",
        connection.server,
        visible(address),
        visible(&asked.user_code),
    ))?;
    let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| super::variable(name).is_some());
    // Nothing but a page of the server itself, whatever it says.
    let own = address.strip_prefix(connection.server.trim_end_matches('/'));
    let is_page =
        own.is_some_and(|path| path.starts_with('/')) && address.bytes().all(|byte| byte.is_ascii_graphic());
    if screen && is_page && !no_browser && std::io::stdout().is_terminal() {
        let quiet = || Stdio::null();
        let _ = Command::new("xdg-open").arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    }
    Ok(())
}

/// Looks again and again, as often as the server wants, until somebody has answered.
async fn wait(connection: &Connection, asked: &Asked) -> anyhow::Result<String> {
    let mut interval = asked.interval.unwrap_or(5).clamp(1, LONGEST_INTERVAL);
    let mut left = asked.expires_in.min(LONGEST);
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    let fields = [
        ("client_id", "bastide-cli"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", asked.device_code.as_str()),
    ];
    let answered = loop {
        bar.set_message(format!(
            "waiting for your yes in the browser, {} min left (Ctrl-C ends it)",
            left.div_ceil(60)
        ));
        tokio::time::sleep(Duration::from_secs(interval)).await;
        left = left.saturating_sub(interval);
        let answer = match form(connection, "/api/v1/token", &fields).await {
            Ok(answer) => answer,
            // The server may be started anew: look again, less often (RFC 8628, section 3.5).
            Err(_) if left > 0 => {
                interval = (interval * 2).min(LONGEST_INTERVAL);
                continue;
            }
            Err(error) => break Err(error),
        };
        if answer.status.is_success() {
            break serde_json::from_slice(&answer.body)
                .map(|given: Given| given.access_token)
                .context("the server answered something unknown");
        }
        let Ok(NotGiven { error }) = serde_json::from_slice(&answer.body) else {
            break Err(connection.refused(&answer));
        };
        match error.as_str() {
            "authorization_pending" if left > 0 => {}
            "slow_down" if left > 0 => interval = (interval + 5).min(LONGEST_INTERVAL),
            "authorization_pending" | "slow_down" | "expired_token" => {
                break Err(anyhow::anyhow!(
                    "nobody said yes in time: run `bastide sign-in` again for another code"
                ));
            }
            "access_denied" => break Err(anyhow::anyhow!("the answer in the browser was no")),
            "invalid_grant" => {
                break Err(anyhow::anyhow!(
                    "the server has forgotten this sign-in (was it started anew?): run `bastide sign-in` again"
                ));
            }
            other => break Err(anyhow::anyhow!("the server refused: {}", visible(other))),
        }
    };
    bar.finish_and_clear();
    answered
}
