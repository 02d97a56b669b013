//! `user block`, `unblock`, `blocked`, `erase`.

use momedo_protocol::api::Block;
use momedo_protocol::id::ParticipantId;
use serde::Serialize;

use super::{CommandError, Reader, Status};
use crate::profile::Profile;
use crate::{blocking, personal};

/// Whether somebody is blocked.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Blocked {
    /// Whether they are.
    pub blocked: bool,
    /// Who.
    pub id: ParticipantId,
}

/// Takes no more messages from somebody.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn block(
    profile: &Profile,
    id: ParticipantId,
    reader: Reader<'_>,
) -> Result<Blocked, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    blocking::block(profile, &mut session, id).await?;
    Ok(Blocked { blocked: true, id })
}

/// Takes messages from somebody again.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn unblock(
    profile: &Profile,
    id: ParticipantId,
    reader: Reader<'_>,
) -> Result<Blocked, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    blocking::unblock(profile, &mut session, id).await?;
    Ok(Blocked { blocked: false, id })
}

/// Whom the participant blocks; the answer has a line for each.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn blocked(profile: &Profile, reader: Reader<'_>) -> Result<Vec<Block>, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    Ok(blocking::refresh(profile, &mut session).await?)
}

/// Of whom the server holds nothing any more.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Erased {
    /// Who.
    pub id: ParticipantId,
    /// What became of them.
    pub status: Status,
}

/// Has everything erased that the server holds about the participant, who named their own ID.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn erase(
    profile: &Profile,
    confirm: ParticipantId,
    reader: Reader<'_>,
) -> Result<Erased, CommandError> {
    let id = profile.id()?;
    if confirm != id {
        return Err(CommandError::NotErased { id, confirm });
    }
    let mut session = profile.log_in(reader.language).await?;
    personal::erase(profile, &mut session).await?;
    Ok(Erased { id, status: Status::Erased })
}
