//! Files that came or went along with messages: where each is to be fetched, and where it was saved. Keys are among
//! the profile's secrets.

use std::path::{Path, PathBuf};

use momedo_protocol::blob::{BlobId, FileKey, FileReference};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::Profile;
use crate::ClientError;

/// The table; made when it is missing, so that older profiles get it too.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS files (
        blob TEXT NOT NULL, sender TEXT NOT NULL, message TEXT NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL,
        size INTEGER NOT NULL, sent_at INTEGER NOT NULL, saved TEXT, PRIMARY KEY (blob, sender)) STRICT;";

/// A file this device knows of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownFile {
    /// What `momedo file save` takes.
    pub id: BlobId,
    /// Who sent it.
    pub from: ParticipantId,
    /// With which message.
    pub message: MessageId,
    /// What its sender calls it.
    pub name: String,
    /// Its media type, as its sender says.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was sent, by the sender's clock.
    pub sent_at: UnixMillis,
    /// Where it was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<PathBuf>,
}

fn secret_name(blob: &str, sender: &str) -> String {
    format!("file-key:{blob}:{sender}")
}

impl Profile {
    /// Remembers a file, unless it is known from this sender.
    pub(crate) fn keep_file(
        &self,
        file: &FileReference,
        from: ParticipantId,
        message: MessageId,
        sent_at: UnixMillis,
    ) -> Result<(), ClientError> {
        let (blob, sender) = (file.blob.to_string(), from.to_string());
        let sql = "INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL) ON CONFLICT DO NOTHING";
        let row =
            params![blob, sender, message.to_string(), file.name, file.media_type, file.size, sent_at.0];
        if self.sql(|database| database.execute(sql, row))? == 1 {
            self.set_secret(&secret_name(&blob, &sender), file.key.bytes())?;
        }
        Ok(())
    }

    /// Every file this device knows of, the oldest first.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn files(&self) -> Result<Vec<KnownFile>, ClientError> {
        type Row = (String, String, String, String, String, u64, u64, Option<String>);
        let rows: Vec<Row> = self.sql(|database| {
            let sql = "SELECT blob, sender, message, name, media_type, size, sent_at, saved FROM files
                       ORDER BY sent_at, blob, sender";
            let mut statement = database.prepare(sql)?;
            let row = |row: &rusqlite::Row<'_>| {
                let text = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
                Ok((text.0, text.1, text.2, text.3, text.4, row.get(5)?, row.get(6)?, row.get(7)?))
            };
            statement.query_map([], row)?.collect()
        })?;
        rows.into_iter()
            .map(|(blob, sender, message, name, media_type, size, sent_at, saved)| {
                Ok(KnownFile {
                    id: blob.parse().map_err(|error| self.failed(error))?,
                    from: sender.parse().map_err(|error| self.failed(error))?,
                    message: message.parse().map_err(|error| self.failed(error))?,
                    name,
                    media_type,
                    size,
                    sent_at: UnixMillis(sent_at),
                    saved: saved.map(PathBuf::from),
                })
            })
            .collect()
    }

    /// How to fetch and open a known file.
    pub(crate) fn file_reference(&self, file: &KnownFile) -> Result<FileReference, ClientError> {
        let key = self.secret(&secret_name(&file.id.to_string(), &file.from.to_string()))?;
        let key = FileKey::from_bytes(&key).ok_or_else(|| self.failed("the key of a file is damaged"))?;
        let KnownFile { name, media_type, size, id, .. } = file.clone();
        Ok(FileReference { name, media_type, size, blob: id, key })
    }

    /// Where a file was saved, if it was.
    pub(crate) fn saved_file(
        &self,
        blob: BlobId,
        from: ParticipantId,
    ) -> Result<Option<PathBuf>, ClientError> {
        let sql = "SELECT saved FROM files WHERE blob = ?1 AND sender = ?2";
        let row = [blob.to_string(), from.to_string()];
        let saved: Option<Option<String>> =
            self.sql(|database| database.query_row(sql, row, |row| row.get(0)).optional())?;
        Ok(saved.flatten().map(PathBuf::from))
    }

    /// Remembers where a file was saved.
    pub(crate) fn set_saved_file(
        &self,
        blob: BlobId,
        from: ParticipantId,
        path: &Path,
    ) -> Result<(), ClientError> {
        let sql = "UPDATE files SET saved = ?3 WHERE blob = ?1 AND sender = ?2";
        let row = [blob.to_string(), from.to_string(), path.to_string_lossy().into_owned()];
        self.sql(|database| database.execute(sql, row).map(drop))
    }
}
