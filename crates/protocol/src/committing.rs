//! Authenticated encryption that commits to its key: what is sealed opens under one key and no other.
//!
//! AES-GCM alone does not promise that: whoever knows two keys can make one ciphertext and tag that open under both,
//! to different texts. So every derivation gives 64 bytes, `key (32) ‖ commitment (32)`; the commitment stands before
//! the ciphertext and is compared before anything is opened. Both halves are one output of HMAC-SHA-512, so two keys
//! of one commitment would be a collision of it: the generic construction of Albertini, Duong, Gueron, Kölbl, Luykx,
//! Schmieg, *How to Abuse and Fix Authenticated Encryption Without Key Commitment* (2020), section 5.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::envelope::COMMITMENT_BYTES;

/// A nonce of AES-GCM, in bytes.
pub(crate) const NONCE_BYTES: usize = 12;

/// A key and the commitment to it.
pub(crate) struct CommittingKey(Zeroizing<[u8; 64]>);

impl CommittingKey {
    /// The key that follows from `material`; `info` begins with a label of its own for every use.
    pub(crate) fn derive(salt: Option<&[u8]>, material: &[u8], info: &[&[u8]]) -> Self {
        let mut both = Zeroizing::new([0; 64]);
        Hkdf::<Sha512>::new(salt, material)
            .expand_multi_info(info, &mut both[..])
            .expect("64 bytes are within HKDF-SHA-512's output");
        Self(both)
    }

    fn cipher(&self) -> Aes256Gcm {
        let key = Zeroizing::new(*self.0.first_chunk::<32>().expect("64 bytes have 32 in front"));
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
    }

    fn commitment(&self) -> &[u8] {
        &self.0[32..]
    }

    /// `commitment ‖ ciphertext ‖ tag`. The nonce is zero, so a key seals once.
    pub(crate) fn seal(&self, plain: &[u8], associated: &[u8]) -> Vec<u8> {
        self.seal_under([0; NONCE_BYTES], plain, associated)
    }

    /// [`CommittingKey::seal`] with a nonce, for keys that may seal twice.
    pub(crate) fn seal_under(&self, nonce: [u8; NONCE_BYTES], plain: &[u8], associated: &[u8]) -> Vec<u8> {
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: associated })
            .expect("AES-GCM seals whatever fits into memory");
        [self.commitment(), &sealed].concat()
    }

    /// Opens what [`CommittingKey::seal`] made; `None` for anything else.
    pub(crate) fn open(&self, sealed: &[u8], associated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.open_under([0; NONCE_BYTES], sealed, associated)
    }

    /// Opens what [`CommittingKey::seal_under`] made.
    pub(crate) fn open_under(
        &self,
        nonce: [u8; NONCE_BYTES],
        sealed: &[u8],
        associated: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (commitment, sealed) = sealed.split_at_checked(COMMITMENT_BYTES)?;
        if !bool::from(self.commitment().ct_eq(commitment)) {
            return None;
        }
        let payload = Payload { msg: sealed, aad: associated };
        self.cipher().decrypt(&Nonce::from(nonce), payload).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_under_its_key_with_its_commitment_alone() {
        let key = CommittingKey::derive(None, &[1; 32], &[b"label"]);
        let other = CommittingKey::derive(None, &[1; 32], &[b"other label"]);
        let sealed = key.seal(b"hello", b"about");
        assert_eq!(key.open(&sealed, b"about").unwrap().as_slice(), b"hello");
        assert!(key.open(&sealed, b"above").is_none() && other.open(&sealed, b"about").is_none());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(key.open(&changed, b"about").is_none(), "{index}");
            assert!(key.open(&sealed[..index], b"about").is_none(), "{index}");
        }
    }
}
