//! The committed vectors of the key log: what authors of other clients and servers rely on must hold here too.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::path::Path;

use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::decode_base64;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::DocumentType;
use momedo_protocol::key_log::{
    KeyLogEntry, KeyLogHead, LogGap, LogPlace, LogSubject, LogView, SignedHead, follow,
};
use momedo_protocol::link::{Frame, HEADER_BYTES, read_header};
use momedo_protocol::rsa_key::RsaPublicKey;
use serde_json::Value;

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/key_log.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn subjects_and_hashes_come_out_as_written() {
    let vectors = vectors();
    let server: Fingerprint = read(&vectors["server"]);
    for vector in vectors["subjects"].as_array().unwrap() {
        let id: ParticipantId = read(&vector["id"]);
        let subject = LogSubject::of(server, id);
        assert_eq!(subject, read(&vector["subject"]));
        assert_eq!(subject.of_devices(), read(&vector["devices"]));
    }
    let (home, entry): (Fingerprint, KeyLogEntry) =
        (read(&vectors["home"]["home"]), read(&vectors["home"]["entry"]));
    assert_eq!(entry, KeyLogEntry::of_home(server, home, entry.made_at));
    assert_eq!(entry.home(server), Some(home));
    let mut place = LogPlace::start(server);
    assert_eq!(place.hash, read::<Sha512Digest>(&vectors["start"]));
    for vector in vectors["entries"].as_array().unwrap() {
        place = place.after(&read::<KeyLogEntry>(&vector["entry"]));
        assert_eq!((place.number, place.hash), (read(&vector["number"]), read(&vector["hash"])));
        let view: LogView = read(&vector["view"]);
        assert!(view == place.view(server) && view.is_of(server) && view.agrees(&place));
    }
}

#[test]
fn the_page_leads_from_the_start_to_the_signed_head() {
    let vectors = vectors();
    let server: Fingerprint = read(&vectors["server"]);
    let page: KeyLogPage = read(&vectors["page"]);
    let head = page.head.verify(server).unwrap();
    assert_eq!(head, read::<KeyLogHead>(&vectors["head"]));
    let start = LogPlace::start(server);
    assert_eq!(follow(start, &page, &head, &HashMap::new()).unwrap().last(), Some(&head.place()));
    let other = LogPlace::start(Fingerprint([1; 32]));
    assert_eq!(follow(other, &page, &head, &HashMap::new()), Err(LogGap::OtherPast));
    // A head is one server's and nothing else.
    let signed: SignedHead = read(&vectors["signed_head"]);
    assert!(signed.verify(Fingerprint([1; 32])).is_err());
    let key = RsaPublicKey::from_spki(&signed.identity_key.0).unwrap();
    assert!(signed.head.verify(DocumentType::Receipt, &[&key]).is_err());
}

#[test]
fn frames_are_read_and_written_byte_for_byte() {
    for vector in vectors()["frames"].as_array().unwrap() {
        let bytes = decode_base64(vector["bytes"].as_str().unwrap()).unwrap();
        let (kind, length) = read_header(*bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(length, bytes.len() - HEADER_BYTES);
        let frame = Frame::decode(kind, &bytes[HEADER_BYTES..]).unwrap();
        assert_eq!(frame.encode(), bytes, "{}", vector["name"]);
    }
}
