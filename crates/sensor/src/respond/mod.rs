//! Responding at the edge: from an incident to commands in force, receipts and a journal.
//!
//! Guarantees: nothing acts without a licence; every step is in the journal, and durable, before it takes effect;
//! the marker `stopped` in the state directory stops all responding at once, whoever set it; what a person took
//! back is not done again by itself for that incident. What is in force ends by itself in the kernel, also when
//! this program is dead, and what is left of it is applied again after a reboot.
//!
//! The live loop calls [`Responder::asset`] and [`Responder::flow`] for what it learns, [`Responder::sighting`] for
//! packets of addresses that are acted on, [`Responder::incident`] for changed incidents, [`Responder::order`] for
//! what people ask, and [`Responder::tick`] about ten times a second.

mod acting;
mod choose;
pub mod hand;
mod journal;
mod mirror;
pub mod nft;
mod orders;
mod responder;
mod sharing;
mod state;
mod suspended;
mod upkeep;
mod watch;

pub use choose::choose;
pub use journal::verify_file;
pub use mirror::Mirror;
pub use responder::{RespondError, Responder, Sighting};
pub use state::{Decided, Ended, Held, Open, Round, State};
pub use stop::journal::Entry;
