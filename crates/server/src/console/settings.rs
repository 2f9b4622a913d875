//! Settings as they are in force, with where each came from; and the lever.

use super::{
    frame::{Frame, Trouble, Visit, page},
    overview::{InputView, inputs},
    view::{self, Markup},
};
use crate::{AppState, Setting, api::Problem, reach::Reach};
use askama::Template;
use axum::response::Response;
use report::words;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    has_sensor: bool,
    stopped: bool,
    mode: String,
    mode_means: &'static str,
    in_force: u64,
    in_force_words: String,
    tables: Vec<Table>,
    inputs: Vec<InputView>,
    exceptions: Vec<ExceptionRow>,
    exceptions_more: usize,
    counters: Vec<(String, String)>,
    store: String,
    store_problem: String,
    channels: String,
    url: String,
    data_dir: String,
    uptime: String,
}

/// The settings of one table of the file.
struct Table {
    name: String,
    settings: Vec<Setting>,
}

struct ExceptionRow {
    id: String,
    incident: String,
    what: String,
    reason: String,
    who: String,
    left: Markup,
    holds: bool,
    ended: String,
}

/// `GET /settings`.
pub(super) async fn show(Reach(state): Reach, visit: Visit) -> Result<Response, Trouble> {
    let frame = Frame::new(&state, &visit, "settings", "Settings").await;
    let settings = read(&state, frame).await.map_err(|problem| visit.trouble(problem))?;
    Ok(page(&settings))
}

/// Exceptions that are listed.
const MOST_EXCEPTIONS: usize = 50;

async fn read(state: &AppState, frame: Frame) -> Result<SettingsPage, Problem> {
    let now = state.now();
    let sensor = state.sensor();
    let node = state.node();
    let health = state.repository().health().await;
    let exceptions = state.repository().exceptions().await?;
    let rows = exceptions.iter().take(MOST_EXCEPTIONS).map(|record| {
        let exception = &record.exception;
        let peer = exception.peer.map_or_else(|| "anybody".to_owned(), |peer| peer.to_string());
        ExceptionRow {
            id: record.id.clone(),
            incident: exception.incident.to_string(),
            what: format!("{} about {} towards {peer}", exception.detector, exception.address),
            reason: exception.reason.clone(),
            who: exception.who.clone(),
            left: view::left(exception.until, now),
            holds: record.holds(now),
            ended: record
                .revoked
                .map_or_else(|| "ran out".into(), |at| format!("taken back {} UTC", words::moment(at))),
        }
    });
    Ok(SettingsPage {
        has_sensor: state.has_sensor(),
        stopped: sensor.responding_stopped,
        mode_means: mode_means(&sensor.response_mode),
        mode: sensor.response_mode.clone(),
        in_force: sensor.commands_in_force,
        in_force_words: words::counted(sensor.commands_in_force, "command", "commands"),
        tables: tables(&node.settings),
        inputs: inputs(&sensor, now),
        exceptions: rows.collect(),
        exceptions_more: exceptions.len().saturating_sub(MOST_EXCEPTIONS),
        counters: sensor
            .counters
            .iter()
            .take(60)
            .map(|(name, value)| (name.clone(), words::count(*value)))
            .collect(),
        store: format!(
            "{}, {}, {}, {} waiting",
            health.database,
            health.bytes.map_or_else(|| "size not known".to_owned(), words::bytes),
            words::counted(health.writes, "write since the start", "writes since the start"),
            words::count(health.waiting)
        ),
        store_problem: health.problem.map_or_else(String::new, |problem| {
            let span = i64::try_from(health.failing_secs.unwrap_or_default()).unwrap_or(i64::MAX);
            format!("{problem}, for {}", words::span(span.saturating_mul(1_000_000)))
        }),
        channels: node.channels.join(", "),
        url: node.url.clone(),
        data_dir: node.data_dir.display().to_string(),
        uptime: words::span(i64::try_from(state.uptime_secs()).unwrap_or(i64::MAX).saturating_mul(1_000_000)),
        frame,
    })
}

fn mode_means(mode: &str) -> &'static str {
    match mode {
        "off" => "Nothing is ever done; plans are shown as what would have been done.",
        "ask" => "A person decides about every plan.",
        "auto" => "Plans are carried out at once where the licence allows it; the rest is asked about.",
        _ => "",
    }
}

/// Settings by their table, in the order in which they come.
fn tables(settings: &[Setting]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for setting in settings {
        let name = setting.key.split_once('.').map_or("", |(table, _)| table);
        match tables.last_mut() {
            Some(table) if table.name == name => table.settings.push(setting.clone()),
            _ => tables.push(Table { name: name.to_owned(), settings: vec![setting.clone()] }),
        }
    }
    tables
}
