//! The committed test vectors: what authors of other clients rely on must hold here too.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::cursor::Cursor;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::{Fingerprint, Sha512Digest, sha256};
use momedo_protocol::encoding::{Base64Bytes, decode_base64, encode_base64, encode_hex};
use momedo_protocol::envelope::{self, Ciphertexts, Header};
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::invite::{InviteCode, InviteLink};
use momedo_protocol::jws::{DocumentType, Jws, JwsError};
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::login::Login;
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::possession::{self, PossessionChallenge, PossessionContext};
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::{self, OpenError, PrivateKeys, SharedSecrets};
use momedo_protocol::suite::Suite;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.len() < 100 * 1024, "{file} has {} bytes", text.len());
    serde_json::from_str(&text).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    decode_base64(text(value)).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn list(value: &Value) -> &[Value] {
    let list = value.as_array().unwrap();
    assert!(!list.is_empty());
    list
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// Checks one kind of text: `check` compares the value read with the other fields of its vector.
fn check_texts<T: FromStr + Display>(vectors: &Value, check: impl Fn(&T, &Value)) {
    for vector in list(&vectors["accepted"]) {
        let value: T = text(&vector["text"]).parse().ok().unwrap();
        assert_eq!(value.to_string(), text(&vector["shown"]));
        check(&value, vector);
    }
    for refused in list(&vectors["refused"]) {
        assert!(text(refused).parse::<T>().is_err(), "{refused}");
    }
}

#[test]
fn names_are_read_forgivingly_and_written_one_way() {
    let names = read("names.json");
    check_texts(&names["ids"], |id: &ParticipantId, vector| assert_eq!(id.number(), vector["number"]));
    check_texts(&names["message_ids"], |id: &MessageId, vector| assert_eq!(id.0, *bytes(&vector["bytes"])));
    check_texts(&names["cursors"], |cursor: &Cursor, vector| {
        assert_eq!(cursor.epoch.number(), vector["epoch"]);
        assert_eq!(cursor.sequence, vector["sequence"]);
    });
    check_texts(&names["invite_codes"], |_: &InviteCode, _| {});
    check_texts(&names["invite_links"], |link: &InviteLink, vector| {
        assert_eq!(link.address, text(&vector["address"]));
        assert_eq!(link.code.to_string(), text(&vector["code"]));
        assert_eq!(link.server.to_string(), text(&vector["server"]));
    });
}

#[test]
fn names_made_from_keys_are_right() {
    let names = read("names.json");
    for vector in list(&names["device_ids"]) {
        let id = DeviceId::of_login_key(&bytes(&vector["login_key"]));
        assert_eq!(id.to_string(), text(&vector["id"]));
    }
    for vector in list(&names["fingerprints"]) {
        let spki = bytes(&vector["spki"]);
        let fingerprint = Fingerprint::of_spki(&spki);
        assert_eq!(fingerprint.to_string(), text(&vector["fingerprint"]));
        assert_eq!(fingerprint.grouped(), text(&vector["grouped"]));
        assert_eq!(fingerprint.words(), text(&vector["words"]));
        assert_eq!(fingerprint.0, sha256(&spki));
    }
}

#[test]
fn base64url_has_no_padding_and_one_way_to_write_a_value() {
    let vectors = &read("names.json")["base64url"];
    for vector in list(&vectors["accepted"]) {
        assert_eq!(encode_hex(&bytes(&vector["text"])), text(&vector["hex"]));
        assert_eq!(encode_base64(&bytes(&vector["text"])), text(&vector["text"]));
    }
    for refused in list(&vectors["refused"]) {
        assert_eq!(decode_base64(text(refused)), None, "{refused}");
    }
}

/// The public RSA key with this name.
fn rsa(keys: &Value, name: &Value) -> RsaPublicKey {
    RsaPublicKey::from_spki(&bytes(&keys["rsa"][text(name)]["spki"])).unwrap()
}

#[test]
fn the_private_keys_fit_the_public_ones() {
    let keys = read("keys.json");
    for (name, vector) in keys["rsa"].as_object().unwrap() {
        let key = RsaPrivateKey::from_pkcs8(&bytes(&vector["pkcs8"])).unwrap();
        assert_eq!(key.public().spki(), bytes(&vector["spki"]), "{name}");
        assert_eq!(key.public().fingerprint().to_string(), text(&vector["fingerprint"]));
    }
    for (name, vector) in keys["ml_kem"].as_object().unwrap() {
        let key = MlKemPrivateKey::from_seed(Zeroizing::new(array(&vector["seed"])));
        assert_eq!(key.public().bytes(), bytes(&vector["public"]), "{name}");
    }
    for vector in list(&keys["refused_rsa"]) {
        assert!(RsaPublicKey::from_spki(&bytes(&vector["spki"])).is_err(), "{}", vector["why"]);
    }
}

const KINDS: [(&str, DocumentType); 7] = [
    ("key-bundle", DocumentType::KeyBundle),
    ("device-list", DocumentType::DeviceList),
    ("countersignature", DocumentType::Countersignature),
    ("login", DocumentType::Login),
    ("message", DocumentType::Message),
    ("erasure", DocumentType::Erasure),
    ("group entry", DocumentType::GroupEntry),
];

/// Documents of these kinds stand in `new_devices.json` and `groups.json`.
const ELSEWHERE: [&str; 2] = ["erasure", "group entry"];

#[test]
fn documents_verify_as_what_they_are_and_with_their_own_keys_alone() {
    let (documents, keys) = (read("documents.json"), read("keys.json"));
    let accepted = list(&documents["accepted"]);
    for vector in accepted {
        let jws: Jws = parsed(&vector["jws"]);
        let protected = encode_base64(text(&vector["protected"]).as_bytes());
        for signature in list(&vector["jws"]["signatures"]) {
            assert_eq!(text(&signature["protected"]), protected);
        }
        let own: Vec<RsaPublicKey> = list(&vector["keys"]).iter().map(|name| rsa(&keys, name)).collect();
        let own: Vec<&RsaPublicKey> = own.iter().collect();
        for (name, kind) in KINDS {
            let verified = jws.verify(kind, &own);
            if name == text(&vector["kind"]) {
                assert_eq!(verified.unwrap(), text(&vector["payload"]).as_bytes());
            } else {
                assert_eq!(verified, Err(JwsError::WrongType), "{name}");
            }
        }
        let kind = KINDS.iter().find(|(name, _)| *name == text(&vector["kind"])).unwrap().1;
        let other = rsa(&keys, &"rsa_key".into());
        assert_eq!(jws.verify(kind, &vec![&other; own.len()]), Err(JwsError::WrongSignature));
        assert_eq!(jws.verify(kind, &[own.as_slice(), &[&other]].concat()), Err(JwsError::WrongSignature));
        if own.len() == 2 {
            assert_eq!(jws.verify(kind, &[own[1], own[0]]), Err(JwsError::WrongSignature));
        }
    }
    for (name, _) in KINDS.iter().filter(|(name, _)| !ELSEWHERE.contains(name)) {
        assert!(accepted.iter().any(|vector| text(&vector["kind"]) == *name), "{name}");
    }
}

#[test]
fn documents_are_read_as_their_payloads_say() {
    let (documents, keys) = (read("documents.json"), read("keys.json"));
    let key = |name: &str| rsa(&keys, &name.into());
    for vector in list(&documents["accepted"]) {
        let jws: Jws = parsed(&vector["jws"]);
        let payload: Value = serde_json::from_str(text(&vector["payload"])).unwrap();
        let read = match text(&vector["kind"]) {
            "key-bundle" => serde_json::to_value(KeyBundle::verify(&jws).unwrap().payload),
            "device-list" => {
                let list = DeviceListPayload::verify(&jws, &key("signature_key")).unwrap();
                for (device, vector) in list.devices.iter().zip(documents["device_keys"].as_array().unwrap())
                {
                    assert_eq!(device.name, text(&vector["name"]));
                    assert_eq!(device.id().to_string(), text(&vector["id"]));
                    assert_eq!(device.key_digest().to_string(), text(&vector["key_digest"]));
                }
                serde_json::to_value(list)
            }
            "countersignature" => {
                serde_json::to_value(Countersignature::verify(&jws, &key("identity_key")).unwrap())
            }
            "login" => serde_json::to_value(Login::verify(&jws, &key("login_key")).unwrap()),
            _ => {
                let inner = serde_json::to_vec(&jws).unwrap();
                serde_json::to_value(Message::verify(&inner, &key("sender_signature_key")).unwrap())
            }
        };
        assert_eq!(read.unwrap(), payload);
    }
}

#[test]
fn log_ins_that_are_not_exactly_right_are_refused() {
    let (documents, keys) = (read("documents.json"), read("keys.json"));
    for vector in list(&documents["refused"]) {
        let jws: Jws = parsed(&vector["jws"]);
        assert!(Login::verify(&jws, &rsa(&keys, &vector["key"])).is_err(), "{}", vector["why"]);
    }
}

#[test]
fn the_identity_proof_signs_the_label_and_the_exporter() {
    let proof = &read("documents.json")["identity_proof"];
    let signed = [&b"momedo identity proof v1"[..], &bytes(&proof["exporter"])].concat();
    rsa(&read("keys.json"), &proof["key"]).verify(&signed, &bytes(&proof["signature"])).unwrap();
}

#[test]
fn bundles_follow_each_other_or_are_refused() {
    let bundles = read("bundles.json");
    let [first, next] = ["first", "next"].map(|name| {
        let jws: Jws = parsed(&bundles[name]["jws"]);
        let bundle = KeyBundle::verify(&jws).unwrap();
        assert_eq!(bundle.digest.to_string(), text(&bundles[name]["digest"]));
        assert_eq!(bundle.fingerprint().to_string(), text(&bundles[name]["fingerprint"]));
        (jws, bundle)
    });
    next.1.may_follow(&next.0, &first.1).unwrap();
    for vector in list(&bundles["refused"]) {
        let jws: Jws = parsed(&vector["jws"]);
        match KeyBundle::verify(&jws) {
            Err(_) => assert_eq!(vector["after_version_1"], false, "{}", vector["why"]),
            Ok(bundle) => {
                assert_eq!(vector["after_version_1"], true, "{}", vector["why"]);
                assert!(bundle.may_follow(&jws, &first.1).is_err(), "{}", vector["why"]);
            }
        }
    }
}

/// Ciphertexts of a vector, owned.
struct OwnedCiphertexts {
    mceliece: Option<Vec<u8>>,
    ml_kem: Vec<u8>,
    rsa: Vec<u8>,
}

impl OwnedCiphertexts {
    fn of(vector: &Value) -> Self {
        Self {
            mceliece: vector.get("mceliece").map(bytes),
            ml_kem: bytes(&vector["ml_kem"]),
            rsa: bytes(&vector["rsa"]),
        }
    }

    fn borrowed(&self) -> Ciphertexts<'_> {
        Ciphertexts { mceliece: self.mceliece.as_deref(), ml_kem: &self.ml_kem, rsa: &self.rsa }
    }
}

