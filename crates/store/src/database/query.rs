//! A statement with its values, and the rows that it answers with.

use super::{Connection, Readers};
use crate::{StoreError, Transaction};
use sqlx::{
    Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};

/// A value that both databases take. Truths are 0 and 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

/// A statement with its values.
pub(crate) struct Query {
    sql: SqlStr,
    values: Vec<Value>,
}

/// A statement; its placeholders are `$1`, `$2`, … in the order of [`Query::bind`].
pub(crate) fn query(sql: impl SqlSafeStr) -> Query {
    Query { sql: sql.into_sql_str(), values: Vec::new() }
}

/// Where a statement runs: in the transaction of a write, or among the reads.
pub(crate) enum On<'t> {
    Transaction(&'t mut Transaction),
    Readers(&'t Readers),
}

impl Query {
    /// Gives the next placeholder its value. PostgreSQL keeps no NUL in a text: it becomes U+FFFD, in both databases.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(match value.into() {
            Value::Text(Some(text)) if text.contains('\0') => {
                Value::Text(Some(text.replace('\0', "\u{fffd}")))
            }
            value => value,
        });
        self
    }

    /// Runs it; how many rows it changed.
    pub(crate) async fn execute(self, on: &mut Transaction) -> Result<u64, StoreError> {
        Ok(match on.connection() {
            Connection::Sqlite(connection) => self.for_sqlite().execute(connection).await?.rows_affected(),
            Connection::Postgres(connection) => {
                self.for_postgres().execute(connection).await?.rows_affected()
            }
        })
    }

    /// Runs it; all rows that it answers with.
    pub(crate) async fn fetch_all<'t>(self, on: impl Into<On<'t>>) -> Result<Vec<Row>, StoreError> {
        match on.into() {
            On::Transaction(transaction) => Ok(self.rows(transaction.connection()).await?),
            On::Readers(readers) => readers.fetch(&self).await,
        }
    }

    /// Runs it; the first row, where there is one. It runs to its end: ask for one row.
    pub(crate) async fn fetch_optional<'t>(self, on: impl Into<On<'t>>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    /// Runs it; the one row.
    pub(crate) async fn fetch_one<'t>(self, on: impl Into<On<'t>>) -> Result<Row, StoreError> {
        self.fetch_optional(on).await?.ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// All rows, over one connection.
    pub(crate) async fn rows(&self, connection: &mut Connection) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match connection {
            Connection::Sqlite(connection) => {
                self.for_sqlite().fetch_all(connection).await?.into_iter().map(Row::Sqlite).collect()
            }
            Connection::Postgres(connection) => {
                self.for_postgres().fetch_all(connection).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    fn for_sqlite(&self) -> sqlx::query::Query<'_, Sqlite, SqliteArguments> {
        self.values.iter().cloned().fold(sqlx::query(self.sql.clone()), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }

    fn for_postgres(&self) -> sqlx::query::Query<'_, Postgres, PgArguments> {
        self.values.iter().cloned().fold(sqlx::query(self.sql.clone()), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }
}

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value in a column, from 0.
    pub(crate) fn try_get<T: Column>(&self, index: usize) -> Result<T, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(index)?,
            Self::Postgres(row) => row.try_get(index)?,
        })
    }
}

/// What can be read from a column of either database.
pub(crate) trait Column:
    for<'r> sqlx::Decode<'r, Sqlite>
    + sqlx::Type<Sqlite>
    + for<'r> sqlx::Decode<'r, Postgres>
    + sqlx::Type<Postgres>
{
}

impl<T> Column for T where
    T: for<'r> sqlx::Decode<'r, Sqlite>
        + sqlx::Type<Sqlite>
        + for<'r> sqlx::Decode<'r, Postgres>
        + sqlx::Type<Postgres>
{
}

impl<'t> From<&'t mut Transaction> for On<'t> {
    fn from(transaction: &'t mut Transaction) -> Self {
        Self::Transaction(transaction)
    }
}

impl<'t> From<&'t Readers> for On<'t> {
    fn from(readers: &'t Readers) -> Self {
        Self::Readers(readers)
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident($value:ident) $text:expr),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$variant($text)
            }
        })+
    };
}

value_from! {
    &str => Text(text) Some(text.to_owned()),
    String => Text(text) Some(text),
    &String => Text(text) Some(text.clone()),
    Option<&str> => Text(text) text.map(str::to_owned),
    Option<String> => Text(text) text,
    &Option<String> => Text(text) text.clone(),
    i64 => Int(number) Some(number),
    Option<i64> => Int(number) number,
    &[u8] => Bytes(bytes) Some(bytes.to_vec()),
    Vec<u8> => Bytes(bytes) Some(bytes),
    Option<Vec<u8>> => Bytes(bytes) bytes,
}
