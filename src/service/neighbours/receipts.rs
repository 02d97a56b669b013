//! What became of envelopes that went to other servers, and telling their senders.

use std::collections::BTreeMap;
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::documents::{ItemOutcome, Outcome, Receipt};
use momedo_protocol::link::{BatchId, Frame, NoWay, SignedReceipt};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::notice::{Fate, Notice, NoticedMessage};
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::time::UnixMillis;

use super::finding;
use super::sending::REPEAT;
use crate::domain::ozone::{Quota, Source};
use crate::service::error::compute;
use crate::service::{ServiceError, recipients};
use crate::state::{App, AppState};
use crate::store::{Charged, NewEnvelope, OutgoingKey, Tick, WriteTx};

/// Envelopes returned in one transaction.
const STEP: u32 = 500;

/// When something whose recipient had no room is sent again.
const LATER: Duration = Duration::from_secs(600);

/// Takes a receipt: for what this server sent, or for what passed through. Says whether it was worth anything.
///
/// # Errors
/// As [`ServiceError`] says; then it has to come again.
pub async fn take(app: &AppState, neighbour: Fingerprint, signed: SignedReceipt) -> Result<(), ServiceError> {
    let batch = signed.batch;
    let frame = Frame::Receipt(Box::new(signed.clone())).encode();
    let receipt = compute(move || {
        let identity = RsaPublicKey::from_spki(&signed.identity_key.0).ok();
        let receipt = identity.and_then(|identity| Receipt::verify(&signed.receipt, &identity).ok());
        Ok(receipt.filter(|receipt| receipt.batch == batch))
    })
    .await?;
    let Some(receipt) = receipt else {
        tracing::warn!(%neighbour, "a neighbour brought a receipt whose signature does not fit");
        return Ok(());
    };
    if receipt.origin == app.fingerprint {
        return settle(app, receipt).await;
    }
    let home = receipt.home;
    let source = app
        .store
        .write_freeing(move |tx| {
            let Some(row) = tx.find_relayed(&batch)? else { return Ok::<_, ServiceError>(None) };
            let fits = row.home == home && row.via == neighbour && !row.answered;
            Ok(if fits && tx.answer_relayed(&batch, neighbour, &frame)? { Some(row.source) } else { None })
        })
        .await?;
    if let Some(source) = source {
        // From here on the batch's place is its answer's.
        app.links.forget_batch(&batch);
        app.links.wake(source);
    }
    Ok(())
}

/// Takes what has arrived, or will not, off its way, and tells the senders.
async fn settle(app: &AppState, receipt: Receipt) -> Result<(), ServiceError> {
    let (now, quota) = (app.clock.now(), app.config().mail.quota());
    let home = receipt.home;
    let outcomes: Vec<(OutgoingKey, Outcome)> = receipt
        .outcomes
        .iter()
        .map(|item| {
            let ItemOutcome { from: sender, to: recipient, id: message_id, group, outcome } = *item;
            (OutgoingKey { sender, message_id, recipient, group }, outcome)
        })
        .collect();
    let (ended, later) = app
        .store
        .write_freeing(move |tx| {
            let (mut ended, mut later) = (Vec::new(), Vec::new());
            let mut told = Vec::new();
            for (key, outcome) in outcomes {
                // Only the home an envelope is for can say what became of it.
                let Some(way) = tx.on_its_way(&key)?.filter(|way| way.home == home) else { continue };
                if outcome == Outcome::Later {
                    later.push(key);
                    continue;
                }
                tx.delete_outgoing(&key)?;
                ended.push(key);
                if !way.is_copy {
                    told.push((key, outcome));
                } else if outcome != Outcome::Delivered {
                    // No sender hears of a copy: their message was delivered at the other home.
                    tracing::debug!(?outcome, "a second home does not take a copy");
                }
            }
            tell(tx, &told, now, &quota)?;
            Ok::<_, ServiceError>((ended, later))
        })
        .await?;
    for key in &ended {
        app.links.forget_envelope(key);
    }
    for key in later {
        app.links.postpone_envelope(key, app.clock.elapsed() + LATER);
    }
    Ok(())
}

/// Puts notices into the ozones of senders, one for each sender and kind of end.
fn tell(
    tx: &mut WriteTx<'_>,
    ended: &[(OutgoingKey, Outcome)],
    now: UnixMillis,
    quota: &Quota,
) -> Result<(), ServiceError> {
    let mut by_sender: BTreeMap<(ParticipantId, &str), Notice> = BTreeMap::new();
    for (key, outcome) in ended {
        let fate = if *outcome == Outcome::Delivered { Fate::Delivered } else { Fate::Undeliverable };
        let notice = by_sender.entry((key.sender, outcome.word())).or_insert_with(|| Notice {
            fate,
            // What only timed out has no reason.
            reason: Some(*outcome).filter(|outcome| !matches!(outcome, Outcome::Delivered | Outcome::Later)),
            messages: Vec::new(),
        });
        notice.messages.push(NoticedMessage { id: key.message_id, to: key.recipient });
    }
    for ((sender, _), notice) in by_sender {
        let Some(entry) = tx.directory_entry(sender)? else { continue };
        let bytes = notice.encode();
        let takers = recipients::takers_of_own(tx, &entry, sender, bytes.len(), None, quota)?;
        let envelope = NewEnvelope {
            sender,
            message_id: MessageId::new(now),
            accepted_at: now,
            bundle_version: 0,
            source: Source::Here,
            charged: Charged::Nobody,
            bytes,
        };
        tx.append(sender, &takers, envelope)?;
    }
    Ok(())
}

