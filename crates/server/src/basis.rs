//! What the node decides by: its settings, and the policies that it is shipped with.
//!
//! Guarantees: where one of them is another than at the last start, the ledger says so, with what changed; the leaf names
//! the whole by its hash, so that it can be shown later what was in force.

use crate::{AppState, auth::salts, intake::NotKept, secret};
use ledger::{Deed, Subject};
use std::collections::BTreeSet;
use store::{Actor, Decided};

/// The longest list of what changed, in letters.
const MOST_DETAILS: usize = 10_000;

/// Writes down what changed since the last start. Where it cannot be written that is logged, and the node runs: whoever has
/// to act on an attack needs it.
pub async fn note(state: &AppState) {
    let settings = state.node().settings.iter().map(|setting| format!("{} = {}", setting.key, setting.value));
    let policies = policy::SHIPPED.iter().map(|(file, text)| format!("{file} {}", secret::hash(text)));
    for (kind, deed, lines) in [
        ("settings", Deed::SettingsChanged, settings.collect::<Vec<_>>()),
        ("policies", Deed::PolicyChanged, policies.collect()),
    ] {
        if let Err(error) = compare(state, kind, deed, &lines).await {
            tracing::error!(%error, kind, "what the node decides by cannot be written down");
        }
    }
}

/// Compares the lines with those of the last start, which the store keeps.
async fn compare(state: &AppState, kind: &str, deed: Deed, lines: &[String]) -> Result<(), NotKept> {
    let (repository, name) = (state.repository(), format!("{kind} in force"));
    let before = repository.setting(&name).await?.unwrap_or_default();
    let before: BTreeSet<&str> = before.lines().collect();
    let changed: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !before.contains(line)).collect();
    let value = lines.join("\n");
    let decided = Decided {
        at: state.now(),
        who: Actor::Program,
        deed,
        about: vec![Subject::new(kind, secret::hash(&value))?],
        details: Some(changed.join("\n").chars().take(MOST_DETAILS).collect()),
        salts: salts()?,
    };
    repository.decide_setting(&name, &value, decided).await?;
    Ok(())
}
