//! Who may send: somebody of this server who is not disabled, from a device that was not revoked.

use std::sync::Arc;

use super::ServiceError;
use crate::live::sessions::Principal;
use crate::store::{DirectoryEntry, ParticipantState, WriteTx};

/// The sender's own entry, if the device may still send.
pub(super) fn active_sender(
    tx: &mut WriteTx<'_>,
    sender: Principal,
) -> Result<Arc<DirectoryEntry>, ServiceError> {
    let own = tx.directory_entry(sender.participant)?.ok_or(ServiceError::NotLoggedIn)?;
    if !own.has_device(sender.device) {
        return Err(ServiceError::DeviceRevoked);
    }
    if own.state == ParticipantState::Active { Ok(own) } else { Err(ServiceError::Disabled) }
}
