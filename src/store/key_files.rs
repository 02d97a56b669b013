//! McEliece keys beside backups: one file per key, named after its digest, shared by every backup.
//!
//! A key is half a megabyte and never changes, so seven backups hold it once. Attachments stand beside backups in the
//! same way, see [`BlobCopies`].

use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::{decode_hex, encode_hex};

use super::backup::CopyError;
use super::blob_copies::BlobCopies;
use super::blob_files::BlobFile;
use crate::surroundings::data_directory::{create_private_file, create_private_folder, sync_folder};

/// Bytes of a key.
pub(super) const KEY_BYTES: u64 = 524_160;

/// A file that is being written; a power cut may leave it behind.
const UNFINISHED: &str = "unfinished";

/// The folder with the key files of a folder with backups.
#[derive(Debug, Clone)]
pub struct KeyFiles(PathBuf);

impl KeyFiles {
    /// Those beside the backups in `folder`.
    pub fn beside(folder: &Path) -> Self {
        Self(folder.join("mceliece"))
    }

    /// Attachments beside the same backups.
    pub(super) fn blobs(&self) -> BlobCopies {
        BlobCopies::beside(self.0.parent().unwrap_or(Path::new(".")))
    }

    fn path(&self, digest: &Sha512Digest) -> PathBuf {
        self.0.join(encode_hex(&digest.0))
    }

    /// Whether a file of the right length stands there; what is in it is another question.
    pub(super) fn has(&self, digest: &Sha512Digest) -> bool {
        fs::metadata(self.path(digest)).is_ok_and(|file| file.len() == KEY_BYTES)
    }

    /// The key, if its file is there and undamaged.
    pub(super) fn get(&self, digest: &Sha512Digest) -> Result<Option<Vec<u8>>, CopyError> {
        if !self.has(digest) {
            return Ok(None);
        }
        let key = fs::read(self.path(digest))?;
        Ok((Sha512Digest::of(&key) == *digest).then_some(key))
    }

    /// Keeps a key; what stood there under its name is replaced.
    pub(super) fn put(&self, digest: &Sha512Digest, key: &[u8]) -> Result<(), CopyError> {
        create_private_folder(&self.0)?;
        let unfinished = self.0.join(UNFINISHED);
        remove_if_there(&unfinished)?;
        let mut file = create_private_file(&unfinished)?;
        file.write_all(key)?;
        file.sync_all()?;
        Ok(fs::rename(&unfinished, self.path(digest))?)
    }

    /// Makes the names of all keys last through a power cut.
    pub(super) fn sync(&self) -> Result<(), CopyError> {
        if self.0.is_dir() { Ok(sync_folder(&self.0)?) } else { Ok(()) }
    }

    /// Deletes every key and attachment that is not among `used`; files that are neither are left alone.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn retain(&self, used: &HashSet<Sha512Digest>, blobs: &HashSet<BlobFile>) -> Result<(), CopyError> {
        self.blobs().retain(blobs)?;
        for (name, path, _) in self.files()? {
            let unused = decode_hex(&name).is_some_and(|digest| !used.contains(&Sha512Digest(digest)));
            if unused || name == UNFINISHED {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// How many bytes the files have, attachments included.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bytes(&self) -> Result<u64, CopyError> {
        let keys: u64 = self.files()?.iter().map(|(_, _, bytes)| bytes).sum();
        Ok(keys + self.blobs().bytes()?)
    }

    fn files(&self) -> Result<Vec<(String, PathBuf, u64)>, CopyError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let bytes = entry.metadata().map_or(0, |file| file.len());
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.path(), bytes));
        }
        Ok(files)
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
