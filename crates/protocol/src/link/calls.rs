//! Calls: what one home asks another for, mostly in the name of one of its participants, and what is answered.
//!
//! Both are signed by the homes, so a server between them can neither put words into a participant's mouth nor say
//! "taken" of what was lost. It can read them: what is sealed for people stays sealed, and a group's entries are
//! signed by their authors, but they are not secret from it.

use serde::{Deserialize, Serialize};

use super::second_home::Placement;
use super::{read_part, write_part};
use crate::api::groups::{GroupEntries, GroupEntryTaken, GroupMessageRequest, GroupReceipt};
use crate::api::restored::{HeldEntries, HeldKeyLog, HeldKeys};
use crate::blob::BlobId;
use crate::digest::{Fingerprint, Sha512Digest, sha256};
use crate::encoding::Base64Bytes;
use crate::group::GroupId;
use crate::id::ParticipantId;
use crate::jws::{DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::rsa_key::RsaPublicKey;

/// Largest body of a call, in bytes: a message to a group, with a sealed content key for a thousand members.
pub const MAX_CALL_BYTES: usize = 4 * 1024 * 1024;

/// Largest body of an answer, in bytes.
pub const MAX_REPLY_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of an attachment in one answer.
pub const BLOB_PART_BYTES: u64 = 1024 * 1024;

/// The first byte of an answer that is bytes of an attachment; all others are JSON.
pub const BYTES: u8 = 0;

/// Room beside the body: an identity key, a signed header, lengths.
pub(super) const BESIDE_BYTES: usize = 8 * 1024;

/// Who asks whom for what: the payload of a `momedo-call+jws`, signed by the home that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallHeader {
    /// The home that asks; signs.
    pub origin: Fingerprint,
    /// The home that is asked.
    pub home: Fingerprint,
    /// 16 random bytes, so that no two calls have one answer.
    pub nonce: Base64Bytes,
    /// SHA-512 of the body.
    pub body: Sha512Digest,
}

/// What was answered to which call: the payload of a `momedo-reply+jws`, signed by the home that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyHeader {
    /// The home that answers; signs.
    pub home: Fingerprint,
    /// SHA-256 of the call's signed header as it travelled, base64url.
    pub call: Base64Bytes,
    /// SHA-512 of the body.
    pub body: Sha512Digest,
}

impl CallHeader {
    /// Signs with the asking home's identity key.
    pub fn sign(&self, identity: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::Call, &write_payload(self), &[identity])
    }

    /// Verifies with the asking home's identity key; that `origin` names that key is checked too.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, identity: &RsaPublicKey) -> Result<Self, JwsError> {
        let signed: Self = read_payload(&jws.verify(DocumentType::Call, &[identity])?)?;
        if signed.origin == identity.fingerprint() { Ok(signed) } else { Err(JwsError::Content) }
    }
}

impl ReplyHeader {
    /// Signs with the answering home's identity key.
    pub fn sign(&self, identity: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::Reply, &write_payload(self), &[identity])
    }

    /// Verifies with the answering home's identity key; that `home` names that key is checked too.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, identity: &RsaPublicKey) -> Result<Self, JwsError> {
        let signed: Self = read_payload(&jws.verify(DocumentType::Reply, &[identity])?)?;
        if signed.home == identity.fingerprint() { Ok(signed) } else { Err(JwsError::Content) }
    }
}

/// A signed header with its signer's key and the body it is for, as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signer's identity key (SPKI DER).
    pub identity_key: Vec<u8>,
    /// The signed [`CallHeader`] or [`ReplyHeader`] as JSON, as it was signed.
    pub header: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Signed {
    /// The signed header, not verified.
    pub fn signed_header(&self) -> Option<Jws> {
        serde_json::from_slice(&self.header).ok()
    }

    /// SHA-256 of the header: by it a call's answer says what it answers.
    pub fn name(&self) -> [u8; 32] {
        sha256(&self.header)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_part(out, &self.identity_key);
        write_part(out, &self.header);
        write_part(out, &self.body);
    }

    pub(super) fn read(mut rest: &[u8]) -> Option<Self> {
        let identity_key = read_part(&mut rest)?.to_vec();
        let header = read_part(&mut rest)?.to_vec();
        let body = read_part(&mut rest)?.to_vec();
        rest.is_empty().then_some(Self { identity_key, header, body })
    }
}

