//! How a device comes to be, and how a participant goes.

use momedo_protocol::device_link::{DeviceLink, LinkNonce, LinkOffer, LinkStep, commitment};
use momedo_protocol::device_list::DeviceEntry;
use momedo_protocol::encoding::{Base64Bytes, encode_base64, encode_hex};
use momedo_protocol::erasure::Erasure;
use momedo_protocol::id::DeviceId;
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};
use momedo_protocol::ml_kem_key::MlKemPublicKey;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Result;
use super::fixtures::{Keys, anna};

pub(super) fn new_devices(keys: &Keys) -> Result<Value> {
    let hex_words = |bits: [u8; 16]| {
        let code = RecoveryCode::from_bytes(bits);
        json!({ "bits": encode_hex(&bits), "words": *code.words() })
    };
    let ascending: [u8; 16] = std::array::from_fn(|n| n as u8);
    let code = RecoveryCode::from_bytes(ascending);
    let recovery = RecoveryKeys::derive(&code, keys.home(), anna());
    let sealing = recovery.sealing_keys();
    let content = br#"{"any":"identity"}"#;
    let public = MlKemPublicKey::from_bytes(&sealing.ml_kem_key.0)?;
    let (ciphertext, shared) = public.encapsulate();
    let slot = sealing.seal_with(content, anna(), 7, &ciphertext, &shared)?;

    let link = DeviceLink {
        address: "schule.local:4710".into(),
        link: "7QK0M3ZD9XN4".parse()?,
        secret: Zeroizing::new(std::array::from_fn(|n| n as u8)),
        id: anna(),
        participant: keys.rsa("signature_key").public().fingerprint(),
        server: keys.home(),
    };
    let (challenge, opening) = ([0x0a; 32], [0x0b; 32]);
    let device = DeviceEntry {
        name: "Tablet".into(),
        login_key: keys.spki("second_login_key"),
        rsa_key: keys.spki("second_device_rsa_key"),
        ml_kem_key: Base64Bytes(keys.second_device_ml_kem.public().bytes().to_vec()),
    };
    let offer = serde_json::to_string(&LinkOffer { device, commitment: commitment(&opening) })?;
    let nonce = |nonce: [u8; 32]| serde_json::to_string(&LinkNonce { nonce: nonce.to_vec().into() });
    let steps = [
        (LinkStep::Offer, offer.clone()),
        (LinkStep::Challenge, nonce(challenge)?),
        (LinkStep::Opening, nonce(opening)?),
    ];
    let steps: Vec<Value> = steps
        .iter()
        .map(|(step, message)| {
            json!({
                "step": step, "message": message,
                "sealed": encode_base64(&link.seal(*step, message.as_bytes())),
            })
        })
        .collect();
    let erasure = Erasure {
        id: anna(),
        device: DeviceId::of_login_key(keys.rsa("login_key").public().spki()),
        nonce: Base64Bytes(vec![7; 32]),
        server: keys.home(),
    };
    Ok(json!({
        "about": "How a device comes to be, and how a participant goes: recovery codes and a slot of a key \
                  backup, a device link with its messages, an erasure by login_key of keys.json.",
        "recovery_codes": {
            "accepted": [
                hex_words([0; 16]), hex_words([0x7f; 16]), hex_words([0xff; 16]), hex_words(ascending),
                { "bits": encode_hex(&[0; 16]), "words": "1. ABANDON\n2. aban, aban aban aban aban aban aban \
                  aban aban aban About!" },
            ],
            "refused": [
                "", "abandon", "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                 abandon abandon abandon", "abandon abandon abandon abandon abandon abandon abandon abandon \
                 abandon abandon abandon abo",
            ],
        },
        "key_backup": {
            "bits": encode_hex(&ascending),
            "server": keys.home(),
            "id": anna(),
            "fetch_secret": encode_base64(&recovery.fetch_secret[..]),
            "lock": sealing.lock,
            "seal_key": sealing.seal_key,
            "ml_kem_key": sealing.ml_kem_key,
            "version": 7,
            "content": std::str::from_utf8(content)?,
            "ciphertext": encode_base64(&ciphertext),
            "shared_secret": encode_base64(&shared[..]),
            "slot": encode_base64(&slot),
        },
        "device_link": {
            "text": link.to_string(),
            "address": link.address,
            "link": link.link,
            "secret": encode_base64(&link.secret[..]),
            "id": link.id,
            "participant": link.participant,
            "server": link.server,
            "steps": steps,
            "code": link.code(offer.as_bytes(), &challenge, &opening).to_string(),
        },
        "erasure": erasure.sign(keys.rsa("login_key")),
    }))
}
