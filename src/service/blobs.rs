//! Attachments: uploaded in pieces by their owner, fetched by the devices that got the message, erased when nobody
//! needs them any more. What is in them only the clients know.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use momedo_protocol::api::blobs as api;
use momedo_protocol::blob::{BlobId, MAX_MESSAGE_BLOBS, MIN_BLOB_BYTES, sealed_length};
use momedo_protocol::id::DeviceId;

use super::ServiceError;
use super::error::compute;
use crate::domain::blobs::cost;
use crate::domain::limits::{BLOB_SYNC_BYTES, UNSENT_BLOB};
use crate::live::sessions::Principal;
use crate::live::uploads::Turn;
use crate::state::{App, AppState};
use crate::store::{BlobRow, ReadTx, Tick, WriteTx};

/// What is gathered before it is handed to the disk, in bytes; about what one upload takes of the memory.
const WRITE_BYTES: usize = 256 * 1024;

/// What is read at once for somebody who fetches, in bytes.
const READ_BYTES: u64 = 64 * 1024;

/// Announces an upload, or answers how far it is. The same ID and size again get the same answer.
///
/// # Errors
/// [`ServiceError::BlobTooLarge`], [`ServiceError::BlobConflict`], [`ServiceError::BlobQuotaFull`],
/// [`ServiceError::BlobStoreFull`] or [`ServiceError::StorageFull`].
pub async fn announce(
    app: &App,
    owner: Principal,
    request: api::BlobRequest,
) -> Result<api::BlobUpload, ServiceError> {
    let api::BlobRequest { id, size } = request;
    let config = app.config().blobs.clone();
    if size < MIN_BLOB_BYTES {
        return Err(ServiceError::Malformed(format!("a sealed file has at least {MIN_BLOB_BYTES} bytes")));
    }
    if size > sealed_length(config.max_blob_bytes) {
        return Err(ServiceError::BlobTooLarge { limit: config.max_blob_bytes });
    }
    let available = available(app).await?;
    let participant = owner.participant;
    app.store
        .write(move |tx| {
            super::senders::active_sender(tx, owner)?;
            if let Some(row) = tx.find_blob(id)? {
                let same = row.owner == participant && row.size == size;
                return if same { Ok(upload(&row)) } else { Err(ServiceError::BlobConflict) };
            }
            let (own, cost) = (tx.blobs_of(participant)?, cost(size));
            if own.bytes.saturating_add(cost) > config.max_participant_bytes
                || own.files >= config.max_participant_files
            {
                return Err(ServiceError::BlobQuotaFull);
            }
            let (all, most) = (tx.all_blobs()?, config.max_server_bytes);
            if most > 0 && all.bytes.saturating_add(cost) > most {
                return Err(ServiceError::BlobStoreFull);
            }
            let needed = all.to_come.saturating_add(cost).saturating_add(config.min_free_bytes);
            if available < needed {
                return Err(ServiceError::StorageFull);
            }
            tx.insert_blob(id, participant, size)?;
            Ok(api::BlobUpload { id, offset: 0, size })
        })
        .await
}

/// How far an upload is. An older request that still writes it ends first, so the answer holds.
///
/// # Errors
/// [`ServiceError::UnknownBlob`] or [`ServiceError::Busy`].
pub async fn progress(app: &App, owner: Principal, id: BlobId) -> Result<api::BlobUpload, ServiceError> {
    own(app, owner, id).await?;
    let _turn = app.uploads.take_turn(id).await.ok_or(ServiceError::Busy)?;
    own(app, owner, id).await.map(|row| upload(&row))
}

/// Appends to an upload. However the body ends, what came is kept; the answer says how much is on disk.
///
/// Runs as a task of its own: a line that is cut takes the request with it, and must not take what it brought.
///
/// # Errors
/// [`ServiceError::UnknownBlob`], [`ServiceError::WrongOffset`], [`ServiceError::StorageFull`] or
/// [`ServiceError::Busy`].
pub async fn append(
    app: &AppState,
    owner: Principal,
    id: BlobId,
    offset: u64,
    body: impl Stream<Item = Result<Bytes, ServiceError>> + Send + Unpin + 'static,
) -> Result<api::BlobUpload, ServiceError> {
    let app = app.clone();
    let appending = tokio::spawn(async move {
        own(&app, owner, id).await?;
        let turn = app.uploads.take_turn(id).await.ok_or(ServiceError::Busy)?;
        let _slot = app.uploads.begin(owner.participant).ok_or(ServiceError::Busy)?;
        let row = own(&app, owner, id).await?;
        if row.durable != offset {
            return Err(ServiceError::WrongOffset { offset: row.durable });
        }
        let mut appending = Appending::begin(&app, row).await?;
        let taken = appending.take(turn, body).await;
        // Whatever ended it: what came is kept.
        let finished = appending.finish().await;
        taken.and(finished)?;
        Ok(upload(&appending.row))
    });
    appending
        .await
        .unwrap_or_else(|error| Err(ServiceError::Internal(format!("an upload ended early: {error}"))))
}

