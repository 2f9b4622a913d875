//! Incidents, what became of them, and how they are found again.

mod keep;

use crate::{
    Decided, Page, Paging, Repository, StoreError,
    database::{Query, Row, query},
    exception::{ExceptionRecord, insert_exception},
    repository::{contains_pattern, count, from_json, seen, to_json, whose},
};
use model::{AuthorityId, Incident, IncidentId, Severity, Tactic, Timestamp};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, str::FromStr};

/// What a person has made of an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentState {
    /// Nobody has closed it.
    #[default]
    Open,
    /// Closed: it was dealt with.
    Resolved,
    /// Closed: it was no attack.
    FalseAlarm,
    /// Closed by itself: it turned out to be part of another incident, which tells it now.
    Merged,
}

impl IncidentState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Resolved, Self::FalseAlarm, Self::Merged];

    /// The word used in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::FalseAlarm => "false-alarm",
            Self::Merged => "merged",
        }
    }
}

impl FromStr for IncidentState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("expected one of open, resolved, false-alarm, merged, found {text:?}"))
    }
}

/// Who closed an incident, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// In their words.
    pub reason: String,
}

/// An incident as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IncidentRecord {
    /// Whose.
    pub authority: AuthorityId,
    /// The incident.
    #[serde(flatten)]
    pub incident: Incident,
    /// What a person has made of it.
    pub state: IncidentState,
    /// When this server first heard of it (its own clock; `first` is event time).
    pub opened: Timestamp,
    /// When it last changed here.
    pub changed: Timestamp,
    /// Counts the changes, from 1.
    pub revision: u64,
    /// Set where it was closed.
    pub closed: Option<Closed>,
}

/// What keeping an incident came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Not known before.
    New,
    /// Known, and changed.
    Changed {
        /// It is worse than it was.
        severity_rose: bool,
        /// It had been closed and is open again.
        reopened: bool,
    },
    /// Nothing new in it.
    Unchanged,
}

impl Kept {
    /// Whether somebody has to be told: a new incident, or one that got worse or came back.
    #[must_use]
    pub const fn is_news(self) -> bool {
        matches!(
            self,
            Self::New | Self::Changed { severity_rose: true, .. } | Self::Changed { reopened: true, .. }
        )
    }
}

/// The order of a list of incidents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentSort {
    /// Latest event first.
    #[default]
    Newest,
    /// Earliest event first.
    Oldest,
    /// Worst first, then latest.
    Severity,
}

impl IncidentSort {
    /// The word used in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Severity => "severity",
        }
    }
}

/// Which incidents to list; what is unset matches anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentFilter {
    /// Only in this state.
    pub state: Option<IncidentState>,
    /// At least this bad.
    pub severity: Option<Severity>,
    /// Only with this stage.
    pub stage: Option<Tactic>,
    /// Only with this address among the assets.
    pub address: Option<IpAddr>,
    /// Only with this text in id, title, summary, addresses.
    pub text: Option<String>,
    /// Only with events at or after this moment.
    pub from: Option<Timestamp>,
    /// Only with events before this moment.
    pub until: Option<Timestamp>,
    /// The order.
    pub sort: IncidentSort,
}

/// How many open incidents there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeverityCounts {
    /// Of severity info.
    pub info: u64,
    /// Of severity low.
    pub low: u64,
    /// Of severity medium.
    pub medium: u64,
    /// Of severity high.
    pub high: u64,
    /// Of severity critical.
    pub critical: u64,
}

impl SeverityCounts {
    /// How many of one severity.
    #[must_use]
    pub const fn of(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Info => self.info,
            Severity::Low => self.low,
            Severity::Medium => self.medium,
            Severity::High => self.high,
            Severity::Critical => self.critical,
        }
    }
}

/// Columns of a record, in the order that [`record`] reads.
macro_rules! columns {
    () => {
        "id, state, opened, changed, revision, body, closed_at, closed_by, closed_reason, authority_id"
    };
}

