//! `bastide stop-responding`, `bastide respond …`, `bastide command …`: responding by hand, with the server and the
//! sensor at work or dead.

use anyhow::Context as _;
use model::{CommandId, Effect, Plan, PlanStatus, Target, Timestamp};
use sensor::respond::{
    Held,
    hand::{self, Status},
};
use std::{path::PathBuf, process::ExitCode};

/// Where the state is, and how to say it.
#[derive(clap::Args)]
struct Place {
    /// The data directory of `bastide up`; its folder `sensor` holds the state of responding [default: that of `bastide up`
    /// for the same user; environment: BASTIDE_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The state directory of a sensor that runs alone, in place of a data directory
    #[arg(long, value_name = "DIR", conflicts_with = "data_dir")]
    state_dir: Option<PathBuf>,
    /// Lines for people, or one JSON document
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Who asks; goes into the journal
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Arguments of `bastide stop-responding`.
#[derive(clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    place: Place,
}

/// Arguments of `bastide respond`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: RespondVerb,
}

#[derive(clap::Subcommand)]
enum RespondVerb {
    /// Whether responding is stopped, what is in force, what waits, and whether the journal is whole
    Status(Place),
    /// Releases the lever that `bastide stop-responding` pulled
    Resume(Place),
}

/// Arguments of `bastide command`.
#[derive(clap::Args)]
pub(crate) struct CommandArgs {
    #[command(subcommand)]
    verb: CommandVerb,
}

#[derive(clap::Subcommand)]
enum CommandVerb {
    /// Commands in force
    List(Place),
    /// Takes a command back, or all of them
    Undo {
        /// The command, as `bastide command list` names it
        #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
        id: Option<CommandId>,
        /// Everything, also what no state knows of
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        place: Place,
    },
}

/// `bastide stop-responding`: the one lever.
pub(crate) fn stop(args: &StopArgs) -> anyhow::Result<ExitCode> {
    let place = &args.place;
    place.existing_or_cleared()?;
    let undone = hand::stop(&place.state_dir(), &place.who(), now())
        .context("responding is to be stopped, but something may still be in force")?;
    let text = format!(
        "responding is stopped and stays so until `bastide respond resume`; {} taken back",
        commands(undone)
    );
    place.say(&text, &serde_json::json!({ "stopped": true, "undone": undone }))
}

/// `bastide respond …`.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        RespondVerb::Status(place) => {
            place.existing()?;
            let status = hand::status(&place.state_dir())?;
            let whole = status.journal.fault.is_none();
            place.say(&status_text(&status, now()), &serde_json::to_value(&status)?)?;
            Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(2) })
        }
        RespondVerb::Resume(place) => {
            place.existing()?;
            hand::resume(&place.state_dir(), &place.who(), now())?;
            place.say("responding is no longer stopped", &serde_json::json!({ "stopped": false }))
        }
    }
}

/// `bastide command …`.
pub(crate) fn command(args: CommandArgs) -> anyhow::Result<ExitCode> {
    match args.verb {
        CommandVerb::List(place) => {
            place.existing()?;
            let status = hand::status(&place.state_dir())?;
            let text = if status.in_force.is_empty() {
                "nothing is in force".to_owned()
            } else {
                let now = now();
                status.in_force.iter().map(|held| held_text(held, now)).collect::<Vec<_>>().join("\n")
            };
            place.say(&text, &serde_json::to_value(&status.in_force)?)
        }
        CommandVerb::Undo { id: Some(id), place, .. } => {
            place.existing()?;
            hand::undo(&place.state_dir(), &id, &place.who(), now())?;
            place.say(&format!("{id} was taken back"), &serde_json::json!({ "undone": [id] }))
        }
        CommandVerb::Undo { id: None, place, .. } => {
            place.existing_or_cleared()?;
            let undone = hand::undo_all(&place.state_dir(), &place.who(), now())
                .context("something may still be in force")?;
            place.say(&format!("{} taken back", commands(undone)), &serde_json::json!({ "undone": undone }))
        }
    }
}

