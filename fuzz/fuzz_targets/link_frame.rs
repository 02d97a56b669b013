//! Frames between neighbours. What is read is written as it was read. How to run it: see `smoke_codec`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momedo_protocol::link::{Frame, HEADER_BYTES, read_header};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else { return };
    let mut header = [0; HEADER_BYTES];
    let length = bytes.len().min(HEADER_BYTES);
    header[..length].copy_from_slice(&bytes[..length]);
    let _ = read_header(header);
    if let Ok(frame) = Frame::decode(*kind, body) {
        let written = frame.encode();
        let again = Frame::decode(written[0], &written[HEADER_BYTES..]).expect("what was written can be read");
        assert_eq!(again.encode(), written);
    }
});
