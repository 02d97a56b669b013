//! Backups: made beside the running server, verified, kept, exported, restored.
//!
//! Two forms. In `backups/` of the data directory stand the server's own: `NAME.db` each, with the large
//! keys of all of them once in `mceliece/` and their attachments once in `blobs/`. What leaves the machine is one complete file, sealed with a
//! passphrase if wanted ([`export_from`], [`download`]). Both can be restored ([`restore`]).
//!
//! A backup gets its name only after it was read back and found to hold what the database held. All of it
//! is file work on threads of its own; the writer is never waited for, and never made to wait.

mod error;
mod export;
mod folder;
mod restore;
mod sealed;
mod staged;

use std::path::Path;

use momedo_protocol::secret_text::SecretText;
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

pub use error::BackupError;
pub use export::{Download, Exported, Overwrite, download, export_from};
pub use restore::{Replace, Restored, restore};
pub use sealed::SealedError;
pub use staged::{Staged, Upload, cancel, confirm, stage_kept};
pub(crate) use staged::{note, take};

use crate::domain::backup::{BackupName, MARGIN_BYTES, Made, is_due};
use crate::service::ServiceError;
use crate::service::audit::{self, Action};
use crate::service::permission::{Admin, RecentlyConfirmed};
use crate::settings::config::BackupConfig;
use crate::state::App;
use crate::store::backup::{self as copies, CopyError};
use error::unusable;
use folder::{Folder, Unfinished};

/// Fewest characters of a passphrase: whoever finds the file may try for as long as they like.
pub const MIN_PASSPHRASE: usize = 10;

/// The setting that remembers what went wrong.
const TROUBLE: &str = "backup-trouble";

/// A passphrase; wiped from memory when it is dropped.
pub type Passphrase = SecretText;

/// A backup in the folder; one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Backup {
    /// What it is called.
    pub name: BackupName,
    /// When it was made, by the clock on the wall.
    pub made_at: Option<UnixMillis>,
    /// Its size, without the keys that backups share.
    pub bytes: u64,
    /// The version of its schema.
    pub schema: Option<u32>,
    /// Whether it was good the last time it was read in full.
    pub verified: bool,
}

/// How the backups stand.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BackupStatus {
    /// When the newest good one was made.
    pub last_at: Option<UnixMillis>,
    /// How many there are.
    pub count: u64,
    /// What they take on the disk, with the keys they share.
    pub bytes: u64,
    /// What went wrong the last time; gone when a backup succeeds.
    pub trouble: Option<String>,
    /// When that was.
    pub trouble_at: Option<UnixMillis>,
}

/// What `momedo admin backup` asks the running server for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "backup", rename_all = "kebab-case")]
pub enum BackupRequest {
    /// Makes one.
    Now,
    /// Lists them.
    List,
    /// Reads one in full.
    Verify {
        /// Which.
        name: String,
    },
    /// Notes that one was taken away from the machine.
    Exported {
        /// Which.
        name: BackupName,
    },
}

/// What went wrong, as remembered in the database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Trouble {
    at: Option<UnixMillis>,
    words: Option<String>,
    damaged: Vec<BackupName>,
}

/// Does what `momedo admin backup` asks.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn execute(
    app: &App,
    admin: &RecentlyConfirmed,
    request: BackupRequest,
) -> Result<Vec<Backup>, ServiceError> {
    match request {
        BackupRequest::Now => Ok(vec![create(app, admin).await?]),
        BackupRequest::List => Ok(list(app, admin).await?),
        BackupRequest::Verify { name } => Ok(vec![verify(app, admin, &name).await?]),
        BackupRequest::Exported { name } => {
            audit::note(app, admin.account(), Action::BackupDownloaded, name.as_str()).await?;
            Ok(Vec::new())
        }
    }
}

/// Makes a backup now; takes as long as reading and writing the database twice.
///
/// # Errors
/// As [`BackupError`] says; [`status`] tells it until a backup succeeds.
pub async fn create(app: &App, admin: &Admin) -> Result<Backup, BackupError> {
    make_and_tell(app, Some(admin)).await
}

