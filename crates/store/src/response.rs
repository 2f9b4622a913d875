//! Plans, their commands and receipts, and the journal of what was done.
//!
//! The journal's chain is made and checked by whoever writes it (`stop::journal`); here it is kept as it came.

use crate::{
    Decided, Page, Paging, Repository, StoreError,
    database::{Row, query},
    outcome::subject,
    repository::{count, from_json, seen, to_json, whose},
    writer::Transaction,
};
use ledger::Salt;
use model::{AuthorityId, Command, CommandId, IncidentId, Plan, PlanId, PlanStatus, Receipt, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A plan as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanRecord {
    /// Whose.
    pub authority: AuthorityId,
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// When it last changed here.
    pub changed: Timestamp,
}

/// A command with what it came to so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandRecord {
    /// Whose.
    pub authority: AuthorityId,
    /// The command.
    #[serde(flatten)]
    pub command: Command,
    /// Of which plan.
    pub plan: PlanId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Where that plan is.
    pub plan_status: PlanStatus,
    /// Its receipts, oldest first.
    pub receipts: Vec<Receipt>,
}

impl CommandRecord {
    /// The latest receipt.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipts.last()
    }

    /// Whether it is in force at `now`: applied, not undone, not over.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        use model::Effect;
        self.command.expires > now
            && self.receipt().is_some_and(|receipt| {
                matches!(receipt.effect, Effect::Applied | Effect::Effective | Effect::WithoutEffect)
            })
    }
}

/// One entry of the journal as it came.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct JournalRow {
    /// Its place in the chain, from 0 or 1 as the writer counts.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Its hash.
    pub hash: String,
    /// The entry.
    pub entry: serde_json::Value,
}

/// How many receipts are kept of one command: the first ones and the latest.
const RECEIPTS_OF_A_COMMAND: i64 = 64;

/// Receipts of one moment in the order in which they can only have come.
macro_rules! order_of_effects {
    () => {
        "CASE effect WHEN 'applied' THEN 0 WHEN 'effective' THEN 1 WHEN 'without-effect' THEN 1 ELSE 2 END"
    };
}

/// Commands ($1 authorities, $2 now) that have not ended and whose latest receipt says that they are applied.
macro_rules! in_force {
    () => {
        concat!(
            " FROM command WHERE ", seen!(), " AND expires > $2 AND (SELECT effect FROM receipt \
             WHERE receipt.authority_id = command.authority_id AND receipt.command = command.id ORDER BY at DESC, ",
            order_of_effects!(),
            " DESC LIMIT 1) IN ('applied', 'effective', 'without-effect')"
        )
    };
}

impl Repository {
    /// Keeps a plan: new, or the next state of one that is known. Where it is in force by the settings alone, that is a
    /// leaf.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept.
    pub async fn keep_plan(&self, plan: &Plan, now: Timestamp, salts: [Salt; 2]) -> Result<(), StoreError> {
        let body = to_json("plan", plan.id.as_str(), plan)?;
        let (authority, plan, sensor) = (self.authority.clone(), plan.clone(), Arc::clone(&self.sensor));
        self.write(move |transaction| {
            Box::pin(async move {
                own(transaction, authority.as_str(), &sensor, Owned::Plan(&plan.id)).await?;
                for command in &plan.commands {
                    own(transaction, authority.as_str(), &sensor, Owned::Command(&command.id)).await?;
                }
                keep_plan(transaction, authority.as_str(), &plan, &sensor, &body, now).await?;
                transaction.settings_approve(&authority, &plan, salts).await
            })
        })
        .await
    }

