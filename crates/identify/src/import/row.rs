//! One asset of a list: its columns, and what each may hold.

use super::Refused;
use crate::{
    Kinds,
    merge::{Known, Observation, is_own},
};
use model::{Asset, Criticality, Identifier, Kind, Layer, Mac, Maintenance};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Letters of one text.
const MOST_LETTERS: usize = 200;
/// Values of one cell that takes several.
const MOST_VALUES: usize = 16;

/// What a list can say of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// What people call it.
    Name,
    /// One of the kinds of `rules/kinds.toml`.
    Kind,
    /// `device`, `cloud`, `marketplace` or `application`; else that of the kind.
    Layer,
    /// Who answers for it.
    Owner,
    /// Where it stands.
    Place,
    /// The part of the city.
    District,
    /// `unknown`, `ordinary`, `important` or `protected`; else that of the kind.
    Criticality,
    /// Whether it must never be cut off without a person.
    Protected,
    /// Hardware addresses.
    Mac,
    /// Network addresses that are its own for good.
    Addresses,
    /// The maker's serial number.
    Serial,
    /// The name by which it calls itself on the network.
    HostName,
    /// SHA-256 of its certificate's public key (SubjectPublicKeyInfo) in hexadecimal.
    Key,
    /// When it is worked on.
    Maintenance,
    /// Anything else.
    Note,
}

/// Columns with the names they go by; the first is the one that is told.
const NAMES: [(Column, &[&str]); 15] = [
    (Column::Name, &["name", "asset", "label"]),
    (Column::Kind, &["kind", "type"]),
    (Column::Layer, &["layer"]),
    (Column::Owner, &["owner"]),
    (Column::Place, &["place", "location", "site"]),
    (Column::District, &["district"]),
    (Column::Criticality, &["criticality"]),
    (Column::Protected, &["protected"]),
    (Column::Mac, &["mac", "macs", "mac address", "hardware address"]),
    (Column::Addresses, &["addresses", "address", "ip", "ip address", "ips"]),
    (Column::Serial, &["serial", "serial number"]),
    (Column::HostName, &["host name", "hostname"]),
    (Column::Key, &["key", "public key"]),
    (Column::Maintenance, &["maintenance", "maintenance windows", "maintenance window"]),
    (Column::Note, &["note", "notes", "comment"]),
];

impl Column {
    /// The column of this name; case, blanks, hyphens and underscores do not matter.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let words: Vec<&str> =
            name.split(|letter: char| letter.is_whitespace() || matches!(letter, '-' | '_')).collect();
        let name = words.join(" ").trim().to_lowercase();
        NAMES.iter().find(|(_, known)| known.contains(&name.as_str())).map(|(column, _)| *column)
    }

    pub(super) fn names() -> String {
        let names: Vec<&str> = NAMES.iter().filter_map(|(_, names)| names.first().copied()).collect();
        names.join(", ")
    }

    /// The name that is told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let names = NAMES.iter().find(|(column, _)| *column == self);
        names.and_then(|(_, names)| names.first().copied()).unwrap_or_default()
    }

    /// The values of a cell, where it may hold several; maintenance windows have blanks and commas in themselves.
    pub(super) fn values(self, cell: &str) -> Vec<&str> {
        let ends = |letter: char| matches!(letter, ';' | '|' | '\n');
        match self {
            Self::Maintenance => cell.split(ends).collect(),
            _ if self.takes_several() => {
                cell.split(|letter: char| ends(letter) || letter == ',' || letter.is_whitespace()).collect()
            }
            _ => vec![cell],
        }
    }

    /// Whether a cell may hold more than one value.
    #[must_use]
    pub const fn takes_several(self) -> bool {
        matches!(self, Self::Mac | Self::Addresses | Self::Maintenance)
    }
}

