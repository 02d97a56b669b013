//! Questions to neighbours, and their answers.

use serde::{Deserialize, Serialize};

use crate::api::PublishedKeys;
use crate::api::key_log::KeyLogPage;
use crate::digest::Sha512Digest;
use crate::group::GroupId;
use crate::id::ParticipantId;
use crate::jws::Jws;

/// Asks who is home to an ID, and for its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// Random; the same on the whole way, so that a question that comes back is known.
    pub query: u64,
    /// Whose home.
    pub id: ParticipantId,
    /// How many servers it may still pass.
    pub hops: u8,
}

/// The answer to [`Find`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The question.
    pub query: u64,
    /// Keys with the home's countersignature and identity key; absent: not known, or not to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PublishedKeys>,
    /// How many servers stand between the one that answers and the home.
    #[serde(default)]
    pub distance: u8,
}

/// Asks for a McEliece key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchKey {
    /// Names the question in the parts.
    pub query: u64,
    /// The key's digest.
    pub digest: Sha512Digest,
    /// How many servers it may still pass.
    pub hops: u8,
}

/// A part of a McEliece key. Parts come in order; the last one ends at the length every key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// The question.
    pub query: u64,
    /// Where it belongs.
    pub offset: u32,
    /// The bytes; none: the key is not to be had.
    pub bytes: Vec<u8>,
}

/// Asks who keeps a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindGroup {
    /// Random; the same on the whole way, so that a question that comes back is known.
    pub query: u64,
    /// Which group.
    pub group: GroupId,
    /// How many servers it may still pass.
    pub hops: u8,
}

/// The answer to [`FindGroup`]: the group's first entry, which names its home, and whose digest is the group's ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundGroup {
    /// The question.
    pub query: u64,
    /// The entry; absent: not known, or not to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Jws>,
    /// How many servers stand between the one that answers and the home.
    #[serde(default)]
    pub distance: u8,
}

/// Asks for a part of the other server's key log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchKeyLog {
    /// Names the question in the answer.
    pub query: u64,
    /// The number after which to begin.
    pub after: u64,
}

/// The answer to [`FetchKeyLog`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLogPart {
    /// The question.
    pub query: u64,
    /// The part; absent: not to be had now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<KeyLogPage>,
}
