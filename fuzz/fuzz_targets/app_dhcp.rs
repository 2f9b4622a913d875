//! DHCP packets.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = parse::app::dhcp::parse(bytes) {
        assert!(packet.routers.len() <= 4 && packet.resolvers.len() <= 4);
    }
});
