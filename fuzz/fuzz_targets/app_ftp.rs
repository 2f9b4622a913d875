//! Replies and commands of FTP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::ftp;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reply) = ftp::reply(bytes) {
        assert!((100..600).contains(&reply.code));
    }
    let _ = ftp::command(bytes);
});
