//! Lines out of a stream, wherever it is split.
//!
//! Guarantees: at most `limit` bytes are kept; of a longer line the beginning is given.

use std::borrow::Cow;

/// The unfinished line of one direction.
#[derive(Debug)]
pub(super) struct Lines {
    kept: Vec<u8>,
    limit: usize,
}

impl Lines {
    pub(super) const fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit }
    }

    /// Takes the next line with its end out of `data`; `None` where it does not end there, and all of it is kept.
    pub(super) fn next<'d>(&mut self, data: &mut &'d [u8]) -> Option<Cow<'d, [u8]>> {
        let (head, rest, ended) = match memchr::memchr(b'\n', data) {
            Some(end) => {
                let (head, rest) = data.split_at_checked(end + 1)?;
                (head, rest, true)
            }
            None => (*data, &[][..], false),
        };
        *data = rest;
        if ended && self.kept.is_empty() {
            return Some(Cow::Borrowed(head.get(..self.limit).unwrap_or(head)));
        }
        let room = self.limit.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(head.get(..room).unwrap_or(head));
        ended.then(|| Cow::Owned(std::mem::take(&mut self.kept)))
    }

    /// What has come of the unfinished line.
    pub(super) fn begun(&self) -> &[u8] {
        &self.kept
    }

    /// Forgets the unfinished line.
    pub(super) fn clear(&mut self) {
        super::teller::wipe(&mut self.kept);
        self.kept = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_wherever_split() {
        let text = b"one\r\ntwo\n\na long line that is cut\nrest";
        let read = |pieces: &[&[u8]]| {
            let mut lines = Lines::new(8);
            let mut all = Vec::new();
            for mut piece in pieces.iter().copied() {
                while !piece.is_empty() {
                    if let Some(line) = lines.next(&mut piece) {
                        all.push(line.into_owned());
                    }
                }
            }
            (all, lines.begun().to_vec())
        };
        let whole = read(&[text]);
        assert_eq!(whole.0, [&b"one\r\n"[..], b"two\n", b"\n", b"a long l"]);
        assert_eq!(whole.1, b"rest");
        for at in 0..text.len() {
            assert_eq!(read(&[&text[..at], &text[at..]]), whole, "{at}");
        }
    }
}
