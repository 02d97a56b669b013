//! What is derived from ciphertexts, worked out here and not by the crate.

use hkdf::Hkdf;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::envelope::Ciphertexts;
use momedo_protocol::seal::PrivateKeys;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use super::Result;

/// The shared secrets of ciphertexts as JSON, and in the order they are derived from.
pub(super) fn recover(keys: &PrivateKeys, ciphertexts: &Ciphertexts<'_>) -> Result<(Value, Vec<u8>)> {
    let (mut all, mut material) = (Map::new(), Vec::new());
    if let (Some(key), Some(ciphertext)) = (&keys.mceliece, ciphertexts.mceliece) {
        let secret = key.decapsulate(ciphertext)?;
        all.insert("mceliece".into(), encode_base64(&*secret).into());
        material.extend_from_slice(&*secret);
    }
    let ml_kem = keys.ml_kem.decapsulate(ciphertexts.ml_kem)?;
    let rsa = keys.rsa.decrypt(ciphertexts.rsa)?;
    all.insert("ml_kem".into(), encode_base64(&*ml_kem).into());
    all.insert("rsa".into(), encode_base64(&*rsa).into());
    material.extend_from_slice(&*ml_kem);
    material.extend_from_slice(&*rsa);
    Ok((all.into(), material))
}

/// Inputs and output of the key derivation, worked out here and not by the crate.
pub(super) fn derivation(
    material: &[u8],
    ciphertexts: &Ciphertexts<'_>,
    digest: &Sha512Digest,
    info: &[u8],
) -> Value {
    let salt = Sha512::digest([ciphertexts.concatenated().as_slice(), &digest.0].concat());
    let mut key = [0; 32];
    Hkdf::<Sha512>::new(Some(&salt), material).expand(info, &mut key).expect("32 bytes are few");
    json!({
        "key_material": encode_base64(material),
        "salt": encode_base64(&salt),
        "info": encode_base64(info),
        "key": encode_base64(&key),
    })
}
