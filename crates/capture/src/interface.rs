//! What the kernel says about an interface.

use crate::CaptureError;
use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
};

/// The name of an interface, checked: what the kernel would take.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    text: String,
    c: CString,
}

impl Name {
    pub(crate) fn new(text: &str) -> Result<Self, CaptureError> {
        let error = || CaptureError::Name(text.chars().take(64).collect());
        let fits = (1..libc::IFNAMSIZ).contains(&text.len()) && text != "." && text != "..";
        if !fits || text.bytes().any(|byte| matches!(byte, b'/' | b':') || byte.is_ascii_whitespace()) {
            return Err(error());
        }
        Ok(Self { text: text.to_owned(), c: CString::new(text).map_err(|_| error())? })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Its index; nothing where there is no such interface.
    pub(crate) fn index(&self) -> Option<i32> {
        // SAFETY: the name is a valid C string that outlives the call.
        let index = unsafe { libc::if_nametoindex(self.c.as_ptr()) };
        i32::try_from(index).ok().filter(|&index| index > 0)
    }

    fn request(&self) -> libc::ifreq {
        // SAFETY: ifreq is plain data for which all zeroes is valid.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(self.c.as_bytes()) {
            *to = *from as libc::c_char;
        }
        request
    }
}

/// The ARPHRD type.
pub(crate) fn hardware_type(socket: BorrowedFd<'_>, name: &Name) -> io::Result<u16> {
    let mut request = name.request();
    // SAFETY: the request is a valid ifreq that the kernel fills; the descriptor is open.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIOCGIFHWADDR filled ifru_hwaddr.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr }.sa_family)
}

/// Whether it is up.
pub(crate) fn is_up(socket: BorrowedFd<'_>, name: &Name) -> io::Result<bool> {
    let mut request = name.request();
    // SAFETY: the request is a valid ifreq that the kernel fills; the descriptor is open.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIOCGIFFLAGS filled ifru_flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(i32::from(flags) & libc::IFF_UP != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_kernel_takes() {
        for good in ["lo", "eth0", "br-0123456789a", "wlan0.100"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "eth0:1", "with blank", "sixteen-bytes-xx", "nul\0"] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }
}
