//! The schema: its steps for each database, and all tables with their columns in one place.
//!
//! Guarantees: a table or column that a migration adds and that is not listed here fails a test; a database whose tables
//! are not these is not opened.

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType},
};
use std::fmt::Write as _;

/// A table: its columns in their order.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Columns and what they hold.
    pub(crate) columns: &'static [(&'static str, Holds)],
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A text.
    Text,
    /// A whole number of 64 bits.
    Int,
}

macro_rules! tables {
    ($($table:ident { $($column:ident $holds:ident),+ $(,)? })+) => {
        &[$(Table {
            name: stringify!($table),
            columns: &[$((stringify!($column), Holds::$holds)),+],
        }),+]
    };
}

/// All tables.
pub(crate) const TABLES: &[Table] = tables! {
    incident {
        authority_id Text, id Text, state Text, severity Int, confidence Int, stages Text, first Int, last Int,
        opened Int, changed Int, revision Int, search Text, body Text, closed_at Int, closed_by Text,
        closed_reason Text, closed_severity Int,
    }
    incident_address { authority_id Text, address Text, incident Text, role Text }
    asset {
        authority_id Text, id Text, kind Text, criticality Text, status Text, label Text, first_seen Int,
        last_seen Int, search Text, body Text,
    }
    asset_address { authority_id Text, address Text, asset Text, last_seen Int }
    plan { authority_id Text, id Text, incident Text, status Text, made Int, changed Int, body Text }
    command { authority_id Text, id Text, plan Text, expires Int }
    receipt { authority_id Text, command Text, at Int, effect Text, body Text }
    journal { authority_id Text, seq Int, at Int, hash Text, body Text }
    exception { authority_id Text, id Text, incident Text, made Int, until Int, revoked Int, body Text }
    counter { authority_id Text, name Text, hour Int, value Int }
    setting { authority_id Text, name Text, value Text, changed Int }
    sign_in_link { authority_id Text, hash Text, who Text, made Int, expires Int, used Int }
    session { authority_id Text, hash Text, who Text, made Int, seen Int, expires Int }
    token { authority_id Text, hash Text, name Text, scope Text, made Int, expires Int }
    deed { authority_id Text, seq Int, at Int, who Text, what Text, about Text }
    outbox { authority_id Text, seq Int, channel Text, made Int, due Int, tries Int, error Text, body Text }
};

/// The steps to the schema of today, for each database.
macro_rules! migrations {
    ($($version:literal $file:literal),+ $(,)?) => {
        /// The steps for SQLite.
        pub(crate) fn for_sqlite() -> Vec<Migration> {
            vec![$(step($version, $file, include_str!(concat!("../migrations/sqlite/", $file, ".sql")))),+]
        }

        /// The steps for PostgreSQL.
        pub(crate) fn for_postgres() -> Vec<Migration> {
            vec![$(step($version, $file, include_str!(concat!("../migrations/postgres/", $file, ".sql")))),+]
        }
    };
}

migrations! {
    1 "0001_first",
}

fn step(version: i64, what: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, what.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

impl Table {
    /// Its columns with commas between them.
    pub(crate) fn columns(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// Statements that fail where a table or a column is missing.
pub(crate) fn look_at_all() -> String {
    TABLES.iter().fold(String::new(), |mut sql, table| {
        let _ = write!(sql, "SELECT {} FROM {} LIMIT 0;", table.columns(), table.name);
        sql
    })
}

/// Asks PostgreSQL how many bytes all rows take, without what was freed among them.
pub(crate) fn weight() -> String {
    let tables: Vec<_> = TABLES
        .iter()
        .map(|table| {
            let texts = table.columns.iter().filter(|(_, holds)| *holds == Holds::Text);
            let weight: String =
                texts.map(|(name, _)| format!(" + COALESCE(pg_column_size({name}), 0)")).collect();
            format!("SELECT SUM(64 + 8 * {}{weight}) AS bytes FROM {}", table.columns.len(), table.name)
        })
        .collect();
    format!("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM ({}) AS weights", tables.join(" UNION ALL "))
}