struct Appending<'a> {
    app: &'a App,
    row: BlobRow,
    /// Away only while a thread writes to it.
    file: Option<File>,
    gathered: BytesMut,
    /// Handed to the disk, and not synced yet.
    unsynced: u64,
}

impl<'a> Appending<'a> {
    async fn begin(app: &'a App, row: BlobRow) -> Result<Self, ServiceError> {
        check_room(app).await?;
        let files = app.store.blob_files().clone();
        let opened = compute(move || Ok(files.write_on(row.file, row.durable))).await?;
        let file = opened.map_err(|error| failed(&row, &error))?;
        Ok(Self { app, row, file: Some(file), gathered: BytesMut::with_capacity(WRITE_BYTES), unsynced: 0 })
    }

    async fn take(
        &mut self,
        mut turn: Turn,
        mut body: impl Stream<Item = Result<Bytes, ServiceError>> + Unpin,
    ) -> Result<(), ServiceError> {
        let idle = Duration::from_secs(self.app.config().listen.body_seconds);
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(idle, body.next()) => next.map_err(|_| ServiceError::BodyTooSlow)?,
                () = turn.overtaken() => return Ok(()),
            };
            let Some(bytes) = next.transpose()? else { return Ok(()) };
            let there = self.row.durable + self.unsynced + self.gathered.len() as u64;
            if bytes.len() as u64 > self.row.size - there {
                return Err(ServiceError::Malformed("more bytes than were announced".into()));
            }
            self.gathered.extend_from_slice(&bytes);
            if self.gathered.len() >= WRITE_BYTES {
                self.write(false).await?;
            }
            if self.unsynced >= BLOB_SYNC_BYTES {
                self.write(true).await?;
                check_room(self.app).await?;
            }
        }
    }

    async fn finish(&mut self) -> Result<(), ServiceError> {
        if self.unsynced == 0 && self.gathered.is_empty() {
            return Ok(());
        }
        self.write(true).await
    }

    /// Hands what was gathered to the disk; with `sync` it is there for certain afterwards, and the row says so.
    async fn write(&mut self, sync: bool) -> Result<(), ServiceError> {
        // After a failed write nobody knows what the file holds beyond what was promised.
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let bytes = self.gathered.split().freeze();
        let count = bytes.len() as u64;
        let written = compute(move || {
            let written = file.write_all(&bytes).and_then(|()| if sync { file.sync_data() } else { Ok(()) });
            Ok(written.map(|()| file))
        });
        let file = written.await?.map_err(|error| failed(&self.row, &error))?;
        self.file = Some(file);
        self.unsynced += count;
        if sync {
            let (name, durable) = (self.row.file, self.row.durable + self.unsynced);
            let noted =
                self.app.store.write(move |tx| Ok::<_, ServiceError>(tx.note_blob_progress(name, durable)?));
            noted.await?;
            (self.row.durable, self.unsynced) = (durable, 0);
        }
        Ok(())
    }
}

/// A blob that may be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Fetchable(BlobRow);

impl Fetchable {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// Names these very bytes.
    pub fn tag(&self) -> String {
        momedo_protocol::encoding::encode_hex(&self.0.file.0)
    }
}

/// Looks for a blob that the asking device may fetch: its owner's, or one it holds.
///
/// # Errors
/// [`ServiceError::UnknownBlob`] for all others too, [`ServiceError::BlobIncomplete`] to its owner, or
/// [`ServiceError::BlobOnItsWay`] while it is fetched from another server.
pub async fn find(app: &App, asking: Principal, id: BlobId) -> Result<Fetchable, ServiceError> {
    app.store
        .read(move |tx| {
            let row = tx.find_blob(id)?.ok_or(ServiceError::UnknownBlob)?;
            if row.owner != asking.participant && !tx.holds_blob(id, asking.device)? {
                return Err(ServiceError::UnknownBlob);
            }
            match row.is_complete() {
                true => Ok(Fetchable(row)),
                false if row.owner == asking.participant => Err(ServiceError::BlobIncomplete),
                false => Err(ServiceError::BlobOnItsWay),
            }
        })
        .await
}

/// The bytes of a blob from `from` to before `until`, as fast as they are taken.
///
/// # Errors
/// [`ServiceError::UnknownBlob`] when the file is missing, which is logged.
pub async fn read(
    app: &App,
    blob: Fetchable,
    from: u64,
    until: u64,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + use<>, ServiceError> {
    let (files, row) = (app.store.blob_files().clone(), blob.0);
    let opened = compute(move || Ok(files.read_from(row.file, from, row.size))).await?;
    let file = opened.map_err(|error| failed(&row, &error))?;
    Ok(futures_util::stream::try_unfold((file, until.saturating_sub(from)), |(file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(left.min(READ_BYTES)).unwrap_or(0)];
            (&file).read_exact(&mut bytes).map(|()| (bytes, file))
        });
        let (bytes, file) = read.await.map_err(std::io::Error::other)??;
        let left = left - bytes.len() as u64;
        Ok(Some((Bytes::from(bytes), (file, left))))
    }))
}

