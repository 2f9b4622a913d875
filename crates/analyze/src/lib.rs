//! Captures and logs in, incidents out.
//!
//! Guarantees: bounded memory whatever the size of the input; inputs are recognised by content; what was good before
//! damage is analysed and the damage is reported with its offset; the same inputs give the same document (but for how
//! long it took).

mod flows;
mod input;
mod pipeline;
mod told;

pub use flows::FlowsError;
pub use pipeline::{Analysis, AnalyzeError, Options, Progress, analyze};
