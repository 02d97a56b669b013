//! Everything a new device needs to become a device of its participant; what a key backup and a linked
//! device's handover hold.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::digest::{Fingerprint, Sha512Digest};
use crate::encoding::Base64Bytes;
use crate::id::ParticipantId;
use crate::jws::Jws;
use crate::key_backup::SealingKeys;
use crate::time::UnixMillis;

/// A participant's identity, with every private key that is still needed. Unknown fields are ignored, so that
/// a newer client's backup can be read.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The participant.
    pub id: ParticipantId,
    /// The display name.
    pub name: String,
    /// The pinned server.
    pub server: Fingerprint,
    /// Where it is, `host:port`, the best first.
    pub addresses: Vec<String>,
    /// The newest own bundle.
    pub bundle: Jws,
    /// The signature key (PKCS #8 DER).
    pub signature_key: Base64Bytes,
    /// Own signature keys of before (SPKI DER), which groups may still know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_signature_keys: Vec<Base64Bytes>,
    /// Private encryption keys, by the bundle they belong to, oldest first.
    pub bundle_keys: Vec<IdentityKeys>,
    /// Keys of groups (32 bytes each); whose they are the chains say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_keys: Vec<Base64Bytes>,
    /// When the McEliece key was made, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mceliece_made_at: Option<UnixMillis>,
    /// Whose keys are pinned; the compared ones first, and only as many as fit.
    pub contacts: Vec<IdentityContact>,
    /// What the key backup is renewed with, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_backup: Option<SealingKeys>,
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.signature_key.zeroize();
        self.group_keys.zeroize();
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.id)
    }
}

/// The private encryption keys of one bundle.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct IdentityKeys {
    /// The bundle's version.
    pub version: u64,
    /// The bundle's digest.
    #[zeroize(skip)]
    pub digest: Sha512Digest,
    /// PKCS #8 DER.
    pub rsa: Base64Bytes,
    /// 64-byte seed.
    pub ml_kem: Base64Bytes,
    /// 13,608 bytes.
    pub mceliece: Option<Base64Bytes>,
}

/// A contact as remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IdentityContact {
    /// The contact.
    pub id: ParticipantId,
    /// `first-use` or `compared`.
    pub trust: String,
    /// The newest bundle followed.
    pub bundle: Jws,
    /// Signature keys (SPKI DER) pinned before the current one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_keys: Vec<Base64Bytes>,
    /// A bundle after a reset that nobody confirmed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Jws>,
}
