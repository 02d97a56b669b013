//! Participants of other servers from whom nothing is taken here, whoever of this server they write to.

use momedo_protocol::id::ParticipantId;
use serde::Serialize;

use crate::service::audit::{self, Action};
use crate::service::permission::Admin;
use crate::service::{AdminError, ServiceError};
use crate::state::App;

/// Most such participants; whoever needs more blocks the neighbour.
const MAX_BLOCKED: usize = 10_000;

/// A blocked participant, as listed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Blocked {
    /// Who.
    pub id: ParticipantId,
}

/// Everybody who is blocked.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Vec<Blocked>, ServiceError> {
    let rows = app.store.read(|tx| tx.blocked_remote()).await?;
    Ok(rows.into_iter().map(|id| Blocked { id }).collect())
}

/// Blocks a participant of another server, or takes mail from them again; doing it again changes nothing.
///
/// # Errors
/// [`AdminError::LivesHere`] for this server's own, whom one disables instead, or [`AdminError::TooManyNeighbours`].
pub async fn set(
    app: &App,
    admin: &Admin,
    participant: ParticipantId,
    blocked: bool,
) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            if tx.find_participant(participant)?.is_some() {
                return Err(AdminError::LivesHere.into());
            }
            if tx.is_blocked_remote(participant)? == blocked {
                return Ok(());
            }
            if blocked && tx.blocked_remote()?.len() >= MAX_BLOCKED {
                return Err(AdminError::TooManyNeighbours.into());
            }
            tx.set_blocked_remote(participant, blocked.then_some(now))?;
            let action = if blocked { Action::RemoteBlocked } else { Action::RemoteUnblocked };
            audit::log(tx, now, &account, action, &participant.to_string())
        })
        .await
}
