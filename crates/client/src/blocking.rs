//! Blocking people. The server refuses their mail on behalf of all own devices; this device drops what it had
//! taken before.

use momedo_protocol::api::Block;
use momedo_protocol::id::ParticipantId;

use crate::ClientError;
use crate::profile::Profile;
use crate::session::Session;

/// Setting with the IDs of those who are blocked, as the server last said.
const BLOCKS: &str = "blocks";

/// Blocks somebody.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn block(profile: &Profile, session: &mut Session, id: ParticipantId) -> Result<(), ClientError> {
    session.block(id).await?;
    refresh(profile, session).await.map(drop)
}

/// Blocks somebody no longer.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn unblock(profile: &Profile, session: &mut Session, id: ParticipantId) -> Result<(), ClientError> {
    session.unblock(id).await?;
    refresh(profile, session).await.map(drop)
}

/// Whom the participant blocks, also by other devices.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn refresh(profile: &Profile, session: &mut Session) -> Result<Vec<Block>, ClientError> {
    let blocks = session.blocks().await?.blocks;
    let ids: Vec<ParticipantId> = blocks.iter().map(|block| block.id).collect();
    if profile.get::<Vec<ParticipantId>>(BLOCKS)?.unwrap_or_default() != ids {
        profile.set(BLOCKS, &ids)?;
    }
    Ok(blocks)
}

/// Whether somebody is blocked, as far as this device knows.
pub(crate) fn is_blocked(profile: &Profile, id: ParticipantId) -> Result<bool, ClientError> {
    Ok(profile.get::<Vec<ParticipantId>>(BLOCKS)?.unwrap_or_default().contains(&id))
}

/// Blocks anew whom a server that was restored has forgotten to be blocked. Whom it blocks still is not let in again: that
/// would be a guess.
pub(crate) async fn hand_back(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let known = profile.get::<Vec<ParticipantId>>(BLOCKS)?.unwrap_or_default();
    let blocked = session.blocks().await?.blocks;
    for id in known.iter().filter(|id| blocked.iter().all(|block| block.id != **id)) {
        match session.block(*id).await {
            // There is nobody with this ID any more.
            Err(error) if error.problem() == Some("unknown-participant") => {}
            result => result?,
        }
    }
    refresh(profile, session).await.map(drop)
}
