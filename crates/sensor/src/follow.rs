//! Log files of other tools, followed as they grow.
//!
//! Guarantees: rotation by renaming and by truncation is followed; a line is read once it is whole; a restart goes on
//! where the last run stopped (a crash repeats at most [`crate::watch::REMEMBER_EVERY`]); lines are numbered from the
//! beginning of the file. Nothing is ever written to the file. A file that is missing, unreadable or of no known
//! format says so and is tried again. Memory is bounded by [`LONGEST_LINE`].

use crate::{FollowStats, position::Position};
use model::{Event, Timestamp};
use observe::logs::{LogDecoder, LogFormat};
use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Longer lines are left out and counted as bad.
pub(crate) const LONGEST_LINE: usize = 1 << 20;
const CHUNK: usize = 64 << 10;
/// What is already known is passed over faster than what is new is read.
const PASS_OVER_FACTOR: usize = 8;

/// One file that is followed.
pub(crate) struct Follower {
    path: PathBuf,
    input: u32,
    /// Where the last run stopped; used up by the first opening.
    resume: Option<Position>,
    from_start: bool,
    open: Option<Open>,
    problem: Option<String>,
    lines: u64,
    bad_lines: u64,
    last_bad: Option<String>,
    last_event: Option<Timestamp>,
}

/// The file as it is open now.
struct Open {
    file: File,
    identity: (u64, u64),
    /// Bytes taken so far, all in whole lines but for what `partial` holds.
    offset: u64,
    /// The beginning of a line whose end is not there yet.
    partial: Vec<u8>,
    /// The line is too long: passed over up to its end.
    too_long: bool,
    /// Lines that begin before this offset were there before: numbered, not told.
    known_until: u64,
    number: u64,
    decoder: Option<LogDecoder>,
    format: Option<LogFormat>,
}

