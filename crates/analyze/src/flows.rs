//! `--flows`: every flow with its verdict. Flows are spooled while they end and finished once the incidents are known.

use detect::{Verdict, Verdicts};
use model::{FlowKey, FlowUpdate, IncidentId, Protocol, Tactic, Timestamp, Visibility};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Seek, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Why the flows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// The spool beside the output.
    #[error("cannot spool flows")]
    Spool(#[source] io::Error),
    /// The output.
    #[error("cannot write flows to {path}")]
    Write {
        /// Where to.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// What is known of a flow when it ends.
#[derive(Serialize, Deserialize)]
struct Spooled {
    uid: Option<String>,
    src: IpAddr,
    src_port: u16,
    dst: IpAddr,
    dst_port: u16,
    protocol: u8,
    first: i64,
    last: i64,
    packets_out: u64,
    packets_in: u64,
    bytes_out: u64,
    bytes_in: u64,
    visibility: Visibility,
}

/// A line of the output.
#[derive(Serialize)]
struct Line<'a> {
    uid: Option<&'a str>,
    src: IpAddr,
    src_port: u16,
    dst: IpAddr,
    dst_port: u16,
    protocol: String,
    first: Timestamp,
    last: Timestamp,
    packets_out: u64,
    packets_in: u64,
    bytes_out: u64,
    bytes_in: u64,
    visibility: Visibility,
    verdict: Verdict,
    stages: Vec<Tactic>,
    incident: Option<IncidentId>,
}

/// Flows that ended, on disk.
pub(crate) struct Spool {
    file: BufWriter<File>,
}

impl Spool {
    pub(crate) fn new() -> Result<Self, FlowsError> {
        Ok(Self { file: BufWriter::with_capacity(1 << 18, tempfile::tempfile().map_err(FlowsError::Spool)?) })
    }

    pub(crate) fn add(&mut self, flow: &FlowUpdate, uid: Option<&str>) -> Result<(), FlowsError> {
        let spooled = Spooled {
            uid: uid.map(str::to_owned),
            src: flow.key.src,
            src_port: flow.key.src_port,
            dst: flow.key.dst,
            dst_port: flow.key.dst_port,
            protocol: flow.key.protocol.0,
            first: flow.first.micros(),
            last: flow.last.micros(),
            packets_out: flow.total.packets_out,
            packets_in: flow.total.packets_in,
            bytes_out: flow.total.bytes_out,
            bytes_in: flow.total.bytes_in,
            visibility: flow.visibility,
        };
        serde_json::to_writer(&mut self.file, &spooled).map_err(|error| FlowsError::Spool(error.into()))?;
        self.file.write_all(b"\n").map_err(FlowsError::Spool)
    }

    /// Writes all flows with their verdicts.
    pub(crate) fn finish(self, verdicts: &Verdicts, path: &Path) -> Result<(), FlowsError> {
        let mut spool = self.file.into_inner().map_err(|error| FlowsError::Spool(error.into_error()))?;
        spool.rewind().map_err(FlowsError::Spool)?;
        let failed = |source| FlowsError::Write { path: path.to_owned(), source };
        let mut out = BufWriter::with_capacity(1 << 18, File::create(path).map_err(failed)?);
        for line in BufReader::with_capacity(1 << 18, spool).lines() {
            let line = line.map_err(FlowsError::Spool)?;
            let flow: Spooled =
                serde_json::from_str(&line).map_err(|error| FlowsError::Spool(error.into()))?;
            serde_json::to_writer(&mut out, &judged(&flow, verdicts))
                .map_err(|error| failed(error.into()))?;
            out.write_all(b"\n").map_err(failed)?;
        }
        out.flush().map_err(failed)
    }
}

fn judged<'a>(flow: &'a Spooled, verdicts: &Verdicts) -> Line<'a> {
    let protocol = Protocol(flow.protocol);
    let key =
        FlowKey { src: flow.src, dst: flow.dst, src_port: flow.src_port, dst_port: flow.dst_port, protocol };
    let (first, last) = (Timestamp::from_micros(flow.first), Timestamp::from_micros(flow.last));
    let found = verdicts.of(&key, first, last);
    Line {
        uid: flow.uid.as_deref(),
        src: flow.src,
        src_port: flow.src_port,
        dst: flow.dst,
        dst_port: flow.dst_port,
        protocol: protocol.to_string(),
        first,
        last,
        packets_out: flow.packets_out,
        packets_in: flow.packets_in,
        bytes_out: flow.bytes_out,
        bytes_in: flow.bytes_in,
        visibility: flow.visibility,
        verdict: found.verdict,
        stages: found.stages,
        incident: found.incident,
    }
}
