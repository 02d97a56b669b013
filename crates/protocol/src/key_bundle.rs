//! Key bundles: a participant's public keys, homes and accepted suites, signed and versioned.

use serde::{Deserialize, Serialize};

use crate::digest::{Fingerprint, Sha512Digest};
use crate::encoding::Base64Bytes;
use crate::id::ParticipantId;
use crate::jws::{Document, DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::limits::{MAX_BUNDLE_PAYLOAD_BYTES, MAX_HOMES};
use crate::ml_kem_key::{MlKemError, MlKemPublicKey};
use crate::name::is_acceptable_name;
use crate::rsa_key::{RsaKeyError, RsaPublicKey};
use crate::suite::Suite;
use crate::time::UnixMillis;

/// By how many versions a bundle may be newer than what a restored server has: nobody gets there in the life of a backup,
/// and nobody who stole a device uses up all versions.
pub const MAX_FORGOTTEN_VERSIONS: u64 = 1_000;

/// What is signed: the payload of a `momedo-key-bundle+jws`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyBundlePayload {
    /// Whose keys these are.
    pub id: ParticipantId,
    /// Display name.
    pub name: String,
    /// Fingerprints of the servers that hold this participant's ozone, first the main one.
    pub homes: Vec<Fingerprint>,
    /// Starts at 1 and rises by one with every new bundle.
    pub version: u64,
    /// When the participant's device made it.
    pub issued_at: UnixMillis,
    /// From when on nobody should seal to it.
    pub expires_at: UnixMillis,
    /// RSA key that signs bundles, device lists and messages (SPKI DER).
    pub signature_key: Base64Bytes,
    /// RSA key for OAEP (SPKI DER).
    pub rsa_key: Base64Bytes,
    /// ML-KEM-768 encapsulation key (raw).
    pub ml_kem_key: Base64Bytes,
    /// SHA-512 of the raw Classic McEliece 460896f key; absent where suite 1 is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mceliece_key: Option<Sha512Digest>,
    /// Suites the participant accepts.
    pub suites: Vec<Suite>,
}

/// A key bundle whose signatures, sizes and fields have been checked.
#[derive(Debug, Clone)]
pub struct KeyBundle {
    /// The signed fields.
    pub payload: KeyBundlePayload,
    /// SHA-512 of the signed payload; envelopes name the bundle they are sealed to by it.
    pub digest: Sha512Digest,
    /// The parsed signature key.
    pub signature_key: RsaPublicKey,
    /// The parsed RSA encryption key.
    pub rsa_key: RsaPublicKey,
    /// The parsed ML-KEM key.
    pub ml_kem_key: MlKemPublicKey,
    /// Whether a second signature is there; [`KeyBundle::verify`] has not looked at it.
    has_predecessor_signature: bool,
}

