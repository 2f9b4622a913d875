//! One HTTP/1.1 exchange on a stream: bounded, and without anything that an agent has no use for.
//!
//! Written here, rather than taken from the server: that one needs an asynchronous runtime and lives beside a database;
//! this one asks a question an hour and must fit a camera.

use std::io::{Read, Write};

/// The longest head of an answer, in bytes, and the most lines in it.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Where.
    pub path: String,
    /// Of what kind the body is, where there is one.
    pub content_type: Option<&'static str>,
    /// Further lines of the head.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: &'a [u8],
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// `Retry-After` in seconds, where it is a number.
    pub retry_after: Option<u64>,
    /// `Date`, as it came.
    pub date: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The stream failed.
    #[error(transparent)]
    Stream(#[from] std::io::Error),
    /// It ended before its time.
    #[error("the answer ends in its middle")]
    Short,
    /// It is longer than expected.
    #[error("the answer is longer than {0} bytes")]
    Long(usize),
    /// It is not HTTP.
    #[error("this is no answer in HTTP/1.1: {0}")]
    Form(String),
}

impl<'a> Request<'a> {
    /// A question without a body.
    #[must_use]
    pub const fn get(path: String) -> Self {
        Self { method: "GET", path, content_type: None, headers: Vec::new(), body: &[] }
    }

    /// One with a body.
    #[must_use]
    pub const fn post(path: String, content_type: &'static str, body: &'a [u8]) -> Self {
        Self { method: "POST", path, content_type: Some(content_type), headers: Vec::new(), body }
    }

    /// Sends it to the host of that name, and reads the answer with at most `most` bytes of body.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn exchange(
        &self,
        host: &str,
        stream: &mut (impl Read + Write),
        most: usize,
    ) -> Result<Response, HttpError> {
        let version = env!("CARGO_PKG_VERSION");
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bastide-agent/{version}\r\nConnection: close\r\n",
            self.method, self.path
        );
        for (name, value) in &self.headers {
            head.extend([name, ": ", value.as_str(), "\r\n"]);
        }
        if let Some(content_type) = self.content_type {
            head.push_str(&format!(
                "Content-Type: {content_type}\r\nContent-Length: {}\r\n",
                self.body.len()
            ));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        // A server that refuses answers before it has read everything: its answer says more than the failed write.
        let sent = stream.write_all(self.body).and_then(|()| stream.flush());
        let answer = read_response(stream, most);
        match (answer, sent) {
            (Err(_), Err(error)) => Err(error.into()),
            (answer, _) => answer,
        }
    }
}

/// Reads an answer with at most `most` bytes of body.
///
/// # Errors
/// [`HttpError`].
pub fn read_response(stream: &mut impl Read, most: usize) -> Result<Response, HttpError> {
    let mut incoming = Incoming { stream, buffer: Vec::new() };
    loop {
        let (answer, body) = incoming.head()?;
        // 100 (continue) and 103 (early hints) come before the answer.
        if answer.status >= 200 {
            let body = if matches!(answer.status, 204 | 304) { Body::Length(0) } else { body };
            return Ok(Response { body: incoming.body(body, most)?, ..answer });
        }
    }
}

/// How long a body is.
#[derive(Clone, Copy)]
enum Body {
    Length(u64),
    Chunked,
    ToTheEnd,
}

struct Incoming<'a, S> {
    stream: &'a mut S,
    buffer: Vec<u8>,
}

