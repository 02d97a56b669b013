//! Checking signatures of the kinds a server must know: ECDSA P-384 and RSA, both with SHA-512.

use aws_lc_rs::signature::{ECDSA_P384_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey};

/// Length and beginning of the SPKI of an ECDSA P-384 key.
const EC_BYTES: usize = 120;
const EC_PREFIX: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04,
];

/// The OIDs inside the SPKI of RSA and of McEliece-CCA2 keys.
const RSA_OID: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const MCELIECE_OID: &[u8] =
    &[0x06, 0x0c, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xc0, 0x6d, 0x03, 0x01, 0x03, 0x04, 0x02];

/// Lengths of the McEliece keys the original server takes; (13,118) has 1,278,401 and is refused by it too.
const MCELIECE_BYTES: [usize; 2] = [103_427, 334_625];

/// Where an algorithm's OID may begin: after the lengths of two nested sequences.
const OID_WITHIN: usize = 24;

/// What kind of key a SPKI holds, told by its length and its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-384.
    Ec,
    /// RSA; in practice of 4096 bits.
    Rsa,
    /// McEliece-CCA2 in one of the sizes the app offers; opaque here.
    McEliece,
    /// SPHINCS, Rainbow, or nothing known.
    Unsupported,
}

/// Looks at a key (SPKI DER).
pub fn kind(spki: &[u8]) -> KeyKind {
    let has = |oid: &[u8]| spki[..spki.len().min(OID_WITHIN)].windows(oid.len()).any(|window| window == oid);
    if spki.len() == EC_BYTES && spki.starts_with(EC_PREFIX) {
        KeyKind::Ec
    } else if (200..1200).contains(&spki.len()) && has(RSA_OID) {
        KeyKind::Rsa
    } else if MCELIECE_BYTES.contains(&spki.len()) && has(MCELIECE_OID) {
        KeyKind::McEliece
    } else {
        KeyKind::Unsupported
    }
}

/// Whether `signature` over `message` verifies under the key (SPKI DER); a key that cannot sign verifies nothing.
pub fn verifies(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let result = match kind(spki) {
        KeyKind::Ec => UnparsedPublicKey::new(&ECDSA_P384_SHA512_ASN1, spki).verify(message, signature),
        KeyKind::Rsa => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, spki).verify(message, signature),
        KeyKind::McEliece | KeyKind::Unsupported => return false,
    };
    result.is_ok()
}
