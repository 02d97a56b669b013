//! Attachments beside backups: one file per attachment, shared by every backup, named after the server's own file and
//! its SHA-256.
//!
//! A file is written once, so a backup takes it over as a second name for the same bytes and costs no space while the
//! server has it too; where the file system knows no second names it is copied. In an exported file the bytes stand in
//! a table of parts.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use momedo_protocol::encoding::{decode_hex, encode_hex};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::backup::CopyError;
use super::blob_files::BlobFile;
use super::content::has_table;
use crate::surroundings::data_directory::{create_private_file, create_private_folder, sync_folder};

/// Which attachments a backup has, with length and digest.
const LIST: &str = "CREATE TABLE main.backup_blobs (file BLOB PRIMARY KEY, size INTEGER NOT NULL,
                    digest BLOB NOT NULL) STRICT, WITHOUT ROWID";

/// Their bytes, in an exported file alone.
const PARTS: &str = "CREATE TABLE main.backup_blob_parts (id INTEGER PRIMARY KEY, file BLOB NOT NULL,
                     bytes BLOB NOT NULL) STRICT";

/// Bytes of one part.
const PART_BYTES: u64 = 1024 * 1024;

/// A file that is being copied; a power cut may leave it behind.
const UNFINISHED: &str = "unfinished";

/// The folder with attachments beside backups.
#[derive(Debug, Clone)]
pub(super) struct BlobCopies(PathBuf);

/// An attachment of a backup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    pub(super) file: BlobFile,
    pub(super) size: u64,
    digest: [u8; 32],
}

impl BlobCopies {
    pub(super) fn beside(folder: &Path) -> Self {
        Self(folder.join("blobs"))
    }

    fn path(&self, file: BlobFile, digest: &[u8; 32]) -> PathBuf {
        self.0.join(format!("{}-{}", file.name(), encode_hex(digest)))
    }

