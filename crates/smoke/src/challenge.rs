//! Private listeners: the server sends a challenge, the client signs it with its signature key.

use crate::{frame, lenient_base64, random, signature};

/// A challenge: 88 characters, Base64 of 64 random bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

/// A client's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The client's own random bytes, signed too.
    random: [u8; 64],
    /// SHA-512 of the client's signature key.
    pub key_digest: [u8; 64],
    signature: Vec<u8>,
}

impl Challenge {
    /// A new one.
    pub fn new() -> Self {
        Self(lenient_base64::encode(&random::<64>()))
    }

    /// One that was sent, by its text.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The `0097a` that carries it.
    pub fn frame(&self) -> Vec<u8> {
        frame::typed("0097a", &self.0)
    }
}

impl Default for Challenge {
    fn default() -> Self {
        Self::new()
    }
}

impl Response {
    /// Reads the body of a `0097b`.
    pub fn read(body: &[u8]) -> Option<Self> {
        let bytes = lenient_base64::decode(body)?;
        let (random, rest) = bytes.split_first_chunk()?;
        let (key_digest, signature) = rest.split_first_chunk()?;
        Some(Self { random: *random, key_digest: *key_digest, signature: signature.to_vec() })
    }

    /// Whether it answers `challenge` with this key (SPKI DER). The caller looked the key up by its digest.
    pub fn answers(&self, challenge: &Challenge, signature_key: &[u8]) -> bool {
        let signed = [&self.random[..], &self.key_digest, challenge.0.as_bytes()].concat();
        crate::sha512(signature_key) == self.key_digest
            && signature::verifies(signature_key, &signed, &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_two_challenges_are_the_same() {
        let (one, other) = (Challenge::new(), Challenge::new());
        assert_eq!(one.0.len(), 88);
        assert_ne!(one, other);
    }

    proptest! {
        #[test]
        fn reading_never_panics(body: Vec<u8>) {
            Response::read(&body);
        }
    }
}
