//! Device lists: adding devices, and what follows when one is revoked.
//!
//! Whatever a device may still have under way when it is revoked fails: what changes keys, devices or the key backup looks
//! in its own transaction whether the device, or the recovery code, that it goes back to still counts.

use momedo_protocol::api::{self, DeviceJoined, JoinedHow};
use momedo_protocol::device_list::{DeviceListError, DeviceListPayload};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::key_log::KeyLogEntry;
use momedo_protocol::time::UnixMillis;

use super::documents::{jws_text, stored_jws};
use super::error::compute;
use super::{ServiceError, key_backup, key_log, second_home};
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::{DeviceRow, ReadTx, WriteTx};

/// Up to how many envelopes are counted that wait for a device: whoever has thousands need not know how many, and every
/// stream is told whenever another one comes or goes.
const MAX_COUNTED: u64 = 256;

/// A participant's devices, for themselves.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, participant: ParticipantId) -> Result<api::Devices, ServiceError> {
    let (list, rows) = app
        .store
        .read(move |tx| {
            let (_, list) = tx.device_list(participant)?.ok_or(ServiceError::UnknownParticipant)?;
            let mut rows = Vec::new();
            for device in tx.list_devices(participant)? {
                let waiting = tx.count_waiting_up_to(device.id, MAX_COUNTED)?;
                rows.push((device, waiting));
            }
            Ok::<_, ServiceError>((list, rows))
        })
        .await?;
    let state = |(row, waiting): (DeviceRow, u64)| api::DeviceState {
        id: row.id,
        online: app.hub.is_online(participant, row.id),
        waiting,
        parked: row.parked,
        joined: row.joined,
    };
    Ok(api::Devices { device_list: stored_jws(&list)?, devices: rows.into_iter().map(state).collect() })
}

/// Takes a list that adds or changes devices. Removing one needs new keys as well, so that goes through
/// [`super::key_server::offer`].
///
/// # Errors
/// [`ServiceError::DeviceList`], [`ServiceError::KeyRule`] or [`ServiceError::RevokingNeedsNewKeys`].
pub async fn update(
    app: &App,
    principal: Principal,
    request: api::DeviceListRequest,
) -> Result<(), ServiceError> {
    add(app, principal.participant, Adding::Linked(principal), request).await
}

/// Who adds devices.
#[derive(Debug, Clone, Copy)]
pub(super) enum Adding {
    /// A listed device.
    Linked(Principal),
    /// Somebody without a session who knows the recovery code of a slot with this lock.
    Recovered([u8; 32]),
}

/// Refuses what a device began before it was revoked.
///
/// # Errors
/// [`ServiceError::DeviceRevoked`].
pub(super) fn require_listed(tx: &ReadTx<'_>, principal: Principal) -> Result<(), ServiceError> {
    let row = tx.find_device(principal.device)?;
    let is_listed = row.is_some_and(|row| row.participant == principal.participant && !row.revoked);
    if is_listed { Ok(()) } else { Err(ServiceError::DeviceRevoked) }
}

/// As [`update`], whoever adds it.
///
/// # Errors
/// As [`update`], [`ServiceError::DeviceRevoked`], or [`ServiceError::KeyBackupRefused`] when the recovery code counts no
/// more.
pub(super) async fn add(
    app: &App,
    id: ParticipantId,
    adding: Adding,
    request: api::DeviceListRequest,
) -> Result<(), ServiceError> {
    let current = app
        .store
        .read(move |tx| {
            second_home::require_first(tx, id)?;
            Ok::<_, ServiceError>(tx.current_bundle(id)?)
        })
        .await?;
    let bundle = current.ok_or(ServiceError::UnknownParticipant)?.bundle;
    let (jws, list, signed_with) = compute(move || {
        let bundle = KeyBundle::verify(&stored_jws(&bundle)?)?;
        let list = DeviceListPayload::verify(&request.device_list, &bundle.signature_key)?;
        Ok((request.device_list, list, bundle.payload.version))
    })
    .await?;
    let subject = key_log::own_subject(app, id).await?.of_devices();
    let (server, at) = (app.fingerprint, app.clock.now());
    app.store
        .write(move |tx| {
            let joined = match adding {
                Adding::Linked(principal) => {
                    require_listed(tx, principal)?;
                    DeviceJoined { at, how: JoinedHow::Linked, by: Some(principal.device) }
                }
                Adding::Recovered(lock) => {
                    let by = key_backup::opened_with(tx, id, &lock)?.made_by;
                    DeviceJoined { at, how: JoinedHow::Recovered, by }
                }
            };
            // The signature was checked against the bundle read before; it must still be the current one.
            if tx.current_bundle(id)?.map(|row| row.version) != Some(signed_with) {
                return Err(ServiceError::KeyRule("the keys changed meanwhile: sign the device list again"));
            }
            let known = tx.list_devices(id)?;
            let removes = known.iter().any(|device| list.devices.iter().all(|entry| entry.id() != device.id));
            if removes {
                return Err(ServiceError::RevokingNeedsNewKeys);
            }
            let adds = list.devices.iter().any(|entry| known.iter().all(|device| entry.id() != device.id));
            apply(tx, id, &jws, &list, joined)?;
            if adds {
                // Whoever follows the log hears of it: the own devices, and contacts.
                let digest = digest_of(&jws)?;
                let entry = KeyLogEntry { subject, version: list.version, digest, made_at: at };
                tx.append_entry_to_key_log(server, &entry)?;
            }
            Ok(())
        })
        .await?;
    app.key_log.note_change();
    app.links.telling.notify_one();
    Ok(())
}

