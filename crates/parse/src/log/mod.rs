//! Log lines of other tools to typed records.
