//! The participant's own bundle: wording one, and the one in force.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::limits::KEY_BUNDLE_LIFETIME_DAYS;
use momedo_protocol::suite::Suite;

use crate::platform::keys::PrivateKey;
use crate::profile::Profile;
use crate::secrets::NewKeys;
use crate::{ClientError, now};

/// The payload of a bundle with these keys.
pub(crate) fn bundle_payload(
    id: ParticipantId,
    name: &str,
    version: u64,
    homes: Vec<Fingerprint>,
    signature_key: &PrivateKey,
    keys: &NewKeys,
) -> KeyBundlePayload {
    let issued_at = now();
    KeyBundlePayload {
        id,
        name: name.to_owned(),
        homes,
        version,
        issued_at,
        expires_at: issued_at.plus_days(KEY_BUNDLE_LIFETIME_DAYS),
        signature_key: Base64Bytes(signature_key.public().spki().to_vec()),
        rsa_key: Base64Bytes(keys.private.rsa.public().spki().to_vec()),
        ml_kem_key: Base64Bytes(keys.private.ml_kem.public().bytes().to_vec()),
        mceliece_key: Some(keys.mceliece.digest()),
        suites: Suite::ALL.to_vec(),
    }
}

impl Profile {
    /// This profile's device.
    ///
    /// # Errors
    /// As [`Profile::id`].
    pub fn device(&self) -> Result<DeviceId, ClientError> {
        self.get("device")?.ok_or_else(|| ClientError::Protocol("the profile has no device".into()))
    }

    /// The participant's own current bundle.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub fn own_bundle(&self) -> Result<KeyBundle, ClientError> {
        let jws =
            self.get("bundle")?.ok_or_else(|| ClientError::Protocol("the profile has no bundle".into()))?;
        KeyBundle::verify(&jws).map_err(|error| ClientError::Protocol(error.to_string()))
    }
}
