//! Figures about the server for a program that watches it, and the token it fetches them with.
//!
//! They are numbers alone: nobody's name or ID, no class and no neighbour. Whoever has the token gets them, from wherever;
//! an address proves little, since a whole school, or everybody behind a proxy, may come from one.

use momedo_protocol::digest::sha256;
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;
use subtle::ConstantTimeEq;

use super::audit::{self, Action};
use super::error::compute;
use super::neighbours::{self, NeighbourState};
use super::permission::{Admin, RecentlyConfirmed};
use super::status::Status;
use super::{ServiceError, blobs, overview};
use crate::state::App;
use crate::surroundings::data_directory;

/// The setting that holds the token's SHA-256. The token itself is shown once and kept nowhere, nor in any backup.
const TOKEN: &str = "metrics-token";

/// Proof that somebody brought the token.
#[derive(Debug)]
pub struct Reader(());

/// Whether figures can be fetched; one line of JSON.
#[derive(Debug, Clone, Serialize)]
pub struct MetricsStatus {
    /// Whether the setting says so.
    pub enabled: bool,
    /// Whether there is a token.
    pub has_token: bool,
}

/// The server in numbers, for programs.
#[derive(Debug)]
pub struct Figures {
    /// What admins see, at most some seconds old.
    pub status: Status,
    /// Streams and long polls that are open.
    pub streams: u64,
    /// Messages accepted since the start.
    pub accepted: u64,
    /// Messages refused since then, by the word of the refusal.
    pub refused: Vec<(&'static str, u64)>,
    /// Envelopes on their way to other servers.
    pub outgoing: u64,
    /// How many neighbours stand each way.
    pub neighbours: Vec<(NeighbourState, u64)>,
    /// Backups that failed since the start.
    pub failed_backups: u64,
    /// When the certificate in force ends.
    pub certificate_ends_at: Option<UnixMillis>,
    /// When the server started.
    pub started_at: UnixMillis,
    /// Size of the database, with what stands in its log and not yet in its file.
    pub database_bytes: u64,
    /// What is free on its disk.
    pub free_bytes: u64,
}

/// Whether figures can be fetched.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn status(app: &App, _: &Admin) -> Result<MetricsStatus, ServiceError> {
    let has_token = app.store.read(|tx| Ok::<_, ServiceError>(tx.setting(TOKEN)?)).await?.is_some();
    Ok(MetricsStatus { enabled: app.config().metrics.enabled, has_token })
}

/// Makes a token; the one before ends.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn make_token(app: &App, admin: &RecentlyConfirmed) -> Result<String, ServiceError> {
    let token = encode_base64(&random::bytes::<32>());
    let (digest, now, account) = (sha256(token.as_bytes()), app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            tx.set_setting(TOKEN, &digest)?;
            audit::log(tx, now, &account, Action::MetricsTokenMade, "")
        })
        .await?;
    Ok(token)
}

/// Lets whoever brings the token read.
///
/// # Errors
/// [`ServiceError::NotLoggedIn`].
pub async fn authenticate(app: &App, token: &str) -> Result<Reader, ServiceError> {
    let wanted = app.store.read(|tx| Ok::<_, ServiceError>(tx.setting(TOKEN)?)).await?;
    let is_right = wanted.is_some_and(|wanted| sha256(token.as_bytes()).ct_eq(wanted.as_slice()).into());
    if is_right { Ok(Reader(())) } else { Err(ServiceError::NotLoggedIn) }
}

/// The server in numbers. What is work to count is at most some seconds old.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn figures(app: &App, _: &Reader) -> Result<Figures, ServiceError> {
    let status = serde_json::from_value(overview::recent_status(app).await?)
        .map_err(|error| ServiceError::Internal(error.to_string()))?;
    Ok(Figures {
        status,
        streams: app.hub.streams(),
        accepted: app.activity.total(),
        refused: app.counts.refused(),
        outgoing: app.store.read(|tx| Ok::<_, ServiceError>(tx.count_outgoing()?)).await?,
        neighbours: neighbours::count(app).await?,
        failed_backups: app.counts.failed_backups(),
        certificate_ends_at: app.certificates.in_force().map(|certificate| certificate.ends_at),
        started_at: app.started_at,
        database_bytes: {
            let directory = app.store.directory().to_owned();
            compute(move || Ok(database_bytes(&directory))).await?
        },
        free_bytes: blobs::available(app).await?,
    })
}

/// Blocks.
fn database_bytes(directory: &std::path::Path) -> u64 {
    let file = data_directory::database(directory);
    let mut log = file.clone().into_os_string();
    log.push("-wal");
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
    size(&file) + size(log.as_ref())
}

#[cfg(test)]
mod tests;
