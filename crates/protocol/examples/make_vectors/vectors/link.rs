//! What two servers say to each other, for authors of other servers.

use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::{Base64Bytes, encode_base64, encode_hex};
use momedo_protocol::group::GroupId;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::link::calls::{CallHeader, Refusal, ReplyHeader, Request, Response};
use momedo_protocol::link::documents::{BatchBlob, BatchHeader, BatchItem, ItemOutcome, Outcome, Receipt};
use momedo_protocol::link::{
    Batch, Call, FetchKey, Find, FindGroup, Found, FoundGroup, Frame, Hello, KeyPart, MAX_HOPS, NoWay,
    PairingLink, Reply, Signed, SignedReceipt, Standing,
};
use momedo_protocol::notice::{Fate, Notice, NoticedMessage};
use serde_json::{Value, json};

use super::Result;
use super::fixtures::{Keys, anna, ben, message_id};

fn frame(name: &str, frame: &Frame) -> Value {
    json!({ "name": name, "bytes": encode_base64(&frame.encode()) })
}

pub(super) fn link(keys: &Keys) -> Result<Value> {
    let (origin, home) = (keys.rsa("identity_key"), keys.rsa("next_signature_key"));
    let (anna, ben, id) = (anna(), ben(), message_id());
    let code: InviteCode = "7QK0M3ZD9XN4".parse()?;
    let envelope: Vec<u8> = (0..=255).collect();
    let group: GroupId = "7QK0M3ZD9XN4".parse()?;
    let blob = BatchBlob { id: BlobId([7; 16]), size: 65_552 };
    let slot = vec![9; 64];
    let digest = Sha512Digest::of(&envelope);
    let plain = BatchItem {
        from: anna,
        to: ben,
        id,
        digest,
        group: None,
        slot: None,
        blobs: vec![blob],
        device: None,
        sender_device: None,
        copy: false,
    };
    let posted = BatchItem {
        group: Some(group),
        slot: Some(Sha512Digest::of(&slot)),
        blobs: Vec::new(),
        ..plain.clone()
    };
    // The origin is the recipient's other home; one of their devices sent it to the others.
    let copied = BatchItem {
        from: ben,
        blobs: Vec::new(),
        sender_device: Some("7QK0M3ZD".parse()?),
        copy: true,
        ..plain.clone()
    };
    let header = BatchHeader {
        origin: origin.public().fingerprint(),
        home: home.public().fingerprint(),
        items: vec![plain, posted, copied],
    };
    let batch = Batch {
        hops: MAX_HOPS,
        identity_key: origin.public().spki().to_vec(),
        header: serde_json::to_vec(&header.sign(origin))?,
        // The envelope stands in all items and travels once.
        parts: vec![envelope, slot],
    };
    let named = batch.id();
    let receipt = Receipt {
        home: home.public().fingerprint(),
        origin: origin.public().fingerprint(),
        batch: named,
        outcomes: [(anna, None), (anna, Some(group)), (ben, None)]
            .map(|(from, group)| ItemOutcome { from, to: ben, id, group, outcome: Outcome::Delivered })
            .to_vec(),
    };
    let request = Request::GroupEntries { from: anna, group, after: 3, proof: None };
    let body = serde_json::to_vec(&request)?;
    let call = CallHeader {
        origin: origin.public().fingerprint(),
        home: home.public().fingerprint(),
        nonce: Base64Bytes(vec![5; 16]),
        body: Sha512Digest::of(&body),
    };
    let call = Signed {
        identity_key: origin.public().spki().to_vec(),
        header: serde_json::to_vec(&call.sign(origin))?,
        body,
    };
    let body = serde_json::to_vec(&Response::Refused(Refusal::StaleGroup { number: 7 }))?;
    let reply = ReplyHeader {
        home: home.public().fingerprint(),
        call: Base64Bytes(call.name().to_vec()),
        body: Sha512Digest::of(&body),
    };
    let reply = Signed {
        identity_key: home.public().spki().to_vec(),
        header: serde_json::to_vec(&reply.sign(home))?,
        body,
    };
    let call = Call { query: 3, hops: MAX_HOPS, home: home.public().fingerprint(), signed: call };
    let receipt = SignedReceipt {
        batch: named,
        identity_key: Base64Bytes(home.public().spki().to_vec()),
        receipt: receipt.sign(home),
    };
    let hello = Hello {
        versions: vec![1],
        features: Vec::new(),
        name: "Schule am See".into(),
        addresses: vec!["schule.example:4710".into()],
        max_envelope_bytes: 65_536,
        heartbeat_seconds: 30,
    };
    let link =
        PairingLink { address: "schule.example:4710".into(), code, server: origin.public().fingerprint() };
    let digest = Sha512Digest::of(b"a key");
    let notice = Notice {
        fate: Fate::Undeliverable,
        reason: Some(Outcome::UnknownParticipant),
        messages: vec![NoticedMessage { id, to: ben }],
    };
    Ok(json!({
        "about": "Frames of the link between servers, whole: kind, length, body. The batch goes from the home \
                  with `origin_key` to the one with `home_key`; its envelope is none, but 256 bytes.",
        "origin_key": encode_base64(origin.public().spki()),
        "home_key": encode_base64(home.public().spki()),
        "pairing_link": link.to_string(),
        "pairing_code": code,
        "batch": { "id": named, "header": header, "header_bytes": encode_hex(&batch.header) },
        "frames": [
            frame("hello", &Frame::Hello(hello)),
            frame("heartbeat", &Frame::Heartbeat),
            frame("pair", &Frame::Pair { code: Some(code) }),
            frame("pair without a code", &Frame::Pair { code: None }),
            frame("standing", &Frame::Standing(Standing::Recorded)),
            frame("standing: not taken", &Frame::Standing(Standing::NotTaken)),
            frame("batch", &Frame::Batch(Box::new(batch))),
            frame("taken", &Frame::Taken { batch: named }),
            frame("busy", &Frame::Busy { batch: named, retry_after: 60 }),
            frame("undeliverable", &Frame::Undeliverable { batch: named, reason: NoWay::NoRoute }),
            frame("receipt", &Frame::Receipt(Box::new(receipt))),
            frame("find", &Frame::Find(Find { query: 1, id: ben, hops: MAX_HOPS })),
            frame("found nothing", &Frame::Found(Box::new(Found { query: 1, keys: None, distance: 0 }))),
            frame("fetch a key", &Frame::FetchKey(FetchKey { query: 2, digest, hops: MAX_HOPS })),
            frame("a part of a key", &Frame::KeyPart(KeyPart { query: 2, offset: 65_536, bytes: vec![1, 2, 3] })),
            frame("call", &Frame::Call(Box::new(call))),
            frame("reply", &Frame::Reply(Box::new(Reply { query: 3, signed: Some(reply) }))),
            frame("no reply", &Frame::Reply(Box::new(Reply { query: 3, signed: None }))),
            frame("find a group", &Frame::FindGroup(FindGroup { query: 4, group, hops: MAX_HOPS })),
            frame("found no group", &Frame::FoundGroup(Box::new(FoundGroup { query: 4, entry: None, distance: 0 }))),
            frame("no key", &Frame::KeyPart(KeyPart { query: 2, offset: 0, bytes: Vec::new() })),
        ],
        "refused": [
            { "why": "unknown kind", "bytes": encode_base64(&[99, 0, 0, 0, 0]) },
            { "why": "a heart-beat with a body", "bytes": encode_base64(&[2, 0, 0, 0, 1, 0]) },
            { "why": "larger than a batch may be", "bytes": encode_base64(&[5, 255, 255, 255, 255]) },
            { "why": "larger than a question may be", "bytes": encode_base64(&[10, 0, 0, 64, 1]) },
            { "why": "a batch cut in its header", "bytes": encode_base64(&[5, 0, 0, 0, 6, 4, 0, 0, 0, 9, 1]) },
            { "why": "an unknown field", "bytes": encode_base64(&framed(4, br#"{"standing":"paused","more":1}"#)) },
            { "why": "an unknown word", "bytes": encode_base64(&framed(4, br#"{"standing":"fine"}"#)) },
        ],
        "notice": { "bytes": encode_base64(&notice.encode()), "json": notice },
    }))
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind][..], &length, body].concat()
}
