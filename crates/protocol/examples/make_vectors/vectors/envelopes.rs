//! Envelopes: taken apart, refused, and sealed.

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::{encode_base64, encode_hex};
use momedo_protocol::envelope::{self, COMMITMENT_BYTES, Ciphertexts, Header, SEAL_BYTES};
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::kind;
use momedo_protocol::message::Message;
use momedo_protocol::seal::{self, RecipientKeys};
use momedo_protocol::suite::Suite;
use serde_json::{Map, Value, json};

use super::Result;
use super::bundles::bundle_payload;
use super::derivation::{derivation, recover};
use super::fixtures::{Keys, NOW, anna, ben, message_id};

pub(super) fn message() -> Message {
    Message {
        from: ben(),
        to: Some(anna()),
        group: None,
        id: message_id(),
        sent_at: NOW,
        conversation: None,
        log: None,
        kind: kind::TEXT.into(),
        body: "Lampe in Raum 12 kaputt 💡".into(),
    }
}

fn ciphertexts_json(ciphertexts: &Ciphertexts<'_>) -> Value {
    let mut all = Map::new();
    if let Some(mceliece) = ciphertexts.mceliece {
        all.insert("mceliece".into(), encode_base64(mceliece).into());
    }
    all.insert("ml_kem".into(), encode_base64(ciphertexts.ml_kem).into());
    all.insert("rsa".into(), encode_base64(ciphertexts.rsa).into());
    all.into()
}

pub(super) fn envelopes(keys: &Keys) -> Result<Value> {
    let bundle = KeyBundle::verify(&bundle_payload(keys).sign(&[keys.rsa("signature_key")]))?;
    let inner = message().sign(keys.rsa("sender_signature_key"));
    let sealed = Suite::ALL
        .iter()
        .map(|suite| sealed_envelope(keys, &bundle, *suite, &inner))
        .collect::<Result<Vec<_>>>()?;
    let padding = [0, 1, 508, 509, 1020, 1021, 49_000].map(|inner_bytes: usize| {
        let padded_bytes = (inner_bytes + 4).next_power_of_two().max(512);
        json!({ "inner_bytes": inner_bytes, "padded_bytes": padded_bytes })
    });
    Ok(json!({
        "about": "Envelopes: taken apart (codec), refused, and sealed to ml_kem_key, rsa_key and \
                  mceliece_key of keys.json.",
        "codec": [codec(Suite::Full), codec(Suite::Small)],
        "refused": refused_envelopes(),
        "padding": padding,
        "sealed": sealed,
    }))
}

const PLAIN: ([u8; 156], [u8; 1088], [u8; 384]) = ([1; 156], [2; 1088], [3; 384]);

fn plain_envelope(suite: Suite) -> (Header, Ciphertexts<'static>, Vec<u8>) {
    let header = Header {
        suite,
        message_id: message_id(),
        recipient_version: 258,
        recipient_digest: Sha512Digest([9; 64]),
    };
    let ciphertexts = Ciphertexts {
        mceliece: (suite == Suite::Full).then_some(&PLAIN.0[..]),
        ml_kem: &PLAIN.1,
        rsa: &PLAIN.2,
    };
    let mut bytes = envelope::encode_header(&header, &ciphertexts);
    bytes.extend([4; 512 + SEAL_BYTES]);
    (header, ciphertexts, bytes)
}

fn codec(suite: Suite) -> Value {
    let (header, ciphertexts, bytes) = plain_envelope(suite);
    json!({
        "suite": suite,
        "message_id": header.message_id,
        "recipient_version": header.recipient_version,
        "recipient_digest": header.recipient_digest,
        "ciphertexts": ciphertexts_json(&ciphertexts),
        "header_bytes": bytes.len() - 512 - SEAL_BYTES,
        "sealed": encode_base64(&[4; 512 + SEAL_BYTES]),
        "envelope": encode_base64(&bytes),
    })
}

fn refused_envelopes() -> Value {
    let bytes = plain_envelope(Suite::Small).2;
    let case = |why: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        json!({ "why": why, "envelope": encode_base64(&bytes) })
    };
    json!([
        case("empty", &|b| b.clear()),
        case("version 2", &|b| b[0] = 2),
        case("suite 9", &|b| b[1] = 9),
        case("suite 1 without a McEliece ciphertext", &|b| b[1] = 1),
        case("an ML-KEM ciphertext of another length", &|b| b[87] ^= 1),
        case("cut within the header", &|b| b.truncate(600)),
        case("one byte less", &|b| b.truncate(b.len() - 1)),
        case("one byte more", &|b| b.push(4)),
        case("less than 512 padded bytes", &|b| b.truncate(b.len() - 256)),
    ])
}

fn sealed_envelope(keys: &Keys, bundle: &KeyBundle, suite: Suite, inner: &[u8]) -> Result<Value> {
    let recipient =
        RecipientKeys::of_bundle(bundle, Some(&keys.mceliece_public)).ok_or("another McEliece key")?;
    let bytes = seal::seal(suite, &recipient, message_id(), inner)?;
    let opened = envelope::decode(&bytes)?;
    let (secrets, material) = recover(&keys.private(suite)?, &opened.ciphertexts)?;
    let info = [&b"momedo message key v1"[..], &[suite.number()], &message_id().0].concat();
    Ok(json!({
        "suite": suite,
        "message_id": message_id(),
        "recipient_version": recipient.version,
        "recipient_digest": recipient.digest,
        "sender_key": "sender_signature_key",
        "inner": std::str::from_utf8(inner)?,
        "ciphertexts": ciphertexts_json(&opened.ciphertexts),
        "shared_secrets": secrets,
        "derivation": derivation(&material, &opened.ciphertexts, &recipient.digest, &info),
        "commitment": encode_base64(&opened.sealed[..COMMITMENT_BYTES]),
        "nonce": encode_hex(&[0; 12]),
        "header_bytes": opened.header_bytes.len(),
        "envelope": encode_base64(&bytes),
    }))
}
