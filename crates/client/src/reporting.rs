//! Reporting a message: the recipient hands the staff of the server what was written, with the sender's signature.

use momedo_protocol::api::{ReportRequest, Reported};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;

use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, now};

/// How long received messages are kept for reporting, in days.
pub const KEPT_DAYS: u64 = 30;

/// Keeps a received message as it was signed.
pub(crate) fn keep(
    profile: &Profile,
    sender: ParticipantId,
    id: MessageId,
    message: &[u8],
) -> Result<(), ClientError> {
    let now = now();
    let before = UnixMillis(now.0.saturating_sub(KEPT_DAYS * 86_400_000));
    profile.keep_signed(sender, id, message, now, before)
}

/// Discloses a received message to the staff. `sender` tells messages with the same ID apart.
///
/// # Errors
/// [`ClientError::NotKept`], [`ClientError::AmbiguousMessage`], or as [`ClientError`] says.
pub async fn report(
    profile: &Profile,
    session: &mut Session,
    id: MessageId,
    sender: Option<ParticipantId>,
    reason: &str,
) -> Result<Reported, ClientError> {
    let mut found = profile.signed(id)?;
    found.retain(|(from, _)| sender.is_none_or(|sender| sender == *from));
    let [(_, message)] = found.as_slice() else {
        return Err(match found.len() {
            0 => ClientError::NotKept { days: KEPT_DAYS },
            _ => ClientError::AmbiguousMessage,
        });
    };
    let message =
        serde_json::from_slice(message).map_err(|error| ClientError::Protocol(error.to_string()))?;
    session.report(&ReportRequest { message, reason: reason.to_owned() }).await
}
