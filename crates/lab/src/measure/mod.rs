//! What the drill measures by itself: captures of its own, what they hold, and what follows from it. Nothing here asks
//! Bastide.

pub mod outcome;
pub(crate) mod recorder;
pub(crate) mod tally;
