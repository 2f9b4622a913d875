//! One moment of a database, read through to its end.

use super::{CopyError, row::to_json};
use crate::{
    database::{Connection, DatabaseUrl, Role, Row, connect, query},
    schema::{self, Table},
};
use futures_util::{StreamExt as _, stream::BoxStream};
use serde_json::Value as Json;
use sqlx::AssertSqlSafe;

/// One moment of a database: what others write afterwards is not in it.
pub(super) struct Snapshot {
    place: String,
    connection: Connection,
    schema: i64,
    tables: Vec<Table>,
}

impl Snapshot {
    /// The moment that is now, of a database that has the schema of today.
    pub(super) async fn take(url: &DatabaseUrl) -> Result<Self, CopyError> {
        let failed = |error: sqlx::Error| CopyError::database(url, error);
        let mut connection = connect(url, Role::Reader).await.map_err(failed)?;
        let begin = match &connection {
            Connection::Sqlite(_) => "BEGIN",
            Connection::Postgres(_) => {
                "SET statement_timeout TO 0; SET idle_in_transaction_session_timeout TO 0; \
                 BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            }
        };
        connection.run(begin).await.map_err(failed)?;
        let mut snapshot = Self { place: url.to_string(), connection, schema: 0, tables: schema::tables() };
        // The first statement decides which moment it is.
        snapshot.schema = snapshot.number("SELECT MAX(version) FROM _sqlx_migrations".to_owned()).await?;
        if snapshot.schema != schema::today() {
            return Err(CopyError::Older {
                place: snapshot.place,
                found: snapshot.schema,
                known: schema::today(),
            });
        }
        Ok(snapshot)
    }

    pub(super) const fn schema(&self) -> i64 {
        self.schema
    }

    pub(super) fn tables(&self) -> Vec<Table> {
        self.tables.clone()
    }

    /// How many rows there are in all tables.
    pub(super) async fn rows(&mut self) -> Result<u64, CopyError> {
        self.number(schema::count_all(&self.tables)).await.map(i64::unsigned_abs)
    }

    /// All rows of a table, in the order of its key.
    pub(super) fn read<'s>(&'s mut self, table: &'s Table) -> Rows<'s> {
        Rows::read(&mut self.connection, &self.place, table)
    }

    async fn number(&mut self, sql: String) -> Result<i64, CopyError> {
        let failed = |error| CopyError::database(&self.place, error);
        let rows = query(AssertSqlSafe(sql)).rows(&mut self.connection).await;
        let rows = rows.map_err(|error| failed(error.into()))?;
        let number = rows.first().map_or(Ok(None), |row| row.try_get::<Option<i64>>(0)).map_err(failed)?;
        Ok(number.unwrap_or_default())
    }
}

/// The rows of a table.
pub(super) struct Rows<'s> {
    place: &'s str,
    table: &'s Table,
    rows: BoxStream<'s, Result<Row, sqlx::Error>>,
}

impl<'s> Rows<'s> {
    /// All rows of a table, in the order of its key.
    pub(super) fn read(connection: &'s mut Connection, place: &'s str, table: &'s Table) -> Self {
        let sql = AssertSqlSafe(table.select_all());
        let rows = match connection {
            Connection::Sqlite(connection) => {
                sqlx::query(sql).fetch(connection).map(|row| row.map(Row::Sqlite)).boxed()
            }
            Connection::Postgres(connection) => {
                sqlx::query(sql).fetch(connection).map(|row| row.map(Row::Postgres)).boxed()
            }
        };
        Self { place, table, rows }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<Json>>, CopyError> {
        let failed = |error| CopyError::database(&self.place, error);
        let Some(row) = self.rows.next().await else { return Ok(None) };
        let row = row.map_err(|error| CopyError::database(&self.place, error))?;
        to_json(self.table, &row).map(Some).map_err(failed)
    }
}
