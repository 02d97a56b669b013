//! The browser's private files (OPFS): read and written at once, as a file of an operating system is, by one worker at a
//! time.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use momedo_client::ClientError;
use redb::StorageBackend;
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemReadWriteOptions, FileSystemSyncAccessHandle,
};

use crate::scope::{name_of, scope, settled, words};

/// The folder of the page's origin that is the client's own.
pub(crate) const ROOT: &str = "momedo";

/// An open private file. It stays open until the last of its clones is gone; nobody else can open it meanwhile.
#[derive(Clone)]
pub(crate) struct PrivateFile(Arc<Open>);

struct Open(SendWrapper<FileSystemSyncAccessHandle>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the browser says when private files cannot be used, for people.
fn refused(error: &JsValue) -> ClientError {
    let reason = match name_of(error).as_str() {
        "NoModificationAllowedError" => "it is open in another tab or window".to_owned(),
        "QuotaExceededError" => {
            "the browser has no room left for it: free some space on this device".to_owned()
        }
        "SecurityError" | "NotAllowedError" | "InvalidStateError" => {
            "the browser keeps nothing here: leave the private window, or allow this page to keep data"
                .to_owned()
        }
        _ => words(error),
    };
    ClientError::Profile { path: "this browser".into(), reason }
}

/// The client's folder, made if it is not there.
pub(crate) async fn root() -> Result<SendWrapper<FileSystemDirectoryHandle>, ClientError> {
    let storage = scope()?.navigator().storage();
    let has = |name: &str| js_sys::Reflect::has(&storage, &name.into()).unwrap_or(false);
    if storage.is_undefined() || !has("getDirectory") {
        let reason = "this browser cannot keep private files (OPFS): a newer one is needed".into();
        return Err(ClientError::Profile { path: "this browser".into(), reason });
    }
    let origin = settled(storage.get_directory()).await.map_err(|error| refused(&error))?;
    let origin = SendWrapper::new(origin.unchecked_into::<FileSystemDirectoryHandle>());
    folder(&origin, ROOT).await
}

/// A folder in another, made if it is not there.
pub(crate) async fn folder(
    parent: &FileSystemDirectoryHandle,
    name: &str,
) -> Result<SendWrapper<FileSystemDirectoryHandle>, ClientError> {
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(true);
    let found = settled(parent.get_directory_handle_with_options(name, &options)).await;
    Ok(SendWrapper::new(found.map_err(|error| refused(&error))?.unchecked_into()))
}

impl PrivateFile {
    /// Opens a file, made if it is not there.
    pub(crate) async fn open(folder: &FileSystemDirectoryHandle, name: &str) -> Result<Self, ClientError> {
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        let file = settled(folder.get_file_handle_with_options(name, &options)).await;
        let file =
            SendWrapper::new(file.map_err(|error| refused(&error))?.unchecked_into::<FileSystemFileHandle>());
        let opened = settled(file.create_sync_access_handle()).await.map_err(|error| refused(&error))?;
        Ok(Self(Arc::new(Open(SendWrapper::new(opened.unchecked_into())))))
    }

    fn handle(&self) -> &FileSystemSyncAccessHandle {
        &self.0.0
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> io::Result<u64> {
        self.handle().get_size().map(|size| size as u64).map_err(failed)
    }

    /// Cuts it off or fills it up with zeros.
    pub(crate) fn set_length(&self, length: u64) -> io::Result<()> {
        self.handle().truncate_with_f64(length as f64).map_err(failed)
    }

    /// Waits until all of it is on the disk.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.handle().flush().map_err(failed)
    }

    fn at(place: u64) -> FileSystemReadWriteOptions {
        let options = FileSystemReadWriteOptions::new();
        options.set_at(place as f64);
        options
    }

    /// Reads what is at a place, as much as there is and fits.
    pub(crate) fn read_at(&self, place: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.handle().read_with_u8_array_and_options(bytes, &Self::at(place));
        read.map(|count| count as usize).map_err(failed)
    }

    /// Writes all of it at a place.
    pub(crate) fn write_at(&self, place: u64, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            let options = Self::at(place + written as u64);
            let count =
                self.handle().write_with_u8_array_and_options(&bytes[written..], &options).map_err(failed)?;
            if count < 1.0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            written += count as usize;
        }
        Ok(())
    }
}

fn failed(error: JsValue) -> io::Error {
    match name_of(&error).as_str() {
        "QuotaExceededError" => {
            io::Error::other("the browser has no room left for it: free some space on this device")
        }
        _ => io::Error::other(words(&error)),
    }
}

impl std::fmt::Debug for PrivateFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateFile")
    }
}

impl StorageBackend for PrivateFile {
    fn len(&self) -> Result<u64, io::Error> {
        self.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut read = 0;
        while read < out.len() {
            match self.read_at(offset + read as u64, &mut out[read..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => read += count,
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.set_length(length)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.flush()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.write_at(offset, data)
    }
}

/// A private file with a place in it.
pub(crate) struct Cursor {
    file: PrivateFile,
    place: u64,
}

impl Cursor {
    /// At the beginning.
    pub(crate) fn new(file: PrivateFile) -> Self {
        Self { file, place: 0 }
    }

    /// The file.
    pub(crate) fn file(&self) -> &PrivateFile {
        &self.file
    }
}

impl Read for Cursor {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(self.place, bytes)?;
        self.place += count as u64;
        Ok(count)
    }
}

impl Write for Cursor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.place, bytes)?;
        self.place += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => self.file.length()?.checked_add_signed(by),
        };
        self.place = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.place)
    }
}
