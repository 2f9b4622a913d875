//! The city: its plan, its private namespaces, its hosts and what connects them.

pub mod cell;
pub(crate) mod host;
pub mod plan;
pub(crate) mod streets;
pub(crate) mod world;
