//! The committed vectors of the link: what authors of other servers rely on must hold here too.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::{decode_base64, encode_hex};
use momedo_protocol::jws::DocumentType;
use momedo_protocol::link::calls::{CallHeader, ReplyHeader};
use momedo_protocol::link::documents::{BatchHeader, Outcome, Receipt};
use momedo_protocol::link::{BatchId, Frame, FrameError, HEADER_BYTES, PairingLink, read_header};
use momedo_protocol::notice::Notice;
use momedo_protocol::rsa_key::RsaPublicKey;
use serde_json::Value;

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/link.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    decode_base64(value.as_str().unwrap()).unwrap()
}

fn key(value: &Value) -> RsaPublicKey {
    RsaPublicKey::from_spki(&bytes(value)).unwrap()
}

fn read(bytes: &[u8]) -> Result<Frame, FrameError> {
    let (kind, length) = read_header(*bytes.first_chunk().unwrap())?;
    assert_eq!(length, bytes.len() - HEADER_BYTES);
    Frame::decode(kind, &bytes[HEADER_BYTES..])
}

#[test]
fn frames_are_read_and_written_byte_for_byte_and_others_refused() {
    let vectors = vectors();
    for vector in vectors["frames"].as_array().unwrap() {
        let bytes = bytes(&vector["bytes"]);
        assert_eq!(read(&bytes).unwrap().encode(), bytes, "{}", vector["name"]);
    }
    for vector in vectors["refused"].as_array().unwrap() {
        assert!(read(&bytes(&vector["bytes"])).is_err(), "{}", vector["why"]);
    }
}

#[test]
fn batch_and_receipt_are_signed_by_their_homes_and_fit_each_other() {
    let vectors = vectors();
    let (origin, home) = (key(&vectors["origin_key"]), key(&vectors["home_key"]));
    let frame = |name: &str| {
        let all = vectors["frames"].as_array().unwrap();
        read(&bytes(&all.iter().find(|vector| vector["name"] == name).unwrap()["bytes"])).unwrap()
    };
    let (Frame::Batch(batch), Frame::Receipt(signed)) = (frame("batch"), frame("receipt")) else { panic!() };
    assert_eq!(batch.id().to_string(), vectors["batch"]["id"].as_str().unwrap());
    assert_eq!(batch.id(), BatchId::of(&batch.header));
    assert_eq!(encode_hex(&batch.header), vectors["batch"]["header_bytes"].as_str().unwrap());
    let jws = batch.signed_header().unwrap();
    let header = BatchHeader::verify(&jws, &origin).unwrap();
    assert_eq!(serde_json::to_value(&header).unwrap(), vectors["batch"]["header"]);
    assert_eq!(header.items[0].digest, Sha512Digest::of(&batch.parts[0]));
    let copied: Vec<_> = header.items.iter().map(|item| (item.copy, item.sender_device.is_some())).collect();
    assert_eq!(copied, [(false, false), (false, false), (true, true)]);
    let receipt = Receipt::verify(&signed.receipt, &home).unwrap();
    assert_eq!((receipt.batch, receipt.outcomes[0].outcome), (batch.id(), Outcome::Delivered));
    // One home's signature is not another's, and one kind of document not another.
    assert!(BatchHeader::verify(&jws, &home).is_err());
    assert!(Receipt::verify(&signed.receipt, &origin).is_err());
    assert!(jws.verify(DocumentType::Receipt, &[&origin]).is_err());
    assert!(signed.receipt.verify(DocumentType::Batch, &[&home]).is_err());
}

#[test]
fn a_call_and_its_answer_are_signed_by_their_homes_and_fit_each_other() {
    let vectors = vectors();
    let (origin, home) = (key(&vectors["origin_key"]), key(&vectors["home_key"]));
    let frame = |name: &str| {
        let all = vectors["frames"].as_array().unwrap();
        read(&bytes(&all.iter().find(|vector| vector["name"] == name).unwrap()["bytes"])).unwrap()
    };
    let (Frame::Call(call), Frame::Reply(reply)) = (frame("call"), frame("reply")) else { panic!() };
    let header = CallHeader::verify(&call.signed.signed_header().unwrap(), &origin).unwrap();
    assert_eq!((header.home, header.body), (home.fingerprint(), Sha512Digest::of(&call.signed.body)));
    assert!(CallHeader::verify(&call.signed.signed_header().unwrap(), &home).is_err());
    let answer = reply.signed.unwrap();
    let header = ReplyHeader::verify(&answer.signed_header().unwrap(), &home).unwrap();
    assert_eq!((&header.call.0[..], header.body), (&call.signed.name()[..], Sha512Digest::of(&answer.body)));
    assert!(ReplyHeader::verify(&answer.signed_header().unwrap(), &origin).is_err());
}

#[test]
fn the_pairing_link_and_the_notice_are_read() {
    let vectors = vectors();
    let link: PairingLink = vectors["pairing_link"].as_str().unwrap().parse().unwrap();
    assert_eq!(link.server, key(&vectors["origin_key"]).fingerprint());
    assert_eq!(link.code.to_string(), vectors["pairing_code"].as_str().unwrap());
    let notice = Notice::decode(&bytes(&vectors["notice"]["bytes"])).unwrap();
    assert_eq!(serde_json::to_value(&notice).unwrap(), vectors["notice"]["json"]);
}
