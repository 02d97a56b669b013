//! Servers found in the local network: listing them, and asking one that an admin picked.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::{Frame, Standing};
use serde::Serialize;

use super::{Neighbour, pairing};
use crate::domain::neighbour::{Asking, NEARBY_REQUEST_DAYS};
use crate::live::nearby::Found;
use crate::service::permission::Admin;
use crate::service::{AdminError, ServiceError};
use crate::state::App;

/// A server nearby that is no neighbour yet. Nothing here is proved.
#[derive(Debug, Clone, Serialize)]
pub struct NearbyServer {
    /// The server ID it claims.
    pub id: Fingerprint,
    /// The name it gives itself.
    pub name: String,
    /// Where it says it is, the address tried first.
    pub address: String,
    /// The words of its ID.
    pub words: String,
}

/// Servers nearby that this one has nothing to do with yet, by name; `None`: they are not looked for.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Option<Vec<NearbyServer>>, ServiceError> {
    if !app.nearby.is_looking() {
        return Ok(None);
    }
    app.nearby.look_again();
    let known = app.store.read(|tx| Ok::<_, ServiceError>(tx.list_neighbours()?)).await?;
    let is_new = |found: &Found| known.iter().all(|row| row.id != found.id);
    let shown = |found: Found| NearbyServer {
        id: found.id,
        name: found.name,
        address: found.addresses.into_iter().next().unwrap_or_default(),
        words: found.id.words(),
    };
    Ok(Some(app.nearby.list().into_iter().filter(is_new).map(shown).collect()))
}

/// Asks the server nearby with this ID, or the only one whose ID begins so, to become a neighbour, which confirms this
/// side; returns once it has recorded the request.
///
/// # Errors
/// [`AdminError::NotLooking`], [`AdminError::UnknownNeighbour`], [`AdminError::RequestNotTaken`],
/// [`AdminError::NeighbourSilent`] or [`AdminError::NotServing`]; nothing is kept then.
pub async fn ask(app: &App, admin: &Admin, id: &str) -> Result<Neighbour, ServiceError> {
    if !app.nearby.is_looking() {
        return Err(AdminError::NotLooking.into());
    }
    let beginning = id.replace([' ', ':'], "").to_ascii_lowercase();
    let all = app.nearby.list();
    let mut fitting = all.into_iter().filter(|found| found.id.to_string().starts_with(&beginning));
    match (fitting.next(), fitting.next()) {
        (Some(found), None) if !beginning.is_empty() => {
            pairing::request(app, admin, found.id, found.addresses, Asking::Nearby).await
        }
        _ => Err(AdminError::UnknownNeighbour.into()),
    }
}

/// Forgets requests from nearby that no admin has decided about in time.
///
/// # Errors
/// As [`ServiceError`] says; the next round tries again.
pub async fn expire(app: &App) -> Result<(), ServiceError> {
    let Some(before) = app.store.tick().0.checked_sub(NEARBY_REQUEST_DAYS * 86_400_000) else {
        return Ok(());
    };
    let expire = move |tx: &mut crate::store::WriteTx<'_>| {
        Ok::<_, ServiceError>(tx.expire_requests(crate::store::Tick(before))?)
    };
    for id in app.store.write_freeing(expire).await? {
        if let Some(link) = app.links.link(id) {
            link.try_send(&Frame::Standing(Standing::Unknown));
        }
        app.links.note_change();
    }
    Ok(())
}
