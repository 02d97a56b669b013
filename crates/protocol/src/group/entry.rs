//! One signed change of a group: the payload of a `momedo-group-entry+jws`.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use crate::digest::{Fingerprint, Sha512Digest};
use crate::encoding::Base64Bytes;
use crate::id::ParticipantId;
use crate::jws::{Document, DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::rsa_key::{RsaKeyError, RsaPublicKey};
use crate::time::UnixMillis;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupEntryPayload {
    /// SHA-512 of the first entry's payload; absent in the first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Sha512Digest>,
    /// 1 for the first entry, then one more each time.
    pub number: u32,
    /// SHA-512 of the payload before; absent in the first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Sha512Digest>,
    /// Who makes the change.
    pub author: ParticipantId,
    /// The author's signature key (SPKI DER); counts only if the chain pins its fingerprint.
    pub key: Base64Bytes,
    /// When it was made, by the author's clock; for people.
    pub made_at: UnixMillis,
    /// The change.
    pub action: Action,
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Makes the group; its author is its first moderator.
    Create {
        /// What people call it, and who may do what.
        settings: Settings,
        /// How messages are sealed, for good.
        encryption: Encryption,
        /// Fingerprint of the server that keeps the group.
        home: Fingerprint,
        /// Version of the author's key bundle.
        version: u32,
        /// 16 random bytes, so that two groups of one name differ.
        salt: Base64Bytes,
    },
    /// A moderator adds members at once; one who is a member already gets a new pin.
    Add {
        /// Whom; at most [`MAX_ADDED_AT_ONCE`].
        members: Vec<NewMember>,
    },
    /// A moderator removes members, and ends the link, which they may have.
    Remove {
        /// Whom.
        members: Vec<ParticipantId>,
    },
    /// The author joins an open group, or a closed one with its link.
    Join {
        /// Version of the author's key bundle.
        version: u32,
        /// Fingerprint of the author's home, if it is not the group's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        home: Option<Fingerprint>,
        /// The link's signature (Ed25519) over [`super::link::proof_input`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Base64Bytes>,
    },
    /// The author leaves.
    Leave {},
    /// A moderator changes somebody's role.
    Role {
        /// Whose.
        member: ParticipantId,
        /// The new role.
        role: GroupRole,
    },
    /// A moderator changes name or rules.
    Settings {
        /// All of them.
        settings: Settings,
    },
    /// A moderator makes a new link to join with, or ends it.
    Link {
        /// Ed25519 public key (32 bytes); absent: there is no link any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Base64Bytes>,
        /// How many may join with it.
        uses: u32,
    },
    /// A member says that everybody in the group has been sent a new group key.
    Epoch {
        /// One more than the epoch before.
        epoch: u32,
        /// [`super::key::GroupKey::commitment`] of the new key.
        commitment: Sha512Digest,
    },
    /// A member says that these, who had no key yet, have been sent the current one.
    Welcome {
        /// Whom.
        members: Vec<ParticipantId>,
    },
    /// A member shows that somebody's keys were reset, so they are excluded until added again.
    Suspend {
        /// Whom.
        member: ParticipantId,
        /// A newer key bundle than the pinned one, with another signature key.
        bundle: Jws,
        /// Identity key (SPKI DER) of the member's home.
        home_key: Base64Bytes,
        /// The home's countersignature of that bundle's fingerprint.
        countersignature: Jws,
    },
    /// The author goes on with a new signature key that the old one signed.
    Renew {
        /// The pinned signature key (SPKI DER).
        previous_key: Base64Bytes,
        /// Every bundle since in which the signature key changed, oldest first; each signed by the new and
        /// the old key. The last one brings this entry's key.
        bundles: Vec<Jws>,
    },
    /// A moderator ends the group: nobody posts any more.
    Archive {},
}

impl Action {
    /// Whether it takes somebody out of the group, or ends it, and does nothing else: such entries have a part of each
    /// chain of their own, so that they are always possible.
    pub fn takes_out(&self) -> bool {
        matches!(self, Self::Leave {} | Self::Remove { .. } | Self::Archive {})
    }
}

/// Most members one entry adds; an entry stays below 64 KiB with them.
pub const MAX_ADDED_AT_ONCE: usize = 256;

/// Somebody to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Who.
    pub id: ParticipantId,
    /// Fingerprint of their signature key.
    pub fingerprint: Fingerprint,
    /// Version of the key bundle it was taken from.
    pub version: u32,
    /// Fingerprint of their home, if it is not the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Fingerprint>,
    /// What they may do.
    #[serde(default = "GroupRole::member", skip_serializing_if = "GroupRole::is_member")]
    pub role: GroupRole,
}

/// A group's name and rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What people call it; the server sees it too.
    pub name: String,
    /// Who may write.
    pub posting: Posting,
    /// Who may join.
    pub access: Access,
}

/// Says which words there are.
fn must_be<T: VariantNames>(_: &str) -> String {
    format!("must be one of: {}", T::VARIANTS.join(", "))
}

/// Who may write to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, VariantNames)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = String, parse_err_fn = must_be::<Posting>)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Posting {
    /// Every member.
    Everyone,
    /// Moderators; for announcements.
    Moderators,
}

/// Who may join a group without being added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, VariantNames)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = String, parse_err_fn = must_be::<Access>)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Access {
    /// Anyone of the group's home.
    Open,
    /// Only who has its link, if there is one.
    Closed,
}

/// How messages to a group are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, VariantNames)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = String, parse_err_fn = must_be::<Encryption>)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Encryption {
    /// A group key per epoch; a message is sealed once.
    Symmetric,
    /// A content key per message, sealed to every member.
    Asymmetric,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, VariantNames)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = String, parse_err_fn = must_be::<GroupRole>)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum GroupRole {
    /// Reads, and writes where everybody may.
    Member,
    /// Also writes announcements and changes the group.
    Moderator,
}

impl GroupRole {
    fn member() -> Self {
        Self::Member
    }

    fn is_member(&self) -> bool {
        *self == Self::Member
    }
}

/// An entry whose signature fits the key it brings; whether that key may make the change is for
/// [`super::state::GroupState::apply`] to say.
#[derive(Debug, Clone)]
pub struct GroupEntry {
    /// The signed fields.
    pub payload: GroupEntryPayload,
    /// SHA-512 of the signed payload.
    pub digest: Sha512Digest,
    /// The author's key.
    pub key: RsaPublicKey,
}

/// Why something is no entry at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupEntryError {
    /// The signed document itself is wrong.
    #[error(transparent)]
    Signature(#[from] JwsError),
    /// The author's key is not acceptable.
    #[error(transparent)]
    Key(#[from] RsaKeyError),
}

impl Document for GroupEntryPayload {
    const KIND: DocumentType = DocumentType::GroupEntry;
}

impl GroupEntryPayload {
    /// Signs the entry with its author's signature key.
    pub fn sign(&self, signer: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::GroupEntry, &write_payload(self), &[signer])
    }
}

impl GroupEntry {
    /// Reads an entry and verifies its signature with the key it brings.
    ///
    /// # Errors
    /// As [`GroupEntryError`] says.
    pub fn read(jws: &Jws) -> Result<Self, GroupEntryError> {
        let unverified: GroupEntryPayload = read_payload(&jws.unverified_payload()?)?;
        let key = RsaPublicKey::from_spki(&unverified.key.0)?;
        let bytes = jws.verify(DocumentType::GroupEntry, &[&key])?;
        Ok(Self { payload: unverified, digest: Sha512Digest::of(&bytes), key })
    }
}
