//! What goes out to a neighbour: envelopes of this server's participants in signed batches, batches that pass
//! through, and answers to those that came.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::envelope::Header;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::documents::{BatchBlob, BatchHeader, BatchItem};
use momedo_protocol::link::{BATCH_BYTES, Batch, BatchId, Frame, MAX_BATCH_ITEMS, MAX_HOPS};

use super::finding::may_talk;
use crate::domain::ozone::{QueueFull, Quota};
use crate::service::ServiceError;
use crate::service::error::compute;
use crate::state::{App, AppState};
use crate::store::{NeighbourRow, OutgoingKey, OutgoingRow, ReadTx, RelayedRow};

/// When something that was taken and not answered is sent again.
pub const REPEAT: Duration = Duration::from_secs(600);

/// Batches of others looked at together.
const PAGE: usize = 16;

/// Answers looked at together; those that were sent wait for a word that they arrived.
const ANSWERS: usize = 64;

/// What an item takes of a batch's header at most, and each attachment it names; in bytes of JSON.
const ITEM_BYTES: usize = 540;
const BLOB_BYTES: usize = 80;

/// What the items of a batch may take together: below the largest signed document.
const HEADER_BYTES: usize = 48 * 1024;

/// The way to a participant of another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Where they live.
    pub home: Fingerprint,
    /// The neighbour that leads there.
    pub via: Fingerprint,
}

/// Whether an envelope may go out, and which way; `None` when it has to be asked for first. Writes nothing.
///
/// # Errors
/// [`ServiceError::DisputedParticipant`], [`ServiceError::NotAllowedAcross`], [`ServiceError::StaleBundle`],
/// [`ServiceError::NeighbourShareFull`] or [`ServiceError::NeighbourFull`].
pub fn decide(
    tx: &ReadTx<'_>,
    sender: ParticipantId,
    recipient: ParticipantId,
    header: &Header,
    size: usize,
    sender_share_percent: u64,
) -> Result<Option<Way>, ServiceError> {
    if tx.is_blocked_remote(recipient)? {
        return Err(ServiceError::NotAllowedAcross);
    }
    let Some(row) = tx.find_remote(recipient)? else { return Ok(None) };
    if row.disputed_by.is_some() {
        return Err(ServiceError::DisputedParticipant);
    }
    let Some(keys) = &row.keys else { return Ok(None) };
    let neighbour = tx.find_neighbour(row.via)?;
    let Some(neighbour) = neighbour.filter(NeighbourRow::is_wanted) else {
        return Ok(None);
    };
    may_talk(&neighbour.contract, &tx.belonging(sender)?)?;
    let sealed_to = (u64::from(header.recipient_version), header.recipient_digest);
    if sealed_to != (keys.version, keys.digest) {
        // Keys newer than those known here have to be asked for; older ones are the sender's to renew.
        return if sealed_to.0 > keys.version { Ok(None) } else { Err(ServiceError::StaleBundle) };
    }
    // The share of one sender is the same as of a device's queue.
    let quota = Quota::of(neighbour.contract.queue_bytes, sender_share_percent);
    let (all, own) = tx.outgoing_bytes(row.via, sender)?;
    match quota.admit(all, own, size as u64) {
        Ok(()) => Ok(Some(Way { home: row.home, via: row.via })),
        Err(QueueFull::SenderShare) => Err(ServiceError::NeighbourShareFull),
        Err(QueueFull::Queue | QueueFull::NeighbourShare) => Err(ServiceError::NeighbourFull),
    }
}

/// The way to a member of a group who lives elsewhere; `None` when it is not known, or closed.
///
/// # Errors
/// As [`ServiceError`] says.
pub fn way_to_member(
    tx: &ReadTx<'_>,
    member: ParticipantId,
    home: Fingerprint,
) -> Result<Option<Way>, ServiceError> {
    if tx.is_blocked_remote(member)? {
        return Ok(None);
    }
    let Some(via) = leading_to(tx, home)?.filter(|via| via.contract.allows_anything()) else {
        return Ok(None);
    };
    if tx.queued_for(via.id)?.bytes > via.contract.queue_bytes {
        return Ok(None);
    }
    Ok(Some(Way { home, via: via.id }))
}

