//! One input: a file or standard input, gzip or not, read record by record with its place kept.
//!
//! Guarantees: at most a few MiB of buffer; log records within the window are put in order of event time; later ones
//! are given out of order and counted.

use flate2::read::MultiGzDecoder;
use model::{Event, Timestamp};
use observe::{
    logs::LogDecoder,
    recording::{CaptureDecoder, LinkType, MAX_NEED, Recording, Step},
};
use report::{Input as Summary, Skipped};
use std::{
    cell::Cell,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fs::File,
    io::{self, Read},
    ops::Range,
    path::Path,
    rc::Rc,
};

const CHUNK: usize = 1 << 20;
/// The longest line that is believed to be one.
const MAX_LINE: usize = 4 << 20;
/// How many log events are held to put them in order.
const WINDOW: usize = 1 << 15;

/// Counts what was read of the file itself, before decompression.
struct Counting<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// A packet or an event, ready to be taken.
enum Current {
    Packet { at: Timestamp, link: LinkType, wire_length: u32, data: Range<usize>, consumed: usize },
    Event,
    End,
}

/// What an input gives.
pub(crate) enum Item<'a> {
    Packet { at: Timestamp, record: u64, link: LinkType, wire_length: u32, data: &'a [u8] },
    Event { event: Box<Event>, uid: Option<Box<str>> },
}

struct Held {
    at: Timestamp,
    order: u64,
    event: Event,
    uid: Option<Box<str>>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Held {}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// An input that is being read.
pub(crate) struct Input {
    source: Box<dyn Read>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    offset: u64,
    recording: Option<Recording>,
    records: u64,
    current: Current,
    held: BinaryHeap<Reverse<Held>>,
    order: u64,
    given: Timestamp,
    late: u64,
    gzip: bool,
    /// Where and why the input stopped before its end.
    damage: Option<String>,
    /// The first line that could not be read, and why.
    bad_line: Option<String>,
    skipped: BTreeMap<String, u64>,
    pub(crate) summary: Summary,
    pub(crate) raw_read: Rc<Cell<u64>>,
    pub(crate) raw_size: Option<u64>,
}

impl Input {
    /// Opens an input and recognises what it is. What cannot be read is an input with an error and no records.
    pub(crate) fn open(path: &str, number: u32) -> Self {
        let raw_read = Rc::new(Cell::new(0));
        let mut input = Self {
            source: Box::new(io::empty()),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            at_end: false,
            offset: 0,
            recording: None,
            records: 0,
            current: Current::End,
            held: BinaryHeap::new(),
            order: 0,
            given: Timestamp::from_micros(i64::MIN),
            late: 0,
            gzip: false,
            damage: None,
            bad_line: None,
            skipped: BTreeMap::new(),
            summary: Summary { path: path.to_owned(), ..Summary::default() },
            raw_read: Rc::clone(&raw_read),
            raw_size: None,
        };
        if let Err(reason) = input.begin(path, number, raw_read) {
            input.summary.error = Some(reason);
        } else {
            input.advance();
        }
        input
    }

    fn begin(&mut self, path: &str, number: u32, raw_read: Rc<Cell<u64>>) -> Result<(), String> {
        let file: Box<dyn Read> = if path == "-" {
            Box::new(io::stdin().lock())
        } else {
            let metadata =
                std::fs::metadata(Path::new(path)).map_err(|error| format!("cannot be opened: {error}"))?;
            if metadata.is_dir() {
                return Err("is a directory: expected a capture or a log; name the files in it".into());
            }
            self.raw_size = Some(metadata.len());
            Box::new(File::open(path).map_err(|error| format!("cannot be opened: {error}"))?)
        };
        self.source = Box::new(Counting { inner: file, read: raw_read });
        self.fill(64 * 1024);
        if self.window().starts_with(&[0x1f, 0x8b]) {
            let begun = io::Cursor::new(self.window().to_vec());
            let rest = std::mem::replace(&mut self.source, Box::new(io::empty()));
            self.source = Box::new(MultiGzDecoder::new(begun.chain(rest)));
            self.gzip = true;
            (self.start, self.end, self.at_end) = (0, 0, false);
            self.fill(64 * 1024);
        }
        if self.window().is_empty() {
            let empty = || "is empty: expected a capture or a log".to_owned();
            return Err(self.damage.take().unwrap_or_else(empty));
        }
        let recording = Recording::recognise(self.window(), number).ok_or_else(|| {
            let start: String = self.window().iter().take(8).map(|byte| format!("{byte:02x} ")).collect();
            format!(
                "is of no known kind: expected pcap, pcapng, Zeek conn.log (TSV or JSON), Suricata EVE JSON or Cowrie JSON, \
                 gzip or not; it begins with {}",
                start.trim_end()
            )
        })?;
        self.summary.format = Some(recording.format().to_owned());
        self.recording = Some(recording);
        Ok(())
    }

