//! Challenges that only the owner of all keys can answer.

use momedo_protocol::encoding::encode_base64;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::possession::{PossessionChallenge, PossessionContext};
use momedo_protocol::seal::RecipientKeys;
use momedo_protocol::suite::Suite;
use serde_json::{Value, json};

use super::Result;
use super::bundles::bundle_payload;
use super::derivation::{derivation, recover};
use super::fixtures::{Keys, anna};

pub(super) fn possession(keys: &Keys) -> Result<Value> {
    let bundle = KeyBundle::verify(&bundle_payload(keys).sign(&[keys.rsa("signature_key")]))?;
    let recipient =
        RecipientKeys::of_bundle(&bundle, Some(&keys.mceliece_public)).ok_or("another McEliece key")?;
    let context = PossessionContext { server: keys.home(), id: anna(), bundle_digest: bundle.digest };
    let challenges = Suite::ALL
        .iter()
        .map(|suite| {
            let (challenge, answer) = PossessionChallenge::make(*suite, &recipient, &context)?;
            let (secrets, material) = recover(&keys.private(*suite)?, &challenge.ciphertexts())?;
            let info = b"momedo key possession v1";
            Ok(json!({
                "challenge": challenge,
                "shared_secrets": secrets,
                "derivation": derivation(&material, &challenge.ciphertexts(), &bundle.digest, info),
                "answer": encode_base64(answer.bytes()),
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    let signed = [&context.server.0[..], anna().to_string().as_bytes(), &bundle.digest.0].concat();
    Ok(json!({
        "about": "Possession challenges to ml_kem_key, rsa_key and mceliece_key of keys.json; the \
                  second is made as for a bundle without a McEliece key.",
        "server": context.server,
        "id": context.id,
        "bundle_digest": context.bundle_digest,
        "mac_input": encode_base64(&signed),
        "challenges": challenges,
    }))
}
