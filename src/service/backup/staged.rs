//! Restoring from the Backup page: a verified copy is put ready, an admin confirms, and the next start takes it.
//!
//! Replacing a database under a running server would be the kind of cleverness that fails on the day it is
//! needed. So the running server only prepares: `restore-ID.db` is complete and verified, and the marker
//! `restore.json`, written last and in one rename, says that it is wanted and by whom. Then the server stops and
//! starts again by itself. Killed at any moment, it comes up with the old database or with the restored one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::error::file;
use super::folder::{Folder, Unfinished, check_room, sweep};
use super::restore::{Prepared, adopt_owner, prepare, put_in_place};
use super::{BackupError, Passphrase, blocking};
use crate::service::audit::{self, Action};
use crate::service::permission::{Admin, RecentlyConfirmed};
use crate::service::{AdminError, ServiceError};
use crate::state::App;
use crate::store::Store;
use crate::surroundings::data_directory::{DataDirectory, create_private_file, sync_folder};

/// What says that a prepared restore is wanted.
const MARKER: &str = "restore.json";

/// A prepared database is called this, its ID and `.db`.
const PREPARED: &str = "restore-";

/// The setting that remembers which restore the log tells of already.
const NOTED: &str = "restore-noted";

/// What is gathered of an upload before it is written, in bytes.
const WRITE_BYTES: usize = 256 * 1024;

/// How often an upload looks whether there still is room, in bytes.
const ROOM_STEP: u64 = 8 * 1024 * 1024;

/// A restore that waits for its confirmation.
#[derive(Debug, Clone)]
pub struct Staged {
    /// What the confirmation names.
    pub id: String,
    /// When the backup was made.
    pub made_at: Option<UnixMillis>,
    /// The version of its schema.
    pub schema: u32,
    /// The fingerprint of the server it was made of.
    pub fingerprint: Fingerprint,
    /// Whether that is this server.
    pub is_own: bool,
}

/// What is wanted, as it stands on the disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Marker {
    id: String,
    account: String,
    at: UnixMillis,
    made_at: Option<UnixMillis>,
}

/// What the start found.
#[derive(Debug)]
pub(crate) struct Taken {
    marker: Marker,
    failure: Option<String>,
}

fn prepared(directory: &Path, id: &str) -> PathBuf {
    directory.join(format!("{PREPARED}{id}.db"))
}

/// Prepares a restore of a backup in the folder.
///
/// # Errors
/// [`BackupError`], also when it is not there.
pub async fn stage_kept(app: &App, _: &RecentlyConfirmed, name: &str) -> Result<Staged, ServiceError> {
    let name = name.parse().map_err(BackupError::from)?;
    let directory = app.store.directory().to_owned();
    let prepared = blocking(move || {
        let folder = Folder::for_reading(&directory)?;
        stage(&directory, &folder.existing(&name)?, None)
    });
    keep(app, prepared.await)
}

/// An upload on its way to the disk. Every write blocks a thread for a moment, and none between them.
pub struct Upload {
    directory: PathBuf,
    /// `None` before the first write and after one that failed.
    file: Option<Writing>,
    gathered: Vec<u8>,
    failed: Option<BackupError>,
}

struct Writing {
    upload: Unfinished,
    out: File,
    until_look: u64,
}

impl Writing {
    fn begin(directory: &Path) -> Result<Self, BackupError> {
        let upload = Unfinished::in_folder(directory);
        let out = create_private_file(upload.path()).map_err(file("write", upload.path()))?;
        Ok(Self { upload, out, until_look: 0 })
    }

    fn write(&mut self, directory: &Path, bytes: &[u8]) -> Result<(), BackupError> {
        let count = bytes.len() as u64;
        if self.until_look < count {
            // The running server needs its room.
            check_room(directory, ROOM_STEP)?;
            self.until_look = ROOM_STEP;
        }
        self.until_look = self.until_look.saturating_sub(count);
        self.out.write_all(bytes).map_err(file("write", self.upload.path()))
    }
}

impl Upload {
    /// Begins to write beside the database.
    pub fn begin(app: &App, _: &RecentlyConfirmed) -> Self {
        let directory = app.store.directory().to_owned();
        Self { directory, file: None, gathered: Vec::new(), failed: None }
    }