    /// One plan.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn plan(&self, id: &PlanId) -> Result<Option<PlanRecord>, StoreError> {
        let row =
            query("SELECT id, changed, body, authority_id FROM plan WHERE authority_id = $1 AND id = $2")
                .bind(self.whose())
                .bind(id.as_str())
                .fetch_optional(self.readers())
                .await?;
        row.as_ref().map(plan_record).transpose()
    }

    /// The plans of an incident, the latest first; at most 100.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn plans_of(&self, incident: &IncidentId) -> Result<Vec<PlanRecord>, StoreError> {
        let rows = query(
            "SELECT id, changed, body, authority_id FROM plan WHERE authority_id = $1 AND incident = $2 \
             ORDER BY made DESC, changed DESC, id LIMIT 100",
        )
        .bind(self.whose())
        .bind(incident.as_str())
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(plan_record).collect()
    }

    /// The plans in a status (all where unset), the latest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn plans(
        &self,
        status: Option<PlanStatus>,
        paging: Paging,
    ) -> Result<Page<PlanRecord>, StoreError> {
        let status = status.map(status_word);
        let total =
            query(concat!("SELECT COUNT(*) FROM plan WHERE ", seen!(), " AND ($2 IS NULL OR status = $2)"))
                .bind(self.sees())
                .bind(status)
                .fetch_one(self.readers())
                .await?;
        let rows = query(concat!(
            "SELECT id, changed, body, authority_id FROM plan WHERE ",
            seen!(),
            " AND ($2 IS NULL OR status = $2) \
             ORDER BY made DESC, changed DESC, id LIMIT $3 OFFSET $4"
        ))
        .bind(self.sees())
        .bind(status)
        .bind(paging.limit())
        .bind(paging.offset())
        .fetch_all(self.readers())
        .await?;
        let items = rows.iter().map(plan_record).collect::<Result<_, _>>()?;
        Ok(paging.page(items, count(&total)?))
    }

    /// Keeps a receipt. The same receipt twice is one. Where its command was put in force, ended or failed, that is a leaf.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is kept.
    pub async fn keep_receipt(&self, receipt: &Receipt, salts: [Salt; 2]) -> Result<(), StoreError> {
        let body = to_json("receipt", receipt.command.as_str(), receipt)?;
        let (authority, receipt, sensor) =
            (self.authority.clone(), receipt.clone(), Arc::clone(&self.sensor));
        self.write(move |transaction| {
            Box::pin(async move {
                own(transaction, authority.as_str(), &sensor, Owned::Command(&receipt.command)).await?;
                keep_receipt(transaction, authority.as_str(), &receipt, &body).await?;
                transaction.came_to(&authority, &receipt, salts).await
            })
        })
        .await
    }

    /// A command with its receipts.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn command(&self, id: &CommandId) -> Result<Option<CommandRecord>, StoreError> {
        let row = query(
            "SELECT plan.id, plan.changed, plan.body, plan.authority_id FROM command JOIN plan \
             ON plan.authority_id = command.authority_id AND plan.id = command.plan \
             WHERE command.authority_id = $1 AND command.id = $2",
        )
        .bind(self.whose())
        .bind(id.as_str())
        .fetch_optional(self.readers())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let plan = plan_record(&row)?.plan;
        Ok(self.commands_of(&plan).await?.into_iter().find(|record| record.command.id == *id))
    }

    /// The commands of a plan, each with its receipts.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn commands_of(&self, plan: &Plan) -> Result<Vec<CommandRecord>, StoreError> {
        let mut records = Vec::with_capacity(plan.commands.len());
        for command in &plan.commands {
            records.push(CommandRecord {
                authority: self.authority.clone(),
                command: command.clone(),
                plan: plan.id.clone(),
                incident: plan.incident.clone(),
                plan_status: plan.status,
                receipts: self.receipts_of(&command.id).await?,
            });
        }
        Ok(records)
    }

    /// The commands whose expiry lies after `now` and that are in force, the next to end first; at most 1 000 are
    /// looked at.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn commands_in_force(&self, now: Timestamp) -> Result<Vec<CommandRecord>, StoreError> {
        let rows = query(concat!("SELECT id, authority_id", in_force!(), " ORDER BY expires, id LIMIT 1000"))
            .bind(self.sees())
            .bind(now.micros())
            .fetch_all(self.readers())
            .await?;
        let mut records = Vec::new();
        for row in &rows {
            let id: String = row.try_get(0)?;
            if let Ok(id) = id.parse::<CommandId>()
                && let Some(record) = self.of(whose("command", id.as_str(), row, 1)?).command(&id).await?
                && record.in_force(now)
            {
                records.push(record);
            }
        }
        Ok(records)
    }

    /// How many commands are in force at `now`.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be counted.
    pub async fn count_in_force(&self, now: Timestamp) -> Result<u64, StoreError> {
        let row = query(concat!("SELECT COUNT(*)", in_force!()))
            .bind(self.sees())
            .bind(now.micros())
            .fetch_one(self.readers())
            .await?;
        Ok(count(&row)?.unsigned_abs())
    }

    /// The receipts of a command, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn receipts_of(&self, command: &CommandId) -> Result<Vec<Receipt>, StoreError> {
        let rows = query(concat!(
            "SELECT body FROM receipt WHERE authority_id = $1 AND command = $2 ORDER BY at, ",
            order_of_effects!()
        ))
        .bind(self.whose())
        .bind(command.as_str())
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                let body: String = row.try_get(0)?;
                from_json("receipt", command.as_str(), &body)
            })
            .collect()
    }

    /// Keeps an entry of the journal. The same entry twice is one.
    ///
    /// # Errors
    /// [`StoreError`]; then it is not kept.
    pub async fn keep_journal(&self, row: &JournalRow) -> Result<(), StoreError> {
        let body = to_json("journal", &row.hash, &row.entry)?;
        let (whose, row, sensor) = (self.whose(), row.clone(), Arc::clone(&self.sensor));
        self.write(move |transaction| {
            Box::pin(async move { keep_journal(transaction, &whose, &sensor, &row, &body).await })
        })
        .await
    }

    /// Keeps an entry of the journal that was decided past the server, and the leaf of it, which names the entry by its
    /// hash. The same entry twice is one, also long after.
    ///
    /// # Errors
    /// [`StoreError`]; then neither is kept.
    pub async fn keep_journalled(&self, row: &JournalRow, mut decided: Decided) -> Result<(), StoreError> {
        let body = to_json("journal", &row.hash, &row.entry)?;
        let (authority, row, sensor) = (self.authority.clone(), row.clone(), Arc::clone(&self.sensor));
        self.write(move |transaction| {
            Box::pin(async move {
                let entry = subject("journal", &row.hash)?;
                if transaction
                    .latest(&authority, std::slice::from_ref(&entry), &[decided.deed])
                    .await?
                    .is_some()
                {
                    return Ok(());
                }
                decided.about.push(entry);
                keep_journal(transaction, authority.as_str(), &sensor, &row, &body).await?;
                transaction.decide(&authority, &decided).await.map(drop)
            })
        })
        .await
    }

    /// The journal, the latest entry first.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn journal(&self, paging: Paging) -> Result<Page<JournalRow>, StoreError> {
        let total = query(concat!("SELECT COUNT(*) FROM journal WHERE ", seen!()))
            .bind(self.sees())
            .fetch_one(self.readers())
            .await?;
        let rows = query(concat!(
            "SELECT seq, at, hash, body FROM journal WHERE ",
            seen!(),
            " \
             ORDER BY at DESC, seq DESC LIMIT $2 OFFSET $3"
        ))
        .bind(self.sees())
        .bind(paging.limit())
        .bind(paging.offset())
        .fetch_all(self.readers())
        .await?;
        let items = rows.iter().map(journal_row).collect::<Result<_, _>>()?;
        Ok(paging.page(items, count(&total)?))
    }
}

