//! Why there is no decision point.

/// Policies that cannot be used. Nothing is decided with them.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A schema that cannot be read.
    #[error("{file} is no Cedar schema: {reason}")]
    Schema {
        /// Where it was read from.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Policies that cannot be read.
    #[error("{file}: {reason}")]
    Policies {
        /// Where they were read from.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Policies that speak of what the schema does not know.
    #[error("{file} does not fit the schema: {reason}")]
    Invalid {
        /// Where they were read from.
        file: String,
        /// Each fault on a line.
        reason: String,
    },
}
