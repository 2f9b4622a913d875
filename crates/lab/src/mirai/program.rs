//! The program that the loader brings: a real ELF file for ARM that only ends itself, with the controller's address
//! in it for the lab's shell to read.

use crate::wire::{long, word};
use std::net::SocketAddrV4;

const MARK: &[u8] = b"BASTIDE DRILL: this program does nothing but exit(0). ";
const END: &[u8] = b"\nEND OF DRILL\n";

/// What the program would be told on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Whom to take orders from.
    pub(crate) controller: SocketAddrV4,
}

/// An ELF header (32 bit, little endian, ARM) with one loadable segment.
pub(crate) fn elf_header() -> Vec<u8> {
    let mut elf = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    elf.extend([2, 0, 40, 0, 1, 0, 0, 0]);
    // Entry, program headers, section headers, flags.
    for value in [0x8054_u32, 52, 0, 0x0500_0000] {
        elf.extend(value.to_le_bytes());
    }
    for value in [52_u16, 32, 1, 40, 0, 0] {
        elf.extend(value.to_le_bytes());
    }
    elf
}

/// The program, of at least `size` bytes.
pub(crate) fn build(orders: &Orders, size: usize) -> Vec<u8> {
    let mut file = elf_header();
    for value in [1_u32, 0, 0x8000, 0x8000, size as u32, size as u32, 5, 0x8000] {
        file.extend(value.to_le_bytes());
    }
    // mov r0, #0; mov r7, #1; svc 0: exit(0).
    for instruction in [0xe3a0_0000_u32, 0xe3a0_7001, 0xef00_0000] {
        file.extend(instruction.to_le_bytes());
    }
    file.extend(MARK);
    file.extend(orders.controller.ip().octets());
    file.extend(orders.controller.port().to_be_bytes());
    let mut filler = 0_u8;
    while file.len() + END.len() < size {
        filler = filler.wrapping_mul(5).wrapping_add(17);
        file.push(filler);
    }
    file.extend(END);
    file
}

/// The orders in a whole program of the drill; nothing in anything else.
pub(crate) fn orders(file: &[u8]) -> Option<Orders> {
    if !file.starts_with(b"\x7fELF") || !file.ends_with(END) {
        return None;
    }
    let at = file.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let controller = SocketAddrV4::new(long(file, at)?.into(), word(file, at + 4)?);
    Some(Orders { controller })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_tells_its_orders_and_nothing_else_does() {
        let given = Orders { controller: "203.0.113.9:6667".parse().unwrap() };
        for size in [0, 600, 40_000] {
            let file = build(&given, size);
            assert!(file.len() >= size);
            assert_eq!(orders(&file), Some(given));
            assert_eq!(orders(&file[..file.len() - 1]), None);
        }
        assert_eq!(orders(b"\x7fELF END OF DRILL\n"), None);
        assert_eq!(orders(&elf_header()), None);
    }
}
