//! A participant's devices: adding one, listing them, and revoking one with everything that follows.

use std::time::Duration;

use futures_util::future::try_join;
use momedo_protocol::api;
use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
use momedo_protocol::id::DeviceId;
use momedo_protocol::jws::Jws;
use web_time::Instant;

pub use crate::adopting::adopt_published_keys;
pub use crate::device_lists::list;
use crate::device_lists::{active, has};
use crate::groups::keys::confirm_waiting;
use crate::groups::looking::look_for_group_keys;
use crate::groups::renewing;
use crate::platform::keys::KeyUse;
use crate::profile::{Place, Profile};
use crate::progress::{Progress, Step};
use crate::rotation::{self, Replacement};
use crate::secrets::{DeviceKeys, MadeKey, NewKeys};
use crate::session::Session;
use crate::signing::signed;
use crate::{ClientError, held, key_backup, key_log, known_devices, now};

/// Setting of a new device's profile: its entry, until the server is known to have it.
const ADDING: &str = "adding";

/// Adds a device: makes its profile in `place`, with the participant's keys and device keys of its own.
///
/// Called again with the same `place` after an error or an interruption, it goes on with the keys made
/// before, whether or not the server had got them.
///
/// # Errors
/// As [`ClientError`] says; the new profile stays if the server may have taken the device, and else does not
/// exist.
pub async fn add(
    profile: &Profile,
    place: &dyn Place,
    name: &str,
    language: &str,
    progress: Progress<'_>,
) -> Result<(Profile, DeviceId), ClientError> {
    let mut session = profile.log_in(language).await?;
    adopt_published_keys(profile, &mut session).await?;
    // A group key that waits here unread would never reach the new device.
    look_for_group_keys(profile, &mut session).await?;
    confirm_waiting(profile, &mut session).await?;
    let (current, _) = list(profile, &mut session).await?;
    let (new, entry) = match begun(profile, place)? {
        Some(begun) => begun,
        None => {
            progress(Step::MakingKeys);
            let keys = DeviceKeys::make(&profile.platform).await?;
            begin(profile, place, &keys, keys.entry(name))?
        }
    };
    let device = entry.id();
    if !has(&current, device)
        && let Err(error) = offer(profile, &new, &mut session, current, entry).await
    {
        // Perhaps only the answer was lost.
        match list(profile, &mut session).await {
            Ok((current, _)) if has(&current, device) => {}
            Ok(_) if !error.is_temporary() => {
                new.discard();
                return Err(error);
            }
            // It may be on its way still, so its keys are kept.
            _ => return Err(error),
        }
    }
    new.remove(ADDING)?;
    Ok((new, device))
}

/// The profile of a device whose adding was begun and not finished, if there is one in `place`.
fn begun(profile: &Profile, place: &dyn Place) -> Result<Option<(Profile, DeviceEntry)>, ClientError> {
    if !place.exists() {
        return Ok(None);
    }
    let new = place.open()?;
    match new.get(ADDING)? {
        Some(entry) if new.id()? == profile.id()? && new.server()? == profile.server()? => {
            Ok(Some((new, entry)))
        }
        _ => Err(place.exists_already()),
    }
}

/// Makes the profile of a device that the server does not know yet.
fn begin(
    profile: &Profile,
    place: &dyn Place,
    keys: &DeviceKeys,
    entry: DeviceEntry,
) -> Result<(Profile, DeviceEntry), ClientError> {
    let new = place.create()?;
    let filled = new.atomically(|| {
        new.store_device_keys(keys)?;
        let server = profile.server()?;
        new.set("addresses", &server.addresses)?;
        new.set("server", &server.fingerprint)?;
        new.set("name", &profile.get::<String>("name")?)?;
        new.set("device", &entry.id())?;
        new.set(ADDING, &entry)?;
        new.set("id", &profile.id()?)
    });
    match filled {
        Ok(()) => Ok((new, entry)),
        Err(error) => {
            new.discard();
            Err(error)
        }
    }
}

/// Gives the device what the participant's devices have in common, then adds it to the list.
async fn offer(
    profile: &Profile,
    new: &Profile,
    session: &mut Session,
    mut list: DeviceListPayload,
    entry: DeviceEntry,
) -> Result<(), ClientError> {
    // Anew each time: the keys may have changed since it was begun.
    new.atomically(|| {
        new.copy_participant_keys(profile)?;
        new.copy_contacts(profile)?;
        key_log::watch_later(new, &profile.contact_ids()?)?;
        new.copy_groups(profile)?;
        new.set("bundle", &profile.get::<momedo_protocol::jws::Jws>("bundle")?)?;
        held::copy(new, profile)
    })?;
    list.devices.push(entry.clone());
    list.version += 1;
    list.issued_at = now();
    let device_list = signed(&list, &[&profile.signature_key().await?]).await?;
    session.update_devices(&api::DeviceListRequest { device_list: device_list.clone() }).await?;
    held::note_list(new, &list, &device_list)?;
    added(profile, session, &list, &device_list, &entry).await
}

