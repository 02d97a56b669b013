//! The server in numbers.

use serde::{Deserialize, Serialize};

use super::backup::{self, BackupStatus};
use super::{ServiceError, key_log};
use crate::state::App;
use crate::store::SCHEMA_VERSION;

/// The server in numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Registered participants.
    pub participants: u64,
    /// Devices that are not revoked.
    pub devices: u64,
    /// Participants connected right now.
    pub online: u64,
    /// Envelopes that wait.
    pub ozone_envelopes: u64,
    /// Their bytes.
    pub ozone_bytes: u64,
    /// Version of the program.
    pub version: String,
    /// Version of the database's schema.
    pub schema: u32,
    /// Fingerprint of the server.
    pub fingerprint: String,
    /// Its words.
    pub words: String,
    /// Entries in the log of key changes.
    pub key_log_number: u64,
    /// The beginning of the hash over all of them, for people to compare.
    pub key_log_hash: String,
    /// Whether the disk is full, so that new mail is refused.
    pub storage_full: bool,
    /// Writes since the start that failed half-way, though they decide first, and were undone: each is a bug.
    pub half_written: u64,
    /// How the backups stand.
    pub backups: BackupStatus,
}

/// The server in numbers.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn now(app: &App) -> Result<Status, ServiceError> {
    let (participants, devices, (ozone_envelopes, ozone_bytes)) = app
        .store
        .read(|tx| {
            Ok::<_, ServiceError>((tx.count_participants()?, tx.count_devices()?, tx.count_envelopes()?))
        })
        .await?;
    let log = key_log::view(app).await?;
    Ok(Status {
        participants,
        devices,
        online: app.hub.online(),
        ozone_envelopes,
        ozone_bytes,
        version: env!("CARGO_PKG_VERSION").into(),
        schema: SCHEMA_VERSION,
        fingerprint: app.fingerprint.to_string(),
        words: app.fingerprint.words(),
        key_log_number: log.number,
        key_log_hash: log.grouped_hash(),
        storage_full: app.store.is_full(),
        half_written: app.store.half_written(),
        backups: backup::status(app).await,
    })
}
