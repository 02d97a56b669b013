//! The person's files: what the page hands over to be sent, and what is saved for the page to hand out.

use std::any::Any;
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use js_sys::Uint8Array;
use momedo_client::ClientError;
use momedo_client::file_name::safe_name;
use momedo_client::platform::folder::{Files, Folder, Opened, Part, Scratch};
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, FileReaderSync, FileSystemDirectoryHandle, FileSystemFileHandle};

use crate::scope::{settled, words};
use crate::storage::{Cursor, PrivateFile, folder, root};

/// Folder of what was saved: one folder for each file, with the file in it.
const SAVED: &str = "saved";

/// Folder of what is there for a while.
const SCRATCH: &str = "scratch";

fn unusable(path: &Path, reason: impl ToString) -> ClientError {
    ClientError::File { path: path.to_owned(), reason: reason.to_string() }
}

/// Files by the names under which the page handed them over, and saved ones by their paths.
#[derive(Default)]
pub(crate) struct PageFiles {
    handed_over: Mutex<HashMap<PathBuf, SendWrapper<Blob>>>,
}

impl PageFiles {
    /// Takes a file from the page.
    pub(crate) fn take(&self, name: &str, blob: Blob) {
        let mut files = self.handed_over.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(name.into(), SendWrapper::new(blob));
    }

    /// Forgets what the page handed over.
    pub(crate) fn forget(&self) {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn find(&self, path: &Path) -> Option<SendWrapper<Blob>> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }
}

/// A file of the page's, read piece by piece.
struct BlobSource {
    blob: SendWrapper<Blob>,
    reader: SendWrapper<FileReaderSync>,
    place: u64,
}

impl Read for BlobSource {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let failed = |error| io::Error::other(words(&error));
        let end = (self.place + bytes.len() as u64).min(self.blob.size() as u64);
        if end <= self.place {
            return Ok(0);
        }
        let part = self.blob.slice_with_f64_and_f64(self.place as f64, end as f64).map_err(failed)?;
        let read = Uint8Array::new(&self.reader.read_as_array_buffer(&part).map_err(failed)?.into());
        let count = (read.length() as usize).min(bytes.len());
        read.subarray(0, count as u32).copy_to(&mut bytes[..count]);
        self.place += count as u64;
        Ok(count)
    }
}

impl Seek for BlobSource {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => (self.blob.size() as u64).checked_add_signed(by),
        };
        self.place = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.place)
    }
}

/// A file that is being saved.
struct Saving {
    folder: SendWrapper<FileSystemDirectoryHandle>,
    id: String,
    path: PathBuf,
    cursor: Cursor,
    is_kept: bool,
}

impl Write for Saving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cursor.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Part for Saving {
    fn path(&self) -> &Path {
        &self.path
    }

    fn keep(mut self: Box<Self>, name: &str) -> Result<PathBuf, ClientError> {
        self.cursor.file().flush().map_err(|error| unusable(&self.path, error))?;
        self.is_kept = true;
        Ok(self.path.join(safe_name(name)))
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if !self.is_kept {
            remove_later(&self.folder, &self.id);
        }
    }
}

/// Removes a file once it is closed.
fn remove_later(folder: &SendWrapper<FileSystemDirectoryHandle>, name: &str) {
    let (folder, name) = (folder.clone(), name.to_owned());
    wasm_bindgen_futures::spawn_local(async move {
        // In the next turn, when whoever held it has closed it; of what is there for a while the rest goes with the next start.
        drop(settled(js_sys::Promise::resolve(&JsValue::UNDEFINED)).await);
        drop(settled(folder.remove_entry(&name)).await);
    });
}

fn fresh_name() -> String {
    encode_hex(&random::bytes::<16>())
}

/// The ID in the path of a saved file: `saved/ID/NAME`.
pub(crate) fn saved_id(path: &Path) -> Option<String> {
    let mut parts = path.components();
    let is_saved = parts.next()?.as_os_str() == SAVED;
    let id = parts.next()?.as_os_str().to_str()?.to_owned();
    is_saved.then_some(id)
}

