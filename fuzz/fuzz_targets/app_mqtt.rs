//! CONNECT and CONNACK of MQTT; a prefix of what reads never reads as something else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::{Unread, mqtt};

fuzz_target!(|bytes: &[u8]| {
    if mqtt::connect(bytes).is_ok() {
        assert_eq!(mqtt::recognise(bytes), Ok(()));
        let half = bytes.get(..bytes.len().min(4)).unwrap_or_default();
        assert_eq!(mqtt::connect(half).err(), Some(Unread::Incomplete));
    }
    let _ = mqtt::connack(bytes);
});
