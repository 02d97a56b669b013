//! Profiles in private folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use momedo_client::ClientError;
use momedo_client::keeping::Sqlite;
use momedo_client::platform::Platform;
use momedo_client::profile::{self, Profile};

use crate::folder::ProfileFolder;

/// A folder with a profile, or for one, and the passphrase that encrypts its secrets (Argon2id, AES-256-GCM).
pub struct Place {
    path: PathBuf,
    passphrase: Option<zeroize::Zeroizing<String>>,
    platform: Platform,
}

impl Place {
    /// The folder at `path`; nothing is made or looked at yet.
    pub fn new(path: &Path, passphrase: Option<&str>) -> Self {
        let passphrase = passphrase.map(|text| zeroize::Zeroizing::new(text.to_owned()));
        Self { path: path.to_owned(), passphrase, platform: crate::platform() }
    }

    fn failed(&self, reason: impl ToString) -> ClientError {
        ClientError::Profile { path: self.path.clone(), reason: reason.to_string() }
    }

    fn passphrase(&self) -> Option<&str> {
        self.passphrase.as_ref().map(|text| text.as_str())
    }

    fn folder(&self) -> Arc<ProfileFolder> {
        Arc::new(ProfileFolder::new(&self.path))
    }
}

impl profile::Place for Place {
    fn platform(&self) -> &Platform {
        &self.platform
    }

    fn exists(&self) -> bool {
        Sqlite::exists(&self.path)
    }

    fn exists_already(&self) -> ClientError {
        self.failed("there is a profile already; choose another folder")
    }

    fn create(&self) -> Result<Profile, ClientError> {
        if profile::Place::exists(self) {
            return Err(self.exists_already());
        }
        let sqlite = Sqlite::create(&self.path).map_err(|error| self.failed(error))?;
        Profile::create(Box::new(sqlite), self.platform.clone(), self.folder(), self.passphrase().into())
    }

    fn open(&self) -> Result<Profile, ClientError> {
        if !profile::Place::exists(self) {
            return Err(self.failed("there is no profile; make one with `momedo user register`"));
        }
        let sqlite = Sqlite::open(&self.path).map_err(|error| self.failed(error))?;
        Profile::open(Box::new(sqlite), self.platform.clone(), self.folder(), self.passphrase().into())
    }
}

/// Makes a new profile in `path`, which may be an existing empty folder and is made private; with a passphrase its secrets
/// are encrypted.
///
/// # Errors
/// [`ClientError::Profile`], also when there is a profile already.
pub fn create(path: &Path, passphrase: Option<&str>) -> Result<Profile, ClientError> {
    profile::Place::create(&Place::new(path, passphrase))
}

/// Opens the profile in `path`.
///
/// # Errors
/// [`ClientError::Profile`], [`ClientError::Locked`] without the passphrase, [`ClientError::WrongPassphrase`] with a wrong one.
pub fn open(path: &Path, passphrase: Option<&str>) -> Result<Profile, ClientError> {
    profile::Place::open(&Place::new(path, passphrase))
}