/// A saved file, for the page.
///
/// # Errors
/// [`ClientError::File`] when there is none.
pub(crate) async fn saved(path: &Path) -> Result<Blob, ClientError> {
    let failed = |error: JsValue| unusable(path, words(&error));
    let id = saved_id(path).ok_or_else(|| unusable(path, "there is no such file"))?;
    let folder = folder(&*root().await?, SAVED).await?;
    let handle: FileSystemFileHandle =
        settled(folder.get_file_handle(&id)).await.map_err(failed)?.unchecked_into();
    Ok(settled(handle.get_file()).await.map_err(failed)?.unchecked_into())
}

impl Files for PageFiles {
    fn open<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Opened, ClientError>> {
        let opening = async move {
            if let Some(blob) = self.find(path) {
                let reader = FileReaderSync::new().map_err(|error| unusable(path, words(&error)))?;
                let length = blob.size() as u64;
                let reader = SendWrapper::new(reader);
                return Ok(Opened { bytes: Box::new(BlobSource { blob, reader, place: 0 }), length });
            }
            let id = saved_id(path).ok_or_else(|| unusable(path, "there is no such file"))?;
            let folder = folder(&*root().await?, SAVED).await?;
            let file = PrivateFile::open(&folder, &id).await?;
            let length = file.length().map_err(|error| unusable(path, error))?;
            Ok(Opened { bytes: Box::new(Cursor::new(file)), length })
        };
        SendWrapper::new(opening).boxed()
    }

    fn begin<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, Result<Box<dyn Part>, ClientError>> {
        let beginning = async move {
            let folder = folder(&*root().await?, SAVED).await?;
            let id = fresh_name();
            let cursor = Cursor::new(PrivateFile::open(&folder, &id).await?);
            let path = Path::new(SAVED).join(&id);
            Ok(Box::new(Saving { folder, id, path, cursor, is_kept: false }) as Box<dyn Part>)
        };
        SendWrapper::new(beginning).boxed()
    }

    fn has<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, bool> {
        let looking = async move {
            let Some(id) = saved_id(path) else { return false };
            let Ok(root) = root().await else { return false };
            let Ok(folder) = folder(&root, SAVED).await else { return false };
            settled(folder.get_file_handle(&id)).await.is_ok()
        };
        SendWrapper::new(looking).boxed()
    }

    fn is_same(&self, _: &Path, _: &Path) -> bool {
        // There is one.
        true
    }
}

/// A file for a while, removed when it is dropped.
struct Temporary {
    folder: SendWrapper<FileSystemDirectoryHandle>,
    name: String,
    cursor: Cursor,
}

impl Read for Temporary {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.cursor.read(bytes)
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cursor.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Temporary {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.cursor.seek(to)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        remove_later(&self.folder, &self.name);
    }
}

/// Where the profile is: there is one in a browser.
#[derive(Debug)]
pub(crate) struct ThisBrowser {
    _in_use: Arc<()>,
}

impl ThisBrowser {
    /// For a profile that is open as long as `in_use` is held.
    pub(crate) fn new(in_use: Arc<()>) -> Self {
        Self { _in_use: in_use }
    }
}

impl Folder for ThisBrowser {
    fn path(&self) -> &Path {
        Path::new("this browser")
    }

    fn scratch(&self) -> BoxFuture<'_, Result<Box<dyn Scratch>, ClientError>> {
        let making = async move {
            let folder = folder(&*root().await?, SCRATCH).await?;
            let name = fresh_name();
            let cursor = Cursor::new(PrivateFile::open(&folder, &name).await?);
            Ok(Box::new(Temporary { folder, name, cursor }) as Box<dyn Scratch>)
        };
        SendWrapper::new(making).boxed()
    }

    fn turn(&self) -> BoxFuture<'_, Box<dyn Any + Send + Sync>> {
        // One worker has the profile.
        async { Box::new(()) as Box<dyn Any + Send + Sync> }.boxed()
    }
}

/// Removes what an earlier run left that was there for a while.
pub(crate) async fn clear_scratch() -> Result<(), ClientError> {
    let root = root().await?;
    let options = web_sys::FileSystemRemoveOptions::new();
    options.set_recursive(true);
    // There may be none.
    drop(settled(root.remove_entry_with_options(SCRATCH, &options)).await);
    Ok(())
}

/// The platform's files, and the page's side of them.
pub(crate) fn page_files() -> Arc<PageFiles> {
    Arc::default()
}
