//! Whole conversations: each step is a byte of flags, one of length, then so much payload. A flow that was closed is
//! finished, and events are bounded by what was said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{FlowKey, Protocol, RecordRef, Timestamp};
use observe::session::{FlowContext, Segment, Session};
use std::net::{IpAddr, Ipv4Addr};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let protocol = if first & 1 == 0 { Protocol::TCP } else { Protocol::UDP };
    let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let key = FlowKey { src: address(1), dst: address(2), src_port: 40_000, dst_port: 23, protocol };
    let flow = FlowContext {
        id: 1,
        key,
        at: Timestamp::from_secs(0),
        record: RecordRef::default(),
        src_mac: None,
        dst_mac: None,
        packets: 0,
    };
    let mut session = Session::new(protocol);
    let mut events = 0_usize;
    let mut next = [0_u32, 0];
    while let Some((&[flags, length], more)) = rest.split_first_chunk::<2>() {
        let (payload, more) = more.split_at(usize::from(length).min(more.len()));
        rest = more;
        let outward = flags & 1 == 0;
        let [out, back] = &mut next;
        let place = if outward { out } else { back };
        // Now and then a segment is repeated, comes early, or is cut.
        let seq = match flags >> 5 {
            1 => place.wrapping_sub(u32::from(flags & 0x1e)),
            2 => place.wrapping_add(u32::from(flags & 0x1e)),
            _ => *place,
        };
        let cut = if flags >> 5 == 3 { u32::from(flags & 0x1e) } else { 0 };
        let segment = Segment { outward, seq, payload, length: payload.len() as u32 + cut };
        *place = seq.wrapping_add(segment.length);
        session.segment(&flow, segment, &mut |_| events += 1);
    }
    session.close(&flow, &mut |_| events += 1);
    assert!(session.is_finished());
    assert!(events <= 64 + bytes.len(), "{events} events of {} bytes", bytes.len());
});
