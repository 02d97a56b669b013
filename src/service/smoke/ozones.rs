//! Named ozones: the words clients type so that the server keeps their mail. Whoever knows one can use it, so
//! the log names them by number.

use momedo_smoke::key_stream::trimmed;

use super::{SmokeError, directory};
use crate::domain::smoke::MAX_OZONES;
use crate::service::ServiceError;
use crate::service::audit::{self, Action};
use crate::service::permission::Admin;
use crate::state::App;
use crate::store::SmokeOzoneRow;

/// Longest name, in characters.
const MAX_CHARACTERS: usize = 200;

/// Every ozone.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Vec<SmokeOzoneRow>, ServiceError> {
    app.store.read(|tx| Ok(tx.smoke_ozones()?)).await
}

/// Adds an ozone.
///
/// # Errors
/// [`SmokeError::UnacceptableOzone`], [`SmokeError::OzoneExists`] or [`SmokeError::TooManyOzones`].
pub async fn add(app: &App, admin: &Admin, name: &str) -> Result<SmokeOzoneRow, ServiceError> {
    let name = trimmed(name).to_owned();
    if !(1..=MAX_CHARACTERS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(SmokeError::UnacceptableOzone.into());
    }
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let row = app
        .store
        .write(move |tx| {
            let ozones = tx.smoke_ozones()?;
            if ozones.iter().any(|ozone| ozone.name == name) {
                return Err(SmokeError::OzoneExists.into());
            }
            if ozones.len() >= MAX_OZONES {
                return Err(SmokeError::TooManyOzones.into());
            }
            let number = tx.insert_smoke_ozone(&name, now)?;
            audit::log(tx, now, &account, Action::SmokeOzoneAdded, &format!("#{number}"))?;
            Ok::<_, ServiceError>(SmokeOzoneRow { number, name })
        })
        .await?;
    directory::reload(app).await?;
    Ok(row)
}

/// Removes an ozone, by its number or its name; messages that wait stay.
///
/// # Errors
/// [`SmokeError::UnknownOzone`].
pub async fn remove(app: &App, admin: &Admin, which: &str) -> Result<(), ServiceError> {
    let which = trimmed(which).to_owned();
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write_freeing(move |tx| {
            let ozones = tx.smoke_ozones()?;
            let found =
                ozones.iter().find(|ozone| ozone.name == which || format!("#{}", ozone.number) == which);
            let number = found.ok_or(SmokeError::UnknownOzone)?.number;
            tx.delete_smoke_ozone(number)?;
            audit::log(tx, now, &account, Action::SmokeOzoneRemoved, &format!("#{number}"))
        })
        .await?;
    directory::reload(app).await
}
