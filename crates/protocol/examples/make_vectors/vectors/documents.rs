//! Signed documents of every kind, and log-ins that no server may take.

use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
use momedo_protocol::encoding::{Base64Bytes, encode_base64};
use momedo_protocol::jws::{Jws, Signer};
use momedo_protocol::login::Login;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use serde_json::{Value, json};

use super::Result;
use super::bundles::{bundle_payload, next_bundle_payload};
use super::envelopes::message;
use super::fixtures::{Keys, NOW, anna};

fn device_entry(keys: &Keys, name: &str, prefix: &str, ml_kem: &MlKemPrivateKey) -> DeviceEntry {
    DeviceEntry {
        name: name.into(),
        login_key: keys.spki(&format!("{prefix}login_key")),
        rsa_key: keys.spki(&format!("{prefix}device_rsa_key")),
        ml_kem_key: Base64Bytes(ml_kem.public().bytes().to_vec()),
    }
}

/// Signs any header, also one that must be refused.
fn sign_raw(header: &str, payload: &[u8], signer: &RsaPrivateKey) -> Value {
    let (protected, payload) = (encode_base64(header.as_bytes()), encode_base64(payload));
    let signature = encode_base64(&signer.sign(format!("{protected}.{payload}").as_bytes()));
    json!({ "payload": payload, "signatures": [{ "protected": protected, "signature": signature }] })
}

/// One document as a vector; `keys` are names in `keys.json`, one per signature.
fn document(kind: &str, keys: &[&str], jws: &Jws) -> Result<Value> {
    Ok(json!({
        "kind": kind,
        "protected": format!(r#"{{"alg":"PS512","typ":"momedo-{kind}+jws"}}"#),
        "keys": keys,
        "payload": String::from_utf8(jws.unverified_payload()?)?,
        "jws": jws,
    }))
}

pub(super) fn documents(keys: &Keys) -> Result<Value> {
    let (key, next_key) = (keys.rsa("signature_key"), keys.rsa("next_signature_key"));
    let payload = bundle_payload(keys);
    let bundle = payload.sign(&[key]);
    let next_bundle = next_bundle_payload(keys).sign(&[next_key, key]);
    let phone = device_entry(keys, "Handy", "", &keys.device_ml_kem);
    let tablet = device_entry(keys, "Tablet", "second_", &keys.second_device_ml_kem);
    let key_digests = [&phone, &tablet]
        .map(|entry| json!({ "name": entry.name, "id": entry.id(), "key_digest": entry.key_digest() }));
    let list =
        DeviceListPayload { id: anna(), version: 2, issued_at: NOW, devices: vec![phone.clone(), tablet] }
            .sign(key);
    let countersignature = Countersignature {
        id: anna(),
        fingerprint: key.public().fingerprint(),
        name: payload.name.clone(),
        home: keys.home(),
        expires_at: payload.expires_at,
    }
    .sign(keys.rsa("identity_key"));
    let login = Login { device: phone.id(), nonce: Base64Bytes((0..32).collect()), server: keys.home() }
        .sign(keys.rsa("login_key"));
    let message: Jws = serde_json::from_slice(&message().sign(keys.rsa("sender_signature_key")))?;
    let exporter: Vec<u8> = (100..132).collect();
    let proof = keys.rsa("identity_key").sign(&[b"momedo identity proof v1", &exporter[..]].concat());
    Ok(json!({
        "about": "Signed documents; `keys` and `key` name RSA keys of keys.json, one per signature. \
                  PS512 signatures are random: verify these, do not compare yours with them.",
        "accepted": [
            document("key-bundle", &["signature_key"], &bundle)?,
            document("key-bundle", &["next_signature_key", "signature_key"], &next_bundle)?,
            document("device-list", &["signature_key"], &list)?,
            document("countersignature", &["identity_key"], &countersignature)?,
            document("login", &["login_key"], &login)?,
            document("message", &["sender_signature_key"], &message)?,
        ],
        "refused": refused_documents(keys, &login)?,
        "device_keys": key_digests,
        "identity_proof": {
            "exporter": encode_base64(&exporter),
            "key": "identity_key",
            "signature": encode_base64(&proof),
        },
    }))
}

/// Log-ins that no server may take.
fn refused_documents(keys: &Keys, login: &Jws) -> Result<Value> {
    let key = keys.rsa("login_key");
    let payload = login.unverified_payload()?;
    let right = r#"{"alg":"PS512","typ":"momedo-login+jws"}"#;
    let with_header = |header: &str| sign_raw(header, &payload, key);
    let mut twice = serde_json::to_value(login)?;
    let signature = twice["signatures"][0].clone();
    twice["signatures"] = json!([signature, signature]);
    let mut unsigned = serde_json::to_value(login)?;
    unsigned["signatures"] = json!([]);
    let mut changed = serde_json::to_value(login)?;
    changed["payload"] =
        json!(encode_base64(String::from_utf8(payload.clone())?.replace("AAEC", "AAED").as_bytes()));
    let case = |why: &str, jws: Value| json!({ "why": why, "kind": "login", "key": "login_key", "jws": jws });
    let typ = r#""typ":"momedo-login+jws""#;
    Ok(json!([
        case("typ of another document", with_header(r#"{"alg":"PS512","typ":"momedo-message+jws"}"#)),
        case("another algorithm", with_header(&format!(r#"{{"alg":"PS256",{typ}}}"#))),
        case("no algorithm", with_header(&format!(r#"{{"alg":"none",{typ}}}"#))),
        case("the same header written differently", with_header(&format!(r#"{{{typ},"alg":"PS512"}}"#))),
        case("a space in the header", with_header(&format!(r#"{{"alg": "PS512",{typ}}}"#))),
        case("a key in the header", with_header(&format!(r#"{{"alg":"PS512","kid":"1",{typ}}}"#))),
        case(
            "an unknown field in the payload",
            sign_raw(
                right,
                String::from_utf8(payload.clone())?.replacen('{', "{\"more\":1,", 1).as_bytes(),
                key,
            )
        ),
        case("the payload is no JSON", sign_raw(right, b"hello", key)),
        case("one signature too many", twice),
        case("another key's signature", sign_raw(right, &payload, keys.rsa("second_login_key"))),
        case("no signature", unsigned),
        case("a changed payload", changed),
    ]))
}
