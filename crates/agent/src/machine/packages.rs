//! What is installed: the databases of dpkg, apk and opkg.

use super::{LONGEST_LINE, Machine, each_line, unread};
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};
use wire::{Os, Package, Sbom, Unread, limit};

/// A package database, by its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// dpkg, and opkg which writes the same form.
    Dpkg,
    /// apk.
    Apk,
    /// opkg.
    Opkg,
}

/// Where they lie: below the root, several for one where it moved.
const PLACES: [(Database, &str); 6] = [
    (Database::Dpkg, "var/lib/dpkg/status"),
    (Database::Apk, "lib/apk/db/installed"),
    (Database::Apk, "usr/lib/apk/db/installed"),
    (Database::Opkg, "usr/lib/opkg/status"),
    (Database::Opkg, "var/lib/opkg/status"),
    (Database::Opkg, "opt/lib/opkg/status"),
];

/// What a database says of one package.
#[derive(Default)]
struct Entry {
    name: String,
    version: String,
    architecture: String,
    source: String,
    gone: bool,
}

impl Machine {
    pub(super) fn sbom(&self, agent: &str, os: &Os, missing: &mut Vec<Unread>) -> Option<Sbom> {
        let (mut packages, mut found, mut whole) = (Vec::new(), Vec::new(), true);
        for (database, place) in PLACES {
            let path = self.path(place);
            // The same file by two names (a merged /usr) is one database.
            let Ok(real) = path.canonicalize() else { continue };
            if found.contains(&real) {
                continue;
            }
            found.push(real);
            let read = File::open(&path).and_then(|file| {
                // One more than is listed shows that there are more.
                let room = (limit::COMPONENTS + 1).saturating_sub(packages.len());
                packages.extend(read_packages(database, os, BufReader::new(file), room)?);
                Ok(())
            });
            if let Err(error) = read {
                whole = false;
                missing.push(unread(&format!("/{place}"), error));
            }
        }
        if found.is_empty() {
            missing.push(unread("packages", "no database of dpkg, apk or opkg is here"));
            return None;
        }
        if packages.len() > limit::COMPONENTS {
            let most = limit::COMPONENTS;
            missing.push(unread("packages", format!("more than {most}: the list holds no others")));
        }
        Some(Sbom::new(agent, (&os.id, os.version.as_deref()), packages, whole))
    }
}

/// The packages of a database that are installed, at most `most` of them.
///
/// # Errors
/// Where the reader fails. What is no entry is skipped.
pub fn read_packages(
    database: Database,
    os: &Os,
    reader: impl BufRead,
    most: usize,
) -> io::Result<Vec<Package>> {
    let mut packages = Vec::new();
    let mut entry = Entry::default();
    let mut end = |entry: &mut Entry| {
        let entry = std::mem::take(entry);
        if !entry.name.is_empty() && !entry.version.is_empty() && !entry.gone && packages.len() < most {
            packages.push(entry.package(database, os));
        }
    };
    each_line(reader, &mut |line| {
        if line.trim().is_empty() {
            end(&mut entry);
        } else if let Some((key, value)) = line.split_once(':') {
            entry.take(database, key, value.trim());
        }
    })?;
    end(&mut entry);
    Ok(packages)
}

impl Entry {
    fn take(&mut self, database: Database, key: &str, value: &str) {
        debug_assert!(value.len() <= 3 * LONGEST_LINE as usize, "bytes that are no text take three");
        let field = match (database, key) {
            (Database::Apk, "P") | (Database::Dpkg | Database::Opkg, "Package") => &mut self.name,
            (Database::Apk, "V") | (Database::Dpkg | Database::Opkg, "Version") => &mut self.version,
            (Database::Apk, "A") | (Database::Dpkg | Database::Opkg, "Architecture") => {
                &mut self.architecture
            }
            (Database::Apk, "o") | (Database::Dpkg, "Source") => &mut self.source,
            (Database::Dpkg | Database::Opkg, "Status") => {
                // "install ok installed"; what was removed may leave its settings and an entry.
                self.gone = value.split_whitespace().nth(2) != Some("installed");
                return;
            }
            _ => return,
        };
        if field.is_empty() {
            value.clone_into(field);
        }
    }

    fn package(self, database: Database, os: &Os) -> Package {
        let (name, small) = (encoded(&self.name), encoded(&self.name.to_lowercase()));
        let path = match database {
            Database::Dpkg => format!("deb/{}/{}", encoded(&os.id), small),
            Database::Apk => format!("apk/{}/{}", encoded(&os.id), small),
            // opkg has no type of its own among package URLs.
            Database::Opkg => format!("generic/{name}"),
        };
        let mut purl = format!("pkg:{path}@{}", encoded(&self.version));
        let distro = match &os.version {
            Some(version) => format!("{}-{version}", os.id),
            None => os.id.clone(),
        };
        // "openssl (3.0.11-1)": advisories speak of the source package.
        let source = match self.source.split_once(" (") {
            Some((source, version)) => format!("{source}@{}", version.trim_end_matches(')')),
            None if self.source == self.name => String::new(),
            None => self.source,
        };
        let qualifiers = [("arch", &self.architecture), ("distro", &distro), ("upstream", &source)];
        let given = qualifiers.into_iter().filter(|(_, value)| !value.is_empty());
        for (index, (key, value)) in given.enumerate() {
            let between = if index == 0 { '?' } else { '&' };
            purl.extend([between.to_string(), format!("{key}={}", encoded(value))]);
        }
        Package { name: self.name, version: self.version, purl }
    }
}

/// As a part of a package URL.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
