//! Device lists: adding devices, and what follows when one is revoked.

use momedo_protocol::api;
use momedo_protocol::device_list::{DeviceListError, DeviceListPayload};
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;

use super::error::compute;
use super::key_server::{jws_text, stored_jws};
use super::{ServiceError, second_home};
use crate::sessions::Principal;
use crate::state::App;
use crate::store::WriteTx;

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
                rows.push((device.id, device.parked, tx.count_waiting(device.id)?));
            }
            Ok::<_, ServiceError>((list, rows))
        })
        .await?;
    let state = |(id, parked, waiting)| api::DeviceState {
        id,
        online: app.hub.is_online(participant, id),
        waiting,
        parked,
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
    replace(app, principal.participant, request).await
}

/// As [`update`], for a device that has no session yet: its owner was recognised by a recovery code.
///
/// # Errors
/// As [`update`].
pub(super) async fn add(
    app: &App,
    id: ParticipantId,
    request: api::DeviceListRequest,
) -> Result<(), ServiceError> {
    replace(app, id, request).await
}

async fn replace(app: &App, id: ParticipantId, request: api::DeviceListRequest) -> Result<(), ServiceError> {
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
    app.store
        .write(move |tx| {
            // The signature was checked against the bundle read before; it must still be the current one.
            if tx.current_bundle(id)?.map(|row| row.version) != Some(signed_with) {
                return Err(ServiceError::KeyRule("the keys changed meanwhile: sign the device list again"));
            }
            let removes = tx
                .list_devices(id)?
                .iter()
                .any(|device| list.devices.iter().all(|entry| entry.id() != device.id));
            if removes {
                return Err(ServiceError::RevokingNeedsNewKeys);
            }
            apply(tx, id, &jws, &list).map(drop)
        })
        .await?;
    app.links.telling.notify_one();
    Ok(())
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

/// Puts a verified list into force; returns the devices it revoked.
pub(super) fn apply(
    tx: &mut WriteTx<'_>,
    id: ParticipantId,
    jws: &Jws,
    list: &DeviceListPayload,
) -> Result<Vec<DeviceId>, ServiceError> {
    check_follows(list, id, tx.device_list(id)?.map_or(0, |(version, _)| version))?;
    put(tx, id, jws, list)
}

/// As [`apply`], for a list that may be several versions newer; returns the devices it revoked.
pub(super) fn put(
    tx: &mut WriteTx<'_>,
    id: ParticipantId,
    jws: &Jws,
    list: &DeviceListPayload,
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
            tx.revoke_device(device.id)?;
            revoked.push(device.id);
        }
    }
    tx.set_device_list(id, list.version, &jws_text(jws)?)?;
    Ok(revoked)
}

/// Ends sessions and streams of revoked devices.
pub(super) fn end(app: &App, id: ParticipantId, revoked: &[DeviceId]) {
    for device in revoked {
        app.sessions.end_device(*device);
        app.hub.disconnect(id, *device);
    }
}
