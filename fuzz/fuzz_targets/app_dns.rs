//! DNS and multicast DNS messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::{dns, mdns};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = dns::parse(bytes) {
        assert!(message.name().len() <= 255);
        assert!(message.addresses().len() <= 16);
        for record in message.iter() {
            let _ = (record.name(), record.target(), record.address());
        }
    }
    if let Ok(message) = mdns::parse(bytes) {
        let said = mdns::announcement(&message);
        assert!(said.services.len() <= 8 && said.models.len() <= 4);
    }
});
