//! The one profile of this browser: rows in a private file, secrets sealed with a key that the browser keeps elsewhere.

use std::sync::Arc;

use momedo_client::ClientError;
use momedo_client::keeping::{Keep, Pages};
use momedo_client::platform::Platform;
use momedo_client::profile::{self, Lock, Profile};
use zeroize::Zeroizing;

use crate::files::ThisBrowser;
use crate::storage::{PrivateFile, root};

/// The file.
const PROFILE: &str = "profile";

/// Bytes of the file that are kept in memory: it runs on phones.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Said when the browser has thrown away what opens the profile, or the file is damaged.
const LOST_KEY: &str =
    "this browser no longer has the key of what it keeps: use the recovery words or another device of yours";

/// Where the profile is or may be made.
pub(crate) struct Place {
    file: PrivateFile,
    /// Seals the secrets; the browser keeps it apart from the file.
    key: Zeroizing<[u8; 32]>,
    platform: Platform,
    /// Whoever has the profile open holds another of it: a file is never opened twice.
    in_use: Arc<()>,
}

impl Place {
    /// Opens the file; no other tab can open it until this is gone.
    ///
    /// # Errors
    /// [`ClientError::Profile`] when the browser keeps nothing, or another tab has it.
    pub(crate) async fn open(platform: Platform, key: Zeroizing<[u8; 32]>) -> Result<Self, ClientError> {
        let file = PrivateFile::open(&*root().await?, PROFILE).await?;
        Ok(Self { file, key, platform, in_use: Arc::default() })
    }

    fn failed(reason: impl ToString) -> ClientError {
        ClientError::Profile { path: "this browser".into(), reason: reason.to_string() }
    }

    /// Why there is no profile to open.
    pub(crate) fn is_empty(&self) -> ClientError {
        Self::failed("nobody joined with this browser yet")
    }

    fn folder(&self) -> Arc<ThisBrowser> {
        Arc::new(ThisBrowser::new(self.in_use.clone()))
    }

    /// The profile of whoever joined with this browser, if somebody did.
    pub(crate) fn stored(&self) -> Result<Option<Profile>, ClientError> {
        if Arc::strong_count(&self.in_use) > 1 {
            return Err(self.exists_already_open());
        }
        if self.file.length().map_err(Self::failed)? == 0 {
            return Ok(None);
        }
        let pages = self.pages()?;
        if !pages.is_made().map_err(Self::failed)? {
            return Ok(None);
        }
        let lock = Lock::Key(self.key.clone());
        let profile = Profile::open(pages, self.platform.clone(), self.folder(), lock);
        let profile = profile.map_err(|error| match error {
            ClientError::WrongPassphrase => Self::failed(LOST_KEY),
            error => error,
        })?;
        Ok(profile.id().is_ok().then_some(profile))
    }

    fn exists_already_open(&self) -> ClientError {
        Self::failed("somebody joined with this browser already")
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
        // Somebody who was cut off while joining has not joined; what cannot be opened is nobody's to throw away.
        match self.stored() {
            Ok(stored) => stored.is_some(),
            Err(_) => true,
        }
    }

    fn exists_already(&self) -> ClientError {
        self.exists_already_open()
    }

    fn create(&self) -> Result<Profile, ClientError> {
        if profile::Place::exists(self) {
            return Err(self.exists_already());
        }
        self.file.set_length(0).map_err(Self::failed)?;
        Profile::create(self.pages()?, self.platform.clone(), self.folder(), Lock::Key(self.key.clone()))
    }

    fn open(&self) -> Result<Profile, ClientError> {
        self.stored()?.ok_or_else(|| self.is_empty())
    }
}