/// Why a key bundle is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyBundleError {
    /// The signed document itself is wrong.
    #[error(transparent)]
    Signature(#[from] JwsError),
    /// An RSA key is not acceptable.
    #[error(transparent)]
    Rsa(#[from] RsaKeyError),
    /// The ML-KEM key is not acceptable.
    #[error(transparent)]
    MlKem(#[from] MlKemError),
    /// A field holds what it must not.
    #[error("{0}")]
    Field(&'static str),
    /// The version does not follow the one before.
    #[error("the key bundle must have version {expected}")]
    Version {
        /// The only version acceptable now.
        expected: u64,
    },
    /// The signature key changed without the old key's signature.
    #[error("the old signature key has not signed the new one")]
    NotSignedByOldKey,
}

impl Document for KeyBundlePayload {
    const KIND: DocumentType = DocumentType::KeyBundle;
}

impl KeyBundlePayload {
    /// Signs the payload: with the bundle's own signature key, then with the old one if it changes.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Jws {
        Jws::sign(DocumentType::KeyBundle, &write_payload(self), signers)
    }
}

impl KeyBundle {
    /// Verifies a bundle by itself: its own signature, key sizes, fields. Whether it may follow an
    /// earlier bundle is [`KeyBundle::may_follow`]'s question.
    ///
    /// # Errors
    /// As [`KeyBundleError`] says.
    pub fn verify(jws: &Jws) -> Result<Self, KeyBundleError> {
        let unverified = jws.unverified_payload()?;
        if unverified.len() > MAX_BUNDLE_PAYLOAD_BYTES {
            return Err(JwsError::Malformed.into());
        }
        let payload: KeyBundlePayload = read_payload(&unverified)?;
        let signature_key = RsaPublicKey::from_spki(&payload.signature_key.0)?;
        // The first signature must be the bundle's own; a second one is the predecessor's to check.
        let has_predecessor_signature = match jws.signature_count() {
            1 => false,
            2 => true,
            _ => return Err(JwsError::WrongSignature.into()),
        };
        let own = if has_predecessor_signature { jws.first_signature_only() } else { jws.clone() };
        let bytes = own.verify(DocumentType::KeyBundle, &[&signature_key])?;
        let rsa_key = RsaPublicKey::from_spki(&payload.rsa_key.0)?;
        let ml_kem_key = MlKemPublicKey::from_bytes(&payload.ml_kem_key.0)?;
        check_fields(&payload)?;
        if rsa_key == signature_key {
            return Err(KeyBundleError::Field("the signature key must not be the encryption key"));
        }
        let digest = Sha512Digest::of(&bytes);
        Ok(Self { payload, digest, signature_key, rsa_key, ml_kem_key, has_predecessor_signature })
    }

    /// The participant's fingerprint: that of the signature key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.signature_key.fingerprint()
    }

    /// Whether the bundle says its owner accepts `suite`.
    pub fn accepts(&self, suite: Suite) -> bool {
        self.payload.suites.contains(&suite)
    }

    /// Checks that this bundle, read from `jws`, may follow `previous`: same participant, version
    /// risen by one, and a changed signature key signed by the old one.
    ///
    /// # Errors
    /// [`KeyBundleError::Field`], [`KeyBundleError::Version`] or [`KeyBundleError::NotSignedByOldKey`].
    pub fn may_follow(&self, jws: &Jws, previous: &KeyBundle) -> Result<(), KeyBundleError> {
        if self.payload.id != previous.payload.id {
            return Err(KeyBundleError::Field("the key bundle is for another participant"));
        }
        let expected = previous.payload.version + 1;
        if self.payload.version != expected {
            return Err(KeyBundleError::Version { expected });
        }
        if self.signature_key == previous.signature_key {
            return match self.has_predecessor_signature {
                false => Ok(()),
                true => Err(JwsError::WrongSignature.into()),
            };
        }
        self.is_signed_by(jws, &previous.signature_key)
    }

    /// Checks that this bundle, read from `jws`, may take the place of `previous` at a server that has forgotten what was
    /// between: same participant, a version newer by at most [`MAX_FORGOTTEN_VERSIONS`], and a signature key that is that
    /// of `previous`, or to which `changes` lead from it. Answers those of them that the server has forgotten.
    ///
    /// # Errors
    /// As [`KeyBundle::may_follow`].
    pub fn may_come_back(
        &self,
        jws: &Jws,
        previous: &KeyBundle,
        changes: &[Jws],
    ) -> Result<Vec<(KeyBundle, Jws)>, KeyBundleError> {
        if self.payload.id != previous.payload.id {
            return Err(KeyBundleError::Field("the key bundle is for another participant"));
        }
        let (known, newest) = (previous.payload.version, self.payload.version);
        if newest <= known || newest - known > MAX_FORGOTTEN_VERSIONS {
            return Err(KeyBundleError::Version { expected: known + 1 });
        }
        let (mut current, mut version) = (previous.signature_key.clone(), known);
        let mut forgotten = Vec::new();
        for change in changes {
            let step = KeyBundle::verify(change)?;
            if step.payload.version <= known || step.digest == self.digest {
                continue;
            }
            let fits = step.payload.id == self.payload.id
                && step.payload.version > version
                && step.payload.version < newest;
            if !fits {
                return Err(KeyBundleError::Field("the changes of the signature key do not fit"));
            }
            step.is_signed_by(change, &current)?;
            (current, version) = (step.signature_key.clone(), step.payload.version);
            forgotten.push((step, change.clone()));
        }
        if self.signature_key != current {
            self.is_signed_by(jws, &current)?;
        }
        Ok(forgotten)
    }

    /// Checks that this bundle, read from `jws`, carries `old`'s signature beside its own.
    ///
    /// # Errors
    /// [`KeyBundleError::NotSignedByOldKey`].
    pub fn is_signed_by(&self, jws: &Jws, old: &RsaPublicKey) -> Result<(), KeyBundleError> {
        jws.verify(DocumentType::KeyBundle, &[&self.signature_key, old])
            .map(drop)
            .map_err(|_| KeyBundleError::NotSignedByOldKey)
    }
}

fn check_fields(payload: &KeyBundlePayload) -> Result<(), KeyBundleError> {
    let refuse = |reason| Err(KeyBundleError::Field(reason));
    if !is_acceptable_name(&payload.name) {
        return refuse("a name has 1 to 80 characters that can be seen, with single spaces");
    }
    if payload.homes.is_empty() || payload.homes.len() > MAX_HOMES {
        return refuse("a key bundle names 1 to 4 homes");
    }
    if payload.version == 0 || payload.version > u64::from(u32::MAX) {
        return refuse("the version of a key bundle starts at 1");
    }
    if payload.expires_at <= payload.issued_at {
        return refuse("the key bundle expires before it is issued");
    }
    if payload.suites.is_empty() || payload.suites.len() > Suite::ALL.len() {
        return refuse("a key bundle accepts at least one suite");
    }
    if payload.suites.contains(&Suite::Full) != payload.mceliece_key.is_some() {
        return refuse("suite 1 and a McEliece key come together");
    }
    Ok(())
}
