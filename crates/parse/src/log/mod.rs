//! Log lines of other tools to typed records: Zeek, Suricata, Cowrie.
//!
//! Guarantees: a line gives a record or an error that says which field failed and what was expected; unknown fields
//! are ignored, and optional fields of a wrong type count as missing. Nothing is kept between lines but the columns
//! that a Zeek header named.

pub mod cowrie;
pub mod eve;
mod json;
pub mod zeek;

/// Why a line is no record. Few enough kinds to be counted by their text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not UTF-8.
    #[error("line is not UTF-8 text")]
    Encoding,
    /// Not JSON, or not an object.
    #[error("line is not a JSON object")]
    Json,
    /// A column or key is missing.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A field holds something else than it should.
    #[error("field {field} is not {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A line before any header that names the columns.
    #[error("line before the #fields header that names its columns")]
    NoHeader,
    /// A header that names something else than was expected.
    #[error("header {field}: expected {expected}")]
    Header {
        /// The directive.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}
