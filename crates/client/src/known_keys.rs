//! The keys of contacts as far as they are remembered here: nobody is asked.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::ClientError;
use crate::profile::Profile;
use crate::profile::contact::{Contact, Trust};

/// A contact's keys that may be used now.
#[derive(Debug, Clone)]
pub struct KnownKeys {
    /// The verified bundle.
    pub bundle: KeyBundle,
    /// How sure one is of it.
    pub trust: Trust,
    /// Signature keys pinned before.
    pub earlier_keys: Vec<RsaPublicKey>,
}

/// The remembered keys of a contact, without asking the server.
///
/// # Errors
/// As [`ClientError`] says.
pub fn remembered(profile: &Profile, id: ParticipantId) -> Result<Option<KnownKeys>, ClientError> {
    profile.contact(id)?.map(|contact| known_keys(id, &contact)).transpose()
}

pub(crate) fn known_keys(id: ParticipantId, contact: &Contact) -> Result<KnownKeys, ClientError> {
    let earlier = contact.earlier_keys.iter().filter_map(|key| RsaPublicKey::from_spki(&key.0).ok());
    Ok(KnownKeys {
        bundle: verify(id, &contact.bundle)?,
        trust: contact.trust,
        earlier_keys: earlier.collect(),
    })
}

pub(crate) fn verify(id: ParticipantId, jws: &Jws) -> Result<KeyBundle, ClientError> {
    KeyBundle::verify(jws).map_err(|error| untrusted(id, error))
}

pub(crate) fn untrusted(id: ParticipantId, reason: impl ToString) -> ClientError {
    ClientError::UntrustedKeys { id, reason: reason.to_string(), may_change: false }
}

pub(crate) fn untrusted_now(id: ParticipantId, reason: impl ToString) -> ClientError {
    ClientError::UntrustedKeys { id, reason: reason.to_string(), may_change: true }
}
