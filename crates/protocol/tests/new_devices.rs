//! The committed vectors of key backups, device links and erasure, worked through as `docs/protocol.md` says.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use momedo_protocol::device_link::{DeviceLink, LinkCode, LinkNonce, LinkOffer, LinkStep, commitment};
use momedo_protocol::digest::{Fingerprint, sha256};
use momedo_protocol::encoding::{decode_base64, decode_hex};
use momedo_protocol::erasure::Erasure;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};
use momedo_protocol::login::Login;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_key::RsaPublicKey;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    decode_base64(text(value)).unwrap()
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn recovery_codes_are_read_and_written_as_the_vectors_say() {
    let vectors = &read("new_devices.json")["recovery_codes"];
    for vector in vectors["accepted"].as_array().unwrap() {
        let code = RecoveryCode::from_bytes(decode_hex(text(&vector["bits"])).unwrap());
        assert_eq!(text(&vector["words"]).parse(), Ok(code));
    }
    let first = &vectors["accepted"][0];
    let code = RecoveryCode::from_bytes(decode_hex(text(&first["bits"])).unwrap());
    assert_eq!(&**code.words(), text(&first["words"]));
    for refused in vectors["refused"].as_array().unwrap() {
        assert!(text(refused).parse::<RecoveryCode>().is_err(), "{refused}");
    }
}

#[test]
fn a_slot_is_closed_and_opened_as_the_vectors_say() {
    let vector = &read("new_devices.json")["key_backup"];
    let (server, id): (Fingerprint, ParticipantId) = (parsed(&vector["server"]), parsed(&vector["id"]));
    let bits: [u8; 16] = decode_hex(text(&vector["bits"])).unwrap();
    let salt = [&server.0[..], text(&vector["id"]).as_bytes()].concat();
    let hkdf = Hkdf::<Sha512>::new(Some(&salt), &bits);
    let expand = |label: &str, length: usize| {
        let mut out = vec![0; length];
        hkdf.expand(label.as_bytes(), &mut out).unwrap();
        out
    };
    let fetch_secret = expand("momedo key backup fetch v1", 32);
    let seal_key = expand("momedo key backup seal v1", 32);
    let seed: [u8; 64] = expand("momedo key backup open v1", 64).try_into().unwrap();
    assert_eq!(fetch_secret, bytes(&vector["fetch_secret"]));
    assert_eq!(seal_key, bytes(&vector["seal_key"]));
    assert_eq!(sha256(&fetch_secret).to_vec(), bytes(&vector["lock"]));
    let ml_kem = MlKemPrivateKey::from_seed(Zeroizing::new(seed));
    assert_eq!(ml_kem.public().bytes(), bytes(&vector["ml_kem_key"]));
    let (ciphertext, slot) = (bytes(&vector["ciphertext"]), bytes(&vector["slot"]));
    let shared = ml_kem.decapsulate(&ciphertext).unwrap();
    assert_eq!(shared.to_vec(), bytes(&vector["shared_secret"]));
    let version: u64 = parsed(&vector["version"]);
    let context = [b"momedo key backup v1", text(&vector["id"]).as_bytes(), &version.to_be_bytes()].concat();
    let mut derived = [0; 64];
    Hkdf::<Sha512>::new(Some(&Sha512::digest(&ciphertext)), &[&shared[..], &seal_key].concat())
        .expand(&context, &mut derived)
        .unwrap();
    let (key, commitment) = derived.split_first_chunk::<32>().unwrap();
    let header = [&[1][..], &ciphertext].concat();
    let before = [&header[..], commitment].concat();
    assert!(slot.starts_with(&before));
    let content = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
        .decrypt(
            &Nonce::default(),
            Payload { msg: &slot[before.len()..], aad: &[&context[..], &header].concat() },
        )
        .unwrap();
    let (length, rest) = content.split_first_chunk::<4>().unwrap();
    let (content, zeros) = rest.split_at(u32::from_be_bytes(*length) as usize);
    assert_eq!(content, text(&vector["content"]).as_bytes());
    assert!((4 + rest.len()) % 256 == 0 && zeros.iter().all(|byte| *byte == 0));
    let recovery = RecoveryKeys::derive(&RecoveryCode::from_bytes(bits), server, id);
    assert_eq!(recovery.open(&slot, id, version).unwrap().to_vec(), content);
    let shared: [u8; 32] = shared.to_vec().try_into().unwrap();
    let again = recovery.sealing_keys().seal_with(content, id, version, &ciphertext, &shared).unwrap();
    assert_eq!(again, slot);
}