/// Ends the hold of a device, its owner's too; the blob goes with the last one.
///
/// # Errors
/// [`ServiceError::UnknownBlob`], also when the device has no hold.
pub async fn release_hold(app: &App, asking: Principal, id: BlobId) -> Result<(), ServiceError> {
    app.store
        .write_freeing(move |tx| match tx.release_blob(id, asking.device)? {
            true => Ok(()),
            false => Err(ServiceError::UnknownBlob),
        })
        .await
}

/// Erases a blob for its owner; for a device that got it, ends its hold.
///
/// # Errors
/// [`ServiceError::UnknownBlob`].
pub async fn release(app: &App, asking: Principal, id: BlobId) -> Result<(), ServiceError> {
    // On a full disk too: this makes room.
    app.store
        .write_freeing(move |tx| {
            let row = tx.find_blob(id)?.ok_or(ServiceError::UnknownBlob)?;
            if row.owner == asking.participant {
                return Ok(tx.erase_blob(id)?);
            }
            if tx.release_blob(id, asking.device)? { Ok(()) } else { Err(ServiceError::UnknownBlob) }
        })
        .await
}

/// Erases what is older than attachments may become, and uploads that nobody was sent for a day; returns how many.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn expire(app: &App, now: Tick, retention_days: u64) -> Result<usize, ServiceError> {
    let before = now.minus_days(retention_days);
    let untouched = Tick(now.0.saturating_sub(u64::try_from(UNSENT_BLOB.as_millis()).unwrap_or(u64::MAX)));
    let expired = app.store.read(move |tx| tx.expired_blobs(before, untouched)).await?;
    let count = expired.len();
    for id in expired {
        app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.erase_blob(id)?)).await?;
    }
    Ok(count)
}

/// Checks that a message may refer to these blobs. Writes nothing.
pub(super) fn check_references(
    tx: &ReadTx<'_>,
    sender: Principal,
    blobs: &[BlobId],
) -> Result<(), ServiceError> {
    for id in blobs {
        let row = tx.find_blob(*id)?.filter(|row| row.owner == sender.participant);
        if !row.ok_or(ServiceError::UnknownBlob)?.is_complete() {
            return Err(ServiceError::BlobIncomplete);
        }
    }
    Ok(())
}

/// Checks what can be said of references without the store.
pub(super) fn check_count(blobs: &[BlobId]) -> Result<(), ServiceError> {
    let is_first = |index: usize| !blobs[..index].contains(&blobs[index]);
    if blobs.len() <= MAX_MESSAGE_BLOBS && (0..blobs.len()).all(is_first) {
        return Ok(());
    }
    Err(ServiceError::Malformed(format!("a message refers to at most {MAX_MESSAGE_BLOBS} files, each once")))
}

/// Lets devices fetch what a message refers to.
pub(super) fn hold(
    tx: &WriteTx<'_>,
    blobs: &[BlobId],
    devices: impl Iterator<Item = DeviceId> + Clone,
) -> Result<(), ServiceError> {
    for id in blobs {
        tx.hold_blob(*id, devices.clone())?;
    }
    Ok(())
}

fn upload(row: &BlobRow) -> api::BlobUpload {
    api::BlobUpload { id: row.id, offset: row.durable, size: row.size }
}

async fn own(app: &App, owner: Principal, id: BlobId) -> Result<BlobRow, ServiceError> {
    let row = app.store.read(move |tx| tx.find_blob(id)).await?;
    row.filter(|row| row.owner == owner.participant).ok_or(ServiceError::UnknownBlob)
}

/// Free bytes on the disk.
pub(super) async fn available(app: &App) -> Result<u64, ServiceError> {
    let directory = app.store.directory().to_owned();
    compute(move || {
        fs4::available_space(&directory)
            .map_err(|error| ServiceError::Internal(format!("the free space is not known: {error}")))
    })
    .await
}

/// Refuses what the disk has no room for.
pub(super) async fn check_room(app: &App) -> Result<(), ServiceError> {
    let wanted = app.config().blobs.min_free_bytes;
    if app.store.is_full() || available(app).await? < wanted {
        Err(ServiceError::StorageFull)
    } else {
        Ok(())
    }
}

/// What a failed access to a file is for the caller.
pub(super) fn failed(row: &BlobRow, error: &std::io::Error) -> ServiceError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ServiceError::StorageFull,
        ErrorKind::NotFound => {
            tracing::warn!(file = row.file.to_string(), "the file of an attachment is missing");
            ServiceError::UnknownBlob
        }
        _ => ServiceError::Internal(format!("the file of an attachment: {error}")),
    }
}

#[cfg(test)]
mod tests;
