//! The server as a whole, from outside: through its routes, its pages and, where it matters, over real connections.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod authorities;
mod bodies;
mod city;
mod clocks;
mod console;
mod device;
mod doors;
mod est;
mod identity;
mod inventory;
mod issuer;
mod leaves;
mod names;
mod passkey;
mod people;
mod quarantine;
mod sensors;
mod sign_in;
mod suspending;