/// An asset as it was listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Where it stands in the list, from 1.
    pub line: u64,
    /// What people call it.
    pub name: Option<String>,
    /// Its kind, one that is known.
    pub kind: Option<Kind>,
    /// Its layer.
    pub layer: Option<Layer>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where it stands.
    pub place: Option<String>,
    /// The part of the city.
    pub district: Option<String>,
    /// How much the city depends on it.
    pub criticality: Option<Criticality>,
    /// Hardware addresses.
    pub macs: Vec<Mac>,
    /// Network addresses.
    pub addresses: Vec<IpAddr>,
    /// The maker's serial number.
    pub serial: Option<String>,
    /// The name by which it calls itself.
    pub host_name: Option<String>,
    /// SHA-256 of its public key.
    pub key: Option<String>,
    /// When it is worked on.
    pub maintenance: Vec<Maintenance>,
    /// Anything else.
    pub note: Option<String>,
}

impl Row {
    /// By what it is told from others. What people call it is not among them.
    #[must_use]
    pub fn identifiers(&self) -> Vec<Identifier> {
        let keys = self.key.iter().cloned().map(Identifier::Key);
        let serials = self.serial.iter().cloned().map(Identifier::Serial);
        let names = self.host_name.iter().map(|name| Identifier::Name(name.to_lowercase()));
        keys.chain(serials)
            .chain(self.macs.iter().copied().map(Identifier::Mac))
            .chain(names)
            .chain(self.addresses.iter().copied().map(Identifier::Address))
            .collect()
    }

    /// What the list knows of the device, for [`crate::merge`].
    #[must_use]
    pub fn observation(&self, site: &str) -> Observation {
        let known = self.identifiers().into_iter().map(|by| Known { by, during: None }).collect();
        Observation { site: site.to_owned(), known }
    }

    /// The row with one thing said otherwise: as a cell of a list says it, or not at all where the text is empty.
    ///
    /// # Errors
    /// [`Refused`] with what was expected; then the row is as it was.
    pub fn change(&mut self, column: Column, text: &str, kinds: &Kinds) -> Result<(), Refused> {
        let mut draft = Draft { row: self.clone(), protected: None, wrong: false };
        if column == Column::Kind {
            draft.forget_meaning(kinds);
        }
        draft.clear(column);
        let mut refused = Refused::default();
        for text in column.values(text) {
            if let Err(expected) = draft.set(column, text, kinds) {
                refused.add(0, column.as_str(), expected, text);
            }
        }
        match draft.finish(kinds, &mut refused) {
            Some(row) if refused.is_empty() => {
                *self = row;
                Ok(())
            }
            _ => Err(refused),
        }
    }

    /// Writes what was listed over what was guessed.
    pub fn declare(&self, asset: &mut Asset) {
        if let Some(kind) = &self.kind {
            (asset.kind, asset.confidence) = (kind.clone(), 100);
            asset.reasons = vec!["somebody listed it as this".into()];
        }
        asset.layer = self.layer.unwrap_or(asset.layer);
        asset.criticality = self.criticality.unwrap_or(asset.criticality);
        asset.name = self.name.clone().or(asset.name.take());
        asset.mac = asset.mac.or(self.macs.first().copied());
        let declared = asset.declared.get_or_insert_default();
        let over = |before: &mut Option<String>, said: &Option<String>| {
            *before = said.clone().or(before.take());
        };
        over(&mut declared.owner, &self.owner);
        over(&mut declared.place, &self.place);
        over(&mut declared.district, &self.district);
        over(&mut declared.serial, &self.serial);
        over(&mut declared.note, &self.note);
        if !self.maintenance.is_empty() {
            declared.maintenance.clone_from(&self.maintenance);
        }
        for address in &self.addresses {
            if !asset.addresses.contains(address) {
                asset.addresses.push(*address);
            }
        }
    }
}

/// A row while it is read.
pub(super) struct Draft {
    row: Row,
    protected: Option<bool>,
    /// A cell was wrong: the row cannot be judged as a whole.
    wrong: bool,
}

impl Draft {
    pub(super) fn new(line: u64) -> Self {
        let row = Row { line, ..Row::default() };
        Self { row, protected: None, wrong: false }
    }

