//! Everything of the Smoke protocol that reads what strangers send.
//!
//! From this folder, with a nightly compiler and cargo-fuzz:
//!
//! ```text
//! cargo run --bin seeds
//! cargo +nightly fuzz run smoke_codec -- -max_total_time=600 -rss_limit_mb=512 -max_len=70000
//! ```
//!
//! A panic, more than 512 MiB, or a reader that holds more than its limit is a finding.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use momedo_smoke::challenge::{Challenge, Response};
use momedo_smoke::destination::{Addressed, Form};
use momedo_smoke::directory::{Directory, Ozone, Participant};
use momedo_smoke::frame::{self, Frame, FrameReader};
use momedo_smoke::greeting::Greeting;
use momedo_smoke::key_bundle::{KeyBundle, Signatures};
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::ozone_request::OzoneRequest;
use momedo_smoke::recognition::{Hints, Recognised, Search};
use momedo_smoke::smoke_id::SmokeId;

const NOW: u64 = 1_795_289_908_000;

/// As small as a stranger's limit, so that skipping is exercised, too.
const LIMIT: usize = 16 * 1024;

static DIRECTORY: LazyLock<Directory> = LazyLock::new(|| {
    let participants = ["2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7", "4D27-5701-9B5E-045E-E6F0-5EC4-7102-7C95"];
    let participants = participants.iter().zip(1..).map(|(id, number)| {
        let id: SmokeId = id.parse().expect("an ID");
        Participant::new(number, id, KeyStream::of_id(&id))
    });
    Directory::new(vec![Ozone { stream: KeyStream::of_ozone("harbour lantern") }], participants.collect())
});

fn recognise(addressed: &Addressed) {
    let hints = Hints::default();
    for form in addressed.forms() {
        let parts = addressed.parts_as(form).expect("it has this form");
        let search = match form {
            Form::Whole => Search::new(&DIRECTORY, &hints, parts, NOW),
            Form::Lines => Search::of_fire(&DIRECTORY, parts),
        };
        match search.quick(&hints).or_else(|| search.full(&[])) {
            Some(Recognised::Request { plain, .. }) => request(&plain),
            Some(Recognised::Keys { plain, .. }) => bundle(&plain),
            _ => {}
        }
    }
}

fn stream(bytes: &[u8]) {
    let _ = Greeting::of(bytes);
    let mut reader = FrameReader::new(LIMIT);
    // Pieces of lengths that the input itself chooses.
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let (piece, later) = rest.split_at((usize::from(*first) * 8 + 1).min(rest.len()));
        reader.push(piece);
        while let Some(found) = reader.next_frame() {
            assert!(found.len() <= LIMIT);
            let read = Frame::read(&found);
            frame::identity(read.body);
            frame::identities(read.body);
            response(read.body);
            if let Some(addressed) = Addressed::read(read.body) {
                recognise(&addressed);
            }
        }
        reader.announced();
        assert!(reader.held() <= LIMIT);
        rest = later;
    }
}

fn request(plain: &[u8]) {
    if let Some(OzoneRequest::Retrieve(signed) | OzoneRequest::MessageRead(signed)) = OzoneRequest::read(plain) {
        signed.is_signed_by(plain);
    }
}

fn bundle(plain: &[u8]) {
    if let Ok(bundle) = KeyBundle::read(plain) {
        assert_eq!(KeyBundle::read(&bundle.text()).as_ref(), Ok(&bundle));
        let _: Result<_, _> = bundle.check(Signatures::Required);
    }
}

fn response(body: &[u8]) {
    if let Some(response) = Response::read(body) {
        response.answers(&Challenge::from_text("x".into()), body);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    match kind % 5 {
        0 => stream(rest),
        1 => request(rest),
        2 => bundle(rest),
        3 => response(rest),
        // What is sealed rightly gets further.
        _ => {
            let payload = DIRECTORY.ozones()[0].stream.seal(rest);
            stream(&frame::untyped(&payload, [0; 16]));
        }
    }
});
