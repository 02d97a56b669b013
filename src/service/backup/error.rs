//! Why a backup cannot be made, used or restored, in words for the admin.

use std::path::{Path, PathBuf};

use super::sealed::SealedError;
use crate::domain::backup::{BackupName, BackupNameError};
use crate::store::backup::CopyError;

/// Why a backup cannot be made, used or restored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackupError {
    /// Not the name of a backup, whether there is one or not.
    #[error(transparent)]
    Name(#[from] BackupNameError),
    /// There is none of this name.
    #[error("there is no backup {0}; momedo admin backup list shows them")]
    Unknown(BackupName),
    /// The disk has no room for it.
    #[error("no room for a backup: it needs {needed} bytes and {available} are free; make room on the disk")]
    NoRoom {
        /// Bytes it needs.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// The copy cannot be written, or is not what was copied.
    #[error("the backup was not made: {0}")]
    Making(CopyError),
    /// A file that is no usable copy.
    #[error("cannot use {}: {reason}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: CopyError,
    },
    /// The file is sealed and no passphrase was given.
    #[error("{} is sealed with a passphrase: name the file that holds it with --passphrase-file", .0.display())]
    PassphraseMissing(PathBuf),
    /// The passphrase is wrong, or the sealed file is damaged.
    #[error("cannot open {}: {reason}", .path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Too easily guessed.
    #[error("a passphrase needs at least {} characters", super::MIN_PASSPHRASE)]
    PassphraseTooShort,
    /// Something stands where the export is to go.
    #[error("{} exists already: choose another name, or say --overwrite", .0.display())]
    Exists(PathBuf),
    /// A restore beside a running server.
    #[error("a momedo server is using {}: stop it first, then restore", .0.display())]
    ServerRuns(PathBuf),
    /// A restore over another server's data.
    #[error("{} holds a server's database already: choose another folder, or say --replace to move it aside", .0.display())]
    DatabaseExists(PathBuf),
    /// Reading or writing a file failed.
    #[error("cannot {attempt} {}: {reason}", .path.display())]
    File {
        /// What was tried.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// A mistake in the program.
    #[error("the backup ended early: {0}")]
    Internal(String),
}

/// Says what was tried with which file when the operating system refuses.
pub(super) fn file<'a>(
    attempt: &'static str,
    path: &'a Path,
) -> impl Fn(std::io::Error) -> BackupError + use<'a> {
    move |error| match error.get_ref().and_then(|inner| inner.downcast_ref::<SealedError>()) {
        Some(sealed) => BackupError::Sealed { path: path.to_owned(), reason: sealed.to_string() },
        None => BackupError::File { attempt, path: path.to_owned(), reason: error.to_string() },
    }
}

/// Says which file is of no use.
pub(super) fn unusable(path: &Path) -> impl Fn(CopyError) -> BackupError {
    move |reason| BackupError::Unusable { path: path.to_owned(), reason }
}
