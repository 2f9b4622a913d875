//! `/metrics` in the Prometheus text format, for who is signed in or has a token.

use crate::{AppState, api::Problem, health::free_bytes, reach::Reach};
use axum::{http::header, response::IntoResponse};
use model::Severity;
use std::fmt::{Display, Write as _};

/// The node's figures for Prometheus. A scraper sends a token made with `bastide up --token NAME`.
#[utoipa::path(
    get, path = "/metrics", tag = "node",
    responses((status = 200, description = "Prometheus text format 0.0.4", content_type = "text/plain", body = String))
)]
pub(crate) async fn metrics(Reach(state): Reach) -> Result<impl IntoResponse, Problem> {
    let mut text = Text::default();
    store(&mut text, &state).await?;
    ledger(&mut text, &state).await?;
    sensor(&mut text, &state);
    text.gauge("bastide_uptime_seconds", "Seconds since the start.", &[], state.uptime_secs());
    if let Some(free) = free_bytes(&state) {
        text.gauge(
            "bastide_disk_free_bytes",
            "Bytes that may still be written where the data is.",
            &[],
            free,
        );
    }
    if let Some(resident) = resident_bytes() {
        text.gauge("process_resident_memory_bytes", "Resident memory.", &[], resident);
    }
    text.gauge("bastide_build_info", "Always 1.", &[("version", &state.node().version)], 1);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0))
}

async fn store(text: &mut Text, state: &AppState) -> Result<(), Problem> {
    let open = state.repository().open_incidents().await?;
    text.head("bastide_incidents_open", "Open incidents by severity.", "gauge");
    for severity in Severity::ALL {
        text.sample("bastide_incidents_open", &[("severity", severity.as_str())], open.of(severity));
    }
    let health = state.repository().health().await;
    text.gauge("bastide_store_up", "1 where the database answers and keeps.", &[], u8::from(health.ok));
    text.gauge("bastide_store_writes_waiting", "Writes that wait for the disk.", &[], health.waiting);
    text.counter("bastide_store_writes_total", "Writes made durable.", &[], health.writes);
    text.counter("bastide_store_syncs_total", "Transactions, one sync each.", &[], health.commits);
    if let Some(bytes) = health.bytes {
        text.gauge("bastide_store_bytes", "Bytes of the database.", &[], bytes);
    }
    text.head("bastide_messages_waiting", "Messages that wait to be told outside.", "gauge");
    for channel in &state.node().channels {
        let waiting = state.repository().outgoing_waiting(channel).await?;
        text.sample("bastide_messages_waiting", &[("channel", channel)], waiting);
    }
    Ok(())
}

async fn ledger(text: &mut Text, state: &AppState) -> Result<(), Problem> {
    let logs = state.repository().logs().await?;
    text.head("bastide_ledger_leaves", "Decisions in the log of an authority.", "gauge");
    for log in &logs {
        text.sample("bastide_ledger_leaves", &[("authority", log.authority.as_str())], log.leaves);
    }
    let Some(witnessing) = state.witnessing().filter(|witnessing| witnessing.quorum().1 > 0) else {
        return Ok(());
    };
    text.head("bastide_ledger_cosigned_leaves", "How many of them enough witnesses cosigned.", "gauge");
    for log in &logs {
        let cosigned = log.cosigned.map_or(0, |(leaves, _)| leaves);
        text.sample("bastide_ledger_cosigned_leaves", &[("authority", log.authority.as_str())], cosigned);
    }
    text.head("bastide_ledger_cosigned_age_seconds", "Since enough witnesses last cosigned.", "gauge");
    for log in &logs {
        if let Some((_, at)) = log.cosigned {
            let age = state.now().seconds_since(at).max(0.0);
            text.sample("bastide_ledger_cosigned_age_seconds", &[("authority", log.authority.as_str())], age);
        }
    }
    type Of = fn(&crate::witness::Standing) -> bool;
    let figures: [(&str, &str, Of); 2] = [
        ("bastide_ledger_witness_failing", "1 where a witness does not cosign.", |it| it.problem.is_some()),
        ("bastide_ledger_other_history", "1 where a witness knows another history.", |it| it.other_history),
    ];
    for (name, help, of) in figures {
        text.head(name, help, "gauge");
        for log in &logs {
            for (key, _, standing) in witnessing.standing(&log.authority) {
                let labels = [("authority", log.authority.as_str()), ("witness", key.name())];
                text.sample(name, &labels, u8::from(of(&standing)));
            }
        }
    }
    Ok(())
}

fn sensor(text: &mut Text, state: &AppState) {
    let sensor = state.sensor();
    let stopped = u8::from(sensor.responding_stopped);
    text.gauge("bastide_responding_stopped", "1 where the lever is pulled.", &[], stopped);
    text.gauge("bastide_commands_in_force", "Commands in force.", &[], sensor.commands_in_force);
    for (name, help, of) in [
        ("bastide_input_records_total", "Packets or lines read.", 0_u8),
        ("bastide_input_bytes_total", "Bytes read.", 1),
        ("bastide_input_dropped_total", "Packets lost, by the kernel's count.", 2),
        ("bastide_input_skipped_total", "Records that could not be read.", 3),
    ] {
        text.head(name, help, "counter");
        for input in &sensor.inputs {
            let value = match of {
                0 => input.records,
                1 => input.bytes,
                2 => input.dropped,
                _ => input.skipped,
            };
            text.sample(name, &[("input", &input.name), ("kind", &input.kind)], value);
        }
    }
    text.head("bastide_sensor", "What else the sensor counts.", "untyped");
    for (name, value) in &sensor.counters {
        text.sample("bastide_sensor", &[("what", name)], *value);
    }
}

/// Resident memory by `/proc/self/status`, which gives KiB.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

/// The text as it grows.
#[derive(Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.head(name, help, "gauge");
        self.sample(name, labels, value);
    }

    fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.head(name, help, "counter");
        self.sample(name, labels, value);
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_text_format() {
        let mut text = Text::default();
        text.gauge("a", "What.", &[("x", "1\"\\\n"), ("y", "z")], 2);
        assert_eq!(text.0, "# HELP a What.\n# TYPE a gauge\na{x=\"1\\\"\\\\\\n\",y=\"z\"} 2\n");
    }
}
