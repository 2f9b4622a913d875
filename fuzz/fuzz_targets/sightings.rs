//! Any bytes as a frame of any link: seen first it is no copy, seen elsewhere at once it is one, and long after not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observe::{LinkType, Sightings, ip_packet};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[high, low, key], frame)) = bytes.split_first_chunk() else { return };
    let link = LinkType(u16::from_be_bytes([high, low]));
    if let Some((version, packet)) = ip_packet(link, frame) {
        assert!(matches!(version, 4 | 6) && !packet.is_empty());
    }
    let mut sightings = Sightings::new(key.into());
    assert!(!sightings.is_copy(0, false, 0, link, frame), "the first");
    assert!(!sightings.is_copy(0, false, 1, link, frame), "sent again on the same way");
    assert!(sightings.is_copy(1, false, 2, link, frame), "seen elsewhere");
    assert!(sightings.is_copy(0, true, 3, link, frame), "going out where it came in");
    assert!(!sightings.is_copy(1, false, 60_000_000, link, frame), "long after");
});
