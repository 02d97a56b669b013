//! RSA public keys: what makes one acceptable, verifying with them and encrypting to them.
//!
//! Only public-key work happens here: parsing and encrypting with the `rsa` crate, verifying with it on
//! wasm32 and with aws-lc-rs elsewhere. See `rsa_private_key` for the rest.

use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::sha2::Sha256;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Oaep};

use crate::digest::Fingerprint;
use crate::limits::{MAX_RSA_BITS, MIN_RSA_BITS};
use crate::random::SystemRandom;

/// An acceptable RSA public key: 3000 to 4096 bits, exponent 65537, canonical SPKI DER.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    spki: Vec<u8>,
    key: rsa::RsaPublicKey,
}

/// Why an RSA public key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RsaKeyError {
    /// Not one canonical SubjectPublicKeyInfo with an RSA key.
    #[error("not an RSA public key in SPKI DER")]
    Malformed,
    /// The modulus is outside the accepted sizes.
    #[error("an RSA key needs {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one has {bits}")]
    Size {
        /// Bits of the refused modulus.
        bits: usize,
    },
    /// The public exponent is not 65537.
    #[error("the public exponent of an RSA key must be 65537")]
    Exponent,
}

/// The signature does not fit the key and the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit")]
pub struct SignatureError;

impl RsaPublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280) in DER.
    ///
    /// # Errors
    /// As [`RsaKeyError`] says.
    pub fn from_spki(spki: &[u8]) -> Result<Self, RsaKeyError> {
        // A 4096-bit SPKI has 550 bytes; more is not worth parsing.
        if spki.len() > 1024 {
            return Err(RsaKeyError::Malformed);
        }
        let key = rsa::RsaPublicKey::from_public_key_der(spki).map_err(|_| RsaKeyError::Malformed)?;
        let bits = key.n().bits();
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(RsaKeyError::Size { bits });
        }
        if *key.e() != BigUint::from(65_537u32) {
            return Err(RsaKeyError::Exponent);
        }
        let canonical = key.to_public_key_der().map_err(|_| RsaKeyError::Malformed)?;
        if canonical.as_bytes() != spki {
            return Err(RsaKeyError::Malformed);
        }
        Ok(Self { spki: spki.to_vec(), key })
    }

    /// The public half of a private key in unencrypted PKCS #8 DER (RFC 5958). Only the two public numbers are read; whether
    /// the private ones fit them is not looked at.
    ///
    /// # Errors
    /// As [`RsaKeyError`] says.
    pub fn of_pkcs8(pkcs8: &[u8]) -> Result<Self, RsaKeyError> {
        let malformed = |_| RsaKeyError::Malformed;
        let outer = rsa::pkcs8::PrivateKeyInfo::try_from(pkcs8).map_err(malformed)?;
        let inner =
            rsa::pkcs1::RsaPrivateKey::try_from(outer.private_key).map_err(|_| RsaKeyError::Malformed)?;
        let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
        let (n, e) = (number(inner.modulus.as_bytes()), number(inner.public_exponent.as_bytes()));
        let bits = n.bits();
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(RsaKeyError::Size { bits });
        }
        let key = rsa::RsaPublicKey::new(n, e).map_err(|_| RsaKeyError::Malformed)?;
        let spki = key.to_public_key_der().map_err(|_| RsaKeyError::Malformed)?;
        Self::from_spki(spki.as_bytes())
    }

    /// The key as SPKI DER, the form it travels in.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of [`Self::spki`].
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_spki(&self.spki)
    }

    /// Checks an RSASSA-PSS signature with SHA-512, MGF1-SHA-512 and a 64-byte salt (JOSE `PS512`).
    ///
    /// # Errors
    /// [`SignatureError`] when it does not fit.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        verify_pss(self, message, signature)
    }

    /// Encrypts 32 bytes with RSA-OAEP (SHA-256, MGF1-SHA-256, empty label); as long as the modulus.
    pub fn encrypt(&self, secret: &[u8; 32]) -> Vec<u8> {
        self.key
            .encrypt(&mut SystemRandom, Oaep::new::<Sha256>(), secret)
            .expect("32 bytes fit OAEP at every accepted key size")
    }

    /// Length of a ciphertext or signature, in bytes.
    pub fn modulus_bytes(&self) -> usize {
        self.key.size()
    }
}

/// With aws-lc-rs, which takes a tenth of the time: a log-in is little else.
#[cfg(not(target_arch = "wasm32"))]
fn verify_pss(key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA512, UnparsedPublicKey};
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, &key.spki)
        .verify(message, signature)
        .map_err(|_| SignatureError)
}

#[cfg(target_arch = "wasm32")]
fn verify_pss(key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    use rsa::signature::Verifier;
    let signature = rsa::pss::Signature::try_from(signature).map_err(|_| SignatureError)?;
    rsa::pss::VerifyingKey::<rsa::sha2::Sha512>::new(key.key.clone())
        .verify(message, &signature)
        .map_err(|_| SignatureError)
}

impl std::fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RsaPublicKey({})", self.fingerprint())
    }
}
