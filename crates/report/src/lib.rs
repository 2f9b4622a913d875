//! Tell it: an analysis or an incident, told to a person.
//!
//! Guarantees: pure (the moment a report is made comes from the caller), bounded in what it shows, and whatever a
//! stranger wrote is shown as text and nothing else ([`Escape`], [`visible()`]).

// The escaper is named by its full path in `askama.toml`, also for the templates of this crate.
extern crate self as report;

mod command_words;
mod context;
mod document;
mod early_warning;
mod html;
mod named;
mod parties;
mod picture;
mod story;
mod svg;
mod text;
mod timeline;
mod visible;
pub mod words;

pub use command_words::{Names, called, command_label, effect_means, effect_word, plan_label, target_label};
pub use context::{Act, Context, Gap};
pub use document::{Device, Document, Input, Skipped, Totals};
pub use early_warning::{EarlyWarning, Row, early_warning};
pub use html::{DRAWING_CSS, TOKENS_CSS, html, html_with};
pub use named::{titled, with_names};
pub use parties::foremost;
pub use picture::incident_picture;
pub use story::{Tally, gaps, tally, verdict};
pub use text::text;
pub use timeline::{incident_timeline, incidents_timeline};
pub use visible::{Escape, clipped, escaped, visible};
