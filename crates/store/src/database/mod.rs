//! One way to ask two databases.
//!
//! Statements are written once, in what SQLite and PostgreSQL both read: `$1` placeholders, `ON CONFLICT`, `RETURNING`,
//! 64-bit integers, texts and bytes. What differs between the two sits in this folder and in `migrations/`.

mod condition;
mod connect;
mod connection;
mod packed;
mod query;
mod readers;
mod url;

pub(crate) use condition::Condition;
pub(crate) use connect::{Role, advice, check_server, connect};
pub(crate) use connection::{Connection, Size, size};
pub(crate) use packed::{Cell, bytes, number, packed, text, unhex, unpack};
pub(crate) use query::{On, Query, Row, Value, query};
pub(crate) use readers::Readers;
pub use url::{DatabaseUrl, PostgresUrl, WrongUrl};
