//! RSA private keys on native targets, with aws-lc-rs.
//!
//! The `rsa` crate's private-key operations leak timing (RUSTSEC-2023-0071), so none is used anywhere.
//! In the browser the same operations are WebCrypto's.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{KeyPair, RSA_PSS_SHA512, RsaKeyPair};
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::EncodePublicKey;
use zeroize::Zeroizing;

use crate::jws::Signer;
use crate::rsa_key::{RsaKeyError, RsaPublicKey};

/// An RSA-3072 private key with its public key, for signing or for decrypting, never both.
pub struct RsaPrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    signing: RsaKeyPair,
    public: RsaPublicKey,
    /// The same key for decrypting, read when it is first needed: reading takes as long as using it.
    decrypting: OnceLock<Option<OaepPrivateDecryptingKey>>,
}

/// The bytes are not an acceptable RSA private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RSA private key in PKCS #8 DER")]
pub struct PrivateKeyError;

/// The ciphertext was not made for this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the RSA ciphertext cannot be opened")]
pub struct DecryptError;

impl RsaPrivateKey {
    /// Makes a new 3072-bit key; takes 0.1 to 2 seconds.
    pub fn generate() -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa3072).expect("the system can make RSA keys");
        let der = AsDer::<Pkcs8V1Der<'static>>::as_der(&key).expect("a fresh key has an encoding");
        Self::from_pkcs8(der.as_ref()).expect("a fresh key is acceptable")
    }

    /// Reads a private key in unencrypted PKCS #8 DER.
    ///
    /// # Errors
    /// [`PrivateKeyError`] also for key sizes that [`RsaPublicKey`] refuses.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, PrivateKeyError> {
        let signing = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| PrivateKeyError)?;
        let public = public_key(&signing).map_err(|_| PrivateKeyError)?;
        Ok(Self { pkcs8: Zeroizing::new(pkcs8.to_vec()), signing, public, decrypting: OnceLock::new() })
    }

    /// The key as unencrypted PKCS #8 DER; the caller keeps it secret.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    pub fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    /// Opens what [`RsaPublicKey::encrypt`] made.
    ///
    /// # Errors
    /// [`DecryptError`] for everything else, without saying what was wrong.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<[u8; 32]>, DecryptError> {
        let read = || {
            let key = PrivateDecryptingKey::from_pkcs8(&self.pkcs8).ok()?;
            OaepPrivateDecryptingKey::new(key).ok()
        };
        let key = self.decrypting.get_or_init(read).as_ref().ok_or(DecryptError)?;
        let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
        let plain =
            key.decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut buffer, None).map_err(|_| DecryptError)?;
        Ok(Zeroizing::new(<[u8; 32]>::try_from(&*plain).map_err(|_| DecryptError)?))
    }
}

/// aws-lc-rs gives PKCS #1; keys travel as SPKI.
fn public_key(key: &RsaKeyPair) -> Result<RsaPublicKey, RsaKeyError> {
    let public =
        rsa::RsaPublicKey::from_pkcs1_der(key.public_key().as_ref()).map_err(|_| RsaKeyError::Malformed)?;
    let spki = public.to_public_key_der().map_err(|_| RsaKeyError::Malformed)?;
    RsaPublicKey::from_spki(spki.as_bytes())
}

impl Signer for RsaPrivateKey {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(&RSA_PSS_SHA512, &SystemRandom::new(), message, &mut signature)
            .expect("signing with an acceptable key and a buffer of its length succeeds");
        signature
    }
}

impl std::fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RsaPrivateKey(***, {})", self.public.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_read_out_of_the_private_keys_bytes() {
        let key = RsaPrivateKey::generate();
        assert_eq!(RsaPublicKey::of_pkcs8(key.pkcs8()).as_ref(), Ok(key.public()));
        for length in [0, 1, 30, key.pkcs8().len() - 1] {
            assert!(RsaPublicKey::of_pkcs8(&key.pkcs8()[..length]).is_err(), "{length}");
        }
        assert!(RsaPublicKey::of_pkcs8(key.public().spki()).is_err());
    }
}
