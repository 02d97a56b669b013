//! Asking for one's own erasure: signed by the device anew, so that a stolen token does not suffice.

use serde::{Deserialize, Serialize};

use crate::digest::Fingerprint;
use crate::encoding::Base64Bytes;
use crate::id::{DeviceId, ParticipantId};
use crate::jws::{DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::rsa_key::RsaPublicKey;

/// What a device signs to have its participant erased: the payload of a `momedo-erasure+jws`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// Who is to be erased.
    pub id: ParticipantId,
    /// The device that asks.
    pub device: DeviceId,
    /// A nonce as for a log-in (32 bytes), good once.
    pub nonce: Base64Bytes,
    /// Fingerprint of the server that is to erase.
    pub server: Fingerprint,
}

impl Erasure {
    /// Signs with the device's log-in key.
    pub fn sign(&self, login_key: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::Erasure, &write_payload(self), &[login_key])
    }

    /// Verifies with the device's log-in key.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, login_key: &RsaPublicKey) -> Result<Self, JwsError> {
        read_payload(&jws.verify(DocumentType::Erasure, &[login_key])?)
    }
}