/// What a sensor speaks of.
#[derive(Clone, Copy)]
enum Owned<'a> {
    Plan(&'a PlanId),
    Command(&'a CommandId),
}

/// What is known already has to be this sensor's.
async fn own(
    transaction: &mut Transaction,
    whose: &str,
    sensor: &str,
    what: Owned<'_>,
) -> Result<(), StoreError> {
    let (sql, table, id) = match what {
        Owned::Plan(id) => {
            ("SELECT sensor FROM plan WHERE authority_id = $1 AND id = $2", "plan", id.as_str())
        }
        Owned::Command(id) => (
            "SELECT plan.sensor FROM command JOIN plan ON plan.authority_id = command.authority_id \
             AND plan.id = command.plan WHERE command.authority_id = $1 AND command.id = $2",
            "command",
            id.as_str(),
        ),
    };
    let known = query(sql).bind(whose).bind(id).fetch_optional(transaction).await?;
    match known.map(|row| row.try_get::<String>(0)).transpose()? {
        Some(other) if other != sensor => Err(StoreError::Another { table, id: id.to_owned() }),
        _ => Ok(()),
    }
}

async fn keep_journal(
    transaction: &mut Transaction,
    whose: &str,
    sensor: &str,
    row: &JournalRow,
    body: &str,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO journal (authority_id, seq, at, hash, body, sensor) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (authority_id, seq, hash) DO NOTHING",
    )
    .bind(whose)
    .bind(i64::try_from(row.seq).unwrap_or(i64::MAX))
    .bind(row.at.micros())
    .bind(&row.hash)
    .bind(body)
    .bind(sensor)
    .execute(transaction)
    .await
    .map(drop)
}

