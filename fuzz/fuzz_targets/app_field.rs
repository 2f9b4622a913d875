//! Names of protocols of the field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::field;

fuzz_target!(|bytes: &[u8]| {
    let _ = (field::over_tcp(bytes), field::over_udp(bytes));
});
