//! `bastide ca …`: who issues certificates, the root taken offline, and a city's own authority as issuer.

use super::{
    asking::Asking,
    table::{Column, moment, table, text},
};
use anyhow::{Context as _, bail};
use model::Timestamp;
use serde_json::{Value, json};
use server::ca::offline::RootFile;
use std::{
    fs,
    io::{IsTerminal as _, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

const PATH: &str = "/api/v1/certificate-authorities";
const COLUMNS: &[Column] = &[
    ("ID", |row| text(row, "id")),
    ("STATE", |row| text(row, "state")),
    ("KEY", |row| text(row, "key")),
    ("ENDS (UTC)", |row| moment(row, "ends")),
    ("NAME", |row| text(row, "name")),
    ("TO DO", |row| text(row, "to_do")),
];
/// The largest file that is read.
const MOST_BYTES: u64 = 1024 * 1024;

/// Verbs of `bastide ca`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Who issues certificates, where their keys are, and what has to be done about them
    List {
        #[command(flatten)]
        asking: Asking,
    },
    /// Writes the root with its key, under a passphrase, to be kept offline; the key stays on the node, too
    ExportRoot {
        /// Where to; not on this machine for long
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Read the passphrase from standard input; without it one is made, and shown once
        #[arg(long)]
        passphrase: bool,
        #[command(flatten)]
        root: Root,
    },
    /// Takes the root's key away from the node; `--exported` has to open first. The passphrase comes from standard input
    RemoveRootKey {
        /// What export-root wrote; not needed for a key on a token
        #[arg(long, value_name = "FILE")]
        exported: Option<PathBuf>,
        #[command(flatten)]
        root: Root,
    },
    /// Brings the root's key back. The passphrase comes from standard input
    ImportRoot {
        /// What export-root wrote
        file: PathBuf,
        #[command(flatten)]
        root: Root,
    },
    /// Takes in a revocation list of the root that was signed offline
    ImportList {
        /// The list, in PEM
        file: PathBuf,
        #[command(flatten)]
        root: Root,
    },
    /// Prints the request of the node's issuer, to be certified by the root offline or by the city's own authority
    Request {
        /// A new one, with a new key; the one that waits is forgotten
        #[arg(long)]
        again: bool,
        #[command(flatten)]
        asking: Asking,
    },
    /// Takes in the issuer that was certified, with all certificates above it: it issues from now on
    Import {
        /// The certificates, in PEM
        chain: PathBuf,
        /// Its key (encrypted PKCS #8, PEM), where it is not that of the request; the passphrase comes from standard input
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Offline, without a node: certifies the request of a node's issuer. The passphrase comes from standard input
    SignIssuer {
        /// What `bastide ca request` printed
        request: PathBuf,
        /// What export-root wrote
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// Where the certificates go, for `bastide ca import`
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Offline, without a node: signs a revocation list of the root. The passphrase comes from standard input
    SignList {
        /// What export-root wrote
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// Its number: higher than that of any list before (`bastide ca list --json`: revocation_list)
        #[arg(long)]
        number: u64,
        /// Serial numbers of the issuers' certificates that are revoked, in hexadecimal: all of them each time
        #[arg(long, value_name = "SERIAL")]
        revoke: Vec<String>,
        /// Where the list goes, for `bastide ca import-list`
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Which root.
#[derive(Clone, clap::Args)]
pub(crate) struct Root {
    /// Which root, by its id; the one that issues where nothing is said
    #[arg(long, value_name = "ID")]
    root: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

impl Root {
    fn deed(
        &self,
        deed: &str,
        body: &Value,
        done: impl FnOnce(&Value) -> anyhow::Result<String>,
    ) -> anyhow::Result<ExitCode> {
        let id = match &self.root {
            Some(id) => id.clone(),
            None => {
                let all = self.asking.all(PATH)?;
                let root = all.as_array().into_iter().flatten().find(|one| text(one, "state") == "root");
                text(root.context("this node has no root")?, "id")
            }
        };
        let mut outcome = Ok(String::new());
        let code = self.asking.act_on(PATH, &id, deed, Some(body), |answer| {
            outcome = done(answer);
            outcome.as_ref().map(Clone::clone).unwrap_or_default()
        })?;
        outcome.map(|_| code)
    }
}

/// `bastide ca …`.
pub(crate) fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List { asking } => asking.tell(PATH, |all| {
            let rows = all.as_array().cloned().unwrap_or_default();
            table(COLUMNS, &rows, rows.len() as u64, "certificate authorities")
        }),
        Verb::ExportRoot { out, passphrase, root } => {
            let passphrase = passphrase.then(secret).transpose()?;
            // Before the key leaves the node: a file that cannot be made is no reason to send it.
            let mut file = new_file(&out)?;
            let exported = root.deed("export", &json!({ "passphrase": passphrase }), |answer| {
                file.write_all(text(answer, "file").as_bytes())?;
                file.sync_all()?;
                let place = out.display();
                Ok(match text(answer, "passphrase").as_str() {
                    "" => format!("{place}: the root, under your passphrase"),
                    made => {
                        format!("{place}: the root, under this passphrase, which is shown this once:\n{made}")
                    }
                })
            });
            if exported.is_err() {
                let _ = fs::remove_file(&out);
            }
            exported
        }
        Verb::RemoveRootKey { exported, root } => {
            let file = exported.as_deref().map(read).transpose()?;
            let passphrase = file.is_some().then(secret).transpose()?;
            root.deed("remove-key", &json!({ "file": file, "passphrase": passphrase }), |answer| {
                let until = moment(answer, "list_until");
                Ok(format!(
                    "the root's key is not on this node any more; its revocation list holds until {until}"
                ))
            })
        }
        Verb::ImportRoot { file, root } => {
            let body = json!({ "file": read(&file)?, "passphrase": secret()? });
            root.deed("return-key", &body, |_| Ok("the root's key is on this node again".into()))
        }
        Verb::ImportList { file, root } => root.deed("list", &json!({ "file": read(&file)? }), |answer| {
            Ok(format!("the list is taken; it holds until {}", moment(answer, "list_until")))
        }),
        Verb::Request { again, asking } => {
            asking.act(&format!("{PATH}/request"), Some(&json!({ "again": again })), |answer| {
                text(answer, "request")
            })
        }
        Verb::Import { chain, key, asking } => {
            let key = key.as_deref().map(read).transpose()?;
            let passphrase = key.is_some().then(secret).transpose()?;
            let body = json!({ "chain": read(&chain)?, "key": key, "passphrase": passphrase });
            asking.act(&format!("{PATH}/import"), Some(&body), |answer| {
                format!("{} issues from now on, until {}", text(answer, "name"), moment(answer, "ends"))
            })
        }
        Verb::SignIssuer { request, root, out } => {
            let (file, request) = (offline(&root)?, read(&request)?);
            let chain = file.certify(&secret()?, &request, now()).map_err(anyhow::Error::msg)?;
            new_file(&out)?.write_all(chain.as_bytes())?;
            crate::terminal::say(&format!("{}: take it in with `bastide ca import`", out.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::SignList { root, number, revoke, out } => {
            let file = offline(&root)?;
            let list = file.list(&secret()?, number, &revoke, now()).map_err(anyhow::Error::msg)?;
            new_file(&out)?.write_all(list.as_bytes())?;
            crate::terminal::say(&format!("{}: take it in with `bastide ca import-list`", out.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn offline(path: &Path) -> anyhow::Result<RootFile> {
    RootFile::read(&read(path)?).map_err(|reason| anyhow::anyhow!("{}: {reason}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > MOST_BYTES {
        bail!("{} is larger than {MOST_BYTES} bytes", path.display());
    }
    Ok(text)
}

/// A file of the owner alone that was not there.
fn new_file(path: &Path) -> anyhow::Result<fs::File> {
    let mut how = fs::OpenOptions::new();
    how.write(true).create_new(true).mode(0o600);
    how.open(path)
        .with_context(|| format!("cannot make {}: expected a file that is not there yet", path.display()))
}

/// The passphrase: a line of standard input.
fn secret() -> anyhow::Result<String> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprint!("passphrase: ");
    }
    let _quiet = Quiet::begin(&input);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut input.lock().take(4_096), &mut line)?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        bail!("no passphrase: expected one line on standard input");
    }
    Ok(line.to_owned())
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet(Option<rustix::termios::Termios>);

impl Quiet {
    fn begin(input: &std::io::Stdin) -> Self {
        let before = rustix::termios::tcgetattr(input).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(rustix::termios::LocalModes::ECHO);
            let _ = rustix::termios::tcsetattr(input, rustix::termios::OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let input = std::io::stdin();
            let _ = rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Flush, before);
            eprintln!();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the binary is the front door")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
