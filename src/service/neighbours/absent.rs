//! Why nobody is found who has an ID: nobody has it, or whoever may have it could not be asked.

use std::collections::HashSet;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::Standing;

use crate::domain::neighbour::Decision;
use crate::domain::neighbour::UNKNOWN;
use crate::service::ServiceError;
use crate::state::App;
use crate::store::NeighbourRow;

/// What one of this server's participants hears, whose question nobody answered. What another server hides from them,
/// nobody has; what this server's own admins decided may be said.
///
/// # Errors
/// As [`ServiceError`] says, when the neighbours cannot be read.
pub(in crate::service) async fn why(
    app: &App,
    asker: ParticipantId,
    id: ParticipantId,
) -> Result<ServiceError, ServiceError> {
    let connected: HashSet<Fingerprint> = app.links.connected().into_iter().collect();
    let everybody_answered = app.links.was_denied(id, app.clock.elapsed().saturating_sub(UNKNOWN));
    let (rows, person, is_barred) = app
        .store
        .read(move |tx| {
            let led = tx.find_remote(id)?.map(|row| tx.find_neighbour(row.via)).transpose()?.flatten();
            let is_barred = tx.is_blocked_remote(id)?
                || led.is_some_and(|neighbour| neighbour.decision == Decision::Blocked);
            Ok::<_, ServiceError>((tx.list_neighbours()?, tx.belonging(asker)?, is_barred))
        })
        .await?;
    if is_barred {
        return Ok(ServiceError::NotAllowedAcross);
    }
    let wanted = rows.into_iter().filter(NeighbourRow::is_wanted);
    let (allowed, barred): (Vec<_>, Vec<_>) = wanted.partition(|row| row.contract.admits(&person));
    let is_paused = |row: &NeighbourRow| {
        row.decision == Decision::Paused || app.links.line(row.id).peer == Some(Standing::Paused)
    };
    Ok(if allowed.iter().any(is_paused) {
        ServiceError::UnknownHerePaused
    } else if allowed.iter().any(|row| !connected.contains(&row.id))
        || !allowed.is_empty() && !everybody_answered
    {
        ServiceError::UnknownHere
    } else if barred.is_empty() {
        ServiceError::UnknownParticipant
    } else {
        ServiceError::NotAllowedAcross
    })
}
