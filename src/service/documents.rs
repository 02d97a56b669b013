//! Signed documents as the database has them: read, written and countersigned. Knows nobody.

use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;

use super::ServiceError;
use crate::state::App;

/// A document as it was stored.
pub(super) fn stored_jws(text: &str) -> Result<Jws, ServiceError> {
    serde_json::from_str(text).map_err(|_| ServiceError::Internal("a stored document is damaged".into()))
}

/// A document as it is stored.
pub(super) fn jws_text(jws: &Jws) -> Result<String, ServiceError> {
    serde_json::to_string(jws).map_err(|error| ServiceError::Internal(error.to_string()))
}

/// The fingerprint of the signature key in a stored bundle.
pub(super) fn fingerprint_of(bundle: &str) -> Result<Fingerprint, ServiceError> {
    Ok(verified_bundle(bundle)?.fingerprint())
}

/// A stored bundle, verified again.
pub(super) fn verified_bundle(bundle: &str) -> Result<KeyBundle, ServiceError> {
    Ok(KeyBundle::verify(&stored_jws(bundle)?)?)
}

/// One signature with the identity key, 1 to 2 ms; rare enough to make in place.
pub(super) fn countersign(app: &App, bundle: &KeyBundle, name: String) -> Jws {
    Countersignature {
        id: bundle.payload.id,
        fingerprint: bundle.fingerprint(),
        name,
        home: app.fingerprint,
        expires_at: bundle.payload.expires_at,
    }
    .sign(&*app.identity)
}
