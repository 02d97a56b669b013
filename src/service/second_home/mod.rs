//! Second homes: a participant's mail and keys are kept by two neighbouring servers, so that either may fail.
//!
//! The *first* home is where somebody registered: keys, devices and groups change only there. The *second* one keeps
//! the newest it was told and an ozone of its own, takes mail, and lets the participant log in, read and write. The
//! participant's signed bundle names both, so nobody gets a second home who does not want one, and both admins allowed
//! it in the contract. The two have to be neighbours: nobody stands between them.
//!
//! | module | holds |
//! |---|---|
//! | [`placing`] | what the first home tells the second |
//! | [`standing_in`] | what the second home takes over |
//! | [`copying`] | mail that one home took, on its way to the other |
//! | [`failing_over`] | reaching somebody at the other home when one is lost |
//! | [`taking_over`] | the second home becomes the first |

pub mod copying;
pub mod failing_over;
pub mod placing;
pub mod standing_in;
pub mod taking_over;

use momedo_protocol::api::homes::{Home, Homes};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;

use super::ServiceError;
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::{NeighbourRow, ReadTx};

/// Refuses what changes somebody's keys, devices or being there anywhere but at their first home.
///
/// # Errors
/// [`ServiceError::FirstHomeOnly`].
pub(super) fn require_first(tx: &ReadTx<'_>, id: ParticipantId) -> Result<(), ServiceError> {
    match tx.find_other_home(id)? {
        Some(home) if !home.is_first => Err(ServiceError::FirstHomeOnly),
        _ => Ok(()),
    }
}

/// As [`require_first`], from outside a transaction.
///
/// # Errors
/// As [`require_first`].
pub(super) async fn require_first_home(app: &App, id: ParticipantId) -> Result<(), ServiceError> {
    app.store.read(move |tx| require_first(tx, id)).await
}

/// Neighbours that may be a second home for this server's participants.
pub(super) fn partner(tx: &ReadTx<'_>, server: Fingerprint) -> Result<Option<NeighbourRow>, ServiceError> {
    Ok(tx.find_neighbour(server)?.filter(|row| row.is_wanted() && row.contract.second_home))
}

/// A participant's homes, and which other servers they may choose as a second one.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn homes(app: &App, principal: Principal) -> Result<Homes, ServiceError> {
    let (other, neighbours) = app
        .store
        .read(move |tx| {
            let other = tx.find_other_home(principal.participant)?.filter(|home| !home.ends);
            Ok::<_, ServiceError>((other, tx.list_neighbours()?))
        })
        .await?;
    let home = |row: &NeighbourRow| Home {
        server: row.id,
        name: row.name.clone(),
        addresses: row.addresses.clone(),
    };
    let is_first = other.is_none_or(|home| home.is_first);
    let other = other.map(|other| {
        let unknown = || Home { server: other.server, name: String::new(), addresses: Vec::new() };
        neighbours.iter().find(|row| row.id == other.server).map_or_else(unknown, home)
    });
    // Only servers that take mail now, and that a client can reach somewhere.
    let connected = app.links.connected();
    let is_offered = |row: &&NeighbourRow| {
        is_first && row.contract.second_home && !row.addresses.is_empty() && connected.contains(&row.id)
    };
    let offered = neighbours.iter().filter(is_offered).map(home).collect();
    Ok(Homes { is_first, other, offered })
}
