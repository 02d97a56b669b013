//! The folder with backups: who works in it, what is in it, and what goes when there is too much.
//!
//! It is shared by the server and by commands beside it: whoever makes or deletes holds an exclusive lock,
//! whoever reads a shared one. What is not finished has a name that no backup has.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;

use super::error::{file, unusable};
use super::{Backup, BackupError};
use crate::domain::backup::{BackupName, MARGIN_BYTES, Made, is_surplus};
use crate::settings::config::BackupConfig;
use crate::store::BlobFile;
use crate::store::backup::{self as copies, CopyError, KeyFiles};
use crate::surroundings::data_directory::{self, create_private_folder, sync_folder};

/// What a file is called until it is finished, with something random after it.
const UNFINISHED: &str = "unfinished-";

/// A backup that is being made; only who holds the exclusive lock makes one.
const BEGUN: &str = "unfinished-backup-";

/// An unfinished export this old was left behind: nobody downloads for that long.
pub(super) const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// A locked folder with backups.
pub(super) struct Folder {
    path: PathBuf,
    pub(super) keys: KeyFiles,
    _lock: Option<File>,
}

/// A backup in the folder.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) backup: Backup,
    pub(super) made: Option<Made>,
    /// Keys beside it; `None` when it cannot be read, so that nobody knows.
    keys: Option<HashSet<momedo_protocol::digest::Sha512Digest>>,
    blobs: HashSet<BlobFile>,
}

/// A file that is removed unless it was given its name.
pub(super) struct Unfinished(PathBuf);

impl Unfinished {
    /// A name that nobody has in `folder`.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(folder.join(format!("{UNFINISHED}{}", encode_hex(&random::bytes::<8>()))))
    }

    /// A name for the backup that is being made.
    pub(super) fn backup(folder: &Folder) -> Self {
        Self(folder.path.join(format!("{BEGUN}{}", encode_hex(&random::bytes::<8>()))))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives the finished and synced file its name, and makes the name last.
    pub(super) fn rename(self, to: &Path) -> Result<(), BackupError> {
        fs::rename(&self.0, to).map_err(file("rename to", to))?;
        sync_folder(folder_of(to)).map_err(file("finish", to))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once renamed there is nothing to remove; what cannot be removed goes with the next backup.
        let _: Result<_, _> = fs::remove_file(&self.0);
    }
}

impl Folder {
    /// Opens the folder of a data directory for making and deleting; waits for others to finish.
    pub(super) fn for_writing(directory: &Path) -> Result<Self, BackupError> {
        let path = data_directory::backups(directory);
        create_private_folder(&path).map_err(file("make", &path))?;
        Self::open(path, File::lock)
    }

    /// Opens the folder of a data directory for reading; waits for somebody who makes or deletes.
    pub(super) fn for_reading(directory: &Path) -> Result<Self, BackupError> {
        let path = data_directory::backups(directory);
        create_private_folder(&path).map_err(file("make", &path))?;
        Self::open(path, File::lock_shared)
    }

    /// Opens the folder for a look that waits for nobody.
    pub(super) fn for_looking(directory: &Path) -> Result<Self, BackupError> {
        let path = data_directory::backups(directory);
        create_private_folder(&path).map_err(file("make", &path))?;
        Ok(Self { keys: KeyFiles::beside(&path), path, _lock: None })
    }