    /// Writes a part; false when the disk takes no more, as [`Upload::stage`] will tell.
    pub async fn put(&mut self, part: Bytes) -> bool {
        self.gathered.extend_from_slice(&part);
        if self.gathered.len() >= WRITE_BYTES {
            self.write().await;
        }
        self.failed.is_none()
    }

    async fn write(&mut self) {
        if self.failed.is_some() {
            return;
        }
        let (directory, bytes) = (self.directory.clone(), std::mem::take(&mut self.gathered));
        let file = self.file.take();
        let written = blocking(move || {
            let mut file = file.map_or_else(|| Writing::begin(&directory), Ok)?;
            file.write(&directory, &bytes)?;
            Ok(file)
        });
        match written.await {
            Ok(file) => self.file = Some(file),
            Err(error) => self.failed = Some(error),
        }
    }

    /// Prepares a restore of what was written.
    ///
    /// # Errors
    /// [`AdminError::PassphraseNeeded`] or [`BackupError`].
    pub async fn stage(mut self, app: &App, passphrase: Option<Passphrase>) -> Result<Staged, ServiceError> {
        self.write().await;
        if let Some(error) = self.failed {
            return Err(unusable(error));
        }
        let Some(Writing { upload, out, .. }) = self.file else {
            return Err(BackupError::Internal("an upload that was not written".into()).into());
        };
        drop(out);
        let directory = app.store.directory().to_owned();
        let prepared = blocking(move || stage(&directory, upload.path(), passphrase.as_ref())).await;
        keep(app, prepared)
    }
}

fn unusable(error: BackupError) -> ServiceError {
    match error {
        // There is a field for it.
        BackupError::PassphraseMissing(_) => AdminError::PassphraseNeeded.into(),
        other => other.into(),
    }
}

/// Puts a verified database with a life of its own beside the one in use. Blocks.
fn stage(
    directory: &Path,
    from: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<(String, Prepared), BackupError> {
    let mut source = File::open(from).map_err(file("read", from))?;
    let mut about = prepare(&mut source, from, directory, passphrase)?;
    let id = encode_hex(&random::bytes::<8>());
    if let Some(database) = about.database.take() {
        let path = prepared(directory, &id);
        File::open(database.path())
            .and_then(|made| made.sync_all())
            .map_err(file("finish", database.path()))?;
        database.rename(&path)?;
    }
    Ok((id, about))
}

/// Remembers what was prepared; one at a time, since each is as large as the database.
fn keep(app: &App, made: Result<(String, Prepared), BackupError>) -> Result<Staged, ServiceError> {
    let (id, about) = made.map_err(unusable)?;
    let staged = Staged {
        id,
        made_at: about.made_at,
        schema: about.schema,
        fingerprint: about.fingerprint,
        is_own: about.fingerprint == app.fingerprint,
    };
    let mut kept = app.staged_restore.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(earlier) = kept.replace((staged.id.clone(), staged.made_at)) {
        let _: Result<_, _> = fs::remove_file(prepared(app.store.directory(), &earlier.0));
    }
    Ok(staged)
}

/// Gives a prepared restore up.
pub fn cancel(app: &App, _: &Admin) {
    let kept = app.staged_restore.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some((id, _)) = kept {
        let _: Result<_, _> = fs::remove_file(prepared(app.store.directory(), &id));
    }
}

/// Has the next start take a prepared restore, and the server stop and start again. The name of the server that goes is
/// asked for, against slips.
///
/// # Errors
/// [`AdminError::WrongServerName`], [`AdminError::RestoreGone`], or [`BackupError`] when the marker cannot be written.
pub async fn confirm(
    app: &App,
    admin: &RecentlyConfirmed,
    id: &str,
    server: &str,
) -> Result<(), ServiceError> {
    if server.trim() != app.config().server.name {
        return Err(AdminError::WrongServerName.into());
    }
    let made_at = {
        let mut kept = app.staged_restore.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_this = kept.as_ref().is_some_and(|(known, _)| known == id);
        let taken = if is_this { kept.take() } else { None };
        taken.ok_or(AdminError::RestoreGone)?.1
    };
    let marker =
        Marker { id: id.to_owned(), account: admin.account().to_owned(), at: app.clock.now(), made_at };
    let directory = app.store.directory().to_owned();
    blocking(move || write_marker(&directory, &marker)).await?;
    // In the old database, too: whoever goes back to it sees why it was left.
    // From here on it is wanted, whether that can be noted or not.
    let noted = audit::note(app, admin.account(), Action::RestoreConfirmed, &subject(made_at)).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "the confirmation could not be noted in the log that is left");
    }
    app.restart();
    Ok(())
}

