//! The lab's own captures: a packet socket per interface, written as a pcap file with the kernel's time stamps.
//!
//! Bounded: a file ends at [`LARGEST`]; what comes later, and what the kernel dropped, is counted.

use crate::{
    city::host::Host,
    error::{Error, Result, Tried},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt,
            sockopt::{RcvBufForce, ReceiveTimestampns, RxqOvfl},
        },
        time::TimeSpec,
    },
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::{
    fs::File,
    io::{BufWriter, IoSliceMut, Write},
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

const LARGEST: u64 = 256 << 20;
const EVERY_PROTOCOL: i32 = 0x0300;

/// A capture that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicBool>,
    /// Packets written.
    pub(crate) packets: Arc<AtomicU64>,
    /// Packets that were not written.
    pub(crate) dropped: Arc<AtomicU64>,
}

impl Recording {
    /// Begins to record an interface of a host.
    pub(crate) fn begin(host: &Host, interface: &str, path: &Path) -> Result<Self> {
        let recording = Self {
            path: path.to_owned(),
            stop: Arc::default(),
            done: Arc::default(),
            packets: Arc::default(),
            dropped: Arc::default(),
        };
        let file = File::create(path).tried(|| format!("create {}", path.display()))?;
        let name = interface.to_owned();
        let (sockets, index) = host.call(move || open(&name)).flatten()?;
        let own = recording.clone();
        host.start("record", move || {
            let _ = own.write(&sockets, index, file);
            own.done.store(true, Relaxed);
        })?;
        Ok(recording)
    }

    /// Ends it and waits for the file to be whole.
    pub(crate) fn end(&self) {
        self.stop.store(true, Relaxed);
        crate::clock::wait_until(5_000, || self.done.load(Relaxed));
    }

    fn write(&self, sockets: &[Socket], index: usize, file: File) -> Result<()> {
        let failed = || format!("write {}", self.path.display());
        let mut out = BufWriter::with_capacity(1 << 18, file);
        out.write_all(&file_header()).tried(failed)?;
        let mut queue = Queue { sockets, index, overflows: vec![0; sockets.len()], waiting: Vec::new() };
        let mut written = 24_u64;
        loop {
            let stopping = self.stop.load(Relaxed);
            let lost = queue.take_in();
            self.dropped.fetch_add(lost, Relaxed);
            for (at, length, frame) in queue.due(stopping) {
                if written > LARGEST {
                    self.dropped.fetch_add(1, Relaxed);
                    continue;
                }
                let (seconds, micros) = (at / 1_000_000, at % 1_000_000);
                for value in [seconds as u32, micros as u32, frame.len() as u32, length as u32] {
                    out.write_all(&value.to_le_bytes()).tried(failed)?;
                }
                out.write_all(&frame).tried(failed)?;
                written += 16 + frame.len() as u64;
                self.packets.fetch_add(1, Relaxed);
            }
            if stopping {
                return out.flush().tried(failed);
            }
        }
    }
}

/// Packets that were received but not yet written: the sockets are read one after the other, so they are put into
/// the order of their time stamps first.
struct Queue<'a> {
    sockets: &'a [Socket],
    index: usize,
    overflows: Vec<u32>,
    waiting: Vec<(i64, usize, Vec<u8>)>,
}

