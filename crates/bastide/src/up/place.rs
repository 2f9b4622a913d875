//! The data directory, held by one server at a time.

use crate::settings::Settings;
use anyhow::{Context as _, bail};
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use store::DatabaseUrl;

/// The data directory; held as long as this lives.
pub(super) struct Place {
    path: PathBuf,
    /// The lock goes with the file, also when the process is killed.
    _lock: File,
}

impl Place {
    /// Takes the directory, making it where it is missing.
    pub(super) fn take(path: &Path) -> anyhow::Result<Self> {
        let made = !path.exists();
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
            format!("cannot make the data directory {}: choose another with --data-dir DIR", path.display())
        })?;
        let path = path.canonicalize().with_context(|| format!("cannot use {}", path.display()))?;
        let metadata = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (mode, owner) = (metadata.mode(), metadata.uid());
        if owner != rustix::process::geteuid().as_raw() {
            bail!(
                "{} belongs to user {owner}, and Bastide gives up the right to write what is another's: start it as \
                 that user, hand the directory over with chown -R, or choose another with --data-dir DIR",
                path.display()
            );
        }
        if !made && mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{:04o}", mode & 0o7777), "others can look into the data directory: expected 0700");
        }
        let name = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .with_context(|| format!("cannot write {}", name.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.take(64).read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another process" } else { holder };
                bail!(
                    "{} is in use by {holder}: stop that one, or choose another directory with --data-dir DIR",
                    path.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", name.display()));
            }
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .with_context(|| format!("cannot write {}", name.display()))?;
        writeln!(lock, "process {}", std::process::id())
            .with_context(|| format!("cannot write {}", name.display()))?;
        Ok(Self { path, _lock: lock })
    }

    /// The database that a server has used before.
    pub(super) fn look(settings: &Settings) -> anyhow::Result<DatabaseUrl> {
        let database = database(settings, &settings.data_dir);
        match &database {
            DatabaseUrl::Sqlite(path) if !path.exists() => bail!(
                "{} is not there: expected the --data-dir (and --database) of a server that was started before",
                path.display()
            ),
            _ => Ok(database),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the settings say that the database is, or the file here.
    pub(super) fn database(&self, settings: &Settings) -> DatabaseUrl {
        database(settings, &self.path)
    }

    pub(super) fn tls(&self) -> PathBuf {
        self.path.join("tls")
    }

    /// Where the sensor keeps journal, lever and commands in force.
    pub(super) fn sensor(&self) -> PathBuf {
        self.path.join("sensor")
    }
}

fn database(settings: &Settings, data_dir: &Path) -> DatabaseUrl {
    settings.database.clone().unwrap_or_else(|| data_dir.join("bastide.sqlite").into())
}