/// A call on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Names the question on this link; every server on the way gives it a name of its own.
    pub query: u64,
    /// How many servers it may still pass.
    pub hops: u8,
    /// The home that is asked: for servers on the way; what counts stands in the header.
    pub home: Fingerprint,
    /// The call.
    pub signed: Signed,
}

/// The answer to a call; without one: the home cannot be reached, or it goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The question.
    pub query: u64,
    /// The answer.
    pub signed: Option<Signed>,
}

/// What is asked: the body of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// A part of a group's chain, as `GET /groups/{id}/entries`.
    GroupEntries {
        /// Who reads.
        from: ParticipantId,
        /// The group.
        group: GroupId,
        /// Number of the last entry they have.
        after: u32,
        /// Proof that the reader has the group's link, as `GET /groups/{id}/entries` takes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Base64Bytes>,
    },
    /// The next entry of a chain, as `POST /groups/{id}/entries`.
    GroupAppend {
        /// Its author.
        from: ParticipantId,
        /// The group.
        group: GroupId,
        /// A `momedo-group-entry+jws`.
        entry: Jws,
    },
    /// Whether somebody may add participants of the home that is asked to a group: not those who block them. Asked by
    /// the group's home before it takes the entry.
    GroupAdd {
        /// Who adds them.
        from: ParticipantId,
        /// Whom; at most [`MAX_ADDED_AT_ONCE`](crate::group::entry::MAX_ADDED_AT_ONCE).
        members: Vec<ParticipantId>,
    },
    /// A message to a group, as `POST /groups/{id}/messages`.
    GroupPost {
        /// Its sender.
        from: ParticipantId,
        /// The group.
        group: GroupId,
        /// The message.
        message: Box<GroupMessageRequest>,
        /// How many sealed bytes each of its blobs has, in their order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sizes: Vec<u64>,
    },
    /// Up to [`BLOB_PART_BYTES`] of an attachment; the answer's body is [`BYTES`] and these bytes.
    Blob {
        /// The attachment.
        id: BlobId,
        /// Where to begin.
        offset: u64,
    },
    /// The home that asks has all of an attachment: it need not be kept for it any more.
    BlobTaken {
        /// The attachment.
        id: BlobId,
    },
    /// A report to the staff of the sender's home.
    Report {
        /// Who discloses the message.
        from: ParticipantId,
        /// What is wrong with it.
        reason: String,
        /// The message with its sender's signature.
        message: Jws,
    },
    /// What the home that is asked has to know of somebody whose second home it is; asked by the first home.
    StandIn {
        /// Of whom, and what.
        placement: Box<Placement>,
    },
    /// Keys and devices of somebody whose first home the home that is asked is, and may have forgotten with a restore; asked
    /// by the second home.
    HandBack {
        /// What the second home has.
        held: Box<HeldKeys>,
    },
    /// The end of the log of key changes of the home that is asked, which it may have forgotten with a restore.
    HandBackKeyLog {
        /// As far as the asking server followed it.
        held: Box<HeldKeyLog>,
    },
    /// Entries of a chain that its home may have forgotten with a restore, as `PUT /groups/{id}/entries`.
    GroupHandBack {
        /// Who has them.
        from: ParticipantId,
        /// The group.
        group: GroupId,
        /// Entries that follow each other.
        held: HeldEntries,
    },
    /// The home that is asked is no home of somebody any more; asked by the first home.
    StandInEnds {
        /// Whose.
        id: ParticipantId,
        /// Whether they are gone altogether.
        erased: bool,
    },
    /// A participant is erased: forget them, and have everybody do so whom the home that is asked told of them.
    Forget {
        /// The identity key of their home (SPKI DER), which need not be the home that asks.
        identity_key: Base64Bytes,
        /// A `momedo-departure+jws` of their home.
        departure: Jws,
    },
}

