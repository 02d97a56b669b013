//! Blocking: from whom a participant takes nothing, on all devices alike.
//!
//! The sender is told. Taking a message and keeping it from its recipient would make "accepted" a lie.

use momedo_protocol::api;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::limits::MAX_BLOCKS;

use super::{ServiceError, second_home};
use crate::live::sessions::Principal;
use crate::state::App;

/// Whom the participant blocks.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, principal: Principal) -> Result<api::Blocks, ServiceError> {
    let rows = app.store.read(move |tx| tx.list_blocks(principal.participant)).await?;
    Ok(api::Blocks { blocks: rows.into_iter().map(|(id, since)| api::Block { id, since }).collect() })
}

/// Blocks somebody, whether or not there is anybody with this ID.
///
/// # Errors
/// [`ServiceError::Malformed`] for oneself, [`ServiceError::TooManyBlocks`].
pub async fn add(app: &App, principal: Principal, blocked: ParticipantId) -> Result<(), ServiceError> {
    let id = principal.participant;
    if blocked == id {
        return Err(ServiceError::Malformed("nobody can block themselves".into()));
    }
    let now = app.clock.now();
    app.store
        .write(move |tx| {
            second_home::require_first(tx, id)?;
            let blocks = tx.list_blocks(id)?;
            if blocks.len() >= MAX_BLOCKS && blocks.iter().all(|(known, _)| *known != blocked) {
                return Err(ServiceError::TooManyBlocks);
            }
            Ok(tx.insert_block(id, blocked, now)?)
        })
        .await
}

/// Blocks somebody no longer.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn remove(app: &App, principal: Principal, blocked: ParticipantId) -> Result<(), ServiceError> {
    app.store
        .write_freeing(move |tx| {
            second_home::require_first(tx, principal.participant)?;
            Ok::<_, ServiceError>(tx.delete_block(principal.participant, blocked)?)
        })
        .await
}

#[cfg(test)]
mod tests;
