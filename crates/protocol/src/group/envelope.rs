//! A message to a group, sealed once however many members it has; a codec and its sealing, no policy.
//!
//! ```text
//! 1 byte   version, 1
//! 1 byte   suite: 3 (group key) or 4 (content key)
//! 16       message ID
//! 64       the group: digest of its first entry
//! 4        epoch, big-endian; 0 in suite 4
//! 32       random salt
//! 32       commitment to the key
//! the rest AES-256-GCM ciphertext of the padded inner message, and its tag
//! ```
//!
//! `key ‖ commitment = HKDF-SHA-512(ikm = group key or content key, salt = the salt, info = label ‖ suite ‖ group ‖
//! epoch ‖ sender ‖ message ID)`, nonce zero, the header as associated data. In suite 4 every member gets a *slot*: the
//! header of an ordinary envelope to that member (suite 1 or 2), then the 32 bytes of the content key, sealed. A sender
//! could seal another content key to each member; because the message commits to its key, it opens with one of them.

use zeroize::Zeroizing;

use super::key::GroupKey;
use crate::committing::CommittingKey;
use crate::digest::Sha512Digest;
use crate::envelope::{self, Envelope, EnvelopeError, Header, Reader, SEAL_BYTES, VERSION};
use crate::id::ParticipantId;
use crate::message_id::MessageId;
use crate::random;
use crate::seal::{self, OpenError, RecipientKeys, SealError};
use crate::suite::{Suite, UnknownSuite};

const MESSAGE_LABEL: &[u8] = b"momedo group message key v1";
const SLOT_LABEL: &[u8] = b"momedo content key v1";

/// Length of the header, in bytes.
pub const HEADER_BYTES: usize = 1 + 1 + 16 + 64 + 4 + 32;

/// Longest slot, in bytes: suite 1 to an RSA key of 4096 bits.
pub const MAX_SLOT_BYTES: usize = 86 + (2 + 156) + (2 + 1088) + (2 + 512) + 32 + SEAL_BYTES;

/// What the key of a group message depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupSuite {
    /// 3: the group key of an epoch.
    GroupKey,
    /// 4: a content key, sealed to every member.
    ContentKey,
}

impl GroupSuite {
    /// The number that stands in envelopes.
    pub fn number(self) -> u8 {
        match self {
            Self::GroupKey => 3,
            Self::ContentKey => 4,
        }
    }
}

/// The header of a group envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupHeader {
    /// What the key depends on.
    pub suite: GroupSuite,
    /// The sender's ID for this message.
    pub message_id: MessageId,
    /// The group.
    pub group: Sha512Digest,
    /// The epoch of the group key; 0 with a content key.
    pub epoch: u32,
    /// Makes every message key new.
    pub salt: [u8; 32],
}

/// A group envelope taken apart, borrowing from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEnvelope<'a> {
    /// Its header.
    pub header: GroupHeader,
    /// The header's bytes, which the sealed part authenticates.
    pub header_bytes: &'a [u8],
    /// Commitment to the key, AES-256-GCM ciphertext, tag.
    pub sealed: &'a [u8],
}

/// Whether bytes claim to be a group envelope rather than one to a participant.
pub fn is_group_envelope(bytes: &[u8]) -> bool {
    matches!(bytes, [VERSION, 3 | 4, ..])
}

fn encode_header(header: &GroupHeader) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(&[VERSION, header.suite.number()]);
    bytes.extend_from_slice(&header.message_id.0);
    bytes.extend_from_slice(&header.group.0);
    bytes.extend_from_slice(&header.epoch.to_be_bytes());
    bytes.extend_from_slice(&header.salt);
    bytes
}

/// Takes a group envelope apart.
///
/// # Errors
/// As [`EnvelopeError`] says; never panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<GroupEnvelope<'_>, EnvelopeError> {
    let mut reader = Reader { rest: bytes };
    let [version] = reader.array()?;
    if version != VERSION {
        return Err(EnvelopeError::UnknownVersion(version));
    }
    let [suite] = reader.array()?;
    let suite = match suite {
        3 => GroupSuite::GroupKey,
        4 => GroupSuite::ContentKey,
        other => return Err(EnvelopeError::UnknownSuite(UnknownSuite(other))),
    };
    let header = GroupHeader {
        suite,
        message_id: MessageId(reader.array()?),
        group: Sha512Digest(reader.array()?),
        epoch: u32::from_be_bytes(reader.array()?),
        salt: reader.array()?,
    };
    // A group key always belongs to an epoch, a content key never does.
    if (header.epoch == 0) != (suite == GroupSuite::ContentKey)
        || !envelope::is_padded_length(reader.rest.len())
    {
        return Err(EnvelopeError::Malformed);
    }
    Ok(GroupEnvelope { header, header_bytes: &bytes[..HEADER_BYTES], sealed: reader.rest })
}

fn message_key(header: &GroupHeader, sender: ParticipantId, key: &GroupKey) -> CommittingKey {
    let (suite, epoch, sender) = ([header.suite.number()], header.epoch.to_be_bytes(), sender.to_string());
    let info = [MESSAGE_LABEL, &suite, &header.group.0, &epoch, sender.as_bytes(), &header.message_id.0];
    CommittingKey::derive(Some(&header.salt), key.bytes(), &info)
}

