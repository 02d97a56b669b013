//! Proof of possession: whoever publishes encryption keys shows that all of them can be opened.
//!
//! The server encapsulates to the new keys; the answer is an HMAC-SHA-512 under a key derived with a
//! label of its own. Decrypted bytes are never returned, so nobody can be used as a decryption oracle.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha512;
use subtle::ConstantTimeEq;

use crate::digest::{Fingerprint, Sha512Digest};
use crate::encoding::Base64Bytes;
use crate::envelope::Ciphertexts;
use crate::id::ParticipantId;
use crate::seal::{RecipientKeys, SealError, SharedSecrets, derive_key, encapsulate};
use crate::suite::Suite;

/// Binds the derived key to this use.
const POSSESSION_LABEL: &[u8] = b"momedo key possession v1";

/// What the server asks: one ciphertext per published encryption key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PossessionChallenge {
    /// Classic McEliece ciphertext (156 bytes), where the bundle names such a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mceliece: Option<Base64Bytes>,
    /// ML-KEM-768 ciphertext (1088 bytes).
    pub ml_kem: Base64Bytes,
    /// RSA-OAEP ciphertext.
    pub rsa: Base64Bytes,
}

/// What is being proved, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct PossessionContext {
    /// Fingerprint of the asking server.
    pub server: Fingerprint,
    /// Whose keys they are.
    pub id: ParticipantId,
    /// Digest of the key bundle that is to be published.
    pub bundle_digest: Sha512Digest,
}

/// The right answer to a challenge (64 bytes), compared in constant time.
#[derive(Clone)]
pub struct PossessionAnswer([u8; 64]);

impl PossessionAnswer {
    /// The answer as it travels.
    pub fn bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Whether `answer` is the right one, in constant time.
    pub fn matches(&self, answer: &[u8]) -> bool {
        bool::from(self.0.as_slice().ct_eq(answer))
    }
}

impl PossessionChallenge {
    /// Makes a challenge for `keys` and the answer to expect.
    ///
    /// # Errors
    /// [`SealError::MissingMcElieceKey`] when `suite` wants a key that is not there.
    pub fn make(
        suite: Suite,
        keys: &RecipientKeys<'_>,
        context: &PossessionContext,
    ) -> Result<(Self, PossessionAnswer), SealError> {
        let (ciphertexts, secrets) = encapsulate(suite, keys)?;
        let challenge = Self {
            mceliece: ciphertexts.mceliece.clone().map(Base64Bytes),
            ml_kem: Base64Bytes(ciphertexts.ml_kem.clone()),
            rsa: Base64Bytes(ciphertexts.rsa.clone()),
        };
        let answer = answer(&challenge.ciphertexts(), &secrets, context);
        Ok((challenge, answer))
    }

    /// Answers with the private keys of the bundle that is to be published.
    ///
    /// # Errors
    /// [`crate::seal::OpenError`] when a ciphertext does not fit the keys.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn answer(
        &self,
        keys: &crate::seal::PrivateKeys,
        context: &PossessionContext,
    ) -> Result<PossessionAnswer, crate::seal::OpenError> {
        let secrets = crate::seal::decapsulate(&self.ciphertexts(), keys)?;
        Ok(answer(&self.ciphertexts(), &secrets, context))
    }

    /// The ciphertexts, borrowed.
    pub fn ciphertexts(&self) -> Ciphertexts<'_> {
        Ciphertexts {
            mceliece: self.mceliece.as_ref().map(|c| c.0.as_slice()),
            ml_kem: &self.ml_kem.0,
            rsa: &self.rsa.0,
        }
    }
}

/// Low-level answering with recovered secrets, for clients whose private keys live elsewhere.
pub fn answer(
    ciphertexts: &Ciphertexts<'_>,
    secrets: &SharedSecrets,
    context: &PossessionContext,
) -> PossessionAnswer {
    let key = derive_key(secrets, ciphertexts, &context.bundle_digest, POSSESSION_LABEL);
    let mac = Hmac::<Sha512>::new_from_slice(&key[..])
        .expect("HMAC takes keys of any length")
        .chain_update(context.server.0)
        .chain_update(context.id.to_string())
        .chain_update(context.bundle_digest.0)
        .finalize();
    PossessionAnswer(mac.into_bytes().into())
}
