//! A tape of frames in any order, and conversations written onto it.

use super::packet::{self, ACK, FIN, Host, PSH, RST, SYN};
use super::random::Rng;

/// Frames with their times; sorted when they are played. One arena holds all bytes.
#[derive(Clone, Default)]
pub struct Tape {
    bytes: Vec<u8>,
    index: Vec<(i64, usize, usize)>,
}

impl Tape {
    /// Puts a frame at a time in microseconds.
    pub fn put(&mut self, at: i64, frame: &[u8]) {
        self.index.push((at, self.bytes.len(), frame.len()));
        self.bytes.extend_from_slice(frame);
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Puts them in order of time; what came at the same time keeps its order.
    pub fn sort(&mut self) {
        self.index.sort_by_key(|(at, ..)| *at);
    }

    /// The frames in the present order.
    pub fn frames(&self) -> impl Iterator<Item = (i64, &[u8])> {
        self.index
            .iter()
            .filter_map(|(at, start, length)| Some((*at, self.bytes.get(*start..start + length)?)))
    }

    /// Leaves out frames that do not please.
    pub fn retain(&mut self, mut keep: impl FnMut(i64, &[u8]) -> bool) {
        let bytes = std::mem::take(&mut self.bytes);
        self.index.retain(|(at, start, length)| {
            bytes.get(*start..start + length).is_some_and(|frame| keep(*at, frame))
        });
        self.bytes = bytes;
    }

    /// Changes frames in place.
    pub fn edit(&mut self, mut change: impl FnMut(i64, &mut [u8])) {
        for (at, start, length) in &self.index {
            if let Some(frame) = self.bytes.get_mut(*start..start + length) {
                change(*at, frame);
            }
        }
    }

    /// Moves frames in time, where they stand: the clock that wrote them was wrong. From `from` on, one or all.
    pub fn slip(&mut self, from: i64, shift: i64, all: bool) {
        let later = self.index.iter_mut().skip_while(|(at, ..)| *at < from);
        later.take(if all { usize::MAX } else { 1 }).for_each(|(at, ..)| *at += shift);
    }

    /// Adds another tape, moved in time.
    pub fn append(&mut self, other: &Self, shift: i64) {
        for (at, frame) in other.frames() {
            self.put(at + shift, frame);
        }
    }

    /// A UDP datagram.
    pub fn udp(&mut self, at: i64, src: &Host, dst: &Host, ports: (u16, u16), payload: &[u8]) {
        self.put(at, &packet::udp(src, dst, ports, payload));
    }

    /// A single TCP segment.
    pub fn tcp(
        &mut self,
        at: i64,
        src: &Host,
        dst: &Host,
        ports: (u16, u16),
        numbers: (u32, u32),
        flags: u8,
    ) {
        self.put(at, &packet::tcp(src, dst, ports, numbers.0, numbers.1, flags, &[]));
    }

    /// A question and its answer over UDP.
    pub fn ask(
        &mut self,
        at: i64,
        parties: (&Host, &Host),
        ports: (u16, u16),
        question: &[u8],
        answer: &[u8],
        rtt: i64,
    ) {
        self.udp(at, parties.0, parties.1, ports, question);
        self.udp(at + rtt, parties.1, parties.0, (ports.1, ports.0), answer);
    }

    /// Begins a TCP conversation.
    pub fn talk(
        &mut self,
        rng: &mut Rng,
        at: i64,
        client: Host,
        server: Host,
        ports: (u16, u16),
    ) -> Talk<'_> {
        let local = client.mac != server.mac && client.ttl == server.ttl;
        let rtt = if local { rng.between(400, 3_000) } else { rng.between(8_000, 120_000) } as i64;
        let (client_seq, server_seq) = (rng.bits() as u32, rng.bits() as u32);
        Talk { tape: self, at, client, server, ports, client_seq, server_seq, rtt }
    }
}

/// A TCP conversation that writes itself onto a tape while its clock goes on.
pub struct Talk<'t> {
    tape: &'t mut Tape,
    /// The present, in microseconds.
    pub at: i64,
    client: Host,
    server: Host,
    ports: (u16, u16),
    client_seq: u32,
    server_seq: u32,
    rtt: i64,
}

