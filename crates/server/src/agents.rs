//! What agents of devices report, and what they are told.
//!
//! Guarantees: a report is taken from a device with a certificate of this node that is good at this moment, about that device
//! and no other; nothing of a larger body is read before that is known, and of few at a time. What is told is signed by a key
//! that this node shows for nothing else.

use crate::{AppState, api::Problem, ca::peer::Peer};
use axum::{
    Extension,
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use store::{CertificateRecord, DeviceReport, ReportKind};
use tokio::sync::Semaphore;
use wire::{About, Collect, Report, SETTINGS_TYPE, Taken, VERSION, limit};

/// How many reports are read at the same time.
static READING: Semaphore = Semaphore::const_new(8);
/// How long what a device is told holds, in seconds.
const TOLD_SECS: i64 = 30 * 86_400;

/// What agents are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How often they look and speak, in seconds.
    #[serde(deserialize_with = "every")]
    pub report_every: u32,
    /// Whether they list packages.
    pub packages: bool,
    /// Whether they look for listening ports.
    pub ports: bool,
    /// Whether they look for factory passwords.
    pub accounts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let Collect { packages, ports, accounts } = Collect::default();
        Self { report_every: wire::Settings::REPORT_EVERY, packages, ports, accounts }
    }
}

fn every<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let secs = u32::deserialize(from)?;
    let (least, most) = limit::REPORT_EVERY.into_inner();
    if limit::REPORT_EVERY.contains(&secs) {
        return Ok(secs);
    }
    Err(serde::de::Error::custom(format!("expected {least} to {most} seconds, found {secs}")))
}

impl Settings {
    const fn collect(&self) -> Collect {
        Collect { packages: self.packages, ports: self.ports, accounts: self.accounts }
    }

    /// What stands for them: the same settings, the same text.
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The device at the other end, with the state in the name of its authority.
pub(crate) struct Device {
    state: AppState,
    asset: String,
    certificate: CertificateRecord,
}

impl Device {
    /// By the certificate that was shown in TLS.
    pub(crate) async fn of(state: &AppState, peer: Option<Extension<Peer>>) -> Result<Self, Problem> {
        let peer = peer.map(|Extension(peer)| peer).unwrap_or_default();
        let none = || {
            Problem::new(StatusCode::UNAUTHORIZED, "no certificate of this node was shown in TLS")
                .expected("the certificate of a device that is enrolled here (bastide-agent enrol)")
        };
        let certificate = peer.known(state).await?.ok_or_else(none)?;
        let asset = certificate.asset.clone().ok_or_else(|| {
            Problem::new(StatusCode::FORBIDDEN, "the certificate that was shown is no device's")
        })?;
        Ok(Self { state: state.in_name_of(&certificate.authority), asset, certificate })
    }

    /// Takes a report of it.
    pub(crate) async fn report(&self, headers: &HeaderMap, body: Body) -> Result<Taken, Problem> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is to be JSON")
                .expected("Content-Type: application/json"));
        }
        let busy = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
        let reading = READING.acquire().await.map_err(busy)?;
        let body = axum::body::to_bytes(body, limit::REPORT_BYTES).await.map_err(|_| {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the report cannot be read to its end")
                .expected(format!("at most {} bytes", limit::REPORT_BYTES))
        })?;
        let report = Report::from_json(&body)
            .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
        drop((body, reading));
        let (kind, body) = match &report.about {
            About::Posture(posture) => (ReportKind::Posture, serde_json::to_string(posture)),
            About::Sbom(sbom) => (ReportKind::Sbom, serde_json::to_string(sbom)),
        };
        let unwritable = |_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the report cannot be kept");
        let kept = DeviceReport {
            asset: self.asset.clone(),
            kind,
            number: report.number,
            made: report.made,
            came: self.state.now(),
            body: body.map_err(unwritable)?,
        };
        let macs = match &report.about {
            About::Posture(posture) => posture.hardware.clone(),
            About::Sbom(_) => Vec::new(),
        };
        let came = kept.came;
        self.state.repository().keep_device_report(kept).await?;
        self.state.repository().heard(&self.asset, macs, came).await?;
        Ok(Taken { version: VERSION, number: report.number, settings: self.number().await? })
    }

    /// What it is told, signed.
    pub(crate) async fn told(&self) -> Result<String, Problem> {
        let settings = &self.state.node().agents;
        let made = self.state.now();
        let told = wire::Settings {
            version: VERSION,
            device: self.certificate.key.clone(),
            number: self.number().await?,
            made,
            not_after: made.plus_secs(TOLD_SECS),
            report_every: settings.report_every,
            collect: settings.collect(),
        };
        let told = serde_json::to_vec(&told)
            .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "what is told cannot be written"))?;
        self.state.ca().sign(&self.state, SETTINGS_TYPE, &told).await
    }

    async fn number(&self) -> Result<u64, Problem> {
        let now: Timestamp = self.state.now();
        Ok(self.state.repository().number_of_told(&self.state.node().agents.text(), now).await?)
    }
}
