//! `vectors/groups.json` says what this crate does.
#![allow(clippy::unwrap_used, reason = "tests")]

use hkdf::Hkdf;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::{decode_base64, encode_hex};
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::GroupEntry;
use momedo_protocol::group::envelope::{decode, open_message, seal_with};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::Sha512;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/groups.json")).unwrap()
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    decode_base64(value.as_str().unwrap()).unwrap()
}

fn chain(vectors: &Value) -> GroupState {
    let mut state: Option<GroupState> = None;
    let entries = vectors["chain"]["entries"].as_array().unwrap();
    for (jws, after) in entries.iter().zip(vectors["chain"]["after"].as_array().unwrap()) {
        let entry = GroupEntry::read(&parsed(jws)).unwrap();
        match &mut state {
            None => state = Some(GroupState::create(&entry).unwrap()),
            Some(state) => state.apply(&entry).unwrap(),
        }
        let state = state.as_ref().unwrap();
        assert_eq!(state.number, after["number"]);
        assert_eq!(state.head, parsed::<Sha512Digest>(&after["head"]));
        assert_eq!(state.epoch, after["epoch"]);
        assert_eq!(state.needs_epoch, after["needs_epoch"]);
        assert_eq!(serde_json::to_value(&state.members).unwrap(), after["members"]);
    }
    state.unwrap()
}

#[test]
fn a_chain_comes_to_the_group_it_should() {
    let vectors = vectors();
    let state = chain(&vectors);
    assert_eq!(state.group, parsed::<Sha512Digest>(&vectors["id"]["group"]));
    assert_eq!(state.id(), parsed::<GroupId>(&vectors["id"]["id"]));
}

#[test]
fn entries_that_break_a_rule_are_refused() {
    let vectors = vectors();
    let state = chain(&vectors);
    for refused in vectors["refused_after_the_chain"].as_array().unwrap() {
        let entry = GroupEntry::read(&parsed(&refused["entry"])).unwrap();
        assert!(state.clone().apply(&entry).is_err(), "{}", refused["why"]);
    }
}

#[test]
fn group_keys_and_links_are_what_the_chain_says() {
    let vectors = vectors();
    let key = GroupKey::from_bytes(&bytes(&vectors["group_key"]["key"])).unwrap();
    assert_eq!(key.commitment(), parsed::<Sha512Digest>(&vectors["group_key"]["commitment"]));
    let vector = &vectors["link"];
    let link: GroupLink = vector["link"].as_str().unwrap().parse().unwrap();
    assert_eq!(link.public_key(), bytes(&vector["public_key"]));
    let (id, fingerprint) =
        (parsed::<ParticipantId>(&vector["id"]), parsed::<Fingerprint>(&vector["fingerprint"]));
    // Ed25519 is deterministic.
    assert_eq!(link.prove(id, &fingerprint), bytes(&vector["proof"]));
}

#[test]
fn messages_open_and_are_made_again_byte_for_byte() {
    let vectors = vectors();
    for vector in vectors["sealed"].as_array().unwrap() {
        let envelope_bytes = bytes(&vector["envelope"]);
        let envelope = decode(&envelope_bytes).unwrap();
        let key = GroupKey::from_bytes(&bytes(&vector["key"])).unwrap();
        let sender: ParticipantId = parsed(&vector["sender"]);
        let header = envelope.header;
        assert_eq!(
            (header.suite.number(), header.epoch),
            (parsed(&vector["suite"]), parsed(&vector["epoch"]))
        );
        assert_eq!(header.salt.to_vec(), bytes(&vector["salt"]));
        let info = [
            &b"momedo group message key v1"[..],
            &[header.suite.number()],
            &header.group.0,
            &header.epoch.to_be_bytes(),
            sender.to_string().as_bytes(),
            &header.message_id.0,
        ]
        .concat();
        assert_eq!(encode_hex(&info), vector["info_hex"]);
        let mut derived = [0; 64];
        Hkdf::<Sha512>::new(Some(&header.salt), key.bytes()).expand(&info, &mut derived).unwrap();
        assert_eq!(derived[..32].to_vec(), bytes(&vector["derived_key"]));
        assert_eq!(derived[32..].to_vec(), bytes(&vector["commitment"]));
        assert!(envelope.sealed.starts_with(&derived[32..]));
        let inner = vector["inner"].as_str().unwrap();
        assert_eq!(&open_message(&envelope, &key, sender).unwrap()[..], inner.as_bytes());
        assert_eq!(seal_with(&header, &key, sender, inner.as_bytes()).unwrap(), envelope_bytes);
        let entries = vectors["chain"]["entries"].as_array().unwrap();
        // The entry with which Ben made the epoch brings his key.
        let ben = GroupEntry::read(&parsed(&entries[2])).unwrap().key;
        let message = Message::verify(inner.as_bytes(), &ben).unwrap();
        assert_eq!((message.to, message.group.unwrap().id), (None, header.group));
    }
}
