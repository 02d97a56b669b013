//! What an admin does: the same use cases beside a running server and without one.

use argon2::password_hash::{PasswordHasher, SaltString};
use momedo_protocol::invite::{InviteCode, InviteLink};
use momedo_protocol::time::UnixMillis;
use momedo_protocol::{limits, random};
use serde::{Deserialize, Serialize};

use super::ServiceError;
use super::backup::{self, Backup, BackupRequest, BackupStatus};
use super::error::compute;
use super::registration::code_hash;
use crate::domain::limits::INVITE_DAYS;
use crate::state::App;
use crate::store::SCHEMA_VERSION;

/// The setting that remembers the address invite links name.
const LINK_ADDRESS: &str = "link-address";

/// What an admin asks for; one JSON object over the control socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum AdminRequest {
    /// Makes an invite.
    Invite {
        /// The name to write on it.
        name: Option<String>,
    },
    /// Counts.
    Status,
    /// Sets an admin account's password.
    ResetPassword {
        /// The account.
        account: String,
        /// The new password.
        password: String,
    },
    /// Makes, lists or verifies backups.
    Backup(BackupRequest),
}

/// What an admin gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AdminResponse {
    /// A new invite.
    Invite(Invite),
    /// Counts.
    Status(Status),
    /// The account whose password is set.
    PasswordReset {
        /// The account.
        account: String,
    },
    /// Backups.
    Backups {
        /// Those that were asked for.
        backups: Vec<Backup>,
    },
}

/// A new invite.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invite {
    /// The link to hand out.
    pub link: String,
    /// The code in it.
    pub code: InviteCode,
    /// Until when it can be used.
    pub expires_at: UnixMillis,
}

/// The server in numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Whether the disk is full, so that new mail is refused.
    pub storage_full: bool,
    /// How the backups stand.
    pub backups: BackupStatus,
}

/// Does what an admin asks.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn execute(app: &App, request: AdminRequest) -> Result<AdminResponse, ServiceError> {
    match request {
        AdminRequest::Invite { name } => invite(app, name).await.map(AdminResponse::Invite),
        AdminRequest::Status => status(app).await.map(AdminResponse::Status),
        AdminRequest::ResetPassword { account, password } => {
            reset_password(app, &account, password).await?;
            Ok(AdminResponse::PasswordReset { account })
        }
        AdminRequest::Backup(request) => {
            Ok(AdminResponse::Backups { backups: backup::execute(app, request).await? })
        }
    }
}

async fn invite(app: &App, name: Option<String>) -> Result<Invite, ServiceError> {
    if name.as_deref().is_some_and(|name| !limits::is_acceptable_name(name)) {
        return Err(ServiceError::Malformed("a name has 1 to 80 characters".into()));
    }
    let code = InviteCode::random();
    let created_at = app.clock.now();
    let expires_at = created_at.plus_days(INVITE_DAYS);
    let address = app
        .store
        .write(move |tx| {
            let expires = tx.tick().plus_days(INVITE_DAYS);
            tx.insert_invite(&code_hash(code), name.as_deref(), created_at, expires_at, expires)?;
            Ok::<_, ServiceError>(tx.setting(LINK_ADDRESS)?)
        })
        .await?;
    let address = address
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| crate::addresses::for_links(&app.config, &app.config.listen.addresses));
    let link = InviteLink { address, code, server: app.fingerprint }.to_string();
    Ok(Invite { link, code, expires_at })
}

/// Remembers the address that invite links name.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn remember_link_address(app: &App, address: String) -> Result<(), ServiceError> {
    app.store
        .write(move |tx| {
            // Writing the same again would only wear the SD card.
            if tx.setting(LINK_ADDRESS)?.as_deref() == Some(address.as_bytes()) {
                return Ok(());
            }
            Ok::<_, ServiceError>(tx.set_setting(LINK_ADDRESS, address.as_bytes())?)
        })
        .await
}

async fn status(app: &App) -> Result<Status, ServiceError> {
    let (participants, devices, (ozone_envelopes, ozone_bytes)) = app
        .store
        .read(|tx| {
            Ok::<_, ServiceError>((tx.count_participants()?, tx.count_devices()?, tx.count_envelopes()?))
        })
        .await?;
    Ok(Status {
        participants,
        devices,
        online: app.hub.online(),
        ozone_envelopes,
        ozone_bytes,
        version: env!("CARGO_PKG_VERSION").into(),
        schema: SCHEMA_VERSION,
        fingerprint: app.fingerprint.to_string(),
        storage_full: app.store.is_full(),
        backups: backup::status(app).await,
    })
}

async fn reset_password(app: &App, account: &str, password: String) -> Result<(), ServiceError> {
    if password.chars().count() < 10 {
        return Err(ServiceError::Malformed("a password needs at least 10 characters".into()));
    }
    if !limits::is_acceptable_name(account) {
        return Err(ServiceError::Malformed("an account name has 1 to 80 characters".into()));
    }
    let hash = compute(move || {
        let salt = SaltString::encode_b64(&random::bytes::<16>())
            .map_err(|error| ServiceError::Internal(error.to_string()))?;
        let hash = argon2::Argon2::default().hash_password(password.as_bytes(), &salt);
        hash.map(|hash| hash.to_string()).map_err(|error| ServiceError::Internal(error.to_string()))
    })
    .await?;
    let account = account.to_owned();
    app.store.write(move |tx| Ok::<_, ServiceError>(tx.set_admin_password(&account, &hash)?)).await
}
