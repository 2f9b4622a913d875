//! `bastide ledger verify`: a node, an exported log, or a bundle.

use super::{
    Ticking, bar, folder,
    folder::Folder,
    on_node,
    outcome::{Decided, Outcome, Seen, Wrong},
    read_keys,
};
use crate::copy::Which;
use anyhow::{Context as _, bail};
use ledger::{
    Algorithm, Checkpoint, Fault, MAX_NOTE, Note, Part, Place, Remembered, Source, Trust, VerifierKey, verify,
};
use model::AuthorityId;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Arguments of `bastide ledger verify`.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 whole, 1 usage or nothing readable, 3 not what was signed.")]
pub(super) struct Args {
    /// What `bastide ledger export` made, where it is not a node that is verified
    #[arg(value_name = "FOLDER", conflicts_with_all = ["data_dir", "database", "config", "authority"])]
    folder: Option<PathBuf>,
    /// Whose log; all of the node where none is named
    #[arg(long, value_name = "ID")]
    authority: Option<AuthorityId>,
    /// A checkpoint that was kept elsewhere, which the log has to continue
    #[arg(long, value_name = "FILE")]
    remembered: Vec<PathBuf>,
    /// A verifier key to believe, or a file of them, of the log and of its witnesses; else the node's own, or those that
    /// lie in the folder
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// How many of the witnesses must have cosigned
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    quorum: usize,
    /// Lines for people, or one JSON document
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let given = read_keys(&args.key)?;
    let mut remembered =
        args.remembered.iter().map(|path| Kept::read(path)).collect::<Result<Vec<_>, _>>()?;
    let outcomes = match &args.folder {
        Some(path) => vec![of_folder(args, path, given, &mut remembered)?],
        None => of_node(args, &given, &mut remembered)?,
    };
    if let Some(kept) = remembered.first() {
        bail!("{}: a checkpoint of {}, which is not what is verified", kept.path, kept.origin);
    }
    match args.format {
        Format::Text => {
            let texts: Vec<String> = outcomes.iter().map(Outcome::text).collect();
            crate::terminal::say(&texts.join("\n"))?;
        }
        Format::Json => {
            let told =
                serde_json::json!({ "whole": outcomes.iter().all(Outcome::is_whole), "logs": outcomes });
            crate::terminal::say(&serde_json::to_string_pretty(&told)?)?;
        }
    }
    Ok(ExitCode::from(if outcomes.iter().all(Outcome::is_whole) { 0 } else { 3 }))
}

/// A checkpoint that somebody kept.
struct Kept {
    path: String,
    origin: String,
    note: Note,
}

impl Kept {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes =
            folder::bounded(path, MAX_NOTE)?.with_context(|| format!("{} is not there", path.display()))?;
        let path = path.display().to_string();
        let note = Note::from_bytes(&bytes).with_context(|| format!("{path} is no signed checkpoint"))?;
        let checkpoint: Result<Checkpoint, _> = note.text().parse();
        let origin = checkpoint.with_context(|| format!("{path} is no signed checkpoint"))?.origin;
        Ok(Self { path, origin, note })
    }
}

/// Whom to believe, and why.
struct Belief {
    keys: Vec<VerifierKey>,
    from: String,
    quorum: usize,
}

