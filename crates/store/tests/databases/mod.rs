//! Both databases to test with: a file, and a PostgreSQL server that is started for the test and gone after it.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test uses what it needs")]

pub(crate) mod server;

use crate::incidents::key;
pub(crate) use server::Server;
use store::{DatabaseUrl, Repository};

/// A database of a test's own, empty at first.
pub(crate) struct Database {
    pub(crate) url: DatabaseUrl,
    /// Removed with the database, where it is a file.
    pub(crate) dir: Option<tempfile::TempDir>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { url: dir.path().join("bastide.sqlite").into(), dir: Some(dir) }
    }

    pub(crate) fn postgres(url: &str) -> Self {
        Self { url: url.parse().unwrap(), dir: None }
    }

    pub(crate) async fn open(&self) -> Repository {
        Repository::open(&self.url, model::AuthorityId::local(), key()).await.unwrap()
    }

    /// The text of an error that says why it does not open.
    pub(crate) async fn refused(&self) -> String {
        Repository::open(&self.url, model::AuthorityId::local(), key()).await.err().unwrap().to_string()
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.url, DatabaseUrl::Sqlite(_))
    }

    /// Makes it as good as new.
    pub(crate) async fn remove_all(&self) {
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                for end in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{}{end}", path.display()));
                }
            }
            DatabaseUrl::Postgres(_) => {
                use sqlx::{Connection as _, Executor as _};
                let mut connection = sqlx::PgConnection::connect(&self.url.to_string()).await.unwrap();
                connection
                    .execute("SET client_min_messages TO warning; DROP SCHEMA IF EXISTS bastide CASCADE")
                    .await
                    .unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// A number in PostgreSQL, past the repository.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        use sqlx::Connection as _;
        let mut connection = sqlx::PgConnection::connect(&self.url.to_string()).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    }

    /// Runs a statement past the repository.
    pub(crate) async fn sql(&self, sql: &'static str) {
        use sqlx::{Connection as _, Executor as _};
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let options =
                    sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
                connection.execute(sql).await.unwrap();
                connection.close().await.unwrap();
            }
            DatabaseUrl::Postgres(_) => {
                let mut connection = sqlx::PgConnection::connect(&self.url.to_string()).await.unwrap();
                connection.execute("SET search_path TO bastide").await.unwrap();
                connection.execute(sql).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }
}

/// Whether a body runs to its end.
pub(crate) fn passes(body: impl Future<Output = ()>) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(body))).is_ok()
}

/// Makes tests of `async fn name(database: Database)`: for SQLite one each; for PostgreSQL all in one, over one server,
/// each with a database that was emptied before it.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::databases::Database::sqlite()).await;
            })+
        }

        #[test]
        fn postgres() {
            let server = $crate::databases::Server::start();
            let url = server.new_database();
            let mut failed = Vec::new();
            $(server.empty(&url);
            if !$crate::databases::passes($name($crate::databases::Database::postgres(&url))) {
                failed.push(stringify!($name));
            })+
            assert!(failed.is_empty(), "on PostgreSQL failed: {}", failed.join(", "));
        }
    };
}
pub(crate) use on_both;