fn subject(made_at: Option<UnixMillis>) -> String {
    made_at.map_or_else(String::new, |at| crate::domain::backup::BackupName::made_at(at, 1).to_string())
}

fn write_marker(directory: &Path, marker: &Marker) -> Result<(), BackupError> {
    let path = directory.join(MARKER);
    let bytes = serde_json::to_vec(marker).map_err(|error| BackupError::Internal(error.to_string()))?;
    let unfinished = Unfinished::in_folder(directory);
    let mut out = create_private_file(unfinished.path()).map_err(file("write", &path))?;
    out.write_all(&bytes).and_then(|()| out.sync_all()).map_err(file("write", &path))?;
    adopt_owner(unfinished.path(), directory);
    unfinished.rename(&path)
}

/// Notes for the next start that the machine's administrator restored, so that the log tells it.
pub(super) fn note_at_machine(directory: &Path, now: UnixMillis, made_at: Option<UnixMillis>) {
    let id = encode_hex(&random::bytes::<8>());
    let account = Admin::at_the_machine().account().to_owned();
    if let Err(error) = write_marker(directory, &Marker { id, account, at: now, made_at }) {
        tracing::warn!(%error, "the log will not tell of this restore");
    }
}

/// Removes what a restore that nobody confirmed, or another one, left behind. Whoever calls has the lock.
pub(super) fn forget(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(PREPARED) && name.ends_with(".db") {
            fs::remove_file(&path)?;
        }
    }
    match fs::remove_file(directory.join(MARKER)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => sync_folder(directory),
    }
}

/// Before the database is opened: takes a restore that is wanted, and removes one that is not. Whatever fails
/// leaves the database that was there. Blocks.
pub(crate) fn take(directory: &DataDirectory, now: UnixMillis) -> Option<Taken> {
    let path = directory.path();
    // What an upload left that was cut off.
    if let Err(error) = sweep(path, Duration::ZERO) {
        tracing::warn!(%error, "what was left behind cannot be removed");
    }
    let marker: Option<Marker> =
        fs::read(path.join(MARKER)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(marker) = marker else {
        if let Err(error) = forget(path) {
            tracing::warn!(%error, "a restore that nobody confirmed cannot be removed");
        }
        return None;
    };
    let database = prepared(path, &marker.id);
    // Without the file it was taken already, and only the log does not tell it yet.
    let failure = if database.exists() { put_in_place(&database, path, now).err() } else { None };
    match &failure {
        None => tracing::info!("a backup was restored; what was there is kept in a folder replaced-TIME"),
        Some(error) => tracing::error!(%error, "the restore failed; the database that was there serves"),
    }
    Some(Taken { marker, failure: failure.map(|error| error.to_string()) })
}

/// Tells the log of a restore, once however often the start is cut off, and forgets it.
///
/// # Errors
/// As [`ServiceError`] says; the next start tells it.
pub(crate) async fn note(store: &Store, taken: Taken) -> Result<(), ServiceError> {
    let Taken { marker, failure } = taken;
    let directory = store.directory().to_owned();
    store
        .write_freeing(move |tx| {
            if tx.setting(NOTED)?.as_deref() == Some(marker.id.as_bytes()) {
                return Ok(());
            }
            tx.set_setting(NOTED, marker.id.as_bytes())?;
            let (action, subject) = match failure {
                None => (Action::BackupRestored, subject(marker.made_at)),
                Some(reason) => (Action::RestoreFailed, reason),
            };
            audit::log(tx, marker.at, &marker.account, action, &subject)
        })
        .await?;
    blocking(move || forget(&directory).map_err(file("tidy", &directory))).await?;
    Ok(())
}
