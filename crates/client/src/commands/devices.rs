//! `user devices`, `revoke-device`, and `add-device` where both profiles are on one machine.

use momedo_protocol::api::DeviceJoined;
use momedo_protocol::id::{DeviceId, ParticipantId};
use serde::Serialize;

use super::{CommandError, Reader, Status, by_name};
use crate::profile::{Place, Profile};
use crate::{devices, key_backup, watching};

/// Every device of the participant.
#[derive(Debug, Clone)]
pub struct Devices {
    /// The answer has a line for each.
    pub devices: Vec<DeviceShown>,
    /// The device that made the recovery code, where there is one and that is known.
    pub code_made_by: Option<DeviceId>,
    /// Why the recovery code of before opens nothing any more.
    pub code_ended: Option<String>,
}

/// A device.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceShown {
    /// Its ID.
    pub device: DeviceId,
    /// When and how it joined, as far as the server knows.
    #[serde(serialize_with = "by_name")]
    pub joined: Option<DeviceJoined>,
    /// Whether it is listed and the server does not serve it.
    pub locked_out: bool,
    /// What it is called.
    pub name: String,
    /// Whether it is connected.
    pub online: bool,
    /// What becomes of the participant's recovery code: `valid`, `ended` or `none`.
    pub recovery_code: &'static str,
    /// Whether it is this one.
    pub this: bool,
    /// How much waits for it.
    pub waiting: u64,
}

/// Lists the participant's devices.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn list(profile: &Profile, reader: Reader<'_>) -> Result<Devices, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    devices::adopt_published_keys(profile, &mut session).await?;
    let (list, states) = devices::list(profile, &mut session).await?;
    watching::look(profile, &mut session).await?;
    let backup = key_backup::state(profile, &mut session).await?.map(|(state, _)| state);
    let recovery_code = match &backup {
        Some(state) if state.slot.is_some() => "valid",
        Some(_) => "ended",
        None => "none",
    };
    let shown = |entry: momedo_protocol::device_list::DeviceEntry| {
        let state = states.iter().find(|state| state.id == entry.id());
        let (waiting, online) = state.map_or((0, false), |state| (state.waiting, state.online));
        DeviceShown {
            device: entry.id(),
            joined: state.and_then(|state| state.joined),
            locked_out: state.is_none(),
            online,
            recovery_code,
            this: entry.id() == session.device,
            waiting,
            name: entry.name,
        }
    };
    let devices = list.devices.into_iter().map(shown).collect();
    let code_made_by = backup.as_ref().and_then(|state| state.slot.as_ref()?.made_by);
    let code_ended = backup.map(|state| watching::ended(profile, &state)).transpose()?.flatten();
    Ok(Devices { devices, code_made_by, code_ended })
}

/// Devices that neither read nor send any more.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The answer has a line for each.
    pub devices: Vec<RevokedDevice>,
    /// Why the recovery code of before opens nothing any more.
    pub code_ended: Option<String>,
}

/// A device that neither reads nor sends any more.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RevokedDevice {
    /// Its ID.
    pub device: DeviceId,
    /// What became of it.
    pub status: Status,
}

/// Revokes devices, and makes all keys anew; `kept` joined through them and stay.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn revoke(
    profile: &Profile,
    revoked: &[DeviceId],
    kept: &[DeviceId],
    reader: Reader<'_>,
) -> Result<Revoked, CommandError> {
    let code_ended = devices::revoke(profile, revoked, kept, reader.language, reader.progress).await?;
    let devices = revoked.iter().map(|device| RevokedDevice { device: *device, status: Status::Revoked });
    Ok(Revoked { devices: devices.collect(), code_ended })
}

/// A device that became one of the participant's.
#[derive(Debug, Clone, Serialize)]
pub struct Added {
    /// Its ID.
    pub device: DeviceId,
    /// Whose it is.
    pub id: ParticipantId,
    /// What it is called.
    pub name: String,
}

/// Makes a second profile that gets its own copy of every message.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn add(
    profile: &Profile,
    place: &dyn Place,
    name: &str,
    reader: Reader<'_>,
) -> Result<(Profile, Added), CommandError> {
    let (new, device) = devices::add(profile, place, name, reader.language, reader.progress).await?;
    let added = Added { device, id: new.id()?, name: name.to_owned() };
    Ok((new, added))
}
