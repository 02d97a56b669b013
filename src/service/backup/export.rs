//! Exporting: one complete file that needs nothing beside it, sealed if there is a passphrase.
//!
//! The complete database is put together and verified in the private folder first, so that a stick or a
//! download gets nothing unsealed that is to be sealed.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::mpsc;

use super::error::{file, unusable};
use super::folder::{Folder, Unfinished, folder_of};
use super::sealed::{Sealer, sealed_bytes};
use super::{BackupError, MIN_PASSPHRASE, Passphrase, blocking};
use crate::data_directory::create_private_file;
use crate::domain::backup::BackupName;
use crate::state::App;
use crate::store::backup as copies;

/// Parts of a download that wait for a slow reader, 64 KiB each.
const PARTS: usize = 8;

/// What happens to a file that stands where an export is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// It stays, and nothing is exported.
    Refuse,
    /// The export takes its place.
    Allow,
}

/// An exported backup; one line of JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// Which backup.
    pub name: BackupName,
    /// Where it is.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether it is sealed with a passphrase.
    pub sealed: bool,
}

/// Writes a backup as one complete file, which is private to its owner.
///
/// # Errors
/// As [`BackupError`] says; nothing stands at `to` then that did not before.
pub async fn export_to(
    app: &App,
    name: &str,
    to: &Path,
    passphrase: Option<Passphrase>,
    overwrite: Overwrite,
) -> Result<Exported, BackupError> {
    let (directory, name, to) = (app.store.directory().to_owned(), name.to_owned(), to.to_owned());
    blocking(move || export_from(&directory, &name, &to, passphrase.as_ref(), overwrite)).await
}

/// As [`export_to`], beside a running server or without one: the folder with the backups is all it needs,
/// and the file belongs to whoever asked. Blocks.
///
/// # Errors
/// As [`BackupError`] says.
pub fn export_from(
    directory: &Path,
    name: &str,
    to: &Path,
    passphrase: Option<&Passphrase>,
    overwrite: Overwrite,
) -> Result<Exported, BackupError> {
    let name: BackupName = name.parse()?;
    check(passphrase)?;
    let refuse = || overwrite == Overwrite::Refuse && to.symlink_metadata().is_ok();
    if refuse() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let complete = stage(directory, &name)?;
    let unfinished = Unfinished::in_folder(folder_of(to));
    let failed = file("write", to);
    let out = create_private_file(unfinished.path()).map_err(&failed)?;
    let out = write(complete.path(), passphrase, out).map_err(&failed)?;
    out.sync_all().map_err(&failed)?;
    let bytes = out.metadata().map_err(&failed)?.len();
    drop(out);
    if refuse() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    unfinished.rename(to)?;
    Ok(Exported { name, file: to.to_owned(), bytes, sealed: passphrase.is_some() })
}

/// A backup on its way to a browser: a stream of parts, in order.
#[derive(Debug)]
pub struct Download {
    /// What to save it as.
    pub file_name: String,
    /// How many bytes will come. Fewer mean that something failed on the way.
    pub bytes: u64,
    parts: mpsc::Receiver<Result<Bytes, BackupError>>,
}

impl Stream for Download {
    type Item = Result<Bytes, BackupError>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.parts.poll_recv(context)
    }
}

/// Begins to hand out a backup as one complete file, as fast as it is taken.
///
/// # Errors
/// As [`BackupError`] says, before the first part.
pub async fn download(
    app: &App,
    name: &str,
    passphrase: Option<Passphrase>,
) -> Result<Download, BackupError> {
    let (directory, name) = (app.store.directory().to_owned(), name.parse::<BackupName>()?);
    check(passphrase.as_ref())?;
    let end = if passphrase.is_some() { "sealed" } else { "db" };
    let file_name = format!("momedo-{name}.{end}");
    let is_sealed = passphrase.is_some();
    let (complete, bytes) = blocking(move || {
        let complete = stage(&directory, &name)?;
        let plain = std::fs::metadata(complete.path()).map_err(file("read", complete.path()))?.len();
        Ok((complete, if is_sealed { sealed_bytes(plain) } else { plain }))
    })
    .await?;
    let (sender, parts) = mpsc::channel(PARTS);
    tokio::task::spawn_blocking(move || {
        let result = write(complete.path(), passphrase.as_ref(), Parts(sender.clone()));
        if let Err(error) = result {
            // A reader that went away does not want to hear of it.
            let _: Result<_, _> = sender.blocking_send(Err(file("read", complete.path())(error)));
        }
    });
    Ok(Download { file_name, bytes, parts })
}

struct Parts(mpsc::Sender<Result<Bytes, BackupError>>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check(passphrase: Option<&Passphrase>) -> Result<(), BackupError> {
    let long_enough = passphrase.is_none_or(|passphrase| passphrase.chars().count() >= MIN_PASSPHRASE);
    if long_enough { Ok(()) } else { Err(BackupError::PassphraseTooShort) }
}

/// Puts a backup together with its keys in the private folder, and verifies the result.
fn stage(directory: &Path, name: &BackupName) -> Result<Unfinished, BackupError> {
    let folder = Folder::for_reading(directory)?;
    let backup = folder.existing(name)?;
    let contents = copies::describe(&backup).map_err(unusable(&backup))?;
    let size = std::fs::metadata(&backup).map_err(file("read", &backup))?.len();
    folder.check_room(size.saturating_add(contents.bytes_beside()))?;
    let complete = Unfinished::in_folder(folder.path());
    let from = File::open(&backup).map_err(file("read", &backup))?;
    copy(from, &complete)?;
    copies::complete(complete.path(), &folder.keys, copies::Blobs::Inside).map_err(unusable(&backup))?;
    copies::verify(complete.path(), &folder.keys).map_err(unusable(&backup))?;
    Ok(complete)
}

/// Copies all of `from` into a new private file.
pub(super) fn copy(mut from: impl Read, to: &Unfinished) -> Result<(), BackupError> {
    let failed = file("write", to.path());
    let mut out = create_private_file(to.path()).map_err(&failed)?;
    io::copy(&mut from, &mut out).map(drop).map_err(&failed)
}

/// Writes the complete database in parts of 64 KiB, sealed with the passphrase if there is one.
fn write<W: Write>(complete: &Path, passphrase: Option<&Passphrase>, mut out: W) -> io::Result<W> {
    let mut from = BufReader::with_capacity(64 * 1024, File::open(complete)?);
    match passphrase {
        Some(passphrase) => {
            let mut sealer = Sealer::new(passphrase, out)?;
            io::copy(&mut from, &mut sealer)?;
            sealer.finish()
        }
        None => {
            io::copy(&mut from, &mut out)?;
            Ok(out)
        }
    }
}
