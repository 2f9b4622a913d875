//! The schema: its steps for each database, and all tables with their columns in one place.
//!
//! Guarantees: a table or column that a migration adds and that is not listed here fails a test; a database whose tables
//! are not these is not opened.

use serde::{Deserialize, Serialize};
use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType},
};
use std::fmt::Write as _;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(rename = "table")]
    pub(crate) name: String,
    /// How many of the columns, from the first, are its key.
    pub(crate) key: usize,
    /// Columns and what they hold.
    pub(crate) columns: Vec<(String, Holds)>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Holds {
    /// A text.
    Text,
    /// A whole number of 64 bits.
    Int,
    /// Bytes.
    Bytes,
}

macro_rules! tables {
    ($($table:ident $key:literal { $($column:ident $holds:ident),+ $(,)? })+) => {
        vec![$(Table {
            name: stringify!($table).to_owned(),
            key: $key,
            columns: vec![$((stringify!($column).to_owned(), Holds::$holds)),+],
        }),+]
    };
}

/// All tables: name, how many columns are the key, columns with those of the key first.
pub(crate) fn tables() -> Vec<Table> {
    tables! {
        incident 2 {
            authority_id Text, id Text, state Text, severity Int, confidence Int, stages Text, first Int, last Int,
            opened Int, changed Int, revision Int, search Text, body Text, closed_at Int, closed_by Text,
            closed_reason Text, closed_severity Int,
        }
        incident_address 3 { authority_id Text, address Text, incident Text, role Text }
        asset 2 {
            authority_id Text, id Text, kind Text, criticality Text, status Text, label Text, first_seen Int,
            last_seen Int, search Text, body Text, layer Text, owner Text, place Text, district Text,
        }
        observation 3 { authority_id Text, source Text, subject Text, asset Text, body Text }
        observation_identifier 4 { authority_id Text, identifier Text, source Text, subject Text }
        judgement 3 { authority_id Text, one Text, other Text, same Int }
        asset_address 3 { authority_id Text, address Text, asset Text, last_seen Int }
        plan 2 {
            authority_id Text, id Text, incident Text, status Text, made Int, changed Int, body Text, sensor Text,
        }
        command 2 { authority_id Text, id Text, plan Text, expires Int }
        receipt 4 { authority_id Text, command Text, at Int, effect Text, body Text }
        journal 3 { authority_id Text, seq Int, hash Text, at Int, body Text, sensor Text }
        sensor 2 {
            authority_id Text, id Text, name Text, program Text, number Int, shed Int, heard Int,
        }
        exception 2 { authority_id Text, id Text, incident Text, made Int, until Int, revoked Int, body Text }
        counter 3 { authority_id Text, name Text, hour Int, value Int }
        setting 2 { authority_id Text, name Text, value Text, changed Int }
        authority 1 { authority_id Text, parent Text, name Text, level Text }
        person 2 { authority_id Text, id Text, login Text, name Text, state Text, made Int, search Text }
        holding 3 { authority_id Text, person Text, role Text, since Int }
        credential 2 {
            authority_id Text, id Text, person Text, kind Text, label Text, body Text, made Int, used Int,
        }
        sign_in_link 2 { authority_id Text, hash Text, person Text, made Int, expires Int, used Int }
        session 2 {
            authority_id Text, hash Text, person Text, method Text, device Text, place Text, made Int, seen Int,
            expires Int, provider Text,
        }
        provider 1 {
            authority_id Text, name Text, issuer Text, client Text, secret Text, ca Text, recognises Text, changed Int,
        }
        token 2 { authority_id Text, hash Text, name Text, roles Text, person Text, made Int, expires Int, used Int }
        issuer 2 {
            authority_id Text, id Text, parent Text, name Text, body Bytes, key Text, bounds Text, begins Int, ends Int,
            state Text, number Int, base Int, changed Int, list Bytes,
        }
        issuer_request 2 { authority_id Text, id Text, key Text, made Int, body Bytes }
        certificate 3 {
            authority_id Text, issuer Text, serial Text, asset Text, subject Text, profile Text, key Text,
            fingerprint Text, begins Int, ends Int, state Text, reason Text, changed Int, number Int, listed Int,
            alone Int, body Bytes,
        }
        certificate_name 4 { authority_id Text, name Text, issuer Text, serial Text }
        enrolment_token 2 {
            authority_id Text, hash Text, name Text, profile Text, asset Text, made Int, expires Int, used Int, key Text,
        }
        enrolment 2 {
            authority_id Text, id Text, subject Text, profile Text, asset Text, key Text, place Text, asked Int, seen Int,
            state Text, body Bytes,
        }
        maker 2 { authority_id Text, id Text, name Text, profile Text, made Int, body Bytes }
        device_report 3 {
            authority_id Text, asset Text, kind Text, number Int, made Int, came Int, body Text,
        }
        leaf 2 { authority_id Text, number Int, at Int, deed Text, body Bytes }
        leaf_about 3 { authority_id Text, subject Text, number Int }
        opening 3 { authority_id Text, number Int, part Text, person Text, salt Bytes, value Text }
        tile 3 { authority_id Text, level Int, number Int, hashes Bytes }
        checkpoint 1 { authority_id Text, size Int, root Text, note Text }
        witnessed 1 { authority_id Text, size Int, note Text, at Int }
        cosigned 2 { authority_id Text, origin Text, size Int, root Text, at Int }
        outbox 2 { authority_id Text, seq Int, channel Text, made Int, due Int, tries Int, error Text, body Text }
    }
}

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
    2 "0002_ledger",
    3 "0003_people",
    4 "0004_witnesses",
    5 "0005_providers",
    6 "0006_names",
    7 "0007_certificates",
    8 "0008_reports",
    9 "0009_inventory",
    10 "0010_sensors",
    11 "0011_issuers",
}

