//! What taking an identity away has in common, of an asset or of one certificate.

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
    let counted = |field: &str, one: &str, many: &str| {
        let number = answer.get(field).and_then(Value::as_u64).unwrap_or_default();
        report::words::counted(number, one, many)
    };
    let certificates = counted("certificates", "certificate", "certificates");
    let connections = counted("connections", "connection", "connections");
    let said = answer.pointer("/quarantine/said").and_then(Value::as_array);
    let said = said.into_iter().flatten().filter_map(Value::as_str);
    let quarantine: String = said.map(|line| format!("\n  {}", report::visible(line))).collect();
    format!("{what}: {certificates}, {connections} ended{quarantine}")
}
