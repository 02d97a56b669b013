//! The second home becomes the first, for everybody of a server that is lost.

use momedo_protocol::digest::Fingerprint;

use crate::service::audit::{self, Action};
use crate::service::permission::RecentlyConfirmed;
use crate::service::{AdminError, ServiceError};
use crate::state::App;
use crate::store::NewPerson;

/// Makes this server the first home of everybody it stands in for at `lost`'s request; answers how many. A second time
/// finds nobody. Should `lost` come back, it hears of it, and its admin has to [`accept`].
///
/// # Errors
/// [`AdminError::UnknownNeighbour`], or [`AdminError::StillConnected`] while the other server answers.
pub async fn take_over(app: &App, admin: &RecentlyConfirmed, lost: Fingerprint) -> Result<u64, ServiceError> {
    if app.links.connected().contains(&lost) {
        return Err(AdminError::StillConnected.into());
    }
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            tx.find_neighbour(lost)?.ok_or(AdminError::UnknownNeighbour)?;
            let participants = tx.list_stood_in_for(lost)?;
            for id in &participants {
                let (id, name) = (*id, tx.subject_of(*id)?.name);
                let role = tx.belonging(id)?.role;
                tx.set_other_home(id, lost, true)?;
                if tx.find_person_of(id)?.is_none() {
                    tx.insert_person(&NewPerson {
                        name: &name,
                        family_name: "",
                        role,
                        external_key: None,
                        created_at: now,
                        participant: Some(id),
                        import: None,
                    })?;
                }
            }
            let count = participants.len() as u64;
            audit::log(tx, now, &account, Action::HomeTakenOver, &format!("{lost}: {count}"))?;
            Ok(count)
        })
        .await
}

/// Accepts that `other`, a second home until now, took this server's participants over; answers how many. A second home
/// may say so at any time, so nothing follows from its word alone: it could have keys changed by nobody but itself.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`], or [`AdminError::NotTakenOver`] when it does not say so.
pub async fn accept(app: &App, admin: &RecentlyConfirmed, other: Fingerprint) -> Result<u64, ServiceError> {
    if !app.links.says_first(other) {
        return Err(AdminError::NotTakenOver.into());
    }
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let count = app
        .store
        .write(move |tx| {
            tx.find_neighbour(other)?.ok_or(AdminError::UnknownNeighbour)?;
            let count = tx.yield_first_homes(other)? as u64;
            audit::log(tx, now, &account, Action::HomeYielded, &format!("{other}: {count}"))?;
            Ok::<_, ServiceError>(count)
        })
        .await?;
    app.links.set_says_first(other, false);
    Ok(count)
}
