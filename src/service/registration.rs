//! Registration: an invite code becomes a reserved ID; [`super::key_server`] does the rest.

use std::time::Duration;

use momedo_protocol::api;
use momedo_protocol::digest::sha256;
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::random;

use super::ServiceError;
use crate::domain::limits::{MAX_RESERVATIONS_PER_INVITE, RESERVATION};
use crate::state::App;
use crate::store::{ReservationRow, Tick};

/// What stands in the store for an invite code.
pub fn code_hash(code: InviteCode) -> [u8; 32] {
    sha256(code.to_string().as_bytes())
}

/// Reserves an ID for ten minutes; the invite is spent only when the registration is complete.
///
/// # Errors
/// [`ServiceError::UnknownInvite`], [`ServiceError::InviteExpired`], [`ServiceError::InviteUsed`] or
/// [`ServiceError::TooOften`] when the same invite is being used too often at once.
pub async fn reserve(app: &App, code: InviteCode) -> Result<api::Reservation, ServiceError> {
    let invite = code_hash(code);
    let token = encode_base64(&random::bytes::<32>());
    let token_hash = sha256(token.as_bytes());
    let (id, name, bundle_version, device_list_version) = app
        .store
        .write(move |tx| {
            let row = tx.find_invite(&invite)?.ok_or(ServiceError::UnknownInvite)?;
            if row.spent {
                return Err(ServiceError::InviteUsed);
            }
            if row.expires <= tx.tick() {
                return Err(ServiceError::InviteExpired);
            }
            if tx.count_reservations(&invite)? >= MAX_RESERVATIONS_PER_INVITE {
                return Err(ServiceError::TooOften(RESERVATION));
            }
            let id = match row.participant {
                // Keys were reset: the same person begins anew under the same ID.
                Some(id) => id,
                None => loop {
                    let id = ParticipantId::random();
                    if tx.is_id_free(id)? {
                        break id;
                    }
                },
            };
            let known = tx.current_bundle(id)?.map_or(0, |row| row.version);
            // Contacts may know keys that a restored server has forgotten.
            let bundle_version = known.max(tx.forgotten_keys(id)?.unwrap_or(0)) + 1;
            let device_list_version = tx.device_list(id)?.map_or(0, |(version, _)| version) + 1;
            // Of an ID that is given anew, only the newest reservation holds.
            tx.delete_reservation(id)?;
            let expires = Tick(tx.tick().0 + millis(RESERVATION));
            tx.insert_reservation(&ReservationRow { participant: id, invite, expires }, &token_hash)?;
            Ok((id, row.name, bundle_version, device_list_version))
        })
        .await?;
    Ok(api::Reservation {
        id,
        name,
        token,
        bundle_version,
        device_list_version,
        expires_in: RESERVATION.as_secs(),
    })
}

/// The reservation behind a token, if it still holds.
///
/// # Errors
/// [`ServiceError::ReservationEnded`].
pub async fn reservation(app: &App, token: &str) -> Result<ReservationRow, ServiceError> {
    let hash = sha256(token.as_bytes());
    app.store
        .read(move |tx| {
            let row = tx.find_reservation(&hash)?.ok_or(ServiceError::ReservationEnded)?;
            if row.expires <= tx.tick() { Err(ServiceError::ReservationEnded) } else { Ok(row) }
        })
        .await
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
