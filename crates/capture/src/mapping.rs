//! The memory that is shared with the kernel, as blocks of packets.
//!
//! A block belongs to the kernel or to us, as its status word says; packets are only touched while it is ours. What
//! the kernel wrote is still checked against the block's bounds before it is believed.

use crate::socket::PacketSocket;
use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd},
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where the address of a packet's sender lies behind its header.
const ADDRESS_AT: usize = mem::size_of::<libc::tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
/// Bytes before a frame that are ours, for a VLAN tag ([`libc::PACKET_RESERVE`]).
pub(crate) const HEADROOM: usize = 4;
/// Both hardware addresses, which come before a VLAN tag.
const MACS: usize = 12;

/// A mapped ring of `count` blocks of `size` bytes.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    size: usize,
    count: usize,
}

// SAFETY: the mapping is owned by its value alone and is not tied to the thread that made it.
unsafe impl Send for Mapping {}

/// A packet in a block that is ours.
pub(crate) struct RawFrame<'a> {
    pub(crate) nanos: i64,
    pub(crate) wire_length: u32,
    pub(crate) packet_type: u8,
    pub(crate) data: &'a [u8],
}

/// Where a packet lies: the offset of its header from the start of its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) block: usize,
    pub(crate) offset: usize,
}

impl Mapping {
    pub(crate) fn new(socket: &PacketSocket, size: usize, count: usize) -> io::Result<Self> {
        // SAFETY: a new mapping is asked for at no particular place; the result is checked.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size * count,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { base, size, count })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// A pointer to `length` bytes in a block, checked to lie in it.
    fn at(&self, place: Place, length: usize) -> Option<*mut u8> {
        let end = place.offset.checked_add(length)?;
        if place.block >= self.count || end > self.size {
            return None;
        }
        // SAFETY: the offset was just checked to lie in the mapping.
        Some(unsafe { self.base.as_ptr().add(place.block * self.size + place.offset) })
    }

    fn status(&self, block: usize) -> Option<&AtomicU32> {
        let offset = mem::offset_of!(libc::tpacket_block_desc, hdr)
            + mem::offset_of!(libc::tpacket_hdr_v1, block_status);
        let word = self.at(Place { block, offset }, mem::size_of::<u32>())?;
        // SAFETY: the word lies in the mapping, is aligned, and is shared with the kernel as an atomic by both sides.
        Some(unsafe { AtomicU32::from_ptr(word.cast()) })
    }

    /// The packets of a block that the kernel has handed over: where the first is, and how many there are.
    pub(crate) fn packets(&self, block: usize) -> Option<(Place, u32)> {
        if self.status(block)?.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let offset = mem::offset_of!(libc::tpacket_block_desc, hdr);
        let header = self.at(Place { block, offset }, mem::size_of::<libc::tpacket_hdr_v1>())?;
        // SAFETY: the header lies in a block that is ours and holds plain data.
        let header = unsafe { ptr::read_unaligned(header.cast::<libc::tpacket_hdr_v1>()) };
        Some((Place { block, offset: header.offset_to_first_pkt as usize }, header.num_pkts))
    }

    /// Gives a block back to the kernel. Nothing that was read from it may be alive: the caller borrows mutably.
    pub(crate) fn release(&mut self, block: usize) {
        if let Some(status) = self.status(block) {
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
    }

    fn header(&self, place: Place) -> Option<libc::tpacket3_hdr> {
        let header = self.at(place, mem::size_of::<libc::tpacket3_hdr>())?;
        // SAFETY: the header lies in the mapping, in a block that is ours, and holds plain data.
        Some(unsafe { ptr::read_unaligned(header.cast::<libc::tpacket3_hdr>()) })
    }

    /// When the packet at this place was seen, in nanoseconds since the epoch.
    pub(crate) fn nanos(&self, place: Place) -> Option<i64> {
        self.header(place).map(|header| nanos(&header))
    }

    /// Where the packet after the one at this place lies.
    pub(crate) fn after(&self, place: Place) -> Option<Place> {
        let step = self.header(place)?.tp_next_offset as usize;
        Some(Place { block: place.block, offset: place.offset.checked_add(step)? }).filter(|_| step > 0)
    }

    /// The kernel's packet type (`PACKET_OUTGOING`, ...) and the network protocol of the packet at this place.
    pub(crate) fn peer(&self, place: Place) -> Option<(u8, u16)> {
        let offset = place.offset.checked_add(ADDRESS_AT)?;
        let address = self.at(Place { block: place.block, offset }, mem::size_of::<libc::sockaddr_ll>())?;
        // SAFETY: the address lies in a block that is ours and holds plain data.
        let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_ll>()) };
        Some((address.sll_pkttype, u16::from_be(address.sll_protocol)))
    }

    /// The packet at this place. To be called once for each packet: putting its VLAN tag back moves its head.
    pub(crate) fn frame(&mut self, place: Place, ethernet: bool) -> Option<RawFrame<'_>> {
        let header = self.header(place)?;
        let (packet_type, _) = self.peer(place)?;
        let mut start = place.offset.checked_add(header.tp_mac.into())?;
        let mut length = header.tp_snaplen as usize;
        let mut wire_length = header.tp_len;
        if ethernet && header.tp_status & libc::TP_STATUS_VLAN_VALID != 0 && length >= MACS {
            let moved = Place { block: place.block, offset: start.checked_sub(HEADROOM)? };
            let head = self.at(moved, HEADROOM + MACS)?;
            put_tag_back(head, &header);
            start = moved.offset;
            length += HEADROOM;
            wire_length = wire_length.saturating_add(HEADROOM as u32);
        }
        let data = self.at(Place { block: place.block, offset: start }, length)?;
        // SAFETY: the bytes lie in a block that is ours for as long as `self` is borrowed mutably: nobody writes.
        let data = unsafe { slice::from_raw_parts(data, length) };
        Some(RawFrame { nanos: nanos(&header), wire_length, packet_type, data })
    }
}

/// Moves both hardware addresses into the headroom and writes the tag behind them.
fn put_tag_back(head: *mut u8, header: &libc::tpacket3_hdr) {
    let known = header.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    let ether_type = if known { header.hv1.tp_vlan_tpid } else { 0x8100 };
    let [a, b] = ether_type.to_be_bytes();
    let [c, d] = (header.hv1.tp_vlan_tci as u16).to_be_bytes();
    // SAFETY: the caller checked that the headroom and the addresses lie in a block that is ours.
    let addresses = unsafe { head.add(HEADROOM) };
    // SAFETY: both ranges of 12 bytes lie in what the caller checked; `copy` allows them to overlap.
    unsafe { ptr::copy(addresses, head, MACS) };
    // SAFETY: the caller checked that 4 bytes more than the addresses lie in a block that is ours.
    let tag = unsafe { head.add(MACS) };
    // SAFETY: as above; the write asks for no alignment.
    unsafe { ptr::write_unaligned(tag.cast::<[u8; 4]>(), [a, b, c, d]) };
}

fn nanos(header: &libc::tpacket3_hdr) -> i64 {
    i64::from(header.tp_sec) * 1_000_000_000 + i64::from(header.tp_nsec)
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length and nothing borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size * self.count) };
    }
}
