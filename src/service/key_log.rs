//! This server's log of key changes: what it holds, where it ends, and who is who in it.
//!
//! An entry is written in the transaction that makes its bundle current, so no bundle is ever served that does not
//! stand in the log. Nothing here removes or changes an entry.

use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_log::{KeyLogEntry, KeyLogHead, LogPlace, LogSubject, LogView, SignedHead};
use momedo_protocol::limits::MAX_KEY_LOG_PAGE;

use super::ServiceError;
use super::error::compute;
use crate::state::App;

/// Numbers beyond this are none: JSON readers stop at 2^53.
const MAX_NUMBER: u64 = 1 << 53;

/// Entries for bundles of before the log written in one transaction.
const BEGUN_AT_ONCE: usize = 100;

/// Who `id` is in the log of `server`; about ten milliseconds.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn subject_of(
    app: &App,
    server: Fingerprint,
    id: ParticipantId,
) -> Result<LogSubject, ServiceError> {
    let _permit = app.key_log.subjects.acquire().await.map_err(|_| ServiceError::Busy)?;
    compute(move || Ok(LogSubject::of(server, id))).await
}

/// Who one of this server's participants is, or would be, in its log.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn own_subject(app: &App, id: ParticipantId) -> Result<LogSubject, ServiceError> {
    match app.store.read(move |tx| Ok::<_, ServiceError>(tx.log_subject(id)?)).await? {
        Some(subject) => Ok(subject),
        None => subject_of(app, app.fingerprint, id).await,
    }
}

/// Enters the current bundles that became current before there was a log, ordered by their subjects: in the order of
/// IDs the log would tell of them. What was cut off is finished by the next start.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn begin(app: &App) -> Result<(), ServiceError> {
    let bundles = app.store.read(|tx| Ok::<_, ServiceError>(tx.list_unlogged_bundles()?)).await?;
    if bundles.is_empty() {
        return Ok(());
    }
    tracing::info!(count = bundles.len(), "entering the current keys into the log of key changes");
    let (server, made_at) = (app.fingerprint, app.clock.now());
    let mut entries = Vec::with_capacity(bundles.len());
    for bundle in bundles {
        let subject = subject_of(app, server, bundle.participant).await?;
        let entry = KeyLogEntry { subject, version: bundle.version, digest: bundle.digest, made_at };
        entries.push((bundle.participant, entry));
    }
    entries.sort_by_key(|(_, entry)| entry.subject.0);
    for part in entries.chunks(BEGUN_AT_ONCE).map(<[_]>::to_vec) {
        app.store
            .write(move |tx| {
                for (participant, entry) in &part {
                    tx.append_to_key_log(server, *participant, entry)?;
                }
                Ok::<_, ServiceError>(())
            })
            .await?;
    }
    Ok(())
}

/// Where the log ends, signed; one signature for everybody until it changes.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn head(app: &App) -> Result<(LogPlace, SignedHead), ServiceError> {
    let server = app.fingerprint;
    let end = app.store.read(move |tx| Ok::<_, ServiceError>(tx.key_log_end(server)?)).await?;
    Ok((end, signed(app, end)))
}

fn signed(app: &App, place: LogPlace) -> SignedHead {
    if let Some(head) = app.key_log.signed(place) {
        return head;
    }
    let head = KeyLogHead {
        server: app.fingerprint,
        epoch: app.store.epoch(),
        number: place.number,
        hash: place.hash,
        made_at: app.clock.now(),
    };
    // One signature, 1 to 2 ms; rare enough to make in place.
    let signed = SignedHead {
        identity_key: Base64Bytes(app.identity.public().spki().to_vec()),
        head: head.sign(&*app.identity),
    };
    app.key_log.keep(place, signed.clone());
    signed
}

/// A part of this server's log after a number.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn page(app: &App, after: u64) -> Result<KeyLogPage, ServiceError> {
    let after = after.min(MAX_NUMBER);
    let server = app.fingerprint;
    let (hash, entries, end) = app
        .store
        .read(move |tx| {
            let hash = tx.key_log_hash(server, after)?;
            Ok::<_, ServiceError>((hash, tx.list_key_log(after, MAX_KEY_LOG_PAGE)?, tx.key_log_end(server)?))
        })
        .await?;
    Ok(KeyLogPage { hash, entries, head: signed(app, end) })
}

/// A part of the log of another server, as far as this one followed it.
///
/// # Errors
/// [`ServiceError::UnknownKeyLog`] for a server whose log this one does not follow.
pub async fn page_of(app: &App, server: Fingerprint, after: u64) -> Result<KeyLogPage, ServiceError> {
    if server == app.fingerprint {
        return page(app, after).await;
    }
    let after = after.min(MAX_NUMBER);
    app.store
        .read(move |tx| {
            let known = tx.find_neighbour_log(server)?.ok_or(ServiceError::UnknownKeyLog)?;
            let head = serde_json::from_str(&known.head)
                .map_err(|_| ServiceError::Internal("a kept head of a log is damaged".into()))?;
            let hash = tx.neighbour_log_hash(server, after)?;
            Ok(KeyLogPage { hash, entries: tx.list_neighbour_log(server, after, MAX_KEY_LOG_PAGE)?, head })
        })
        .await
}

/// Where the log ends, as people compare it.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn view(app: &App) -> Result<LogView, ServiceError> {
    let server = app.fingerprint;
    app.store.read(move |tx| Ok(tx.key_log_end(server)?.view(server))).await
}
