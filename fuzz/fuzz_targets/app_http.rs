//! Lines of HTTP, RTSP and SIP, and what is encoded in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use parse::app::{http, rtsp};

fuzz_target!(|bytes: &[u8]| {
    let _ = (http::recognise(bytes), http::start_line(bytes), http::header(bytes), http::chunk_length(bytes));
    let _ = (http::path(bytes), http::query(bytes), http::pairs(bytes).count());
    let mut out = [0; 64];
    assert!(http::percent_decode(bytes, true, &mut out) <= out.len());
    assert!(http::base64_decode(bytes, &mut out).is_none_or(|length| length <= out.len()));
    if let Ok(length) = rtsp::interleaved(bytes) {
        assert!(length >= 4);
    }
});