/// A server on the way cannot pass a batch on: what is from here waits for another way, what is from elsewhere
/// goes back.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn no_way(
    app: &AppState,
    neighbour: Fingerprint,
    batch: BatchId,
    reason: NoWay,
) -> Result<(), ServiceError> {
    tracing::info!(?reason, "a batch goes no further over a neighbour");
    let frame = Frame::Undeliverable { batch, reason }.encode();
    let source = app
        .store
        .write_freeing(move |tx| {
            let Some(row) = tx.find_relayed(&batch)? else { return Ok::<_, ServiceError>(None) };
            let fits = row.via == neighbour && !row.answered;
            Ok(if fits && tx.answer_relayed(&batch, neighbour, &frame)? { Some(row.source) } else { None })
        })
        .await?;
    if let Some(source) = source {
        app.links.forget_batch(&batch);
        app.links.wake(source);
        return Ok(());
    }
    let keys = app.links.contents(&batch);
    let Some(first) = keys.first().copied() else { return Ok(()) };
    if reason == NoWay::Malformed {
        return Ok(());
    }
    let known = app
        .store
        .write(move |tx| {
            let way = tx.on_its_way(&first)?.filter(|way| !way.is_copy);
            if let Some(way) = way {
                tx.forget_way(way.home, neighbour)?;
            }
            Ok::<_, ServiceError>(way)
        })
        .await?;
    if let Some(way) = known {
        // Another way may be found; if not, it is tried again later, and the sender is told in the end.
        let counted = app.links.count_home(neighbour, way.home, app.clock.elapsed());
        let found = match counted {
            Ok(()) => finding::find_again(app, first.sender, first.recipient).await?,
            Err(_) => None,
        };
        if found.is_some_and(|row| row.via != neighbour) {
            app.links.postpone(&batch, app.clock.elapsed());
        }
    }
    Ok(())
}

/// Notes that a batch is not taken now.
pub fn busy(app: &App, neighbour: Fingerprint, batch: BatchId, retry_after: Duration) {
    app.links.note_busy(neighbour, batch, app.clock.elapsed() + retry_after.min(REPEAT));
}

/// Returns what waits for a neighbour that is leaving: to the senders here, and to where it came from.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn return_queued(app: &App, neighbour: Fingerprint) -> Result<(), ServiceError> {
    let (now, quota) = (app.clock.now(), app.config().mail.quota());
    loop {
        let ended = app
            .store
            .write_freeing(move |tx| {
                let keys = tx.outgoing_over(neighbour, STEP)?;
                end(tx, &keys, now, &quota)?;
                Ok::<_, ServiceError>(keys)
            })
            .await?;
        if ended.is_empty() {
            break;
        }
        ended.iter().for_each(|(key, _)| app.links.forget_envelope(key));
    }
    app.store
        .write_freeing(move |tx| {
            while let batches @ [_, ..] = &tx.relayed_over(neighbour, STEP)?[..] {
                for batch in batches {
                    let answer = Frame::Undeliverable { batch: *batch, reason: NoWay::NoRoute };
                    tx.answer_relayed(batch, neighbour, &answer.encode())?;
                }
            }
            tx.delete_relayed_from(neighbour)?;
            Ok::<_, ServiceError>(tx.forget_ways_over(neighbour)?)
        })
        .await?;
    app.links.close(neighbour);
    Ok(())
}

/// Takes envelopes off their way whose time is over, and tells their senders.
fn end(
    tx: &mut WriteTx<'_>,
    rows: &[(OutgoingKey, bool)],
    now: UnixMillis,
    quota: &Quota,
) -> Result<(), ServiceError> {
    for (key, _) in rows {
        tx.delete_outgoing(key)?;
    }
    let told = rows.iter().filter(|(_, is_copy)| !is_copy);
    let ended: Vec<_> = told.map(|(key, _)| (*key, Outcome::Later)).collect();
    tell(tx, &ended, now, quota)
}

/// Ends what has waited since before `before`; what passes through, and what is known of others, goes too.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn expire(app: &App, before: Tick) -> Result<u64, ServiceError> {
    let (now, quota) = (app.clock.now(), app.config().mail.quota());
    let mut count = 0;
    loop {
        let ended = app
            .store
            .write_freeing(move |tx| {
                let keys = tx.outgoing_before(before, STEP)?;
                end(tx, &keys, now, &quota)?;
                Ok::<_, ServiceError>(keys)
            })
            .await?;
        if ended.is_empty() {
            break;
        }
        count += ended.len() as u64;
        ended.iter().for_each(|(key, _)| app.links.forget_envelope(key));
    }
    app.store
        .write_freeing(move |tx| {
            tx.forget_relayed(before)?;
            tx.forget_posted_elsewhere(before)?;
            Ok::<_, ServiceError>(tx.forget_remote(before)?)
        })
        .await?;
    Ok(count)
}
