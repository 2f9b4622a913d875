//! Zeek's conn.log, in its own form and as JSON (<https://docs.zeek.org/en/master/logs/conn.html>).
//!
//! The header names separator and columns; nothing is assumed about their order. Files whose last columns are
//! separated by spaces instead (as the labelled ones of IoT-23 are) are read too: what follows two or more
//! spaces in a field is not part of it.

use super::{LineError, json};
use serde_json::Value;
use std::{borrow::Cow, net::IpAddr};

/// A connection as Zeek sums it up. Numbers that the log leaves unset are `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conn<'a> {
    /// When it began: microseconds since the Unix epoch.
    pub micros: i64,
    /// Zeek's id of it.
    pub uid: Cow<'a, str>,
    /// The originator.
    pub src: IpAddr,
    /// Its port; for ICMP the type.
    pub src_port: u16,
    /// The responder.
    pub dst: IpAddr,
    /// Its port; for ICMP the code.
    pub dst_port: u16,
    /// The transport's name.
    pub protocol: Cow<'a, str>,
    /// The application protocols that were recognised, separated by commas.
    pub service: Option<Cow<'a, str>>,
    /// How long it lasted, in microseconds.
    pub duration: Option<i64>,
    /// Payload bytes from the originator.
    pub orig_bytes: Option<u64>,
    /// Payload bytes from the responder.
    pub resp_bytes: Option<u64>,
    /// The state that it ended in, such as `SF`.
    pub state: Option<Cow<'a, str>>,
    /// What happened, a letter each; upper case from the originator.
    pub history: Option<Cow<'a, str>>,
    /// Packets from the originator.
    pub orig_packets: Option<u64>,
    /// IP bytes from the originator.
    pub orig_ip_bytes: Option<u64>,
    /// Packets from the responder.
    pub resp_packets: Option<u64>,
    /// IP bytes from the responder.
    pub resp_ip_bytes: Option<u64>,
    /// Hardware address of the originator's side, where Zeek was told to log it.
    pub orig_mac: Option<[u8; 6]>,
    /// Hardware address of the responder's side, where Zeek was told to log it.
    pub resp_mac: Option<[u8; 6]>,
}

/// A column of conn.log that is used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Ts,
    Uid,
    OrigHost,
    OrigPort,
    RespHost,
    RespPort,
    Proto,
    Service,
    Duration,
    OrigBytes,
    RespBytes,
    State,
    History,
    OrigPackets,
    OrigIpBytes,
    RespPackets,
    RespIpBytes,
    OrigMac,
    RespMac,
    /// Not used here.
    Other,
}

impl Column {
    const COUNT: usize = Self::Other as usize;

    const NAMES: [(&'static str, Self); Self::COUNT] = [
        ("ts", Self::Ts),
        ("uid", Self::Uid),
        ("id.orig_h", Self::OrigHost),
        ("id.orig_p", Self::OrigPort),
        ("id.resp_h", Self::RespHost),
        ("id.resp_p", Self::RespPort),
        ("proto", Self::Proto),
        ("service", Self::Service),
        ("duration", Self::Duration),
        ("orig_bytes", Self::OrigBytes),
        ("resp_bytes", Self::RespBytes),
        ("conn_state", Self::State),
        ("history", Self::History),
        ("orig_pkts", Self::OrigPackets),
        ("orig_ip_bytes", Self::OrigIpBytes),
        ("resp_pkts", Self::RespPackets),
        ("resp_ip_bytes", Self::RespIpBytes),
        ("orig_l2_addr", Self::OrigMac),
        ("resp_l2_addr", Self::RespMac),
    ];

    fn named(name: &str) -> Self {
        Self::NAMES.iter().find(|(known, _)| *known == name).map_or(Self::Other, |(_, column)| *column)
    }
}

const MAX_COLUMNS: usize = 512;

/// What a log's header lines said so far.
#[derive(Clone, Debug)]
pub struct Header {
    separator: Vec<u8>,
    unset: Vec<u8>,
    empty: Vec<u8>,
    columns: Vec<Column>,
    foreign: bool,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            separator: b"\t".to_vec(),
            unset: b"-".to_vec(),
            empty: b"(empty)".to_vec(),
            columns: Vec::new(),
            foreign: false,
        }
    }
}

