//! `bastide-agent <verb>`.

use agent::{
    address::Server,
    disk::Folder,
    enrol::{Enrol, Ground},
    identity::{Identity, Trust},
    machine::{Guesses, Machine},
    run::Agent,
    spool::Spool,
    state::{Enrolment, State},
    tpm,
};
use clap::{Args, Parser, Subcommand};
use model::Timestamp;
use pkcs11::PlaceError;
use pki::Algorithm;
use std::{
    error::Error,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant, SystemTime},
};
use wire::{Collect, Token};

/// An identity for this device, and word of how it stands, for a city's security backend.
///
/// Begin with a token from the console of the server (Enrolment):
///
///     bastide-agent enrol --server https://bastide.city.example:8443 --token bst-enrol_…
///     bastide-agent run
///
/// `bastide-agent posture` and `bastide-agent sbom` show what would be reported, without a server.
#[derive(Parser)]
#[command(name = "bastide-agent", version, propagate_version = true, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Asks the server for a certificate: once, with a token
    Enrol(Box<EnrolArgs>),
    /// Reports, renews the certificate and takes settings, until it is ended
    Run(Place),
    /// As whom this device is enrolled, until when, and what waits for the server
    Status(Place),
    /// Prints how this device stands, as JSON: what `run` reports
    Posture,
    /// Prints what is installed, as CycloneDX 1.6: what `run` reports
    Sbom,
}

#[derive(Args)]
struct Place {
    /// Where the agent keeps its key, certificate, settings and the reports that wait
    #[arg(long, value_name = "DIR", env = "BASTIDE_AGENT_DIR", default_value = "/var/lib/bastide-agent")]
    dir: PathBuf,
}

#[derive(Args)]
struct EnrolArgs {
    /// The server, such as `https://bastide.city.example:8443`
    #[arg(long, value_name = "URL")]
    server: Server,
    /// The token from the console; `-` reads it from standard input, where no list of processes shows it
    ///
    /// It names the authority to trust, so that nothing else is needed, and is good once. Without one, but with --ca, a person
    /// is asked in the console.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "BASTIDE_ENROL_TOKEN",
        hide_env_values = true,
        required_unless_present = "ca"
    )]
    token: Option<String>,
    /// Trust the authorities in this PEM file, in place of the one that a token names
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// What the device is called [default: its host name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Which authority of the server, where the token is not for its first one: the label in EST's paths
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// The kind of key: p256, p384 or ed25519
    #[arg(long, value_name = "ALGORITHM", default_value = "p256", value_parser = algorithm)]
    algorithm: Algorithm,
    /// Where the key is made: `file` (in DIR), or a token (pkcs11:token=…?module-path=…&pin-source=file:…)
    /// [default: the TPM where one can be used, else file]
    #[arg(long, value_name = "PLACE", value_parser = key_place)]
    key: Option<KeyPlace>,
    /// Enrol anew, though this device is enrolled already
    #[arg(long)]
    replace: bool,
}

/// Where a key is made.
#[derive(Clone, Debug)]
enum KeyPlace {
    File,
    Token(pkcs11::Place),
}

