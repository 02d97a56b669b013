//! The inner message: what the sender says, signed by the sender, seen only by the recipient.

use serde::{Deserialize, Serialize};

use crate::digest::Sha512Digest;
use crate::id::ParticipantId;
use crate::jws::{Document, DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::key_log::LogView;
use crate::message_id::MessageId;
use crate::rsa_key::RsaPublicKey;
use crate::time::UnixMillis;

/// What is signed: the payload of a `momedo-message+jws`.
///
/// It names sender, recipient and message ID, so nothing can be redirected or replayed under another
/// name; a receiver compares all three with the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who wrote it.
    pub from: ParticipantId,
    /// Whose keys the envelope is sealed to; the sender's own ID on the copy for the sender's devices;
    /// absent in a message to a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ParticipantId>,
    /// In a message to a group: which, and what the sender knew of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupContext>,
    /// The message ID that also stands in the envelope.
    pub id: MessageId,
    /// When it was written, by the sender's clock.
    pub sent_at: UnixMillis,
    /// On the copy for the sender's other devices: whom the message went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ParticipantId>,
    /// What the sender saw last of the key log of the sender's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogView>,
    /// What kind of message it is; unknown kinds are shown as such, never dropped.
    pub kind: String,
    /// What it says; its shape follows from `kind`.
    pub body: serde_json::Value,
}

/// Which group a message is for, and which of its states the sender wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupContext {
    /// The group: digest of its first entry.
    pub id: Sha512Digest,
    /// Number of the last entry the sender knew.
    pub number: u32,
    /// Digest of that entry.
    pub head: Sha512Digest,
    /// Epoch of the group key; 0 in groups without one.
    pub epoch: u32,
}

/// The kind that hands on the key of a group; its body is a [`crate::group::key::GroupKeyBody`].
pub const KIND_GROUP_KEY: &str = "group-key";

/// The kind that asks a member for keys of a group that did not come; its body is a
/// [`crate::group::key::GroupKeyRequestBody`].
pub const KIND_GROUP_KEY_REQUEST: &str = "group-key-request";

/// The kind that carries rotated private keys to one of the sender's own devices.
pub const KIND_KEYS: &str = "keys";

/// The kind that carries the keys a key backup is renewed with to one of the sender's own devices.
pub const KIND_KEY_BACKUP: &str = "key-backup";

impl Document for Message {
    const KIND: DocumentType = DocumentType::Message;
}

impl Message {
    /// Signs with the sender's signature key and serializes, ready to seal.
    pub fn sign(&self, signature_key: &dyn Signer) -> Vec<u8> {
        Jws::sign(DocumentType::Message, &write_payload(self), &[signature_key]).to_bytes()
    }

    /// Reads who claims to have sent opened bytes, *without verifying*.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn unverified(inner: &[u8]) -> Result<Self, JwsError> {
        let jws: Jws = serde_json::from_slice(inner).map_err(|_| JwsError::Malformed)?;
        read_payload(&jws.unverified_payload()?)
    }

    /// Verifies opened bytes with the sender's signature key.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(inner: &[u8], signature_key: &RsaPublicKey) -> Result<Self, JwsError> {
        let jws: Jws = serde_json::from_slice(inner).map_err(|_| JwsError::Malformed)?;
        read_payload(&jws.verify(DocumentType::Message, &[signature_key])?)
    }
}
