//! An own certificate that an admin uploaded: kept in the database, so it is in every backup.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::audit::{self, Action};
use super::permission::Admin;
use super::{AdminError, ServiceError};
use crate::state::App;
use crate::store::Store;
use crate::tls::Certificates;

/// The setting an upload is kept under.
const UPLOAD: &str = "own-certificate";

/// Largest PEM file, in bytes.
pub const MAX_PEM_BYTES: usize = 64 * 1024;

/// An uploaded certificate: PEM chain and PEM key.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Upload {
    /// The chain, own certificate first.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

/// The kept upload, if there is one.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn kept(store: &Store) -> Result<Option<Upload>, ServiceError> {
    let bytes = store.read(|tx| Ok::<_, ServiceError>(tx.setting(UPLOAD)?)).await?;
    Ok(bytes.filter(|bytes| !bytes.is_empty()).and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Checks an upload, keeps it and puts it into force.
///
/// # Errors
/// [`AdminError::UnusableCertificate`].
pub async fn upload(
    app: &App,
    admin: &Admin,
    certificates: &Certificates,
    upload: Upload,
) -> Result<(), ServiceError> {
    let certified = Certificates::check_upload(&upload.chain, &upload.key, app.clock.now())
        .map_err(|error| AdminError::UnusableCertificate(error.to_string()))?;
    let bytes = serde_json::to_vec(&upload).map_err(|error| ServiceError::Internal(error.to_string()))?;
    keep(app, admin, bytes).await?;
    certificates.use_uploaded(certified);
    Ok(())
}

/// Forgets an upload; the issued certificate serves again.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn remove(app: &App, admin: &Admin, certificates: &Certificates) -> Result<(), ServiceError> {
    keep(app, admin, Vec::new()).await?;
    let internal = |error: String| ServiceError::Internal(error);
    let identity = crate::running::stored_identity(app).await.map_err(|error| internal(error.to_string()))?;
    certificates.use_issued(&identity).map_err(|error| internal(error.to_string()))
}

async fn keep(app: &App, admin: &Admin, bytes: Vec<u8>) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            tx.set_setting(UPLOAD, &bytes)?;
            audit::log(tx, now, &account, Action::CertificateChanged, "")
        })
        .await
}
