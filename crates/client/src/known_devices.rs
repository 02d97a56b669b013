//! Which own devices and which recovery code this device knows of; what else there is is news.

use momedo_protocol::api::{DeviceState, KeyBackupState};
use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::DeviceId;
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::ClientError;
use crate::profile::Profile;

/// Setting with the devices this one knows of.
pub(crate) const DEVICES: &str = "devices-known";

/// Setting with what this device knows of the key backup.
pub(crate) const KEY_BACKUP: &str = "key-backup-known";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KnownDevice {
    pub(crate) id: DeviceId,
    pub(crate) name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KnownBackup {
    pub(crate) lock: Option<Base64Bytes>,
    pub(crate) ended: Option<UnixMillis>,
}

/// Notes the devices of a list that this device made or was made with: they are no news.
pub(crate) fn know_devices(profile: &Profile, list: &DeviceListPayload) -> Result<(), ClientError> {
    let known = list.devices.iter().map(|entry| KnownDevice { id: entry.id(), name: entry.name.clone() });
    profile.set(DEVICES, &known.collect::<Vec<_>>())
}

/// Notes a device that this one added.
pub(crate) fn know_device(profile: &Profile, entry: &DeviceEntry) -> Result<(), ClientError> {
    let Some(mut known) = profile.get::<Vec<KnownDevice>>(DEVICES)? else { return Ok(()) };
    if known.iter().all(|device| device.id != entry.id()) {
        known.push(KnownDevice { id: entry.id(), name: entry.name.clone() });
    }
    profile.set(DEVICES, &known)
}

/// Notes that this device revoked others.
pub(crate) fn forget_devices(profile: &Profile, revoked: &[DeviceId]) -> Result<(), ClientError> {
    let Some(mut known) = profile.get::<Vec<KnownDevice>>(DEVICES)? else { return Ok(()) };
    known.retain(|device| !revoked.contains(&device.id));
    profile.set(DEVICES, &known)
}

/// Notes the lock of a recovery code that this device made or was handed.
pub(crate) fn know_key_backup(profile: &Profile, lock: Option<&Base64Bytes>) -> Result<(), ClientError> {
    let ended = profile.get::<KnownBackup>(KEY_BACKUP)?.unwrap_or_default().ended;
    profile.set(KEY_BACKUP, &KnownBackup { lock: lock.cloned(), ended })
}

/// Listed devices that the server knows no more: an admin locked them out.
pub(crate) fn locked_out(list: &DeviceListPayload, states: &[DeviceState]) -> Vec<DeviceId> {
    let ids = list.devices.iter().map(DeviceEntry::id);
    ids.filter(|id| states.iter().all(|state| state.id != *id)).collect()
}

/// Devices that came through others, directly or over several, and are not among them: they joined by them, or with a
/// recovery code made on them. What joined before the server noted such things is not among them, nor is `own`.
pub fn joined_through(states: &[DeviceState], through: &[DeviceId], own: DeviceId) -> Vec<DeviceId> {
    came_through(states, through, Some(own))
}

pub(crate) fn came_through(
    states: &[DeviceState],
    through: &[DeviceId],
    except: Option<DeviceId>,
) -> Vec<DeviceId> {
    let mut found: Vec<DeviceId> = through.to_vec();
    loop {
        let came = |state: &&DeviceState| {
            let by = state.joined.and_then(|joined| joined.by);
            Some(state.id) != except && !found.contains(&state.id) && by.is_some_and(|by| found.contains(&by))
        };
        match states.iter().find(came) {
            Some(state) => found.push(state.id),
            None => return found.split_off(through.len()),
        }
    }
}

/// Why the recovery code of before opens nothing any more; `None` while there is one, or where there never was.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn ended(profile: &Profile, state: &KeyBackupState) -> Result<Option<String>, ClientError> {
    let Some(end) = state.ended.as_ref().filter(|_| state.slot.is_none()) else { return Ok(None) };
    let why = match end.by {
        Some(by) => format!("the key backup was removed by {}", named(profile, by)?),
        None => "since it was made, a device of yours was revoked".into(),
    };
    Ok(Some(format!("Your recovery code opens nothing any more: {why}. {NEW_CODE}")))
}

/// A device as people know it: by its name, where this device knows it, and its ID.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn named(profile: &Profile, device: DeviceId) -> Result<String, ClientError> {
    if device == profile.device()? {
        return Ok(format!("this device ({device})"));
    }
    let known = profile.get::<Vec<KnownDevice>>(DEVICES)?.unwrap_or_default();
    Ok(match known.iter().find(|known| known.id == device) {
        Some(known) => format!("{} ({device})", known.name),
        None => format!("the device {device}"),
    })
}

/// What is said while a recovery code is missing that there was once.
pub const NEW_CODE: &str = "Make a new recovery code: momedo user backup-keys";