fn header(vector: &Value) -> Header {
    Header {
        suite: parsed(&vector["suite"]),
        message_id: parsed(&vector["message_id"]),
        recipient_version: parsed(&vector["recipient_version"]),
        recipient_digest: parsed(&vector["recipient_digest"]),
    }
}

#[test]
fn envelopes_are_taken_apart_and_put_together_byte_for_byte() {
    let vectors = read("envelopes.json");
    for vector in list(&vectors["codec"]) {
        let envelope = bytes(&vector["envelope"]);
        let ciphertexts = OwnedCiphertexts::of(&vector["ciphertexts"]);
        let header_bytes = envelope::encode_header(&header(vector), &ciphertexts.borrowed());
        assert_eq!(header_bytes.len(), vector["header_bytes"]);
        assert_eq!([header_bytes, bytes(&vector["sealed"])].concat(), envelope);
        let decoded = envelope::decode(&envelope).unwrap();
        assert_eq!((decoded.header, decoded.ciphertexts), (header(vector), ciphertexts.borrowed()));
        assert_eq!(decoded.sealed, bytes(&vector["sealed"]));
    }
    for vector in list(&vectors["refused"]) {
        assert!(envelope::decode(&bytes(&vector["envelope"])).is_err(), "{}", vector["why"]);
    }
}

