//! The packet socket: options, binding, statistics.

use libc::{c_int, c_void, socklen_t};
use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// A packet socket. Only opening one needs a privilege.
#[derive(Debug)]
pub(crate) struct PacketSocket(OwnedFd);

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PacketSocket {
    /// Opens a socket that hears nothing until it is bound. `cooked` sockets give packets without a link header.
    pub(crate) fn open(cooked: bool) -> io::Result<Self> {
        let kind = if cooked { libc::SOCK_DGRAM } else { libc::SOCK_RAW };
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sets a packet option; `T` must be the option's type in the kernel's interface.
    pub(crate) fn set<T: Copy>(&self, option: c_int, value: &T) -> io::Result<()> {
        let length = mem::size_of::<T>() as socklen_t;
        let value: *const T = value;
        // SAFETY: the pointer and the length describe one live T.
        let done = unsafe {
            libc::setsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, option, value.cast::<c_void>(), length)
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Hears the interface of this index from now on, all protocols.
    pub(crate) fn bind(&self, index: i32) -> io::Result<()> {
        // SAFETY: sockaddr_ll is plain data for which all zeroes is valid.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index;
        let length = mem::size_of::<libc::sockaddr_ll>() as socklen_t;
        // SAFETY: the pointer and the length describe one live sockaddr_ll.
        let done = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), length) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The index that it is bound to: 0 before binding, -1 after the interface vanished.
    pub(crate) fn bound_to(&self) -> io::Result<i32> {
        // SAFETY: sockaddr_ll is plain data for which all zeroes is valid.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        let mut length = mem::size_of::<libc::sockaddr_ll>() as socklen_t;
        // SAFETY: the pointer and the length describe one live sockaddr_ll that the kernel fills.
        let done =
            unsafe { libc::getsockname(self.0.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(address.sll_ifindex) }
    }

    /// Asks the interface for packets that are not for this machine; ends with the socket.
    pub(crate) fn promiscuous(&self, index: i32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Packets taken and dropped since the last call.
    pub(crate) fn statistics(&self) -> io::Result<(u64, u64)> {
        let mut counts = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut length = mem::size_of::<libc::tpacket_stats_v3>() as socklen_t;
        // SAFETY: the pointer and the length describe one live tpacket_stats_v3 that the kernel fills.
        let done = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counts).cast(),
                &raw mut length,
            )
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((counts.tp_packets.into(), counts.tp_drops.into()))
    }

    /// Takes the pending error, so that polling does not report it for ever.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let mut error: c_int = 0;
        let mut length = mem::size_of::<c_int>() as socklen_t;
        // SAFETY: the pointer and the length describe one live c_int that the kernel fills.
        let done = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut error).cast(),
                &raw mut length,
            )
        };
        (done == 0 && error != 0).then(|| io::Error::from_raw_os_error(error))
    }
}
