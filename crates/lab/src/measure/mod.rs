//! What the drill measures by itself: captures of its own, what they hold, and what follows from it.

pub mod analysis;
pub mod outcome;
pub(crate) mod recorder;
pub mod table;
pub(crate) mod tally;
pub mod verdict;
