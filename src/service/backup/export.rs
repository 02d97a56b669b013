//! Exporting: one complete file that needs nothing beside it, sealed if there is a passphrase.
//!
//! The complete database is put together and verified in the private folder first, so that a stick or a
//! download gets nothing unsealed that is to be sealed.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;

use super::error::{file, unusable};
use super::folder::{Folder, Unfinished, folder_of};
use super::sealed::{Sealer, sealed_bytes};
use super::{BackupError, MIN_PASSPHRASE, Passphrase, blocking};
use crate::domain::backup::BackupName;
use crate::service::ServiceError;
use crate::service::audit::{self, Action};
use crate::service::permission::RecentlyConfirmed;
use crate::state::App;
use crate::store::backup as copies;
use crate::surroundings::data_directory::create_private_file;
use crate::surroundings::privacy;

/// Read at once for a download, in bytes.
const READ_BYTES: usize = 64 * 1024 - 64;

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
    /// Whether its disk keeps others from reading it.
    pub private: bool,
}

/// Writes a backup as one complete file, which is private to its owner if its disk knows permissions: beside a running
/// server or without one, for the folder with the backups is all it needs, and whoever reads that needs no permission of
/// this program. Blocks.
///
/// # Errors
/// As [`BackupError`] says; nothing stands at `to` then that did not before.
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
    let private = privacy::of_file(&out).map_err(&failed)?.is_private();
    drop(out);
    if refuse() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    unfinished.rename(to)?;
    Ok(Exported { name, file: to.to_owned(), bytes, sealed: passphrase.is_some(), private })
}

/// A backup on its way to a browser.
pub struct Download {
    /// What to save it as.
    pub file_name: String,
    /// How many bytes will come. Fewer mean that something failed on the way.
    pub bytes: u64,
    /// The parts, in order, of at most 64 KiB or little more.
    pub parts: BoxStream<'static, Result<Bytes, BackupError>>,
}

/// Begins to hand out a backup as one complete file, as fast as it is taken. The identity key is in it.
///
/// # Errors
/// As [`BackupError`] says, before the first part.
pub async fn download(
    app: &App,
    admin: &RecentlyConfirmed,
    name: &str,
    passphrase: Option<Passphrase>,
) -> Result<Download, ServiceError> {
    let directory = app.store.directory().to_owned();
    let name = name.parse::<BackupName>().map_err(BackupError::from)?;
    check(passphrase.as_ref())?;
    let end = if passphrase.is_some() { "sealed" } else { "db" };
    let (file_name, staged) = (format!("momedo-{name}.{end}"), name.clone());
    let is_sealed = passphrase.is_some();
    let (handing_out, bytes) = blocking(move || {
        let complete = stage(&directory, &staged)?;
        let failed = file("read", complete.path());
        let plain = std::fs::metadata(complete.path()).map_err(&failed)?.len();
        let from = File::open(complete.path()).map_err(&failed)?;
        let sealer = passphrase.map(|passphrase| Sealer::new(&passphrase, Vec::new()));
        let sealer = sealer.transpose().map_err(failed)?;
        let bytes = if is_sealed { sealed_bytes(plain) } else { plain };
        Ok((HandingOut { complete, from, sealer, is_finished: false }, bytes))
    })
    .await?;
    // Before the first part: whoever breaks off has most of it.
    audit::note(app, admin.account(), Action::BackupDownloaded, name.as_str()).await?;
    let parts = stream::try_unfold(handing_out, |mut handing_out| async move {
        loop {
            if handing_out.is_finished {
                return Ok(None);
            }
            // A little work at a time: no thread waits for whoever takes it.
            let part;
            (part, handing_out) = blocking(move || {
                let part = handing_out.step().map_err(file("read", handing_out.complete.path()))?;
                Ok((part, handing_out))
            })
            .await?;
            if !part.is_empty() {
                return Ok(Some((Bytes::from(part), handing_out)));
            }
        }
    });
    Ok(Download { file_name, bytes, parts: parts.boxed() })
}

/// A complete database that is read, and sealed if there is a passphrase, step by step.
struct HandingOut {
    complete: Unfinished,
    from: File,
    sealer: Option<Sealer<Vec<u8>>>,
    is_finished: bool,
}

impl HandingOut {
    /// What comes next; blocks for a moment.
    fn step(&mut self) -> io::Result<Vec<u8>> {
        let mut read = Vec::with_capacity(READ_BYTES);
        (&self.from).take(READ_BYTES as u64).read_to_end(&mut read)?;
        self.is_finished = read.is_empty();
        match self.sealer.take() {
            None => Ok(read),
            Some(sealer) if self.is_finished => sealer.finish(),
            Some(mut sealer) => {
                sealer.write_all(&read)?;
                let sealed = std::mem::take(sealer.out());
                self.sealer = Some(sealer);
                Ok(sealed)
            }
        }
    }
}

fn check(passphrase: Option<&Passphrase>) -> Result<(), BackupError> {
    let long_enough =
        passphrase.is_none_or(|passphrase| passphrase.composed().chars().count() >= MIN_PASSPHRASE);
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
