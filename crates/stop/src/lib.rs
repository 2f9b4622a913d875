//! Contain it: incident to plan, plan with permit to commands, undo.
//!
//! Guarantees: [`plan()`] is pure and gives the same plan, with the same ids, for the same incident and context.
//! Nobody who suffers is ever hit; nobody is hit on evidence that can be forged; what is spared is named with the
//! reason. An [`Actuator`] cannot be asked to act without a [`protect::Permit`]. No IO, no clock.

mod actuator;
mod directory;
mod guard;
mod hits;
pub mod journal;
pub mod openc2;
mod plan;
mod talks;

pub use actuator::{Actuator, Adopted, Count};
pub use directory::Directory;
pub use plan::{Context, command_id, difference, exempt, plan, plan_id, quarantine};
pub use talks::{Pressure, Talk, Talks};
