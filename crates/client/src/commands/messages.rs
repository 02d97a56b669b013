//! `message`: what became of messages, and saying something about them.

use std::time::Duration;

use momedo_protocol::api::Reported;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use serde::Serialize;

use super::{CommandError, Reader, Status, send};
use crate::living::{self, About, LivingMessage};
use crate::profile::Profile;
use crate::reporting;
use crate::sending::{self, Destination};

/// How many messages are listed unless somebody says otherwise.
pub const LISTED: usize = 20;

/// How long a command tries to reach the server.
pub const WAIT: Duration = Duration::from_secs(send::WAIT_SECONDS);

/// The messages this device keeps, the newest last; the answer has a line for each.
///
/// # Errors
/// As [`CommandError`] says.
pub fn list(
    profile: &Profile,
    with: Option<Destination>,
    limit: usize,
) -> Result<Vec<LivingMessage>, CommandError> {
    Ok(living::newest(profile, with, limit)?)
}

/// A message: who has seen it, how far a task is, how people voted.
///
/// # Errors
/// As [`CommandError`] says.
pub fn show(profile: &Profile, name: &str) -> Result<LivingMessage, CommandError> {
    Ok(living::find(profile, name)?)
}

/// Something that was said about a message.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Said {
    /// What says so: a message of its own.
    pub id: MessageId,
    /// What became of it.
    pub status: Status,
}

/// Says something about a message.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn say(
    profile: &Profile,
    name: &str,
    about: About,
    reader: Reader<'_>,
) -> Result<Said, CommandError> {
    let (to, draft) = living::about(profile, name, about)?;
    let sent = sending::send(profile, to, &draft, WAIT, reader.language, reader.progress).await?;
    Ok(Said { id: sent.id, status: Status::Accepted })
}

/// Shows a received message to the staff of the server.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn report(
    profile: &Profile,
    id: MessageId,
    from: Option<ParticipantId>,
    reason: &str,
    reader: Reader<'_>,
) -> Result<Reported, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    Ok(reporting::report(profile, &mut session, id, from, reason).await?)
}
