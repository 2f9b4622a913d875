//! A software bill of materials: the part of CycloneDX 1.6 that a list of packages needs.
//!
//! The same packages are the same bytes, wherever and whenever they were listed: components are in order, nothing says
//! when or on which device, and the serial number is made of the content.

use crate::limit::{self, Invalid};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A CycloneDX 1.6 document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Sbom {
    /// `CycloneDX`.
    pub bom_format: Format,
    /// `1.6`.
    pub spec_version: SpecVersion,
    /// `urn:uuid:…`, made of everything else.
    pub serial_number: String,
    /// 1: another content is another serial number.
    pub version: u32,
    /// What it describes, and what wrote it.
    pub metadata: Metadata,
    /// The packages, by package URL.
    pub components: Vec<Component>,
    /// Whether the list is whole.
    pub compositions: Vec<Composition>,
}

/// The only format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// CycloneDX.
    CycloneDX,
}

/// The only version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecVersion {
    /// 1.6.
    #[serde(rename = "1.6")]
    V1_6,
}

/// What a document describes, and what wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// What wrote it.
    pub tools: Tools,
    /// What it describes: the operating system.
    pub component: Component,
}

/// What wrote a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// One: the agent.
    pub components: Vec<Component>,
}

/// A package, the operating system, or what wrote the document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its package URL; only packages have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ComponentKind,
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// An application: what wrote the document.
    Application,
    /// A package.
    Library,
    /// What the packages make up.
    OperatingSystem,
}

/// Whether a list is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composition {
    /// Whether it is.
    pub aggregate: Aggregate,
}

/// Whether a list is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Every package of the databases that were read.
    Complete,
    /// Some were left out.
    Incomplete,
}

/// A package as a database lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL.
    pub purl: String,
}

impl Sbom {
    /// The document of these packages. Those beyond [`limit::COMPONENTS`], and those with a name, version or URL out of
    /// bounds, are left out, and the document says that it is not whole.
    #[must_use]
    pub fn new(agent: &str, os: (&str, Option<&str>), packages: Vec<Package>, whole: bool) -> Self {
        let found = packages.len();
        let mut components: Vec<Component> = packages
            .into_iter()
            .map(|Package { name, version, purl }| Component {
                purl: Some(purl),
                kind: ComponentKind::Library,
                name,
                version: Some(version),
            })
            .filter(|component| component.check("sbom.components").is_ok())
            .collect();
        let mut whole = whole && components.len() == found;
        components.sort_unstable();
        components.dedup();
        whole &= components.len() <= limit::COMPONENTS;
        components.truncate(limit::COMPONENTS);
        let named = |kind, name: &str, version: Option<&str>| Component {
            purl: None,
            kind,
            name: name.to_owned(),
            version: version.map(str::to_owned),
        };
        let tool = named(ComponentKind::Application, "bastide-agent", Some(agent));
        let aggregate = if whole { Aggregate::Complete } else { Aggregate::Incomplete };
        let mut sbom = Self {
            bom_format: Format::CycloneDX,
            spec_version: SpecVersion::V1_6,
            serial_number: String::new(),
            version: 1,
            metadata: Metadata {
                tools: Tools { components: vec![tool] },
                component: named(ComponentKind::OperatingSystem, os.0, os.1),
            },
            components,
            compositions: vec![Composition { aggregate }],
        };
        sbom.serial_number = sbom.serial_of_content();
        sbom
    }

    /// Whether it is a document that an agent writes: bounded, in order, and with the serial number of its content.
    ///
    /// # Errors
    /// [`Invalid`] with the first field that is not.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.version != 1 {
            return Err(Invalid::new("sbom.version", self.version, "1"));
        }
        self.metadata.component.check("sbom.metadata.component")?;
        limit::count("sbom.metadata.tools", self.metadata.tools.components.len(), 1)?;
        for tool in &self.metadata.tools.components {
            tool.check("sbom.metadata.tools")?;
        }
        limit::count("sbom.components", self.components.len(), limit::COMPONENTS)?;
        for component in &self.components {
            component.check("sbom.components")?;
        }
        limit::sorted("sbom.components", &self.components)?;
        if self.compositions.len() != 1 {
            let found = format!("{} long", self.compositions.len());
            return Err(Invalid::new("sbom.compositions", found, "one"));
        }
        serial("sbom.serialNumber", &self.serial_number)?;
        let expected = self.serial_of_content();
        if self.serial_number != expected {
            return Err(Invalid::new("sbom.serialNumber", &self.serial_number, expected));
        }
        Ok(())
    }

    /// A UUID of version 8 (RFC 9562): the first bits of a SHA-256 over everything else.
    fn serial_of_content(&self) -> String {
        let mut hash = Sha256::new();
        let mut take = |text: Option<&str>| {
            // Each with its length: two lists never look alike.
            let text = text.unwrap_or_default();
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        let Metadata { tools, component } = &self.metadata;
        let whole = self.compositions.iter().all(|one| one.aggregate == Aggregate::Complete);
        take(Some(if whole { "complete" } else { "incomplete" }));
        for component in tools.components.iter().chain([component]).chain(&self.components) {
            take(Some(component.kind.as_str()));
            take(component.purl.as_deref());
            take(Some(&component.name));
            take(component.version.as_deref());
        }
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, hashed)| *byte = hashed);
        let number = u128::from_be_bytes(bytes);
        let number = number & !(0xf << 76) | 8 << 76;
        let number = number & !(0b11 << 62) | 0b10 << 62;
        let part = |from: u32, digits: usize| {
            let mask = (1_u128 << (digits * 4)) - 1;
            format!("{:0digits$x}", number >> from & mask)
        };
        format!("urn:uuid:{}-{}-{}-{}-{}", part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12))
    }
}

impl Component {
    fn check(&self, field: &'static str) -> Result<(), Invalid> {
        limit::text(field, &self.name, limit::COMPONENT)?;
        if let Some(version) = &self.version {
            limit::text(field, version, limit::COMPONENT)?;
        }
        if let Some(purl) = &self.purl {
            limit::text(field, purl, limit::PURL)?;
            if !purl.starts_with("pkg:") {
                return Err(Invalid::new(field, format!("{purl:?}"), "a package URL: pkg:…"));
            }
        }
        Ok(())
    }
}

impl ComponentKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Library => "library",
            Self::OperatingSystem => "operating-system",
        }
    }
}

/// The serial number of an SBOM.
pub(crate) fn serial(field: &'static str, found: &str) -> Result<(), Invalid> {
    let wrong = || Invalid::new(field, format!("{found:?}"), "urn:uuid: and a UUID in small letters");
    let parts: Vec<&str> = found.strip_prefix("urn:uuid:").ok_or_else(wrong)?.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    let good = parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| limit::hex(field, part, length).is_ok());
    if good { Ok(()) } else { Err(wrong()) }
}
