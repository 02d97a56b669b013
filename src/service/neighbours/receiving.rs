//! What comes in from a neighbour: batches for this server's participants, or for others.
//!
//! An answer is given after everything it says is on disk.

use std::sync::Arc;

use momedo_protocol::api::SubmitRequest;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::envelope;
use momedo_protocol::link::documents::{BatchHeader, BatchItem, ItemOutcome, Outcome, Receipt};
use momedo_protocol::link::{Batch, BatchId, Frame, NoWay, SignedReceipt};
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::domain::neighbour::{Contract, Decision};
use crate::domain::ozone::Quota;
use crate::links::Counted;
use crate::service::error::compute;
use crate::service::{ServiceError, delivery};
use crate::state::{App, AppState};
use crate::store::{
    Conversation, Known, NeighbourRow, NewEnvelope, ParticipantState, RemoteRow, StoreError, WriteTx,
};

/// When a neighbour tries again what could not be stored.
const RETRY_SECONDS: u32 = 5;

/// When it tries again what there is no room for.
const FULL_SECONDS: u32 = 60;

/// Participants of other servers remembered because they wrote: beyond it, mail of new ones waits.
const MAX_REMOTE: u64 = 200_000;

/// A batch whose signature and digests fit.
struct Checked {
    id: BatchId,
    header: BatchHeader,
    batch: Batch,
}

fn check(batch: Batch) -> Option<Checked> {
    let identity = RsaPublicKey::from_spki(&batch.identity_key).ok()?;
    let header = BatchHeader::verify(&batch.signed_header()?, &identity).ok()?;
    let fits = header.items.len() == batch.envelopes.len()
        && !header.items.is_empty()
        && header.items.iter().zip(&batch.envelopes).all(|(item, e)| item.digest == Sha512Digest::of(e));
    fits.then(|| Checked { id: batch.id(), header, batch })
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
    let Some(row) = row.filter(NeighbourRow::is_paired) else { return undeliverable(NoWay::NotAllowed) };
    let count = batch.envelopes.len();
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
        relay(app, row, checked).await
    }
}

/// Delivers a batch to this server's participants, and signs for it.
async fn deliver(app: &AppState, neighbour: NeighbourRow, checked: Checked) -> Result<Frame, ServiceError> {
    let incoming = Incoming {
        own: app.clone(),
        origin: checked.header.origin,
        via: neighbour.id,
        contract: neighbour.contract,
        quota: app.config().mail.quota(),
        limit: app.config().mail.max_envelope_bytes,
    };
    let (header, envelopes, id) = (checked.header, checked.batch.envelopes, checked.id);
    let origin = header.origin;
    let outcomes = app
        .store
        .write(move |tx| {
            let mut outcomes = Vec::with_capacity(header.items.len());
            for (item, bytes) in header.items.into_iter().zip(envelopes) {
                let outcome = incoming.deliver(tx, &item, bytes)?;
                outcomes.push(ItemOutcome { from: item.from, to: item.to, id: item.id, outcome });
            }
            Ok::<_, ServiceError>(outcomes)
        })
        .await?;
    let delivered = outcomes.iter().filter(|outcome| outcome.outcome == Outcome::Delivered).count();
    for _ in 0..delivered {
        app.activity.count(app.clock.elapsed());
    }
    let signing = app.clone();
    let receipt = compute(move || {
        let receipt = Receipt { home: signing.fingerprint, origin, batch: id, outcomes };
        let identity_key = Base64Bytes(signing.identity.public().spki().to_vec());
        Ok(SignedReceipt { batch: id, identity_key, receipt: receipt.sign(&signing.identity) })
    })
    .await?;
    Ok(Frame::Receipt(Box::new(receipt)))
}

/// What is the same for all envelopes of a batch.
struct Incoming {
    own: Arc<App>,
    origin: Fingerprint,
    via: Fingerprint,
    contract: Contract,
    quota: Quota,
    limit: usize,
}

