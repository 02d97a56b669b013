//! The key backup: a slot the participant's clients seal, fetched without a session by who knows its secret,
//! and a device that joins by what was in it.

use momedo_protocol::api;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_backup::lock_of;
use momedo_protocol::limits::MAX_KEY_BACKUP_BYTES;
use subtle::ConstantTimeEq;

use super::devices::{self, Adding};
use super::{ServiceError, key_server};
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::{KeyBackupRow, NewSlot, ParticipantState, ReadTx};

/// Replaces the participant's slot, or renews it: then only while the slot it renews is there, so that nothing brings
/// back a recovery code that a revocation ended.
///
/// # Errors
/// [`ServiceError::Malformed`], [`ServiceError::BodyTooLarge`], or [`ServiceError::KeyBackupOutdated`] when
/// another device was faster or the slot to be renewed is there no more.
pub async fn store(
    app: &App,
    principal: Principal,
    request: api::KeyBackupRequest,
) -> Result<(), ServiceError> {
    let id = principal.participant;
    app.rates.publication(id, app.clock.elapsed())?;
    let lock = request.lock.0.as_slice().try_into();
    let lock: [u8; 32] = lock.map_err(|_| ServiceError::Malformed("a lock has 32 bytes".into()))?;
    if request.slot.0.len() > MAX_KEY_BACKUP_BYTES {
        return Err(ServiceError::BodyTooLarge { limit: MAX_KEY_BACKUP_BYTES });
    }
    if request.version == 0 || request.version > u64::from(u32::MAX) {
        return Err(ServiceError::Malformed("the version of a key backup starts at 1".into()));
    }
    let now = app.clock.now();
    app.store
        .write(move |tx| {
            devices::require_listed(tx, principal)?;
            let known = tx.find_key_backup(id)?;
            if known.as_ref().is_some_and(|row| row.version >= request.version)
                || (request.renews && known.and_then(|row| row.lock) != Some(lock))
            {
                return Err(ServiceError::KeyBackupOutdated);
            }
            let slot = NewSlot {
                version: request.version,
                lock: &lock,
                bytes: &request.slot.0,
                device: principal.device,
            };
            Ok(tx.set_key_backup(id, &slot, now)?)
        })
        .await
}

/// What is known of the participant's own slot, or of what ended it.
///
/// # Errors
/// [`ServiceError::NoKeyBackup`] where there never was one.
pub async fn state(app: &App, principal: Principal) -> Result<api::KeyBackupState, ServiceError> {
    let row = app.store.read(move |tx| tx.find_key_backup(principal.participant)).await?;
    let row = row.ok_or(ServiceError::NoKeyBackup)?;
    Ok(api::KeyBackupState {
        version: row.version,
        slot: row.lock.map(|lock| api::KeyBackupSlot {
            lock: Base64Bytes(lock.to_vec()),
            bytes: row.bytes,
            stored_at: row.stored_at,
            fetched_at: row.fetched_at,
            made_at: row.made_at,
            made_by: row.made_by,
        }),
        ended: row.ended_at.map(|at| api::KeyBackupEnd { at, by: row.ended_by }),
    })
}

/// Removes the participant's own slot.
///
/// # Errors
/// [`ServiceError::NoKeyBackup`].
pub async fn delete(app: &App, principal: Principal) -> Result<(), ServiceError> {
    let now = app.clock.now();
    app.store
        .write_freeing(move |tx| {
            devices::require_listed(tx, principal)?;
            let ended = tx.end_key_backup(principal.participant, now, Some(principal.device))?;
            if ended { Ok(()) } else { Err(ServiceError::NoKeyBackup) }
        })
        .await
}

/// A slot for who knows its secret, with what a new device has to know besides.
///
/// # Errors
/// [`ServiceError::KeyBackupRefused`] for a wrong secret, an ID nobody has and one without a slot alike, or
/// [`ServiceError::Disabled`].
pub async fn fetch(app: &App, request: api::KeyBackupFetchRequest) -> Result<api::KeyBackup, ServiceError> {
    let (id, now) = (request.id, app.clock.now());
    let lock = open(app, id, &request.fetch_secret).await?;
    let keys = key_server::own_keys(app, id, 0).await?;
    let devices = devices::list(app, id).await?;
    let (row, slot) = app
        .store
        .write(move |tx| {
            // It may have ended, or been replaced, since the secret was found right.
            let row = opened_with(tx, id, &lock)?;
            let slot = tx.key_backup_slot(id)?.ok_or(ServiceError::KeyBackupRefused)?;
            tx.mark_key_backup_fetched(id, now)?;
            Ok::<_, ServiceError>((row, slot))
        })
        .await?;
    Ok(api::KeyBackup { version: row.version, slot: Base64Bytes(slot), keys, devices })
}

/// Adds a device for who knows the secret *and* signs with the participant's signature key.
///
/// # Errors
/// As [`fetch`] and [`devices::update`], or [`ServiceError::KeyRule`] while an admin's key reset is open.
pub async fn add_device(app: &App, request: api::RecoverDeviceRequest) -> Result<(), ServiceError> {
    let id = request.id;
    let lock = open(app, id, &request.fetch_secret).await?;
    // Charged to the participant, so only once it is them.
    app.rates.publication(id, app.clock.elapsed())?;
    devices::add(
        app,
        id,
        Adding::Recovered(lock),
        api::DeviceListRequest { device_list: request.device_list },
    )
    .await
}

/// The participant's slot, if this lock is still its own.
pub(super) fn opened_with(
    tx: &ReadTx<'_>,
    id: ParticipantId,
    lock: &[u8; 32],
) -> Result<KeyBackupRow, ServiceError> {
    let row = tx.find_key_backup(id)?.filter(|row| row.lock.as_ref() == Some(lock));
    row.ok_or(ServiceError::KeyBackupRefused)
}

/// Lets somebody on who knows the secret of a slot; answers the slot's lock.
async fn open(app: &App, id: ParticipantId, secret: &Base64Bytes) -> Result<[u8; 32], ServiceError> {
    let (row, state, was_reset) = app.store.read(move |tx| look(tx, id)).await?;
    // The same work for everybody, so that nobody learns who has a backup.
    let known = row.and_then(|row| row.lock);
    let lock = known.unwrap_or([0; 32]);
    let given: [u8; 32] = secret.0.as_slice().try_into().unwrap_or([0; 32]);
    let fits = bool::from(lock_of(&given).ct_eq(&lock));
    if !fits || known.is_none() {
        return Err(ServiceError::KeyBackupRefused);
    }
    if was_reset {
        return Err(ServiceError::KeyRule(
            "an admin has reset the keys of this ID: register with the new invite",
        ));
    }
    if state == Some(ParticipantState::Active) { Ok(lock) } else { Err(ServiceError::Disabled) }
}

type Looked = (Option<KeyBackupRow>, Option<ParticipantState>, bool);

fn look(tx: &ReadTx<'_>, id: ParticipantId) -> Result<Looked, ServiceError> {
    let participant = tx.find_participant(id)?;
    let was_reset = participant.as_ref().is_some_and(|row| row.key_reset_allowed);
    Ok((tx.find_key_backup(id)?, participant.map(|row| row.state), was_reset))
}

#[cfg(test)]
mod tests;