impl Place {
    fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| self.data_dir().join("sensor"))
    }

    fn data_dir(&self) -> PathBuf {
        let set = || std::env::var_os("BASTIDE_DATA_DIR").map(PathBuf::from);
        self.data_dir.clone().or_else(set).unwrap_or_else(crate::settings::default_data_dir)
    }

    /// A mistyped folder must not be taken for one where nothing is in force, nor a lever be pulled where nobody looks.
    /// A node whose sensor never ran is one where nothing is in force.
    fn existing(&self) -> anyhow::Result<()> {
        match &self.state_dir {
            Some(folder) => anyhow::ensure!(
                folder.is_dir(),
                "{} is not there: expected the state directory of a sensor (--state-dir DIR)",
                folder.display()
            ),
            None => anyhow::ensure!(
                self.state_dir().is_dir() || self.data_dir().join("lock").is_file(),
                "{} holds no Bastide data: expected the data directory of `bastide up` (--data-dir DIR), or the state \
                 directory of a sensor that runs alone (--state-dir DIR)",
                self.data_dir().display()
            ),
        }
        Ok(())
    }

    /// The same for taking back: what the kernel holds goes in any case.
    fn existing_or_cleared(&self) -> anyhow::Result<()> {
        self.existing().or_else(|error| {
            hand::clear().context("something may still be in force")?;
            Err(error
                .context("the packet filter holds nothing of ours any more, but nothing was written down"))
        })
    }

    /// The name that was given, else that of the user.
    #[expect(
        clippy::disallowed_methods,
        reason = "the binary is the front door that the environment comes in by"
    )]
    fn who(&self) -> String {
        let user = || ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        let name = self.who.clone().or_else(user).filter(|name| !name.trim().is_empty());
        let name: String = name.unwrap_or_else(|| "somebody".into()).chars().take(64).collect();
        hand::named(&name)
    }

    fn say(&self, text: &str, value: &serde_json::Value) -> anyhow::Result<ExitCode> {
        match self.format {
            Format::Text => crate::terminal::say(text)?,
            Format::Json => crate::terminal::say(&serde_json::to_string_pretty(value)?)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[expect(clippy::disallowed_methods, reason = "the binary is the front door that the clock comes in by")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn commands(count: usize) -> String {
    match count {
        0 => "no command was in force; the packet filter's tables of ours are".into(),
        1 => "1 command was".into(),
        more => format!("{more} commands were"),
    }
}

fn status_text(status: &Status, now: Timestamp) -> String {
    let mut lines = vec![if status.stopped {
        "responding is stopped (release it with `bastide respond resume`)".to_owned()
    } else {
        "responding is not stopped".to_owned()
    }];
    lines.push(match status.in_force.len() {
        0 => "nothing is in force".into(),
        1 => "1 command is in force:".into(),
        more => format!("{more} commands are in force:"),
    });
    lines.extend(status.in_force.iter().map(|held| format!("  {}", held_text(held, now))));
    let waiting = status.plans.iter().filter(|plan| plan.status == PlanStatus::Proposed);
    lines.extend(waiting.map(plan_text));
    if status.plans_given_up > 0 {
        lines.push(format!(
            "{} older plans were given up unanswered: too many were open",
            status.plans_given_up
        ));
    }
    let journal = &status.journal;
    lines.push(match &journal.fault {
        None => format!(
            "the journal is whole: {} entries, the last has the hash {}",
            journal.entries, journal.last
        ),
        Some(fault) => format!("THE JOURNAL IS NOT WHOLE after {} entries: {fault}", journal.entries),
    });
    lines.join("\n")
}

fn plan_text(plan: &Plan) -> String {
    format!("{} waits for a person, {}: {}", plan.id, commands_of(plan), plan.because)
}

pub(crate) fn commands_of(plan: &Plan) -> String {
    plan.commands
        .iter()
        .map(|command| format!("{} {}", command.action.verb(), target(&command.on)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// With when the effect was known: nobody looks on while the sensor is dead.
fn held_text(held: &Held, now: Timestamp) -> String {
    let command = &held.command;
    let receipt = &held.receipt;
    let effect = match &receipt.effect {
        Effect::Applied => "applied, nothing has tried it yet".to_owned(),
        Effect::Effective => format!("effective, {} packets stopped", receipt.packets_stopped),
        Effect::WithoutEffect => format!("WITHOUT EFFECT, {} packets passed", receipt.packets_passed),
        Effect::Failed { reason } => format!("FAILED: {reason}"),
        Effect::Undone => "undone".to_owned(),
        Effect::Expired => "expired".to_owned(),
    };
    let ago = report::words::span(now.micros_since(receipt.at).max(0));
    format!(
        "{} {} {} by {} until {}: {effect} (as of {}, {ago} ago); {}",
        command.id,
        command.action.verb(),
        target(&command.on),
        held.grant.by(),
        command.expires,
        receipt.at,
        command.why
    )
}

pub(crate) fn target(on: &Target) -> String {
    match on {
        Target::Device { addresses, mac } => {
            let mut names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            names.extend(mac.map(|mac| mac.to_string()));
            names.join(" ")
        }
        Target::Remote { address } => address.to_string(),
        Target::Flow { src, dst, protocol, port } => {
            let port = port.map_or_else(String::new, |port| format!(" port {port}"));
            format!("{protocol} from {src} to {dst}{port}")
        }
    }
}
