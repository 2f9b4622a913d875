//! What a verification found, in plain words and as JSON.

use ledger::{BundleError, CheckpointError, Fault, Place, Proved, Trust, Witnessed};
use model::Timestamp;
use report::words::{self, counted};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _};

/// What was checked, and what was found.
#[derive(Serialize)]
pub(super) struct Outcome {
    place: String,
    origin: String,
    pub(super) leaves: Option<u64>,
    pub(super) root: Option<String>,
    keys: Vec<String>,
    keys_from: String,
    witnesses: BTreeMap<String, Cosigned>,
    pub(super) remembered: Vec<Seen>,
    pub(super) openings: u64,
    /// Leaves that this program cannot read.
    pub(super) unread: u64,
    pub(super) first_unread: Option<String>,
    /// Those of a bundle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) decisions: Vec<Decided>,
    pub(super) wrong: Option<Wrong>,
}

/// A checkpoint that somebody kept.
#[derive(Serialize)]
pub(super) struct Seen {
    pub(super) by: String,
    pub(super) leaves: u64,
}

/// What a witness cosigned last.
#[derive(Serialize)]
struct Cosigned {
    at: Timestamp,
    leaves: Option<u64>,
}

/// A decision that is proved.
#[derive(Serialize)]
pub(super) struct Decided {
    leaf: u64,
    at: Option<Timestamp>,
    deed: Option<&'static str>,
    about: Vec<String>,
    who: Option<String>,
    details: Option<String>,
    unread: Option<String>,
}

/// The first thing that is wrong.
#[derive(Serialize)]
pub(super) struct Wrong {
    what: &'static str,
    leaf: Option<u64>,
    file: Option<String>,
    says: String,
    means: &'static str,
}

impl Outcome {
    pub(super) fn new(place: String, trust: &Trust, keys_from: &str) -> Self {
        Self {
            place,
            origin: trust.origin.clone(),
            leaves: None,
            root: None,
            keys: trust.log.iter().map(ToString::to_string).collect(),
            keys_from: keys_from.to_owned(),
            witnesses: BTreeMap::new(),
            remembered: Vec::new(),
            openings: 0,
            unread: 0,
            first_unread: None,
            decisions: Vec::new(),
            wrong: None,
        }
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.wrong.is_none()
    }

    /// Notes who cosigned a checkpoint.
    pub(super) fn saw(&mut self, witnessed: &Witnessed, leaves: Option<u64>) {
        for (name, at) in &witnessed.witnesses {
            self.witnesses.insert(name.clone(), Cosigned { at: *at, leaves });
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if let Some(wrong) = &self.wrong {
            let _ = writeln!(
                text,
                "{}: {} IS WRONG\n  {}\n  {}",
                self.place, self.origin, wrong.says, wrong.means
            );
            if let Some(leaf) = wrong.leaf {
                let _ = writeln!(text, "  First wrong leaf: {leaf}");
            }
            if let Some(file) = &wrong.file {
                let _ = writeln!(text, "  Where: {file}");
            }
            return text;
        }
        let _ = writeln!(text, "{}: {} is whole", self.place, self.origin);
        let mut line = |what: &str, says: String| {
            let _ = writeln!(text, "  {what:<11} {says}");
        };
        if let (Some(leaves), Some(root)) = (self.leaves, &self.root) {
            line("Leaves", format!("{}, each hashed anew", words::count(leaves)));
            line("Tree", format!("rebuilt from them: every tile, and the root {root}"));
        }
        line("Signature", format!("by {} (key from {})", self.keys.join(" or "), self.keys_from));
        for (name, Cosigned { at, leaves }) in &self.witnesses {
            let first = leaves.map_or_else(String::new, |leaves| {
                format!(" the first {}", counted(leaves, "leaf", "leaves"))
            });
            line("Witness", format!("{name} cosigned{first} at {at}"));
        }
        for Seen { by, leaves } in &self.remembered {
            line(
                "Remembered",
                format!("{by}: its {} are the first of these", counted(*leaves, "leaf", "leaves")),
            );
        }
        let opened = counted(self.openings, "name or detail opens", "names and details open");
        line("Openings", format!("{opened} what the leaves committed to"));
        for decided in &self.decisions {
            line(&format!("Leaf {}", decided.leaf), decided.text());
        }
        if let Some(first) = &self.first_unread {
            line(
                "Caution",
                format!(
                    "{} written by a newer program: {first}",
                    counted(self.unread, "leaf was", "leaves were")
                ),
            );
        }
        for caution in self.cautions() {
            line("Caution", caution.to_owned());
        }
        text
    }

    /// What this verification does not show.
    fn cautions(&self) -> Vec<&'static str> {
        let mut cautions = Vec::new();
        if self.keys_from.ends_with("itself") {
            cautions.push("the key came with what it signs: compare it with what the authority publishes, or give it with --key");
        }
        if !self.decisions.is_empty() {
            cautions.push("a bundle proves its leaves; that none was left out, only the whole log shows");
        } else if self.witnesses.is_empty() && self.remembered.is_empty() {
            cautions.push(
                "nobody else's word was compared: whoever holds the key could have signed another history; \
                 keep `bastide ledger checkpoint` elsewhere and give it with --remembered, or have witnesses",
            );
        }
        cautions
    }
}

