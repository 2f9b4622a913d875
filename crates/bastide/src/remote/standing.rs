//! What taking an identity away has in common, of an asset or of one certificate.

use super::table::text;
use serde_json::{Value, json};

/// Why it is revoked.
#[derive(Clone, clap::Args)]
pub(crate) struct Reasons {
    /// unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation or privilege-withdrawn
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    why: Why,
}

/// Why, in words.
#[derive(Clone, clap::Args)]
pub(crate) struct Why {
    /// Why, in words, for the ledger
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

impl Reasons {
    pub(super) fn body(&self) -> Value {
        json!({ "reason": self.reason, "why": self.why.why })
    }
}

impl Why {
    pub(super) fn body(&self) -> Value {
        json!({ "why": self.why })
    }
}

/// What came of it, in a sentence.
pub(super) fn ended(what: &str, answer: &Value) -> String {
    format!(
        "{what}: {} certificates, {} connections ended",
        text(answer, "certificates"),
        text(answer, "connections")
    )
}
