//! Attachments that travel: fetched from the home of whoever sent them, in pieces, whenever there is a link; kept here
//! like any other from then on.

use std::io::{Read, Write};
use std::time::Duration;

use momedo_protocol::blob::{BlobId, MIN_BLOB_BYTES, sealed_length};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::link::calls::{BLOB_PART_BYTES, Request};
use momedo_protocol::link::documents::{BatchBlob, Outcome};

use super::calls;
use crate::domain::blobs::cost;
use crate::service::error::compute;
use crate::service::{ServiceError, blobs};
use crate::settings::config::Config;
use crate::state::App;
use crate::store::{BlobRow, ReadTx, WriteTx};

/// Attachments looked at together.
const PAGE: u32 = 16;

/// How long one home is fetched from before others have their turn.
const TURN: Duration = Duration::from_secs(30);

/// What comes with a message from another home.
#[derive(Debug, Clone, Copy)]
pub(in crate::service) struct Coming<'a> {
    /// Who is said to have sent it.
    pub(in crate::service) owner: ParticipantId,
    /// Whether they live here alone: then nothing of theirs has to be fetched, and what is said of it costs them nothing.
    pub(in crate::service) is_ours: bool,
    /// The neighbour that brings the message.
    pub(in crate::service) via: Fingerprint,
    /// The home that has the attachments.
    pub(in crate::service) home: Fingerprint,
    /// What it refers to.
    pub(in crate::service) blobs: &'a [BatchBlob],
}

/// Whether there is room for what comes with a message from another home. Writes nothing.
pub(in crate::service) fn check(
    config: &Config,
    tx: &ReadTx<'_>,
    coming: Coming<'_>,
    room: u64,
) -> Result<Option<Outcome>, ServiceError> {
    let config = &config.blobs;
    let Coming { owner, is_ours, via, blobs, .. } = coming;
    let mut needed = 0u64;
    for blob in blobs {
        if let Some(row) = tx.find_blob(blob.id)? {
            if row.owner != owner || row.size != blob.size {
                return Ok(Some(Outcome::Conflict));
            }
            continue;
        }
        if is_ours {
            continue;
        }
        if blob.size < MIN_BLOB_BYTES {
            return Ok(Some(Outcome::Malformed));
        }
        if blob.size > sealed_length(config.max_blob_bytes) {
            return Ok(Some(Outcome::TooLarge));
        }
        needed = needed.saturating_add(cost(blob.size));
    }
    if needed == 0 {
        return Ok(None);
    }
    let all = tx.all_blobs()?;
    let to_come = all.to_come.saturating_add(needed);
    let most = config.max_server_bytes;
    // Whoever makes up senders would have a share for each of them.
    let half = all.elsewhere.saturating_add(room) / 2;
    // One neighbour leaves as much to all others, and spends nothing of whom it names.
    let (over, of_owner) = tx.blob_bytes_over(via, owner)?;
    let is_full = all.elsewhere.saturating_add(needed) > half
        || over.saturating_add(needed) > half / 2
        || (most > 0 && all.bytes.saturating_add(needed) > most)
        || of_owner.saturating_add(needed) > config.max_participant_bytes
        || room < to_come.saturating_add(config.min_free_bytes);
    Ok(is_full.then_some(Outcome::Later))
}

/// Notes what has to be fetched, and for which devices.
pub(in crate::service) fn keep(
    tx: &WriteTx<'_>,
    coming: Coming<'_>,
    devices: &[DeviceId],
) -> Result<(), ServiceError> {
    let Coming { owner, is_ours, via, home, blobs } = coming;
    for blob in blobs {
        match tx.find_blob(blob.id)? {
            Some(_) => {}
            None if is_ours => continue,
            None => tx.insert_blob_from(blob.id, owner, blob.size, home, via)?,
        }
        tx.hold_blob(blob.id, devices.iter().copied())?;
    }
    Ok(())
}

/// Homes that attachments are to be fetched from, as far as a link leads there now.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn homes(app: &App) -> Result<Vec<Fingerprint>, ServiceError> {
    let connected = app.links.connected();
    app.store
        .read(move |tx| {
            let mut homes = Vec::new();
            for home in tx.homes_to_fetch_from()? {
                if calls::way(tx, home)?.is_some_and(|way| connected.contains(&way.id)) {
                    homes.push(home);
                }
            }
            Ok(homes)
        })
        .await
}

/// What came of a home's turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// Whether anything came, or an attachment needs nothing more.
    pub moved: bool,
    /// Where the next turn goes on; `None`: at the beginning.
    pub place: Option<BlobId>,
}

