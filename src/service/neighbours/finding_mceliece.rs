//! McEliece keys of participants of other servers: fetched in parts from where their owner is known.

use std::time::Duration;

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::link::{FetchKey, Frame, KeyPart, MAX_HOPS};
use momedo_protocol::mceliece::McEliecePublicKey;

use crate::domain::neighbour::KEY_QUESTIONS;
use crate::links::{Answer, Counted};
use crate::service::ServiceError;
use crate::service::error::compute;
use crate::state::App;
use crate::store::NeighbourRow;

/// How long a McEliece key may take.
const KEY_TIME: Duration = Duration::from_secs(60);

/// Length of a McEliece key, in bytes.
const KEY_BYTES: usize = momedo_protocol::mceliece::PUBLIC_KEY_BYTES;

/// A McEliece key that a participant of another server uses; kept here from then on.
///
/// # Errors
/// [`ServiceError::UnknownMcElieceKey`].
pub async fn key(app: &App, digest: Sha512Digest) -> Result<Vec<u8>, ServiceError> {
    let row = app.store.read(move |tx| tx.find_remote_by_mceliece(&digest)).await?;
    let row = row.ok_or(ServiceError::UnknownMcElieceKey)?;
    let key = fetch_key(app, row.via, digest, MAX_HOPS).await?.ok_or(ServiceError::UnknownMcElieceKey)?;
    let bytes = key.clone();
    let kept: Result<(), ServiceError> = app
        .store
        .write(move |tx| Ok(tx.insert_brought_mceliece_key(&digest, row.id, row.via, &bytes)?))
        .await;
    if let Err(error) = kept {
        tracing::debug!(%error, "a neighbour's McEliece key is not kept");
    }
    Ok(key)
}

pub(in crate::service) async fn fetch_key(
    app: &App,
    via: Fingerprint,
    digest: Sha512Digest,
    hops: u8,
) -> Result<Option<Vec<u8>>, ServiceError> {
    let query = app.links.new_query();
    let mut question = app.links.ask(&[via], query, &Frame::FetchKey(FetchKey { query, digest, hops }));
    let deadline = tokio::time::Instant::now() + KEY_TIME;
    let mut key: Vec<u8> = Vec::new();
    while key.len() < KEY_BYTES {
        let Ok(Some((_, answer))) = tokio::time::timeout_at(deadline, question.next()).await else {
            return Ok(None);
        };
        let Answer::KeyPart(KeyPart { offset, bytes, .. }) = answer else { return Ok(None) };
        let follows = usize::try_from(offset) == Ok(key.len());
        if bytes.is_empty() || !follows || key.len() + bytes.len() > KEY_BYTES {
            return Ok(None);
        }
        key.extend_from_slice(&bytes);
    }
    compute(move || {
        let key = McEliecePublicKey::from_bytes(key).map_err(|_| ServiceError::McElieceLength)?;
        Ok((key.digest() == digest).then(|| key.bytes().to_vec()))
    })
    .await
}

/// A McEliece key that a neighbour asks for: one of this server's, or from where this server knows its owner.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn answer_key(
    app: &App,
    neighbour: Fingerprint,
    question: FetchKey,
) -> Result<Option<Vec<u8>>, ServiceError> {
    if app.links.count(neighbour, Counted::Keys, KEY_QUESTIONS, 1, app.clock.elapsed()).is_err() {
        return Ok(None);
    }
    let digest = question.digest;
    let (kept, way) = app
        .store
        .read(move |tx| {
            let asking = tx.find_neighbour(neighbour)?.filter(NeighbourRow::is_paired);
            let Some(asking) = asking.filter(|row| row.contract.allows_anything()) else {
                return Ok::<_, ServiceError>((None, None));
            };
            // What has a digest can be told to whoever knows it: that is learned with the bundle alone.
            let kept = tx.find_mceliece_key(&digest)?;
            let way = if kept.is_none() && asking.contract.hop_through {
                tx.find_remote_by_mceliece(&digest)?.map(|row| row.via).filter(|via| *via != neighbour)
            } else {
                None
            };
            Ok((kept, way))
        })
        .await?;
    match (kept, way) {
        (Some(key), _) => Ok(Some(key)),
        (None, Some(via)) if question.hops > 0 => {
            fetch_key(app, via, digest, question.hops.min(MAX_HOPS) - 1).await
        }
        _ => Ok(None),
    }
}
