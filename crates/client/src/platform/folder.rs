//! Files: the person's own, which are sent or saved, and those that a profile needs for a while.

use std::any::Any;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use crate::ClientError;

/// A file that is read, from any place.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// A file that is written and read again.
pub trait Scratch: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> Scratch for T {}

/// A file of the person's that is to be sent.
pub struct Opened {
    /// Its bytes.
    pub bytes: Box<dyn Source>,
    /// How many they are.
    pub length: u64,
}

/// A file that is being saved, under a name of its own until it is whole; it goes unless it gets its name.
pub trait Part: Write + Send {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Gives it the name that its sender chose, made harmless by [`crate::file_name::safe_name`], or one like it where there
    /// is such a file already; nothing is overwritten.
    ///
    /// # Errors
    /// [`ClientError::File`].
    fn keep(self: Box<Self>, name: &str) -> Result<PathBuf, ClientError>;
}

/// The person's own files, by their paths; a browser's are what the page handed over, by the names it gave them.
pub trait Files: Send + Sync {
    /// Opens a file that is to be sent.
    ///
    /// # Errors
    /// [`ClientError::File`], also when it is no file.
    fn open<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Opened, ClientError>>;

    /// Begins a file in a folder.
    ///
    /// # Errors
    /// [`ClientError::File`].
    fn begin<'a>(&'a self, folder: &'a Path) -> BoxFuture<'a, Result<Box<dyn Part>, ClientError>>;

    /// Whether there is such a file still.
    fn has<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, bool>;

    /// Whether two folders are the same one.
    fn is_same(&self, one: &Path, other: &Path) -> bool;
}

/// Where a profile is kept.
pub trait Folder: Send + Sync {
    /// What people know it by.
    fn path(&self) -> &Path;

    /// A file for a while, which nobody else sees and which ends with the program at the latest.
    ///
    /// # Errors
    /// [`ClientError::File`].
    fn scratch(&self) -> BoxFuture<'_, Result<Box<dyn Scratch>, ClientError>>;

    /// Waits until no other program shows what the profile holds. Whoever holds what is returned has the turn.
    fn turn(&self) -> BoxFuture<'_, Box<dyn Any + Send + Sync>>;
}
