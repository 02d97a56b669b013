//! Restoring: a backup becomes the database of a data directory that no server is using.
//!
//! Everything is put together and verified under another name first; the last step is one rename. Whatever
//! cuts it off before leaves the old server, or none where there was none.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use super::error::{file, unusable};
use super::export::copy;
use super::folder::{Unfinished, check_room, folder_of, sweep};
use super::{BackupError, Passphrase, sealed, staged};
use crate::domain::backup::BackupName;
use crate::store::backup::{self as copies, CopyError, KeyFiles};
use crate::surroundings::data_directory::{
    self, DataDirectory, DataDirectoryError, create_private_file, create_private_folder, sync_folder,
};
use crate::tls::Identity;

/// Files a database may consist of, the one with the data first.
const DATABASE: [&str; 3] = ["momedo.db", "momedo.db-wal", "momedo.db-shm"];

/// What happens to a database that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It stays, and nothing is restored.
    Refuse,
    /// It is moved aside, into a folder `replaced-TIME` of the data directory.
    MoveAside,
}

/// A restored server; one line of JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// When the backup was made.
    pub made_at: Option<UnixMillis>,
    /// The version of its schema; an older one is brought up to date at the next start.
    pub schema: u32,
    /// The server's fingerprint, the same as before.
    pub fingerprint: Fingerprint,
    /// Where the database went that was there.
    pub replaced: Option<PathBuf>,
}

/// Makes the copy in `from` the database of `directory`: an exported file, or a backup in a folder with its
/// keys beside it. `now` names the folder for what was there. Blocks.
///
/// # Errors
/// As [`BackupError`] says; everything is as it was then.
pub fn restore(
    from: &Path,
    directory: &Path,
    passphrase: Option<&Passphrase>,
    replace: Replace,
    now: UnixMillis,
) -> Result<Restored, BackupError> {
    let mut source = File::open(from).map_err(file("read", from))?;
    let existed = directory.exists();
    let lock = DataDirectory::lock(directory).map_err(|error| match error {
        DataDirectoryError::Locked(path) => BackupError::ServerRuns(path),
        DataDirectoryError::Unusable { path, source } => file("use", &path)(source),
    })?;
    let result = restore_locked(&mut source, from, lock.path(), passphrase, replace, now);
    drop(lock);
    if result.is_err() && !existed {
        // Trying must not leave anything behind.
        let _: Result<_, _> = fs::remove_file(directory.join("momedo.lock"));
        let _: Result<_, _> = fs::remove_dir(directory);
    }
    result
}

fn restore_locked(
    source: &mut File,
    from: &Path,
    directory: &Path,
    passphrase: Option<&Passphrase>,
    replace: Replace,
    now: UnixMillis,
) -> Result<Restored, BackupError> {
    let is_occupied = DATABASE.iter().any(|name| directory.join(name).symlink_metadata().is_ok());
    if is_occupied && replace == Replace::Refuse {
        return Err(BackupError::DatabaseExists(directory.to_owned()));
    }
    // Nobody else works here: the lock is ours.
    sweep(directory, Duration::ZERO)?;
    staged::forget(directory).map_err(file("tidy", directory))?;
    let mut prepared = prepare(source, from, directory, passphrase)?;
    let restored = prepared.database.take().expect("it was just prepared");
    let replaced = put_in_place(restored.path(), directory, now)?;
    let Prepared { made_at, schema, fingerprint, .. } = prepared;
    staged::note_at_machine(directory, now, made_at);
    Ok(Restored { made_at, schema, fingerprint, replaced })
}

/// A verified database with a life of its own, not in its place yet.
pub(super) struct Prepared {
    pub(super) database: Option<Unfinished>,
    pub(super) made_at: Option<UnixMillis>,
    pub(super) schema: u32,
    pub(super) fingerprint: Fingerprint,
}

