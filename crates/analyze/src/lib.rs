//! Captures and logs in, incidents out.