impl Header {
    /// Zeek's defaults, until header lines say otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a line that begins with `#`. Lines that say nothing about the form are ignored.
    ///
    /// # Errors
    /// Where the columns are not those of a conn.log.
    pub fn directive(&mut self, line: &[u8]) -> Result<(), LineError> {
        let line = line.strip_prefix(b"#").unwrap_or(line);
        let key_end = line.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let (key, rest) = line.split_at_checked(key_end.unwrap_or(line.len())).unwrap_or((line, &[]));
        if key == b"separator" {
            self.separator = unescape(rest.trim_ascii());
            if self.separator.is_empty() {
                self.separator = b"\t".to_vec();
                return Err(LineError::Header {
                    field: "#separator",
                    expected: "at least one byte, such as \\x09",
                });
            }
            return Ok(());
        }
        // After the key stands the separator; a space is taken too, since editors turn tabs into spaces.
        let value = rest.strip_prefix(self.separator.as_slice()).unwrap_or_else(|| rest.trim_ascii_start());
        match key {
            b"unset_field" => self.unset = unescape(value),
            b"empty_field" => self.empty = unescape(value),
            b"path" => self.foreign = value.trim_ascii() != b"conn",
            b"fields" => return self.fields(value),
            _ => {}
        }
        Ok(())
    }

    fn fields(&mut self, value: &[u8]) -> Result<(), LineError> {
        let value = std::str::from_utf8(value).map_err(|_| LineError::Encoding)?;
        let separator = std::str::from_utf8(&self.separator).map_err(|_| LineError::Encoding)?;
        self.columns = value
            .split(separator)
            .flat_map(str::split_whitespace)
            .take(MAX_COLUMNS)
            .map(Column::named)
            .collect();
        let needed = [Column::Ts, Column::OrigHost, Column::RespHost, Column::Proto];
        if self.foreign || needed.iter().any(|column| !self.columns.contains(column)) {
            self.columns.clear();
            return Err(LineError::Header {
                field: "#fields",
                expected: "those of a conn.log (ts, id.orig_h, id.resp_h, proto, ...)",
            });
        }
        Ok(())
    }

    /// Reads a line of values.
    ///
    /// # Errors
    /// Names the field that is missing or not what its column should hold.
    pub fn conn<'a>(&self, line: &'a [u8]) -> Result<Conn<'a>, LineError> {
        if self.columns.is_empty() {
            return Err(LineError::NoHeader);
        }
        let mut values: [Option<&'a str>; Column::COUNT] = [None; Column::COUNT];
        let line = std::str::from_utf8(line).map_err(|_| LineError::Encoding)?;
        let separator = std::str::from_utf8(&self.separator).map_err(|_| LineError::Encoding)?;
        for (column, value) in self.columns.iter().zip(line.split(separator)) {
            if let Some(slot) = values.get_mut(*column as usize) {
                let value = value.split("  ").next().unwrap_or(value);
                let set =
                    value.as_bytes() != self.unset && value.as_bytes() != self.empty && !value.is_empty();
                *slot = set.then_some(value);
            }
        }
        let value = |column: Column| values.get(column as usize).copied().flatten();
        let needed = |column: Column, name| value(column).ok_or(LineError::Missing(name));
        let number = |column, field| match value(column) {
            None => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|_| LineError::Field { field, expected: "a whole number" })
            }
        };
        Ok(Conn {
            micros: decimal_micros(needed(Column::Ts, "ts")?)
                .ok_or(LineError::Field { field: "ts", expected: "seconds since the Unix epoch" })?,
            uid: value(Column::Uid).unwrap_or_default().into(),
            src: address(needed(Column::OrigHost, "id.orig_h")?, "id.orig_h")?,
            src_port: port(value(Column::OrigPort), "id.orig_p")?,
            dst: address(needed(Column::RespHost, "id.resp_h")?, "id.resp_h")?,
            dst_port: port(value(Column::RespPort), "id.resp_p")?,
            protocol: needed(Column::Proto, "proto")?.into(),
            service: value(Column::Service).map(Cow::Borrowed),
            duration: match value(Column::Duration) {
                None => None,
                Some(text) => Some(
                    decimal_micros(text)
                        .ok_or(LineError::Field { field: "duration", expected: "a number of seconds" })?,
                ),
            },
            orig_bytes: number(Column::OrigBytes, "orig_bytes")?,
            resp_bytes: number(Column::RespBytes, "resp_bytes")?,
            state: value(Column::State).map(Cow::Borrowed),
            history: value(Column::History).map(Cow::Borrowed),
            orig_packets: number(Column::OrigPackets, "orig_pkts")?,
            orig_ip_bytes: number(Column::OrigIpBytes, "orig_ip_bytes")?,
            resp_packets: number(Column::RespPackets, "resp_pkts")?,
            resp_ip_bytes: number(Column::RespIpBytes, "resp_ip_bytes")?,
            orig_mac: value(Column::OrigMac).and_then(mac),
            resp_mac: value(Column::RespMac).and_then(mac),
        })
    }
}