    /// Layer and criticality that came with the kind go with it; but what is protected stays so until somebody says otherwise.
    fn forget_meaning(&mut self, kinds: &Kinds) {
        let row = &mut self.row;
        let Some((layer, criticality)) = row.kind.as_ref().and_then(|kind| kinds.meaning(kind.as_str()))
        else {
            return;
        };
        row.layer = row.layer.filter(|said| *said != layer);
        let is_meant = |said: &Criticality| *said == criticality && *said != Criticality::Protected;
        row.criticality = row.criticality.filter(|said| !is_meant(said));
    }

    fn clear(&mut self, column: Column) {
        let row = &mut self.row;
        match column {
            Column::Name => row.name = None,
            Column::Kind => row.kind = None,
            Column::Layer => row.layer = None,
            Column::Owner => row.owner = None,
            Column::Place => row.place = None,
            Column::District => row.district = None,
            Column::Criticality | Column::Protected => row.criticality = None,
            Column::Mac => row.macs.clear(),
            Column::Addresses => row.addresses.clear(),
            Column::Serial => row.serial = None,
            Column::HostName => row.host_name = None,
            Column::Key => row.key = None,
            Column::Maintenance => row.maintenance.clear(),
            Column::Note => row.note = None,
        }
    }

    /// Takes one value; nothing is no value. The error says what was expected.
    pub(super) fn set(&mut self, column: Column, text: &str, kinds: &Kinds) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() || text == "-" {
            return Ok(());
        }
        let taken = self.take(column, text, kinds);
        self.wrong |= taken.is_err();
        taken
    }

    fn take(&mut self, column: Column, text: &str, kinds: &Kinds) -> Result<(), String> {
        let row = &mut self.row;
        match column {
            Column::Name => row.name = Some(plain(text)?),
            Column::Owner => row.owner = Some(plain(text)?),
            Column::Place => row.place = Some(plain(text)?),
            Column::District => row.district = Some(plain(text)?),
            Column::Note => row.note = Some(plain(text)?),
            Column::Serial => row.serial = Some(plain(text)?.to_uppercase()),
            Column::HostName => row.host_name = Some(plain(text)?),
            Column::Kind => row.kind = Some(kind(text, kinds)?),
            Column::Layer => row.layer = Some(layer(text)?),
            Column::Criticality => row.criticality = Some(criticality(text)?),
            Column::Protected => self.protected = Some(yes(text)?),
            Column::Key => row.key = Some(key(text)?),
            Column::Mac => add(&mut row.macs, mac(text)?)?,
            Column::Addresses => add(&mut row.addresses, address(text)?)?,
            Column::Maintenance => {
                add(
                    &mut row.maintenance,
                    text.parse().map_err(|error: model::MaintenanceError| {
                        let told = error.to_string();
                        told.strip_prefix("expected ").unwrap_or(&told).to_owned()
                    })?,
                )?;
            }
        }
        Ok(())
    }

    /// The row, where it holds together.
    pub(super) fn finish(mut self, kinds: &Kinds, refused: &mut Refused) -> Option<Row> {
        if self.wrong {
            return None;
        }
        let row = &mut self.row;
        if row.name.is_none() && row.identifiers().is_empty() {
            refused.add(
                row.line,
                "",
                "a name, or something to know it by (mac, addresses, serial, host name, key)",
                "",
            );
            return None;
        }
        let meaning = row.kind.as_ref().and_then(|kind| kinds.meaning(kind.as_str()));
        row.layer = row.layer.or(meaning.map(|(layer, _)| layer));
        match (self.protected, row.criticality) {
            (Some(true), None | Some(Criticality::Protected)) => {
                row.criticality = Some(Criticality::Protected)
            }
            (Some(true), Some(other)) | (Some(false), Some(other @ Criticality::Protected)) => {
                let expected = "that protected and criticality say the same";
                refused.add(row.line, "protected", expected, other.as_str());
                return None;
            }
            // Whose criticality is unknown counts as protected; somebody said that it is not.
            (Some(false), None) => {
                let known = meaning.map(|(_, criticality)| criticality);
                row.criticality =
                    Some(known.filter(|known| !known.is_protected()).unwrap_or(Criticality::Ordinary));
            }
            (None, None) => row.criticality = meaning.map(|(_, criticality)| criticality),
            (Some(false) | None, Some(_)) => {}
        }
        Some(self.row)
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, value: T) -> Result<(), String> {
    if list.contains(&value) {
        return Ok(());
    }
    if list.len() >= MOST_VALUES {
        return Err(format!("at most {MOST_VALUES} values"));
    }
    list.push(value);
    Ok(())
}

