//! The key server for Smoke: keys bind to an ID if they hash to it; those of an alias wait for an admin.
//!
//! The first valid binding holds. Other keys under the same ID are refused until an admin forgets the bound ones.

use momedo_smoke::challenge::{Challenge, Response};
use momedo_smoke::directory::Directory;
use momedo_smoke::key_bundle::{KeyBundle, Signatures, WINDOW_MILLIS};
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::ozone_request::{Signed, is_timely};
use momedo_smoke::smoke_id::SmokeId;

use super::SmokeError;
use crate::service::ServiceError;
use crate::service::audit::{self, Action};
use crate::service::error::compute;
use crate::service::permission::RecentlyConfirmed;
use crate::state::App;
use crate::store::{SmokeKeysRow, SmokeKeysState};

/// What became of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Its keys are bound to the ID.
    Bound,
    /// They are kept for an admin to decide.
    Waiting,
    /// They were there.
    Known,
    /// They are not taken.
    Refused,
}

/// Takes an opened key bundle; what it changes is durable when answered.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn publish(app: &App, plain: &[u8]) -> Result<Published, ServiceError> {
    let Ok(bundle) = KeyBundle::read(plain) else { return Ok(Published::Refused) };
    let id = bundle.id;
    let find = app.store.read(move |tx| {
        let Some(participant) = tx.find_smoke_participant(&id)? else { return Ok::<_, ServiceError>(None) };
        let keys = tx.find_smoke_keys(participant.number)?;
        Ok(Some((participant, keys)))
    });
    let Some((participant, stored)) = find.await? else { return Ok(Published::Refused) };
    let is_same = |keys: &SmokeKeysRow| {
        keys.encryption_key == bundle.encryption_key && keys.signature_key == bundle.signature_key
    };
    // Clients send theirs again and again.
    if stored.as_ref().is_some_and(is_same) {
        return Ok(Published::Known);
    }
    let refuse = async |reason: &'static str| {
        let number = participant.number;
        let noted = app
            .store
            .write_freeing(move |tx| Ok::<_, ServiceError>(tx.set_smoke_refusal(number, Some(reason))?));
        noted.await.map(|()| Published::Refused)
    };
    if !is_timely(bundle.at_millis, app.clock.now().0, WINDOW_MILLIS) {
        return refuse("clock").await;
    }
    if stored.as_ref().is_some_and(|keys| keys.state == SmokeKeysState::Bound) {
        return refuse("other-keys").await;
    }
    let signatures = if participant.accepts_unsigned { Signatures::Optional } else { Signatures::Required };
    let (checked, bundle, follows) = compute(move || {
        let checked = bundle.check(signatures);
        let follows =
            checked.is_ok() && SmokeId::of_keys(&bundle.encryption_key, &bundle.signature_key) == bundle.id;
        Ok((checked, bundle, follows))
    })
    .await?;
    if let Err(error) = checked {
        return refuse(error.into()).await;
    }
    let state = if follows { SmokeKeysState::Bound } else { SmokeKeysState::Waiting };
    if state == SmokeKeysState::Waiting && stored.is_some() {
        // An admin is deciding about the first ones; they must not change meanwhile.
        return refuse("other-keys").await;
    }
    let keys = SmokeKeysRow {
        participant: participant.number,
        state,
        encryption_key: bundle.encryption_key,
        encryption_signature: bundle.encryption_signature,
        signature_key: bundle.signature_key,
        signature: bundle.signature,
    };
    let now = app.clock.now();
    app.store
        .write(move |tx| {
            // Somebody else may have been first, or the participant is gone.
            let standing = tx.find_smoke_keys(keys.participant)?;
            let is_taken = standing.is_some_and(|standing| {
                standing.state == SmokeKeysState::Bound || state != SmokeKeysState::Bound
            });
            if is_taken || !tx.is_smoke_participant(keys.participant)? {
                return Ok(Published::Refused);
            }
            tx.put_smoke_keys(&keys, now)?;
            tx.set_smoke_refusal(keys.participant, None)?;
            Ok(if follows { Published::Bound } else { Published::Waiting })
        })
        .await
}

/// The payload that brings somebody's keys to whoever asks; `None`: there are no keys to give.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn fetch(
    app: &App,
    requester: SmokeId,
    requested: SmokeId,
) -> Result<Option<Vec<u8>>, ServiceError> {
    let directory = app.smoke.directory();
    let Some(participant) = directory.by_id(&requested).map(|one| one.number) else { return Ok(None) };
    let keys = app.store.read(move |tx| Ok::<_, ServiceError>(tx.find_smoke_keys(participant)?)).await?;
    let Some(keys) = keys.filter(|keys| keys.state == SmokeKeysState::Bound) else { return Ok(None) };
    let bundle = KeyBundle {
        at_millis: app.clock.now().0,
        key_type: 0,
        id: requested,
        encryption_key: keys.encryption_key,
        encryption_signature: keys.encryption_signature,
        signature_key: keys.signature_key,
        signature: keys.signature,
    };
    compute(move || Ok(Some(bundle.seal(&requester, &stream_of(&directory, &requester))))).await
}

/// The keys that follow from an ID; deriving those of a stranger takes a millisecond.
fn stream_of(directory: &Directory, id: &SmokeId) -> KeyStream {
    directory.by_id(id).map_or_else(|| KeyStream::of_id(id), |participant| participant.stream.clone())
}

/// The participants on whose behalf a request is signed: those whose bound keys have its digest and verify it.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn signers(app: &App, signed: Signed) -> Result<Vec<i64>, ServiceError> {
    let digest = signed.key_digest;
    let found =
        app.store.read(move |tx| Ok::<_, ServiceError>(tx.smoke_keys_by_encryption(&digest)?)).await?;
    compute(move || {
        let signers = found.iter().filter(|keys| signed.is_signed_by(&keys.signature_key));
        Ok(signers.map(|keys| keys.participant).collect())
    })
    .await
}

/// Whether a response to a challenge was signed with a participant's bound keys.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn authenticates(
    app: &App,
    challenge: Challenge,
    response: Response,
) -> Result<bool, ServiceError> {
    let digest = response.key_digest;
    let found = app.store.read(move |tx| Ok::<_, ServiceError>(tx.smoke_keys_by_signature(&digest)?)).await?;
    let Some(keys) = found else { return Ok(false) };
    compute(move || Ok(response.answers(&challenge, &keys.signature_key))).await
}

/// Binds the keys that wait under an alias.
///
/// # Errors
/// [`SmokeError::UnknownParticipant`] or [`SmokeError::NoWaitingKeys`].
pub async fn approve(app: &App, admin: &RecentlyConfirmed, id: SmokeId) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let participant = tx.find_smoke_participant(&id)?.ok_or(SmokeError::UnknownParticipant)?;
            if !tx.bind_waiting_smoke_keys(participant.number)? {
                return Err(SmokeError::NoWaitingKeys.into());
            }
            audit::log(tx, now, &account, Action::SmokeKeysApproved, id.as_str())
        })
        .await
}

/// Forgets the keys under an ID, so that others may come.
///
/// # Errors
/// [`SmokeError::UnknownParticipant`].
pub async fn forget(app: &App, admin: &RecentlyConfirmed, id: SmokeId) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write_freeing(move |tx| {
            let participant = tx.find_smoke_participant(&id)?.ok_or(SmokeError::UnknownParticipant)?;
            tx.delete_smoke_keys(participant.number)?;
            tx.set_smoke_refusal(participant.number, None)?;
            audit::log(tx, now, &account, Action::SmokeKeysForgotten, id.as_str())
        })
        .await
}
