//! The ring: one interface, read frame by frame.

use crate::{
    CaptureError, LINK_ETHERNET, LINK_RAW,
    interface::{self, Name},
    mapping::{HEADROOM, Mapping, Place},
    socket::PacketSocket,
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    thread,
    time::Duration,
};

/// Bytes of a block; holds the largest frame that the kernel hands up (64 KiB) with its headers.
const BLOCK: usize = 128 << 10;
const LEAST: usize = 4 * BLOCK;
const MOST: usize = 1 << 30;

/// How an interface is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of the ring: 512 KiB to 1 GiB, rounded down to blocks of 128 KiB.
    pub ring_bytes: usize,
    /// How long the kernel may hold packets back to fill a block; they are handed out after twice that at the latest.
    pub block_timeout: Duration,
    /// Ask for packets that are not for this machine too.
    pub promiscuous: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { ring_bytes: 8 << 20, block_timeout: Duration::from_millis(10), promiscuous: true }
    }
}

/// How an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Watched.
    Up,
    /// There, but down.
    Down,
    /// Not there.
    Missing,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Came in.
    In,
    /// Was sent by this machine: made here or forwarded.
    Out,
}

/// What an interface gave so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames handed out.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames that the kernel dropped because the ring was full.
    pub dropped: u64,
}

/// One frame, in place.
#[derive(Debug)]
pub struct Frame<'a> {
    /// When the kernel saw it, in nanoseconds since the epoch.
    pub nanos: i64,
    /// Its length on the wire.
    pub wire_length: u32,
    /// Which way it went.
    pub direction: Direction,
    /// Its bytes.
    pub data: &'a [u8],
}

/// An interface and the ring that it is read from.
#[derive(Debug)]
pub struct Ring {
    name: Name,
    socket: PacketSocket,
    mapping: Mapping,
    ethernet: bool,
    loopback: bool,
    promiscuous: bool,
    /// The next block to read.
    block: usize,
    /// Where reading is within it.
    open: Option<Cursor>,
    counters: Counters,
}

/// The rest of an open block.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    next: Place,
    left: u32,
}

impl Ring {
    /// Opens a ring on an interface, which may be missing yet: [`Ring::refresh`] finds it when it comes.
    ///
    /// # Errors
    /// [`CaptureError`] where the name is none, the right to capture is missing, or memory is.
    pub fn open(interface: &str, options: &Options) -> Result<Self, CaptureError> {
        let name = Name::new(interface)?;
        let count = options.ring_bytes / BLOCK;
        if !(LEAST..=MOST).contains(&options.ring_bytes) {
            return Err(CaptureError::RingSize { bytes: options.ring_bytes, least: LEAST, most: MOST });
        }
        let mut socket = open_socket(&name, false)?;
        let mut link = link_of(&socket, &name);
        if link.is_some_and(|(ethernet, _)| !ethernet) {
            socket = open_socket(&name, true)?;
        }
        let (ethernet, loopback) = *link.get_or_insert((true, false));
        let millis = options.block_timeout.as_millis().clamp(1, 1000) as u32;
        let mapping = set_up(&socket, count, millis).map_err(|(step, source)| CaptureError::System {
            interface: interface.to_owned(),
            step,
            source,
        })?;
        let promiscuous = options.promiscuous;
        let counters = Counters::default();
        let mut ring =
            Self { name, socket, mapping, ethernet, loopback, promiscuous, block: 0, open: None, counters };
        ring.refresh()?;
        Ok(ring)
    }

    /// The interface.
    #[must_use]
    pub fn interface(&self) -> &str {
        self.name.as_str()
    }

    /// The LINKTYPE number of its frames: [`LINK_ETHERNET`] or [`LINK_RAW`].
    #[must_use]
    pub const fn link(&self) -> u16 {
        if self.ethernet { LINK_ETHERNET } else { LINK_RAW }
    }

    /// Looks after the interface: binds to it where it came (back), and says how it is. To be called every second
    /// or so and after [`wait`] reported an error; needs no privilege.
    ///
    /// # Errors
    /// [`CaptureError`] where the interface is there but cannot be watched.
    pub fn refresh(&mut self) -> Result<State, CaptureError> {
        let system = |name: &Name, step| {
            let interface = name.as_str().to_owned();
            move |source| CaptureError::System { interface, step, source }
        };
        let _cleared = self.socket.take_error();
        let Some(index) = self.name.index() else { return Ok(State::Missing) };
        let bound = self.socket.bound_to().map_err(system(&self.name, "ask what it is bound to"))?;
        if bound != index {
            let Some((ethernet, loopback)) = link_of(&self.socket, &self.name) else {
                return Ok(State::Missing);
            };
            if ethernet != self.ethernet {
                return Err(CaptureError::LinkChanged { interface: self.name.as_str().to_owned() });
            }
            self.loopback = loopback;
            // On loopback each packet passes twice. Kernels before 4.20 cannot leave one out; `next_frame` does it then.
            let _optional = self.socket.set(libc::PACKET_IGNORE_OUTGOING, &i32::from(loopback));
            if self.promiscuous {
                self.socket.promiscuous(index).map_err(system(&self.name, "ask for all packets"))?;
            }
            self.socket.bind(index).map_err(system(&self.name, "bind"))?;
        }
        match interface::is_up(self.socket.as_fd(), &self.name) {
            Ok(true) => Ok(State::Up),
            Ok(false) => Ok(State::Down),
            Err(_) => Ok(State::Missing),
        }
    }

