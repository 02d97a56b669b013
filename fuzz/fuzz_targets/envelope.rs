//! Envelopes, group envelopes and slots, as strangers send them. How to run it: see `smoke_codec`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momedo_protocol::group::envelope as group;
use momedo_protocol::{envelope, notice::Notice};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = envelope::decode(bytes) {
        assert!(read.header.suite.number() > 0);
    }
    let _ = group::decode(bytes);
    let _ = group::decode_slot(bytes);
    let _ = Notice::decode(bytes);
});
