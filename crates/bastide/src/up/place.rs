//! The data directory, held by one server at a time.

use crate::settings::Settings;
use anyhow::{Context as _, bail};
use sensor::{Instance, InstanceError};
use std::{
    fs::DirBuilder,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};
use store::{DatabaseUrl, LedgerKey};

/// The data directory; held as long as this lives.
pub(crate) struct Place {
    path: PathBuf,
    _instance: Instance,
}

impl Place {
    /// Takes the directory, making it where it is missing.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        let made = !path.exists();
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
            format!("cannot make the data directory {}: choose another with --data-dir DIR", path.display())
        })?;
        let path = path.canonicalize().with_context(|| format!("cannot use {}", path.display()))?;
        let mode = belongs_to_caller(&path)?;
        if !made && mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{:04o}", mode & 0o7777), "others can look into the data directory: expected 0700");
        }
        let instance = Instance::take(&path, "lock").map_err(|error| match error {
            InstanceError::InUse { .. } => anyhow::anyhow!("{error} with --data-dir DIR"),
            error => error.into(),
        })?;
        Ok(Self { path, _instance: instance })
    }

    /// The database that a server of the caller's has used before.
    pub(super) fn look(settings: &Settings) -> anyhow::Result<DatabaseUrl> {
        let database = database(settings, &settings.data_dir);
        if let DatabaseUrl::Sqlite(path) = &database {
            if !path.exists() {
                bail!(
                    "{} is not there: expected the --data-dir (and --database) of a server that was started before",
                    path.display()
                );
            }
            belongs_to_caller(path)?;
        }
        Ok(database)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the settings say that the database is, or the file here.
    pub(super) fn database(&self, settings: &Settings) -> DatabaseUrl {
        database(settings, &self.path)
    }

    /// The key that signs the ledger, made where it is missing.
    pub(super) fn ledger_key(&self) -> anyhow::Result<LedgerKey> {
        ledger_key(&self.path)
    }

    /// The key that cosigns the ledgers of others, made where it is missing.
    pub(super) fn witness_key(&self) -> anyhow::Result<[u8; server::keyfile::BYTES]> {
        Ok(server::keyfile::at(&self.path.join("witness.key"))?)
    }

    pub(super) fn tls(&self) -> PathBuf {
        self.path.join("tls")
    }

    /// Where the sensor keeps journal, lever and commands in force.
    pub(super) fn sensor(&self) -> PathBuf {
        self.path.join("sensor")
    }
}

/// The key in a data directory that signs its ledger, made where it is missing.
pub(crate) fn ledger_key(data_dir: &Path) -> anyhow::Result<LedgerKey> {
    Ok(LedgerKey::from_seed(&server::keyfile::at(&data_dir.join("ledger.key"))?)?)
}

/// The key in a data directory that signs its ledger, where there is one.
pub(crate) fn ledger_key_there(data_dir: &Path) -> anyhow::Result<Option<LedgerKey>> {
    let seed = server::keyfile::there(&data_dir.join("ledger.key"))?;
    Ok(seed.as_ref().map(LedgerKey::from_seed).transpose()?)
}

/// Where the settings say that the database is, or the file in the data directory.
pub(crate) fn database(settings: &Settings, data_dir: &Path) -> DatabaseUrl {
    settings.database.clone().unwrap_or_else(|| data_dir.join("bastide.sqlite").into())
}

/// The mode of a directory or file that belongs to whoever runs this. In another's, files would be made that its owner
/// cannot use, and Bastide gives up the right to write what is another's.
fn belongs_to_caller(path: &Path) -> anyhow::Result<u32> {
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (owner, caller) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != caller {
        bail!(
            "{} belongs to user {owner} and this is user {caller}: start it as that user (sudo -u '#{owner}'), hand the \
             data directory over with chown -R, or choose another with --data-dir DIR",
            path.display()
        );
    }
    Ok(metadata.mode())
}