/// Seals a signed message under the group key of an epoch, or with `epoch` 0 under a content key.
///
/// # Errors
/// [`SealError::TooLong`].
pub fn seal_message(
    group: Sha512Digest,
    epoch: u32,
    key: &GroupKey,
    sender: ParticipantId,
    message_id: MessageId,
    inner: &[u8],
) -> Result<Vec<u8>, SealError> {
    let suite = if epoch == 0 { GroupSuite::ContentKey } else { GroupSuite::GroupKey };
    seal_with(&GroupHeader { suite, message_id, group, epoch, salt: random::bytes() }, key, sender, inner)
}

/// Low-level sealing under a given header, for test vectors; you probably want [`seal_message`].
///
/// # Errors
/// [`SealError::TooLong`].
pub fn seal_with(
    header: &GroupHeader,
    key: &GroupKey,
    sender: ParticipantId,
    inner: &[u8],
) -> Result<Vec<u8>, SealError> {
    let padded = seal::pad(inner)?;
    let mut bytes = encode_header(header);
    let sealed = message_key(header, sender, key).seal(&padded, &bytes);
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// Opens a group envelope that `sender` sent.
///
/// # Errors
/// [`OpenError::WrongKeys`].
pub fn open_message(
    envelope: &GroupEnvelope<'_>,
    key: &GroupKey,
    sender: ParticipantId,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let padded = message_key(&envelope.header, sender, key).open(envelope.sealed, envelope.header_bytes);
    seal::unpad(padded.ok_or(OpenError::WrongKeys)?)
}

/// Takes a slot apart.
///
/// # Errors
/// As [`EnvelopeError`] says; never panics, whatever the bytes.
pub fn decode_slot(bytes: &[u8]) -> Result<Envelope<'_>, EnvelopeError> {
    let slot = envelope::decode_header(bytes)?;
    if slot.sealed.len() == 32 + SEAL_BYTES { Ok(slot) } else { Err(EnvelopeError::Malformed) }
}

/// Seals a content key to one member.
///
/// # Errors
/// [`SealError::MissingMcElieceKey`].
pub fn seal_slot(
    suite: Suite,
    keys: &RecipientKeys<'_>,
    message_id: MessageId,
    content_key: &GroupKey,
) -> Result<Vec<u8>, SealError> {
    let (ciphertexts, secrets) = seal::encapsulate(suite, keys)?;
    let header = Header { suite, message_id, recipient_version: keys.version, recipient_digest: keys.digest };
    let mut bytes = envelope::encode_header(&header, &ciphertexts.borrowed());
    let slot = Envelope { header, ciphertexts: ciphertexts.borrowed(), header_bytes: &bytes, sealed: &[] };
    let sealed = seal::derived_key(SLOT_LABEL, &slot, &secrets).seal(content_key.bytes(), &bytes);
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// Opens a slot with the private keys its recipient digest names.
///
/// # Errors
/// As [`OpenError`] says.
#[cfg(not(target_arch = "wasm32"))]
pub fn open_slot(bytes: &[u8], keys: &seal::PrivateKeys) -> Result<GroupKey, OpenError> {
    let slot = decode_slot(bytes)?;
    let secrets = seal::decapsulate(&slot.ciphertexts, keys)?;
    open_slot_with(&slot, &secrets)
}

/// Opens a slot with recovered secrets, for clients whose private keys live elsewhere.
///
/// # Errors
/// [`OpenError::WrongKeys`].
pub fn open_slot_with(slot: &Envelope<'_>, secrets: &seal::SharedSecrets) -> Result<GroupKey, OpenError> {
    let opened = seal::derived_key(SLOT_LABEL, slot, secrets)
        .open(slot.sealed, slot.header_bytes)
        .ok_or(OpenError::WrongKeys)?;
    GroupKey::from_bytes(&opened).ok_or(OpenError::WrongKeys)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(epoch: u32) -> (Vec<u8>, GroupKey, ParticipantId) {
        let (key, sender) = (GroupKey::random(), ParticipantId::random());
        let id = MessageId([7; 16]);
        (seal_message(Sha512Digest([9; 64]), epoch, &key, sender, id, b"hello").unwrap(), key, sender)
    }

    #[test]
    fn a_message_opens_with_its_key_and_sender_alone() {
        for epoch in [0, 1, u32::MAX] {
            let (bytes, key, sender) = sealed(epoch);
            let envelope = decode(&bytes).unwrap();
            assert_eq!(envelope.header.epoch, epoch);
            assert_eq!(&open_message(&envelope, &key, sender).unwrap()[..], b"hello");
            assert!(open_message(&envelope, &GroupKey::random(), sender).is_err());
            assert!(open_message(&envelope, &key, ParticipantId::random()).is_err());
        }
    }

    #[test]
    fn every_changed_bit_of_the_header_is_noticed() {
        let (bytes, key, sender) = sealed(3);
        for index in 0..HEADER_BYTES {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let opened =
                decode(&changed).ok().and_then(|envelope| open_message(&envelope, &key, sender).ok());
            assert!(opened.is_none(), "{index}");
        }
    }

    #[test]
    fn two_messages_of_one_epoch_have_different_keys() {
        let (first, key, sender) = sealed(1);
        let again =
            seal_message(Sha512Digest([9; 64]), 1, &key, sender, MessageId([7; 16]), b"hello").unwrap();
        assert_ne!(first, again);
    }

    #[test]
    fn every_cut_is_refused() {
        let (bytes, ..) = sealed(1);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn decoding_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..2500), suite in 0u8..6) {
            let _ = (decode(&bytes), decode_slot(&bytes));
            if bytes.len() > 1 {
                bytes[0] = VERSION;
                bytes[1] = suite;
                let _ = (decode(&bytes), decode_slot(&bytes));
            }
        }
    }
}
