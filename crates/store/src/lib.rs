//! Incidents, assets and decisions at rest.
//!
//! Guarantees: what a method has acknowledged survives `kill -9` and a power cut; every record belongs to an authority
//! and is found only through it; queues, pages and records are bounded; a database that this program does not
//! understand is refused and left as it was.
//!
//! One [`Repository`], so far over SQLite; statements keep to what PostgreSQL reads too.

mod access;
mod asset;
mod counter;
mod error;
mod exception;
mod incident;
mod open;
mod outbox;
mod repository;
mod response;
mod retention;
mod writer;

pub use access::{Deed, Session, Token};
pub use asset::{AssetFilter, AssetSort};
pub use error::{OpenError, StoreError};
pub use exception::ExceptionRecord;
pub use incident::{
    Closed, IncidentFilter, IncidentRecord, IncidentSort, IncidentState, Kept, SeverityCounts,
};
pub use outbox::Outgoing;
pub use repository::{Health, MOST_BYTES, Page, Paging, Repository};
pub use response::{CommandRecord, JournalRow, PlanRecord};
pub use retention::{Retention, Swept};