impl Follower {
    pub(crate) fn new(path: &Path, input: u32, from_start: bool, resume: Option<Position>) -> Self {
        Self {
            path: path.to_owned(),
            input,
            resume,
            from_start,
            open: None,
            problem: None,
            lines: 0,
            bad_lines: 0,
            last_bad: None,
            last_event: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads at most `budget` bytes of what is new. Returns whether there may be more at once.
    pub(crate) fn poll(&mut self, budget: usize, emit: &mut dyn FnMut(Event)) -> bool {
        match self.try_poll(budget, emit) {
            Ok(more) => {
                self.problem = None;
                more
            }
            Err(error) => {
                self.problem = Some(match error.kind() {
                    io::ErrorKind::NotFound => "not there yet".to_owned(),
                    _ => error.to_string(),
                });
                false
            }
        }
    }

    fn try_poll(&mut self, budget: usize, emit: &mut dyn FnMut(Event)) -> io::Result<bool> {
        if self.open.is_none() {
            self.open = Some(self.first_opening()?);
        }
        if self.read(budget, emit)? {
            return Ok(true);
        }
        let Some(open) = &self.open else { return Ok(false) };
        let now = fs::metadata(&self.path)?;
        if identity(&now) != open.identity {
            // Renamed and made anew. What was written between our last reading and the renaming comes first.
            if self.read(budget, emit)? {
                return Ok(true);
            }
            self.end_of_file(emit);
            self.open = Some(Open::new(&self.path, 0)?);
            return Ok(true);
        }
        if now.len() < open.offset {
            self.open = Some(Open::new(&self.path, 0)?);
            return Ok(true);
        }
        Ok(false)
    }

    /// Opens the file at the place where following begins.
    fn first_opening(&mut self) -> io::Result<Open> {
        let mut open = Open::new(&self.path, 0)?;
        let length = open.file.metadata()?.len();
        open.known_until = match self.resume.take() {
            Some(position) if position.fits(open.identity, length, &open.file) => position.offset,
            // Another file than the one we knew: all of it came since.
            Some(_) => 0,
            None if self.from_start => 0,
            None => end_of_last_line(&open.file, length)?,
        };
        Ok(open)
    }

    /// Reads on from where reading stopped. Returns whether there may be more.
    fn read(&mut self, budget: usize, emit: &mut dyn FnMut(Event)) -> io::Result<bool> {
        let mut chunk = vec![0; CHUNK];
        let mut left = budget;
        while left > 0 {
            let Some(open) = self.open.as_mut() else { return Ok(false) };
            let count = match open.file.read(&mut chunk) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(false) };
            let cost = if open.offset < open.known_until { count / PASS_OVER_FACTOR } else { count };
            left = left.saturating_sub(cost.max(1));
            self.take(bytes, emit);
        }
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Event)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let Some(open) = self.open.as_mut() else { return };
            open.offset += piece.len() as u64;
            let (content, is_whole) = match piece.split_last() {
                Some((b'\n', content)) => (content, true),
                _ => (piece, false),
            };
            if open.partial.len() + content.len() > LONGEST_LINE {
                open.too_long = true;
                open.partial = Vec::new();
            }
            if !open.too_long {
                open.partial.extend_from_slice(content);
            }
            if is_whole {
                self.whole_line(emit);
            }
        }
    }

    /// The file will not grow any more: a last line without an end is whole.
    fn end_of_file(&mut self, emit: &mut dyn FnMut(Event)) {
        if self.open.as_ref().is_some_and(|open| !open.partial.is_empty()) {
            self.whole_line(emit);
        }
    }

    /// Decodes what `partial` holds. The line is taken out first: whatever it does, it is not read again.
    fn whole_line(&mut self, emit: &mut dyn FnMut(Event)) {
        let Some(open) = self.open.as_mut() else { return };
        let mut line = std::mem::take(&mut open.partial);
        let too_long = std::mem::take(&mut open.too_long);
        open.number += 1;
        let is_known = open.offset <= open.known_until;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        // Known lines matter for what they say about the format.
        if is_known && open.decoder.is_some() && line.first() != Some(&b'#') {
            return open.reuse(line);
        }
        if !is_known {
            self.lines += 1;
        }
        if too_long {
            self.bad_lines += u64::from(!is_known);
            self.last_bad = Some(format!("line {}: longer than {LONGEST_LINE} bytes", open.number));
            return;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return open.reuse(line);
        }
        if open.decoder.is_none() {
            open.format = LogDecoder::recognise(&line);
            open.decoder = open.format.map(|format| LogDecoder::new(format, self.input));
        }
        let last_event = &mut self.last_event;
        let told = match &mut open.decoder {
            Some(decoder) => decoder
                .line(open.number, &line, &mut |event| {
                    if !is_known {
                        *last_event = (*last_event).max(Some(event.at));
                        emit(event);
                    }
                })
                .map_err(|error| error.to_string()),
            None => Err("expected a Zeek conn.log, Suricata's EVE or Cowrie's JSON".to_owned()),
        };
        if let Err(reason) = told
            && !is_known
        {
            self.bad_lines += 1;
            self.last_bad = Some(format!("line {}: {reason}", open.number));
        }
        open.reuse(line);
    }

    /// Where the next run may go on.
    pub(crate) fn position(&self) -> Option<Position> {
        let Some(open) = &self.open else { return self.resume.clone() };
        // What is passed over is known already, even if passing over it has not come to its end.
        let taken = open.offset.saturating_sub(open.partial.len() as u64);
        let offset = if open.too_long { open.offset } else { taken.max(open.known_until) };
        Position::new(open.identity, offset, &open.file).ok()
    }

    /// The last event time in it, which tells whether it speaks of now.
    pub(crate) const fn last_event(&self) -> Option<Timestamp> {
        self.last_event
    }

    pub(crate) fn stats(&self) -> FollowStats {
        FollowStats {
            path: self.path.display().to_string(),
            problem: self.problem.clone().or_else(|| self.last_bad.clone()),
            format: self.open.as_ref().and_then(|open| open.format).map(|format| format.as_str().to_owned()),
            lines: self.lines,
            bad_lines: self.bad_lines,
            last_event: self.last_event,
        }
    }
}

impl Open {
    fn new(path: &Path, offset: u64) -> io::Result<Self> {
        // Opening a pipe would wait for somebody to write into it.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("expected a file"));
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let identity = identity(&file.metadata()?);
        Ok(Self {
            file,
            identity,
            offset,
            partial: Vec::new(),
            too_long: false,
            known_until: 0,
            number: 0,
            decoder: None,
            format: None,
        })
    }

    /// Keeps the line's memory for the next one.
    fn reuse(&mut self, mut line: Vec<u8>) {
        line.clear();
        line.shrink_to(CHUNK);
        self.partial = line;
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Where the last whole line ends: what is behind it will be a line once it is whole.
fn end_of_last_line(file: &File, length: u64) -> io::Result<u64> {
    let mut window = vec![0; CHUNK];
    let mut end = length;
    while end > 0 && length - end < LONGEST_LINE as u64 {
        let start = end.saturating_sub(CHUNK as u64);
        let Some(bytes) = window.get_mut(..(end - start) as usize) else { break };
        file.read_exact_at(bytes, start)?;
        if let Some(at) = bytes.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(end)
}
