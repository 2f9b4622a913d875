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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Positions;
    use std::{fs::OpenOptions, io::Write, os::unix::fs::symlink};

    fn line(number: u32) -> String {
        let second = number % 60;
        format!(
            r#"{{"timestamp":"2026-01-31T12:00:{second:02}.000000+0000","event_type":"alert","src_ip":"192.0.2.1","src_port":{number},"dest_ip":"10.0.0.2","dest_port":22,"proto":"TCP","alert":{{"action":"allowed","gid":1,"signature_id":1,"rev":1,"signature":"TEST","category":"","severity":2}}}}"#
        )
    }

    fn lines(numbers: impl IntoIterator<Item = u32>) -> String {
        numbers.into_iter().map(|number| line(number) + "\n").collect()
    }

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The lines told, by the source port that `line` puts into them, with their number in the file.
    fn told(follower: &mut Follower) -> Vec<(u16, u64)> {
        let mut told = Vec::new();
        for _ in 0..100 {
            let more = follower.poll(4096, &mut |event| {
                if let model::EventKind::Alert(alert) = event.kind {
                    told.push((alert.key.src_port, event.record.record));
                }
            });
            if !more {
                break;
            }
        }
        told
    }

    #[test]
    fn rotation_truncation_and_partial_lines_lose_and_repeat_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eve.json");
        let mut follower = Follower::new(&path, 3, false, None);
        assert_eq!(told(&mut follower), []);
        assert_eq!(follower.stats().problem.as_deref(), Some("not there yet"));

        append(&path, &lines([1, 2]));
        assert_eq!(told(&mut follower), [], "what was there before is not told");
        append(&path, &lines([3]));
        let fourth = line(4);
        let (head, tail) = fourth.split_at(40);
        append(&path, head);
        assert_eq!(told(&mut follower), [(3, 3)]);
        append(&path, &format!("{tail}\r\n"));
        assert_eq!(told(&mut follower), [(4, 4)]);

        // Renamed; the writer goes on for a moment and leaves its last line without an end.
        fs::rename(&path, dir.path().join("eve.json.1")).unwrap();
        append(&dir.path().join("eve.json.1"), &(lines([5]) + &line(6)));
        append(&path, &lines([7]));
        assert_eq!(told(&mut follower), [(5, 5), (6, 6), (7, 1)]);

        // Truncated.
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        assert_eq!(told(&mut follower), []);
        append(&path, &lines(8..=200));
        assert_eq!(told(&mut follower), (8..=200).zip(1..).collect::<Vec<_>>());

        // Gone, and back.
        fs::remove_file(&path).unwrap();
        assert_eq!(told(&mut follower), []);
        assert_eq!(follower.stats().problem.as_deref(), Some("not there yet"));
        append(&path, &lines([201]));
        assert_eq!(told(&mut follower), [(201, 1)]);
        assert_eq!((follower.stats().lines, follower.stats().bad_lines), (199, 0));
    }

    #[test]
    fn a_restart_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eve.json");
        let restart = |follower: &Follower| {
            let mut positions = Positions::load(dir.path());
            positions.set(&path, follower.position().unwrap());
            positions.save().unwrap();
            Follower::new(&path, 0, false, Positions::load(dir.path()).of(&path))
        };
        append(&path, &(lines(1..=50) + &line(51)));
        let mut follower = Follower::new(&path, 0, true, None);
        assert_eq!(told(&mut follower).len(), 50, "from the beginning where asked for");
        let mut follower = restart(&follower);
        append(&path, &format!("\n{}", lines([52])));
        assert_eq!(told(&mut follower), [(51, 51), (52, 52)]);

        // Passed over what is known only in part when the restart came.
        let mut follower = restart(&follower);
        follower.poll(1, &mut |_| panic!("known"));
        let mut follower = restart(&follower);
        append(&path, &lines([53]));
        assert_eq!(told(&mut follower), [(53, 53)]);

        // Rotated while nobody looked: what is in the new file came since.
        let rotated = restart(&follower);
        fs::rename(&path, dir.path().join("old")).unwrap();
        append(&path, &lines([54]));
        let mut follower = rotated;
        assert_eq!(told(&mut follower), [(54, 1)]);

        // Truncated and grown past the old place while nobody looked.
        let truncated = restart(&follower);
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        append(&path, &lines(60..70));
        let mut follower = truncated;
        assert_eq!(told(&mut follower).len(), 10);
    }

    #[test]
    fn a_zeek_log_is_understood_when_following_begins_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conn.log");
        let header = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n\
            #fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\n\
            #types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\n";
        let row = |port: u16| format!("1769860800.0\tC{port}\t192.0.2.1\t{port}\t10.0.0.2\t22\ttcp\tS0\n");
        append(&path, &format!("{header}{}", row(1)));
        let mut follower = Follower::new(&path, 0, false, None);
        let mut seen = Vec::new();
        let mut poll = |follower: &mut Follower| {
            while follower.poll(4096, &mut |event| {
                if let model::EventKind::Flow(flow) = event.kind {
                    seen.push((flow.key.src_port, event.record.record));
                }
            }) {}
        };
        poll(&mut follower);
        append(&path, &row(2));
        poll(&mut follower);
        assert_eq!(seen, [(2, 9)]);
        assert_eq!(follower.stats().format.as_deref(), Some("zeek-tsv"));
    }

    #[test]
    fn what_is_no_log_is_refused_and_endless_lines_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eve.json");
        symlink("/dev/zero", &path).unwrap();
        let mut follower = Follower::new(&path, 0, true, None);
        assert_eq!(told(&mut follower), []);
        assert_eq!(follower.stats().problem.as_deref(), Some("expected a file"));

        fs::remove_file(&path).unwrap();
        append(&path, &"x".repeat(3 * LONGEST_LINE));
        while follower.poll(1 << 20, &mut |_| panic!("no event")) {}
        assert!(follower.open.as_ref().unwrap().partial.capacity() <= 2 * LONGEST_LINE);
        append(&path, &format!("\nneither this\n{}", lines([9])));
        assert_eq!(told(&mut follower), [(9, 3)]);
        let stats = follower.stats();
        assert_eq!((stats.lines, stats.bad_lines), (3, 2));
        assert!(stats.problem.unwrap().contains("line 2"), "says which line and what was expected");
    }
}
