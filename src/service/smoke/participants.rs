//! Participants with the Smoke app: added by an admin, or by themselves when they share their ID.

use momedo_protocol::name::tidied;
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::smoke_id::SmokeId;

use super::{SmokeError, directory};
use crate::service::ServiceError;
use crate::service::audit::{self, Action};
use crate::service::error::compute;
use crate::service::naming::check_name;
use crate::service::permission::Admin;
use crate::state::App;
use crate::store::SmokeParticipantRow;

/// Reads an ID as people type it.
///
/// # Errors
/// [`SmokeError::NotASmokeId`].
pub fn parse_id(text: &str) -> Result<SmokeId, ServiceError> {
    text.parse().map_err(|_| SmokeError::NotASmokeId.into())
}

/// One page of participants, those who wait for a decision first, and how many there are.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(
    app: &App,
    _: &Admin,
    search: String,
    offset: u64,
    limit: u64,
) -> Result<(Vec<SmokeParticipantRow>, u64), ServiceError> {
    app.store.read(move |tx| Ok(tx.list_smoke_participants(&search, offset, limit)?)).await
}

/// Adds a participant; an empty name is the ID.
///
/// # Errors
/// [`SmokeError::NotASmokeId`], [`SmokeError::ParticipantExists`], [`SmokeError::TooManyParticipants`], or what
/// is wrong with the name.
pub async fn add(
    app: &App,
    admin: &Admin,
    id: &str,
    name: &str,
) -> Result<SmokeParticipantRow, ServiceError> {
    let id = parse_id(id)?;
    let name = if name.trim().is_empty() { id.to_string() } else { tidied(name) };
    check_name(&name)?;
    let stream = compute(move || Ok(KeyStream::of_id(&id))).await?;
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let most = app.config().smoke.max_participants;
    let row = app
        .store
        .write(move |tx| {
            if tx.find_smoke_participant(&id)?.is_some() {
                return Err(ServiceError::from(SmokeError::ParticipantExists));
            }
            if tx.count_smoke_participants()? >= most {
                return Err(SmokeError::TooManyParticipants.into());
            }
            tx.insert_smoke_participant(&id, &name, &stream, false, now)?;
            audit::log(tx, now, &account, Action::SmokeParticipantAdded, id.as_str())?;
            tx.find_smoke_participant(&id)?.ok_or(ServiceError::from(SmokeError::UnknownParticipant))
        })
        .await?;
    directory::reload(app).await?;
    Ok(row)
}

/// Registers an ID that a client shared, unless the rules or the limit forbid it. Whether the ID is here now;
/// durable when answered. An entry that is there stays what it is.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn share(app: &App, id: SmokeId) -> Result<bool, ServiceError> {
    if app.smoke.directory().by_id(&id).is_some() {
        return Ok(true);
    }
    let config = app.config();
    if !config.smoke.share_ids {
        return Ok(false);
    }
    let stream = compute(move || Ok(KeyStream::of_id(&id))).await?;
    let (now, most) = (app.clock.now(), config.smoke.max_participants);
    let is_here = app
        .store
        .write(move |tx| {
            if tx.find_smoke_participant(&id)?.is_some() {
                return Ok(true);
            }
            if tx.count_smoke_participants()? >= most {
                return Ok::<_, ServiceError>(false);
            }
            tx.insert_smoke_participant(&id, id.as_str(), &stream, true, now)?;
            Ok(true)
        })
        .await?;
    if is_here {
        directory::reload(app).await?;
    }
    Ok(is_here)
}

/// Renames a participant, or says whether keys that others pass on are taken; `None` leaves either as it is.
///
/// # Errors
/// [`SmokeError::UnknownParticipant`], or what is wrong with the name.
pub async fn change(
    app: &App,
    admin: &Admin,
    id: SmokeId,
    name: Option<String>,
    accepts_unsigned: Option<bool>,
) -> Result<(), ServiceError> {
    let name = name.as_deref().map(tidied);
    if let Some(name) = &name {
        check_name(name)?;
    }
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let row = tx.find_smoke_participant(&id)?.ok_or(SmokeError::UnknownParticipant)?;
            tx.update_smoke_participant(
                row.number,
                &name.unwrap_or(row.name),
                accepts_unsigned.unwrap_or(row.accepts_unsigned),
            )?;
            audit::log(tx, now, &account, Action::SmokeParticipantChanged, id.as_str())
        })
        .await
}

/// Deletes a participant with keys and waiting messages.
///
/// # Errors
/// [`SmokeError::UnknownParticipant`].
pub async fn remove(app: &App, admin: &Admin, id: SmokeId) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write_freeing(move |tx| {
            let row = tx.find_smoke_participant(&id)?.ok_or(SmokeError::UnknownParticipant)?;
            tx.delete_smoke_participant(row.number)?;
            audit::log(tx, now, &account, Action::SmokeParticipantRemoved, id.as_str())
        })
        .await?;
    directory::reload(app).await
}