/// What opens envelopes sealed to the keys of `keys.json`.
fn private_keys(keys: &Value) -> PrivateKeys {
    let mceliece = Zeroizing::new(bytes(&keys["mceliece"]["mceliece_key"]["private"]));
    PrivateKeys {
        rsa: RsaPrivateKey::from_pkcs8(&bytes(&keys["rsa"]["rsa_key"]["pkcs8"])).unwrap(),
        ml_kem: MlKemPrivateKey::from_seed(Zeroizing::new(array(&keys["ml_kem"]["ml_kem_key"]["seed"]))),
        mceliece: Some(McEliecePrivateKey::from_bytes(mceliece).unwrap()),
    }
}

fn shared_secrets(vector: &Value) -> SharedSecrets {
    let secret = |value: &Value| Zeroizing::new(array(value));
    SharedSecrets {
        mceliece: vector.get("mceliece").map(secret),
        ml_kem: secret(&vector["ml_kem"]),
        rsa: secret(&vector["rsa"]),
    }
}

/// Recovers each shared secret with its private key and compares it.
fn check_secrets(keys: &PrivateKeys, ciphertexts: &Ciphertexts<'_>, secrets: &SharedSecrets) {
    let mceliece = ciphertexts.mceliece.map(|c| keys.mceliece.as_ref().unwrap().decapsulate(c).unwrap());
    assert_eq!(mceliece, secrets.mceliece);
    assert_eq!(keys.ml_kem.decapsulate(ciphertexts.ml_kem).unwrap(), secrets.ml_kem);
    assert_eq!(keys.rsa.decrypt(ciphertexts.rsa).unwrap(), secrets.rsa);
}

