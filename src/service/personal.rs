//! What the server holds about somebody: handed out to themselves or an admin, and erased.

use momedo_protocol::erasure::Erasure;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::rsa_key::RsaPublicKey;

use super::audit::{self, Action};
use super::error::compute;
use super::people::{self, Who};
use super::permission::RecentlyConfirmed;
use super::{AdminError, ServiceError, devices, second_home};
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::personal;
pub use crate::store::personal::{FileOf, Holding, PersonalReader, Subject};
use crate::store::{PersonRow, WriteTx};

/// Who acts in the log when participants erase themselves.
const THEMSELVES: &str = "momedo user";

/// Whom a person's data is found by.
pub(super) fn subject(person: &PersonRow) -> Subject {
    Subject { participant: person.participant, person: Some(person.id), name: person.name.clone() }
}

/// Whose data a participant gets when they ask for their own.
///
/// # Errors
/// [`ServiceError::TooOften`].
pub async fn own(app: &App, principal: Principal) -> Result<Subject, ServiceError> {
    app.rates.publication(principal.participant, app.clock.elapsed())?;
    app.store.read(move |tx| Ok(tx.subject_of(principal.participant)?)).await
}

/// Whose data an admin gets; that they got it stands in the log.
///
/// # Errors
/// [`AdminError::UnknownPerson`].
pub async fn of(app: &App, admin: &RecentlyConfirmed, who: Who) -> Result<Subject, ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write_freeing(move |tx| {
            let person = people::find(tx, who)?;
            let name = people::subject(&person);
            audit::log_about(tx, now, &account, Action::PersonExported, &name, person.id)?;
            Ok(subject(&person))
        })
        .await
}

/// Erases the participant, who signed for it anew: a session alone does not suffice.
///
/// # Errors
/// [`ServiceError::LoginRefused`] when the signature, its nonce or what it names does not fit.
pub async fn erase_own(app: &App, principal: Principal, jws: Jws) -> Result<(), ServiceError> {
    let id = principal.participant;
    second_home::require_first_home(app, id).await?;
    let row = app.store.read(move |tx| tx.find_device(principal.device)).await?;
    let row = row.filter(|row| row.participant == id && !row.revoked).ok_or(ServiceError::DeviceRevoked)?;
    let erasure = compute(move || {
        let key = RsaPublicKey::from_spki(&row.login_key).map_err(|_| ServiceError::LoginRefused)?;
        Erasure::verify(&jws, &key).map_err(|_| ServiceError::LoginRefused)
    })
    .await?;
    let is_fresh = app.sessions.nonces.use_up(&erasure.nonce.0, principal.device, app.clock.elapsed());
    let names_this =
        erasure.id == id && erasure.device == principal.device && erasure.server == app.fingerprint;
    if !is_fresh || !names_this {
        return Err(ServiceError::LoginRefused);
    }
    let now = app.clock.now();
    app.store
        .write_freeing(move |tx| {
            devices::require_listed(tx, principal)?;
            let subject = tx.subject_of(id)?;
            erase(tx, now, THEMSELVES, &subject)
        })
        .await?;
    after_erasure(app, Some(id)).await;
    Ok(())
}

/// Erases somebody, and notes that it was done without saying to whom.
pub(super) fn erase(
    tx: &mut WriteTx<'_>,
    now: momedo_protocol::time::UnixMillis,
    account: &str,
    subject: &Subject,
) -> Result<(), ServiceError> {
    if let Some(participant) = subject.participant {
        tx.begin_to_forget(participant, None, None, None)?;
    }
    tx.erase(subject)?;
    let number = subject.person.map_or_else(String::new, |person| person.0.to_string());
    audit::log(tx, now, account, Action::PersonDeleted, &format!("#{number}"))
}

/// Ends what goes on in memory, and lets the database's log forget.
pub(super) async fn after_erasure(app: &App, participant: Option<ParticipantId>) {
    if let Some(participant) = participant {
        app.hub.disconnect_participant(participant);
        app.sessions.end_participant(participant);
        app.links.telling.notify_one();
    }
    let directory = app.store.directory().to_owned();
    match tokio::task::spawn_blocking(move || personal::empty_log(&directory)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the database's log is emptied when the server stops"),
        Err(error) => tracing::error!(%error, "emptying the database's log ended early"),
    }
}

impl From<Subject> for serde_json::Value {
    fn from(subject: Subject) -> Self {
        serde_json::json!({
            "id": subject.participant.map(|id| id.to_string()), "number": subject.person, "name": subject.name,
        })
    }
}

/// The subject in an answer of [`super::administration`].
///
/// # Errors
/// [`AdminError::UnknownPerson`].
pub fn subject_in(line: &serde_json::Value) -> Result<Subject, ServiceError> {
    let participant = match line["id"].as_str() {
        Some(id) => Some(id.parse().map_err(|_| AdminError::UnknownPerson)?),
        None => None,
    };
    let person = line["number"].as_i64().map(crate::store::PersonId);
    Ok(Subject { participant, person, name: line["name"].as_str().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests;
