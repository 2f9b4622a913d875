//! Tell it: timeline, documents, HTML.

mod document;

pub use document::{Document, Input, Skipped, Totals};