fn key_place(text: &str) -> Result<KeyPlace, String> {
    match text {
        "file" => Ok(KeyPlace::File),
        other => other
            .parse()
            .map(KeyPlace::Token)
            .map_err(|error: PlaceError| format!("expected file, or a token: {error}")),
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let outcome = match cli.verb {
        Verb::Enrol(args) => tell_tpm(&args.place.dir).and_then(|()| enrol(*args)),
        Verb::Run(place) => tell_tpm(&place.dir).and_then(|()| run(&place.dir)),
        Verb::Status(place) => status(&place.dir),
        Verb::Posture => posture(),
        Verb::Sbom => sbom(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn enrol(args: EnrolArgs) -> Result<(), Box<dyn Error>> {
    let token: Option<Token> = match args.token.as_deref() {
        None => None,
        Some("-") => {
            let mut line = String::new();
            io::stdin().take(1_024).read_to_string(&mut line)?;
            Some(line.trim().parse()?)
        }
        Some(token) => Some(token.trim().parse()?),
    };
    let trust = match &args.ca {
        None => None,
        Some(path) => {
            let read = std::fs::read(path).map_err(|error| error.to_string());
            let trust = read.and_then(|text| Trust::from_pem(&text));
            Some(trust.map_err(|reason| {
                format!(
                    "{}: expected a PEM file with the certificate of an authority: {reason}",
                    path.display()
                )
            })?)
        }
    };
    let ground = match (token, trust) {
        (Some(token), None) => Ground::Token(token),
        (Some(token), Some(trust)) => Ground::TokenUnder(token, trust),
        (None, Some(trust)) => Ground::Person(trust),
        (None, None) => return Err("expected --token TOKEN or --ca FILE".into()),
    };
    let folder = Folder::open(&args.place.dir)?;
    let _lock = folder.lock()?;
    if !args.replace
        && let Some(identity) = Identity::load(&folder)?
    {
        let view = identity.certificate().view();
        let (whom, until) = (&view.subject, view.ends);
        let place = args.place.dir.display();
        return Err(
            format!("{place}: enrolled already as {whom} until {until}; --replace enrols anew").into()
        );
    }
    let name = args.name.or_else(|| Machine::new(Path::new("/")).host_name());
    let name = name.ok_or("this device has no host name: expected --name NAME")?;
    let token = match args.key {
        Some(KeyPlace::File) => None,
        Some(KeyPlace::Token(place)) => Some(place),
        None => match tpm::token(&folder, std::env::var_os(tpm::TPM).as_deref()) {
            Ok(place) => {
                say("the key is made in the TPM (--key file would make it in a file)");
                Some(place)
            }
            Err(why) => {
                say(&format!("the key is made in a file for the agent only; no TPM can be used: {why}"));
                None
            }
        },
    };
    let algorithm = args.algorithm;
    let enrol = Enrol { server: args.server, label: args.label, ground, name, algorithm, token };
    let mut wait = |time| {
        std::thread::sleep(time);
        now()
    };
    let identity = enrol.run(&folder, now(), &mut |word| say(&word), &mut wait)?;
    let certificate = identity.certificate();
    print(&format!(
        "enrolled as {} until {}; certificate {}, in {}\nnow start the agent: bastide-agent run\n",
        certificate.view().subject,
        certificate.view().ends,
        certificate.serial(),
        args.place.dir.display()
    ))
}

/// Begins again with what tpm2-pkcs11 reads from variables, where it is installed and nobody set them: that it keeps its
/// own in the agent's folder, and which TPM there is.
fn tell_tpm(dir: &Path) -> Result<(), Box<dyn Error>> {
    if std::env::var_os(tpm::STORE).is_some() || tpm::module().is_none() {
        return Ok(());
    }
    let store = Folder::open(dir)?.inside("tpm")?;
    let mut program = Command::new(std::env::current_exe()?);
    program.args(std::env::args_os().skip(1)).env(tpm::STORE, std::fs::canonicalize(store.path(""))?);
    if std::env::var_os(tpm::TPM).is_none() {
        program.env(tpm::TPM, tpm::KERNELS);
    }
    Err(program.exec().into())
}

fn run(dir: &Path) -> Result<(), Box<dyn Error>> {
    let folder = Folder::open(dir)?;
    let _lock = folder.lock()?;
    let began = Instant::now();
    let (mut agent, words) = Agent::open(folder, Machine::new(Path::new("/")), now())?;
    words.iter().for_each(|word| say(word));
    let certificate = agent.identity().certificate();
    say(&format!("as {} until {}", certificate.view().subject, certificate.view().ends));
    loop {
        // Ended by a signal, whenever it comes: every write holds by itself.
        let wait = agent.turn(now(), began.elapsed(), &mut say);
        std::thread::sleep(wait);
    }
}

fn status(dir: &Path) -> Result<(), Box<dyn Error>> {
    let not_enrolled = || format!("{}: this device is not enrolled", dir.display());
    if !dir.exists() {
        return Err(not_enrolled().into());
    }
    let folder = Folder::open(dir)?;
    let enrolment = Enrolment::load(&folder)?.ok_or_else(not_enrolled)?;
    let identity = Identity::load(&folder)?.ok_or_else(not_enrolled)?;
    let (state, _) = State::load(&folder)?;
    let (certificate, now) = (identity.certificate(), now());
    let standing = if now < certificate.view().begins {
        "not good yet: is the clock right?"
    } else if now >= certificate.view().ends {
        "over: enrol this device again with --replace"
    } else {
        "good"
    };
    let waiting = Spool::open(&folder)?.waiting().len();
    let taken = state.taken.map_or_else(|| "none yet".to_owned(), |at| at.to_string());
    print(&format!(
        "server       {}\nname         {}\ncertificate  {}, {standing}\nserial       {}\nfrom         {}\nuntil        {}\n\
         renewed from {}\nkey          {}, {}\nlast report  {taken}\nwaiting      {waiting} reports, {} shed\n",
        enrolment.server,
        enrolment.name,
        certificate.view().subject,
        certificate.serial(),
        certificate.view().begins,
        certificate.view().ends,
        identity.renew_from(),
        identity.fingerprint(),
        identity.key().token().map_or_else(|| "in a file".to_owned(), |place| format!("at {place}")),
        state.shed
    ))
}

fn posture() -> Result<(), Box<dyn Error>> {
    let machine = Machine::new(Path::new("/"));
    let (posture, _) = machine.look(env!("CARGO_PKG_VERSION"), Collect::default(), &mut Guesses::default());
    print(&(serde_json::to_string_pretty(&posture)? + "\n"))
}

fn sbom() -> Result<(), Box<dyn Error>> {
    let machine = Machine::new(Path::new("/"));
    let collect = Collect { packages: true, ports: false, accounts: false };
    let (posture, sbom) = machine.look(env!("CARGO_PKG_VERSION"), collect, &mut Guesses::default());
    let Some(sbom) = sbom else {
        let why = posture.unread.iter().map(|unread| format!("{}: {}", unread.source, unread.reason));
        return Err(why.collect::<Vec<_>>().join("; ").into());
    };
    print(&(serde_json::to_string_pretty(&sbom)? + "\n"))
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == text);
    found.ok_or_else(|| "expected p256, p384 or ed25519".to_owned())
}

fn say(word: &str) {
    eprintln!("bastide-agent: {word}");
}

/// To standard output; whoever reads it may go away.
fn print(text: &str) -> Result<(), Box<dyn Error>> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the front door: everything else is given the time")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
