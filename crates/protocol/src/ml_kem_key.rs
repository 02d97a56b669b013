//! ML-KEM-768 (FIPS 203): encapsulation keys of 1184 bytes, private keys as 64-byte seeds, ciphertexts
//! of 1088 bytes.

use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::{MlKem768, ml_kem_768};
use zeroize::Zeroizing;

use crate::random;

/// Length of an encapsulation key, in bytes.
pub const PUBLIC_KEY_BYTES: usize = 1184;
/// Length of a ciphertext, in bytes.
pub const CIPHERTEXT_BYTES: usize = 1088;
/// Length of a private key as its seed (`d ‖ z` of FIPS 203), in bytes.
pub const SEED_BYTES: usize = 64;

/// A public key; its modulus check (FIPS 203, section 7.2) has passed.
#[derive(Clone, PartialEq, Eq)]
pub struct MlKemPublicKey {
    bytes: Vec<u8>,
    key: ml_kem_768::EncapsulationKey,
}

/// The bytes are not an ML-KEM-768 key or ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ML-KEM-768 key or ciphertext")]
pub struct MlKemError;

impl MlKemPublicKey {
    /// Reads a raw encapsulation key.
    ///
    /// # Errors
    /// [`MlKemError`] for a wrong length or values outside the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MlKemError> {
        let encoded = bytes.try_into().map_err(|_| MlKemError)?;
        let key = ml_kem_768::EncapsulationKey::new(encoded).map_err(|_| MlKemError)?;
        Ok(Self { bytes: bytes.to_vec(), key })
    }

    /// The raw encapsulation key.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Draws a shared secret and its ciphertext.
    pub fn encapsulate(&self) -> (Vec<u8>, Zeroizing<[u8; 32]>) {
        let seed = Zeroizing::new(random::bytes::<32>());
        let (ciphertext, secret) = self.key.encapsulate_deterministic(&(*seed).into());
        (ciphertext.to_vec(), Zeroizing::new(secret.into()))
    }
}

impl std::fmt::Debug for MlKemPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MlKemPublicKey")
    }
}

/// A private key.
pub struct MlKemPrivateKey {
    seed: Zeroizing<[u8; SEED_BYTES]>,
    key: ml_kem::DecapsulationKey<MlKem768>,
}

impl MlKemPrivateKey {
    /// Makes a new key.
    pub fn generate() -> Self {
        Self::from_seed(Zeroizing::new(random::bytes()))
    }

    /// The key of this seed.
    pub fn from_seed(seed: Zeroizing<[u8; SEED_BYTES]>) -> Self {
        let key = ml_kem::DecapsulationKey::from_seed((*seed).into());
        Self { seed, key }
    }

    /// The seed, from which the whole key follows; the caller keeps it secret.
    pub fn seed(&self) -> &[u8; SEED_BYTES] {
        &self.seed
    }

    /// The public half.
    pub fn public(&self) -> MlKemPublicKey {
        let bytes = self.key.encapsulation_key().to_bytes();
        MlKemPublicKey::from_bytes(&bytes).expect("a key's own public half is acceptable")
    }

    /// Recovers the shared secret; for a ciphertext made for another key it is another, random-looking one.
    ///
    /// # Errors
    /// [`MlKemError`] for a ciphertext of wrong length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<[u8; 32]>, MlKemError> {
        let ciphertext: &ml_kem_768::Ciphertext = ciphertext.try_into().map_err(|_| MlKemError)?;
        Ok(Zeroizing::new(self.key.decapsulate(ciphertext).into()))
    }
}

impl std::fmt::Debug for MlKemPrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MlKemPrivateKey(***)")
    }
}