fn of_node(args: &Args, given: &[VerifierKey], remembered: &mut Vec<Kept>) -> anyhow::Result<Vec<Outcome>> {
    on_node(&args.which, async |node| {
        let authorities = match &args.authority {
            Some(authority) => vec![authority.clone()],
            None => node.archive.authorities().await?,
        };
        if authorities.is_empty() {
            bail!("{}: nobody has decided anything yet", node.archive.url());
        }
        let mut outcomes = Vec::new();
        for authority in &authorities {
            let log = node.log(Some(authority)).await?;
            let (keys, from) = match given {
                [] => (node.keys(authority)?, node.key_file.display().to_string()),
                given => (given.to_vec(), "--key".to_owned()),
            };
            if keys.is_empty() {
                bail!(
                    "{} is not there, which says how checkpoints are signed: give --key",
                    node.key_file.display()
                );
            }
            let belief = Belief { keys, from, quorum: args.quorum };
            let (head, held) = (log.head(), log.leaves().await?);
            let place = format!("{}, authority {authority}", node.archive.url());
            let kept = theirs(remembered, log.checkpoint().as_bytes());
            let source = Ticking { bar: bar(args.which.quiet, head.size), log: log.blocking() };
            let checked = tokio::task::spawn_blocking(move || check(&source, place, &belief, &kept));
            let mut outcome = checked.await.context("the verification broke off")??;
            if outcome.wrong.is_none() && held > head.size {
                outcome.wrong = Some(Wrong::unsigned(head.size, held));
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    })
}

fn of_folder(
    args: &Args,
    path: &Path,
    given: Vec<VerifierKey>,
    remembered: &mut Vec<Kept>,
) -> anyhow::Result<Outcome> {
    let place = path.display().to_string();
    let log = Folder(path.to_owned());
    let Some(checkpoint) = log.read(Place::Checkpoint)? else {
        return of_bundle(args, path, given);
    };
    let (keys, from) = match given.as_slice() {
        [] => {
            (ledger::read_keys(&log.read(Place::Keys)?.unwrap_or_default())?, "the folder itself".to_owned())
        }
        _ => (given, "--key".to_owned()),
    };
    if keys.is_empty() {
        bail!("{place}/keys is not there, which says how the checkpoint is signed: give --key");
    }
    let size = checkpoint_of(&checkpoint).map_or(0, |checkpoint| checkpoint.head.size);
    let belief = Belief { keys, from, quorum: args.quorum };
    let kept = theirs(remembered, &checkpoint);
    check(&Ticking { bar: bar(args.which.quiet, size), log }, place, &belief, &kept)
}

fn of_bundle(args: &Args, path: &Path, given: Vec<VerifierKey>) -> anyhow::Result<Outcome> {
    if !args.remembered.is_empty() {
        bail!("{}: a bundle proves its leaves and no more; --remembered needs the whole log", path.display());
    }
    let bundle = folder::read_bundle(path)?;
    let (keys, from) = match given.as_slice() {
        [] => (bundle.keys.clone(), "the bundle itself".to_owned()),
        _ => (given, "--key".to_owned()),
    };
    let Some(first) = bundle.exhibits.values().next() else {
        bail!("{}: no leaf is in it", path.display());
    };
    let origin = checkpoint_of(first.proof.checkpoint.to_string().as_bytes()).map(|it| it.origin);
    let belief = Belief { keys, from, quorum: args.quorum };
    let trust = belief.trust(origin.as_deref(), args.quorum)?;
    let mut outcome = Outcome::new(path.display().to_string(), &trust, &belief.from);
    match bundle.verify(&trust) {
        Ok(proved) => {
            for one in proved {
                let exhibit = bundle.exhibits.get(&one.index);
                let shown = |part| {
                    let shown = exhibit?.shown.iter().find(|shown| shown.part == part)?;
                    Some(shown.opening.value.clone())
                };
                outcome.openings += exhibit.map_or(0, |exhibit| exhibit.shown.len() as u64);
                outcome.decisions.push(Decided::new(&one, shown(Part::Who), shown(Part::Details)));
                outcome.saw(&one.witnessed, None);
            }
        }
        Err(error) => outcome.wrong = Some(Wrong::of_bundle(&error)),
    }
    Ok(outcome)
}

/// Verifies a log with everything that is remembered of it.
fn check<S: Source + 'static>(
    source: &Ticking<S>,
    place: String,
    belief: &Belief,
    kept: &[Kept],
) -> anyhow::Result<Outcome>
where
    S::Error: Send + Sync,
{
    let origin = source.read(Place::Checkpoint)?.and_then(|bytes| checkpoint_of(&bytes)).map(|it| it.origin);
    let trust = belief.trust(origin.as_deref(), 0)?;
    let mut outcome = Outcome::new(place, &trust, &belief.from);
    let mut remembered = Vec::new();
    for kept in kept {
        let seen = trust.open(&kept.note).with_context(|| format!("{} cannot be believed", kept.path))?;
        remembered.push(Remembered { head: seen.checkpoint.head, by: kept.path.clone() });
        outcome.remembered.push(Seen { by: kept.path.clone(), leaves: seen.checkpoint.head.size });
    }
    // What witnesses cosigned is remembered too, by them.
    let bytes = source.read(Place::Witnessed)?.filter(|_| !trust.witnesses.is_empty());
    let mut cosigned = 0;
    if let Some(bytes) = bytes {
        let note = Note::from_bytes(&bytes).map_err(ledger::CheckpointError::from);
        match note.and_then(|note| trust.open(&note)) {
            Ok(seen) => {
                let by: Vec<&str> = seen.witnesses.keys().map(String::as_str).collect();
                remembered.push(Remembered { head: seen.checkpoint.head, by: by.join(" and ") });
                cosigned = seen.witnesses.len();
                outcome.saw(&seen, Some(seen.checkpoint.head.size));
            }
            Err(error) => {
                outcome.wrong = Some(Wrong::of_checkpoint(Place::Witnessed, &error));
                return Ok(outcome);
            }
        }
    }
    match verify(source, &trust, &remembered) {
        Ok(verified) => {
            let head = verified.witnessed.checkpoint.head;
            (outcome.leaves, outcome.root) = (Some(head.size), Some(head.root.to_string()));
            (outcome.openings, outcome.unread) = (verified.shown, verified.unread);
            outcome.first_unread = verified.first_unread.map(|(leaf, error)| format!("leaf {leaf}: {error}"));
            cosigned = cosigned.max(verified.witnessed.witnesses.len());
            outcome.saw(&verified.witnessed, Some(head.size));
            if cosigned < belief.quorum {
                let error =
                    ledger::CheckpointError::TooFewWitnesses { expected: belief.quorum, found: cosigned };
                outcome.wrong = Some(Wrong::of_checkpoint(Place::Checkpoint, &error));
            }
        }
        Err(Fault::Source { place, source }) => {
            return Err(anyhow::Error::new(source).context(format!("{place} cannot be read")));
        }
        Err(fault) => outcome.wrong = Some(Wrong::of_log(&fault)),
    }
    Ok(outcome)
}

impl Belief {
    /// Trust in the log of that origin, or in that of the keys where there is none for it.
    fn trust(&self, origin: Option<&str>, quorum: usize) -> anyhow::Result<Trust> {
        let of = |algorithm| self.keys.iter().filter(move |key| key.algorithm() == algorithm);
        let Some(first) = of(Algorithm::Note).next() else {
            bail!("expected a verifier key of a log (type 1) in {}, found none", self.from);
        };
        let known = origin.filter(|origin| of(Algorithm::Note).any(|key| key.name() == *origin));
        let origin = known.unwrap_or_else(|| first.name()).to_owned();
        let log = of(Algorithm::Note).filter(|key| key.name() == origin).cloned().collect();
        Ok(Trust { origin, log, witnesses: of(Algorithm::Cosignature).cloned().collect(), quorum })
    }
}

fn checkpoint_of(bytes: &[u8]) -> Option<Checkpoint> {
    Note::from_bytes(bytes).ok()?.text().parse().ok()
}

/// Takes out what is remembered of the log with this checkpoint.
fn theirs(remembered: &mut Vec<Kept>, checkpoint: &[u8]) -> Vec<Kept> {
    let origin = checkpoint_of(checkpoint).map(|checkpoint| checkpoint.origin);
    remembered.extract_if(.., |kept| Some(&kept.origin) == origin.as_ref()).collect()
}