/// Fetches from one home, one attachment after another from `place` on, for as long as it answers and its turn lasts.
///
/// # Errors
/// As [`ServiceError`] says, where it is not this home's or this attachment's matter.
pub async fn fetch_from(app: &App, home: Fingerprint, place: Option<BlobId>) -> Result<Turn, ServiceError> {
    let until = app.clock.elapsed() + TURN;
    let mut turn = Turn { moved: false, place };
    loop {
        let after = turn.place;
        let page = app.store.read(move |tx| tx.blobs_to_fetch(home, after, PAGE)).await?;
        if page.is_empty() {
            turn.place = None;
            return Ok(turn);
        }
        for id in page {
            turn.place = Some(id);
            match fetch(app, id, home, until, &mut turn.moved).await {
                Ok(()) => {}
                // That home is still waiting for it itself.
                Err(ServiceError::BlobIncomplete) => {}
                Err(ServiceError::UnknownBlob) => {
                    tracing::warn!("an attachment is gone at the home it was sent from");
                    app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.erase_blob(id)?)).await?;
                    turn.moved = true;
                }
                Err(ServiceError::HomeUnreachable) => return Ok(turn),
                Err(error) => {
                    tracing::warn!(%error, "an attachment is not fetched; it will be tried again");
                    return Ok(turn);
                }
            }
            if app.clock.elapsed() >= until {
                return Ok(turn);
            }
        }
    }
}

/// At `until` what is there stays, and the rest comes in another turn.
async fn fetch(
    app: &App,
    id: BlobId,
    home: Fingerprint,
    until: Duration,
    moved: &mut bool,
) -> Result<(), ServiceError> {
    let found = app.store.read(move |tx| tx.find_blob(id)).await?;
    let Some(mut row) = found else { return Ok(()) };
    while !row.is_complete() {
        if app.clock.elapsed() >= until {
            return Ok(());
        }
        blobs::check_room(app).await?;
        let bytes = calls::blob_part(app, home, id, row.durable).await?;
        let left = row.size - row.durable;
        if bytes.is_empty() || bytes.len() as u64 > left.min(BLOB_PART_BYTES) {
            return Err(ServiceError::Malformed("a part of an attachment has the wrong length".into()));
        }
        row = append(app, row, bytes).await?;
        *moved = true;
    }
    calls::ask_for_response(app, home, &Request::BlobTaken { id }).await?;
    app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.end_fetching(id)?)).await?;
    *moved = true;
    Ok(())
}

/// Appends to a file; what the answer says is on disk.
async fn append(app: &App, row: BlobRow, bytes: Vec<u8>) -> Result<BlobRow, ServiceError> {
    let files = app.store.blob_files().clone();
    let durable = row.durable + bytes.len() as u64;
    let written = compute(move || {
        Ok(files.write_on(row.file, row.durable).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_data()
        }))
    });
    written.await?.map_err(|error| blobs::failed(&row, &error))?;
    let noted = app.store.write(move |tx| Ok::<_, ServiceError>(tx.note_blob_progress(row.file, durable)?));
    noted.await?;
    Ok(BlobRow { durable, ..row })
}

/// A part of an attachment for another home that a message with it went to.
///
/// # Errors
/// [`ServiceError::UnknownBlob`], or [`ServiceError::BlobIncomplete`] while it is fetched from elsewhere itself.
pub(super) async fn part_for(
    app: &App,
    home: Fingerprint,
    id: BlobId,
    offset: u64,
) -> Result<Vec<u8>, ServiceError> {
    let row = app
        .store
        .read(move |tx| {
            let row = tx.find_blob(id)?.ok_or(ServiceError::UnknownBlob)?;
            if tx.holds_blob_for_home(id, home)? { Ok(row) } else { Err(ServiceError::UnknownBlob) }
        })
        .await?;
    if offset >= row.size {
        return Err(ServiceError::Malformed("an attachment ends before that".into()));
    }
    let length = row.durable.saturating_sub(offset).min(BLOB_PART_BYTES);
    if length == 0 {
        return Err(ServiceError::BlobIncomplete);
    }
    let files = app.store.blob_files().clone();
    let read = compute(move || {
        Ok(files.read_from(row.file, offset, row.durable).and_then(|mut file| {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        }))
    });
    read.await?.map_err(|error| blobs::failed(&row, &error))
}

/// Notes that another home has all of an attachment.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn taken_by(app: &App, home: Fingerprint, id: BlobId) -> Result<(), ServiceError> {
    app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.release_blob_of_home(id, home)?)).await
}
