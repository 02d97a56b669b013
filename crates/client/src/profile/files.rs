//! Files that came or went along with messages: where each is to be fetched, and where it was saved. Keys are among
//! the profile's secrets.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use momedo_protocol::blob::{BlobId, FileKey, FileReference};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::MessageReference;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use super::rows::number;
use super::{Profile, stored_time};
use crate::ClientError;
use crate::keeping::tables::{due_releases, file_messages, files};
use crate::keeping::{Cell, Row, Scan};

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
        let row = [
            (&blob).into(),
            (&sender).into(),
            message.to_string().into(),
            (&file.name).into(),
            (&file.media_type).into(),
            number(file.size)?,
            stored_time(sent_at.0).into(),
            Cell::Null,
        ];
        if self.insert(&files::TABLE, row)? {
            self.set_secret(&secret_name(&blob, &sender), file.key.bytes())?;
        }
        let row = [blob.into(), sender.into(), message.to_string().into()];
        self.insert(&file_messages::TABLE, row).map(drop)
    }

    /// Every file this device knows of, the oldest first.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn files(&self) -> Result<Vec<KnownFile>, ClientError> {
        use files::{BLOB, MEDIA_TYPE, MESSAGE, NAME, SAVED, SENDER, SENT_AT, SIZE, TABLE};
        let columns = [SENT_AT, BLOB, SENDER, MESSAGE, NAME, MEDIA_TYPE, SIZE, SAVED];
        let mut rows = self.rows(&TABLE, Scan::by_key(&[]), &columns, |row| {
            let (sent_at, blob, sender, message) =
                (row.number::<u64>()?, row.text()?, row.text()?, row.text()?);
            let (name, media_type, size) = (row.text()?, row.text()?, row.number()?);
            let saved = row.optional_text()?.map(PathBuf::from);
            Ok((sent_at, blob, sender, message, name, media_type, size, saved))
        })?;
        rows.sort_by_key(|row| row.0);
        rows.into_iter()
            .map(|(sent_at, blob, sender, message, name, media_type, size, saved)| {
                Ok(KnownFile {
                    id: blob.parse().map_err(|error| self.failed(error))?,
                    from: sender.parse().map_err(|error| self.failed(error))?,
                    message: message.parse().map_err(|error| self.failed(error))?,
                    name,
                    media_type,
                    size,
                    sent_at: UnixMillis(sent_at),
                    saved,
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
        let (sender, id) = (message.from.to_string(), message.id.to_string());
        // Anybody may name somebody else's file in a message and take that back; this must not cost the others theirs.
        let is_own = message.from == own;
        self.whole(|| {
            for blob in self.files_of(&sender, &id)? {
                let key = [Cell::from(&blob), Cell::from(&sender), Cell::from(&id)];
                self.delete(&file_messages::TABLE, &key)?;
                if self.is_file_wanted(&blob, &sender, is_own)? {
                    continue;
                }
                let key = [Cell::from(&blob)];
                let erased = self.row(&due_releases::TABLE, &key, &[due_releases::ERASES], Row::is)?;
                let erases = is_own || erased.unwrap_or(false);
                self.put(&due_releases::TABLE, [(&blob).into(), erases.into()])?;
                let key = [Cell::from(&blob), Cell::from(&sender)];
                let saved = self.row(&files::TABLE, &key, &[files::SAVED], Row::optional_text)?;
                if saved == Some(None) {
                    self.delete(&files::TABLE, &key)?;
                    self.remove_secret(&secret_name(&blob, &sender))?;
                }
            }
            Ok(())
        })
    }

    /// Blobs that came along with a message.
    fn files_of(&self, sender: &str, message: &str) -> Result<Vec<String>, ClientError> {
        use file_messages::{BLOB, MESSAGE, SENDER, TABLE};
        let scan = Scan::by_arrival().only(MESSAGE, message.into());
        let mut blobs = self.rows(&TABLE, scan, &[SENDER, BLOB], |row| Ok((row.text()?, row.text()?)))?;
        blobs.retain(|(of, _)| of == sender);
        Ok(blobs.into_iter().map(|(_, blob)| blob).collect())
    }

    /// Whether another message has a file too; of an own one, another own message.
    fn is_file_wanted(&self, blob: &str, sender: &str, is_own: bool) -> Result<bool, ClientError> {
        let mut is_wanted = false;
        let scan = [blob.into()];
        self.visit(&file_messages::TABLE, Scan::by_key(&scan), &[file_messages::SENDER], |row| {
            is_wanted = !is_own || row.text()? == sender;
            Ok(if is_wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(is_wanted)
    }

    /// Files that the server need not keep for this device any more, and whether they are its owner's to erase.
    pub(crate) fn due_releases(&self) -> Result<Vec<(BlobId, bool)>, ClientError> {
        use due_releases::{BLOB, ERASES, TABLE};
        let rows =
            self.rows(&TABLE, Scan::by_arrival(), &[BLOB, ERASES], |row| Ok((row.text()?, row.is()?)))?;
        let read =
            |(blob, erases): (String, bool)| Ok((blob.parse().map_err(|error| self.failed(error))?, erases));
        rows.into_iter().map(read).collect()
    }

    /// Notes that the server has heard of it.
    pub(crate) fn settle_release(&self, blob: BlobId) -> Result<(), ClientError> {
        self.delete(&due_releases::TABLE, &[blob.to_string().into()]).map(drop)
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
        let key = [blob.to_string().into(), from.to_string().into()];
        let saved = self.row(&files::TABLE, &key, &[files::SAVED], Row::optional_text)?;
        Ok(saved.flatten().map(PathBuf::from))
    }

    /// Remembers where a file was saved.
    pub(crate) fn set_saved_file(
        &self,
        blob: BlobId,
        from: ParticipantId,
        path: &Path,
    ) -> Result<(), ClientError> {
        let key = [blob.to_string().into(), from.to_string().into()];
        let saved = [(files::SAVED, path.to_string_lossy().into_owned().into())];
        self.change(&files::TABLE, &key, saved).map(drop)
    }
}