/// Makes a complete, verified database of the copy `from` in `directory`, under an unfinished name.
pub(super) fn prepare(
    source: &mut File,
    from: &Path,
    directory: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<Prepared, BackupError> {
    let restored = Unfinished::in_folder(directory);
    unpack(source, from, passphrase, &restored)?;
    // Keys stand where the backup stands, under names made of their digests.
    let keys = KeyFiles::beside(folder_of(from));
    let failed = unusable(from);
    let contents = copies::describe(restored.path()).map_err(&failed)?;
    check_room(directory, contents.bytes_beside())?;
    copies::verify(restored.path(), &keys).map_err(&failed)?;
    copies::complete(restored.path(), &keys, copies::Blobs::WhereTheyAre).map_err(&failed)?;
    let fingerprint = fingerprint(restored.path()).map_err(&failed)?;
    // Their names are nobody else's, so they stand beside those of a database that is there until the next start
    // removes what its database does not name.
    copies::unpack_blobs(restored.path(), &keys, directory).map_err(&failed)?;
    copies::begin_new_life(restored.path()).map_err(&failed)?;
    adopt_owner(restored.path(), directory);
    adopt_blobs(directory)?;
    let made_at = contents.made.map(|made| made.at);
    Ok(Prepared { database: Some(restored), made_at, schema: contents.schema, fingerprint })
}

/// Gives a prepared database its name, after what was there was kept; where that went. Cut off in between, the
/// old one is whole and in place.
pub(super) fn put_in_place(
    prepared: &Path,
    directory: &Path,
    now: UnixMillis,
) -> Result<Option<PathBuf>, BackupError> {
    let is_occupied = DATABASE.iter().any(|name| directory.join(name).symlink_metadata().is_ok());
    let replaced = if is_occupied { Some(move_aside(directory, now)?) } else { None };
    let database = directory.join(DATABASE[0]);
    fs::rename(prepared, &database).map_err(file("rename to", &database))?;
    sync_folder(directory).map_err(file("finish", directory))?;
    Ok(replaced)
}

/// Copies the file into the data directory, opening it if it is sealed.
fn unpack(
    source: &mut File,
    from: &Path,
    passphrase: Option<&Passphrase>,
    to: &Unfinished,
) -> Result<(), BackupError> {
    let size = source.metadata().map_err(file("read", from))?.len();
    check_room(folder_of(to.path()), size)?;
    let mut start = Vec::new();
    source.take(sealed::MAGIC.len() as u64).read_to_end(&mut start).map_err(file("read", from))?;
    let whole = start.as_slice().chain(source);
    if start != sealed::MAGIC {
        return copy(whole, to);
    }
    let passphrase = passphrase.ok_or_else(|| BackupError::PassphraseMissing(from.to_owned()))?;
    let mut out = create_private_file(to.path()).map_err(file("write", to.path()))?;
    sealed::open(passphrase, whole, &mut out).map_err(file("open", from))
}

/// The server's fingerprint: a copy without its identity would be another server.
fn fingerprint(path: &Path) -> Result<Fingerprint, CopyError> {
    let missing = || CopyError::Damaged("the server's identity is not in it".into());
    let bytes = copies::setting(path, Identity::SETTING)?.ok_or_else(missing)?;
    let identity: Identity = serde_json::from_slice(&bytes).map_err(|_| missing())?;
    Ok(identity.key().map_err(|_| missing())?.public().fingerprint())
}

/// Keeps the database that is there in a folder of its own. It stays in place, whole, until the restored
/// one takes its name; only its log must be gone by then, or it would be read into the restored one.
fn move_aside(directory: &Path, now: UnixMillis) -> Result<PathBuf, BackupError> {
    let mut folders =
        (1..).map(|number| directory.join(format!("replaced-{}", BackupName::made_at(now, number))));
    let folder = folders.find(|folder| !folder.exists()).expect("there are more numbers than folders");
    create_private_folder(&folder).map_err(file("make", &folder))?;
    // A damaged one cannot end its log: its files are kept as they are.
    let _: Result<_, _> = copies::finish_log(&directory.join(DATABASE[0]));
    for name in DATABASE {
        let (path, kept) = (directory.join(name), folder.join(name));
        if path.symlink_metadata().is_ok() {
            // Some file systems of USB sticks know no second name for a file.
            fs::hard_link(&path, &kept)
                .or_else(|_| fs::copy(&path, &kept).and_then(|_| File::open(&kept)?.sync_all()))
                .map_err(file("keep", &path))?;
        }
    }
    keep_blobs(directory, &folder)?;
    sync_folder(&folder).map_err(file("finish", &folder))?;
    adopt_owner(&folder, directory);
    for name in &DATABASE[1..] {
        let path = directory.join(name);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).map_err(file("move aside", &path))?;
        }
    }
    sync_folder(directory).map_err(file("finish", directory))?;
    Ok(folder)
}

/// Keeps the attachments with the database they belong to; more than those do no harm.
fn keep_blobs(directory: &Path, folder: &Path) -> Result<(), BackupError> {
    let (blobs, kept) = (data_directory::blobs(directory), data_directory::blobs(folder));
    if !blobs.is_dir() {
        return Ok(());
    }
    create_private_folder(&kept).map_err(file("make", &kept))?;
    for entry in fs::read_dir(&blobs).map_err(file("read", &blobs))? {
        let entry = entry.map_err(file("read", &blobs))?;
        copies::link_or_copy(&entry.path(), &kept.join(entry.file_name()), &kept.join("unfinished"))
            .map_err(file("keep", &entry.path()))?;
    }
    sync_folder(&kept).map_err(file("finish", &kept))?;
    adopt_owner(&kept, directory);
    Ok(())
}

fn adopt_blobs(directory: &Path) -> Result<(), BackupError> {
    let blobs = data_directory::blobs(directory);
    if !blobs.is_dir() {
        return Ok(());
    }
    adopt_owner(&blobs, directory);
    for entry in fs::read_dir(&blobs).map_err(file("read", &blobs))? {
        adopt_owner(&entry.map_err(file("read", &blobs))?.path(), directory);
    }
    Ok(())
}

/// Gives a file to whom the data directory belongs: an administrator restores for the server's own user.
#[cfg(unix)]
pub(super) fn adopt_owner(path: &Path, directory: &Path) {
    use std::os::unix::fs::{MetadataExt, chown};
    let owner = |path: &Path| fs::metadata(path).map(|file| (file.uid(), file.gid()));
    if let (Ok(has), Ok(wanted)) = (owner(path), owner(directory))
        && has != wanted
        && let Err(error) = chown(path, Some(wanted.0), Some(wanted.1))
    {
        tracing::warn!(%error, "{} cannot be given to the server's user", path.display());
    }
}

#[cfg(not(unix))]
pub(super) fn adopt_owner(_: &Path, _: &Path) {
    // Windows gives new files to the folder's owner by inheritance.
}
