//! Countersignatures: a home confirms that an ID belongs to a fingerprint, so no other server can claim it, and says what
//! its admins call the participant, whatever they call themselves in their key bundle.

use serde::{Deserialize, Serialize};

use crate::digest::Fingerprint;
use crate::id::ParticipantId;
use crate::jws::{DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::name::is_acceptable_name;
use crate::rsa_key::RsaPublicKey;
use crate::time::UnixMillis;

/// What the home signs with its identity key: the payload of a `momedo-countersignature+jws`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countersignature {
    /// The confirmed ID.
    pub id: ParticipantId,
    /// Fingerprint of the participant's signature key.
    pub fingerprint: Fingerprint,
    /// What the home's admins call the participant.
    pub name: String,
    /// Fingerprint of the signing home.
    pub home: Fingerprint,
    /// Until when the confirmation holds.
    pub expires_at: UnixMillis,
}

impl Countersignature {
    /// Signs with the home's identity key.
    pub fn sign(&self, identity: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::Countersignature, &write_payload(self), &[identity])
    }

    /// Verifies with the home's identity key; that `home` names that key is checked too.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, identity: &RsaPublicKey) -> Result<Self, JwsError> {
        let signed: Self = read_payload(&jws.verify(DocumentType::Countersignature, &[identity])?)?;
        let is_right = signed.home == identity.fingerprint() && is_acceptable_name(&signed.name);
        if is_right { Ok(signed) } else { Err(JwsError::Content) }
    }
}