/// The digest of a signed list.
pub(super) fn digest_of(list: &Jws) -> Result<Sha512Digest, ServiceError> {
    let payload = list.unverified_payload().map_err(DeviceListError::from)?;
    Ok(Sha512Digest::of(&payload))
}

/// Checks that a list is the participant's next one.
pub(super) fn check_follows(
    list: &DeviceListPayload,
    id: ParticipantId,
    current_version: u64,
) -> Result<(), ServiceError> {
    if list.id != id {
        return Err(DeviceListError::Field("the device list is for another participant").into());
    }
    if list.version != current_version + 1 {
        return Err(DeviceListError::Field("the version of the device list must rise by one").into());
    }
    Ok(())
}

/// Puts a verified list into force; returns the devices it revoked. Those it adds joined as `joined` says.
pub(super) fn apply(
    tx: &mut WriteTx<'_>,
    id: ParticipantId,
    jws: &Jws,
    list: &DeviceListPayload,
    joined: DeviceJoined,
) -> Result<Vec<DeviceId>, ServiceError> {
    check_follows(list, id, tx.device_list(id)?.map_or(0, |(version, _)| version))?;
    let known: Vec<_> = tx.list_devices(id)?.into_iter().map(|device| device.id).collect();
    let revoked = put(tx, id, jws, list, joined.at)?;
    for entry in list.devices.iter().filter(|entry| !known.contains(&entry.id())) {
        tx.note_device_joined(entry.id(), &joined)?;
    }
    Ok(revoked)
}

/// As [`apply`], for a list that may be several versions newer; returns the devices it revoked.
pub(super) fn put(
    tx: &mut WriteTx<'_>,
    id: ParticipantId,
    jws: &Jws,
    list: &DeviceListPayload,
    now: UnixMillis,
) -> Result<Vec<DeviceId>, ServiceError> {
    for entry in &list.devices {
        if let Some(known) = tx.find_device(entry.id())? {
            if known.participant != id {
                return Err(ServiceError::KeyRule("a device in the list belongs to another participant"));
            }
            if known.revoked {
                return Err(ServiceError::KeyRule("a device in the list was revoked; give it new keys"));
            }
        }
        tx.upsert_device(entry.id(), id, &entry.key_digest(), &entry.login_key.0)?;
    }
    let mut revoked = Vec::new();
    for device in tx.list_devices(id)? {
        if list.devices.iter().all(|entry| entry.id() != device.id) {
            tx.drop_queue(device.id)?;
            tx.revoke_device(device.id, now)?;
            revoked.push(device.id);
        }
    }
    tx.set_device_list(id, list.version, &jws_text(jws)?)?;
    Ok(revoked)
}

/// Ends sessions and streams of revoked devices, and links that wait for a new one: any of them may be the revoked
/// device's.
pub(super) fn end(app: &App, id: ParticipantId, revoked: &[DeviceId]) {
    if !revoked.is_empty() {
        app.device_links.close_all_of(id);
    }
    for device in revoked {
        app.sessions.end_device(*device);
        app.hub.disconnect(id, *device);
    }
}

#[cfg(test)]
mod tests;
