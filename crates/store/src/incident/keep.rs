//! Writing an incident: what it was before decides what is news.

use super::{IncidentState, Kept};
use crate::{
    Decided, StoreError, database::query, outbox::insert_outgoing, outcome::subject, repository::from_json,
    writer::Transaction,
};
use ledger::Deed;
use model::{AuthorityId, Incident, IncidentId, Timestamp};
use serde::Deserialize;

/// What is kept of an incident before its next state is written.
struct Before {
    state: IncidentState,
    severity: i64,
    findings: u64,
    last: i64,
    closed_severity: Option<i64>,
    body: String,
}

pub(super) async fn keep(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    incident: &Incident,
    body: &str,
    channels: &[&'static str],
    now: Timestamp,
) -> Result<Kept, StoreError> {
    let whose = authority.as_str();
    let kept = match before(transaction, whose, &incident.id).await? {
        None => Kept::New,
        Some(before) => {
            let older = incident.findings < before.findings && incident.last.micros() <= before.last;
            if older || before.body == body {
                return Ok(Kept::Unchanged);
            }
            let severity = incident.severity as i64;
            let worse_than_closed = before.closed_severity.is_some_and(|closed| severity > closed);
            let reopened = match before.state {
                IncidentState::Open => false,
                IncidentState::FalseAlarm | IncidentState::Merged => worse_than_closed,
                IncidentState::Resolved => worse_than_closed || incident.last.micros() > before.last,
            };
            Kept::Changed { severity_rose: severity > before.severity, reopened }
        }
    };
    let reopened = matches!(kept, Kept::Changed { reopened: true, .. });
    write_incident(transaction, whose, incident, body, reopened, now).await?;
    if reopened {
        let about = vec![subject("incident", &incident.id)?];
        let decided = Decided::by_program(now, Deed::IncidentReopened, about);
        transaction.decide(authority, &decided).await?;
    }
    write_addresses(transaction, whose, incident).await?;
    merge(transaction, whose, incident, now).await?;
    if kept.is_news() {
        for channel in channels {
            insert_outgoing(transaction, whose, channel, body, now).await?;
        }
    }
    Ok(kept)
}

async fn before(
    transaction: &mut Transaction,
    whose: &str,
    id: &IncidentId,
) -> Result<Option<Before>, StoreError> {
    let Some(row) = query(
        "SELECT state, severity, last, closed_severity, body FROM incident WHERE authority_id = $1 AND id = $2",
    )
    .bind(whose)
    .bind(id.as_str())
    .fetch_optional(transaction)
    .await?
    else {
        return Ok(None);
    };
    /// The one field of the body that is compared.
    #[derive(Deserialize)]
    struct Findings {
        findings: u64,
    }
    let body: String = row.try_get(4)?;
    let findings = from_json::<Findings>("incident", id.as_str(), &body).map_or(0, |body| body.findings);
    let state: String = row.try_get(0)?;
    Ok(Some(Before {
        state: state.parse().unwrap_or_default(),
        severity: row.try_get(1)?,
        findings,
        last: row.try_get(2)?,
        closed_severity: row.try_get(3)?,
        body,
    }))
}

async fn write_incident(
    transaction: &mut Transaction,
    whose: &str,
    incident: &Incident,
    body: &str,
    reopen: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Spaces around each stage, so that a pattern finds whole names only.
    let stages = incident.stages.iter().fold(String::from(" "), |text, stage| text + stage.as_str() + " ");
    query(
        "INSERT INTO incident (authority_id, id, state, severity, confidence, stages, first, last, opened, changed, \
         revision, search, body) VALUES ($1, $2, 'open', $3, $4, $5, $6, $7, $8, $8, 1, $9, $10) \
         ON CONFLICT (authority_id, id) DO UPDATE SET severity = $3, confidence = $4, stages = $5, first = $6, \
         last = $7, changed = $8, revision = incident.revision + 1, search = $9, body = $10",
    )
    .bind(whose)
    .bind(incident.id.as_str())
    .bind(incident.severity as i64)
    .bind(i64::from(incident.confidence))
    .bind(stages)
    .bind(incident.first.micros())
    .bind(incident.last.micros())
    .bind(now.micros())
    .bind(searchable(incident))
    .bind(body)
    .execute(&mut *transaction)
    .await?;
    if reopen {
        query(
            "UPDATE incident SET state = 'open', closed_at = NULL, closed_by = NULL, closed_reason = NULL, \
             closed_severity = NULL WHERE authority_id = $1 AND id = $2",
        )
        .bind(whose)
        .bind(incident.id.as_str())
        .execute(transaction)
        .await?;
    }
    Ok(())
}

async fn write_addresses(
    transaction: &mut Transaction,
    whose: &str,
    incident: &Incident,
) -> Result<(), StoreError> {
    query("DELETE FROM incident_address WHERE authority_id = $1 AND incident = $2")
        .bind(whose)
        .bind(incident.id.as_str())
        .execute(&mut *transaction)
        .await?;
    for asset in &incident.assets {
        query(
            "INSERT INTO incident_address (authority_id, address, incident, role) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (authority_id, address, incident) DO NOTHING",
        )
        .bind(whose)
        .bind(asset.address.to_string())
        .bind(incident.id.as_str())
        .bind(asset.role.as_str())
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

async fn merge(
    transaction: &mut Transaction,
    whose: &str,
    incident: &Incident,
    now: Timestamp,
) -> Result<(), StoreError> {
    for id in incident.supersedes.iter().filter(|id| **id != incident.id) {
        query(
            "UPDATE incident SET state = 'merged', closed_at = $3, closed_by = 'bastide', closed_reason = $4, \
             closed_severity = severity, changed = $3, revision = revision + 1 \
             WHERE authority_id = $1 AND id = $2 AND state = 'open'",
        )
        .bind(whose)
        .bind(id.as_str())
        .bind(now.micros())
        .bind(format!("it is part of {} now", incident.id))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// What a search looks through: lower case, bounded.
fn searchable(incident: &Incident) -> String {
    let mut text = format!("{} {} {}", incident.id, incident.title, incident.summary).to_lowercase();
    for asset in &incident.assets {
        text.push(' ');
        text.push_str(&asset.address.to_string());
        if let Some(mac) = asset.mac {
            text.push(' ');
            text.push_str(&mac.to_string());
        }
    }
    text.chars().take(16_384).collect()
}
