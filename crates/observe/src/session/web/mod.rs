//! HTTP 1.x, RTSP and SIP: requests, answers, logins by header and by form, programs and injected commands.
//!
//! How logins are judged. Credentials in a header (Basic, Digest): 401, 403, 407 and a redirect back to a login page refuse, other 2xx and 3xx accept,
//! anything else says nothing about them (Tried). Credentials in a form, a JSON body or a query: 401, 403 and 429
//! refuse, as does a body with words of failure or the form again, or a redirect back to a login page; a token in the body or a
//! redirect with a cookie to elsewhere accepts; else Tried. The same header again after it was accepted is no new
//! attempt, nor is one that the server wants again under a new nonce. An answer that never comes leaves Tried.
//!
//! Bodies are skipped by their length or chunks without being looked at beyond their first KiB.

mod body;
mod head;

use super::Conversation;
use super::code::{self, injection};
use super::lines::Lines;
use super::teller::{Asked, Attempt, Side, Teller, wipe};
use body::{BodyStart, Verdict};
use head::Head;
use model::{HintKind, LoginOutcome, Service, TransferKind};
use parse::app::http::{self, Family, StartLine};
use parse::app::rtsp;
use std::borrow::Cow;
use std::collections::VecDeque;

const LINE: usize = 1024;
const PENDING: usize = 8;

/// The service whose lines they are.
pub(super) const fn service(family: Family) -> Service {
    match family {
        Family::Http => Service::Http,
        Family::Rtsp => Service::Rtsp,
        Family::Sip => Service::Sip,
    }
}

/// Where in a message a direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Start,
    Headers,
    Body(u64),
    ChunkLine,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    /// Interleaved media: head, then what is left of it.
    Media(u64),
    Lost,
}

#[derive(Debug)]
struct Inflow {
    part: Part,
    lines: Lines,
    head: Head,
    body: BodyStart,
}

