//! Log lines of other tools to events: Zeek conn.log (TSV and JSON), Suricata EVE, Cowrie.

use model::Event;

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

/// Turns the lines of one log into events.
#[derive(Debug)]
pub struct LogDecoder {
    format: LogFormat,
}

impl LogDecoder {
    /// The format of a log that begins like this; `None` where it is none of them.
    #[must_use]
    pub fn recognise(_first_bytes: &[u8]) -> Option<LogFormat> {
        None
    }

    /// A decoder for the input of this number, which ids and references carry.
    #[must_use]
    pub const fn new(format: LogFormat, _input: u32) -> Self {
        Self { format }
    }

    /// Reads one line, the `number`th from 1, without its line end.
    ///
    /// # Errors
    /// [`LogError`] says what was expected; the decoder goes on with the next line.
    pub fn line(&mut self, _number: u64, _line: &[u8], _emit: &mut dyn FnMut(Event)) -> Result<(), LogError> {
        Err(LogError { reason: format!("{} is not read yet", self.format.as_str()) })
    }

    /// The log's own id of the flow that the last line spoke of.
    #[must_use]
    pub const fn last_uid(&self) -> Option<&str> {
        None
    }
}