    pub(crate) const fn is_capture(&self) -> bool {
        matches!(self.recording, Some(Recording::Capture(_)))
    }

    fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads until the window holds `wanted` bytes or the input ends; where it ends for an error, that is said and what
    /// was read before is kept.
    fn fill(&mut self, wanted: usize) {
        if self.start > 0 && (self.start == self.end || self.buffer.len() - self.start < wanted.max(CHUNK)) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let size = wanted.max(CHUNK);
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        while self.end - self.start < wanted && !self.at_end {
            let Some(space) = self.buffer.get_mut(self.end..) else { break };
            match self.source.read(space) {
                Ok(0) => self.at_end = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.at_end = true;
                    let reason = match error.kind() {
                        io::ErrorKind::UnexpectedEof if self.gzip => "the gzip data ends early".to_owned(),
                        _ if self.gzip => format!("the gzip data cannot be unpacked: {error}"),
                        _ => format!("cannot be read on: {error}"),
                    };
                    self.damage(self.offset + (self.end - self.start) as u64, &reason);
                }
            }
        }
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
        self.summary.bytes = self.offset;
    }

    /// Why the input stops here; what came first counts.
    fn damage(&mut self, offset: u64, reason: &str) {
        let unpacked = if self.gzip { " of what was unpacked" } else { "" };
        self.damage.get_or_insert_with(|| format!("damaged at offset {offset}{unpacked}: {reason}"));
    }

    /// Event time of the next item; none at the end.
    pub(crate) fn peek(&self) -> Option<Timestamp> {
        match &self.current {
            Current::Packet { at, .. } => Some(*at),
            Current::Event => self.held.peek().map(|held| held.0.at),
            Current::End => None,
        }
    }

