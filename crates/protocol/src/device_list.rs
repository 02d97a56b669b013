//! Device lists: which devices may act for a participant, signed by the participant.

use serde::{Deserialize, Serialize};

use crate::digest::Sha512Digest;
use crate::encoding::Base64Bytes;
use crate::id::{DeviceId, ParticipantId};
use crate::jws::{Document, DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::limits::MAX_DEVICES;
use crate::ml_kem_key::{MlKemError, MlKemPublicKey};
use crate::name::is_acceptable_name;
use crate::rsa_key::{RsaKeyError, RsaPublicKey};
use crate::time::UnixMillis;

/// What is signed: the payload of a `momedo-device-list+jws`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceListPayload {
    /// Whose devices these are.
    pub id: ParticipantId,
    /// Starts at 1 and rises by one with every new list.
    pub version: u64,
    /// When it was made.
    pub issued_at: UnixMillis,
    /// The devices, in the order they joined.
    pub devices: Vec<DeviceEntry>,
}

/// One installation of the participant's client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceEntry {
    /// What its owner calls it.
    pub name: String,
    /// RSA key it logs in with (SPKI DER); the device's ID follows from it.
    pub login_key: Base64Bytes,
    /// RSA key for OAEP, for what only this device may open (SPKI DER).
    pub rsa_key: Base64Bytes,
    /// ML-KEM-768 key, likewise (raw).
    pub ml_kem_key: Base64Bytes,
}

impl DeviceEntry {
    /// The device's ID.
    pub fn id(&self) -> DeviceId {
        DeviceId::of_login_key(&self.login_key.0)
    }

    /// Names the device's key pair in envelopes: SHA-512 of the RSA SPKI, then the ML-KEM key.
    pub fn key_digest(&self) -> Sha512Digest {
        Sha512Digest::of(&[self.rsa_key.0.as_slice(), &self.ml_kem_key.0].concat())
    }
}

/// Why a device list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceListError {
    /// The signed document itself is wrong.
    #[error(transparent)]
    Signature(#[from] JwsError),
    /// An RSA key is not acceptable.
    #[error(transparent)]
    Rsa(#[from] RsaKeyError),
    /// An ML-KEM key is not acceptable.
    #[error(transparent)]
    MlKem(#[from] MlKemError),
    /// A field holds what it must not.
    #[error("{0}")]
    Field(&'static str),
}

impl Document for DeviceListPayload {
    const KIND: DocumentType = DocumentType::DeviceList;
}

impl DeviceListPayload {
    /// Signs the list with the participant's signature key.
    pub fn sign(&self, signer: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::DeviceList, &write_payload(self), &[signer])
    }

    /// Verifies a list signed by the participant's `signature_key`.
    ///
    /// # Errors
    /// As [`DeviceListError`] says.
    pub fn verify(jws: &Jws, signature_key: &RsaPublicKey) -> Result<Self, DeviceListError> {
        let list: Self = read_payload(&jws.verify(DocumentType::DeviceList, &[signature_key])?)?;
        if list.devices.is_empty() || list.devices.len() > MAX_DEVICES {
            return Err(DeviceListError::Field("a device list names 1 to 16 devices"));
        }
        if list.version == 0 || list.version > u64::from(u32::MAX) {
            return Err(DeviceListError::Field("the version of a device list starts at 1"));
        }
        for (index, device) in list.devices.iter().enumerate() {
            RsaPublicKey::from_spki(&device.login_key.0)?;
            RsaPublicKey::from_spki(&device.rsa_key.0)?;
            MlKemPublicKey::from_bytes(&device.ml_kem_key.0)?;
            if !is_acceptable_name(&device.name) {
                return Err(DeviceListError::Field(
                    "a device name has 1 to 80 characters that can be seen, with single spaces",
                ));
            }
            if list.devices[..index].iter().any(|earlier| earlier.id() == device.id()) {
                return Err(DeviceListError::Field("a device stands in the list twice"));
            }
        }
        Ok(list)
    }
}
