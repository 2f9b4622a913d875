//! OpenC2 messages: what is taken for a command is written again as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stop::openc2::{Message, command, foreign_block, messages};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = serde_json::from_slice::<Vec<Message>>(bytes) {
        if let Ok(command) = command(&read) {
            assert_eq!(messages(&command), read);
        }
        let now = model::Timestamp::from_secs(1_000);
        for (_, until) in read.iter().filter_map(|message| foreign_block(message, now).ok()) {
            assert!(until > now);
        }
    }
});
