//! Big-endian fields in order, each checked before it is believed.

use super::Unread;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Unread> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Unread::Incomplete)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unread> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Unread::Incomplete)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Unread> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Unread> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u24(&mut self) -> Result<usize, Unread> {
        self.array().map(|[a, b, c]| usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Unread> {
        self.array().map(u32::from_be_bytes)
    }

    /// A field preceded by its length in one byte.
    pub(super) fn field8(&mut self) -> Result<&'a [u8], Unread> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A field preceded by its length in two bytes.
    pub(super) fn field16(&mut self) -> Result<&'a [u8], Unread> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}