/// Works a derivation out from its inputs, independently of the crate; returns the key.
fn derive(
    vector: &Value,
    secrets: &SharedSecrets,
    ciphertexts: &Ciphertexts<'_>,
    digest: &Sha512Digest,
    info: &[u8],
) -> [u8; 32] {
    let mceliece = secrets.mceliece.as_ref().map_or(&[][..], |secret| &secret[..]);
    let material = [mceliece, &secrets.ml_kem[..], &secrets.rsa[..]].concat();
    assert_eq!(material, bytes(&vector["key_material"]));
    let salt = Sha512::digest([ciphertexts.concatenated().as_slice(), &digest.0].concat());
    assert_eq!(salt.as_slice(), bytes(&vector["salt"]));
    assert_eq!(info, bytes(&vector["info"]));
    let mut key = [0; 32];
    Hkdf::<Sha512>::new(Some(&salt), &material).expand(info, &mut key).unwrap();
    assert_eq!(key, array(&vector["key"]));
    key
}

#[test]
fn sealed_envelopes_open_to_the_message_and_are_made_again_from_their_secrets() {
    let (vectors, keys) = (read("envelopes.json"), read("keys.json"));
    let private = private_keys(&keys);
    let sealed = list(&vectors["sealed"]);
    assert_eq!(sealed.iter().map(|vector| parsed(&vector["suite"])).collect::<Vec<Suite>>(), Suite::ALL);
    for vector in sealed {
        let (bytes, inner) = (bytes(&vector["envelope"]), text(&vector["inner"]).as_bytes());
        let envelope = envelope::decode(&bytes).unwrap();
        let secrets = shared_secrets(&vector["shared_secrets"]);
        assert_eq!(envelope.header, header(vector));
        assert_eq!(envelope.ciphertexts, OwnedCiphertexts::of(&vector["ciphertexts"]).borrowed());
        assert_eq!(envelope.header_bytes.len(), vector["header_bytes"]);
        check_secrets(&private, &envelope.ciphertexts, &secrets);
        assert_eq!(*seal::open(&bytes, &private).unwrap(), inner);
        assert_eq!(*seal::open_with(&envelope, &secrets).unwrap(), inner);
        let again = seal::seal_with(&envelope.header, &envelope.ciphertexts, &secrets, inner).unwrap();
        assert_eq!(again, bytes);
        let message = Message::verify(inner, &rsa(&keys, &vector["sender_key"])).unwrap();
        assert_eq!(message.id, envelope.header.message_id);

        let mut changed = bytes.clone();
        changed[2] ^= 1;
        assert_eq!(seal::open(&changed, &private), Err(OpenError::WrongKeys));
    }
}

