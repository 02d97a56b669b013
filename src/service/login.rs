//! Log-in: a nonce, signed by the device's log-in key, becomes a session. Trusts the nonce, not the time.

use momedo_protocol::api;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::DeviceId;
use momedo_protocol::login::Login;
use momedo_protocol::rsa_key::RsaPublicKey;

use super::error::compute;
use super::{ServiceError, restored};
use crate::domain::limits::{NONCE, SESSION};
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::ParticipantState;
use crate::surroundings::addresses;

/// How old "last seen" may get before a log-in writes it anew: a day, for the SD card's sake.
const SEEN_RESOLUTION_MILLIS: u64 = 86_400_000;

/// Draws a nonce. The same answer comes for devices nobody knows, so that nobody can ask who exists.
pub fn challenge(app: &App, device: DeviceId) -> api::LoginChallenge {
    let nonce = app.sessions.nonces.draw(device, app.clock.elapsed());
    api::LoginChallenge {
        nonce: Base64Bytes(nonce.to_vec()),
        expires_in: NONCE.as_secs(),
        epoch: app.store.epoch(),
    }
}

/// Begins a session for the device that signed its nonce; before that a restored server takes what comes along.
///
/// # Errors
/// [`ServiceError::KeysForgotten`] or [`ServiceError::DeviceForgotten`] when that is not enough,
/// [`ServiceError::LoginRefused`] for whatever does not fit, [`ServiceError::DeviceRevoked`] or
/// [`ServiceError::Disabled`] for a right signature that is not welcome any more.
pub async fn log_in(app: &App, request: api::LoginRequest) -> Result<api::Session, ServiceError> {
    let api::LoginRequest { login: jws, held } = request;
    let claimed = Login::unverified(&jws).map_err(|_| ServiceError::LoginRefused)?;
    let nonces = &app.sessions.nonces;
    let is_usable = nonces.is_usable(&claimed.nonce.0, claimed.device, app.clock.elapsed());
    if !is_usable || claimed.server != app.fingerprint {
        return Err(ServiceError::LoginRefused);
    }
    let brings_something = held.is_some();
    let was_behind = match held {
        Some(held) => restored::keys::come_back(app, claimed.device, &jws, *held).await?,
        None => false,
    };
    let (device, state, forgotten) = app
        .store
        .read(move |tx| {
            let device = tx.find_device(claimed.device)?.ok_or(ServiceError::LoginRefused)?;
            let participant = tx.find_participant(device.participant)?.ok_or(ServiceError::LoginRefused)?;
            let forgotten = tx.forgotten_keys(device.participant)?;
            Ok::<_, ServiceError>((device, participant.state, forgotten))
        })
        .await?;
    let login_key = device.login_key.clone();
    compute(move || {
        let key = RsaPublicKey::from_spki(&login_key).map_err(|_| ServiceError::LoginRefused)?;
        Login::verify(&jws, &key).map(drop).map_err(|_| ServiceError::LoginRefused)
    })
    .await?;
    // Now that the device itself has signed it.
    if !nonces.use_up(&claimed.nonce.0, claimed.device, app.clock.elapsed()) {
        return Err(ServiceError::LoginRefused);
    }
    if device.revoked {
        return Err(ServiceError::DeviceRevoked);
    }
    if state != ParticipantState::Active {
        return Err(ServiceError::Disabled);
    }
    if forgotten.is_some() {
        return Err(ServiceError::KeysForgotten);
    }
    // After a crash the served time may be behind what was noted before it.
    let unseen_millis = app.store.tick().0.saturating_sub(device.seen.0);
    if device.parked || unseen_millis > SEEN_RESOLUTION_MILLIS {
        let id = device.id;
        app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.mark_device_seen(id)?)).await?;
    }
    let principal = Principal { participant: device.participant, device: device.id };
    let lacks_key = brings_something && restored::keys::lacks_mceliece_key(app, device.participant).await?;
    let token = app.sessions.begin(principal, app.clock.elapsed());
    // Revoking ends the sessions it finds; one that began meanwhile is found here.
    require_not_revoked(app, device.id).await?;
    Ok(api::Session {
        id: device.participant,
        device: device.id,
        token,
        expires_in: SESSION.as_secs(),
        addresses: addresses::reachable(&app.config(), &app.listeners.running()),
        was_behind,
        lacks_key,
    })
}

/// Ends every session of a device that is revoked by now.
///
/// # Errors
/// [`ServiceError::DeviceRevoked`].
pub async fn require_not_revoked(app: &App, device: DeviceId) -> Result<(), ServiceError> {
    let row = app.store.read(move |tx| tx.find_device(device)).await?;
    if row.is_none_or(|row| row.revoked) {
        app.sessions.end_device(device);
        return Err(ServiceError::DeviceRevoked);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
