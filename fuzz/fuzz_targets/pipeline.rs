//! The whole way of a packet: any bytes as a capture, from the file's first byte through every detector to incidents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{RecordRef, Timestamp};
use parse::capture::{Decoder, Step};

fuzz_target!(|bytes: &[u8]| {
    let Some(mut decoder) = Decoder::recognise(bytes) else { return };
    let mut observer =
        observe::Observer::new(observe::Config { max_flows: 64, ..observe::Config::default() });
    let mut engine = detect::Engine::new(detect::Config::default(), vec!["fuzz".to_owned()]);
    let mut rest = bytes;
    for record in 1.. {
        match decoder.step(rest, true) {
            Step::Packet { consumed, packet } => {
                assert!(consumed > 0, "a packet of no bytes");
                let at = Timestamp::from_micros(packet.micros);
                let place = RecordRef { input: 0, record };
                observer.packet(place, at, packet.link, packet.wire_length, packet.data, &mut |event| {
                    engine.event(&event)
                });
                engine.advance(at);
                rest = rest.get(consumed..).unwrap_or_default();
            }
            Step::Consumed(consumed) | Step::Skipped { consumed, .. } => {
                assert!(consumed > 0, "a step that goes nowhere");
                rest = rest.get(consumed..).unwrap_or_default();
            }
            Step::NeedMore { .. } | Step::Damaged { .. } | Step::End => break,
        }
    }
    observer.finish(&mut |event| engine.event(&event));
    let _ = engine.incidents();
});