/// Reads a line of a conn.log in JSON, with times as seconds or in RFC 3339 (`moment` turns those into microseconds).
///
/// # Errors
/// Names the field that is missing or not what it should be.
pub fn json(line: &[u8], moment: impl Fn(&str) -> Option<i64>) -> Result<Conn<'static>, LineError> {
    let value = json::object(line)?;
    if json::text(&value, &["_path"]).is_some_and(|path| path != "conn") {
        return Err(LineError::Header { field: "_path", expected: "conn" });
    }
    // Exporters that cannot have dots in keys write id_orig_h, or an object.
    let id = |key: &str| {
        value
            .get(format!("id.{key}"))
            .or_else(|| value.get(format!("id_{key}")))
            .or_else(|| value.get("id").and_then(|id| id.get(key)))
    };
    let host = |key: &str, field| match id(key) {
        None => Err(LineError::Missing(field)),
        Some(found) => address(found.as_str().unwrap_or_default(), field),
    };
    let id_port = |key: &str| {
        id(key).and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok()).unwrap_or_default()
    };
    let micros = match value.get("ts") {
        Some(Value::Number(number)) => decimal_micros(&number.to_string()),
        Some(Value::String(text)) => decimal_micros(text).or_else(|| moment(text)),
        _ => return Err(LineError::Missing("ts")),
    };
    let text = |key: &str| json::owned(&value, &[key]).map(Cow::Owned);
    Ok(Conn {
        micros: micros
            .ok_or(LineError::Field { field: "ts", expected: "seconds since the Unix epoch or RFC 3339" })?,
        uid: text("uid").unwrap_or_default(),
        src: host("orig_h", "id.orig_h")?,
        src_port: id_port("orig_p"),
        dst: host("resp_h", "id.resp_h")?,
        dst_port: id_port("resp_p"),
        protocol: text("proto").ok_or(LineError::Missing("proto"))?,
        service: text("service"),
        duration: value.get("duration").and_then(Value::as_f64).map(|seconds| (seconds * 1e6).round() as i64),
        orig_bytes: json::number(&value, &["orig_bytes"]),
        resp_bytes: json::number(&value, &["resp_bytes"]),
        state: text("conn_state"),
        history: text("history"),
        orig_packets: json::number(&value, &["orig_pkts"]),
        orig_ip_bytes: json::number(&value, &["orig_ip_bytes"]),
        resp_packets: json::number(&value, &["resp_pkts"]),
        resp_ip_bytes: json::number(&value, &["resp_ip_bytes"]),
        orig_mac: text("orig_l2_addr").and_then(|text| mac(&text)),
        resp_mac: text("resp_l2_addr").and_then(|text| mac(&text)),
    })
}

fn address(text: &str, field: &'static str) -> Result<IpAddr, LineError> {
    text.parse().map_err(|_| LineError::Field { field, expected: "an IP address" })
}

fn port(text: Option<&str>, field: &'static str) -> Result<u16, LineError> {
    text.map_or(Ok(0), str::parse).map_err(|_| LineError::Field { field, expected: "a port" })
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// Decimal seconds to microseconds, exactly; digits after the sixth are dropped. Exponents are read as floats.
fn decimal_micros(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        let seconds: f64 = text.parse().ok()?;
        return seconds.is_finite().then(|| (seconds * 1e6).round() as i64);
    }
    let seconds: i64 = if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse().ok()? };
    let micros = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = micros.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    let total = seconds.checked_mul(1_000_000)?.checked_add(micros)?;
    Some(if negative { -total } else { total })
}

/// `\x09` and the like in header values.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len().min(64));
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .strip_prefix(b"x")
            .filter(|_| first == b'\\')
            .and_then(|tail| tail.split_at_checked(2))
            .and_then(|(hex, tail)| {
                Some((u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?, tail))
            });
        let (byte, tail) = escaped.unwrap_or((first, tail));
        bytes.push(byte);
        rest = tail;
    }
    bytes
}