/// The filter as SQL: $1 authorities, $2 state, $3 severity, $4 stage, $5 address, $6 text, $7 from, $8 until.
macro_rules! matching {
    () => {
        concat!(" FROM incident WHERE ", seen!(), " \
         AND ($2 IS NULL OR state = $2) \
         AND ($3 IS NULL OR severity >= $3) \
         AND ($4 IS NULL OR stages LIKE $4) \
         AND ($5 IS NULL OR (authority_id, id) IN (SELECT authority_id, incident FROM incident_address WHERE ", seen!(),
         " AND address = $5)) \
         AND ($6 IS NULL OR search LIKE $6 ESCAPE '\\') \
         AND ($7 IS NULL OR last >= $7) \
         AND ($8 IS NULL OR first < $8)")
    };
}

impl Repository {
    /// Keeps an incident: new, or the next state of one that is known. Where it is news ([`Kept::is_news`]), a message
    /// for each of `channels` is put into the outbox in the same transaction.
    ///
    /// What is older than what is kept (fewer findings and no later event) changes nothing. A closed incident opens
    /// again where it got worse than it was when it was closed, or, where it had been resolved, when it goes on; that is a leaf.
    /// Incidents that it supersedes are closed as merged where they are open.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept.
    pub async fn keep_incident(
        &self,
        incident: &Incident,
        channels: &[&'static str],
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        let body = to_json("incident", incident.id.as_str(), incident)?;
        let (authority, incident, channels) = (self.authority.clone(), incident.clone(), channels.to_vec());
        self.write(move |transaction| {
            Box::pin(
                async move { keep::keep(transaction, &authority, &incident, &body, &channels, now).await },
            )
        })
        .await
    }

    /// One incident.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn incident(&self, id: &IncidentId) -> Result<Option<IncidentRecord>, StoreError> {
        let row = query(concat!("SELECT ", columns!(), " FROM incident WHERE authority_id = $1 AND id = $2"))
            .bind(self.whose())
            .bind(id.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(record).transpose()
    }

    /// The incidents that match, one page of them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn incidents(
        &self,
        filter: &IncidentFilter,
        paging: Paging,
    ) -> Result<Page<IncidentRecord>, StoreError> {
        let sql = match filter.sort {
            IncidentSort::Newest => {
                concat!("SELECT ", columns!(), matching!(), " ORDER BY last DESC, id LIMIT $9 OFFSET $10")
            }
            IncidentSort::Oldest => {
                concat!("SELECT ", columns!(), matching!(), " ORDER BY first, id LIMIT $9 OFFSET $10")
            }
            IncidentSort::Severity => concat!(
                "SELECT ",
                columns!(),
                matching!(),
                " ORDER BY severity DESC, last DESC, id LIMIT $9 OFFSET $10"
            ),
        };
        let total = self
            .bind_filter(concat!("SELECT COUNT(*)", matching!()), filter)
            .fetch_one(self.readers())
            .await?;
        let rows = self
            .bind_filter(sql, filter)
            .bind(paging.limit())
            .bind(paging.offset())
            .fetch_all(self.readers())
            .await?;
        let items = rows.iter().map(record).collect::<Result<_, _>>()?;
        Ok(paging.page(items, count(&total)?))
    }

    /// How many incidents are open, by severity.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be counted.
    pub async fn open_incidents(&self) -> Result<SeverityCounts, StoreError> {
        let rows = query(concat!(
            "SELECT severity, COUNT(*) FROM incident WHERE ",
            seen!(),
            " AND state = 'open' GROUP BY severity"
        ))
        .bind(self.sees())
        .fetch_all(self.readers())
        .await?;
        let mut counts = SeverityCounts::default();
        for row in &rows {
            let (severity, number): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let slot = match severity {
                0 => &mut counts.info,
                1 => &mut counts.low,
                2 => &mut counts.medium,
                3 => &mut counts.high,
                _ => &mut counts.critical,
            };
            *slot = number.unsigned_abs();
        }
        Ok(counts)
    }