/// Nobody's doing: the server's own, by its rules.
async fn make_and_tell(app: &App, admin: Option<&Admin>) -> Result<Backup, BackupError> {
    let (directory, config) = (app.store.directory().to_owned(), app.config().backup.clone());
    let made = now(app);
    let files = app.store.blob_files().clone();
    let result = blocking(move || {
        // An attachment that is in the snapshot must still be there when its turn comes.
        let _kept = files.keep_all();
        make(&directory, &config, made)
    })
    .await;
    let mut trouble = trouble(app).await;
    match &result {
        Ok(_) => (trouble.at, trouble.words) = (None, None),
        Err(error) => {
            app.counts.fail_backup();
            (trouble.at, trouble.words) = (Some(made.at), Some(error.to_string()));
        }
    }
    let done = result.as_ref().ok().zip(admin);
    let line = done.map(|(backup, admin)| Line::of(admin, Action::BackupMade, &backup.name));
    remember(app, trouble, line).await;
    result
}

/// All backups, oldest first.
///
/// # Errors
/// As [`BackupError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Vec<Backup>, BackupError> {
    let directory = app.store.directory().to_owned();
    let entries = blocking(move || Folder::for_reading(&directory)?.entries()).await?;
    let trouble = trouble(app).await;
    let mut backups: Vec<Backup> = entries.into_iter().map(|entry| entry.backup).collect();
    for backup in &mut backups {
        backup.verified &= !trouble.damaged.contains(&backup.name);
    }
    Ok(backups)
}

/// Reads a backup and the keys it refers to in full.
///
/// # Errors
/// [`BackupError::Unusable`] when it is damaged; it is listed as not verified from then on.
pub async fn verify(app: &App, admin: &Admin, name: &str) -> Result<Backup, BackupError> {
    let name: BackupName = name.parse()?;
    let (directory, wanted) = (app.store.directory().to_owned(), name.clone());
    let result = blocking(move || {
        let folder = Folder::for_reading(&directory)?;
        let path = folder.existing(&wanted)?;
        let contents = copies::verify(&path, &folder.keys).map_err(unusable(&path))?;
        let bytes = std::fs::metadata(&path).map_err(error::file("read", &path))?.len();
        Ok(Backup {
            name: wanted,
            made_at: contents.made.map(|made| made.at),
            bytes,
            schema: Some(contents.schema),
            verified: true,
        })
    })
    .await;
    let line = Line::of(admin, Action::BackupVerified, &name);
    let mut trouble = trouble(app).await;
    let known = trouble.damaged.contains(&name);
    match &result {
        Ok(_) if known => trouble.damaged.retain(|damaged| *damaged != name),
        Err(BackupError::Unusable { reason: CopyError::Damaged(_) | CopyError::NotABackup, .. })
            if !known =>
        {
            trouble.damaged.push(name);
        }
        // One that cannot be read at all was not verified.
        Err(_) if !known => return result,
        _ => {}
    }
    remember(app, trouble, Some(line)).await;
    result
}

/// How the backups stand; that they cannot be looked at is told as trouble.
pub async fn status(app: &App) -> BackupStatus {
    let directory = app.store.directory().to_owned();
    let looked = blocking(move || {
        let folder = Folder::for_looking(&directory)?;
        let entries = folder.entries()?;
        let bytes = folder.bytes(&entries)?;
        Ok((entries, bytes))
    })
    .await;
    let trouble = trouble(app).await;
    let (entries, bytes) = match looked {
        Ok(looked) => looked,
        Err(error) => {
            let (trouble, trouble_at) = (Some(error.to_string()), Some(app.clock.now()));
            return BackupStatus { trouble, trouble_at, ..BackupStatus::default() };
        }
    };
    let good = entries
        .iter()
        .map(|entry| &entry.backup)
        .filter(|backup| backup.verified && !trouble.damaged.contains(&backup.name));
    BackupStatus {
        last_at: good.filter_map(|backup| backup.made_at).max(),
        count: entries.len() as u64,
        bytes,
        trouble: trouble.words,
        trouble_at: trouble.at,
    }
}

