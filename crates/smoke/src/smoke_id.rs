//! Smoke IDs: 32 upper-case hexadecimal digits in groups of four, 39 characters, such as
//! `2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7`.
//!
//! An ID follows from a participant's public keys, or from an alias that has nothing to do with them.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use aws_lc_rs::pbkdf2;

use crate::sha512;
use crate::sip_hash::sip_hash_128;

/// Characters of an ID.
pub const ID_CHARACTERS: usize = 39;

/// PBKDF2 rounds between data and hash key.
pub(crate) const ROUNDS: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");

/// Who somebody is, as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SmokeId([u8; ID_CHARACTERS]);

/// The text is not a Smoke ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a Smoke ID: 32 hexadecimal digits are expected, such as 2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7"
)]
pub struct SmokeIdError;

impl SmokeId {
    /// The ID whose digits these are.
    fn of_hash(hash: [u8; 16]) -> Self {
        let mut text = [b'-'; ID_CHARACTERS];
        for (group, bytes) in hash.chunks(2).enumerate() {
            for (index, byte) in bytes.iter().enumerate() {
                let at = group * 5 + index * 2;
                text[at] = digit(byte >> 4);
                text[at + 1] = digit(byte & 15);
            }
        }
        Self(text)
    }

    fn of_data(data: &[u8]) -> Self {
        let password: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut key = [0; 16];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, ROUNDS, &sha512(data), password.as_bytes(), &mut key);
        Self::of_hash(sip_hash_128(&key, data))
    }

    /// The ID of whoever holds these keys (SPKI DER); takes milliseconds, more for McEliece keys.
    pub fn of_keys(encryption_key: &[u8], signature_key: &[u8]) -> Self {
        Self::of_data(&[encryption_key, signature_key].concat())
    }

    /// The ID that the app makes of an alias.
    pub fn of_alias(alias: &str) -> Self {
        Self::of_data(alias.as_bytes())
    }

    /// Reads the exact form that stands in requests, in either case.
    pub fn from_wire(text: &[u8]) -> Option<Self> {
        let mut id: [u8; ID_CHARACTERS] = text.try_into().ok()?;
        id.make_ascii_uppercase();
        let fits = |(index, byte): (usize, &u8)| {
            if index % 5 == 4 { *byte == b'-' } else { byte.is_ascii_hexdigit() }
        };
        id.iter().enumerate().all(fits).then_some(Self(id))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits and hyphens are ASCII")
    }

    /// The bytes of the text.
    pub fn as_bytes(&self) -> &[u8; ID_CHARACTERS] {
        &self.0
    }

    /// The identity by which frames for its owner are recognised.
    pub fn routing_identity(&self) -> [u8; 64] {
        sha512(&self.0)
    }
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'A' + value - 10 }
}

impl FromStr for SmokeId {
    type Err = SmokeIdError;

    /// Reads what people type: hyphens and spaces anywhere, either case.
    fn from_str(text: &str) -> Result<Self, SmokeIdError> {
        let digits: Vec<u8> =
            text.bytes().filter(|byte| *byte != b'-' && !byte.is_ascii_whitespace()).take(33).collect();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(SmokeIdError);
        }
        let mut id = [b'-'; ID_CHARACTERS];
        for (index, byte) in digits.iter().enumerate() {
            id[index + index / 4] = byte.to_ascii_uppercase();
        }
        Ok(Self(id))
    }
}

impl fmt::Display for SmokeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SmokeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_may_type_an_id_as_they_like() {
        let id: SmokeId = "2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7".parse().unwrap();
        for text in ["2151a14f7894dbbf41c3fe8184ccaef7", " 2151-a14f 7894-DBBF-41C3-FE81-84CC-AEF7\n"] {
            assert_eq!(text.parse(), Ok(id), "{text}");
        }
        for text in [
            "",
            "2151",
            "2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF70",
            "G151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7",
        ] {
            assert_eq!(text.parse::<SmokeId>(), Err(SmokeIdError), "{text}");
        }
        assert_eq!(SmokeId::from_wire(b"2151-a14f-7894-dbbf-41c3-fe81-84cc-aef7"), Some(id));
        assert_eq!(SmokeId::from_wire(b"2151A14F-7894-DBBF-41C3-FE81-84CC-AEF7-"), None);
    }

    proptest! {
        #[test]
        fn an_id_reads_its_own_text(hash: [u8; 16]) {
            let id = SmokeId::of_hash(hash);
            prop_assert_eq!(id.as_str().parse(), Ok(id));
            prop_assert_eq!(SmokeId::from_wire(id.as_bytes()), Some(id));
        }

        #[test]
        fn reading_never_panics(text: String, bytes: Vec<u8>) {
            let _: Result<_, _> = text.parse::<SmokeId>();
            SmokeId::from_wire(&bytes);
        }
    }
}
