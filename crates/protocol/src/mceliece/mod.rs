//! Classic McEliece 460896f: public keys of 524,160 bytes, ciphertexts of 156 bytes.
//!
//! Two implementations of the same scheme stand behind this module: on native targets
//! `pqcrypto-classicmceliece` (C, unmaintained since July 2026, see `deny.toml`), on wasm32
//! `classic-mceliece-rust`. A test proves that each opens what the other sealed, so leaving one of
//! them is one line here.

use zeroize::Zeroizing;

use crate::digest::Sha512Digest;

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(any(target_arch = "wasm32", test))]
mod portable;

#[cfg(not(target_arch = "wasm32"))]
use native as implementation;
#[cfg(target_arch = "wasm32")]
use portable as implementation;

/// Length of a public key, in bytes.
pub const PUBLIC_KEY_BYTES: usize = 524_160;
/// Length of a private key, in bytes.
pub const PRIVATE_KEY_BYTES: usize = 13_608;
/// Length of a ciphertext, in bytes.
pub const CIPHERTEXT_BYTES: usize = 156;

/// Bytes of the wrong length for what they should be, or a ciphertext that cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Classic McEliece 460896f key or ciphertext")]
pub struct McElieceError;

/// A public key; travels raw and is named by its SHA-512 digest.
#[derive(Clone, PartialEq, Eq)]
pub struct McEliecePublicKey(Vec<u8>);

impl McEliecePublicKey {
    /// Takes raw bytes.
    ///
    /// # Errors
    /// [`McElieceError`] for a wrong length. More cannot be seen from outside: every bit pattern is some key.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, McElieceError> {
        if bytes.len() == PUBLIC_KEY_BYTES { Ok(Self(bytes)) } else { Err(McElieceError) }
    }

    /// The raw key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digest that key bundles name this key by.
    pub fn digest(&self) -> Sha512Digest {
        Sha512Digest::of(&self.0)
    }

    /// Draws a shared secret and its ciphertext; takes about a millisecond.
    pub fn encapsulate(&self) -> (Vec<u8>, Zeroizing<[u8; 32]>) {
        implementation::encapsulate(&self.0)
    }
}

impl std::fmt::Debug for McEliecePublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "McEliecePublicKey({})", self.digest())
    }
}

/// A private key.
#[derive(Clone)]
pub struct McEliecePrivateKey(Zeroizing<Vec<u8>>);

impl McEliecePrivateKey {
    /// Makes a new key pair; takes about a second.
    pub fn generate() -> (Self, McEliecePublicKey) {
        let (private, public) = implementation::generate();
        (Self(private), McEliecePublicKey(public))
    }

    /// Takes raw bytes.
    ///
    /// # Errors
    /// [`McElieceError`] for a wrong length.
    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Result<Self, McElieceError> {
        if bytes.len() == PRIVATE_KEY_BYTES { Ok(Self(bytes)) } else { Err(McElieceError) }
    }

    /// The raw key; the caller keeps it secret.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Recovers the shared secret; for a ciphertext made for another key it is another, random-looking one.
    ///
    /// # Errors
    /// [`McElieceError`] for a ciphertext of wrong length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<[u8; 32]>, McElieceError> {
        if ciphertext.len() != CIPHERTEXT_BYTES {
            return Err(McElieceError);
        }
        Ok(implementation::decapsulate(&self.0, ciphertext))
    }
}

impl std::fmt::Debug for McEliecePrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("McEliecePrivateKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::{native, portable};

    #[test]
    fn each_implementation_opens_what_the_other_sealed() {
        let (private, public) = native::generate();
        let (ciphertext, secret) = portable::encapsulate(&public);
        assert_eq!(*native::decapsulate(&private, &ciphertext), *secret);
        assert_eq!(*portable::decapsulate(&private, &ciphertext), *secret);

        let (private, public) = portable::generate();
        let (ciphertext, secret) = native::encapsulate(&public);
        assert_eq!(*portable::decapsulate(&private, &ciphertext), *secret);
        assert_eq!(*native::decapsulate(&private, &ciphertext), *secret);
    }
}