/// Keeps fewer backups where there is too little room for more, and makes one if it is due; what the
/// background loop does every few minutes.
///
/// # Errors
/// As [`BackupError`] says.
pub async fn keep_up(app: &App) -> Result<Option<Backup>, BackupError> {
    let (directory, config) = (app.store.directory().to_owned(), app.config().backup.clone());
    let damaged = trouble(app).await.damaged;
    let entries = blocking(move || {
        let folder = Folder::for_writing(&directory)?;
        folder.thin(&config, config.min_free_bytes, None)?;
        folder.entries()
    })
    .await?;
    let good = entries.iter().filter(|entry| !damaged.contains(&entry.backup.name));
    let made: Vec<Made> = good.filter_map(|entry| entry.made).collect();
    if is_due(&made, now(app), app.config().backup.every_hours) {
        make_and_tell(app, None).await.map(Some)
    } else {
        Ok(None)
    }
}

/// Makes a backup, on a thread that may block.
fn make(directory: &Path, config: &BackupConfig, made: Made) -> Result<Backup, BackupError> {
    let folder = Folder::for_writing(directory)?;
    folder::sweep(folder.path(), folder::LEFT_BEHIND)?;
    let database = directory.join("momedo.db");
    let needed = copies::needed_bytes(&database, &folder.keys).map_err(BackupError::Making)?;
    // Older ones make room before the new one is written, but the last good one stays until there is another.
    let wanted = needed.saturating_add(MARGIN_BYTES).saturating_add(config.min_free_bytes);
    folder.thin(config, wanted, None)?;
    folder.check_room(needed)?;
    let unfinished = Unfinished::backup(&folder);
    copies::copy(&database, unfinished.path(), &folder.keys, made).map_err(BackupError::Making)?;
    let contents = copies::verify(unfinished.path(), &folder.keys).map_err(BackupError::Making)?;
    let bytes = std::fs::metadata(unfinished.path()).map_err(error::file("read", unfinished.path()))?.len();
    let name = folder.free_name(made.at)?;
    unfinished.rename(&folder.file(&name))?;
    folder.thin(config, config.min_free_bytes, Some(&name))?;
    Ok(Backup { name, made_at: Some(made.at), bytes, schema: Some(contents.schema), verified: true })
}

fn now(app: &App) -> Made {
    Made { at: app.clock.now(), served: app.store.tick().0 }
}

async fn trouble(app: &App) -> Trouble {
    let stored = app.store.read(|tx| Ok::<_, ServiceError>(tx.setting(TROUBLE)?)).await;
    // A note that cannot be read is worth no error.
    stored.ok().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// A line of the log.
struct Line {
    account: String,
    action: Action,
    subject: String,
}

impl Line {
    fn of(admin: &Admin, action: Action, backup: &BackupName) -> Self {
        Self { account: admin.account().to_owned(), action, subject: backup.to_string() }
    }
}

/// Notes how it went and, in the same transaction, who did what.
async fn remember(app: &App, trouble: Trouble, line: Option<Line>) {
    let Ok(bytes) = serde_json::to_vec(&trouble) else { return };
    let at = app.clock.now();
    let stored = app
        .store
        // A full disk is what there is to tell of.
        .write_freeing(move |tx| {
            if let Some(Line { account, action, subject }) = line {
                audit::log(tx, at, &account, action, &subject)?;
            }
            if tx.setting(TROUBLE)?.as_deref() == Some(&bytes[..]) {
                return Ok(());
            }
            Ok::<_, ServiceError>(tx.set_setting(TROUBLE, &bytes)?)
        })
        .await;
    if let Err(error) = stored {
        tracing::warn!(%error, "how the backup went cannot be noted");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(BackupError::Internal(error.to_string())))
}
