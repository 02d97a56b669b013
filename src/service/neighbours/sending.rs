//! What goes out to a neighbour: envelopes of this server's participants in signed batches, batches that pass
//! through, and answers to those that came.

use std::collections::HashMap;
use std::time::Duration;

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::envelope::Header;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::documents::{BatchHeader, BatchItem};
use momedo_protocol::link::{BATCH_BYTES, Batch, BatchId, Frame, MAX_BATCH_ITEMS, MAX_HOPS};

use super::finding::may_talk;
use crate::domain::neighbour::Decision;
use crate::domain::ozone::{QueueFull, Quota};
use crate::service::ServiceError;
use crate::service::error::compute;
use crate::state::{App, AppState};
use crate::store::{OutgoingKey, OutgoingRow, ReadTx};

/// When something that was taken and not answered is sent again.
pub const REPEAT: Duration = Duration::from_secs(600);

/// Batches of others looked at together.
const PAGE: usize = 16;

/// Answers looked at together; those that were sent wait for a word that they arrived.
const ANSWERS: usize = 64;

/// How much of what may wait for a neighbour one sender may fill.
const SENDER_SHARE: u64 = 4;

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
/// [`ServiceError::DisputedParticipant`], [`ServiceError::NotAllowedAcross`], [`ServiceError::StaleBundle`] or
/// [`ServiceError::NeighbourFull`].
pub fn decide(
    tx: &ReadTx<'_>,
    sender: ParticipantId,
    recipient: ParticipantId,
    header: &Header,
    size: usize,
) -> Result<Option<Way>, ServiceError> {
    let Some(row) = tx.find_remote(recipient)? else { return Ok(None) };
    if row.disputed_by.is_some() {
        return Err(ServiceError::DisputedParticipant);
    }
    let Some(keys) = &row.keys else { return Ok(None) };
    let neighbour = tx.find_neighbour(row.via)?;
    let Some(neighbour) = neighbour.filter(|n| n.ours && n.theirs && n.decision != Decision::Blocked) else {
        return Ok(None);
    };
    may_talk(&neighbour.contract, &tx.belonging(sender)?)?;
    let sealed_to = (u64::from(header.recipient_version), header.recipient_digest);
    if sealed_to != (keys.version, keys.digest) {
        // Keys newer than those known here have to be asked for; older ones are the sender's to renew.
        return if sealed_to.0 > keys.version { Ok(None) } else { Err(ServiceError::StaleBundle) };
    }
    let queue_bytes = neighbour.contract.queue_bytes;
    let quota = Quota { queue_bytes, sender_bytes: queue_bytes / SENDER_SHARE };
    let (all, own) = tx.outgoing_bytes(row.via, sender)?;
    match quota.admit(all, own, size as u64) {
        Ok(()) => Ok(Some(Way { home: row.home, via: row.via })),
        Err(QueueFull::SenderShare) => Err(ServiceError::SenderShareFull),
        Err(_) => Err(ServiceError::NeighbourFull),
    }
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
}

/// Where a link is in what waits for its neighbour.
#[derive(Debug, Default, Clone, Copy)]
pub struct Place {
    outgoing: i64,
    relayed: i64,
}

/// The next parcels for a neighbour after `place`, which is moved on; none: nothing more waits.
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
                app.links.note_relayed(row.batch, now + REPEAT);
                parcels.push(Parcel { batch: row.batch, frame: row.frame, is_answer: row.answered });
            }
        }
        let mut by_home: HashMap<Fingerprint, Vec<OutgoingRow>> = HashMap::new();
        for row in outgoing.into_iter().filter(|row| app.links.is_due(&row.key, now)) {
            by_home.entry(row.home).or_default().push(row);
        }
        for (home, rows) in by_home {
            let keys: Vec<OutgoingKey> = rows.iter().map(|row| row.key).collect();
            let signing = app.clone();
            let parcel = compute(move || sign(&signing, home, rows)).await?;
            app.links.note_sent(parcel.batch, &keys, now + REPEAT);
            parcels.push(parcel);
        }
        if ends || !parcels.is_empty() {
            return Ok(parcels);
        }
    }
}

fn sign(app: &App, home: Fingerprint, rows: Vec<OutgoingRow>) -> Result<Parcel, ServiceError> {
    let item = |row: &OutgoingRow| BatchItem {
        from: row.key.sender,
        to: row.key.recipient,
        id: row.key.message_id,
        digest: Sha512Digest::of(&row.envelope),
    };
    let header = BatchHeader { origin: app.fingerprint, home, items: rows.iter().map(item).collect() };
    let header = serde_json::to_vec(&header.sign(&app.identity))
        .map_err(|error| ServiceError::Internal(error.to_string()))?;
    let batch = Batch {
        hops: MAX_HOPS,
        identity_key: app.identity.public().spki().to_vec(),
        header,
        envelopes: rows.into_iter().map(|row| row.envelope).collect(),
    };
    Ok(Parcel { batch: batch.id(), frame: Frame::Batch(Box::new(batch)).encode(), is_answer: false })
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
