//! The database behind the city: a file, or one of a PostgreSQL server that the test has started.

#[path = "../../../../store/tests/databases/server.rs"]
mod server;

use server::Server;
use std::{cell::RefCell, path::Path};
use store::DatabaseUrl;

thread_local! {
    /// Set while a test runs over PostgreSQL: all of it runs on one thread.
    static POSTGRES: RefCell<Option<Server>> = const { RefCell::new(None) };
}

/// A new database for a city in this folder.
pub(crate) fn new(dir: &Path) -> DatabaseUrl {
    POSTGRES.with_borrow(|server| match server {
        Some(server) => server.new_database().parse().unwrap(),
        None => dir.join("bastide.sqlite").into(),
    })
}

/// Starts a server; from now on cities of this thread are in it.
pub(crate) fn use_postgres() {
    POSTGRES.set(Some(Server::start()));
}

/// Whether a body runs to its end.
pub(crate) fn passes(body: impl Future<Output = ()>) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(body))).is_ok()
}

/// Makes tests of these: for SQLite one each, for PostgreSQL all in one, over one server.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name().await;
            })+
        }

        #[test]
        fn postgres() {
            $crate::city::database::use_postgres();
            let mut failed = Vec::new();
            $(if !$crate::city::database::passes($name()) {
                failed.push(stringify!($name));
            })+
            assert!(failed.is_empty(), "on PostgreSQL failed: {}", failed.join(", "));
        }
    };
}
pub(crate) use on_both;
