//! A database that goes away, a disk that is full, a disk that takes no writes: said clearly, nothing wrong answered,
//! and all well again without a restart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod databases;
mod incidents;

use databases::{Database, Server};
use incidents::{incident, key};
use model::{AuthorityId, Timestamp};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use store::{Repository, StoreError};

const NOW: Timestamp = Timestamp::from_secs(10_000);
/// What PostgreSQL calls its socket.
const SOCKET: &str = ".s.PGSQL.5432";
/// Longer than anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn keep(repository: &Repository, name: &str) -> Result<(), StoreError> {
    repository.keep_incident(&incident(name), &[], NOW).await.map(drop)
}

async fn is_kept(repository: &Repository, name: &str) -> bool {
    repository.incident(&incident(name).id).await.unwrap().is_some()
}

/// Waits until the repository says by itself that all is well, without being asked to write.
async fn until_well(repository: &Repository) {
    let patience = Instant::now() + PATIENCE;
    loop {
        let health = repository.health().await;
        if health.ok {
            assert_eq!((health.problem, health.failing_secs), (None, None));
            return;
        }
        assert!(Instant::now() < patience, "{health:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn unwell(repository: &Repository, expected: &str) {
    let health = repository.health().await;
    let problem = health.problem.unwrap_or_default();
    assert!(!health.ok && problem.contains(expected), "{problem:?}");
    assert!(health.failing_secs.is_some());
}

#[tokio::test]
async fn a_server_that_stops_and_starts_again() {
    let mut server = Server::start();
    let database = Database::postgres(&server.new_database());
    let repository = database.open().await;
    keep(&repository, "before").await.unwrap();
    for crash in [false, true] {
        if crash {
            server.kill()
        } else {
            server.stop()
        }
        let asked = Instant::now();
        for name in ["away 1", "away 2", "away 3"] {
            let error = keep(&repository, name).await.unwrap_err();
            assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
        }
        let error = repository.incident(&incident("before").id).await.unwrap_err();
        assert!(matches!(error, StoreError::Away { .. }), "no answer is not an empty answer: {error:?}");
        assert!(asked.elapsed() < PATIENCE);
        unwell(&repository, "reading fails: ").await;
        server.resume();
        until_well(&repository).await;
        for name in ["away 1", "away 2", "away 3"] {
            assert!(!is_kept(&repository, name).await, "{name} was refused");
        }
        assert!(is_kept(&repository, "before").await);
        keep(&repository, if crash { "after the crash" } else { "after the stop" }).await.unwrap();
    }
    // Stopped and started again while nobody asked: nobody notices.
    server.stop();
    server.resume();
    keep(&repository, "unnoticed").await.unwrap();
    assert!(is_kept(&repository, "unnoticed").await && is_kept(&repository, "after the stop").await);
    assert!(repository.health().await.ok);
}

/// A line to a server that can go dead: nothing comes through any more, and nobody is told.
struct Line {
    dir: tempfile::TempDir,
    dead: Arc<AtomicBool>,
}

impl Line {
    fn to(server: &Path) -> Self {
        let (dir, dead) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
        let (listener, server) = (UnixListener::bind(dir.path().join(SOCKET)).unwrap(), server.join(SOCKET));
        let line = Self { dir, dead: Arc::clone(&dead) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&server).unwrap());
                for (mut from, mut to) in
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    let dead = Arc::clone(&dead);
                    std::thread::spawn(move || {
                        let mut bytes = [0; 8192];
                        while let Ok(number @ 1..) = from.read(&mut bytes) {
                            while dead.load(Ordering::Relaxed) {
                                std::thread::sleep(Duration::from_millis(10));
                            }
                            if to.write_all(&bytes[..number]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        line
    }
}

#[tokio::test]
async fn a_server_that_hangs() {
    let server = Server::start();
    let url = server.new_database();
    let line = Line::to(server.dir());
    let (real, through) = (server.dir().display().to_string(), line.dir.path().display().to_string());
    let database = Database::postgres(&url.replace(&real.replace('/', "%2F"), &through.replace('/', "%2F")));
    let repository = database.open().await;
    keep(&repository, "before").await.unwrap();
    assert!(is_kept(&repository, "before").await);
    line.dead.store(true, Ordering::Relaxed);
    let asked = Instant::now();
    let before = incident("before").id;
    let (write, read) = tokio::join!(keep(&repository, "hanging"), repository.incident(&before));
    assert!(write.is_err() && read.is_err());
    assert!(asked.elapsed() < Duration::from_secs(30), "refused after {:?}", asked.elapsed());
    unwell(&repository, "").await;
    line.dead.store(false, Ordering::Relaxed);
    until_well(&repository).await;
    keep(&repository, "after").await.unwrap();
    assert!(is_kept(&repository, "before").await);
}

/// Runs a body in a mount namespace of its own with a small disk; says so and does nothing where that is not allowed.
fn with_a_small_disk(body: impl AsyncFnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    // Of this thread and those that it starts: the database's among them.
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| {
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        })
        .and_then(|()| mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=4m")));
    if let Err(error) = mounted {
        eprintln!("SKIPPED: a disk of its own cannot be mounted here: {error}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(body(dir.path()));
    drop(runtime);
    let _ = nix::mount::umount2(dir.path(), nix::mount::MntFlags::MNT_DETACH);
}

#[test]
fn a_full_disk() {
    with_a_small_disk(async |disk| {
        let ballast = disk.join("ballast");
        std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
        let repository =
            Repository::open(disk.join("bastide.sqlite"), AuthorityId::local(), key()).await.unwrap();
        let mut kept = 0;
        let large = |number: usize| {
            let mut incident = incident(&number.to_string());
            incident.summary = "x".repeat(20_000);
            incident
        };
        let error = loop {
            match repository.keep_incident(&large(kept), &[], NOW).await {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
        };
        assert!(kept > 3 && error.what().contains("the disk is full"), "{kept}: {}", error.what());
        assert!(error.is_passing());
        // What was acknowledged is still answered, and what was refused is not there.
        for number in 0..kept {
            assert!(repository.incident(&large(number).id).await.unwrap().is_some(), "{number} of {kept}");
        }
        assert_eq!(repository.incident(&large(kept).id).await.unwrap(), None);
        unwell(&repository, "writes are not kept: the disk is full").await;
        std::fs::remove_file(&ballast).unwrap();
        until_well(&repository).await;
        repository.keep_incident(&large(kept), &[], NOW).await.unwrap();
        repository.close().await;
        let again = Repository::open(disk.join("bastide.sqlite"), AuthorityId::local(), key()).await.unwrap();
        for number in 0..=kept {
            assert!(again.incident(&large(number).id).await.unwrap().is_some(), "{number} of {kept}");
        }
        again.close().await;
    });
}

#[test]
fn a_disk_that_can_only_be_read_stops_the_start() {
    with_a_small_disk(async |disk| {
        let path = disk.join("bastide.sqlite");
        let repository = Repository::open(&path, AuthorityId::local(), key()).await.unwrap();
        keep(&repository, "before").await.unwrap();
        repository.close().await;
        let remount = |flags| {
            mount(None::<&str>, disk, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
        };
        remount(MsFlags::MS_RDONLY);
        let error = Repository::open(&path, AuthorityId::local(), key()).await.err().unwrap().to_string();
        assert!(error.contains("give a file in a directory that can be written"), "{error}");
        remount(MsFlags::empty());
        let repository = Repository::open(&path, AuthorityId::local(), key()).await.unwrap();
        assert!(is_kept(&repository, "before").await);
        repository.close().await;
    });
}

/// Runs a program of the system; false where that does not work.
fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    Command::new(program).args(arguments).arg(path).output().is_ok_and(|run| run.status.success())
}

#[test]
fn a_disk_that_fails_and_is_replaced() {
    with_a_small_disk(async |_| {
        let dir = tempfile::tempdir().unwrap();
        let (image, copy, disk) =
            (dir.path().join("image"), dir.path().join("copy"), dir.path().join("disk"));
        std::fs::create_dir(&disk).unwrap();
        let text = |path: &Path| path.display().to_string();
        let attach =
            |image: &Path| run("mount", &["-t", "ext4", "-o", "loop,errors=remount-ro", &text(image)], &disk);
        if !(run("truncate", &["-s", "32M"], &image) && run("mkfs.ext4", &["-q"], &image) && attach(&image)) {
            eprintln!("SKIPPED: an ext4 image cannot be mounted here");
            return;
        }
        let repository =
            Repository::open(disk.join("bastide.sqlite"), AuthorityId::local(), key()).await.unwrap();
        keep(&repository, "before").await.unwrap();
        assert!(is_kept(&repository, "before").await);
        nix::unistd::sync();
        // What the kernel does when the disk fails under a file system: it takes no writes any more.
        assert!(run("mount", &["-o", "remount,abort"], &disk));
        assert!(keep(&repository, "refused").await.is_err());
        unwell(&repository, "writes are not kept: the disk fails").await;
        assert!(is_kept(&repository, "before").await, "reading goes on");
        assert!(!is_kept(&repository, "refused").await);
        // Another disk takes its place, with what was on the old one.
        std::fs::copy(&image, &copy).unwrap();
        assert!(run("umount", &["-l"], &disk) && attach(&copy));
        until_well(&repository).await;
        keep(&repository, "after").await.unwrap();
        assert!(is_kept(&repository, "after").await, "what is read is on the new disk too");
        assert!(is_kept(&repository, "before").await && !is_kept(&repository, "refused").await);
        repository.close().await;
        run("umount", &["-l"], &disk);
    });
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bastide.sqlite");
    let repository = Repository::open(&path, AuthorityId::local(), key()).await.unwrap();
    keep(&repository, "before").await.unwrap();
    // On ext4 what is immutable takes no write, not even through a file that is open.
    let change = |how: &str| {
        let files = [&path, &dir.path().join("bastide.sqlite-wal")];
        Command::new("chattr").arg(how).args(files).output().is_ok_and(|run| run.status.success())
    };
    let refuses = change("+i") && keep(&repository, "refused").await.is_err();
    if !refuses {
        change("-i");
        eprintln!("SKIPPED: files cannot be made immutable here");
        return;
    }
    unwell(&repository, "writes are not kept: ").await;
    assert!(is_kept(&repository, "before").await, "reading goes on");
    assert!(!is_kept(&repository, "refused").await);
    assert!(keep(&repository, "refused too").await.is_err());
    assert!(change("-i"));
    until_well(&repository).await;
    keep(&repository, "after").await.unwrap();
    assert!(!is_kept(&repository, "refused too").await);
    assert!(is_kept(&repository, "before").await && is_kept(&repository, "after").await);
}
