//! The data directory: where it is, that it is private, and that one process has it.
//!
//! Holds `momedo.db` (everything), `momedo.lock`, `control.sock`, `momedo.reserve`, `blobs/` (attachments) and
//! `backups/`; while a restore is prepared, `restore-ID.db`, and once it is wanted, `restore.json`.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::privacy::{Privacy, make_folder_private};

/// A private, locked data directory; the lock ends with this value or with the process.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    privacy: Privacy,
    _lock: File,
}

/// What is wrong with a data directory that others can read.
pub const OPEN_TO_OTHERS: &str = "the disk that the data directory is on knows no permissions, as with FAT and exFAT: whoever \
    uses this machine can read the server's keys; move it to another disk, or mount that one for the server's user alone \
    (umask=077)";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// Another process has it.
    #[error(
        "another momedo is using {}: use that one, or stop it first",
        .0.display()
    )]
    Locked(PathBuf),
    /// It cannot be made, made private, or written to.
    #[error("cannot use the data directory {}: {source}; choose a folder you may write to with --data-dir", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// How long a lock is waited for: a program that this process just started has it, too, until it is the other program, and
/// a server that starts again in the same process would find its own.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);

/// How long between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

impl DataDirectory {
    /// Makes the directory if need be, makes it private to its owner as far as its disk knows permissions, and locks it.
    ///
    /// # Errors
    /// As [`DataDirectoryError`] says.
    pub fn lock(path: &Path) -> Result<Self, DataDirectoryError> {
        let unusable = |source| DataDirectoryError::Unusable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let privacy = make_folder_private(path).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("momedo.lock"))
            .map_err(unusable)?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path: path.to_owned(), privacy, _lock: lock }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(DataDirectoryError::Locked(path.to_owned())),
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether others can read what is in it.
    pub fn privacy(&self) -> Privacy {
        self.privacy
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        database(&self.path)
    }
}

/// The database file of a directory.
pub fn database(directory: &Path) -> PathBuf {
    directory.join("momedo.db")
}

/// The file whose space is given up when the disk is full.
pub fn reserve_file(directory: &Path) -> PathBuf {
    directory.join("momedo.reserve")
}

/// The socket `momedo admin` talks to a running server over.
pub fn control_socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

/// The platform's place for a service's or a person's data, or `momedo-data` beside the program.
///
/// # Errors
/// When neither exists because the environment names no home.
pub fn default_path() -> Result<PathBuf, String> {
    if let Ok(program) = std::env::current_exe()
        && let Some(beside) = program.parent().map(|folder| folder.join("momedo-data"))
        && beside.is_dir()
    {
        return Ok(beside);
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let place = if cfg!(windows) {
        variable("LOCALAPPDATA").map(|base| base.join("momedo"))
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support/momedo"))
    } else {
        variable("XDG_DATA_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
            .map(|base| base.join("momedo"))
    };
    place.ok_or_else(|| "no place for the data is known here: name one with --data-dir".to_owned())
}

/// Where backups are kept.
pub fn backups(directory: &Path) -> PathBuf {
    directory.join("backups")
}

/// Where the bytes of attachments are.
pub fn blobs(directory: &Path) -> PathBuf {
    directory.join("blobs")
}

/// Makes a file that only its owner can read, as far as its disk knows permissions; there must be none yet.
///
/// # Errors
/// What the operating system says.
pub fn create_private_file(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.create_new(true).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a folder that only its owner can enter, or makes an existing one so, as far as its disk knows permissions.
///
/// # Errors
/// What the operating system says.
pub fn create_private_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)?;
    make_folder_private(path).map(drop)
}

/// Makes names given or taken in a folder last through a power cut.
///
/// # Errors
/// What the operating system says.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    // Windows cannot open folders as files; its file system keeps a log of names.
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(path)?.sync_all() {
        // Some network folders know no such thing: there is nothing more to be done there.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}
