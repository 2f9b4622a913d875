//! What agents and sensors say to the server and it to them, and the token that a device comes with.
//!
//! Guarantees: no IO, no clock, no randomness. Every message names its version, takes no field that is not known, and has
//! a `check` that names the first field that is out of bounds; whoever receives one calls it before anything else. What is
//! read is bounded by [`limit`] before it is parsed.
//!
//! The exchange: `POST` [`REPORTS`] carries a [`Report`] and is answered by [`Taken`]; `GET` [`SETTINGS`] is answered by
//! [`Settings`] as a compact JWS of the type [`SETTINGS_TYPE`]. Both in TLS with the certificate of the device, that was
//! enrolled with a [`Token`]. What a sensor and its server say is described at [`sensor`].

pub mod limit;
mod posture;
mod report;
mod sbom;
pub mod sensor;
mod settings;
mod token;

pub use limit::Invalid;
pub use posture::{Accounts, Listening, Os, Posture, Software, Transport, Unread, WeakAccount};
pub use report::{About, Report, Taken};
pub use sbom::{
    Aggregate, Component, ComponentKind, Composition, Format, Metadata, Package, Sbom, SpecVersion, Tools,
};
pub use sensor::{Ask, Heard, Notices, Numbered, Orders};
pub use settings::{Collect, Settings};
pub use token::{Token, TokenError};

/// The version of these messages.
pub const VERSION: u32 = 1;
/// Where reports go.
pub const REPORTS: &str = "/api/v1/agent/report";
/// Where settings come from.
pub const SETTINGS: &str = "/api/v1/agent/settings";
/// Where sensors tell what they notice.
pub const NOTICES: &str = "/api/v1/sensor/notices";
/// Where they ask for orders.
pub const ORDERS: &str = "/api/v1/sensor/orders";
/// The `typ` in the header of signed settings: a signature over something else is none over settings.
pub const SETTINGS_TYPE: &str = "bastide-settings";
