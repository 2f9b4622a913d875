//! The journal of decisions: what people did here, and what the sensor did by its own chained journal.

use super::{
    frame::{Frame, Trouble, Visit, page},
    named::{Named, named_in},
    proof::{self, Proof},
    view::{self, Markup, Pager},
};
use crate::{
    AppState,
    api::{Parameters, Problem},
    reach::Reach,
};
use askama::Template;
use axum::response::Response;
use ledger::{Deed, Subject};
use model::{AuthorityId, IncidentId, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use store::{CommandRecord, DecisionRecord, ERASED, JournalRow, Paging, PlanRecord};

/// Entries of the journals that are searched for one incident, and those that are shown.
const MOST_SEARCHED: u32 = 500;
const MOST_SHOWN: usize = 40;

/// One decision or act.
pub(super) struct Entry {
    at: Timestamp,
    pub(super) when: Markup,
    pub(super) who: String,
    pub(super) what: String,
    pub(super) about: String,
    /// Its hash in the sensor's chain, or that of its leaf.
    pub(super) hash: String,
    /// Its leaf in the ledger and where its proof is; unset for what is in the sensor's chain.
    pub(super) leaf: Option<(u64, String)>,
    authority: Option<AuthorityId>,
}

#[derive(Template)]
#[template(path = "journal.html")]
struct JournalPage {
    frame: Frame,
    people: Vec<Entry>,
    pager: Pager,
    sensor: Vec<Entry>,
    sensor_more: u64,
    proof: Proof,
}

/// Which page of the journal.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    page: String,
}

/// `GET /journal`.
pub(super) async fn show(
    Reach(state): Reach,
    visit: Visit,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Trouble> {
    let frame = Frame::new(&state, &visit, "journal", "Journal").await;
    let journal = read(&state, frame, &asked).await.map_err(|problem| visit.trouble(problem))?;
    Ok(page(&journal))
}

async fn read(state: &AppState, frame: Frame, asked: &Asked) -> Result<JournalPage, Problem> {
    let paging = Paging::new(asked.page.parse().unwrap_or(1), 50);
    let decisions = state.repository().decisions(None, paging).await?;
    let rows = state.repository().journal(Paging::new(1, 50)).await?;
    let people: Vec<Entry> = decisions.items.iter().map(Entry::of_decision).collect();
    Ok(JournalPage {
        proof: proof(state, &people).await?,
        pager: Pager::new(&decisions, |page| {
            format!("/journal{}", view::query(&[("page", &page.to_string())]))
        }),
        people,
        sensor_more: rows.total.saturating_sub(rows.items.len() as u64),
        sensor: of_rows(state, rows.items.iter()).await?,
        frame,
    })
}

/// What was decided and done about one incident, the latest first.
pub(super) async fn decisions(
    state: &AppState,
    incident: &IncidentId,
    plans: &[(PlanRecord, Vec<CommandRecord>)],
) -> Result<Vec<Entry>, Problem> {
    let mut ids: Vec<&str> = vec![incident.as_str()];
    for (plan, commands) in plans {
        ids.push(plan.plan.id.as_str());
        ids.extend(commands.iter().map(|command| command.command.id.as_str()));
    }
    // Decisions about a plan or a command name its incident too.
    let about =
        Subject::new("incident", incident).map_err(|_| Problem::not_found("incident", incident.as_str()))?;
    let decided = state.repository().decisions(Some(&about), Paging::new(1, MOST_SEARCHED)).await?;
    let told = decided.items.iter().filter(|decision| decision.deed != Deed::EvidenceOpened);
    let mut entries: Vec<Entry> = told.map(Entry::of_decision).collect();
    let rows = state.repository().journal(Paging::new(1, MOST_SEARCHED)).await?;
    let about = |row: &&JournalRow| {
        let text = row.entry.to_string();
        ids.iter().any(|id| text.contains(id))
    };
    entries.extend(of_rows(state, rows.items.iter().filter(about)).await?);
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    entries.truncate(MOST_SHOWN);
    Ok(entries)
}

/// Entries of the sensor's chain, with whoever they name as people know them.
async fn of_rows(state: &AppState, rows: impl Iterator<Item = &JournalRow>) -> Result<Vec<Entry>, Problem> {
    let mut entries: Vec<Entry> = rows.map(Entry::of_row).collect();
    let texts = entries.iter().flat_map(|entry| [entry.who.as_str(), entry.what.as_str()]);
    let named = Named::of(state, named_in(texts)).await?;
    for entry in &mut entries {
        (entry.who, entry.what) = (named.text(&entry.who), named.text(&entry.what));
    }
    Ok(entries)
}

/// The proof of the decisions among these.
pub(super) async fn proof(state: &AppState, entries: &[Entry]) -> Result<Proof, Problem> {
    proof::of(state, entries.iter().filter_map(|entry| entry.authority.as_ref())).await
}

impl Entry {
    fn of_decision(decision: &DecisionRecord) -> Self {
        let who = match &decision.who {
            // An id, then the name that people know; programs with tokens have no id.
            Some(who) => match who.split_once(' ') {
                Some((id, login)) if id != "token" => login.to_owned(),
                _ => who.clone(),
            },
            None if decision.by_program => "by settings".into(),
            None => ERASED.into(),
        };
        let deed = decision.deed.as_str().replace('-', " ");
        let what = match &decision.details {
            Some(details) => format!("{deed}: {details}"),
            None if decision.erased => format!("{deed} {ERASED}"),
            None => deed,
        };
        Self {
            at: decision.at,
            when: view::exact(decision.at),
            who: report::clipped(&who, 80),
            what: report::clipped(&what, 200),
            about: report::clipped(decision.about.first().map_or("", |subject| subject.id()), 80),
            hash: decision.hash.clone(),
            leaf: Some((
                decision.number,
                format!("/ledger/{}/leaf/{}.tar", decision.authority, decision.number),
            )),
            authority: Some(decision.authority.clone()),
        }
    }

    /// An entry of the sensor's chain: its words are read by name, so that a newer sensor's entries show too.
    fn of_row(row: &JournalRow) -> Self {
        let text =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let act = row.entry.get("what").cloned().unwrap_or_default();
        let name = match &act {
            Value::String(name) => name.clone(),
            other => text(other, "act"),
        };
        let why = text(&row.entry, "why");
        let what = if why.is_empty() {
            name.replace('-', " ")
        } else {
            format!("{}: {why}", name.replace('-', " "))
        };
        let about = ["command", "plan", "incident"]
            .iter()
            .map(|key| match act.get(key) {
                Some(Value::String(id)) => id.clone(),
                Some(inner) => text(inner, "id"),
                None => String::new(),
            })
            .find(|id| !id.is_empty())
            .unwrap_or_default();
        Self {
            at: row.at,
            when: view::exact(row.at),
            who: report::clipped(&text(&row.entry, "who"), 80),
            what: report::clipped(&what, 400),
            about: report::clipped(&about, 80),
            hash: row.hash.chars().take(16).collect(),
            leaf: None,
            authority: None,
        }
    }
}
