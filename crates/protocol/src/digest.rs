//! Digests things are named and pinned by.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256, Sha512};

use crate::encoding::{decode_base64, decode_hex, encode_base64, encode_hex, serde_as_text};

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// A SHA-512 digest (64 bytes) of a key bundle's payload or of a McEliece key; base64url in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "base64url"))]
pub struct Sha512Digest(pub [u8; 64]);

/// The text is not a digest of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a digest of the expected length")]
pub struct DigestError;

impl Sha512Digest {
    /// The digest of `data`.
    pub fn of(data: &[u8]) -> Self {
        Self(Sha512::digest(data).into())
    }
}

impl fmt::Display for Sha512Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_base64(&self.0))
    }
}

impl fmt::Debug for Sha512Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha512Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        decode_base64(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(DigestError)
    }
}

serde_as_text!(Sha512Digest);

/// Words of a fingerprint that people compare: 11 bits each, 88 bits together.
pub const FINGERPRINT_WORDS: usize = 8;

/// A fingerprint: SHA-256 (32 bytes) of an SPKI, of a participant's signature key or of a server's
/// identity key; 64 hexadecimal digits in JSON and links.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "hex"))]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of the key whose SPKI DER this is.
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(sha256(spki))
    }

    /// The fingerprint as people compare it: eight groups of eight hexadecimal digits.
    pub fn grouped(&self) -> String {
        self.0.chunks(4).map(encode_hex).collect::<Vec<_>>().join(" ")
    }

    /// The first 88 bits as eight English words (BIP 39), to be compared over the telephone.
    ///
    /// The other 168 bits are not compared. Somebody else's key with the same words would have to be found by making
    /// some 3·10^26 keys.
    pub fn words(&self) -> String {
        let list = bip39::Language::English.word_list();
        let bits = self.0[..11].iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        let word = |place: usize| {
            let index = bits >> (11 * (FINGERPRINT_WORDS - 1 - place)) & 0x7ff;
            list[usize::try_from(index).expect("11 bits fit")]
        };
        (0..FINGERPRINT_WORDS).map(word).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        decode_hex(text).map(Self).ok_or(DigestError)
    }
}

serde_as_text!(Fingerprint);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bits that words stand for, read back from the list.
    fn bits_of(words: &str) -> u128 {
        let list = bip39::Language::English.word_list();
        words.split(' ').fold(0, |bits, word| {
            let index = list.iter().position(|known| *known == word).unwrap();
            bits << 11 | u128::try_from(index).unwrap()
        })
    }

    proptest! {
        #[test]
        fn words_say_the_first_88_bits_and_no_others(bytes: [u8; 32]) {
            let words = Fingerprint(bytes).words();
            prop_assert_eq!(words.split(' ').count(), FINGERPRINT_WORDS);
            let expected = bytes[..11].iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte));
            prop_assert_eq!(bits_of(&words), expected);
            let mut other = bytes;
            other[11] ^= 1;
            prop_assert_eq!(Fingerprint(other).words(), words);
        }
    }

    #[test]
    fn the_first_and_the_last_word_of_the_list_stand_at_its_ends() {
        assert_eq!(Fingerprint([0; 32]).words(), ["abandon"; 8].join(" "));
        assert_eq!(Fingerprint([0xff; 32]).words(), ["zoo"; 8].join(" "));
    }
}