const SEGMENT: usize = 1448;

impl Talk<'_> {
    fn client(&mut self, flags: u8, payload: &[u8]) {
        let ack = if flags & ACK == 0 { 0 } else { self.server_seq };
        let frame = packet::tcp(&self.client, &self.server, self.ports, self.client_seq, ack, flags, payload);
        self.tape.put(self.at, &frame);
        let counted = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.client_seq = self.client_seq.wrapping_add(counted);
    }

    fn server(&mut self, flags: u8, payload: &[u8]) {
        let ports = (self.ports.1, self.ports.0);
        let frame =
            packet::tcp(&self.server, &self.client, ports, self.server_seq, self.client_seq, flags, payload);
        self.tape.put(self.at, &frame);
        let counted = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.server_seq = self.server_seq.wrapping_add(counted);
    }

    /// The handshake.
    pub fn open(&mut self) -> &mut Self {
        self.client(SYN, &[]);
        self.at += self.rtt;
        self.server(SYN | ACK, &[]);
        self.at += 150;
        self.client(ACK, &[]);
        self
    }

    /// SYNs that nobody answers, `tries` of them, with doubling gaps.
    pub fn unanswered(&mut self, tries: u32) -> &mut Self {
        let seq = self.client_seq;
        for attempt in 0..tries {
            self.client_seq = seq;
            self.client(SYN, &[]);
            self.at += 1_000_000 << attempt.min(5);
        }
        self
    }

    /// A SYN that is refused.
    pub fn refused(&mut self) -> &mut Self {
        self.client(SYN, &[]);
        self.at += self.rtt;
        self.server_seq = 0;
        self.server(RST | ACK, &[]);
        self
    }

    /// Bytes from the client, acknowledged.
    pub fn up(&mut self, payload: &[u8]) -> &mut Self {
        self.at += 500;
        for chunk in payload.chunks(SEGMENT) {
            self.client(PSH | ACK, chunk);
            self.at += 120;
        }
        self.at += self.rtt;
        self.server(ACK, &[]);
        self
    }

    /// Bytes from the server, acknowledged.
    pub fn down(&mut self, payload: &[u8]) -> &mut Self {
        self.at += self.rtt / 2 + 300;
        for chunk in payload.chunks(SEGMENT) {
            self.server(PSH | ACK, chunk);
            self.at += 120;
        }
        self.at += 200;
        self.client(ACK, &[]);
        self
    }

    /// A transfer of so many bytes at so many bits a second, an acknowledgement for every second segment.
    pub fn bulk(&mut self, upward: bool, bytes: usize, bits_per_second: u64, rng: &mut Rng) -> &mut Self {
        let gap = (SEGMENT as u64 * 8 * 1_000_000 / bits_per_second.max(1)) as f64;
        let mut left = bytes;
        let mut count = 0_u32;
        while left > 0 {
            let payload = rng.bytes(left.min(SEGMENT));
            left -= payload.len();
            count += 1;
            if upward {
                self.client(ACK, &payload)
            } else {
                self.server(ACK, &payload)
            }
            if count.is_multiple_of(2) {
                if upward { self.server(ACK, &[]) } else { self.client(ACK, &[]) }
            }
            self.at += (gap * rng.around(0.4)) as i64 + 1;
        }
        self
    }

    /// Nothing for so many microseconds.
    pub fn pause(&mut self, micros: i64) -> &mut Self {
        self.at += micros;
        self
    }

    /// An orderly end by the client.
    pub fn close(&mut self) {
        self.at += 2_000;
        self.client(FIN | ACK, &[]);
        self.at += self.rtt;
        self.server(FIN | ACK, &[]);
        self.at += 150;
        self.client(ACK, &[]);
    }

    /// An orderly end by the server.
    pub fn closed_by_server(&mut self) {
        self.at += 2_000;
        self.server(FIN | ACK, &[]);
        self.at += 300;
        self.client(FIN | ACK, &[]);
        self.at += self.rtt;
        self.server(ACK, &[]);
    }

    /// A rude end by the client.
    pub fn reset(&mut self) {
        self.at += 500;
        self.client(RST | ACK, &[]);
    }
}
