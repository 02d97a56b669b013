//! Key bundles, and what may not follow what.

use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::jws::{Jws, Signer};
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::suite::Suite;
use serde_json::{Value, json};

use super::Result;
use super::fixtures::{Keys, NOW, anna, ben};

pub(super) fn bundle_payload(keys: &Keys) -> KeyBundlePayload {
    KeyBundlePayload {
        id: anna(),
        name: "Anna Müller".into(),
        homes: vec![keys.home()],
        version: 1,
        issued_at: NOW,
        expires_at: NOW.plus_days(365),
        signature_key: keys.spki("signature_key"),
        rsa_key: keys.spki("rsa_key"),
        ml_kem_key: Base64Bytes(keys.ml_kem.public().bytes().to_vec()),
        mceliece_key: Some(keys.mceliece_public.digest()),
        suites: Suite::ALL.to_vec(),
    }
}

/// The bundle after it, with another signature key.
pub(super) fn next_bundle_payload(keys: &Keys) -> KeyBundlePayload {
    KeyBundlePayload {
        version: 2,
        issued_at: NOW.plus_days(1),
        signature_key: keys.spki("next_signature_key"),
        ..bundle_payload(keys)
    }
}

/// Two bundles that follow each other, and what is refused though its signatures are right.
pub(super) fn bundles(keys: &Keys) -> Result<Value> {
    let (key, next_key) = (keys.rsa("signature_key"), keys.rsa("next_signature_key"));
    let (first, next) = (bundle_payload(keys), next_bundle_payload(keys));
    let accepted = |payload: &KeyBundlePayload, signers: &[&dyn Signer]| -> Result<Value> {
        let jws = payload.sign(signers);
        let bundle = KeyBundle::verify(&jws)?;
        Ok(json!({ "jws": jws, "digest": bundle.digest, "fingerprint": bundle.fingerprint() }))
    };
    let alone = |why: &str, payload: KeyBundlePayload| {
        let jws = payload.sign(&[key]);
        json!({ "why": why, "after_version_1": false, "jws": jws })
    };
    let follows = |why: &str, jws: Jws| json!({ "why": why, "after_version_1": true, "jws": jws });
    let with = |change: &dyn Fn(&mut KeyBundlePayload)| {
        let mut payload = first.clone();
        change(&mut payload);
        payload
    };
    let refused = json!([
        alone("version 0", with(&|p| p.version = 0)),
        alone("no home", with(&|p| p.homes.clear())),
        alone("suite 1 without a McEliece key", with(&|p| p.mceliece_key = None)),
        alone("expires when it is issued", with(&|p| p.expires_at = p.issued_at)),
        alone("one key for signing and encrypting", with(&|p| p.rsa_key = p.signature_key.clone())),
        alone("a name of 81 characters", with(&|p| p.name = "a".repeat(81))),
        follows("the same version again", with(&|p| p.version = 1).sign(&[key])),
        follows("a version left out", with(&|p| p.version = 3).sign(&[key])),
        follows(
            "another participant",
            with(&|p| {
                p.version = 2;
                p.id = ben();
            })
            .sign(&[key])
        ),
        follows("a new signature key without the old one's signature", next.sign(&[next_key])),
        follows("signed by a key that was not the old one", next.sign(&[next_key, keys.rsa("rsa_key")])),
        follows("two signatures though the key is the same", with(&|p| p.version = 2).sign(&[key, key])),
    ]);
    Ok(json!({
        "about": "Key bundles: version 1, version 2 that follows it with a new signature key, and \
                  what is refused: by itself, or (after_version_1) because it may not follow version 1.",
        "first": accepted(&first, &[key])?,
        "next": accepted(&next, &[next_key, key])?,
        "refused": refused,
    }))
}
