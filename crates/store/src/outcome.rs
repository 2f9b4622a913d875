//! Leaves that nobody writes by hand: what the settings decided, and what came of what people decided.
//!
//! Guarantees: every plan that is in force was approved in the ledger, by a person or by the settings; every command has a
//! leaf when it is put in force, when it ends and when it fails, however often that is told; what is merely counted while it
//! is in force is no decision and makes no leaf, whatever an attacker sends.

use crate::{Actor, Decided, LedgerError, StoreError, Transaction, database::query, repository::from_json};
use ledger::{Deed, LeafError, Salt, Subject};
use model::{AuthorityId, Effect, Plan, PlanStatus, Receipt, Timestamp};
use std::fmt::Display;

/// What can become of a command, of which the latest is how it stands.
const OUTCOMES: &[Deed] =
    &[Deed::CommandRun, Deed::CommandUndone, Deed::CommandExpired, Deed::CommandFailed, Deed::NotCarriedOut];
/// The same for the approval of a plan.
const APPROVALS: &[Deed] = &[Deed::PlanApproved, Deed::NotCarriedOut];
/// The longest details, in letters.
const MOST_DETAILS: usize = 2_000;

impl Transaction {
    /// A plan was kept: where it is in force and nobody approved it, the settings did.
    pub(crate) async fn settings_approve(
        &mut self,
        authority: &AuthorityId,
        plan: &Plan,
        salts: [Salt; 2],
    ) -> Result<(), StoreError> {
        // Its incident may have become part of another since: that decides nothing anew.
        let mut about = vec![subject("plan", &plan.id)?];
        if plan.status != PlanStatus::Active
            || self.latest(authority, &about, APPROVALS).await? == Some(Deed::PlanApproved)
        {
            return Ok(());
        }
        about.push(subject("incident", &plan.incident)?);
        let commands: Vec<String> = plan.commands.iter().map(in_words).collect();
        let details = format!("{}: {}", plan.because, commands.join("; "));
        self.program_decides(authority, plan.made, Deed::PlanApproved, about, details, salts).await
    }

    /// A receipt was kept: what it says of the command is a leaf, unless the latest about that command says so already.
    pub(crate) async fn came_to(
        &mut self,
        authority: &AuthorityId,
        receipt: &Receipt,
        salts: [Salt; 2],
    ) -> Result<(), StoreError> {
        let deed = match &receipt.effect {
            Effect::Applied => Deed::CommandRun,
            Effect::Undone => Deed::CommandUndone,
            Effect::Expired => Deed::CommandExpired,
            Effect::Failed { .. } => Deed::CommandFailed,
            Effect::Effective | Effect::WithoutEffect => return Ok(()),
        };
        let plan = self.plan_of(authority, receipt).await?;
        let mut about = vec![subject("command", &receipt.command)?];
        let said = self.latest(authority, &about, OUTCOMES).await? == Some(deed);
        if let Some(plan) = &plan {
            about.push(subject("plan", &plan.id)?);
        }
        // In force already, it may have come to reach further by another plan; put back after a restart it does not.
        let further = deed == Deed::CommandRun
            && plan.as_ref().is_some_and(|plan| plan.status == PlanStatus::Active)
            && self.latest(authority, &about, &[deed]).await?.is_none();
        if said && !further {
            return Ok(());
        }
        if let Some(plan) = &plan {
            about.push(subject("incident", &plan.incident)?);
        }
        let command = plan.iter().flat_map(|plan| &plan.commands).find(|one| one.id == receipt.command);
        let mut details = command.map_or_else(String::new, |command| in_words(command) + "; ");
        details.push_str(&receipt.actuator);
        if let Effect::Failed { reason } = &receipt.effect {
            details = format!("{reason}; {details}");
        }
        self.program_decides(authority, receipt.at, deed, about, details, salts).await
    }

    /// The latest of these deeds about all of these things.
    pub(crate) async fn latest(
        &mut self,
        authority: &AuthorityId,
        about: &[Subject],
        among: &[Deed],
    ) -> Result<Option<Deed>, StoreError> {
        let among: Vec<&str> = among.iter().map(|deed| deed.as_str()).collect();
        let Some((nearest, others)) = about.split_first() else { return Ok(None) };
        let others: Vec<&str> = others.iter().map(Subject::as_str).collect();
        // Subjects and deeds hold nothing that JSON escapes.
        let list = |words: &[&str]| match words {
            [] => "[]".to_owned(),
            words => format!("[\"{}\"]", words.join("\",\"")),
        };
        let row = query(
            "SELECT leaf.deed FROM leaf_about JOIN leaf ON leaf.authority_id = leaf_about.authority_id \
             AND leaf.number = leaf_about.number WHERE leaf_about.authority_id = $1 AND leaf_about.subject = $2 \
             AND leaf.deed IN (SELECT value FROM json_each(CAST($3 AS TEXT))) \
             AND NOT EXISTS (SELECT 1 FROM json_each(CAST($4 AS TEXT)) WHERE value NOT IN \
             (SELECT subject FROM leaf_about AS other WHERE other.authority_id = leaf.authority_id \
             AND other.number = leaf.number)) ORDER BY leaf_about.number DESC LIMIT 1",
        )
        .bind(authority.as_str())
        .bind(nearest.as_str())
        .bind(list(&among))
        .bind(list(&others))
        .fetch_optional(&mut *self)
        .await?;
        let word: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        Ok(word.and_then(|word| Deed::ALL.iter().copied().find(|deed| deed.as_str() == word)))
    }

    async fn plan_of(
        &mut self,
        authority: &AuthorityId,
        receipt: &Receipt,
    ) -> Result<Option<Plan>, StoreError> {
        let row = query(
            "SELECT plan.id, plan.body FROM command JOIN plan ON plan.authority_id = command.authority_id \
             AND plan.id = command.plan WHERE command.authority_id = $1 AND command.id = $2",
        )
        .bind(authority.as_str())
        .bind(receipt.command.as_str())
        .fetch_optional(&mut *self)
        .await?;
        row.map(|row| from_json("plan", &row.try_get::<String>(0)?, &row.try_get::<String>(1)?)).transpose()
    }

    async fn program_decides(
        &mut self,
        authority: &AuthorityId,
        at: Timestamp,
        deed: Deed,
        about: Vec<Subject>,
        details: String,
        salts: [Salt; 2],
    ) -> Result<(), StoreError> {
        let details = Some(details.chars().take(MOST_DETAILS).collect());
        let decided = Decided { at, who: Actor::Program, deed, about, details, salts };
        self.decide(authority, &decided).await.map(drop)
    }
}

fn in_words(command: &model::Command) -> String {
    format!("{} {} until {}: {}", command.action.verb(), command.on.subject(), command.expires, command.why)
}

pub(crate) fn subject(kind: &str, id: impl Display) -> Result<Subject, LedgerError> {
    Subject::new(kind, id).map_err(|error: LeafError| error.into())
}
