//! The participant's own device list, as it is published.

use momedo_protocol::api;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::id::DeviceId;

use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, held};

/// The participant's device list, verified with the own signature key, and what the server knows of each.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn list(
    profile: &Profile,
    session: &mut Session,
) -> Result<(DeviceListPayload, Vec<api::DeviceState>), ClientError> {
    let devices = session.devices().await?;
    let list = DeviceListPayload::verify(&devices.device_list, &profile.own_bundle()?.signature_key)
        .map_err(ClientError::protocol)?;
    held::note_list(profile, &list, &devices.device_list)?;
    Ok((list, devices.devices))
}

pub(crate) fn has(list: &DeviceListPayload, device: DeviceId) -> bool {
    list.devices.iter().any(|entry| entry.id() == device)
}

/// The participant's device list without what an admin has locked out: such a device cannot be listed again.
pub(crate) async fn active(
    profile: &Profile,
    session: &mut Session,
) -> Result<DeviceListPayload, ClientError> {
    let (mut list, states) = list(profile, session).await?;
    list.devices.retain(|entry| states.iter().any(|state| state.id == entry.id()));
    Ok(list)
}