fn step(version: i64, what: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, what.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// The schema that this program makes.
pub(crate) fn today() -> i64 {
    for_sqlite().iter().map(|step| step.version).max().unwrap_or_default()
}

impl Table {
    /// Its columns with commas between them.
    pub(crate) fn columns(&self) -> String {
        self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Reads all rows in the order of the key, which is the same in both databases.
    pub(crate) fn select_all(&self) -> String {
        let key: Vec<_> = (1..=self.key).map(|column| column.to_string()).collect();
        format!("SELECT {} FROM {} ORDER BY {}", self.columns(), self.name, key.join(", "))
    }

    /// Writes so many rows.
    pub(crate) fn insert(&self, rows: usize) -> String {
        let width = self.columns.len();
        let row = |row: usize| {
            let places: Vec<_> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<_> = (0..rows).map(row).collect();
        format!("INSERT INTO {} ({}) VALUES {}", self.name, self.columns(), rows.join(", "))
    }
}

/// Statements that fail where a table or a column is missing.
pub(crate) fn look_at_all() -> String {
    tables().iter().fold(String::new(), |mut sql, table| {
        let _ = write!(sql, "SELECT {} FROM {} LIMIT 0;", table.columns(), table.name);
        sql
    })
}

/// Counts all rows of some tables.
pub(crate) fn count_all(tables: &[Table]) -> String {
    let counts: Vec<_> =
        tables.iter().map(|table| format!("(SELECT COUNT(*) FROM {})", table.name)).collect();
    format!("SELECT {}", counts.join(" + "))
}

/// Asks PostgreSQL how many bytes all rows take, without what was freed among them.
pub(crate) fn weight() -> String {
    let tables: Vec<_> = tables()
        .iter()
        .map(|table| {
            let wide = table.columns.iter().filter(|(_, holds)| *holds != Holds::Int);
            let weight: String =
                wide.map(|(name, _)| format!(" + COALESCE(pg_column_size({name}), 0)")).collect();
            format!("SELECT SUM(64 + 8 * {}{weight}) AS bytes FROM {}", table.columns.len(), table.name)
        })
        .collect();
    format!("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM ({}) AS weights", tables.join(" UNION ALL "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection as _, Row as _};
    use std::collections::{BTreeMap, BTreeSet};

    /// PostgreSQL's tables are compared with these when a database is opened.
    #[tokio::test]
    async fn every_table_and_column_is_listed() {
        let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::migrate::Migrator::with_migrations(for_sqlite()).run(&mut connection).await.unwrap();
        let rows = sqlx::query(
            "SELECT tables.name, columns.name, columns.type, columns.pk FROM sqlite_master AS tables \
             JOIN pragma_table_info(tables.name) AS columns \
             WHERE tables.type = 'table' AND tables.name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
             AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let mut found: BTreeMap<String, BTreeSet<(String, &str)>> = BTreeMap::new();
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            let (table, column, holds): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            let holds = match holds.as_str() {
                "TEXT" => "Text",
                "INTEGER" | "BIGINT" => "Int",
                "BLOB" => "Bytes",
                other => panic!("{table}.{column} is {other}: expected TEXT, BIGINT or BLOB"),
            };
            if row.get::<i64, _>(3) > 0 {
                keys.entry(table.clone()).or_default().insert(column.clone());
            }
            found.entry(table).or_default().insert((column, holds));
        }
        let mut listed: BTreeMap<String, BTreeSet<(String, &str)>> = BTreeMap::new();
        for table in tables() {
            let key = table.columns[..table.key].iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(keys[&table.name], key, "the key of {}", table.name);
            assert_eq!(table.columns[0].0, "authority_id", "{}", table.name);
            let words = |holds| match holds {
                Holds::Text => "Text",
                Holds::Int => "Int",
                Holds::Bytes => "Bytes",
            };
            listed.insert(
                table.name,
                table.columns.into_iter().map(|(name, holds)| (name, words(holds))).collect(),
            );
        }
        assert_eq!(listed, found);
    }
}
