//! The attack, after Mirai's published source: scanner, report server, loader, controller, bot and floods.
//!
//! It is harmless by construction: every function that attacks takes an [`Inside`](crate::city::cell::Inside), the
//! proof that its thread is in a network that the drill made; targets are lab addresses; rate and time are bounded;
//! the "program" that is loaded ends at once on a real machine and is only played by the lab's own shell.
//!
//! What differs from Mirai: times are compressed (its keep-alive of 60 s is about a second here), the scan looks at
//! the lab's networks only, and the loader stops after a few bots.

pub(crate) mod bot;
pub(crate) mod controller;
pub(crate) mod flood;
pub(crate) mod loader;
pub(crate) mod program;
pub(crate) mod report;
pub(crate) mod scanner;
