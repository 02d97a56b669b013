//! Keys that follow from a text: from a Smoke ID or from an ozone's name, in the same way.
//!
//! A stream is no secret to anybody who knows the text. What is sealed with it is hidden from strangers and
//! recognised by those who know the text, no more.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use crate::mac::{MacKey, TAG_BYTES};
use crate::smoke_id::{ROUNDS, SmokeId};
use crate::{lenient_base64, sha512};

/// Bytes of a stream.
pub const STREAM_BYTES: usize = 96;

/// Bytes of an initialisation vector and of a cipher block.
const BLOCK_BYTES: usize = 16;

/// A derived stream: an AES-256 key and an HMAC key.
#[derive(Clone)]
pub struct KeyStream {
    bytes: Zeroizing<[u8; STREAM_BYTES]>,
    mac: MacKey,
}

impl KeyStream {
    /// Derives the stream of a text; takes about a millisecond.
    fn of_text(text: &[u8]) -> Self {
        let salt = sha512(text);
        let mut first = Zeroizing::new([0; 20]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, ROUNDS, &salt, text, first.as_mut());
        let password = Zeroizing::new(lenient_base64::encode(first.as_ref()));
        let mut bytes = Zeroizing::new([0; STREAM_BYTES]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, NonZeroU32::MIN, &salt, password.as_bytes(), bytes.as_mut());
        Self::from_bytes(&bytes)
    }

    /// The stream of a Smoke ID; also of the ozone of that name.
    pub fn of_id(id: &SmokeId) -> Self {
        Self::of_text(id.as_bytes())
    }

    /// The stream of an ozone's name, trimmed as the app trims it.
    pub fn of_ozone(name: &str) -> Self {
        Self::of_text(trimmed(name).as_bytes())
    }

    /// A stream that was derived before.
    pub fn from_bytes(bytes: &[u8; STREAM_BYTES]) -> Self {
        Self { bytes: Zeroizing::new(*bytes), mac: MacKey::new(&bytes[32..]) }
    }

    /// The 96 bytes, for keeping.
    pub fn bytes(&self) -> &[u8; STREAM_BYTES] {
        &self.bytes
    }

    /// The HMAC key.
    pub fn mac(&self) -> &MacKey {
        &self.mac
    }

    fn cipher_key(&self) -> UnboundCipherKey {
        UnboundCipherKey::new(&AES_256, &self.bytes[..32]).expect("AES-256 keys have 32 bytes")
    }

    /// `IV || AES-256-CBC(plain)` under a random IV, then the tag over both.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(self.cipher_key()).expect("AES-256 does CBC");
        let mut ciphertext = plain.to_vec();
        let context = key.encrypt(&mut ciphertext).expect("encryption of any length succeeds");
        let iv: &[u8] = (&context).try_into().unwrap_or_default();
        let mut sealed = [iv, &ciphertext].concat();
        let tag = self.mac.tag(&sealed);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens `IV || ciphertext || tag`; `None` whatever is wrong with it. The tag is checked first.
    pub fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (encrypted, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
        if self.mac.verifies(encrypted, tag) { self.decrypt(encrypted) } else { None }
    }

    /// Decrypts `IV || ciphertext` whose tag was checked.
    pub(crate) fn decrypt(&self, encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (iv, ciphertext) = encrypted.split_first_chunk::<BLOCK_BYTES>()?;
        if ciphertext.is_empty() || ciphertext.len() % BLOCK_BYTES != 0 {
            return None;
        }
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(self.cipher_key()).ok()?;
        let mut plain = Zeroizing::new(ciphertext.to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        let length = key.decrypt(&mut plain, context).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

/// An ozone's name without characters up to U+0020 at its ends, which is what Java calls trimming.
pub fn trimmed(name: &str) -> &str {
    name.trim_matches(|character| character <= ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_opens() {
        let stream = KeyStream::of_ozone(" harbour\u{a0} ");
        for length in [0, 1, 15, 16, 17, 500] {
            let plain: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let sealed = stream.seal(&plain);
            assert_eq!(stream.open(&sealed).as_deref(), Some(&plain));
            for at in [0, 16, sealed.len() - 1] {
                let mut wrong = sealed.clone();
                wrong[at] ^= 1;
                assert!(stream.open(&wrong).is_none());
            }
            assert!(stream.open(&sealed[1..]).is_none());
        }
        assert!(stream.open(&[0; 63]).is_none());
        // A right tag over what is no ciphertext.
        for length in [0, 15, 16, 17] {
            let encrypted = vec![7; length];
            let tag = stream.mac().tag(&encrypted);
            assert!(stream.open(&[&encrypted[..], &tag].concat()).is_none());
        }
    }

    #[test]
    fn names_are_trimmed_as_java_does() {
        assert_eq!(trimmed(" \u{1}a b\t\n"), "a b");
        assert_eq!(trimmed("\u{a0}a"), "\u{a0}a");
    }
}
