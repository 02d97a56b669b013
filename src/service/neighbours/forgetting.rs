//! Erasure beyond this server: whoever was told of somebody hears that they are gone, from server to server.
//!
//! The home signs it once; each server tells those that it told itself, until they acknowledge it.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::erasure::Departure;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::link::calls::Request;
use momedo_protocol::rsa_key::RsaPublicKey;

use super::calls;
use crate::service::ServiceError;
use crate::service::error::compute;
use crate::state::App;
use crate::store::{ParticipantState, ReadTx, StoreError, StoredDeparture, ToForget};

/// Notes that a server is told of somebody, before it is; false when they are erased by now.
///
/// # Errors
/// As [`ServiceError`] says: what cannot be noted is not told either.
pub(super) async fn note_told(
    app: &App,
    id: ParticipantId,
    server: Fingerprint,
) -> Result<bool, ServiceError> {
    let at = app.clock.now();
    // Most were told before, and reading wears nothing.
    let was_told = |tx: &ReadTx<'_>, id, server| tx.was_told_of(id, server, &homes_elsewhere(tx, id)?);
    if app.store.read(move |tx| was_told(tx, id, server)).await? {
        return Ok(true);
    }
    app.store
        .write_freeing(move |tx| {
            let here = tx.find_participant(id)?;
            let is_known = match &here {
                Some(row) => row.state != ParticipantState::Erased,
                None => tx.find_remote(id)?.is_some(),
            };
            if is_known {
                tx.note_told_of(id, server, &homes_elsewhere(tx, id)?, at)?;
            }
            Ok::<_, ServiceError>(is_known)
        })
        .await
}

/// Where somebody of another server lives; nowhere else for this server's own.
fn homes_elsewhere(tx: &ReadTx<'_>, id: ParticipantId) -> Result<Vec<Fingerprint>, StoreError> {
    if tx.find_participant(id)?.is_some() {
        return Ok(Vec::new());
    }
    let row = tx.find_remote(id)?;
    Ok(row.into_iter().flat_map(|row| std::iter::once(row.home).chain(row.other_home)).collect())
}

/// Forgets a participant of another server because their home says so, and has others forget them that were told here.
///
/// # Errors
/// [`ServiceError::Malformed`] when the home has not signed it.
pub(super) async fn forget(
    app: &App,
    from: Fingerprint,
    identity_key: Base64Bytes,
    departure: Jws,
) -> Result<(), ServiceError> {
    let malformed = |reason: &str| ServiceError::Malformed(reason.into());
    let (signed, stored) = compute(move || {
        let key =
            RsaPublicKey::from_spki(&identity_key.0).map_err(|_| malformed("the home's key is none"))?;
        let signed =
            Departure::verify(&departure, &key).map_err(|_| malformed("the home has not signed it"))?;
        let departure =
            serde_json::to_string(&departure).map_err(|error| ServiceError::Internal(error.to_string()))?;
        Ok((signed, StoredDeparture { identity_key: identity_key.0, departure }))
    })
    .await?;
    let Departure { id, home } = signed;
    app.store
        .write_freeing(move |tx| {
            // Of this server's own people no other decides; of those it stands in for it hears otherwise.
            if tx.find_participant(id)?.is_some() {
                return Ok::<_, ServiceError>(());
            }
            let by = match tx.find_remote(id)? {
                Some(row) if !row.lives_at(home) => return Ok(()),
                Some(_) => {
                    tx.erase_remote(id)?;
                    None
                }
                // Here they are forgotten already; whoever was told by this server has not heard of it.
                None => Some(home),
            };
            Ok(tx.begin_to_forget(id, Some(&stored), Some(from), by)?)
        })
        .await?;
    app.links.telling.notify_one();
    Ok(())
}

/// Tells every neighbour that is connected whom it has to forget.
///
/// # Errors
/// As [`ServiceError`] says; who does not acknowledge is told again later.
pub async fn tell_all(app: &App) -> Result<(), ServiceError> {
    for server in app.links.connected() {
        let waiting = app.store.read(move |tx| Ok::<_, ServiceError>(tx.list_to_forget(server)?)).await?;
        for ToForget { participant, of_home } in waiting {
            let request = request(app, participant, of_home).await?;
            match calls::ask_for_response(app, server, &request).await {
                Ok(_) => {
                    app.store
                        .write_freeing(move |tx| {
                            Ok::<_, ServiceError>(tx.note_forgotten(participant, server)?)
                        })
                        .await?;
                }
                Err(ServiceError::HomeUnreachable) => break,
                Err(error) => {
                    tracing::warn!(%error, %server, "a neighbour does not forget somebody yet");
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn request(
    app: &App,
    id: ParticipantId,
    of_home: Option<StoredDeparture>,
) -> Result<Request, ServiceError> {
    if let Some(StoredDeparture { identity_key, departure }) = of_home {
        let departure = serde_json::from_str(&departure)
            .map_err(|_| ServiceError::Internal("a kept departure is damaged".into()))?;
        return Ok(Request::Forget { identity_key: Base64Bytes(identity_key), departure });
    }
    let (home, identity) = (app.fingerprint, app.identity.clone());
    compute(move || {
        let departure = Departure { id, home }.sign(&*identity);
        Ok(Request::Forget { identity_key: Base64Bytes(identity.public().spki().to_vec()), departure })
    })
    .await
}
