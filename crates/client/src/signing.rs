//! Signing with private keys that may be elsewhere and take their time.

use momedo_protocol::jws::{Document, Jws};

use crate::ClientError;
use crate::platform::keys::PrivateKey;

/// Signs a document with each key in turn.
///
/// # Errors
/// As [`crate::platform::keys::RsaPrivateKey::sign`].
pub async fn signed(document: &impl Document, keys: &[&PrivateKey]) -> Result<Jws, ClientError> {
    let unsigned = document.unsigned();
    let input = unsigned.input();
    let mut signatures = Vec::with_capacity(keys.len());
    for key in keys {
        signatures.push(key.sign(&input).await?);
    }
    Ok(unsigned.signed(&signatures))
}