#[test]
fn a_device_link_is_read_and_its_code_made_as_the_vectors_say() {
    let vector = &read("new_devices.json")["device_link"];
    let link: DeviceLink = text(&vector["text"]).parse().unwrap();
    assert_eq!(link.to_string(), text(&vector["text"]));
    assert_eq!(link.address, text(&vector["address"]));
    assert_eq!(link.secret.to_vec(), bytes(&vector["secret"]));
    let mut messages = Vec::new();
    for step in vector["steps"].as_array().unwrap() {
        let name: LinkStep = parsed(&step["step"]);
        let (message, sealed) = (text(&step["message"]).as_bytes(), bytes(&step["sealed"]));
        let (nonce, rest) = sealed.split_first_chunk::<12>().unwrap();
        let mut derived = [0; 64];
        Hkdf::<Sha512>::new(Some(text(&vector["link"]).as_bytes()), &link.secret[..])
            .expand(format!("momedo device link v1{name}").as_bytes(), &mut derived)
            .unwrap();
        let (key, commitment) = derived.split_first_chunk::<32>().unwrap();
        let rest = rest.strip_prefix(commitment).unwrap();
        let opened = Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
            .decrypt(&Nonce::from(*nonce), Payload { msg: rest, aad: text(&vector["link"]).as_bytes() })
            .unwrap();
        assert_eq!(opened, message);
        assert_eq!(link.open(name, &sealed).unwrap().to_vec(), message);
        messages.push(message.to_vec());
    }
    let offer: LinkOffer = serde_json::from_slice(&messages[0]).unwrap();
    let nonce = |message: &[u8]| serde_json::from_slice::<LinkNonce>(message).unwrap().nonce.0;
    let (challenge, opening) = (nonce(&messages[1]), nonce(&messages[2]));
    assert_eq!(offer.commitment, commitment(&opening));
    let said = Sha512::new()
        .chain_update("momedo device link code v1")
        .chain_update(text(&vector["link"]))
        .chain_update(&link.secret[..])
        .chain_update(text(&vector["id"]))
        .chain_update(parsed::<Fingerprint>(&vector["participant"]).0)
        .chain_update(parsed::<Fingerprint>(&vector["server"]).0)
        .chain_update(Sha512::digest(&messages[0]))
        .chain_update(&challenge)
        .chain_update(&opening)
        .finalize();
    let number = u64::from_be_bytes(*said.first_chunk().unwrap()) % 1_000_000;
    assert_eq!(text(&vector["code"]), format!("{:03} {:03}", number / 1000, number % 1000));
    let code: LinkCode = text(&vector["code"]).parse().unwrap();
    assert_eq!(link.code(&messages[0], &challenge, &opening), code);
}

#[test]
fn an_erasure_is_no_log_in_and_a_log_in_no_erasure() {
    let (vectors, keys) = (read("new_devices.json"), read("keys.json"));
    let key = |name: &str| RsaPublicKey::from_spki(&bytes(&keys["rsa"][name]["spki"])).unwrap();
    let jws: Jws = parsed(&vectors["erasure"]);
    let erasure = Erasure::verify(&jws, &key("login_key")).unwrap();
    assert_eq!(erasure.id, parsed::<ParticipantId>(&vectors["key_backup"]["id"]));
    assert!(Erasure::verify(&jws, &key("second_login_key")).is_err());
    assert!(Login::verify(&jws, &key("login_key")).is_err());
    let login: Jws = parsed(
        read("documents.json")["accepted"]
            .as_array()
            .unwrap()
            .iter()
            .find(|document| document["kind"] == "login")
            .map(|document| &document["jws"])
            .unwrap(),
    );
    assert!(Erasure::verify(&login, &key("login_key")).is_err());
}
