//! Anybody's keys, as somebody of this server asks for them: its own people's, or as another home published them.

use momedo_protocol::api;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::id::ParticipantId;

use super::ServiceError;
use super::key_server::{mceliece_key, own_keys};
use super::neighbours::{finding, finding_mceliece};
use crate::live::sessions::Principal;
use crate::state::App;

/// A stored McEliece key (524,160 bytes), of this server's participants or fetched from another's home.
///
/// # Errors
/// [`ServiceError::UnknownMcElieceKey`].
pub async fn any_mceliece_key(app: &App, digest: Sha512Digest) -> Result<Vec<u8>, ServiceError> {
    match mceliece_key(app, digest).await {
        Err(ServiceError::UnknownMcElieceKey) => finding_mceliece::key(app, digest).await,
        result => result,
    }
}

/// A participant's current keys, with the signature-key changes after version `known`; of another server's
/// participant, as that home published them.
///
/// # Errors
/// [`ServiceError::UnknownParticipant`], [`ServiceError::NotAllowedAcross`] or
/// [`ServiceError::DisputedParticipant`].
pub async fn keys(
    app: &App,
    asker: Principal,
    id: ParticipantId,
    known: u64,
) -> Result<api::PublishedKeys, ServiceError> {
    match own_keys(app, id, known).await {
        // An ID that was this server's stays this server's: nobody else is asked for it.
        Err(ServiceError::UnknownParticipant) if !is_own(app, id).await? => {
            finding::keys_of(app, asker.participant, id, known).await
        }
        result => result,
    }
}

async fn is_own(app: &App, id: ParticipantId) -> Result<bool, ServiceError> {
    app.store.read(move |tx| Ok(tx.find_participant(id)?.is_some())).await
}