async fn keep_plan(
    transaction: &mut Transaction,
    whose: &str,
    plan: &Plan,
    sensor: &str,
    body: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO plan (authority_id, id, incident, status, made, changed, body, sensor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (authority_id, id) DO UPDATE SET incident = $3, status = $4, made = $5, changed = $6, body = $7",
    )
    .bind(whose)
    .bind(plan.id.as_str())
    .bind(plan.incident.as_str())
    .bind(status_word(plan.status))
    .bind(plan.made.micros())
    .bind(now.micros())
    .bind(body)
    .bind(sensor)
    .execute(&mut *transaction)
    .await?;
    for command in &plan.commands {
        query(
            "INSERT INTO command (authority_id, id, plan, expires) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (authority_id, id) DO UPDATE SET plan = $3, expires = $4",
        )
        .bind(whose)
        .bind(command.id.as_str())
        .bind(plan.id.as_str())
        .bind(command.expires.micros())
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

async fn keep_receipt(
    transaction: &mut Transaction,
    whose: &str,
    receipt: &Receipt,
    body: &str,
) -> Result<(), StoreError> {
    let effect = match &receipt.effect {
        model::Effect::Applied => "applied",
        model::Effect::Effective => "effective",
        model::Effect::WithoutEffect => "without-effect",
        model::Effect::Failed { .. } => "failed",
        model::Effect::Undone => "undone",
        model::Effect::Expired => "expired",
    };
    query(
        "INSERT INTO receipt (authority_id, command, at, effect, body) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (authority_id, command, at, effect) DO UPDATE SET body = $5",
    )
    .bind(whose)
    .bind(receipt.command.as_str())
    .bind(receipt.at.micros())
    .bind(effect)
    .bind(body)
    .execute(&mut *transaction)
    .await?;
    // Counting receipts come all the time; the first (when it was applied) and the latest tell the story.
    query(
        "DELETE FROM receipt WHERE authority_id = $1 AND command = $2 AND effect IN ('applied', 'effective', 'without-effect') \
         AND at > (SELECT MIN(at) FROM receipt WHERE authority_id = $1 AND command = $2) \
         AND at <= (SELECT at FROM receipt WHERE authority_id = $1 AND command = $2 ORDER BY at DESC LIMIT 1 OFFSET $3)",
    )
    .bind(whose)
    .bind(receipt.command.as_str())
    .bind(RECEIPTS_OF_A_COMMAND)
    .execute(transaction)
    .await?;
    Ok(())
}

/// The word of a plan's status, as the model writes it.
const fn status_word(status: PlanStatus) -> &'static str {
    match status {
        PlanStatus::Proposed => "proposed",
        PlanStatus::Active => "active",
        PlanStatus::Refused => "refused",
        PlanStatus::Undone => "undone",
        PlanStatus::Expired => "expired",
        PlanStatus::Shown => "shown",
    }
}

fn plan_record(row: &Row) -> Result<PlanRecord, StoreError> {
    let id: String = row.try_get(0)?;
    let body: String = row.try_get(2)?;
    Ok(PlanRecord {
        authority: whose("plan", &id, row, 3)?,
        plan: from_json("plan", &id, &body)?,
        changed: Timestamp::from_micros(row.try_get(1)?),
    })
}

fn journal_row(row: &Row) -> Result<JournalRow, StoreError> {
    let hash: String = row.try_get(2)?;
    let body: String = row.try_get(3)?;
    Ok(JournalRow {
        seq: row.try_get::<i64>(0)?.unsigned_abs(),
        at: Timestamp::from_micros(row.try_get(1)?),
        entry: from_json("journal", &hash, &body)?,
        hash,
    })
}