    /// Shows the next item and goes on to the one after it.
    pub(crate) fn take(&mut self, show: impl FnOnce(Item<'_>)) {
        match std::mem::replace(&mut self.current, Current::End) {
            Current::Packet { at, link, wire_length, data, consumed } => {
                self.noted(at);
                let data = self.window().get(data).unwrap_or_default();
                show(Item::Packet { at, record: self.records, link, wire_length, data });
                self.consume(consumed);
            }
            Current::Event => {
                if let Some(Reverse(held)) = self.held.pop() {
                    self.given = self.given.max(held.at);
                    show(Item::Event { event: Box::new(held.event), uid: held.uid });
                }
            }
            Current::End => return,
        }
        self.advance();
    }

    fn noted(&mut self, at: Timestamp) {
        self.summary.records += 1;
        self.summary.first = Some(self.summary.first.map_or(at, |first| first.min(at)));
        self.summary.last = Some(self.summary.last.map_or(at, |last| last.max(at)));
    }

    fn advance(&mut self) {
        self.current = match self.recording.take() {
            Some(Recording::Capture(mut decoder)) => {
                let current = self.next_packet(&mut decoder);
                self.recording = Some(Recording::Capture(decoder));
                current
            }
            Some(Recording::Log(mut decoder, format)) => {
                self.read_lines(&mut decoder);
                self.recording = Some(Recording::Log(decoder, format));
                if self.held.is_empty() { Current::End } else { Current::Event }
            }
            None => Current::End,
        };
    }

    fn next_packet(&mut self, decoder: &mut CaptureDecoder) -> Current {
        loop {
            let base = self.window().as_ptr() as usize;
            match decoder.step(self.buffer.get(self.start..self.end).unwrap_or_default(), self.at_end) {
                Step::Packet { consumed, packet } => {
                    self.records += 1;
                    let from = packet.data.as_ptr() as usize - base;
                    return Current::Packet {
                        at: Timestamp::from_micros(packet.micros),
                        link: packet.link,
                        wire_length: packet.wire_length,
                        data: from..from + packet.data.len(),
                        consumed,
                    };
                }
                Step::Consumed(count) => self.consume(count),
                Step::Skipped { consumed, reason } => {
                    self.records += 1;
                    self.skip(reason);
                    self.consume(consumed);
                }
                Step::NeedMore { at_least } => {
                    if self.at_end {
                        self.damage(self.offset, "the file ends inside a record");
                        return Current::End;
                    }
                    self.fill(at_least.clamp(1, MAX_NEED));
                }
                Step::Damaged { reason } => {
                    self.damage(self.offset, &reason);
                    return Current::End;
                }
                Step::End => return Current::End,
            }
        }
    }

    /// Reads lines until the window of events is full or the log ends.
    fn read_lines(&mut self, decoder: &mut LogDecoder) {
        while self.held.len() < WINDOW {
            let line = match self.window().iter().position(|&byte| byte == b'\n') {
                Some(end) => end + 1,
                None if self.at_end && self.start == self.end => return,
                // What the damage cut off is no line.
                None if self.damage.is_some() => {
                    self.skip("cut off by the damage");
                    self.start = self.end;
                    return;
                }
                None if self.at_end => self.end - self.start,
                None => {
                    let wanted = (self.end - self.start) * 2 + CHUNK / 4;
                    if wanted > MAX_LINE * 2 {
                        self.damage(self.offset, "a line of more than 4 MiB");
                        self.at_end = true;
                        self.start = self.end;
                        return;
                    }
                    self.fill(wanted);
                    continue;
                }
            };
            self.records += 1;
            self.read_line(decoder, line);
            self.consume(line);
        }
    }

    fn read_line(&mut self, decoder: &mut LogDecoder, length: usize) {
        let Some(line) = self.buffer.get(self.start..self.start + length) else { return };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut events = Vec::new();
        let outcome = decoder.line(self.records, line, &mut |event| events.push(event));
        if let Err(error) = outcome {
            let reason = error.to_string();
            let (line, offset) = (self.records, self.offset);
            self.bad_line.get_or_insert_with(|| format!("line {line} (offset {offset}): {reason}"));
            self.skip(&reason);
        }
        let uid: Option<Box<str>> = decoder.last_uid().map(Into::into);
        if let Some(first) = events.iter().map(|event| event.at).min() {
            self.noted(first);
        }
        for event in events {
            self.late += u64::from(event.at < self.given);
            self.order += 1;
            self.held.push(Reverse(Held { at: event.at, order: self.order, event, uid: uid.clone() }));
        }
    }

    pub(crate) fn skip(&mut self, reason: &str) {
        // Reasons are few; what a hostile log could make many is told together.
        let key = if self.skipped.len() < 64 || self.skipped.contains_key(reason) {
            reason
        } else {
            "other reasons"
        };
        *self.skipped.entry(key.to_owned()).or_default() += 1;
    }

    /// The summary, once the input was read to its end.
    pub(crate) fn finish(mut self) -> Summary {
        let faults: Vec<String> = self.damage.take().into_iter().chain(self.bad_line.take()).collect();
        if !faults.is_empty() {
            self.summary.error = Some(faults.join("; before that, "));
        }
        if self.is_capture() && self.records == 0 && self.summary.error.is_none() {
            self.summary.error = Some("holds no packets: was anything captured?".into());
        }
        if self.late > 0 {
            self.skipped.insert("later than the ordering window: analysed out of order".into(), self.late);
        }
        self.summary.skipped =
            self.skipped.into_iter().map(|(reason, count)| Skipped { reason, count }).collect();
        self.summary
    }
}