    /// Everything that stands there.
    fn all(&self) -> Result<HashMap<BlobFile, [u8; 32]>, CopyError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
            entries => entries?,
        };
        let mut all = HashMap::new();
        for entry in entries {
            let name = entry?.file_name();
            let parts = name.to_str().and_then(|name| name.split_once('-'));
            if let Some((file, digest)) = parts
                && let Some(pair) = BlobFile::of_name(file).zip(decode_hex(digest))
            {
                all.insert(pair.0, pair.1);
            }
        }
        Ok(all)
    }

    /// Takes over every finished attachment of the snapshot in `source`, and lists it in `main`. Nobody may remove
    /// files meanwhile. One that is missing on the disk is missing in the backup, too.
    pub(super) fn take(&self, connection: &Connection, originals: &Path) -> Result<(), CopyError> {
        connection.execute_batch(LIST)?;
        let there = self.all()?;
        let mut statement = connection.prepare("SELECT file, size FROM source.blobs WHERE durable = size")?;
        let rows = statement.query_map([], |row| Ok((BlobFile(row.get(0)?), row.get::<_, u64>(1)?)))?;
        for row in rows {
            let (file, size) = row?;
            let original = originals.join(file.name());
            let known = there.get(&file).copied();
            let known = known.filter(|digest| has_length(&self.path(file, digest), size));
            let digest = match known {
                Some(digest) => digest,
                None if has_length(&original, size) => self.adopt(file, &original)?,
                None => {
                    tracing::warn!(%file, "the file of an attachment is missing; the backup goes without");
                    continue;
                }
            };
            let list = "INSERT INTO main.backup_blobs VALUES (?1, ?2, ?3)";
            connection.prepare_cached(list)?.execute((file.0, size, digest))?;
        }
        if self.0.is_dir() { Ok(sync_folder(&self.0)?) } else { Ok(()) }
    }

    fn adopt(&self, file: BlobFile, original: &Path) -> Result<[u8; 32], CopyError> {
        create_private_folder(&self.0)?;
        let digest = digest_of(File::open(original)?)?;
        let path = self.path(file, &digest);
        remove_if_there(&path)?;
        link_or_copy(original, &path, &self.0.join(UNFINISHED))?;
        Ok(digest)
    }

    /// Deletes every attachment that is not among `used`.
    pub(super) fn retain(&self, used: &HashSet<BlobFile>) -> Result<(), CopyError> {
        for (file, digest) in self.all()? {
            if !used.contains(&file) {
                remove_if_there(&self.path(file, &digest))?;
            }
        }
        Ok(remove_if_there(&self.0.join(UNFINISHED))?)
    }

    /// How many bytes the files have.
    pub(super) fn bytes(&self) -> Result<u64, CopyError> {
        let all = self.all()?;
        Ok(all
            .iter()
            .filter_map(|(file, digest)| Some(fs::metadata(self.path(*file, digest)).ok()?.len()))
            .sum())
    }

    /// Reads every attachment of the backup in `connection` in full and compares it with what it was.
    pub(super) fn verify(&self, connection: &Connection) -> Result<(), CopyError> {
        let inside = has_table(connection, "backup_blob_parts")?;
        for listed in list(connection)? {
            let found = if inside {
                let mut hash = Hashing::default();
                write_parts(connection, listed.file, &mut hash)?;
                Some((hash.0.finalize().into(), hash.1))
            } else {
                let path = self.path(listed.file, &listed.digest);
                let size = fs::metadata(&path).ok().map(|file| file.len());
                size.map(|size| Ok::<_, CopyError>((digest_of(File::open(&path)?)?, size))).transpose()?
            };
            if found != Some((listed.digest, listed.size)) {
                let what = format!("the attachment {} is missing or damaged", listed.file);
                return Err(CopyError::Damaged(what));
            }
        }
        Ok(())
    }

    /// Puts the bytes of every attachment into the file itself.
    pub(super) fn put_inside(&self, connection: &Connection) -> Result<(), CopyError> {
        if !has_table(connection, "backup_blobs")? {
            return Ok(());
        }
        connection.execute_batch(PARTS)?;
        let sql = "INSERT INTO backup_blob_parts (file, bytes) VALUES (?1, ?2)";
        let mut statement = connection.prepare(sql)?;
        for listed in list(connection)? {
            let mut from = File::open(self.path(listed.file, &listed.digest))?;
            loop {
                let mut part = Vec::new();
                (&mut from).take(PART_BYTES).read_to_end(&mut part)?;
                if part.is_empty() {
                    break;
                }
                statement.execute((listed.file.0, part))?;
            }
        }
        Ok(())
    }

    /// Writes every attachment of the backup in `connection` into the folder `to` of a server. What stands there
    /// under other names is left alone.
    pub(super) fn unpack(&self, connection: &Connection, to: &Path) -> Result<(), CopyError> {
        let listed = list(connection)?;
        if listed.is_empty() {
            return Ok(());
        }
        create_private_folder(to)?;
        let inside = has_table(connection, "backup_blob_parts")?;
        let unfinished = to.join(UNFINISHED);
        for Listed { file, digest, size } in listed {
            let target = to.join(file.name());
            if has_length(&target, size) && digest_of(File::open(&target)?)? == digest {
                continue;
            }
            remove_if_there(&target)?;
            if inside {
                remove_if_there(&unfinished)?;
                let mut out = create_private_file(&unfinished)?;
                write_parts(connection, file, &mut out)?;
                out.sync_all()?;
                fs::rename(&unfinished, &target)?;
            } else {
                link_or_copy(&self.path(file, &digest), &target, &unfinished)?;
            }
        }
        Ok(sync_folder(to)?)
    }
}

/// The attachments of a backup; none in those made before there were any.
pub(super) fn list(connection: &Connection) -> Result<Vec<Listed>, CopyError> {
    if !has_table(connection, "backup_blobs")? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare("SELECT file, size, digest FROM backup_blobs")?;
    let rows = statement.query_map([], |row| {
        Ok(Listed { file: BlobFile(row.get(0)?), size: row.get(1)?, digest: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn write_parts(connection: &Connection, file: BlobFile, out: &mut impl Write) -> Result<(), CopyError> {
    // In the order they were written; an index would cost more than it saves, files being few.
    let sql = "SELECT bytes FROM backup_blob_parts WHERE file = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([file.0])?;
    while let Some(row) = rows.next()? {
        out.write_all(row.get_ref(0)?.as_blob().unwrap_or_default())?;
    }
    Ok(())
}

/// Takes bytes for their digest and their number.
#[derive(Default)]
struct Hashing(Sha256, u64);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn digest_of(mut file: File) -> Result<[u8; 32], CopyError> {
    let mut hash = Hashing::default();
    std::io::copy(&mut file, &mut hash)?;
    Ok(hash.0.finalize().into())
}

fn has_length(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == size)
}

/// Some file systems of USB sticks know no second name for a file, and none reaches to another disk.
pub(crate) fn link_or_copy(from: &Path, to: &Path, unfinished: &Path) -> std::io::Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    remove_if_there(unfinished)?;
    let mut out = create_private_file(unfinished)?;
    std::io::copy(&mut File::open(from)?, &mut out)?;
    out.sync_all()?;
    fs::rename(unfinished, to)
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
