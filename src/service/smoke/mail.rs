//! Offline copies: keeping them, handing them over, and noting that they were read.

use std::collections::HashMap;

use crate::domain::smoke::{MAX_BODY_BYTES, choose_release, has_room};
use crate::service::ServiceError;
use crate::state::App;

/// A message to be handed over.
#[derive(Debug)]
pub struct Released {
    /// Its number.
    pub number: i64,
    /// What was stored.
    pub body: Vec<u8>,
}

/// What became of an offline copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is on disk.
    Stored,
    /// It was there, or has been read.
    Known,
    /// Too large, or too much waits for this participant.
    NoRoom,
    /// The participant was deleted a moment ago.
    Gone,
}

/// Keeps an offline copy for a participant; durable when answered.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn keep(app: &App, participant: i64, body: Vec<u8>) -> Result<Kept, ServiceError> {
    if body.len() > MAX_BODY_BYTES {
        return Ok(Kept::NoRoom);
    }
    let max_bytes = app.config().mail.max_queue_bytes;
    let digest = momedo_smoke::sha512(&body);
    app.store
        .write_decided(move |tx| {
            if tx.is_smoke_message_known(participant, &digest)? {
                return Ok(Kept::Known);
            }
            if !tx.is_smoke_participant(participant)? {
                return Ok(Kept::Gone);
            }
            if !has_room(tx.smoke_queue_size(participant)?, body.len() as u64, max_bytes) {
                return Ok(Kept::NoRoom);
            }
            tx.insert_smoke_message(participant, &digest, &body)?;
            Ok(Kept::Stored)
        })
        .await
}

/// Takes what is to be handed over to these participants now, and notes that it was. `given` says how often
/// this connection was given each message.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn release(
    app: &App,
    participants: Vec<i64>,
    given: &HashMap<i64, u8>,
) -> Result<Vec<Released>, ServiceError> {
    let now = app.clock.now();
    let asked = participants.clone();
    let waiting = app.store.read(move |tx| Ok::<_, ServiceError>(tx.waiting_smoke_messages(&asked)?)).await?;
    let chosen = choose_release(waiting, given);
    let fresh: Vec<i64> = chosen.iter().filter(|one| !one.released).map(|one| one.number).collect();
    app.store
        .write_freeing(move |tx| {
            for participant in participants {
                tx.mark_smoke_participant_seen(participant, now)?;
            }
            Ok::<_, ServiceError>(tx.mark_smoke_messages_released(&fresh)?)
        })
        .await?;
    app.store
        .read(move |tx| {
            let mut released = Vec::with_capacity(chosen.len());
            for message in chosen {
                if let Some(body) = tx.smoke_message_body(message.number)? {
                    released.push(Released { number: message.number, body });
                }
            }
            Ok(released)
        })
        .await
}

/// Notes that one of these participants read the message with this digest.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn note_read(app: &App, participants: Vec<i64>, digest: [u8; 64]) -> Result<(), ServiceError> {
    app.store
        .write_freeing(move |tx| {
            for participant in participants {
                tx.mark_smoke_message_read(participant, &digest)?;
            }
            Ok(())
        })
        .await
}

/// Deletes what was stored longer ago than the retention, by served time. What was read is remembered as long as
/// it would have waited, so that it does not come back. How many messages nobody read.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn expire(app: &App) -> Result<u64, ServiceError> {
    // Before one retention has passed this is tick 0, and nothing is older.
    let before = app.store.tick().minus_days(app.config().mail.retention_days);
    app.store.write_freeing(move |tx| Ok(tx.expire_smoke_messages(before)?)).await
}
