//! The envelope's binary form, version 1: a codec with no policy and no cryptography.
//!
//! ```text
//! 1 byte   version, 1
//! 1 byte   suite
//! 16       message ID
//! 4        version of the key bundle sealed to, big-endian
//! 64       digest of that bundle
//! then the ciphertexts of the suite in fixed order (McEliece, ML-KEM, RSA), each
//!   2      length, big-endian
//!   n      ciphertext
//! 32       commitment to the key
//! the rest AES-256-GCM ciphertext and tag
//! ```

use crate::digest::Sha512Digest;
use crate::limits::MIN_PADDED_BYTES;
use crate::message_id::MessageId;
use crate::suite::{Suite, UnknownSuite};
use crate::{mceliece, ml_kem_key};

/// The only version there is.
pub const VERSION: u8 = 1;

/// Length of an AES-GCM tag, in bytes.
pub const TAG_BYTES: usize = 16;

/// Length of the commitment to the key, in bytes; two keys of one commitment take some 2^128 tries.
pub const COMMITMENT_BYTES: usize = 32;

/// What sealing adds to what is sealed, in bytes: the commitment before it, the tag behind it.
pub const SEAL_BYTES: usize = COMMITMENT_BYTES + TAG_BYTES;

/// Fixed part of the header, in bytes.
const FIXED_BYTES: usize = 1 + 1 + 16 + 4 + 64;

/// The fixed part of an envelope's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which schemes the key depends on.
    pub suite: Suite,
    /// The sender's ID for this message.
    pub message_id: MessageId,
    /// Version of the recipient's key bundle; 0 for device keys.
    pub recipient_version: u32,
    /// Digest of the recipient's key bundle (or device keys).
    pub recipient_digest: Sha512Digest,
}

/// One ciphertext per scheme of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertexts<'a> {
    /// 156 bytes; present exactly in suite 1.
    pub mceliece: Option<&'a [u8]>,
    /// 1088 bytes.
    pub ml_kem: &'a [u8],
    /// 375 to 512 bytes: as long as the recipient's modulus.
    pub rsa: &'a [u8],
}

/// An envelope taken apart, borrowing from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The fixed part of the header.
    pub header: Header,
    /// The ciphertexts of the shared secrets.
    pub ciphertexts: Ciphertexts<'a>,
    /// All header bytes, which the sealed part authenticates.
    pub header_bytes: &'a [u8],
    /// Commitment to the key, AES-256-GCM ciphertext, tag.
    pub sealed: &'a [u8],
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Another version than 1.
    #[error("envelope version {0} is unknown here")]
    UnknownVersion(u8),
    /// A suite nobody here knows.
    #[error(transparent)]
    UnknownSuite(#[from] UnknownSuite),
    /// Too short, or a length inside does not fit.
    #[error("the envelope is cut off or its lengths do not fit")]
    Malformed,
}

impl<'a> Ciphertexts<'a> {
    fn in_order(&self) -> impl Iterator<Item = &'a [u8]> {
        self.mceliece.into_iter().chain([self.ml_kem, self.rsa])
    }

    /// All ciphertexts without their lengths, in the fixed order; salts are made from it.
    pub fn concatenated(&self) -> Vec<u8> {
        self.in_order().flatten().copied().collect()
    }
}

/// Writes the header: everything before the sealed part.
pub fn encode_header(header: &Header, ciphertexts: &Ciphertexts<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED_BYTES + 6 + 156 + 1088 + 512);
    out.push(VERSION);
    out.push(header.suite.number());
    out.extend_from_slice(&header.message_id.0);
    out.extend_from_slice(&header.recipient_version.to_be_bytes());
    out.extend_from_slice(&header.recipient_digest.0);
    for ciphertext in ciphertexts.in_order() {
        let length = u16::try_from(ciphertext.len()).expect("ciphertexts have at most 1088 bytes");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(ciphertext);
    }
    out
}

