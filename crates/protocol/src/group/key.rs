//! The group key of one epoch, and how it is committed to and handed on.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::digest::Sha512Digest;
use crate::encoding::Base64Bytes;
use crate::random;

/// Binds a commitment to its use.
const COMMITMENT_LABEL: &[u8] = b"momedo group key commitment v1";

/// A 32-byte group key; erased when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct GroupKey(pub(super) [u8; 32]);

impl std::fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupKey(***)")
    }
}

impl GroupKey {
    /// Draws a new key.
    pub fn random() -> Self {
        Self(random::bytes())
    }

    /// The key with these bytes; `None` unless there are 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The key's bytes, a secret.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the chain says of the key, so that everybody knows to have the same one: SHA-512 over a label and
    /// the key. It tells nothing about a random key.
    pub fn commitment(&self) -> Sha512Digest {
        Sha512Digest(Sha512::new().chain_update(COMMITMENT_LABEL).chain_update(self.0).finalize().into())
    }
}

/// The body of a message of kind `group-key`: hands a group key on, or tells somebody of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupKeyBody {
    /// The group.
    pub group: Sha512Digest,
    /// The epoch the key is for.
    pub epoch: u32,
    /// The key.
    pub key: Base64Bytes,
}

/// The body of a message of kind `group-key-request`: asks a member of a group for keys that did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupKeyRequestBody {
    /// The group.
    pub group: Sha512Digest,
    /// The epochs, at most 32; more are ignored.
    pub epochs: Vec<u32>,
}

impl Drop for GroupKeyBody {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}
