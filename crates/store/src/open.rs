//! Opening: a database whose schema is brought up to date, or refused with what to do.

use crate::{
    LedgerKey, OpenError, Own, Repository,
    database::{Connection, DatabaseUrl, Readers, Role, check_server, connect},
    repository::Inner,
    schema,
    writer::Writer,
};
use model::AuthorityId;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::SqliteConnectOptions,
};
use std::{path::Path, sync::Arc, time::Duration};

/// "Bast": marks the file as ours (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x4261_7374;
/// How often the steps of the schema are tried again.
const TRIES: u32 = 3;

impl Repository {
    /// Opens a database for a node of an authority, making a file where it is missing, and brings its schema up to date. The
    /// first to open it founds the tree of authorities.
    ///
    /// # Errors
    /// [`OpenError`] where it is not ours, another node's or another authority's, newer than this program, changed, damaged or out of reach; it is then left as
    /// it was.
    pub async fn open(
        database: impl Into<DatabaseUrl>,
        own: impl Into<Own>,
        key: LedgerKey,
    ) -> Result<Self, OpenError> {
        let (url, own) = (database.into(), own.into());
        prepare(&url).await?;
        let connection = connect(&url, Role::Writer).await.map_err(|source| classify(&url, source))?;
        let writer = Writer::start(url.clone(), connection, key.clone());
        let readers = Arc::new(Readers::new(url.clone(), Arc::clone(&writer.health().epoch)));
        let inner = Inner { writer, readers, url };
        let repository = Self::from_parts(AuthorityId::local(), Arc::new(inner));
        let place = || repository.url().to_string();
        let trouble = match repository.is_signed_with(&key).await {
            Ok(true) => match repository.plant(own).await {
                Ok(Ok(own)) => match repository.fold_names().await {
                    Ok(()) => return Ok(repository.of(own)),
                    Err(error) => OpenError::Unfit { place: place(), found: error.what() },
                },
                Ok(Err((own, root))) => OpenError::OtherAuthority { place: place(), own, root },
                Err(error) => OpenError::Unfit { place: place(), found: error.what() },
            },
            Ok(false) => OpenError::OtherKey { place: place() },
            Err(error) => OpenError::Unfit { place: place(), found: error.what() },
        };
        repository.close().await;
        Err(trouble)
    }
}

/// Makes sure that a database is ours and has the schema of today.
async fn prepare(url: &DatabaseUrl) -> Result<(), OpenError> {
    let failed = |source| classify(url, source);
    if let DatabaseUrl::Sqlite(path) = url {
        // Looked at before anything is set: a file of somebody else stays as it is.
        recognise_file(url, path).await?;
    }
    let mut connection = connect(url, Role::Maker).await.map_err(failed)?;
    let outcome = match &mut connection {
        Connection::Sqlite(connection) => {
            connection.execute("PRAGMA application_id = 1113682804").await.map_err(failed)?;
            let migrator = Migrator::with_migrations(schema::for_sqlite());
            let mut outcome = migrator.run(&mut *connection).await;
            // A file has no lock for this: of two that start together one may meet a step that the other has just
            // taken. Its own attempt was rolled back, and it looks again.
            for _ in 0..TRIES {
                if outcome.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                outcome = migrator.run(&mut *connection).await;
            }
            outcome
        }
        Connection::Postgres(connection) => {
            fit(url, connection).await?;
            if !recognise_schema(url, connection).await? {
                make_schema(connection).await.map_err(failed)?;
            }
            // Takes a lock of its own, so that two servers that start together wait for each other.
            Migrator::with_migrations(schema::for_postgres()).run(connection).await
        }
    };
    outcome.map_err(|error| migration_failed(url, error))?;
    match connection.run(AssertSqlSafe(schema::look_at_all())).await {
        Ok(()) => {
            connection.close(false).await;
            Ok(())
        }
        Err(error @ sqlx::Error::Database(_)) => {
            Err(OpenError::Changed { place: url.to_string(), found: error.to_string() })
        }
        Err(error) => Err(failed(error)),
    }
}

pub(crate) async fn recognise_file(url: &DatabaseUrl, path: &Path) -> Result<(), OpenError> {
    if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        return Ok(());
    }
    let failed = |source| classify(url, source);
    let bare = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5));
    let mut connection = SqliteConnection::connect_with(&bare).await.map_err(failed)?;
    let application = number(&mut connection, "PRAGMA application_id").await.map_err(failed)?;
    let tables = number(&mut connection, "SELECT COUNT(*) FROM sqlite_master").await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    if application == APPLICATION_ID || tables == 0 {
        return Ok(());
    }
    let found = format!("a SQLite file of another program, with {tables} tables and indexes");
    Err(OpenError::Foreign { place: url.to_string(), found })
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    connection.fetch_one(sql).await?.try_get(0)
}

/// Refuses a server that would not keep what it acknowledges.
pub(crate) async fn fit(url: &DatabaseUrl, connection: &mut PgConnection) -> Result<(), OpenError> {
    match check_server(connection).await.map_err(|source| classify(url, source))? {
        None => Ok(()),
        Some(found) => Err(OpenError::Unfit { place: url.to_string(), found }),
    }
}

/// Our tables live in a schema of their own, which may be there or not; what else is in the database is none of our
/// business.
pub(crate) async fn recognise_schema(
    url: &DatabaseUrl,
    connection: &mut PgConnection,
) -> Result<bool, OpenError> {
    let failed = |source| classify(url, source);
    let row = connection
        .fetch_one(
            "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'bastide'), \
             (SELECT COUNT(*) FROM pg_class WHERE relnamespace = to_regnamespace('bastide') AND relkind IN ('r', 'p', 'v')), \
             to_regclass('bastide._sqlx_migrations') IS NOT NULL",
        )
        .await
        .map_err(failed)?;
    let (exists, tables, ours): (bool, i64, bool) =
        (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
    if tables > 0 && !ours {
        let found = format!("its schema \"bastide\" holds {tables} tables of another program");
        return Err(OpenError::Foreign { place: url.to_string(), found });
    }
    Ok(exists)
}

async fn make_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    match connection.execute("CREATE SCHEMA IF NOT EXISTS bastide").await {
        // Two servers that start together may both have found it missing.
        Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => Ok(()),
        outcome => outcome.map(drop),
    }
}

pub(crate) fn migration_failed(url: &DatabaseUrl, error: MigrateError) -> OpenError {
    let place = url.to_string();
    let known = schema::today();
    match error {
        MigrateError::VersionMissing(found) if found > known => OpenError::Newer { place, found, known },
        MigrateError::VersionMissing(version)
        | MigrateError::VersionMismatch(version)
        | MigrateError::Dirty(version) => {
            OpenError::Changed { place, found: format!("schema {version} differs") }
        }
        MigrateError::Execute(source) => OpenError::Database { place, source },
        source => OpenError::Migration { place, version: known, source },
    }
}

pub(crate) fn classify(url: &DatabaseUrl, source: sqlx::Error) -> OpenError {
    let place = url.to_string();
    // SQLITE_NOTADB and SQLITE_CORRUPT: https://www.sqlite.org/rescode.html
    match source.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("26") => OpenError::Foreign { place, found: "not a SQLite file".into() },
        Some("11") => OpenError::Damaged { place, found: source.to_string() },
        _ => OpenError::Database { place, source },
    }
}
