//! The link that lets people join a closed group: an Ed25519 key pair (RFC 8032) whose public half stands in the
//! chain. Whoever has the link signs the newcomer's ID and fingerprint, which every member can check and the
//! server cannot make up. It ends when somebody is removed or suspended, since they may have it.
//!
//! It only opens a door. No message depends on it, so one classical scheme is enough.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::copied::mended;
use crate::digest::{Fingerprint, Sha512Digest};
use crate::encoding::{decode_base64, encode_base64};
use crate::id::ParticipantId;
use crate::random;

/// Binds a signature to its use.
const PROOF_LABEL: &[u8] = b"momedo group link v1";

/// A link into a group: `momedo:group#GROUP.SEED`, both base64url. It is as secret as the group.
pub struct GroupLink {
    /// The group.
    pub group: Sha512Digest,
    seed: Zeroizing<[u8; 32]>,
}

/// The text is not a link into a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a link into a group looks like momedo:group#…; copy it whole")]
pub struct GroupLinkError;

/// What a link's signature covers.
pub fn proof_input(group: &Sha512Digest, id: ParticipantId, fingerprint: &Fingerprint) -> Vec<u8> {
    [PROOF_LABEL, &group.0, id.to_string().as_bytes(), &fingerprint.0].concat()
}

impl GroupLink {
    /// Draws a new link for a group.
    pub fn random(group: Sha512Digest) -> Self {
        Self { group, seed: Zeroizing::new(random::bytes()) }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod ed25519 {
    use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

    fn pair(seed: &[u8; 32]) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed")
    }

    pub(super) fn public(seed: &[u8; 32]) -> Vec<u8> {
        pair(seed).public_key().as_ref().to_vec()
    }

    pub(super) fn sign(seed: &[u8; 32], message: &[u8]) -> Vec<u8> {
        pair(seed).sign(message).as_ref().to_vec()
    }

    pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        key.len() == 32 && UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
    }
}

#[cfg(target_arch = "wasm32")]
mod ed25519 {
    use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

    pub(super) fn public(seed: &[u8; 32]) -> Vec<u8> {
        SigningKey::from_bytes(seed).verifying_key().to_bytes().to_vec()
    }

    pub(super) fn sign(seed: &[u8; 32], message: &[u8]) -> Vec<u8> {
        SigningKey::from_bytes(seed).sign(message).to_bytes().to_vec()
    }

    pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let key = key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok());
        let signature = Signature::from_slice(signature).ok();
        key.zip(signature).is_some_and(|(key, signature)| key.verify_strict(message, &signature).is_ok())
    }
}

impl GroupLink {
    /// The half that stands in the chain (32 bytes).
    pub fn public_key(&self) -> Vec<u8> {
        ed25519::public(&self.seed)
    }

    /// Lets somebody in (64 bytes).
    pub fn prove(&self, id: ParticipantId, fingerprint: &Fingerprint) -> Vec<u8> {
        ed25519::sign(&self.seed, &proof_input(&self.group, id, fingerprint))
    }
}

/// Whether whoever had the link of public half `key` let this person in.
pub(super) fn is_let_in(
    key: &[u8],
    group: &Sha512Digest,
    id: ParticipantId,
    fingerprint: &Fingerprint,
    proof: &[u8],
) -> bool {
    ed25519::verify(key, &proof_input(group, id, fingerprint), proof)
}

impl fmt::Display for GroupLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "momedo:group#{}.{}", self.group, encode_base64(&self.seed[..]))
    }
}

impl fmt::Debug for GroupLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupLink(***)")
    }
}

impl Clone for GroupLink {
    fn clone(&self) -> Self {
        Self { group: self.group, seed: self.seed.clone() }
    }
}

impl FromStr for GroupLink {
    type Err = GroupLinkError;
    fn from_str(text: &str) -> Result<Self, GroupLinkError> {
        let text = mended(text);
        let rest = text.strip_prefix("momedo:group#").ok_or(GroupLinkError)?;
        let (group, seed) = rest.split_once('.').ok_or(GroupLinkError)?;
        let seed = decode_base64(seed).map(Zeroizing::new).ok_or(GroupLinkError)?;
        let seed = seed[..].try_into().map_err(|_| GroupLinkError)?;
        Ok(Self { group: group.parse().map_err(|_| GroupLinkError)?, seed: Zeroizing::new(seed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lets_in_whom_it_names_and_nobody_else() {
        let group = Sha512Digest([3; 64]);
        let link = GroupLink::random(group);
        let read: GroupLink = link.to_string().parse().unwrap();
        let (id, other) = (ParticipantId::random(), ParticipantId::random());
        let fingerprint = Fingerprint([1; 32]);
        let proof = read.prove(id, &fingerprint);
        let key = link.public_key();
        assert!(is_let_in(&key, &group, id, &fingerprint, &proof));
        assert!(!is_let_in(&key, &group, other, &fingerprint, &proof));
        assert!(!is_let_in(&key, &group, id, &Fingerprint([2; 32]), &proof));
        assert!(!is_let_in(&key, &Sha512Digest([4; 64]), id, &fingerprint, &proof));
        assert!(!is_let_in(&GroupLink::random(group).public_key(), &group, id, &fingerprint, &proof));
        assert!(!is_let_in(&[], &group, id, &fingerprint, &proof));
        assert!(!is_let_in(&key, &group, id, &fingerprint, &proof[1..]));
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for text in ["", "momedo:group#", "momedo:group#a.b", "https://a/i#7QK0M3ZD9XN4.00"] {
            assert!(text.parse::<GroupLink>().is_err(), "{text}");
        }
    }
}