#[test]
fn the_sealing_formula_is_what_the_vectors_say() {
    for vector in list(&read("envelopes.json")["sealed"]) {
        let whole = bytes(&vector["envelope"]);
        let envelope = envelope::decode(&whole).unwrap();
        let header = envelope.header;
        let info = [&b"momedo message key v1"[..], &[header.suite.number()], &header.message_id.0].concat();
        let key = derive(
            &vector["derivation"],
            &shared_secrets(&vector["shared_secrets"]),
            &envelope.ciphertexts,
            &header.recipient_digest,
            &info,
        );
        let mut derived = [0; 64];
        Hkdf::<Sha512>::new(
            Some(&bytes(&vector["derivation"]["salt"])),
            &bytes(&vector["derivation"]["key_material"]),
        )
        .expand(&info, &mut derived)
        .unwrap();
        assert_eq!(derived[32..].to_vec(), bytes(&vector["commitment"]));
        let sealed = envelope.sealed.strip_prefix(&derived[32..]).unwrap();
        assert_eq!(text(&vector["nonce"]), encode_hex(&[0; 12]));
        let padded = Aes256Gcm::new(&Key::<Aes256Gcm>::from(key))
            .decrypt(&Nonce::default(), Payload { msg: sealed, aad: envelope.header_bytes })
            .unwrap();
        let inner = text(&vector["inner"]).as_bytes();
        assert!(padded.len().is_power_of_two());
        assert_eq!(padded[..4], u32::try_from(inner.len()).unwrap().to_be_bytes());
        assert_eq!(padded[4..4 + inner.len()], *inner);
        assert!(padded[4 + inner.len()..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn messages_are_padded_to_powers_of_two() {
    let vectors = read("envelopes.json");
    let vector = &vectors["sealed"][0];
    let ciphertexts = OwnedCiphertexts::of(&vector["ciphertexts"]);
    let secrets = shared_secrets(&vector["shared_secrets"]);
    for padding in list(&vectors["padding"]) {
        let inner = vec![b'a'; parsed(&padding["inner_bytes"])];
        let sealed = seal::seal_with(&header(vector), &ciphertexts.borrowed(), &secrets, &inner).unwrap();
        let padded = envelope::decode(&sealed).unwrap().sealed.len() - envelope::SEAL_BYTES;
        assert_eq!(padded, padding["padded_bytes"]);
    }
}

#[test]
fn possession_challenges_have_one_right_answer() {
    let (vectors, keys) = (read("possession.json"), read("keys.json"));
    let private = private_keys(&keys);
    let context = PossessionContext {
        server: parsed(&vectors["server"]),
        id: parsed(&vectors["id"]),
        bundle_digest: parsed(&vectors["bundle_digest"]),
    };
    let input = [&context.server.0[..], text(&vectors["id"]).as_bytes(), &context.bundle_digest.0].concat();
    assert_eq!(input, bytes(&vectors["mac_input"]));
    for vector in list(&vectors["challenges"]) {
        let challenge: PossessionChallenge = parsed(&vector["challenge"]);
        let secrets = shared_secrets(&vector["shared_secrets"]);
        let expected: Base64Bytes = parsed(&vector["answer"]);
        check_secrets(&private, &challenge.ciphertexts(), &secrets);
        assert!(challenge.answer(&private, &context).unwrap().matches(&expected.0));
        assert!(possession::answer(&challenge.ciphertexts(), &secrets, &context).matches(&expected.0));

        let info = b"momedo key possession v1";
        let ciphertexts = challenge.ciphertexts();
        let key = derive(&vector["derivation"], &secrets, &ciphertexts, &context.bundle_digest, info);
        let mac = Hmac::<Sha512>::new_from_slice(&key).unwrap().chain_update(&input).finalize();
        assert_eq!(mac.into_bytes().as_slice(), expected.0);

        let elsewhere = PossessionContext { server: Fingerprint([0; 32]), ..context };
        assert!(!challenge.answer(&private, &elsewhere).unwrap().matches(&expected.0));
    }
}

#[test]
fn the_vectors_are_about_the_same_bundle() {
    let digest = read("bundles.json")["first"]["digest"].clone();
    assert_eq!(read("possession.json")["bundle_digest"], digest);
    for vector in list(&read("envelopes.json")["sealed"]) {
        assert_eq!(vector["recipient_digest"], digest);
    }
    let bundle: Jws = parsed(&read("bundles.json")["first"]["jws"]);
    let named = KeyBundle::verify(&bundle).unwrap().payload.mceliece_key.unwrap();
    assert_eq!(named.to_string(), text(&read("keys.json")["mceliece"]["mceliece_key"]["public_digest"]));
}
