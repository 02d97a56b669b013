//! What comes in from a neighbour: batches for this server's participants go on to `delivering`, those for others to
//! `relaying`.
//!
//! An answer is given after everything it says is on disk.

use std::collections::HashSet;

use momedo_protocol::blob::MAX_MESSAGE_BLOBS;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::link::documents::{BatchHeader, Outcome, Receipt};
use momedo_protocol::link::{Batch, BatchId, Frame, MAX_BATCH_ITEMS, NoWay, SignedReceipt};
use momedo_protocol::rsa_key::RsaPublicKey;

use super::delivering::Incoming;
use super::{origins, relaying};
use crate::domain::neighbour::Decision;
use crate::links::Counted;
use crate::service::error::compute;
use crate::service::second_home::copying;
use crate::service::{ServiceError, blobs};
use crate::state::AppState;
use crate::store::NeighbourRow;

/// When a neighbour tries again what could not be stored.
const RETRY_SECONDS: u32 = 5;

/// When it tries again what there is no room for.
pub(super) const FULL_SECONDS: u32 = 60;

/// How many envelopes a batch says it brings, before anything is verified. Those to several people travel once, so
/// its parts do not tell.
fn claimed_envelopes(batch: &Batch) -> u32 {
    let payload = batch.signed_header().and_then(|header| header.unverified_payload().ok());
    let header = payload.and_then(|payload| serde_json::from_slice::<BatchHeader>(&payload).ok());
    let count = header.map_or(batch.parts.len(), |header| header.items.len());
    // More are refused, and counted as one batch.
    u32::try_from(count.clamp(1, MAX_BATCH_ITEMS)).unwrap_or(u32::MAX)
}

/// A batch whose signature and digests fit.
pub(super) struct Checked {
    pub(super) id: BatchId,
    pub(super) header: BatchHeader,
    pub(super) batch: Batch,
    /// Of the batch's parts, in their order.
    digests: Vec<Sha512Digest>,
}

fn check(batch: Batch) -> Option<Checked> {
    let identity = RsaPublicKey::from_spki(&batch.identity_key).ok()?;
    let header = BatchHeader::verify(&batch.signed_header()?, &identity).ok()?;
    if header.items.is_empty() || header.items.len() > MAX_BATCH_ITEMS {
        return None;
    }
    let named = header.items.iter().flat_map(|item| std::iter::once(item.digest).chain(item.slot));
    let mut seen = HashSet::new();
    let digests: Vec<_> = named.filter(|digest| seen.insert(digest.0)).collect();
    // Each part once, in the order in which it is first named; nothing else.
    let fits = digests.len() == batch.parts.len()
        && digests.iter().zip(&batch.parts).all(|(digest, part)| *digest == Sha512Digest::of(part));
    let is_modest = header.items.iter().all(|item| item.blobs.len() <= MAX_MESSAGE_BLOBS);
    (fits && is_modest).then(|| Checked { id: batch.id(), header, batch, digests })
}

/// Takes a batch, and says what is to be answered.
pub async fn take(app: &AppState, neighbour: Fingerprint, batch: Batch) -> Frame {
    let id = batch.id();
    match try_take(app, neighbour, batch).await {
        Ok(answer) => answer,
        Err(ServiceError::StorageFull) => Frame::Busy { batch: id, retry_after: FULL_SECONDS },
        Err(error) => {
            tracing::warn!(%error, %neighbour, "a batch could not be taken; it will come again");
            Frame::Busy { batch: id, retry_after: RETRY_SECONDS }
        }
    }
}

async fn try_take(app: &AppState, neighbour: Fingerprint, batch: Batch) -> Result<Frame, ServiceError> {
    let id = batch.id();
    let row = app.store.read(move |tx| tx.find_neighbour(neighbour)).await?;
    let undeliverable = |reason| Ok(Frame::Undeliverable { batch: id, reason });
    if row.as_ref().is_some_and(|row| row.decision == Decision::Paused) {
        return Ok(Frame::Busy { batch: id, retry_after: FULL_SECONDS });
    }
    let Some(row) = row.filter(NeighbourRow::is_paired) else {
        return undeliverable(NoWay::NotAllowedAcross);
    };
    let (batch, count) = compute(move || {
        let count = claimed_envelopes(&batch);
        Ok((batch, count))
    })
    .await?;
    let counted =
        app.links.count(neighbour, Counted::Envelopes, row.contract.rate(), count, app.clock.elapsed());
    if let Err(wait) = counted {
        let retry_after = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
        return Ok(Frame::Busy { batch: id, retry_after });
    }
    let Some(checked) = compute(move || Ok(check(batch))).await? else {
        tracing::warn!(%neighbour, "a neighbour brought a batch whose signature does not fit");
        return undeliverable(NoWay::Malformed);
    };
    if checked.header.origin == app.fingerprint {
        // What this server sent came back.
        return undeliverable(NoWay::TooFar);
    }
    if checked.header.home == app.fingerprint {
        deliver(app, row, checked).await
    } else {
        relaying::relay(app, row, checked).await
    }
}

/// Delivers a batch to this server's participants, and signs for it.
async fn deliver(app: &AppState, neighbour: NeighbourRow, checked: Checked) -> Result<Frame, ServiceError> {
    let Checked { id, header, batch, digests } = checked;
    let origin = header.origin;
    let brings_blobs = header.items.iter().any(|item| !item.blobs.is_empty());
    let unasked = origins::learn(app, neighbour.id, &header).await?;
    let incoming = Incoming {
        own: app.clone(),
        origin,
        via: neighbour.id,
        contract: neighbour.contract,
        unasked,
        room: if brings_blobs { blobs::available(app).await? } else { 0 },
        parts: digests.into_iter().zip(batch.parts).map(|(digest, part)| (digest.0, part.into())).collect(),
    };
    let (outcomes, copies) = app.store.write(move |tx| incoming.deliver(tx, header.items)).await?;
    // The sender's home forgets what this server signs for.
    copying::arrived(app, copies).await?;
    for outcome in &outcomes {
        match outcome.outcome {
            Outcome::Delivered => app.activity.count(app.clock.now()),
            refused => app.counts.refuse(refused.word()),
        }
    }
    if brings_blobs {
        app.links.fetching.notify_one();
    }
    let signing = app.clone();
    let receipt = compute(move || {
        let receipt = Receipt { home: signing.fingerprint, origin, batch: id, outcomes };
        let identity_key = Base64Bytes(signing.identity.public().spki().to_vec());
        Ok(SignedReceipt { batch: id, identity_key, receipt: receipt.sign(&*signing.identity) })
    })
    .await?;
    Ok(Frame::Receipt(Box::new(receipt)))
}