impl<S: Read> Incoming<'_, S> {
    /// Reads more; whether there was any.
    fn more(&mut self) -> Result<bool, HttpError> {
        let mut piece = [0; 4096];
        let read = match self.stream.read(&mut piece) {
            Ok(read) => read,
            // Without a word of farewell: what has a length is judged by that.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error.into()),
        };
        self.buffer.extend(piece.iter().take(read));
        Ok(read > 0)
    }

    fn head(&mut self) -> Result<(Response, Body), HttpError> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut head = httparse::Response::new(&mut headers);
            let parsed = head.parse(&self.buffer).map_err(|error| HttpError::Form(error.to_string()))?;
            if let httparse::Status::Complete(length) = parsed {
                let (answer, body) = understood(&head)?;
                self.buffer.drain(..length);
                return Ok((answer, body));
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(HttpError::Long(LONGEST_HEAD));
            }
            if !self.more()? {
                return Err(HttpError::Short);
            }
        }
    }

    fn body(&mut self, body: Body, most: usize) -> Result<Vec<u8>, HttpError> {
        match body {
            Body::Length(length) => {
                let length = usize::try_from(length).ok().filter(|&length| length <= most);
                self.exactly(length.ok_or(HttpError::Long(most))?)
            }
            Body::Chunked => {
                let mut body = Vec::new();
                loop {
                    let length = self.chunk()?;
                    let length = usize::try_from(length).ok().filter(|length| *length <= most - body.len());
                    let length = length.ok_or(HttpError::Long(most))?;
                    if length == 0 {
                        return Ok(body);
                    }
                    body.append(&mut self.exactly(length)?);
                    if self.exactly(2)? != b"\r\n" {
                        return Err(HttpError::Form("a chunk does not end where it should".into()));
                    }
                }
            }
            Body::ToTheEnd => {
                while self.more()? {
                    if self.buffer.len() > most {
                        return Err(HttpError::Long(most));
                    }
                }
                if self.buffer.len() > most {
                    Err(HttpError::Long(most))
                } else {
                    Ok(std::mem::take(&mut self.buffer))
                }
            }
        }
    }

    /// The next bytes, so many.
    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, HttpError> {
        while self.buffer.len() < length {
            if !self.more()? {
                return Err(HttpError::Short);
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// The length of the next chunk.
    fn chunk(&mut self) -> Result<u64, HttpError> {
        loop {
            let wrong = || HttpError::Form("a chunk without a length".into());
            match httparse::parse_chunk_size(&self.buffer).map_err(|_| wrong())? {
                httparse::Status::Complete((start, length)) => {
                    self.buffer.drain(..start);
                    return Ok(length);
                }
                httparse::Status::Partial if self.buffer.len() > LONGEST_HEAD => return Err(wrong()),
                httparse::Status::Partial => {
                    if !self.more()? {
                        return Err(HttpError::Short);
                    }
                }
            }
        }
    }
}

/// What a head says.
fn understood(head: &httparse::Response<'_, '_>) -> Result<(Response, Body), HttpError> {
    let mut answer = Response { status: head.code.unwrap_or_default(), ..Response::default() };
    let (mut length, mut chunked) = (None, false);
    for header in head.headers.iter() {
        let value = String::from_utf8_lossy(header.value).trim().to_owned();
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let read =
                    value.parse::<u64>().ok().filter(|read| length.is_none_or(|length| length == *read));
                length =
                    Some(read.ok_or_else(|| HttpError::Form("lengths that contradict each other".into()))?);
            }
            "transfer-encoding" => {
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err(HttpError::Form("a transfer encoding other than chunked".into()));
                }
                chunked = true;
            }
            "retry-after" => answer.retry_after = value.parse().ok(),
            "date" => answer.date = Some(value),
            _ => {}
        }
    }
    let body = match (chunked, length) {
        (true, _) => Body::Chunked,
        (false, Some(length)) => Body::Length(length),
        (false, None) => Body::ToTheEnd,
    };
    Ok((answer, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let check = |answer: &str, expected: Result<(u16, &str), &str>| {
            // In one piece, and byte for byte.
            for piece in [answer.len().max(1), 1] {
                let mut stream = Slow { bytes: answer.as_bytes(), piece };
                let outcome = read_response(&mut stream, 8);
                match (&outcome, expected) {
                    (Ok(read), Ok((status, body))) => {
                        assert_eq!(
                            (read.status, read.body.as_slice()),
                            (status, body.as_bytes()),
                            "{answer:?}"
                        );
                    }
                    (Err(error), Err(said)) => {
                        assert!(error.to_string().contains(said), "{answer:?}: {error}")
                    }
                    _ => panic!("{answer:?}: {outcome:?}"),
                }
            }
        };
        check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes", Ok((200, "yes")));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyesno", Ok((200, "yes")));
        check("HTTP/1.1 200 OK\r\n\r\nyes", Ok((200, "yes")));
        check("HTTP/1.1 204 No Content\r\n\r\n", Ok((204, "")));
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok((200, "")));
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        check(&format!("{chunked}3\r\nyes\r\n2\r\n!!\r\n0\r\n\r\n"), Ok((200, "yes!!")));
        check(&format!("{chunked}3;x=y\r\nyes\r\n0\r\n\r\n"), Ok((200, "yes")));
        check(&format!("{chunked}9\r\n123456789\r\n0\r\n\r\n"), Err("longer than 8"));
        check(&format!("{chunked}5\r\n12345\r\n4\r\n1234\r\n0\r\n\r\n"), Err("longer than 8"));
        check(&format!("{chunked}ffffffffffffffff\r\n"), Err("longer than 8"));
        check(&format!("{chunked}3\r\nyesno\r\n"), Err("does not end where it should"));
        check(&format!("{chunked}x\r\n"), Err("without a length"));
        check(&format!("{chunked}3\r\nye"), Err("ends in its middle"));
        check("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789", Err("longer than 8"));
        check("HTTP/1.1 200 OK\r\n\r\n123456789", Err("longer than 8"));
        check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nye", Err("ends in its middle"));
        check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nyes!", Err("contradict"));
        check("HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\n", Err("contradict"));
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", Err("other than chunked"));
        check("", Err("ends in its middle"));
        check("HTTP/1.1 200", Err("ends in its middle"));
        check("SSH-2.0-OpenSSH_9.2\r\n", Err("no answer in HTTP/1.1"));
        check(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(20_000)), Err("longer than 16384"));
    }

    #[test]
    fn what_matters_of_the_head_is_kept() {
        let mut answer: &[u8] =
            b"HTTP/1.1 202 Accepted\r\nRetry-After: 30\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\ncontent-length: 0\r\n\r\n";
        let read = read_response(&mut answer, 8).unwrap();
        assert_eq!((read.status, read.retry_after), (202, Some(30)));
        assert_eq!(read.date.as_deref(), Some("Sun, 22 Nov 2026 12:00:00 GMT"));
    }

    struct Slow<'a> {
        bytes: &'a [u8],
        piece: usize,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let length = self.piece.min(into.len()).min(self.bytes.len());
            let (now, later) = self.bytes.split_at(length);
            into[..length].copy_from_slice(now);
            self.bytes = later;
            Ok(length)
        }
    }
}