    /// Closes an incident; as a false alarm with the exceptions that keep it from coming back, each a decision by itself.
    /// False where there is no such incident.
    ///
    /// # Errors
    /// [`StoreError`]; then it stays open and no exception is kept.
    pub async fn close_incident(
        &self,
        id: &IncidentId,
        state: IncidentState,
        closed: &Closed,
        exceptions: &[(ExceptionRecord, Decided)],
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, id, closed) = (self.authority.clone(), id.to_string(), closed.clone());
        let exceptions = exceptions.to_vec();
        self.write(move |transaction| {
            Box::pin(async move {
                let changed = query(
                    "UPDATE incident SET state = $3, closed_at = $4, closed_by = $5, closed_reason = $6, \
                     closed_severity = severity, changed = $4, revision = revision + 1 \
                     WHERE authority_id = $1 AND id = $2",
                )
                .bind(authority.as_str())
                .bind(&id)
                .bind(state.as_str())
                .bind(closed.at.micros())
                .bind(&closed.by)
                .bind(&closed.reason)
                .execute(&mut *transaction)
                .await?;
                if changed == 0 {
                    return Ok(false);
                }
                transaction.decide(&authority, &decided).await?;
                for (record, decided) in &exceptions {
                    insert_exception(&mut *transaction, authority.as_str(), record).await?;
                    transaction.decide(&authority, decided).await?;
                }
                Ok(true)
            })
        })
        .await
    }

    /// Opens a closed incident again. False where there is none that is closed.
    ///
    /// # Errors
    /// [`StoreError`]; then it stays as it was.
    pub async fn reopen_incident(&self, id: &IncidentId, decided: Decided) -> Result<bool, StoreError> {
        let change = query(
            "UPDATE incident SET state = 'open', closed_at = NULL, closed_by = NULL, closed_reason = NULL, \
             closed_severity = NULL, changed = $3, revision = revision + 1 \
             WHERE authority_id = $1 AND id = $2 AND state <> 'open'",
        )
        .bind(self.authority.as_str())
        .bind(id.as_str())
        .bind(decided.at.micros());
        self.decide_change(change, decided).await
    }

    fn bind_filter(&self, sql: &'static str, filter: &IncidentFilter) -> Query {
        query(sql)
            .bind(self.sees())
            .bind(filter.state.map(IncidentState::as_str))
            .bind(filter.severity.map(|severity| severity as i64))
            .bind(filter.stage.map(|stage| format!("% {stage} %")))
            .bind(filter.address.map(|address| address.to_string()))
            .bind(filter.text.as_deref().map(contains_pattern))
            .bind(filter.from.map(Timestamp::micros))
            .bind(filter.until.map(Timestamp::micros))
    }
}

fn record(row: &Row) -> Result<IncidentRecord, StoreError> {
    let id: String = row.try_get(0)?;
    let state: String = row.try_get(1)?;
    let body: String = row.try_get(5)?;
    let closed_at: Option<i64> = row.try_get(6)?;
    let closed = match closed_at {
        None => None,
        Some(at) => Some(Closed {
            at: Timestamp::from_micros(at),
            by: row.try_get::<Option<String>>(7)?.unwrap_or_default(),
            reason: row.try_get::<Option<String>>(8)?.unwrap_or_default(),
        }),
    };
    Ok(IncidentRecord {
        authority: whose("incident", &id, row, 9)?,
        incident: from_json("incident", &id, &body)?,
        state: state.parse().map_err(|reason| StoreError::Unreadable { table: "incident", id, reason })?,
        opened: Timestamp::from_micros(row.try_get(2)?),
        changed: Timestamp::from_micros(row.try_get(3)?),
        revision: row.try_get::<i64>(4)?.unsigned_abs(),
        closed,
    })
}
