//! What the command line keeps of where it is signed in: one entry a server, in `$XDG_CONFIG_HOME/bastide/credentials.json`.
//!
//! Guarantees: the file is for its owner only, and one that others may read is not used; it is replaced as a whole or not
//! at all, by one program at a time; an entry goes to its own server and no other.

use anyhow::{Context as _, bail};
use model::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// The longest file, in bytes.
const MOST: u64 = 1 << 20;
/// The most servers.
const SERVERS: usize = 100;

/// Where somebody is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// What is sent as `Authorization: Bearer`.
    pub(super) token: String,
    /// As whom.
    pub(super) login: String,
    /// Until when.
    pub(super) expires: Timestamp,
    /// The certificate that is trusted, where it is not the system's.
    pub(super) ca: Option<PathBuf>,
}

/// All entries.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The server that was signed in to last: the one that is meant where none is named.
    pub(super) last: Option<String>,
    /// By their addresses.
    pub(super) servers: BTreeMap<String, Entry>,
}

/// The file.
pub(super) struct Credentials {
    path: PathBuf,
}

impl Credentials {
    /// That of the user who runs this.
    pub(super) fn of_user() -> anyhow::Result<Self> {
        let absolute =
            |name: &str| super::variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config =
            absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        let config = config
            .context("neither XDG_CONFIG_HOME nor HOME says where credentials are kept: set one of them")?;
        Ok(Self { path: config.join("bastide/credentials.json") })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is kept; nothing where there is no file.
    pub(super) fn read(&self) -> anyhow::Result<Kept> {
        let path = self.path.display();
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        };
        let metadata = file.metadata().with_context(|| format!("cannot read {path}"))?;
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        if owner != rustix::process::geteuid().as_raw() {
            bail!("{path} belongs to user {owner}: expected a file of your own; remove it and sign in again");
        }
        if mode & 0o077 != 0 {
            bail!(
                "{path} can be used by others (mode {mode:04o}): expected 0600; if nobody has read it, `chmod 600 {path}`, \
                 else end its sessions under “My account” in the console, remove the file and sign in again"
            );
        }
        let mut text = String::new();
        file.take(MOST).read_to_string(&mut text).with_context(|| format!("cannot read {path}"))?;
        serde_json::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{path} cannot be used: {error}; remove it and sign in again"))
    }

    /// Changes what is kept, and returns what `change` does.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> anyhow::Result<T> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let failed = || format!("cannot write {}", self.path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(failed)?;
        let held = File::open(folder).with_context(failed)?;
        let metadata = held.metadata().with_context(failed)?;
        if metadata.mode() & 0o022 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
            let folder = folder.display();
            bail!(
                "{folder} can be changed by others: expected a folder of your own with mode 0700 (chmod 700 {folder})"
            );
        }
        flock(&held, FlockOperation::LockExclusive).with_context(failed)?;
        let mut kept = self.read()?;
        let done = change(&mut kept);
        while kept.servers.len() > SERVERS {
            let first_over = kept.servers.iter().min_by_key(|(_, entry)| entry.expires);
            let Some(server) = first_over.map(|(server, _)| server.clone()) else { break };
            kept.servers.remove(&server);
        }
        if kept.last.as_ref().is_some_and(|last| !kept.servers.contains_key(last)) {
            kept.last = None;
        }
        let bytes = serde_json::to_vec_pretty(&kept)?;
        server::keyfile::write_whole(&self.path, &bytes, 0o600).with_context(failed)?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn entry(number: usize) -> Entry {
        let expires = Timestamp::from_secs(i64::try_from(number).unwrap());
        Entry { token: format!("token {number}"), login: "ada".into(), expires, ca: None }
    }

    #[test]
    fn what_others_may_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = Credentials { path: dir.path().join("a/bastide/credentials.json") };
        assert_eq!(credentials.read().unwrap(), Kept::default());
        credentials
            .change(|kept| {
                kept.servers.insert("https://one".into(), entry(1));
                kept.last = Some("https://one".into());
            })
            .unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&credentials.path), mode(credentials.path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(credentials.read().unwrap().servers["https://one"], entry(1));
        let set =
            |mode| std::fs::set_permissions(&credentials.path, PermissionsExt::from_mode(mode)).unwrap();
        for wrong in [0o644, 0o640, 0o620, 0o601] {
            set(wrong);
            let error = format!("{:#}", credentials.read().unwrap_err());
            assert!(
                error.contains("credentials.json can be used by others") && error.contains("chmod 600"),
                "{error}"
            );
            assert!(credentials.change(|_| ()).is_err(), "nor replaced unseen");
        }
        set(0o600);
        for wrong in ["", "{", "[]", r#"{"last": null, "servers": {}, "more": 1}"#] {
            std::fs::write(&credentials.path, wrong).unwrap();
            let error = format!("{:#}", credentials.read().unwrap_err());
            assert!(error.contains("remove it and sign in again"), "{error}");
        }
        std::fs::set_permissions(credentials.path.parent().unwrap(), PermissionsExt::from_mode(0o777))
            .unwrap();
        let error = format!("{:#}", credentials.change(|_| ()).unwrap_err());
        assert!(error.contains("chmod 700"), "{error}");
    }

    #[test]
    fn the_first_that_end_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = Credentials { path: dir.path().join("credentials.json") };
        credentials
            .change(|kept| {
                kept.servers
                    .extend((0..SERVERS + 5).map(|number| (format!("https://{number}"), entry(number))));
                kept.last = Some("https://0".into());
            })
            .unwrap();
        let kept = credentials.read().unwrap();
        assert!(kept.servers.len() == SERVERS && !kept.servers.contains_key("https://4"));
        assert_eq!(kept.last, None);
    }
}