/// The neighbour that leads to a home and takes mail for it.
fn leading_to(tx: &ReadTx<'_>, home: Fingerprint) -> Result<Option<NeighbourRow>, ServiceError> {
    if let Some(direct) = tx.find_neighbour(home)?.filter(NeighbourRow::is_wanted) {
        return Ok(Some(direct));
    }
    match tx.way_to_home(home)? {
        Some(via) => Ok(tx.find_neighbour(via)?.filter(NeighbourRow::is_wanted)),
        None => Ok(None),
    }
}

/// Why there is no [way to a member](way_to_member).
///
/// # Errors
/// As [`ServiceError`] says, when it cannot be read.
pub fn why_no_way(
    tx: &ReadTx<'_>,
    member: ParticipantId,
    home: Fingerprint,
) -> Result<ServiceError, ServiceError> {
    if tx.is_blocked_remote(member)? {
        return Ok(ServiceError::NotAllowedAcross);
    }
    Ok(match leading_to(tx, home)? {
        None => ServiceError::HomeUnreachable,
        Some(via) if !via.contract.allows_anything() => ServiceError::NotAllowedAcross,
        Some(_) => ServiceError::NeighbourFull,
    })
}

/// A frame on its way, and what is in it.
#[derive(Debug)]
pub struct Parcel {
    /// The batch that it carries or answers.
    pub batch: BatchId,
    /// The encoded frame.
    pub frame: Vec<u8>,
    /// Whether it answers a batch that came from there.
    pub is_answer: bool,
    /// What is in it from here.
    keys: Vec<OutgoingKey>,
}

/// Notes that a parcel is on its way now; until then nobody would send it again if the link ended.
pub fn note(app: &App, parcel: &Parcel) {
    let again = app.clock.elapsed() + REPEAT;
    if parcel.keys.is_empty() {
        app.links.note_relayed(parcel.batch, again);
    } else {
        app.links.note_sent(parcel.batch, &parcel.keys, again);
    }
}

/// Where a link is in what waits for its neighbour.
#[derive(Debug, Default, Clone, Copy)]
pub struct Place {
    outgoing: i64,
    relayed: i64,
}

/// The next parcels for a neighbour after `place`, which is moved on; none: nothing more waits. Each has to be noted
/// with [`note`] when it is sent.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn next(
    app: &AppState,
    neighbour: Fingerprint,
    place: &mut Place,
) -> Result<Vec<Parcel>, ServiceError> {
    loop {
        let (outgoing_after, relayed_after) = (place.outgoing, place.relayed);
        let (outgoing, relayed) = app
            .store
            .read(move |tx| {
                let outgoing = tx.outgoing(neighbour, outgoing_after, MAX_BATCH_ITEMS, BATCH_BYTES)?;
                let mut relayed = tx.answers(neighbour, ANSWERS)?;
                relayed.extend(tx.passing(neighbour, relayed_after, PAGE)?);
                Ok::<_, ServiceError>((outgoing, relayed))
            })
            .await?;
        let ends = outgoing.is_empty() && relayed.iter().all(|row| row.answered);
        place.outgoing = outgoing.last().map_or(place.outgoing, |row| row.id);
        let last = relayed.iter().rfind(|row| !row.answered);
        place.relayed = last.map_or(place.relayed, |row| row.id);
        let now = app.clock.elapsed();
        let mut parcels = Vec::new();
        for row in relayed {
            if app.links.is_batch_due(&row.batch, now) {
                let RelayedRow { batch, frame, answered: is_answer, .. } = row;
                parcels.push(Parcel { batch, frame, is_answer, keys: Vec::new() });
            }
        }
        for rows in shares(outgoing.into_iter().filter(|row| app.links.is_due(&row.key, now))) {
            let Some(home) = rows.first().map(|row| row.home) else { continue };
            let sizes = blob_sizes(app, &rows).await?;
            let signing = app.clone();
            parcels.push(compute(move || sign(&signing, home, rows, &sizes)).await?);
        }
        if ends || !parcels.is_empty() {
            return Ok(parcels);
        }
    }
}

