//! One packet of any link type: what is read lies within what was captured and within what the headers say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::{
    LinkType,
    packet::{Body, Transport, dissect},
};

const LINKS: [LinkType; 8] = [
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::IPV4,
    LinkType(9),
];

fuzz_target!(|input: (u8, u32, &[u8])| {
    let (link, wire_length, data) = input;
    let link = LINKS[usize::from(link) % LINKS.len()];
    match dissect(link, data, wire_length) {
        Err(skip) => assert!(!skip.as_str().is_empty()),
        Ok(packet) => {
            let Body::Ip(ip) = packet.body else { return };
            let (payload, length) = match ip.transport {
                Transport::Tcp(tcp) => (tcp.payload.len(), tcp.payload_length),
                Transport::Udp(udp) => (udp.payload.len(), udp.payload_length),
                _ => return,
            };
            assert!(payload <= data.len() && length <= ip.length);
            assert!(payload <= length as usize || ip.fragment.is_some());
        }
    }
});
