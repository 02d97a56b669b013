//! Files and folders of the operating system.

use std::any::Any;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use momedo_client::ClientError;
use momedo_client::platform::folder::{self, Files, Folder, Opened, Scratch};

use crate::part::Part;

/// How often a program looks whether another one has shown what it had to show.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) fn unusable(path: &Path, reason: impl ToString) -> ClientError {
    ClientError::File { path: path.to_owned(), reason: reason.to_string() }
}

/// The person's files, by their paths.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn open<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Opened, ClientError>> {
        let path = path.to_owned();
        Box::pin(async move {
            let opening = move || {
                let failed = |error: std::io::Error| unusable(&path, error);
                let file = File::open(&path).map_err(failed)?;
                let about = file.metadata().map_err(failed)?;
                if !about.is_file() {
                    return Err(unusable(&path, "it is no file"));
                }
                Ok(Opened { bytes: Box::new(file), length: about.len() })
            };
            blocking(opening).await
        })
    }

    fn begin<'a>(&'a self, folder: &'a Path) -> BoxFuture<'a, Result<Box<dyn folder::Part>, ClientError>> {
        Box::pin(async move { Ok(Box::new(Part::new(folder)?) as Box<dyn folder::Part>) })
    }

    fn has<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, bool> {
        Box::pin(async move { path.is_file() })
    }

    fn is_same(&self, one: &Path, other: &Path) -> bool {
        matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
    }
}

/// A profile's folder.
#[derive(Debug, Clone)]
pub struct ProfileFolder {
    path: PathBuf,
}

impl ProfileFolder {
    /// The folder at `path`; nothing is made or looked at yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Folder for ProfileFolder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn scratch(&self) -> BoxFuture<'_, Result<Box<dyn Scratch>, ClientError>> {
        let folder = self.path.clone();
        Box::pin(blocking(move || {
            let file = tempfile::tempfile_in(&folder).map_err(|error| unusable(&folder, error))?;
            Ok(Box::new(file) as Box<dyn Scratch>)
        }))
    }

    fn turn(&self) -> BoxFuture<'_, Box<dyn Any + Send + Sync>> {
        Box::pin(async move {
            // Where files cannot be locked, nobody waits. The lock ends with the file.
            let Ok(file) = File::create(self.path.join("showing.lock")) else {
                return Box::new(()) as Box<_>;
            };
            loop {
                match file.try_lock() {
                    Ok(()) => return Box::new(file) as Box<_>,
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
                    Err(TryLockError::Error(_)) => return Box::new(()) as Box<_>,
                }
            }
        })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ClientError::Protocol(format!("it ended early: {error}"))))
}