    /// When the next frame was seen, in nanoseconds since the epoch; nothing where none waits.
    pub fn peek(&mut self) -> Option<i64> {
        loop {
            let cursor = self.cursor()?;
            if let Some(nanos) = self.mapping.nanos(cursor.next) {
                return Some(nanos);
            }
            self.give_back();
        }
    }

    /// The next frame; nothing where none waits.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        loop {
            let cursor = self.cursor()?;
            let following = self.mapping.after(cursor.next).filter(|_| cursor.left > 1);
            // A block stays open with nothing left in it until the next call, since its last frame is borrowed.
            self.open = Some(match following {
                Some(next) => Cursor { next, left: cursor.left - 1 },
                None => Cursor { next: cursor.next, left: 0 },
            });
            if self.is_wanted(cursor.next) {
                return self.take(cursor.next);
            }
        }
    }

    /// Whether the frame at this place is one to hand out.
    fn is_wanted(&mut self, place: Place) -> bool {
        let (ethernet, loopback) = (self.ethernet, self.loopback);
        self.mapping.peer(place).is_some_and(|(packet_type, protocol)| {
            let is_copy = loopback && packet_type == libc::PACKET_OUTGOING;
            let is_ip = matches!(i32::from(protocol), libc::ETH_P_IP | libc::ETH_P_IPV6);
            !is_copy && (ethernet || is_ip)
        })
    }

    fn take(&mut self, place: Place) -> Option<Frame<'_>> {
        let raw = self.mapping.frame(place, self.ethernet)?;
        self.counters.packets += 1;
        self.counters.bytes += u64::from(raw.wire_length);
        let direction = if raw.packet_type == libc::PACKET_OUTGOING { Direction::Out } else { Direction::In };
        Some(Frame { nanos: raw.nanos, wire_length: raw.wire_length, direction, data: raw.data })
    }

    /// Where reading goes on, opening the next block where the last one is read.
    fn cursor(&mut self) -> Option<Cursor> {
        loop {
            match self.open {
                Some(cursor) if cursor.left > 0 => return Some(cursor),
                Some(_) => self.give_back(),
                None => {
                    let (next, left) = self.mapping.packets(self.block)?;
                    self.open = Some(Cursor { next, left });
                }
            }
        }
    }

    fn give_back(&mut self) {
        self.open = None;
        self.mapping.release(self.block);
        self.block = (self.block + 1) % self.mapping.count();
    }

    /// What it gave so far.
    pub fn counters(&mut self) -> Counters {
        if let Ok((_, dropped)) = self.socket.statistics() {
            self.counters.dropped += dropped;
        }
        self.counters
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open_socket(name: &Name, cooked: bool) -> Result<PacketSocket, CaptureError> {
    PacketSocket::open(cooked).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => CaptureError::NotPermitted { interface: name.as_str().to_owned() },
        _ => {
            CaptureError::System { interface: name.as_str().to_owned(), step: "open a packet socket", source }
        }
    })
}

/// Whether its frames are Ethernet, and whether it is the loopback; nothing where it is not there.
fn link_of(socket: &PacketSocket, name: &Name) -> Option<(bool, bool)> {
    let kind = interface::hardware_type(socket.as_fd(), name).ok()?;
    let loopback = kind == libc::ARPHRD_LOOPBACK;
    Some((loopback || kind == libc::ARPHRD_ETHER, loopback))
}

fn set_up(socket: &PacketSocket, count: usize, millis: u32) -> Result<Mapping, (&'static str, io::Error)> {
    const FRAME: usize = 2048;
    let version = libc::tpacket_versions::TPACKET_V3 as i32;
    socket.set(libc::PACKET_VERSION, &version).map_err(|error| ("use TPACKET_V3", error))?;
    let headroom = HEADROOM as u32;
    socket.set(libc::PACKET_RESERVE, &headroom).map_err(|error| ("reserve room for VLAN tags", error))?;
    let request = libc::tpacket_req3 {
        tp_block_size: BLOCK as u32,
        tp_block_nr: count as u32,
        tp_frame_size: FRAME as u32,
        tp_frame_nr: (count * (BLOCK / FRAME)) as u32,
        tp_retire_blk_tov: millis,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    socket.set(libc::PACKET_RX_RING, &request).map_err(|error| ("make the ring", error))?;
    Mapping::new(socket, BLOCK, count).map_err(|error| ("map the ring", error))
}

/// Waits until one of the rings has packets, or for so long. A ring in trouble (its interface went away) counts as
/// nothing to read: the call then takes at least 20 ms, so that a caller's loop cannot spin.
///
/// Returns whether a ring is in trouble and wants [`Ring::refresh`].
///
/// # Errors
/// What `poll` says, interruptions apart.
pub fn wait<'a>(rings: impl IntoIterator<Item = &'a Ring>, timeout: Duration) -> io::Result<bool> {
    let mut polled = Vec::with_capacity(16);
    for ring in rings {
        let fd = ring.socket.as_fd().as_raw_fd();
        polled.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer and the count describe the vector, which outlives the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
    }
    let trouble = polled.iter().any(|entry| entry.revents & !libc::POLLIN != 0);
    if trouble && polled.iter().all(|entry| entry.revents & libc::POLLIN == 0) {
        thread::sleep(Duration::from_millis(20).min(timeout));
    }
    Ok(trouble)
}
