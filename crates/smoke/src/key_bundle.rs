//! Public key bundles ("EPKS"): how keys get to a server and from there to others.
//!
//! A bundle is sealed with the key stream of the ID it is addressed to, which may be the sender's own.

use strum::IntoStaticStr;
use zeroize::Zeroizing;

use crate::destination;
use crate::key_stream::KeyStream;
use crate::lenient_base64;
use crate::signature::{self, KeyKind};
use crate::smoke_id::SmokeId;

/// How far a bundle's time may be from the server's clock, in milliseconds; exactly this much is allowed.
pub const WINDOW_MILLIS: u64 = 120_000;

/// Largest bundle, opened, in bytes: one with the larger McEliece key and an RSA-4096 signature key.
pub const MAX_PLAIN_BYTES: usize = 512 * 1024;

/// A bundle, taken apart and not judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBundle {
    /// When it was made, in Unix milliseconds.
    pub at_millis: u64,
    /// What the keys are for; 0 is chat, and there is nothing else.
    pub key_type: u8,
    /// Whose keys.
    pub id: SmokeId,
    /// The encryption key, SPKI DER.
    pub encryption_key: Vec<u8>,
    /// A signature with the encryption key, or one byte that says what McEliece key it is.
    pub encryption_signature: Vec<u8>,
    /// The signature key, SPKI DER.
    pub signature_key: Vec<u8>,
    /// A signature with the signature key, or one zero byte when somebody else passes the keys on.
    pub signature: Vec<u8>,
}

/// Why a bundle's keys are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum KeyBundleError {
    /// Neither the ID nor the keys can be read, or it is for something else than chat.
    #[error("not a bundle of chat keys")]
    Malformed,
    /// The signature key is SPHINCS, Rainbow or unknown.
    #[error("the signature key is of a kind this server does not support")]
    #[strum(serialize = "signature-key")]
    UnsupportedSignatureKey,
    /// The encryption key is neither RSA nor McEliece in a known size.
    #[error("the encryption key is of a kind this server does not support")]
    #[strum(serialize = "encryption-key")]
    UnsupportedEncryptionKey,
    /// A signature does not verify, or is missing.
    #[error("a signature does not verify")]
    #[strum(serialize = "signature")]
    WrongSignature,
}

/// Whether bundles must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// Both must verify.
    Required,
    /// An operator lets somebody pass on this participant's keys.
    Optional,
}

impl KeyBundle {
    /// Takes the opened text apart: seven Base64 items, one a line.
    ///
    /// # Errors
    /// [`KeyBundleError::Malformed`].
    pub fn read(plain: &[u8]) -> Result<Self, KeyBundleError> {
        Self::items(plain).ok_or(KeyBundleError::Malformed)
    }

    fn items(plain: &[u8]) -> Option<Self> {
        let lines: Vec<&[u8]> = plain.splitn(8, |byte| *byte == b'\n').collect();
        let [time, kind, id, encryption, encryption_signature, signing, signature] = lines[..] else {
            return None;
        };
        let [key_type] = lenient_base64::decode(kind)?[..] else { return None };
        Some(Self {
            at_millis: u64::from_be_bytes(lenient_base64::decode(time)?.try_into().ok()?),
            key_type,
            id: SmokeId::from_wire(&lenient_base64::decode(id)?)?,
            encryption_key: lenient_base64::decode(encryption)?,
            encryption_signature: lenient_base64::decode(encryption_signature)?,
            signature_key: lenient_base64::decode(signing)?,
            signature: lenient_base64::decode(signature)?,
        })
    }

    /// Checks kinds and signatures; not the time, and not whether the keys may belong to the ID.
    ///
    /// # Errors
    /// As [`KeyBundleError`] says.
    pub fn check(&self, signatures: Signatures) -> Result<(), KeyBundleError> {
        if self.key_type != 0 {
            return Err(KeyBundleError::Malformed);
        }
        let encryption_kind = signature::kind(&self.encryption_key);
        if !matches!(encryption_kind, KeyKind::Rsa | KeyKind::McEliece) {
            return Err(KeyBundleError::UnsupportedEncryptionKey);
        }
        if !matches!(signature::kind(&self.signature_key), KeyKind::Ec | KeyKind::Rsa) {
            return Err(KeyBundleError::UnsupportedSignatureKey);
        }
        let signed = [&self.id.as_bytes()[..], &self.encryption_key, &self.signature_key].concat();
        let encryption_fits = encryption_kind == KeyKind::McEliece
            || signature::verifies(&self.encryption_key, &signed, &self.encryption_signature);
        let fits = encryption_fits && signature::verifies(&self.signature_key, &signed, &self.signature);
        if fits || signatures == Signatures::Optional { Ok(()) } else { Err(KeyBundleError::WrongSignature) }
    }

    /// The seven lines.
    pub fn text(&self) -> Zeroizing<Vec<u8>> {
        let items: [&[u8]; 7] = [
            &self.at_millis.to_be_bytes(),
            &[self.key_type],
            self.id.as_bytes(),
            &self.encryption_key,
            &self.encryption_signature,
            &self.signature_key,
            &self.signature,
        ];
        Zeroizing::new(items.map(lenient_base64::encode).join("\n").into_bytes())
    }

    /// The payload that brings the bundle to `addressee`, whose stream this is.
    pub fn seal(&self, addressee: &SmokeId, stream: &KeyStream) -> Vec<u8> {
        let mut payload = stream.seal(&self.text());
        let tag = destination::tag(&addressee.routing_identity(), &payload);
        payload.extend_from_slice(&tag);
        payload
    }
}

/// Opens what stands before the destination of a frame addressed to the ID whose stream this is, if it is a bundle.
pub fn open_sealed(sealed: &[u8], stream: &KeyStream) -> Option<Zeroizing<Vec<u8>>> {
    if sealed.len() > MAX_PLAIN_BYTES { None } else { stream.open(sealed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bundle_reads_its_own_text(
            at_millis: u64, key_type: u8, parts in prop::array::uniform4(prop::collection::vec(any::<u8>(), 0..40)),
        ) {
            let [encryption_key, encryption_signature, signature_key, signature] = parts;
            let id = SmokeId::from_wire(b"2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7").unwrap();
            let bundle = KeyBundle {
                at_millis, key_type, id, encryption_key, encryption_signature, signature_key, signature,
            };
            prop_assert_eq!(KeyBundle::read(&bundle.text()), Ok(bundle));
        }

        #[test]
        fn reading_never_panics(plain: Vec<u8>, lines in prop::collection::vec("[A-Za-z0-9+/=]{0,12}", 0..9)) {
            let _: Result<_, _> = KeyBundle::read(&plain);
            if let Ok(bundle) = KeyBundle::read(lines.join("\n").as_bytes()) {
                let _: Result<_, _> = bundle.check(Signatures::Required);
            }
        }
    }
}