/// What is answered: the body of a reply, but for bytes of attachments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", content = "value", rename_all = "kebab-case")]
pub enum Response {
    /// A part of a chain.
    Entries(Box<GroupEntries>),
    /// An entry was taken.
    Appended(GroupEntryTaken),
    /// A message is on disk.
    Posted(GroupReceipt),
    /// Noted.
    Done,
    /// Not done.
    Refused(Refusal),
}

/// Why something asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Refusal {
    /// No such group, or none of the asker's business.
    UnknownGroup,
    /// The group changed meanwhile.
    StaleGroup {
        /// Number of its last entry.
        number: u32,
    },
    /// The group's rules do not allow it.
    GroupRefused {
        /// Why, in a sentence.
        reason: String,
    },
    /// A member's keys were reset and the group does not exclude them yet.
    MemberReset,
    /// Only moderators write to this group.
    ModeratorsPost,
    /// Somebody to be added is not known there.
    UnknownParticipant,
    /// Somebody to be added has other keys by now.
    StaleBundle,
    /// The asker made or joined too many groups.
    TooManyGroups,
    /// The asker, or others of their home, added somebody to too many groups.
    AddedTooOften,
    /// The asker wrote too many entries of the chain.
    ChangedTooOften,
    /// Somebody to be added takes nothing from the asker.
    Blocked,
    /// Too much of the asker waits.
    SenderFull,
    /// The same message ID with other bytes.
    Conflict,
    /// No such attachment, or none for this home.
    UnknownBlob,
    /// Not all of the attachment is there yet.
    BlobIncomplete,
    /// The contract between servers does not allow it.
    NotAllowedAcross,
    /// The home that is asked is the first home itself.
    FirstHomeHere,
    /// The report is refused.
    ReportRefused,
    /// What was asked cannot be read, or is too large.
    Malformed {
        /// What is wrong, in a sentence.
        reason: String,
    },
    /// Not now.
    Later {
        /// When to ask again, in seconds.
        seconds: u32,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_signed_comes_back_as_it_went(identity_key: Vec<u8>, header: Vec<u8>, body: Vec<u8>, cut in 1usize..9) {
            let signed = Signed { identity_key, header, body };
            let mut bytes = Vec::new();
            signed.write(&mut bytes);
            prop_assert_eq!(Signed::read(&bytes), Some(signed));
            prop_assert_eq!(Signed::read(&bytes[..bytes.len() - cut]), None);
            bytes.push(0);
            prop_assert_eq!(Signed::read(&bytes), None);
        }
    }

    #[test]
    fn requests_and_responses_keep_their_form() {
        let request = Request::GroupEntries {
            from: "M8N22HT6".parse().unwrap(),
            group: "7QK0M3ZD9XN4".parse().unwrap(),
            after: 3,
            proof: None,
        };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(text, r#"{"call":"group-entries","from":"M8N22HT6","group":"7QK0M3ZD9XN4","after":3}"#);
        let read: Request = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let request = Request::StandInEnds { id: "M8N22HT6".parse().unwrap(), erased: false };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(text, r#"{"call":"stand-in-ends","id":"M8N22HT6","erased":false}"#);
        let refused = Response::Refused(Refusal::StaleGroup { number: 7 });
        let text = serde_json::to_string(&refused).unwrap();
        assert_eq!(text, r#"{"reply":"refused","value":{"why":"stale-group","number":7}}"#);
        let read = serde_json::from_str(&text).unwrap();
        assert!(matches!(read, Response::Refused(Refusal::StaleGroup { number: 7 })));
    }
}
