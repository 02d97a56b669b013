//! A log of key changes with every step, and the frames that carry it.

use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::cursor::StoreEpoch;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::{Base64Bytes, encode_base64};
use momedo_protocol::key_log::{KeyLogEntry, KeyLogHead, LogPlace, LogSubject, SignedHead};
use momedo_protocol::link::{FetchKeyLog, Frame, KeyLogPart};
use momedo_protocol::time::UnixMillis;
use serde_json::{Value, json};

use super::Result;
use super::fixtures::{Keys, anna, ben};

pub(super) fn key_log(keys: &Keys) -> Result<Value> {
    let identity = keys.rsa("identity_key");
    let server = identity.public().fingerprint();
    let ids = [anna(), ben()];
    let subjects = ids.map(|id| LogSubject::of(server, id));
    let entry = |subject: usize, version: u64, at: u64| KeyLogEntry {
        subject: subjects[subject],
        version,
        digest: Sha512Digest::of(format!("bundle {version} of {}", ids[subject]).as_bytes()),
        made_at: UnixMillis(1_790_000_000_000 + at),
    };
    let log = [entry(0, 1, 0), entry(1, 1, 5_000), entry(0, 2, 90_000)];
    let home = Fingerprint([9; 32]);
    let start = LogPlace::start(server);
    let mut places = vec![start];
    for entry in &log {
        places.push(places[places.len() - 1].after(entry));
    }
    let end = places[log.len()];
    let head = KeyLogHead {
        server,
        epoch: StoreEpoch::from_number(0x9_1234_5678).ok_or("no epoch")?,
        number: end.number,
        hash: end.hash,
        made_at: UnixMillis(1_790_000_100_000),
    };
    let signed = SignedHead {
        identity_key: Base64Bytes(identity.public().spki().to_vec()),
        head: head.sign(identity),
    };
    let page = KeyLogPage { hash: Some(start.hash), entries: log.to_vec(), head: signed.clone() };
    let frame = |name: &str, frame: Frame| json!({ "name": name, "bytes": encode_base64(&frame.encode()) });
    let entries = log.iter().zip(&places[1..]).map(|(entry, place)| {
        json!({ "entry": entry, "number": place.number, "hash": place.hash, "view": place.view(server) })
    });
    Ok(json!({
        "about": "A log of three key changes of two participants, from its start; the signed head, and a page as \
                  clients and neighbours get it.",
        "server": server,
        "subjects": ids.iter().zip(subjects).map(|(id, subject)| {
            json!({ "id": id, "subject": subject, "devices": subject.of_devices() })
        }).collect::<Vec<_>>(),
        "home": { "home": home, "entry": KeyLogEntry::of_home(server, home, UnixMillis(1_790_000_000_000)) },
        "start": start.hash,
        "entries": entries.collect::<Vec<_>>(),
        "head": head,
        "signed_head": signed,
        "page": page,
        "frames": [
            frame("key log head", Frame::KeyLogHead(Box::new(signed))),
            frame("fetch a key log", Frame::FetchKeyLog(FetchKeyLog { query: 3, after: 0 })),
            frame("part of a key log", Frame::KeyLogPart(Box::new(KeyLogPart { query: 3, page: Some(page) }))),
            frame("no key log", Frame::KeyLogPart(Box::new(KeyLogPart { query: 3, page: None }))),
        ],
    }))
}