impl Queue<'_> {
    /// Takes in what the sockets have; gives how many packets the kernel had to drop.
    fn take_in(&mut self) -> u64 {
        let mut ready: Vec<PollFd<'_>> =
            self.sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        let _ = poll(&mut ready, PollTimeout::from(50_u16));
        let mut buffer = vec![0; 65_536];
        let mut space = nix::cmsg_space!(TimeSpec, u32);
        let mut lost = 0;
        for (socket, overflow) in self.sockets.iter().zip(&mut self.overflows) {
            // A socket holds a few hundred packets; more than that in one go would let the others overflow.
            for _ in 0..512 {
                let mut slices = [IoSliceMut::new(&mut buffer)];
                let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
                let Ok(message) =
                    recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)
                else {
                    break;
                };
                if message.address.is_none_or(|from| from.ifindex() != self.index) {
                    continue;
                }
                let mut at = None;
                for control in message.cmsgs().ok().into_iter().flatten() {
                    match control {
                        ControlMessageOwned::ScmTimestampns(time) => at = Some(time),
                        ControlMessageOwned::RxqOvfl(count) => {
                            lost += u64::from(count.wrapping_sub(*overflow));
                            *overflow = count;
                        }
                        _ => {}
                    }
                }
                let length = message.bytes;
                let micros = at.map_or(0, |at| at.tv_sec() * 1_000_000 + at.tv_nsec() / 1_000);
                let frame = buffer.get(..length.min(65_536)).unwrap_or_default().to_vec();
                self.waiting.push((micros, length, frame));
            }
        }
        lost
    }

    /// What can be written in order: everything but the last 50 ms, or all of it.
    fn due(&mut self, all: bool) -> Vec<(i64, usize, Vec<u8>)> {
        self.waiting.sort_by_key(|(at, ..)| *at);
        let newest = self.waiting.last().map_or(0, |(at, ..)| *at);
        let now = crate::clock::now().micros().max(newest);
        let due = if all {
            self.waiting.len()
        } else {
            self.waiting.partition_point(|(at, ..)| *at < now - 50_000)
        };
        self.waiting.drain(..due).collect()
    }
}

/// How many sockets share an interface. An ordinary user's socket queues some 250 packets, which a flood fills in
/// 20 ms; each of these gets its share of the packets by their IP identification.
const SHARES: u32 = 16;

/// Packet sockets that together see one interface, each its share; filters in the kernel keep the rest out.
fn open(interface: &str) -> Result<(Vec<Socket>, usize)> {
    let index =
        nix::net::if_::if_nametoindex(interface).tried(|| format!("find the interface {interface}"))?;
    let socket = |share: u32| -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(EVERY_PROTOCOL)))?;
        let load = |code, value| SockFilter::new(code, 0, 0, value);
        let (keep, drop) = (0x0004_0000, 0);
        socket.attach_filter(&[
            // The interface, by its number.
            load(0x20, 0xffff_f008),
            SockFilter::new(0x15, 0, 6, index),
            // IPv4 is shared by the low bits of its identification; everything else belongs to the first one.
            load(0x28, 12),
            SockFilter::new(0x15, 0, 3, 0x0800),
            load(0x30, 19),
            load(0x54, SHARES - 1),
            SockFilter::new(0x15, 2, 1, share),
            load(0x06, if share == 0 { keep } else { drop }),
            load(0x06, drop),
            load(0x06, keep),
        ])?;
        let _ = setsockopt(&socket, RcvBufForce, &(8 << 20));
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        setsockopt(&socket, RxqOvfl, &1)?;
        Ok(socket)
    };
    let sockets: std::io::Result<Vec<Socket>> = (0..SHARES).map(socket).collect();
    Ok((sockets.tried(|| format!("record {interface}"))?, index as usize))
}

fn file_header() -> Vec<u8> {
    let mut header = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    header.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.extend(65_536_u32.to_le_bytes());
    header.extend(1_u32.to_le_bytes());
    header
}

/// Reads a capture of the lab's own, packet by packet: microseconds since the epoch, and the frame.
///
/// # Errors
/// Where the file is none of the lab's own captures.
pub(crate) fn read(path: &Path, mut each: impl FnMut(i64, &[u8])) -> Result<()> {
    let bytes = std::fs::read(path).tried(|| format!("read {}", path.display()))?;
    let wrong =
        || Error::Format { path: path.to_owned(), expected: "expected a capture of the lab's own".into() };
    let mut rest = bytes.strip_prefix(file_header().as_slice()).ok_or_else(wrong)?;
    let value = |from: &[u8], at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(from.get(at..at + 4)?.try_into().ok()?))
    };
    while let (Some(seconds), Some(micros), Some(length)) = (value(rest, 0), value(rest, 4), value(rest, 8)) {
        let Some(frame) = rest.get(16..16 + length as usize) else { break };
        each(i64::from(seconds) * 1_000_000 + i64::from(micros), frame);
        rest = rest.get(16 + length as usize..).unwrap_or_default();
    }
    Ok(())
}
