//! Why a backup cannot be made, used or restored, in words for the admin.

use std::path::{Path, PathBuf};

use momedo_texts::{Language, Refusal};
use strum::{EnumIter, EnumProperty, IntoStaticStr};

use super::sealed::SealedError;
use crate::domain::backup::BackupNameError;
use crate::store::backup::CopyError;
use crate::texts;

/// Why a backup cannot be made, used or restored. Each kind is a row: what is said of it stands under its word in
/// `web-admin/messages/`.
#[derive(Debug, Clone, EnumIter, EnumProperty, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum BackupError {
    /// Not the name of a backup, whether there is one or not.
    #[strum(serialize = "not-a-backup-name", props(status = 422))]
    Name,
    /// There is none of this name.
    #[strum(serialize = "unknown-backup", props(status = 422))]
    Unknown(String),
    /// The disk has no room for it.
    #[strum(props(status = 422))]
    NoRoom {
        /// Bytes it needs.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// The copy cannot be written, or is not what was copied.
    #[strum(serialize = "backup-not-made")]
    Making(CopyError),
    /// A file that is no usable copy.
    #[strum(serialize = "unusable-backup", props(status = 422))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: CopyError,
    },
    /// The file is sealed and no passphrase was given.
    PassphraseMissing(PathBuf),
    /// The passphrase is wrong, or the sealed file is damaged.
    #[strum(serialize = "unopened-backup", props(status = 422))]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: SealedError,
    },
    /// Too easily guessed.
    #[strum(serialize = "short-passphrase", props(status = 422))]
    PassphraseTooShort,
    /// Something stands where the export is to go.
    #[strum(serialize = "file-exists")]
    Exists(PathBuf),
    /// A restore beside a running server.
    ServerRuns(PathBuf),
    /// A restore over another server's data.
    DatabaseExists(PathBuf),
    /// Reading or writing a file failed.
    #[strum(serialize = "unusable-file")]
    File {
        /// What was tried.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// A mistake in the program.
    #[strum(serialize = "backup-ended-early")]
    Internal(String),
}

impl BackupError {
    /// All there is to say, to whoever is at the machine.
    pub fn said_in_full(&self, language: Language) -> String {
        texts::with_detail(texts::said(self, language), self.detail())
    }

    /// What is to be known besides, by whoever is at the machine.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Unusable { path, .. } | Self::Sealed { path, .. } => Some(path.display().to_string()),
            Self::File { attempt, .. } => Some((*attempt).to_owned()),
            _ => None,
        }
    }
}

impl Refusal for BackupError {
    fn word(&self) -> &'static str {
        self.into()
    }

    fn values(&self, language: Language) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| ("path", path.display().to_string());
        match self {
            Self::Unknown(name) => vec![("name", name.clone())],
            Self::NoRoom { needed, available } => {
                vec![("needed", needed.to_string()), ("available", available.to_string())]
            }
            Self::Making(reason) | Self::Unusable { reason, .. } => {
                vec![("reason", texts::said(reason, language))]
            }
            Self::Sealed { reason, .. } => vec![("reason", texts::said(reason, language))],
            Self::PassphraseTooShort => vec![("least", super::MIN_PASSPHRASE.to_string())],
            Self::PassphraseMissing(file)
            | Self::Exists(file)
            | Self::ServerRuns(file)
            | Self::DatabaseExists(file) => vec![path(file)],
            Self::File { path: file, reason, .. } => {
                vec![path(file), ("reason", texts::told(reason, language))]
            }
            Self::Internal(reason) => vec![("reason", texts::told(reason, language))],
            Self::Name => Vec::new(),
        }
    }
}

texts::shown_in_english!(BackupError);

impl From<BackupNameError> for BackupError {
    fn from(BackupNameError: BackupNameError) -> Self {
        Self::Name
    }
}

/// Says what was tried with which file when the operating system refuses.
pub(super) fn file<'a>(
    attempt: &'static str,
    path: &'a Path,
) -> impl Fn(std::io::Error) -> BackupError + use<'a> {
    move |error| match error.get_ref().and_then(|inner| inner.downcast_ref::<SealedError>()) {
        Some(sealed) => BackupError::Sealed { path: path.to_owned(), reason: sealed.clone() },
        None => BackupError::File { attempt, path: path.to_owned(), reason: error.to_string() },
    }
}

/// Says which file is of no use.
pub(super) fn unusable(path: &Path) -> impl Fn(CopyError) -> BackupError {
    move |reason| BackupError::Unusable { path: path.to_owned(), reason }
}
