//! Log lines of other tools to events: Zeek conn.log (TSV and JSON), Suricata EVE, Cowrie.
//!
//! Guarantees: a bad line costs that line and gives a reason; what is kept between lines is bounded; no event holds a
//! tried password, a typed command or payload. Flows come as [`model::Phase::Summary`], at the time they began.
//!
//! Ids of flows are `input << 40 | n`: a counter for Zeek, a digest of Suricata's `flow_id` for EVE, so that what
//! several records say of one flow carries one id.

mod alert;
mod bounded;
mod cowrie;
mod eve;
pub mod loader;
mod symmetry;
mod zeek;

use model::{Event, EventKind, RecordRef, Timestamp};

/// A log's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// Zeek's own form, with its columns named in the header.
    ZeekTsv,
    /// Zeek, a JSON object a line.
    ZeekJson,
    /// Suricata's EVE, a JSON object a line.
    Eve,
    /// Cowrie, a JSON object a line.
    Cowrie,
}

impl LogFormat {
    /// The format's name for the report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ZeekTsv => "zeek-tsv",
            Self::ZeekJson => "zeek-json",
            Self::Eve => "eve",
            Self::Cowrie => "cowrie",
        }
    }
}

/// Why a line gave no events. The next line may be good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LogError {
    /// A reason of few enough kinds to be counted by name: what was expected, and where.
    pub reason: String,
}

impl From<parse::log::LineError> for LogError {
    fn from(error: parse::log::LineError) -> Self {
        Self { reason: error.to_string() }
    }
}

/// Turns the lines of one log into events.
#[derive(Debug)]
pub struct LogDecoder {
    format: LogFormat,
    input: u32,
    uid: Option<String>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Zeek(Box<zeek::Zeek>),
    Eve(Box<eve::Eve>),
    Cowrie(Box<cowrie::Cowrie>),
}

impl LogDecoder {
    /// The format of a log that begins like this; `None` where it is none of them. A few KiB suffice.
    #[must_use]
    pub fn recognise(first_bytes: &[u8]) -> Option<LogFormat> {
        let bytes = first_bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first_bytes).trim_ascii_start();
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        if bytes.starts_with(b"#separator")
            || bytes.starts_with(b"#fields")
            || bytes.starts_with(b"#set_separator")
        {
            return Some(LogFormat::ZeekTsv);
        }
        if !bytes.starts_with(b"{") {
            return None;
        }
        if has(b"\"cowrie.") {
            Some(LogFormat::Cowrie)
        } else if has(b"\"event_type\"") {
            Some(LogFormat::Eve)
        } else if has(b"orig_h\"") {
            Some(LogFormat::ZeekJson)
        } else {
            None
        }
    }

    /// A decoder for the input of this number, which ids and references carry.
    #[must_use]
    pub fn new(format: LogFormat, input: u32) -> Self {
        let source = match format {
            LogFormat::ZeekTsv | LogFormat::ZeekJson => {
                Source::Zeek(Box::new(zeek::Zeek::new(format == LogFormat::ZeekJson)))
            }
            LogFormat::Eve => Source::Eve(Box::default()),
            LogFormat::Cowrie => Source::Cowrie(Box::default()),
        };
        Self { format, input, uid: None, source }
    }

    /// The format that it reads.
    #[must_use]
    pub const fn format(&self) -> LogFormat {
        self.format
    }

    /// Reads one line, the `number`th from 1, with or without its line end. Empty lines give nothing.
    ///
    /// # Errors
    /// [`LogError`] says what was expected; the decoder goes on with the next line.
    pub fn line(&mut self, number: u64, line: &[u8], emit: &mut dyn FnMut(Event)) -> Result<(), LogError> {
        self.uid = None;
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii_end();
        if line.is_empty() {
            return Ok(());
        }
        let place = Place { record: RecordRef { input: self.input, record: number } };
        match &mut self.source {
            Source::Zeek(zeek) => self.uid = zeek.line(place, line, emit)?,
            Source::Eve(eve) => self.uid = eve.line(place, line, emit)?,
            Source::Cowrie(cowrie) => cowrie.line(place, line, emit)?,
        }
        Ok(())
    }

    /// The log's own id of the flow that the last line spoke of, once that line was read.
    #[must_use]
    pub fn last_uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }
}

/// The most that a log's counter is believed to have counted, so that sums of many stay within their type.
const MOST: u64 = 1 << 48;

/// Where a line stands: what all its events have in common.
#[derive(Clone, Copy)]
struct Place {
    record: RecordRef,
}

impl Place {
    /// The id of this input's `n`th flow.
    fn flow(self, n: u64) -> u64 {
        u64::from(self.record.input) << 40 | n & ((1 << 40) - 1)
    }

    const fn event(self, at: Timestamp, kind: EventKind) -> Event {
        Event { at, record: self.record, kind }
    }
}

/// A moment as a log writes it.
fn moment(text: &str, field: &'static str) -> Result<Timestamp, LogError> {
    Timestamp::parse(text)
        .map_err(|_| LogError { reason: format!("field {field} is not an RFC 3339 moment") })
}

/// A text of at most 128 characters, for hints.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}