/// What goes into one batch: one home, and no more than a header holds.
fn shares(rows: impl Iterator<Item = OutgoingRow>) -> Vec<Vec<OutgoingRow>> {
    let mut by_home: BTreeMap<[u8; 32], Vec<OutgoingRow>> = BTreeMap::new();
    rows.for_each(|row| by_home.entry(row.home.0).or_default().push(row));
    let mut shares = Vec::new();
    for rows in by_home.into_values() {
        let (mut share, mut bytes) = (Vec::new(), 0);
        for row in rows {
            let needed = ITEM_BYTES + row.blobs.len() * BLOB_BYTES;
            if bytes + needed > HEADER_BYTES && !share.is_empty() {
                shares.push(std::mem::take(&mut share));
                bytes = 0;
            }
            bytes += needed;
            share.push(row);
        }
        shares.push(share);
    }
    shares
}

/// How many bytes the attachments have that rows refer to; those that are gone are left out.
async fn blob_sizes(app: &App, rows: &[OutgoingRow]) -> Result<HashMap<BlobId, u64>, ServiceError> {
    let blobs: BTreeSet<BlobId> = rows.iter().flat_map(|row| row.blobs.iter().copied()).collect();
    if blobs.is_empty() {
        return Ok(HashMap::new());
    }
    app.store
        .read(move |tx| {
            let mut sizes = HashMap::new();
            for id in blobs {
                sizes.extend(tx.find_blob(id)?.map(|row| (id, row.size)));
            }
            Ok(sizes)
        })
        .await
}

fn sign(
    app: &App,
    home: Fingerprint,
    rows: Vec<OutgoingRow>,
    sizes: &HashMap<BlobId, u64>,
) -> Result<Parcel, ServiceError> {
    let (mut parts, mut known) = (Vec::new(), HashSet::new());
    let mut part = |bytes: &[u8]| {
        let digest = Sha512Digest::of(bytes);
        if known.insert(digest.0) {
            parts.push(bytes.to_vec());
        }
        digest
    };
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let blobs = row.blobs.iter().filter_map(|id| Some(BatchBlob { id: *id, size: *sizes.get(id)? }));
        items.push(BatchItem {
            from: row.key.sender,
            to: row.key.recipient,
            id: row.key.message_id,
            digest: part(&row.envelope),
            group: row.key.group,
            slot: row.slot.as_deref().map(&mut part),
            blobs: blobs.collect(),
            device: row.copy.and_then(|copy| copy.device),
            sender_device: row.copy.and_then(|copy| copy.sender_device),
            copy: row.copy.is_some(),
        });
    }
    let header = BatchHeader { origin: app.fingerprint, home, items };
    let header = serde_json::to_vec(&header.sign(&*app.identity))
        .map_err(|error| ServiceError::Internal(error.to_string()))?;
    let identity_key = app.identity.public().spki().to_vec();
    let batch = Batch { hops: MAX_HOPS, identity_key, header, parts };
    let keys = rows.iter().map(|row| row.key).collect();
    Ok(Parcel { batch: batch.id(), frame: Frame::Batch(Box::new(batch)).encode(), is_answer: false, keys })
}

/// Notes that a neighbour has an answer that went back to it.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn answer_taken(app: &App, neighbour: Fingerprint, batch: BatchId) -> Result<(), ServiceError> {
    let answered = app
        .store
        .read(move |tx| Ok::<_, ServiceError>(tx.find_relayed(&batch)?))
        .await?
        .is_some_and(|row| row.answered && row.source == neighbour);
    if answered {
        app.store
            .write_freeing(move |tx| Ok::<_, ServiceError>(tx.delete_answered(&batch, neighbour)?))
            .await?;
        app.links.forget_batch(&batch);
    }
    Ok(())
}
