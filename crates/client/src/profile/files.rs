//! Files that came or went along with messages: where each is to be fetched, and where it was saved. Keys are among
//! the profile's secrets.

use std::path::{Path, PathBuf};

use momedo_protocol::blob::{BlobId, FileKey, FileReference};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::MessageReference;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Profile, stored_time};
use crate::ClientError;

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
        let row = params![
            blob,
            sender,
            message.to_string(),
            file.name,
            file.media_type,
            file.size,
            stored_time(sent_at.0)
        ];
        if self.sql(|database| database.execute(sql, row))? == 1 {
            self.set_secret(&secret_name(&blob, &sender), file.key.bytes())?;
        }
        let sql = "INSERT INTO file_messages VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.sql(|database| database.execute(sql, [&blob, &sender, &message.to_string()]).map(drop))
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

    /// Forgets the files of a message that was taken back, unless another message has them too, and notes that the
    /// server need not keep them; what was saved stays known.
    pub(crate) fn withdraw_files(
        &self,
        message: &MessageReference,
        own: ParticipantId,
    ) -> Result<(), ClientError> {
        let sender = message.from.to_string();
        let blobs: Vec<String> = self.sql(|database| {
            let sql = "DELETE FROM file_messages WHERE sender = ?1 AND message = ?2 RETURNING blob";
            let mut statement = database.prepare(sql)?;
            statement.query_map([&sender, &message.id.to_string()], |row| row.get(0))?.collect()
        })?;
        // Anybody may name somebody else's file in a message and take that back; this must not cost the others theirs.
        let is_own = message.from == own;
        for blob in blobs {
            let sql =
                "SELECT EXISTS (SELECT 1 FROM file_messages WHERE blob = ?1 AND (sender = ?2 OR NOT ?3))";
            let row = params![blob, sender, is_own];
            if self.sql(|database| database.query_row(sql, row, |row| row.get(0)))? {
                continue;
            }
            let sql =
                "INSERT INTO due_releases VALUES (?1, ?2) ON CONFLICT DO UPDATE SET erases = max(erases, ?2)";
            self.sql(|database| database.execute(sql, params![blob, is_own]))?;
            let sql = "DELETE FROM files WHERE blob = ?1 AND sender = ?2 AND saved IS NULL";
            if self.sql(|database| database.execute(sql, [&blob, &sender]))? == 1 {
                self.remove_secret(&secret_name(&blob, &sender))?;
            }
        }
        Ok(())
    }

    /// Files that the server need not keep for this device any more, and whether they are its owner's to erase.
    pub(crate) fn due_releases(&self) -> Result<Vec<(BlobId, bool)>, ClientError> {
        let rows: Vec<(String, bool)> = self.sql(|database| {
            let mut statement = database.prepare("SELECT blob, erases FROM due_releases")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        let read =
            |(blob, erases): (String, bool)| Ok((blob.parse().map_err(|error| self.failed(error))?, erases));
        rows.into_iter().map(read).collect()
    }

    /// Notes that the server has heard of it.
    pub(crate) fn settle_release(&self, blob: BlobId) -> Result<(), ClientError> {
        let sql = "DELETE FROM due_releases WHERE blob = ?1";
        self.sql(|database| database.execute(sql, [blob.to_string()]).map(drop))
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