/// Takes an envelope apart.
///
/// # Errors
/// As [`EnvelopeError`] says; never panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<Envelope<'_>, EnvelopeError> {
    let envelope = decode_header(bytes)?;
    if is_padded_length(envelope.sealed.len()) { Ok(envelope) } else { Err(EnvelopeError::Malformed) }
}

/// Whether a sealed part of this length holds a padded message: a power of two from 512, and what sealing adds.
pub(crate) fn is_padded_length(length: usize) -> bool {
    length >= MIN_PADDED_BYTES + SEAL_BYTES && (length - SEAL_BYTES).is_power_of_two()
}

/// Takes the header off; the rest is the sealed part, whatever its length.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<Envelope<'_>, EnvelopeError> {
    let mut reader = Reader { rest: bytes };
    let [version] = reader.array()?;
    if version != VERSION {
        return Err(EnvelopeError::UnknownVersion(version));
    }
    let [suite] = reader.array()?;
    let suite = Suite::try_from(suite)?;
    let header = Header {
        suite,
        message_id: MessageId(reader.array()?),
        recipient_version: u32::from_be_bytes(reader.array()?),
        recipient_digest: Sha512Digest(reader.array()?),
    };
    let mceliece = match suite {
        Suite::Full => Some(reader.prefixed(mceliece::CIPHERTEXT_BYTES..=mceliece::CIPHERTEXT_BYTES)?),
        Suite::Small => None,
    };
    let ml_kem = reader.prefixed(ml_kem_key::CIPHERTEXT_BYTES..=ml_kem_key::CIPHERTEXT_BYTES)?;
    let rsa = reader.prefixed(375..=512)?;
    let sealed = reader.rest;
    let header_bytes = &bytes[..bytes.len() - sealed.len()];
    Ok(Envelope { header, ciphertexts: Ciphertexts { mceliece, ml_kem, rsa }, header_bytes, sealed })
}

pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], EnvelopeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(EnvelopeError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], EnvelopeError> {
        self.take(N)?.try_into().map_err(|_| EnvelopeError::Malformed)
    }

    fn prefixed(&mut self, lengths: std::ops::RangeInclusive<usize>) -> Result<&'a [u8], EnvelopeError> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        if !lengths.contains(&length) {
            return Err(EnvelopeError::Malformed);
        }
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(suite: Suite) -> Vec<u8> {
        let (mceliece, ml_kem, rsa) = ([1; 156], [2; 1088], [3; 384]);
        let header = Header {
            suite,
            message_id: MessageId([7; 16]),
            recipient_version: 3,
            recipient_digest: Sha512Digest([9; 64]),
        };
        let ciphertexts = Ciphertexts {
            mceliece: (suite == Suite::Full).then_some(&mceliece[..]),
            ml_kem: &ml_kem,
            rsa: &rsa,
        };
        let mut bytes = encode_header(&header, &ciphertexts);
        bytes.extend([4; 512 + SEAL_BYTES]);
        let decoded = decode(&bytes).unwrap();
        assert_eq!((decoded.header, &decoded.ciphertexts), (header, &ciphertexts));
        bytes
    }

    #[test]
    fn both_suites_come_back_as_they_went() {
        sample(Suite::Full);
        sample(Suite::Small);
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = sample(Suite::Full);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn an_unknown_suite_or_version_is_named() {
        let mut bytes = sample(Suite::Full);
        bytes[1] = 9;
        assert_eq!(decode(&bytes), Err(EnvelopeError::UnknownSuite(UnknownSuite(9))));
        bytes[0] = 2;
        assert_eq!(decode(&bytes), Err(EnvelopeError::UnknownVersion(2)));
    }

    proptest! {
        #[test]
        fn decoding_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..3000), suite in 0u8..4) {
            let _ = decode(&bytes);
            if bytes.len() > 1 {
                bytes[0] = VERSION;
                bytes[1] = suite;
                let _ = decode(&bytes);
            }
        }
    }
}
