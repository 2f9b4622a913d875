//! What is opened, what is refused, and with which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, Server, on_both};
use incidents::{incident, key};
use model::{AuthorityId, Timestamp};
use store::{DatabaseUrl, OpenError, Repository};

on_both! {
    a_schema_that_is_newer_or_changed_is_refused,
    what_was_kept_is_there_when_it_is_opened_again,
    two_that_start_together_make_one_schema,
}

async fn a_schema_that_is_newer_or_changed_is_refused(database: Database) {
    database.open().await.close().await;
    let check = async |change: &'static str, back: &'static str, expected: &str| {
        database.sql(change).await;
        let error = database.refused().await;
        assert!(error.contains(expected), "{change}: {error}");
        database.sql(back).await;
        database.open().await.close().await;
    };
    check(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT 9999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        "DELETE FROM _sqlx_migrations WHERE version = 9999",
        "was written by a newer Bastide (schema 9999, this program knows up to",
    )
    .await;
    check(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT -1, 'before', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        "DELETE FROM _sqlx_migrations WHERE version = -1",
        "has another schema than this program made (schema -1 differs)",
    )
    .await;
    check(
        "ALTER TABLE token RENAME TO tokens",
        "ALTER TABLE tokens RENAME TO token",
        "has another schema than this program made",
    )
    .await;
    check(
        "ALTER TABLE incident RENAME COLUMN body TO letter",
        "ALTER TABLE incident RENAME COLUMN letter TO body",
        "has another schema than this program made",
    )
    .await;
    let wrong = if database.is_sqlite() {
        "UPDATE _sqlx_migrations SET checksum = x'00'"
    } else {
        r"UPDATE _sqlx_migrations SET checksum = '\x00'"
    };
    database.sql(wrong).await;
    let error = database.refused().await;
    assert!(error.contains("has another schema than this program made (schema 1 differs)"), "{error}");
}

async fn what_was_kept_is_there_when_it_is_opened_again(database: Database) {
    let known = incident("a");
    let repository = database.open().await;
    repository.keep_incident(&known, &["webhook"], Timestamp::from_secs(1)).await.unwrap();
    repository.close().await;
    assert!(repository.incident(&known.id).await.is_err(), "closed");
    let again = database.open().await;
    assert_eq!(again.incident(&known.id).await.unwrap().unwrap().incident, known);
}

