//! Frames of clients and servers on a stream. How to run it: see `smoke_codec`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momedo_protocol::stream::{ClientFrame, ServerFrame};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = serde_json::from_slice::<ClientFrame>(bytes) {
        let written = serde_json::to_vec(&frame).expect("a frame can be written");
        let again: ClientFrame = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(serde_json::to_vec(&again).expect("it can be written"), written);
    }
    let _ = serde_json::from_slice::<ServerFrame>(bytes);
});
