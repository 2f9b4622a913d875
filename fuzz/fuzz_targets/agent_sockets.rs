//! Tables of sockets, as `/proc/net/tcp` holds them.
#![no_main]

use agent::machine::read_sockets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(read_sockets("0A", bytes).unwrap().len() <= lines);
});
