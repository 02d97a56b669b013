//! Asking for one's own erasure: signed by the device anew, so that a stolen token does not suffice. And what the home
//! signs about it for servers that it told of the participant.

use serde::{Deserialize, Serialize};

use crate::digest::Fingerprint;
use crate::encoding::Base64Bytes;
use crate::id::{DeviceId, ParticipantId};
use crate::jws::{Document, DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
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

impl Document for Erasure {
    const KIND: DocumentType = DocumentType::Erasure;
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

/// What a home says of a participant who is erased there: the payload of a `momedo-departure+jws`. An ID is never given
/// twice, so it holds for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Departure {
    /// Who is gone.
    pub id: ParticipantId,
    /// Their home; signs.
    pub home: Fingerprint,
}

impl Departure {
    /// Signs with the home's identity key.
    pub fn sign(&self, identity: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::Departure, &write_payload(self), &[identity])
    }

    /// Verifies with the home's identity key; that `home` names that key is checked too.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, identity: &RsaPublicKey) -> Result<Self, JwsError> {
        let signed: Self = read_payload(&jws.verify(DocumentType::Departure, &[identity])?)?;
        if signed.home == identity.fingerprint() { Ok(signed) } else { Err(JwsError::Content) }
    }
}
