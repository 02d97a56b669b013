//! Every vector of the original app and server, without a server: what is deterministic byte for byte.
//!
//! `tests/it/smoke_vectors.rs` of the server sends the same frames to a running one.
#![allow(clippy::unwrap_used, reason = "a test: a failure is its result")]

use std::collections::BTreeMap;

use momedo_smoke::challenge::{Challenge, Response};
use momedo_smoke::destination::{self, Addressed};
use momedo_smoke::directory::{Directory, Ozone, Participant};
use momedo_smoke::frame::{self, Frame, FrameReader, Kind};
use momedo_smoke::key_bundle::{self, KeyBundle, KeyBundleError, Signatures};
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::ozone_request::{self, OzoneRequest, is_timely};
use momedo_smoke::recognition::{Hints, LiveIdentity, Recognised, Search};
use momedo_smoke::sip_hash::sip_hash_128;
use momedo_smoke::smoke_id::SmokeId;
use momedo_smoke::{lenient_base64, offline_copy, sha512};
use serde_json::Value;

const OZONE: &str = "harbour lantern";

fn document() -> Value {
    serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap()
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn base64(text: &Value) -> Vec<u8> {
    lenient_base64::decode(text.as_str().unwrap().as_bytes()).unwrap()
}

fn id(text: &Value) -> SmokeId {
    text.as_str().unwrap().parse().unwrap()
}

fn frame_of(vector: &Value) -> &[u8] {
    vector["outputs"]["frame"].as_str().unwrap().as_bytes()
}

fn payload(frame: &[u8]) -> Addressed {
    let frame = Frame::read(frame);
    assert_eq!(frame.kind, None);
    Addressed::read(frame.body).unwrap()
}

/// Everybody of the vectors, and their ozone.
fn directory(document: &Value) -> Directory {
    let participants = document["identities"].as_array().unwrap().iter().enumerate().map(|(number, one)| {
        let id = id(&one["smoke_id"]);
        Participant::new(number as i64, id, KeyStream::of_id(&id))
    });
    Directory::new(vec![Ozone { stream: KeyStream::of_ozone(OZONE) }], participants.collect())
}

fn number(directory: &Directory, id: &SmokeId) -> i64 {
    directory.by_id(id).unwrap().number
}

/// The same whether it is found by a hint or by searching everything.
fn recognise(
    directory: &Directory,
    payload: &Addressed,
    now: u64,
    live: &[LiveIdentity],
) -> Option<Recognised> {
    let parts = payload.parts().unwrap();
    let search = |hints: &Hints| {
        if payload.is_fire() {
            Search::of_fire(directory, parts)
        } else {
            Search::new(directory, hints, parts, now)
        }
    };
    let mut hints = Hints::default();
    let full = search(&hints).quick(&hints).or_else(|| search(&hints).full(live));
    for one in directory.participants() {
        hints.note(one.identity);
    }
    live.iter().for_each(|one| hints.note(one.identity));
    let quick = search(&hints).quick(&hints);
    let word = |found: &Option<Recognised>| match found {
        Some(Recognised::Request { plain, .. }) => format!("request {plain:?}"),
        Some(Recognised::Keys { participant, .. }) => format!("keys {participant}"),
        Some(Recognised::OfflineCopy { participant }) => format!("copy {participant}"),
        Some(Recognised::Addressed { identity }) => format!("addressed {identity:?}"),
        None => "nothing".into(),
    };
    assert_eq!(word(&full), word(&quick));
    full
}

fn bundle(directory: &Directory, vector: &Value, addressee: &SmokeId) -> KeyBundle {
    let now = vector["inputs"]["timestamp_ms"].as_u64().unwrap();
    let found = recognise(directory, &payload(frame_of(vector)), now, &[]);
    let Some(Recognised::Keys { participant, plain, .. }) = found else { panic!("not recognised") };
    assert_eq!(participant, number(directory, addressee));
    KeyBundle::read(&plain).unwrap()
}

fn check_window(vector: &Value, at_millis: u64, window: u64) {
    for one in vector["outputs"]["window"].as_array().unwrap() {
        let timely = is_timely(at_millis, one["server_now_ms"].as_u64().unwrap(), window);
        assert_eq!(timely, one["in_window"].as_bool().unwrap(), "{one}");
    }
}

fn check_request(directory: &Directory, keys: &BTreeMap<String, KeyBundle>, vector: &Value) {
    let (inputs, now) = (&vector["inputs"], vector["inputs"]["timestamp_ms"].as_u64().unwrap());
    let found = recognise(directory, &payload(frame_of(vector)), now, &[]);
    let Some(Recognised::Request { plain, .. }) = found else { panic!("not recognised") };
    assert_eq!(*plain, hex(&inputs["plaintext_hex"]));
    let request = OzoneRequest::read(&plain).unwrap();
    assert_eq!(request.at_millis(), now);
    check_window(vector, now, ozone_request::WINDOW_MILLIS);
    match request {
        OzoneRequest::Retrieve(signed) | OzoneRequest::MessageRead(signed) => {
            let signer = inputs["signer"].as_str().unwrap();
            let is_retrieval = vector["kind"] == "retrieval";
            let field = if is_retrieval { "retrieval_identity_hex" } else { "message_digest_hex" };
            assert_eq!(signed.field[..], hex(&inputs[field]));
            assert_eq!(signed.key_digest, sha512(&keys[signer].encryption_key));
            for (name, bundle) in keys {
                assert_eq!(signed.is_signed_by(&bundle.signature_key), name == signer, "{name}");
            }
            if is_retrieval {
                let frame = Frame::read(vector["outputs"]["identity_frame"].as_str().unwrap().as_bytes());
                assert_eq!(frame.kind, Some(Kind::Identity));
                assert_eq!(frame::identity(frame.body), Some(signed.field));
            }
        }
        OzoneRequest::FetchKeys { requester, requested, .. } => {
            assert_eq!(requester, id(&inputs["requester_id"]));
            assert_eq!(requested, id(&inputs["requested_id"]));
            let owner = &document()["identities"].as_array().unwrap().clone();
            let owner = owner.iter().find(|one| one["smoke_id"] == inputs["requested_id"]).unwrap();
            let stored = &keys[owner["name"].as_str().unwrap()];
            // The answer, with another time: the stored items, letter by letter.
            let answer = KeyBundle { at_millis: 7, ..stored.clone() };
            let text = String::from_utf8(answer.text().to_vec()).unwrap();
            let lines = vector["outputs"]["reply_plaintext_lines_after_timestamp"].as_array().unwrap();
            for (line, expected) in text.split('\n').skip(1).zip(lines) {
                assert!(expected == "in epks-self-carol" || expected == line, "{expected} {line}");
            }
            let sealed = answer.seal(&requester, &KeyStream::of_id(&requester));
            let (data, tag) = sealed.split_at(sealed.len() - 64);
            assert_eq!(destination::tag(&requester.routing_identity(), data), tag);
            let opened = key_bundle::open_sealed(data, &KeyStream::of_id(&requester)).unwrap();
            assert_eq!(KeyBundle::read(&opened), Ok(answer));
        }
        OzoneRequest::ShareId { id: shared, temporary, .. } => {
            assert_eq!(shared, id(&inputs["smoke_id"]));
            assert_eq!(temporary[..], hex(&inputs["temporary_identity_hex"]));
        }
    }
}

#[test]
fn every_vector_is_understood_byte_for_byte() {
    let document = document();
    let directory = directory(&document);
    let vectors = document["vectors"].as_array().unwrap();
    let mut checked = BTreeMap::<&str, usize>::new();
    let mut keys = BTreeMap::new();
    for vector in vectors.iter().filter(|vector| vector["name"].as_str().unwrap().starts_with("epks-self")) {
        let sender = vector["inputs"]["sender"].as_str().unwrap();
        keys.insert(sender.to_owned(), bundle(&directory, vector, &id(&vector["inputs"]["addressed_to"])));
    }
    for vector in vectors {
        let (name, kind) = (vector["name"].as_str().unwrap(), vector["kind"].as_str().unwrap());
        let (inputs, outputs) = (&vector["inputs"], &vector["outputs"]);
        let now = inputs["timestamp_ms"].as_u64().unwrap_or(1_795_289_908_000);
        println!("{name}");
        *checked.entry(kind).or_default() += 1;
        match kind {
            "siphash" => {
                let key = hex(&inputs["key_hex"]).try_into().unwrap();
                let hash = sip_hash_128(&key, &hex(&inputs["data_hex"]));
                assert_eq!(hash[..], hex(&outputs["word0_word1_big_endian_hex"]));
            }
            "smoke_id" => {
                let expected = id(&outputs["smoke_id"]);
                let found = match inputs["alias"].as_str().unwrap() {
                    "" => {
                        let keys = &keys[name.strip_prefix("smoke-id-").unwrap()];
                        SmokeId::of_keys(&keys.encryption_key, &keys.signature_key)
                    }
                    alias => SmokeId::of_alias(alias),
                };
                assert_eq!(found, expected);
            }
            "smoke_id_from_text" => {
                assert_eq!(SmokeId::of_alias(inputs["text"].as_str().unwrap()), id(&outputs["smoke_id"]));
            }
            "id_stream" => {
                assert_eq!(
                    KeyStream::of_id(&id(&inputs["smoke_id"])).bytes()[..],
                    hex(&outputs["stream_hex"])
                );
            }
            "ozone_stream" => {
                let stream = KeyStream::of_ozone(inputs["ozone"].as_str().unwrap());
                assert_eq!(stream.bytes()[..], hex(&outputs["stream_hex"]));
            }
            "epks" => {
                let bundle = bundle(&directory, vector, &id(&inputs["addressed_to"]));
                assert_eq!(bundle.at_millis, now);
                check_window(vector, now, key_bundle::WINDOW_MILLIS);
                let sender = &keys[inputs["sender"].as_str().unwrap()];
                assert_eq!(bundle.id, sender.id);
                assert_eq!(bundle.signature_key, sender.signature_key);
                let unsigned = name.contains("unsigned");
                assert_eq!(bundle.check(Signatures::Required).is_err(), unsigned);
                assert_eq!(bundle.check(Signatures::Optional), Ok(()));
            }
            "epks_negative" => {
                let bundle = bundle(&directory, vector, &id(&inputs["addressed_to"]));
                assert_eq!(bundle.check(Signatures::Required), Err(KeyBundleError::WrongSignature));
            }
            "chat_direct" | "opaque_with_destination" => {
                let identity: [u8; 64] = hex(&inputs["routing_identity_hex"]).try_into().unwrap();
                assert_eq!(id(&inputs["to"]).routing_identity(), identity);
                let found = recognise(&directory, &payload(frame_of(vector)), now, &[]);
                assert!(matches!(found, Some(Recognised::Addressed { identity: to }) if to == identity));
            }
            "chat_ozone" => {
                let payload = payload(frame_of(vector));
                let body = payload.parts().unwrap().0;
                assert_eq!(sha512(body)[..], hex(&outputs["stored_body_sha512_hex"]));
                let minute = inputs["minutes"].as_u64().unwrap();
                // One minute more than the original takes, for copies that arrive late.
                for (server, taken) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
                    let now = (minute.checked_add_signed(server).unwrap()) * 60_000 + 59_999;
                    let found = recognise(&directory, &payload, now, &[]);
                    let expected = number(&directory, &id(&inputs["to"]));
                    let is_copy = matches!(found, Some(Recognised::OfflineCopy { participant }) if participant == expected);
                    assert_eq!(is_copy, taken, "{server}");
                }
                let state = KeyStream::of_ozone(OZONE).mac().start(body);
                let tag = offline_copy::copy_tag(&state, &id(&inputs["to"]), minute);
                assert_eq!(tag[..], *payload.parts().unwrap().1);
            }
            "release" => {
                let identity = hex(&inputs["retrieval_identity_hex"]).try_into().unwrap();
                let released = offline_copy::release(&base64(&inputs["stored_body_b64"]), &identity);
                assert_eq!(released, base64(&outputs["payload_b64"]));
                let example = payload(outputs["frame_example"].as_str().unwrap().as_bytes());
                assert_eq!(example.bytes(), released);
                assert_eq!(payload(&frame::untyped(&released, [7; 16])).bytes(), released);
                assert_eq!(
                    sha512(&base64(&inputs["stored_body_b64"]))[..],
                    hex(&outputs["message_digest_hex"])
                );
            }
            "fire" => {
                let identity: [u8; 64] = hex(&inputs["routing_identity_hex"]).try_into().unwrap();
                let payload = payload(frame_of(vector));
                assert!(payload.is_fire());
                assert!(recognise(&directory, &payload, now, &[]).is_none());
                let live = [LiveIdentity::new([1; 64]), LiveIdentity::new(identity)];
                let found = recognise(&directory, &payload, now, &live);
                assert!(matches!(found, Some(Recognised::Addressed { identity: to }) if to == identity));
            }
            "retrieval" | "message_read" | "share_id" | "pkp_request" => {
                check_request(&directory, &keys, vector)
            }
            "share_id_confirmation" => {
                let stream = KeyStream::of_ozone(OZONE);
                let expected = base64(&outputs["payload_b64"]);
                let shared = id(&inputs["smoke_id"]);
                let temporary = hex(&inputs["temporary_identity_hex"]).try_into().unwrap();
                let made = ozone_request::confirmation(&stream, &shared, &temporary, now);
                for payload in [expected, made] {
                    let (sealed, tag) = payload.split_at(payload.len() - 64);
                    assert_eq!(destination::tag(&shared.routing_identity(), sealed), tag);
                    assert_eq!(*stream.open(sealed).unwrap(), hex(&inputs["plaintext_hex"]));
                }
            }
            "retrieval_negative" => {
                let found = recognise(&directory, &payload(frame_of(vector)), now, &[]);
                if name == "retrieval-bad-mac" {
                    assert!(found.is_none());
                    continue;
                }
                let Some(Recognised::Request { plain, .. }) = found else { panic!("not recognised") };
                let Some(OzoneRequest::Retrieve(signed)) = OzoneRequest::read(&plain) else {
                    panic!("{plain:?}")
                };
                assert!(keys.values().all(|keys| !signed.is_signed_by(&keys.signature_key)));
            }
            "authentication" => {
                let challenge = Challenge::from_text(inputs["challenge_text"].as_str().unwrap().into());
                assert_eq!(challenge.frame(), outputs["server_frame_0097a"].as_str().unwrap().as_bytes());
                let frame = Frame::read(outputs["client_frame_0097b"].as_str().unwrap().as_bytes());
                assert_eq!(frame.kind, Some(Kind::Response));
                let response = Response::read(frame.body).unwrap();
                assert_eq!(response.key_digest[..], hex(&inputs["signature_key_digest_hex"]));
                for (name, bundle) in &keys {
                    let right = inputs["signer"] == name.as_str();
                    assert_eq!(response.answers(&challenge, &bundle.signature_key), right, "{name}");
                    assert!(!response.answers(&Challenge::new(), &bundle.signature_key));
                }
            }
            "identity_0095a" => {
                let frame = Frame::read(frame_of(vector));
                assert_eq!(frame.kind, Some(Kind::Identity));
                assert_eq!(frame::identity(frame.body).unwrap()[..], hex(&inputs["identity_hex"]));
                let body = std::str::from_utf8(frame.body).unwrap();
                assert_eq!(frame::typed("0095a", body), frame_of(vector));
            }
            "identities_0095b" => {
                let frame = Frame::read(frame_of(vector));
                assert_eq!(frame.kind, Some(Kind::Identities));
                let expected: Vec<_> = inputs["identities_hex"].as_array().unwrap().iter().map(hex).collect();
                assert_eq!(frame::identities(frame.body).unwrap().as_flattened(), expected.concat());
            }
            "unsolicited_0096" => {
                assert_eq!(Frame::read(frame_of(vector)).kind, Some(Kind::Unsolicited));
                assert_eq!(frame::typed("0096", "dHJ1ZQ=="), frame_of(vector));
            }
            "capabilities_0014" => {
                assert_eq!(Frame::read(frame_of(vector)).kind, Some(Kind::Capabilities));
                let name = inputs["text"].as_str().unwrap().split('\n').next().unwrap();
                assert_eq!(frame::capabilities(name), frame_of(vector));
            }
            "framing" => {
                let mut reader = FrameReader::new(frame::MAX_FRAME_BYTES);
                reader.push(outputs["stream"].as_str().unwrap().as_bytes());
                let first = reader.next_frame().unwrap();
                assert_eq!(first, outputs["frames"][0].as_str().unwrap().as_bytes());
                assert_eq!(Frame::read(&reader.next_frame().unwrap()).kind, None);
                assert_eq!(reader.next_frame(), None);
                assert!(reader.is_within_a_frame());
            }
            other => panic!("nothing checks vectors of kind {other}"),
        }
    }
    println!("{checked:?}");
    assert_eq!(checked.values().sum::<usize>(), vectors.len());
    assert_eq!(keys.len(), 4);
}

#[test]
fn the_kinds_of_keys_are_told_apart() {
    use momedo_smoke::signature::{KeyKind, kind};
    let document = document();
    for one in document["key_sizes"].as_array().unwrap() {
        let mut key = hex(&one["spki_prefix_hex"]);
        key.resize(one["spki_len"].as_u64().unwrap() as usize, 0);
        let expected = match one["type"].as_str().unwrap() {
            "RSA" => KeyKind::Rsa,
            "EC" => KeyKind::Ec,
            kind if kind.starts_with("McEliece") && !kind.contains("13") => KeyKind::McEliece,
            _ => KeyKind::Unsupported,
        };
        assert_eq!(kind(&key), expected, "{}", one["type"]);
    }
}