    fn open(path: PathBuf, lock: fn(&File) -> std::io::Result<()>) -> Result<Self, BackupError> {
        let handle = if cfg!(unix) {
            File::open(&path)
        } else {
            // Elsewhere folders cannot be opened as files.
            File::options().create(true).truncate(false).write(true).open(path.join("lock"))
        };
        let handle = handle.and_then(|handle| lock(&handle).map(|()| handle)).map_err(file("open", &path))?;
        Ok(Self { keys: KeyFiles::beside(&path), path, _lock: Some(handle) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a backup; the name cannot lead anywhere else.
    pub(super) fn file(&self, name: &BackupName) -> PathBuf {
        self.path.join(format!("{name}.db"))
    }

    /// The file of a backup that exists.
    pub(super) fn existing(&self, name: &BackupName) -> Result<PathBuf, BackupError> {
        let path = self.file(name);
        if path.is_file() { Ok(path) } else { Err(BackupError::Unknown(name.to_string())) }
    }

    /// A name for a backup made now, after all names of the same second.
    pub(super) fn free_name(&self, at: UnixMillis) -> Result<BackupName, BackupError> {
        let first = BackupName::made_at(at, 1);
        let entries = self.entries()?;
        let same = entries.iter().filter(|entry| entry.backup.name.as_str().starts_with(first.as_str()));
        let last = same.map(|entry| entry.backup.name.number()).max().unwrap_or(0);
        Ok(BackupName::made_at(at, last + 1))
    }

    /// What stands there, oldest first.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, BackupError> {
        let failed = file("read", &self.path);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(&failed)? {
            let path = entry.map_err(&failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let Some(name) = stem.filter(|_| path.extension().is_some_and(|end| end == "db")) {
                entries.push(describe(name, &path));
            }
        }
        // By served time, which no clock disturbs; what cannot be read comes first.
        entries.sort_by_key(|entry| {
            let name = &entry.backup.name;
            (entry.made.map(|made| (made.served, made.at)), name.number(), name.clone())
        });
        Ok(entries)
    }

    /// Deletes the oldest backups while there are too many or too little space is free, then the keys that
    /// only those had. The newest, and `kept` whatever its age, stay.
    pub(super) fn thin(
        &self,
        config: &BackupConfig,
        wanted: u64,
        kept: Option<&BackupName>,
    ) -> Result<(), BackupError> {
        let mut entries = self.entries()?;
        let mut deleted = false;
        while is_surplus(entries.len(), config.keep, self.available()?, wanted) {
            // One that cannot be read goes before one that can.
            let goes = |entry: &Entry| Some(&entry.backup.name) != kept;
            let place = entries.iter().position(|entry| goes(entry) && !entry.backup.verified);
            let Some(place) = place.or_else(|| entries.iter().position(goes)) else { break };
            let path = self.file(&entries.remove(place).backup.name);
            fs::remove_file(&path).map_err(file("remove", &path))?;
            self.forget_keys(&entries)?;
            deleted = true;
        }
        if !deleted && kept.is_some() {
            self.forget_keys(&entries)?;
        }
        Ok(())
    }

    fn forget_keys(&self, entries: &[Entry]) -> Result<(), BackupError> {
        let (mut used, mut blobs) = (HashSet::new(), HashSet::new());
        for entry in entries {
            // Nobody knows what a damaged backup refers to; it may be mended.
            let Some(keys) = &entry.keys else { return Ok(()) };
            used.extend(keys);
            blobs.extend(&entry.blobs);
        }
        self.keys.retain(&used, &blobs).map_err(unusable(&self.path))
    }

    /// Free bytes on the disk.
    pub(super) fn available(&self) -> Result<u64, BackupError> {
        available(&self.path)
    }

    /// Fails unless `needed` bytes fit, with some room beside them for the running server.
    pub(super) fn check_room(&self, needed: u64) -> Result<(), BackupError> {
        check_room(&self.path, needed)
    }

    /// Bytes of all backups and their keys.
    pub(super) fn bytes(&self, entries: &[Entry]) -> Result<u64, BackupError> {
        let keys = self.keys.bytes().map_err(unusable(&self.path))?;
        Ok(entries.iter().map(|entry| entry.backup.bytes).sum::<u64>() + keys)
    }
}

/// The folder a file stands in.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes what a power cut left in the folder `path`: begun backups, and other files once they are as old
/// as `age`. Nobody else may be making a backup there.
pub(super) fn sweep(path: &Path, age: Duration) -> Result<(), BackupError> {
    let failed = file("read", path);
    for entry in fs::read_dir(path).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(UNFINISHED) {
            let written = entry.metadata().and_then(|file| file.modified());
            // A time in the future is one that a wrong clock wrote.
            let is_new = written.is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed < age));
            if !is_new || name.starts_with(BEGUN) {
                fs::remove_file(entry.path()).map_err(file("remove", &entry.path()))?;
            }
        }
    }
    Ok(())
}

fn available(path: &Path) -> Result<u64, BackupError> {
    fs4::available_space(path).map_err(file("ask for the free space of", path))
}

/// Fails unless `needed` bytes fit into the folder `path`, with some room beside them.
pub(super) fn check_room(path: &Path, needed: u64) -> Result<(), BackupError> {
    let available = available(path)?;
    if available < needed.saturating_add(MARGIN_BYTES) {
        return Err(BackupError::NoRoom { needed: needed.saturating_add(MARGIN_BYTES), available });
    }
    Ok(())
}

/// Looks at a file; one that cannot be read is listed as not verified.
fn describe(name: BackupName, path: &Path) -> Entry {
    let bytes = fs::metadata(path).map_or(0, |file| file.len());
    match copies::describe(path) {
        Ok(contents) => {
            let made = contents.made;
            let backup = Backup {
                name,
                made_at: made.map(|made| made.at),
                bytes,
                schema: Some(contents.schema),
                // It got its name only after it was verified.
                verified: true,
            };
            let keys = Some(contents.keys_beside.unwrap_or_default());
            Entry { backup, made, keys, blobs: contents.blobs }
        }
        Err(reason) => {
            let schema = match reason {
                CopyError::Newer { found, .. } => Some(found),
                _ => None,
            };
            Entry {
                backup: Backup { name, made_at: None, bytes, schema, verified: false },
                made: None,
                keys: None,
                blobs: HashSet::new(),
            }
        }
    }
}
