//! What the agent of an asset said last: on the asset's page.

use super::view::{self, Markup};
use crate::AppState;
use model::Timestamp;
use report::words;
use store::{DeviceReport, ReportKind, StoreError};
use wire::Posture;

/// The most ports that are shown.
const MOST_PORTS: usize = 40;

/// What is shown of a posture.
pub(super) struct Reported {
    pub(super) facts: Vec<(&'static str, Markup)>,
    /// What should not be so.
    pub(super) warnings: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) ports_more: usize,
    /// Why it says less than it could.
    pub(super) unread: Vec<String>,
}

/// What the agent of an asset said last; nothing where it has none, or none that could be read.
pub(super) async fn of(state: &AppState, asset: &str) -> Result<Option<Reported>, StoreError> {
    let report = state.repository().device_report(asset, ReportKind::Posture).await?;
    Ok(report.and_then(|report| {
        let posture: Posture = serde_json::from_str(&report.body).ok()?;
        Some(shown(&report, &posture, state.now()))
    }))
}

fn shown(report: &DeviceReport, posture: &Posture, now: Timestamp) -> Reported {
    let text = |text: &str| Markup::text(&report::clipped(text, 200));
    let os = posture.os.name.as_ref().unwrap_or(&posture.os.id);
    let mut facts = vec![
        ("Last report", view::ago(report.came, now)),
        ("System", text(&format!("{os} ({})", posture.os.architecture))),
        ("Kernel", view::code(&report::clipped(&posture.os.kernel, 120))),
        ("Agent", text(&posture.agent)),
    ];
    if let Some(started) = posture.started {
        facts.push(("Started", view::ago(started, now)));
    }
    if let Some(software) = &posture.software {
        let packages = words::counted(u64::from(software.packages), "package", "packages");
        facts.push(("Software", text(&packages)));
    }
    let mut warnings = Vec::new();
    for port in posture.telnet.iter().flatten() {
        warnings.push(format!("Telnet is open on port {port}: whoever guesses a password is in."));
    }
    if let Some(accounts) = &posture.accounts {
        warnings.extend(accounts.weak.iter().map(|weak| {
            let name = report::clipped(&weak.name, 100);
            format!("Anybody can sign in as {name}: {}.", report::clipped(&weak.rule, 200))
        }));
    }
    let listening = posture.listening.as_deref().unwrap_or_default();
    let port = |one: &wire::Listening| {
        let transport = match one.transport {
            wire::Transport::Tcp => "TCP",
            wire::Transport::Udp => "UDP",
        };
        let process = one.process.as_ref().map(|name| format!(": {}", report::clipped(name, 60)));
        format!("{transport} {} on {}{}", one.port, one.address, process.unwrap_or_default())
    };
    Reported {
        facts,
        warnings,
        ports: listening.iter().take(MOST_PORTS).map(port).collect(),
        ports_more: listening.len().saturating_sub(MOST_PORTS),
        unread: posture
            .unread
            .iter()
            .map(|unread| report::clipped(&format!("{}: {}", unread.source, unread.reason), 300))
            .collect(),
    }
}