impl Incoming {
    /// Decides everything about one envelope before it writes anything.
    fn deliver(
        &self,
        tx: &mut WriteTx<'_>,
        item: &BatchItem,
        bytes: Vec<u8>,
    ) -> Result<Outcome, ServiceError> {
        let sender = tx.find_remote(item.from)?;
        // Nobody but this server speaks for its own participants, nor for those another home has signed for.
        let is_own = tx.find_participant(item.from)?.is_some();
        let lives_elsewhere = sender.as_ref().is_some_and(|known| known.home != self.origin);
        if is_own || lives_elsewhere {
            tracing::warn!(neighbour = %self.via, "a batch names a sender who lives elsewhere");
            return Ok(Outcome::WrongHome);
        }
        if bytes.len() > self.limit {
            return Ok(Outcome::TooLarge);
        }
        let header = match envelope::decode(&bytes) {
            Ok(envelope) if envelope.header.message_id == item.id => envelope.header,
            _ => return Ok(Outcome::Malformed),
        };
        let request = SubmitRequest {
            id: item.id,
            to: item.to,
            device: None,
            envelope: Base64Bytes(bytes),
            own_devices: None,
            blobs: Vec::new(),
        };
        let digest = self.own.store.receipt_key().digest(&request);
        let conversation = Conversation::With(item.to);
        // What was accepted stays accepted, even if it would be refused by now.
        match tx.known_message(item.id, item.from, conversation, &digest)? {
            Known::Same => return Ok(Outcome::Delivered),
            Known::Different => return Ok(Outcome::Conflict),
            Known::New => {}
        }
        let recipient = tx.directory_entry(item.to)?;
        let Some(recipient) = recipient.filter(|entry| entry.state == ParticipantState::Active) else {
            return Ok(Outcome::UnknownParticipant);
        };
        if recipient.blocks(item.from) || !self.contract.admits(&tx.belonging(item.to)?) {
            return Ok(Outcome::NotAllowed);
        }
        match delivery::check_bundle(tx, item.to, &recipient, &header) {
            Ok(()) => {}
            Err(ServiceError::StaleBundle) => return Ok(Outcome::StaleBundle),
            Err(error) => return Err(error),
        }
        if recipient.receiving.is_empty() && recipient.parked.is_empty() {
            return Ok(Outcome::NoDevice);
        }
        let size = request.envelope.0.len();
        let takers = tx.takers(recipient.receiving.iter().copied(), &self.quota, item.from, size)?;
        if takers.taking.is_empty() {
            return Ok(Outcome::Later);
        }
        if sender.is_none() {
            if tx.count_remote()? >= MAX_REMOTE {
                return Ok(Outcome::Later);
            }
            self.remember_sender(tx, item)?;
        }
        tx.remember_message(item.id, item.from, conversation, &digest)?;
        let envelope = NewEnvelope {
            sender: item.from,
            message_id: item.id,
            accepted_at: self.own.clock.now(),
            bundle_version: header.recipient_version,
            bytes: request.envelope.0,
        };
        tx.append(item.to, &takers, envelope)?;
        for device in &recipient.parked {
            tx.note_missed(*device, 1)?;
        }
        Ok(Outcome::Delivered)
    }

    /// Whoever wrote lives where the batch was signed, until a home's countersignature says otherwise.
    fn remember_sender(&self, tx: &WriteTx<'_>, item: &BatchItem) -> Result<(), StoreError> {
        tx.save_remote(&RemoteRow {
            id: item.from,
            home: self.origin,
            via: self.via,
            keys: None,
            learned: tx.tick(),
            disputed_by: None,
            settled: false,
        })
    }
}

/// Keeps a batch for another home, to be passed on.
async fn relay(app: &AppState, neighbour: NeighbourRow, checked: Checked) -> Result<Frame, ServiceError> {
    let Checked { id, header, batch } = checked;
    let undeliverable = |reason| Frame::Undeliverable { batch: id, reason };
    if !neighbour.contract.hop_through {
        return Ok(undeliverable(NoWay::NotAllowed));
    }
    let Some(hops) = batch.hops.checked_sub(1) else { return Ok(undeliverable(NoWay::TooFar)) };
    let (source, home, queue_bytes) = (neighbour.id, header.home, neighbour.contract.queue_bytes);
    enum Taken {
        Before(Vec<u8>),
        Over(Fingerprint),
        NoWay(NoWay),
        Full,
    }
    let frame = Frame::Batch(Box::new(Batch { hops, ..batch })).encode();
    let taken = app
        .store
        .write_decided(move |tx| {
            if let Some(known) = tx.find_relayed(&id)? {
                // Known from another side: then this one is a loop or a second way, and the first one counts.
                if known.source != source {
                    return Ok(Taken::NoWay(NoWay::TooFar));
                }
                let answer = Taken::Before(known.frame);
                return Ok(if known.answered { answer } else { Taken::Over(known.via) });
            }
            let direct = tx.find_neighbour(home)?.filter(NeighbourRow::is_paired).map(|row| row.id);
            let via = match direct {
                Some(via) => via,
                None => match tx.way_to_home(home)? {
                    Some(via) => via,
                    None => return Ok(Taken::NoWay(NoWay::NoRoute)),
                },
            };
            if via == source {
                return Ok(Taken::NoWay(NoWay::TooFar));
            }
            let next = tx.find_neighbour(via)?;
            if !next.is_some_and(|row| row.is_paired() && row.contract.hop_through) {
                return Ok(Taken::NoWay(NoWay::NotAllowed));
            }
            if tx.relayed_bytes(source)? + frame.len() as u64 > queue_bytes {
                return Ok(Taken::Full);
            }
            tx.insert_relayed(&id, source, home, via, &frame)?;
            Ok::<_, ServiceError>(Taken::Over(via))
        })
        .await?;
    Ok(match taken {
        Taken::Before(answer) => decoded(&answer).unwrap_or(Frame::Taken { batch: id }),
        Taken::Over(via) => {
            app.links.wake(via);
            Frame::Taken { batch: id }
        }
        Taken::NoWay(reason) => undeliverable(reason),
        Taken::Full => Frame::Busy { batch: id, retry_after: FULL_SECONDS },
    })
}

/// A frame that was kept encoded.
fn decoded(bytes: &[u8]) -> Option<Frame> {
    use momedo_protocol::link::HEADER_BYTES;
    Frame::decode(*bytes.first()?, bytes.get(HEADER_BYTES..)?).ok()
}
