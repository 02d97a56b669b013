//! What homes sign for each other: headers of batches, and what became of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::blob::BlobId;
use crate::digest::{Fingerprint, Sha512Digest, sha256};
use crate::encoding::{decode_hex, encode_hex, serde_as_text};
use crate::group::GroupId;
use crate::id::{DeviceId, ParticipantId};
use crate::jws::{DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::message_id::MessageId;
use crate::rsa_key::RsaPublicKey;

/// Names a batch: SHA-256 of its signed header as it travels; 64 hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchId(pub [u8; 32]);

/// The text does not name a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a batch is named by 64 hexadecimal digits")]
pub struct BatchIdError;

impl BatchId {
    /// The name of the batch with this header.
    pub fn of(header: &[u8]) -> Self {
        Self(sha256(header))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BatchId {
    type Err = BatchIdError;
    fn from_str(text: &str) -> Result<Self, BatchIdError> {
        decode_hex(text).map(Self).ok_or(BatchIdError)
    }
}

serde_as_text!(BatchId);

/// Where a batch comes from, where it goes, and what is in it: the payload of a `momedo-batch+jws`, signed by the
/// home it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchHeader {
    /// The home of every sender; signs.
    pub origin: Fingerprint,
    /// The home of every recipient.
    pub home: Fingerprint,
    /// One for each envelope, in their order.
    pub items: Vec<BatchItem>,
}

/// One envelope in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchItem {
    /// Who sent it.
    pub from: ParticipantId,
    /// Whom it is for.
    pub to: ParticipantId,
    /// The sender's ID for it.
    pub id: MessageId,
    /// SHA-512 of the envelope.
    pub digest: Sha512Digest,
    /// The group it was posted to; the origin is the group's home then, whoever posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// SHA-512 of the content key sealed to the recipient, in groups without a group key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Sha512Digest>,
    /// Attachments the message refers to; the origin keeps them until the home has fetched them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BatchBlob>,
    /// The recipient's device it is sealed to; only in copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// The recipient's device that sent it and does not get it; only in copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_device: Option<DeviceId>,
    /// Whether it is what the origin, the recipient's other home, took for them: then it vouches for no sender.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
}

/// An attachment of a message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchBlob {
    /// Its ID.
    pub id: BlobId,
    /// How many sealed bytes it has.
    pub size: u64,
}

impl BatchHeader {
    /// Signs with the origin's identity key.
    pub fn sign(&self, identity: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::Batch, &write_payload(self), &[identity])
    }

    /// Verifies with the origin's identity key; that `origin` names that key is checked too.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, identity: &RsaPublicKey) -> Result<Self, JwsError> {
        let signed: Self = read_payload(&jws.verify(DocumentType::Batch, &[identity])?)?;
        if signed.origin == identity.fingerprint() { Ok(signed) } else { Err(JwsError::Content) }
    }
}

/// What became of one envelope at its recipient's home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Outcome {
    /// On the home's disk, in the queue of every device that has room; also when it was there before.
    Delivered,
    /// No room now: send it again later.
    Later,
    /// Nobody has this ID there.
    UnknownParticipant,
    /// The recipient may not be written to from that neighbour.
    NotAllowedAcross,
    /// Sealed to keys that are not used any more: the sender has to seal again.
    StaleBundle,
    /// The recipient has no device.
    NoDevice,
    /// Larger than that home takes.
    TooLarge,
    /// Not an envelope.
    Malformed,
    /// Another envelope came under the same ID.
    Conflict,
    /// The sender is known to live elsewhere.
    WrongHome,
}

impl Outcome {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// What became of a batch: the payload of a `momedo-receipt+jws`, signed by the recipients' home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The home that signs.
    pub home: Fingerprint,
    /// The home the batch came from.
    pub origin: Fingerprint,
    /// The batch.
    pub batch: super::BatchId,
    /// One for each envelope, in their order.
    pub outcomes: Vec<ItemOutcome>,
}

/// What became of one envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemOutcome {
    /// Who sent it.
    pub from: ParticipantId,
    /// Whom it is for.
    pub to: ParticipantId,
    /// The sender's ID for it.
    pub id: MessageId,
    /// The group it was posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// What became of it.
    pub outcome: Outcome,
}

impl Receipt {
    /// Signs with the home's identity key.
    pub fn sign(&self, identity: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::Receipt, &write_payload(self), &[identity])
    }

    /// Verifies with the home's identity key; that `home` names that key is checked too.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, identity: &RsaPublicKey) -> Result<Self, JwsError> {
        let signed: Self = read_payload(&jws.verify(DocumentType::Receipt, &[identity])?)?;
        if signed.home == identity.fingerprint() { Ok(signed) } else { Err(JwsError::Content) }
    }
}
