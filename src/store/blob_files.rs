//! The files with the bytes of blobs, in `blobs/` of the data directory.
//!
//! They stand beside the database because a file is written once: a row of a megabyte goes through the log into the
//! database and is copied out of it again, and keeps the one writer busy meanwhile (figures in docs/performance.md).
//!
//! The order that keeps both together: a file is synced before its row says how long it is, and removed after its row
//! is gone. So a row never promises what is not there, and what a crash leaves behind is a file without a row, which
//! the next start removes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use momedo_protocol::encoding::{decode_hex, encode_hex};

use super::StoreError;
use crate::surroundings::data_directory::{self, create_private_folder, sync_folder};

/// Names a blob's file: 16 bytes drawn by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobFile(pub [u8; 16]);

impl std::fmt::Display for BlobFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl BlobFile {
    /// What the file is called.
    pub(super) fn name(self) -> String {
        encode_hex(&self.0)
    }

    /// The file with this name; `None` for other names.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        decode_hex(name).map(Self).filter(|file| file.name() == name)
    }
}

/// The folder with the files of blobs.
#[derive(Debug, Clone)]
pub struct BlobFiles {
    folder: PathBuf,
    /// Held by who removes a file, and by backups while they take over files.
    removing: Arc<Mutex<()>>,
}

impl BlobFiles {
    /// Those of a data directory; the folder is made if need be.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let folder = data_directory::blobs(directory);
        create_private_folder(&folder)
            .and_then(|()| sync_folder(directory))
            .map_err(|error| StoreError::Sqlite(format!("cannot use {}: {error}", folder.display())))?;
        Ok(Self { folder, removing: Arc::default() })
    }

    /// Where a file stands.
    pub fn path(&self, file: BlobFile) -> PathBuf {
        self.folder.join(file.name())
    }

    /// Keeps files from being removed until the guard is dropped.
    pub fn keep_all(&self) -> MutexGuard<'_, ()> {
        self.removing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a file for writing on at `offset`; what is beyond was never promised and goes. Blocks.
    ///
    /// # Errors
    /// What the operating system says; [`ErrorKind::NotFound`] when bytes were promised that are not there.
    pub fn write_on(&self, file: BlobFile, offset: u64) -> std::io::Result<File> {
        let path = self.path(file);
        let mut options = File::options();
        options.write(true).create(offset == 0).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut open = options.open(&path)?;
        if open.metadata()?.len() < offset {
            return Err(ErrorKind::NotFound.into());
        }
        open.set_len(offset)?;
        open.seek(SeekFrom::Start(offset))?;
        if offset == 0 {
            sync_folder(&self.folder)?;
        }
        Ok(open)
    }

    /// Opens a file for reading from `offset` on. Blocks.
    ///
    /// # Errors
    /// What the operating system says; [`ErrorKind::NotFound`] when it is not there or too short.
    pub fn read_from(&self, file: BlobFile, offset: u64, size: u64) -> std::io::Result<File> {
        let mut open = File::open(self.path(file))?;
        if open.metadata()?.len() < size {
            return Err(ErrorKind::NotFound.into());
        }
        open.seek(SeekFrom::Start(offset))?;
        Ok(open)
    }

    /// Removes files that no row names: what a crash left between a removal and its file. Blocks.
    pub(super) fn sweep(&self, known: &HashSet<BlobFile>) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let file = entry.file_name().to_str().and_then(BlobFile::of_name);
            if file.is_some_and(|file| !known.contains(&file)) {
                fs::remove_file(entry.path())?;
            }
        }
        sync_folder(&self.folder)
    }

    /// Starts the thread that removes files, so that the writer does not wait for the disk; it ends with the sender.
    pub(super) fn spawn_remover(&self) -> Result<mpsc::Sender<BlobFile>, StoreError> {
        let (sender, removed) = mpsc::channel::<BlobFile>();
        let files = self.clone();
        std::thread::Builder::new()
            .name("blob-remover".into())
            .spawn(move || {
                for file in removed {
                    let _guard = files.keep_all();
                    match fs::remove_file(files.path(file)) {
                        Err(error) if error.kind() != ErrorKind::NotFound => {
                            tracing::warn!(%error, "an attachment's file cannot be removed; the next start tries again");
                        }
                        _ => {}
                    }
                }
            })
            .map_err(|error| StoreError::Sqlite(format!("cannot start the remover thread: {error}")))?;
        Ok(sender)
    }
}