/// A text of one line that no spreadsheet takes for a formula. Some write an apostrophe before what looks like one.
fn plain(text: &str) -> Result<String, String> {
    // Breaks within a cell are blanks here.
    let text = text.split(['\r', '\n', '\t']).map(str::trim).collect::<Vec<_>>().join(" ");
    let text = match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => &text,
    };
    let mut letters = text.chars();
    let runs = match (letters.next(), letters.next()) {
        (Some('=' | '@'), _) => true,
        (Some('+' | '-'), Some(next)) => !next.is_ascii_digit() || text.contains(['(', '!', '|']),
        _ => false,
    };
    if runs {
        return Err("a text that no spreadsheet would run as a formula".into());
    }
    if text.chars().any(char::is_control) {
        return Err("a text of one line without control characters".into());
    }
    if text.chars().count() > MOST_LETTERS {
        return Err(format!("at most {MOST_LETTERS} letters"));
    }
    Ok(text.to_owned())
}

fn kind(text: &str, kinds: &Kinds) -> Result<Kind, String> {
    let name = text.to_lowercase().replace([' ', '_'], "-");
    let mut known: Vec<&str> = kinds.names().collect();
    known.sort_unstable();
    if known.contains(&name.as_str()) {
        Ok(Kind(name))
    } else {
        Err(format!("one of the kinds {}", known.join(", ")))
    }
}

fn layer(text: &str) -> Result<Layer, String> {
    match text.to_lowercase().as_str() {
        "device" => Ok(Layer::Device),
        "cloud" => Ok(Layer::Cloud),
        "marketplace" => Ok(Layer::Marketplace),
        "application" => Ok(Layer::Application),
        _ => Err("device, cloud, marketplace or application".into()),
    }
}

fn criticality(text: &str) -> Result<Criticality, String> {
    match text.to_lowercase().as_str() {
        "unknown" => Ok(Criticality::Unknown),
        "ordinary" => Ok(Criticality::Ordinary),
        "important" => Ok(Criticality::Important),
        "protected" => Ok(Criticality::Protected),
        _ => Err("unknown, ordinary, important or protected".into()),
    }
}

fn yes(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" | "x" | "ja" | "wahr" | "oui" | "vrai" | "si" | "sí" | "sì" => Ok(true),
        "no" | "n" | "false" | "0" | "nein" | "falsch" | "non" | "faux" => Ok(false),
        _ => Err("yes or no".into()),
    }
}

/// Hexadecimal, with or without colons between.
fn key(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|letter| *letter != ':').collect::<String>().to_lowercase();
    let fits = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok(digits) } else { Err("SHA-256 of a public key, 64 hexadecimal digits".into()) }
}

/// `00:40:8c:01:02:03`, `00-40-8C-01-02-03`, `0040.8c01.0203` or `00408C010203`.
fn mac(text: &str) -> Result<Mac, String> {
    let expected = || "a hardware address such as 00:40:8c:01:02:03".to_owned();
    let digits: String = text.chars().filter(|letter| !matches!(letter, ':' | '-' | '.')).collect();
    if digits.len() != 12 || text.len() > 17 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(expected());
    }
    let pairs: Vec<&str> = (0..12).step_by(2).filter_map(|at| digits.get(at..at + 2)).collect();
    let mac: Mac = pairs.join(":").parse().map_err(|_| expected())?;
    if mac.is_group() || mac == Mac::ZERO {
        Err("the hardware address of one device".into())
    } else {
        Ok(mac)
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr =
        text.parse().map_err(|_| "a network address such as 10.2.0.5 or 2001:db8::5".to_owned())?;
    if is_own(address) { Ok(address) } else { Err("the address of one device".into()) }
}
