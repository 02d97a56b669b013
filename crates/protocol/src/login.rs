//! Log-in: a device signs the server's nonce with its log-in key.

use serde::{Deserialize, Serialize};

use crate::digest::Fingerprint;
use crate::encoding::Base64Bytes;
use crate::id::DeviceId;
use crate::jws::{Document, DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::rsa_key::RsaPublicKey;

/// What a device signs to log in: the payload of a `momedo-login+jws`.
///
/// Naming the server keeps one server from logging in at another with what it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The device that logs in.
    pub device: DeviceId,
    /// The server's nonce (32 bytes), good for one log-in.
    pub nonce: Base64Bytes,
    /// Fingerprint of the server that is logged in to.
    pub server: Fingerprint,
}

impl Document for Login {
    const KIND: DocumentType = DocumentType::Login;
}

impl Login {
    /// Signs with the device's log-in key.
    pub fn sign(&self, login_key: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::Login, &write_payload(self), &[login_key])
    }

    /// Reads the fields *without verifying*: to find out whose log-in key to verify with.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn unverified(jws: &Jws) -> Result<Self, JwsError> {
        read_payload(&jws.unverified_payload()?)
    }

    /// Verifies with the device's log-in key.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, login_key: &RsaPublicKey) -> Result<Self, JwsError> {
        read_payload(&jws.verify(DocumentType::Login, &[login_key])?)
    }
}