async fn two_that_start_together_make_one_schema(database: Database) {
    let (one, two) = tokio::join!(database.open(), database.open());
    // Both write at once: what is counted up is counted up by one at a time.
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..60 {
        let repository = if number % 2 == 0 { one.clone() } else { two.clone() };
        writes.spawn(async move {
            let incident = incident(&number.to_string());
            repository.keep_incident(&incident, &["webhook"], Timestamp::from_secs(1)).await.unwrap();
        });
    }
    writes.join_all().await;
    let waiting = one.outgoing("webhook", Timestamp::from_secs(2), 1_000).await.unwrap();
    let mut places: Vec<_> = waiting.iter().map(|message| message.seq).collect();
    places.sort_unstable();
    assert_eq!(places, (1..=60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let open = async |path: &std::path::Path| {
        Repository::open(path, AuthorityId::local(), key()).await.err().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    let words = "not a database at all, but rather long for a header of one hundred bytes ".repeat(4);
    std::fs::write(&text, words).unwrap();
    let before = std::fs::read(&text).unwrap();
    assert!(matches!(open(&text).await, OpenError::Foreign { .. }));
    assert_eq!(std::fs::read(&text).unwrap(), before);

    let foreign = Database::sqlite();
    foreign.sql("CREATE TABLE letters (a)").await;
    let DatabaseUrl::Sqlite(path) = &foreign.url else { unreachable!() };
    let before = std::fs::read(path).unwrap();
    let error = foreign.refused().await;
    assert!(error.contains("is not a Bastide database (a SQLite file of another program"), "{error}");
    assert_eq!(std::fs::read(path).unwrap(), before);

    let error = open(std::path::Path::new("/nowhere/bastide.sqlite")).await.to_string();
    assert!(error.contains("give a file in a directory that can be written"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_refused_with_what_to_do() {
    let refused = async |url: &str| {
        Repository::open(url.parse::<DatabaseUrl>().unwrap(), AuthorityId::local(), key())
            .await
            .err()
            .unwrap()
            .to_string()
    };
    let server = Server::start();
    let url = server.new_database();
    let missing = refused(&url.replace("/test0", "/nothing")).await;
    assert!(missing.contains("CREATE DATABASE"), "{missing}");
    let stranger = refused(&url.replace("bastide@", "stranger:s3cret@")).await;
    assert!(stranger.contains("\"stranger\" does not exist") && !stranger.contains("s3cret"), "{stranger}");
    let nobody = refused("postgres://bastide@127.0.0.1:1/b").await;
    assert!(nobody.contains("start the server, or give its right address"), "{nobody}");

    server.psql("postgres", "CREATE ROLE guest LOGIN");
    let guest = refused(&url.replace("bastide@", "guest@")).await;
    assert!(guest.contains("GRANT CREATE ON DATABASE"), "{guest}");

    server.psql("test0", "CREATE SCHEMA bastide; CREATE TABLE bastide.letters (a int)");
    let foreign = refused(&url).await;
    assert!(foreign.contains("its schema \"bastide\" holds 1 tables of another program"), "{foreign}");

    let other = server.new_database();
    server.psql(
        "postgres",
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    let latin = refused(&other.replace("/test1", "/latin")).await;
    assert!(latin.contains("expected server_encoding = UTF8, found LATIN1"), "{latin}");
    drop(server);
    let careless = Server::start_with(&["fsync=off"]);
    let error = refused(&careless.new_database()).await;
    assert!(error.contains("cannot be used: expected fsync = on, found off"), "{error}");
}

#[tokio::test]
async fn commits_wait_for_the_disk_whatever_the_server_is_set_to() {
    let server = Server::start_with(&["synchronous_commit=off", "log_statement=all"]);
    let database = Database::postgres(&server.new_database());
    let repository = database.open().await;
    repository.keep_incident(&incident("a"), &[], Timestamp::from_secs(1)).await.unwrap();
    let log = server.log();
    let set = log.find("SET synchronous_commit TO on").unwrap();
    assert!(set < log.find("COMMIT").unwrap());
}

#[tokio::test]
async fn both_databases_have_the_same_tables() {
    let server = Server::start();
    let (file, there) = (Database::sqlite(), Database::postgres(&server.new_database()));
    file.open().await.close().await;
    there.open().await.close().await;
    let DatabaseUrl::Sqlite(path) = &file.url else { unreachable!() };
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    let ours: Vec<String> = sqlx::query_scalar::<sqlx::Sqlite, String>(
        "SELECT tables.name || '.' || columns.name || ' ' || CASE columns.type WHEN 'TEXT' THEN 'text' \
         WHEN 'BLOB' THEN 'bytea' ELSE 'bigint' END || CASE columns.\"notnull\" WHEN 1 THEN ' set' ELSE '' END \
         FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns \
         WHERE tables.type = 'table' AND tables.name NOT LIKE '%sqlx%' ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let theirs = server.psql(
        "test0",
        "SELECT table_name || '.' || column_name || ' ' || data_type \
         || CASE is_nullable WHEN 'NO' THEN ' set' ELSE '' END FROM information_schema.columns \
         WHERE table_schema = 'bastide' AND table_name <> '_sqlx_migrations' ORDER BY 1",
    );
    assert_eq!(ours, theirs.lines().collect::<Vec<_>>());
    let indexes = server.psql(
        "test0",
        "SELECT indexname FROM pg_indexes WHERE schemaname = 'bastide' AND indexname NOT LIKE '%pkey' ORDER BY 1",
    );
    let ours: Vec<String> = sqlx::query_scalar::<sqlx::Sqlite, String>(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite%' ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(ours, indexes.lines().collect::<Vec<_>>());
    let sorted_by_letter = server.psql(
        "test0",
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'bastide' \
         AND table_name <> '_sqlx_migrations' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'",
    );
    assert_eq!(sorted_by_letter, "", "texts sort as in SQLite: COLLATE \"C\"");
}

/// What openssl says to its arguments, run in a folder.
fn openssl(dir: &std::path::Path, arguments: &str) {
    let run = std::process::Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl, which ./test installs");
    assert!(run.status.success(), "{arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

#[tokio::test]
async fn over_a_network_the_server_proves_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let p256 = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj";
    openssl(dir.path(), &format!("req -x509 -days 2 {p256} /CN=authority -keyout ca.key -out ca.pem"));
    openssl(dir.path(), &format!("req {p256} /CN=localhost -keyout server.key -out server.csr"));
    std::fs::write(dir.path().join("names"), "subjectAltName=DNS:localhost").unwrap();
    openssl(
        dir.path(),
        "x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out server.pem",
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = |name: &str| dir.path().join(name).display().to_string();
    // The server refuses a key that others can read; it is its own from the start.
    let private = dir.path().join("server.key");
    std::fs::set_permissions(&private, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Server::hand_over(&private);
    let server = Server::start_with(&[
        "listen_addresses=127.0.0.1",
        &format!("port={port}"),
        "ssl=on",
        &format!("ssl_cert_file={}", at("server.pem")),
        &format!("ssl_key_file={}", at("server.key")),
    ]);
    server.new_database();
    let url = |host: &str, more: &str| -> DatabaseUrl {
        format!("postgres://bastide@{host}:{port}/test0{more}").parse().unwrap()
    };
    let root = format!("sslrootcert={}", at("ca.pem"));
    for (url, encrypted) in [
        (url("localhost", &format!("?{root}")), true),
        (url("localhost", &format!("?sslmode=verify-full&{root}")), true),
        (url("localhost", &format!("?sslmode=require&{root}")), true),
        (url("127.0.0.1", "?sslmode=require"), true),
        (url("127.0.0.1", ""), true),
        (url("127.0.0.1", "?sslmode=disable"), false),
    ] {
        let repository = Repository::open(&url, AuthorityId::local(), key()).await.unwrap();
        let found = server.psql(
            "postgres",
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'bastide' AND state = 'idle'",
        );
        repository.close().await;
        assert_eq!(found, if encrypted { "t" } else { "f" }, "{url}");
    }
    for url in [
        // Another name than the certificate's; an authority that nobody trusts.
        url("127.0.0.1", &format!("?{root}")),
        url("localhost", "?sslmode=verify-full"),
    ] {
        let error = Repository::open(&url, AuthorityId::local(), key()).await.err().unwrap().to_string();
        assert!(error.contains("sslrootcert=FILE") && error.contains("ertificate"), "{url}: {error}");
    }
}
