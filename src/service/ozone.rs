//! Fetching and acknowledging: a device's own queue, and nobody else's.

use std::time::Duration;

use momedo_protocol::api;
use momedo_protocol::cursor::Cursor;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::limits::{MAX_OZONE_PAGE, SUPERSEDED_BUNDLE_DAYS};

use super::ServiceError;
use crate::domain::limits::MAX_PAGE_BYTES;
use crate::domain::ozone::AcknowledgementError;
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::ozones::Waiting;

impl From<AcknowledgementError> for ServiceError {
    fn from(error: AcknowledgementError) -> Self {
        match error {
            AcknowledgementError::OtherEpoch => Self::OtherEpoch,
            AcknowledgementError::NotHandedOut => Self::NotHandedOut,
        }
    }
}

/// Where a device's reading starts: after its cursor, or at the beginning when that is from another life
/// of the store.
pub fn start(app: &App, after: Option<Cursor>) -> u64 {
    after.filter(|cursor| cursor.epoch == app.store.epoch()).map_or(0, |cursor| cursor.sequence)
}

/// A page of what waits for the device; with `wait`, an empty answer is held back until something arrives
/// or the time is up.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn page(
    app: &App,
    principal: Principal,
    after: Option<Cursor>,
    limit: usize,
    wait: Duration,
) -> Result<api::OzonePage, ServiceError> {
    let limit = limit.clamp(1, MAX_OZONE_PAGE);
    let first = read_page(app, principal, after, limit).await?;
    if !first.messages.is_empty() || wait.is_zero() {
        return Ok(first);
    }
    let listening = app.hub.listen(principal.participant, principal.device);
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        // What arrived between the first look and the listening is found by this one.
        let page = read_page(app, principal, after, limit).await?;
        if !page.messages.is_empty() || listening.is_closed() {
            return Ok(page);
        }
        if tokio::time::timeout_at(deadline, listening.changed()).await.is_err() {
            return Ok(page);
        }
    }
}

async fn read_page(
    app: &App,
    principal: Principal,
    after: Option<Cursor>,
    limit: usize,
) -> Result<api::OzonePage, ServiceError> {
    let (participant, device) = (principal.participant, principal.device);
    let after = start(app, after);
    let (waiting, state, oldest_bundle_version) = app
        .store
        .read(move |tx| {
            let waiting = tx.waiting(device, after, limit, MAX_PAGE_BYTES)?;
            let since = tx.tick().minus_days(SUPERSEDED_BUNDLE_DAYS);
            Ok::<_, ServiceError>((
                waiting,
                tx.queue_state(device)?,
                tx.oldest_bundle_in_use(participant, since)?,
            ))
        })
        .await?;
    let epoch = app.store.epoch();
    // Only what exists counts as handed out, whatever place the client asked from.
    if let Some(last) = waiting.last() {
        app.hub.hand_out(device, last.sequence);
    }
    let nothing_new = state.last_removed.max(after.min(app.hub.handed_out(device)));
    let last = waiting.last().map_or(nothing_new, |last| last.sequence);
    let delivery = |Waiting { sequence, envelope, slot }| api::Delivery {
        cursor: Cursor { epoch, sequence },
        from: envelope.sender,
        id: envelope.message_id,
        accepted_at: envelope.accepted_at,
        group: envelope.group,
        slot: slot.map(|slot| Base64Bytes(slot.to_vec())),
        envelope: Base64Bytes(envelope.bytes),
    };
    Ok(api::OzonePage {
        messages: waiting.into_iter().map(delivery).collect(),
        cursor: Cursor { epoch, sequence: last },
        missed: state.missed,
        oldest_bundle_version,
    })
}

/// Deliveries after `after`, for a stream that has room for `limit` of them and about `max_bytes`.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn read_on(
    app: &App,
    principal: Principal,
    after: u64,
    limit: usize,
    max_bytes: u64,
) -> Result<Vec<Waiting>, ServiceError> {
    let device = principal.device;
    app.store.read(move |tx| Ok(tx.waiting(device, after, limit, max_bytes)?)).await
}

/// What a stream tells at its start: how much was missed, and up to where the queue was emptied before.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn queue_state(
    app: &App,
    principal: Principal,
) -> Result<crate::store::ozones::QueueState, ServiceError> {
    let device = principal.device;
    app.store.read(move |tx| Ok(tx.queue_state(device)?)).await
}

/// Empties the device's queue up to the cursor.
///
/// # Errors
/// [`ServiceError::OtherEpoch`] or [`ServiceError::NotHandedOut`].
pub async fn acknowledge(
    app: &App,
    principal: Principal,
    cursor: Cursor,
) -> Result<api::Acknowledged, ServiceError> {
    check_acknowledgement(app, principal, cursor)?;
    let device = principal.device;
    app.store
        .write_freeing_decided(move |tx| {
            tx.acknowledge(device, cursor.sequence)?;
            Ok(api::Acknowledged { cursor })
        })
        .await
}

/// Checks a cursor before it empties anything.
///
/// # Errors
/// As [`AcknowledgementError`] says.
pub fn check_acknowledgement(
    app: &App,
    principal: Principal,
    cursor: Cursor,
) -> Result<(), AcknowledgementError> {
    if cursor.epoch != app.store.epoch() {
        return Err(AcknowledgementError::OtherEpoch);
    }
    if cursor.sequence > app.hub.handed_out(principal.device) {
        return Err(AcknowledgementError::NotHandedOut);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
