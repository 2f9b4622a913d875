//! The agent: the small one, on a device.
//!
//! Guarantees: it gives the device an identity and keeps it fresh, says how the device stands and what is installed, and takes
//! settings that the server signed. It changes nothing on the device but its own folder, opens no port, and trusts one
//! authority. It works while the server is away and catches up; a power cut costs nothing that was kept; a clock that is wrong
//! stops nothing but what cannot be done without the time. Everything that it reads, keeps and sends is bounded.

pub mod address;
pub mod client;
pub mod clock;
pub mod disk;
pub mod enrol;
pub mod est;
pub mod http;
pub mod identity;
pub mod machine;
mod pem;
pub mod run;
pub mod settings;
pub mod spool;
pub mod state;
pub mod tpm;