impl Inflow {
    fn new() -> Self {
        Self { part: Part::Start, lines: Lines::new(LINE), head: Head::default(), body: BodyStart::default() }
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Exchange {
    method: &'static str,
    path: u64,
    attempt: Option<(Attempt, How)>,
}

/// How credentials were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Header,
    Form,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Web {
    family: Family,
    client: Inflow,
    server: Inflow,
    pending: VecDeque<Exchange>,
    /// A form's attempt whose answer's body is being read.
    judged_by_body: Option<(Attempt, body::FormAnswer)>,
    accepted_header: Option<u64>,
    done: bool,
}

impl Web {
    pub(super) fn new(family: Family) -> Self {
        Self {
            family,
            client: Inflow::new(),
            server: Inflow::new(),
            pending: VecDeque::new(),
            judged_by_body: None,
            accepted_header: None,
            done: false,
        }
    }

    fn inflow(&mut self, side: Side) -> &mut Inflow {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Takes as much of the bytes as belong to the present part.
    fn step<'d>(&mut self, from: Side, bytes: &'d [u8], tell: &mut Teller<'_>) -> &'d [u8] {
        let split = |left: u64| {
            bytes.split_at(usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())))
        };
        let part = self.inflow(from).part;
        if self.family == Family::Rtsp && part == Part::Start && self.media(from, bytes) {
            return bytes;
        }
        match part {
            Part::Body(left) => {
                let (body, rest) = split(left);
                self.inflow(from).part = Part::Body(left - body.len() as u64);
                self.body(from, body, tell);
                if left == body.len() as u64 {
                    self.message_over(from, tell);
                }
                rest
            }
            Part::Chunk(left) => {
                let (body, rest) = split(left);
                let left = left - body.len() as u64;
                self.inflow(from).part = if left == 0 { Part::ChunkEnd } else { Part::Chunk(left) };
                self.body(from, body, tell);
                rest
            }
            Part::UntilClose => {
                self.body(from, bytes, tell);
                &[]
            }
            Part::Media(left) => {
                let (media, rest) = split(left);
                let left = left - media.len() as u64;
                self.inflow(from).part = if left == 0 { Part::Start } else { Part::Media(left) };
                rest
            }
            Part::Lost => &[],
            Part::Start | Part::Headers | Part::ChunkLine | Part::ChunkEnd | Part::Trailers => {
                let mut rest = bytes;
                let Some(line) = self.inflow(from).lines.next(&mut rest) else { return rest };
                self.line(from, &line, tell);
                if let Cow::Owned(mut line) = line {
                    wipe(&mut line);
                }
                rest
            }
        }
    }

    /// True where interleaved media begins here: nothing more is to be learned from a stream that plays.
    fn media(&mut self, from: Side, bytes: &[u8]) -> bool {
        let inflow = self.inflow(from);
        if bytes.first() != Some(&b'$') || !inflow.lines.begun().is_empty() {
            return false;
        }
        let length = rtsp::interleaved(bytes).unwrap_or(4);
        inflow.part = Part::Media(length as u64);
        self.done = true;
        true
    }

    fn line(&mut self, from: Side, line: &[u8], tell: &mut Teller<'_>) {
        let text = line.trim_ascii_end();
        let inflow = self.inflow(from);
        match inflow.part {
            // Blank lines before a message are tolerated.
            Part::Start if text.is_empty() => {}
            Part::Start => self.start(from, text, tell),
            Part::Headers if text.is_empty() => self.headers_over(from, tell),
            Part::Headers => {
                inflow.head.header(text);
                if let (Side::Client, Some((name, value))) = (from, http::header(text)) {
                    inspect(value, true, tell);
                    self.client.head.agent(name, value, tell);
                } else if let (Side::Server, Some((name, value))) = (from, http::header(text)) {
                    head::server_hints(self.family, name, value, tell);
                }
            }
            Part::ChunkLine => match http::chunk_length(text) {
                Ok(0) => inflow.part = Part::Trailers,
                Ok(length) => inflow.part = Part::Chunk(length),
                Err(_) => self.lose(from, tell),
            },
            Part::ChunkEnd => inflow.part = Part::ChunkLine,
            Part::Trailers if text.is_empty() => self.message_over(from, tell),
            _ => {}
        }
    }

    fn start(&mut self, from: Side, line: &[u8], tell: &mut Teller<'_>) {
        let inflow = self.inflow(from);
        inflow.head = Head::default();
        match http::start_line(line) {
            Ok(StartLine::Request { method, target, .. }) if from == Side::Client => {
                inflow.head.request(method, target);
                inflow.part = Part::Headers;
                inspect(target, true, tell);
                // HTTP/0.9 has no headers.
                if !line.ends_with(target) || target.is_empty() {
                    return;
                }
                self.headers_over(from, tell);
            }
            Ok(StartLine::Response { status, .. }) if from == Side::Server => {
                inflow.head.status = Some(status);
                inflow.part = Part::Headers;
            }
            _ => self.lose(from, tell),
        }
    }

    fn headers_over(&mut self, from: Side, tell: &mut Teller<'_>) {
        match from {
            Side::Client => self.request_read(tell),
            Side::Server => self.answer_read(tell),
        }
    }

    fn request_read(&mut self, tell: &mut Teller<'_>) {
        let head = &mut self.client.head;
        let (method, path) = (head.method, head.path_digest);
        tell.request(Asked {
            method,
            host: head.host.as_deref(),
            path_digest: path,
            status: None,
            scanner: head.scanner,
        });
        let header = head.credentials.take().filter(|(_, digest)| self.accepted_header != Some(*digest));
        if let Some((_, digest)) = header {
            self.client.head.credentials_digest = Some(digest);
        }
        let attempt = header.map(|(attempt, _)| (attempt, How::Header));
        let attempt =
            attempt.or_else(|| self.client.head.query_attempt.take().map(|attempt| (attempt, How::Form)));
        if self.pending.len() >= PENDING
            && let Some((attempt, _)) = self.pending.pop_front().and_then(|exchange| exchange.attempt)
        {
            tell.login(attempt, LoginOutcome::Tried);
        }
        self.pending.push_back(Exchange { method, path, attempt });
        let inflow = &mut self.client;
        inflow.body = BodyStart::wanted(!inflow.head.encoded && method != "GET");
        inflow.part = match (inflow.head.chunked, inflow.head.length) {
            (true, _) => Part::ChunkLine,
            (false, Some(length)) if length > 0 => Part::Body(length),
            _ => Part::Start,
        };
    }

    fn answer_read(&mut self, tell: &mut Teller<'_>) {
        let status = self.server.head.status.unwrap_or(0);
        if (100..200).contains(&status) {
            self.done |= status == 101;
            self.server.part = Part::Start;
            return;
        }
        let exchange = self.pending.pop_front();
        let (method, path) = exchange.as_ref().map_or(("", 0), |exchange| (exchange.method, exchange.path));
        tell.request(Asked { method, path_digest: path, status: Some(status), ..Asked::default() });
        tell.hint(Side::Server, HintKind::Serves, tell.service.as_str().as_bytes());
        if let Some((attempt, how)) = exchange.and_then(|exchange| exchange.attempt) {
            self.judge(attempt, how, status, tell);
        }
        let head = &self.server.head;
        let bodiless = method == "HEAD" || matches!(status, 204 | 304);
        // A tunnel begins.
        self.done |= method == "CONNECT" && (200..300).contains(&status);
        self.server.body = BodyStart::wanted(!head.encoded);
        self.server.part = match (head.chunked, head.length) {
            _ if bodiless => Part::Start,
            (true, _) => Part::ChunkLine,
            (false, Some(0)) => Part::Start,
            (false, Some(length)) => Part::Body(length),
            (false, None) if self.family == Family::Http => Part::UntilClose,
            (false, None) => Part::Start,
        };
        if self.server.part == Part::Start {
            self.message_over(Side::Server, tell);
        }
    }

    fn judge(&mut self, attempt: Attempt, how: How, status: u16, tell: &mut Teller<'_>) {
        // Nobody was refused: the credentials were never looked at.
        if matches!(status, 401 | 407) && self.server.head.stale {
            return;
        }
        let outcome = match (how, status) {
            (_, 401 | 403 | 407 | 429) => LoginOutcome::Refused,
            (How::Header, 300..=399) if self.server.head.redirect == Some(true) => LoginOutcome::Refused,
            (How::Header, 200..=399) => LoginOutcome::Accepted,
            (How::Form, 200..=399) => {
                let answer =
                    body::FormAnswer { redirect: self.server.head.redirect, cookie: self.server.head.cookie };
                self.judged_by_body = Some((attempt, answer));
                return;
            }
            _ => LoginOutcome::Tried,
        };
        if outcome == LoginOutcome::Accepted {
            self.accepted_header = self.client.head.credentials_digest;
        }
        tell.login(attempt, outcome);
    }

    fn body(&mut self, from: Side, bytes: &[u8], tell: &mut Teller<'_>) {
        let inflow = self.inflow(from);
        if inflow.body.add(bytes) {
            self.body_begun(from, tell);
        }
        let inflow = self.inflow(from);
        if inflow.part == Part::UntilClose && inflow.body.is_judged() {
            self.done |= self.judged_by_body.is_none();
        }
    }

    /// Enough of the body is there, or all of it.
    fn body_begun(&mut self, from: Side, tell: &mut Teller<'_>) {
        let inflow = self.inflow(from);
        let mut begun = inflow.body.take();
        match from {
            Side::Client => {
                let (path_allows, form) = (inflow.head.may_log_in, inflow.head.form);
                inspect(&begun, form, tell);
                if path_allows
                    && let Some(attempt) = body::form_attempt(&begun)
                    && let Some(exchange) = self.pending.back_mut()
                    && exchange.attempt.is_none()
                {
                    exchange.attempt = Some((attempt, How::Form));
                }
            }
            Side::Server => {
                if let Some((attempt, answer)) = self.judged_by_body.take() {
                    tell.login(attempt, answer.outcome(&begun));
                }
                body::description_hints(&begun, tell);
            }
        }
        if let Verdict::Program(kind, what) = body::program(&begun) {
            tell.transfer(from.other(), kind, what);
        }
        wipe(&mut begun);
    }

    fn message_over(&mut self, from: Side, tell: &mut Teller<'_>) {
        if self.inflow(from).body.is_wanted() {
            self.body_begun(from, tell);
        }
        if from == Side::Server
            && let Some((attempt, answer)) = self.judged_by_body.take()
        {
            tell.login(attempt, answer.outcome(b""));
        }
        self.inflow(from).part = Part::Start;
    }

    /// The place in the message is lost; what was read of it is told.
    fn lose(&mut self, from: Side, tell: &mut Teller<'_>) {
        let inflow = self.inflow(from);
        let part = std::mem::replace(&mut inflow.part, Part::Lost);
        inflow.lines.clear();
        match (part, from) {
            (Part::Headers, Side::Client) => {
                self.request_read(tell);
                self.client.part = Part::Lost;
            }
            (Part::Headers, Side::Server) => {
                self.answer_read(tell);
                self.server.part = Part::Lost;
            }
            _ => {
                if self.inflow(from).body.is_wanted() {
                    self.body_begun(from, tell);
                }
            }
        }
    }

    fn skip_lost(&mut self, from: Side, lost: u64, tell: &mut Teller<'_>) {
        let inflow = self.inflow(from);
        match inflow.part {
            Part::Body(left) if left >= lost => {
                inflow.body.cut();
                inflow.part = Part::Body(left - lost);
                if left == lost {
                    self.message_over(from, tell);
                }
            }
            Part::Chunk(left) if left > lost => {
                inflow.body.cut();
                inflow.part = Part::Chunk(left - lost);
            }
            Part::Media(left) if left > lost => inflow.part = Part::Media(left - lost),
            Part::UntilClose => inflow.body.cut(),
            _ => self.lose(from, tell),
        }
    }
}

/// Does a target, a header's value or a body carry a command, as it is or with its encoding taken off?
fn inspect(text: &[u8], plus_is_blank: bool, tell: &mut Teller<'_>) {
    let encoded = || memchr::memchr2(b'%', if plus_is_blank { b'+' } else { b'%' }, text).is_some();
    let rule = injection(text).or_else(|| {
        let mut decoded = [0; code::HEAD];
        let length = if encoded() { http::percent_decode(text, plus_is_blank, &mut decoded) } else { 0 };
        injection(decoded.get(..length)?)
    });
    if let Some(rule) = rule {
        tell.transfer(Side::Server, TransferKind::InjectedCommand, rule);
    }
}

impl Conversation for Web {
    fn heard(&mut self, from: Side, mut bytes: &[u8], lost: u32, tell: &mut Teller<'_>) {
        if self.inflow(from).part == Part::Lost
            && let Ok((_, request)) = http::recognise(bytes)
            && request == (from == Side::Client)
        {
            self.inflow(from).part = Part::Start;
        }
        while !bytes.is_empty() && !self.done {
            bytes = self.step(from, bytes, tell);
        }
        if lost > 0 && !self.done {
            self.skip_lost(from, u64::from(lost), tell);
        }
    }

    fn close(&mut self, tell: &mut Teller<'_>) {
        for from in [Side::Client, Side::Server] {
            let inflow = self.inflow(from);
            if inflow.part == Part::Headers || inflow.body.is_wanted() {
                self.lose(from, tell);
            }
        }
        if let Some((attempt, answer)) = self.judged_by_body.take() {
            tell.login(attempt, answer.outcome(b""));
        }
        for exchange in std::mem::take(&mut self.pending) {
            if let Some((attempt, _)) = exchange.attempt {
                tell.login(attempt, LoginOutcome::Tried);
            }
        }
        self.client.lines.clear();
        self.done = true;
    }

    fn is_finished(&self) -> bool {
        self.done
            && self.pending.iter().all(|exchange| exchange.attempt.is_none())
            && self.judged_by_body.is_none()
    }
}

impl Web {
    /// A message of SIP ends with its datagram.
    pub(super) fn datagram_over(&mut self, tell: &mut Teller<'_>) {
        for from in [Side::Client, Side::Server] {
            let inflow = self.inflow(from);
            if inflow.part == Part::Headers {
                self.headers_over(from, tell);
            }
            let inflow = self.inflow(from);
            inflow.lines.clear();
            inflow.part = Part::Start;
        }
    }
}