impl Decided {
    pub(super) fn new(proved: &Proved, who: Option<String>, details: Option<String>) -> Self {
        let decision = proved.decision.as_ref().ok();
        Self {
            leaf: proved.index,
            at: decision.map(|decision| decision.at),
            deed: decision.map(|decision| decision.deed.as_str()),
            about: decision.iter().flat_map(|it| &it.about).map(|about| about.as_str().to_owned()).collect(),
            who,
            details,
            unread: proved.decision.as_ref().err().map(ToString::to_string),
        }
    }

    fn text(&self) -> String {
        let (Some(at), Some(deed)) = (self.at, self.deed) else {
            return self.unread.clone().unwrap_or_default();
        };
        let who = self.who.as_ref().map_or_else(String::new, |who| format!(" by {who}"));
        let details = self.details.as_ref().map_or_else(String::new, |details| format!(": {details}"));
        let line = format!("{at} {deed}{who}, {}{details}", self.about.join(" "));
        // What people wrote must not write on the terminal.
        line.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
    }
}

impl Wrong {
    pub(super) fn of_log<E: std::error::Error>(fault: &Fault<E>) -> Self {
        Self {
            what: fault.word(),
            leaf: fault.leaf(),
            file: fault.place().map(|place| place.to_string()),
            says: fault.to_string(),
            means: match fault {
                Fault::ChangedLeaf { .. } | Fault::Rewritten { .. } => {
                    "somebody changed what was decided; the leaves before are as they were signed"
                }
                Fault::ChangedTile { .. } => {
                    "the leaves are as they were signed, but proofs made from this tile would fail"
                }
                Fault::CutOff { .. } => "the latest decisions were taken away",
                Fault::Fork { .. } => "the log's key signed two histories: somebody was shown another one",
                Fault::Rewound { .. } => "the log was put back: decisions that were there are gone",
                Fault::Missing(_) | Fault::Resource(_) => {
                    "the log is damaged, or something was taken out of it"
                }
                Fault::Shown { .. } => "a name or a detail was put beside a leaf that says another",
                _ => "nothing in this log can be believed",
            },
        }
    }

    pub(super) fn of_checkpoint(place: Place, error: &CheckpointError) -> Self {
        Self {
            what: "checkpoint",
            leaf: None,
            file: Some(place.to_string()),
            says: error.to_string(),
            means: "it is not signed as it has to be",
        }
    }

    pub(super) fn of_bundle(error: &BundleError) -> Self {
        let leaf = match error {
            BundleError::Missing { leaf, .. }
            | BundleError::Proof { leaf, .. }
            | BundleError::OtherLeaf { leaf, .. }
            | BundleError::Shown { leaf, .. } => Some(*leaf),
            _ => None,
        };
        Self {
            what: "bundle",
            leaf,
            file: leaf.map(|leaf| format!("{leaf}.json")),
            says: error.to_string(),
            means: "this leaf is not proved; it may have been changed, or its proof",
        }
    }

    /// Rows beside the log.
    pub(super) fn unsigned(signed: u64, held: u64) -> Self {
        Self {
            what: "unsigned",
            leaf: Some(signed),
            file: None,
            says: format!("{held} leaves are in the database, and {signed} were signed"),
            means: "somebody wrote decisions into the database past the program",
        }
    }
}
