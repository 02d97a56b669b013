//! The one profile of this browser: rows in a private file.

use momedo_client::ClientError;
use momedo_client::keeping::Pages;
use momedo_client::platform::Platform;
use momedo_client::profile::{self, Profile};

use crate::files::ThisBrowser;
use crate::storage::{PrivateFile, root};

/// The file.
const PROFILE: &str = "profile";

/// Bytes of the file that are kept in memory: it runs on phones.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Where the profile is or may be made.
pub(crate) struct Place {
    file: PrivateFile,
    platform: Platform,
}

impl Place {
    /// Opens the file; no other tab can open it until this is gone.
    ///
    /// # Errors
    /// [`ClientError::Profile`] when the browser keeps nothing, or another tab has it.
    pub(crate) async fn open(platform: Platform) -> Result<Self, ClientError> {
        let file = PrivateFile::open(&*root().await?, PROFILE).await?;
        Ok(Self { file, platform })
    }

    fn failed(reason: impl ToString) -> ClientError {
        ClientError::Profile { path: "this browser".into(), reason: reason.to_string() }
    }

    /// Why there is no profile to open.
    pub(crate) fn is_empty(&self) -> ClientError {
        Self::failed("nobody joined with this browser yet")
    }

    fn pages(&self) -> Result<Box<Pages>, ClientError> {
        Pages::open(self.file.clone(), CACHE_BYTES).map(Box::new).map_err(Self::failed)
    }
}

impl profile::Place for Place {
    fn platform(&self) -> &Platform {
        &self.platform
    }

    fn exists(&self) -> bool {
        self.file.length().is_ok_and(|length| length > 0)
    }

    fn exists_already(&self) -> ClientError {
        Self::failed("somebody joined with this browser already")
    }

    fn create(&self) -> Result<Profile, ClientError> {
        if profile::Place::exists(self) {
            return Err(self.exists_already());
        }
        Profile::create(self.pages()?, self.platform.clone(), std::sync::Arc::new(ThisBrowser), None)
    }

    fn open(&self) -> Result<Profile, ClientError> {
        if !profile::Place::exists(self) {
            return Err(self.is_empty());
        }
        Profile::open(self.pages()?, self.platform.clone(), std::sync::Arc::new(ThisBrowser), None)
    }
}