/// Notes a list with a device that this one added, and the log that tells of it.
async fn added(
    profile: &Profile,
    session: &mut Session,
    list: &DeviceListPayload,
    device_list: &Jws,
    entry: &DeviceEntry,
) -> Result<(), ClientError> {
    held::note_list(profile, list, device_list)?;
    Box::pin(key_log::follow_published(profile, session)).await;
    known_devices::know_device(profile, entry)
}

/// Adds a device to the list; finds out by itself whether it counts when the answer is lost.
pub(crate) async fn publish_entry(
    profile: &Profile,
    session: &mut Session,
    entry: &DeviceEntry,
) -> Result<(), ClientError> {
    let mut list = active(profile, session).await?;
    list.devices.push(entry.clone());
    list.version += 1;
    list.issued_at = now();
    let device_list = signed(&list, &[&profile.signature_key().await?]).await?;
    let request = api::DeviceListRequest { device_list: device_list.clone() };
    let Err(error) = session.update_devices(&request).await else {
        return added(profile, session, &list, &device_list, entry).await;
    };
    match active(profile, session).await {
        Ok(current) if has(&current, entry.id()) => known_devices::know_device(profile, entry),
        _ => Err(error),
    }
}

/// Revokes devices: new signature and encryption keys, sealed to every device that stays, and a list without the
/// revoked ones. Afterwards nothing sealed or signed with the old keys counts, and no recovery code of before. Answers
/// whether there is none any more.
///
/// Whoever stole a device can have added others with it, which would get the new keys: those that joined through a
/// revoked one, or one that an admin locked out, are revoked, too, or named in `kept`.
///
/// # Errors
/// [`ClientError::JoinedThrough`] for a device that is in neither list, or as [`ClientError`] says; before the server
/// has taken the new bundle, nothing has changed.
pub async fn revoke(
    profile: &Profile,
    revoked: &[DeviceId],
    kept: &[DeviceId],
    language: &str,
    progress: Progress<'_>,
) -> Result<Option<String>, ClientError> {
    let mut session = profile.log_in(language).await?;
    adopt_published_keys(profile, &mut session).await?;
    let (list, states) = list(profile, &mut session).await?;
    let through = [revoked, &known_devices::locked_out(&list, &states)[..]].concat();
    let joined = known_devices::joined_through(&states, &through, session.device);
    let unclear = list.devices.iter().filter(|entry| {
        let id = entry.id();
        joined.contains(&id) && !kept.contains(&id)
    });
    let unclear: Vec<_> = unclear.map(|entry| (entry.id(), entry.name.clone())).collect();
    if !unclear.is_empty() {
        return Err(ClientError::JoinedThrough(unclear));
    }
    revoke_all(profile, &mut session, (list, states), revoked, progress).await?;
    match key_backup::state(profile, &mut session).await {
        Ok(Some((state, _))) => known_devices::ended(profile, &state),
        // It was done; that is said with the next messages.
        _ => Ok(None),
    }
}

/// Revokes every device but this one.
///
/// # Errors
/// As [`revoke`].
pub async fn revoke_others(
    profile: &Profile,
    session: &mut Session,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    let (list, states) = list(profile, session).await?;
    let own = profile.device()?;
    let others: Vec<_> = list.devices.iter().map(DeviceEntry::id).filter(|id| *id != own).collect();
    revoke_all(profile, session, (list, states), &others, progress).await
}

/// Revokes several devices in one step. Those that stay get the new keys: the ones that were judged, and none that was
/// added in between.
///
/// # Errors
/// As [`revoke`].
pub(crate) async fn revoke_all(
    profile: &Profile,
    session: &mut Session,
    (mut list, states): (DeviceListPayload, Vec<api::DeviceState>),
    devices: &[DeviceId],
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    if devices.contains(&profile.device()?) {
        return Err(ClientError::Protocol("a device cannot revoke itself: use another one".into()));
    }
    if let Some(device) = devices.iter().find(|device| !has(&list, **device)) {
        return Err(ClientError::Protocol(format!("no device {device} is in your list")));
    }
    list.devices
        .retain(|entry| !devices.contains(&entry.id()) && states.iter().any(|state| state.id == entry.id()));
    progress(Step::MakingKeys);
    let (signature_key, keys) =
        try_join(MadeKey::make(&profile.platform, KeyUse::Signing), NewKeys::make(&profile.platform)).await?;
    let staying = list.devices.clone();
    list.version += 1;
    list.issued_at = now();
    let replacement = Replacement { signature_key: Some(signature_key), keys, device_list: Some(list) };
    renewing::note_all(profile)?;
    rotation::publish(profile, session, &staying, replacement, progress).await?;
    known_devices::forget_devices(profile, devices)?;
    // The revoked device knows every group's key, so every group has to hear of it.
    let deadline = Instant::now() + Duration::from_secs(30);
    renewing::renew_everywhere(profile, session, deadline).await
}
