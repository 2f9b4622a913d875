//! Incidents, assets and decisions at rest.
//!
//! Guarantees: what a method has acknowledged survives `kill -9` and a power cut; every record belongs to an authority
//! and is found only through it; queues, pages and records are bounded; a database that this program does not
//! understand is refused and left as it was.
//!
//! One [`Repository`] over two databases: a file of SQLite, or PostgreSQL where several servers share the work. What the
//! two do differently is known to `database/` and `migrations/` alone.

mod access;
mod asset;
mod authority;
mod certificate;
pub mod copy;
mod counter;
mod credential;
mod database;
mod decision;
mod device_report;
mod erase;
mod error;
mod exception;
mod ground;
mod incident;
mod inventory;
mod log;
mod open;
mod outbox;
mod outcome;
mod person;
mod provider;
mod repository;
mod response;
mod retention;
mod schema;
mod sensor;
mod witness;
mod writer;

pub use access::{COMMAND_LINE, MOST_TOKENS, NewLink, NewSession, Session, TOKENS_OF_A_PERSON, Token};
pub use asset::{AssetFilter, AssetGroup, AssetSort};
pub use authority::{MOST_AUTHORITIES, NotPlanted, Own, Tree};
pub use certificate::{
    Admission, CertificateFilter, CertificateRecord, CertificateState, Changed, Enrolled, EnrolmentRecord,
    EnrolmentState, EnrolmentToken, IssuerKey, IssuerRecord, IssuerRequest, IssuerState, Listed,
    MOST_ENROLMENT_TOKENS, MOST_MAKERS, MOST_WAITING, Maker, NewCertificate, Standing, Which,
};
pub use credential::{Credential, CredentialKind, MOST_CREDENTIALS};
pub use database::{DatabaseUrl, PostgresUrl, WrongUrl};
pub use decision::{Actor, Decided, DecisionRecord, LedgerError, LedgerKey};
pub use device_report::{DeviceReport, ReportKind};
pub use erase::{ERASED, Erased};
pub use error::{OpenError, StoreError};
pub use exception::ExceptionRecord;
pub use ground::Ground;
pub use incident::{
    Closed, IncidentFilter, IncidentRecord, IncidentSort, IncidentState, Kept, SeverityCounts,
};
pub use inventory::{
    Joined, Listed as ListedAsset, Listing, MOST_DECLARED, MOST_JUDGEMENTS, NotSaid, Parted, Saying, Says,
    Settled, Source,
};
pub use log::{Archive, BlockingLog, Log};
pub use outbox::Outgoing;
pub use person::{MOST_HOLDINGS, MOST_PEOPLE, Person, Taken};
pub use provider::{Bound, MOST_PROVIDERS, Provider, Recognises, Vouched, Vouching};
pub use repository::{Findable, Health, MOST_BYTES, Page, Paging, Repository};
pub use response::{CommandRecord, JournalRow, PlanRecord};
pub use retention::{Retention, Swept};
pub use sensor::SensorRecord;
pub use witness::LogState;

use writer::Transaction;
