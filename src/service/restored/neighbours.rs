//! What this server brings a neighbour that was restored: the end of that one's log of key changes, and the keys and devices
//! of everybody whose second home this server is. And whoever has their second home there is told of anew.

use momedo_protocol::api::restored::{HeldKeyLog, HeldKeys, MAX_LOG_HANDED_BACK};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_log::KeyLogHead;
use momedo_protocol::link::calls::Request;

use crate::domain::neighbour::LIVES;
use crate::links::Counted;
use crate::service::ServiceError;
use crate::service::documents::stored_jws;
use crate::service::neighbours::calls;
use crate::state::App;
use crate::store::ReadTx;

/// Hears which life of its store a neighbour is in, by its signed head; in a new one it is brought what it may have
/// forgotten.
///
/// # Errors
/// As [`ServiceError`] says; it is done again with the next head.
pub async fn hear(app: &App, server: Fingerprint, head: &KeyLogHead) -> Result<(), ServiceError> {
    let epoch = head.epoch;
    let known = app.store.read(move |tx| Ok::<_, ServiceError>(tx.neighbour_epoch(server)?)).await?;
    if known == Some(epoch) {
        return Ok(());
    }
    if app.links.count(server, Counted::Lives, LIVES, 1, app.clock.elapsed()).is_err() {
        tracing::warn!(%server, "a neighbour says that it was restored again and again; it is heard later");
        return Ok(());
    }
    if known.is_some() {
        tracing::info!(%server, "a neighbour was restored from a backup; it is brought what it may have forgotten");
        hand_back_log(app, server, head).await?;
        hand_back_people(app, server).await?;
    }
    app.store
        .write(move |tx| {
            if known.is_some() {
                tx.tell_second_home_anew(server)?;
            }
            Ok::<_, ServiceError>(tx.set_neighbour_epoch(server, epoch)?)
        })
        .await?;
    app.links.telling.notify_one();
    Ok(())
}

/// Only what cannot be reached now is an error: what is refused is not brought again.
fn unless_refused<T>(result: Result<T, ServiceError>) -> Result<(), ServiceError> {
    match result {
        Err(error @ (ServiceError::HomeUnreachable | ServiceError::Busy | ServiceError::Internal(_))) => {
            Err(error)
        }
        Err(error) => {
            tracing::info!(%error, "a neighbour does not take something back");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

async fn hand_back_log(app: &App, server: Fingerprint, head: &KeyLogHead) -> Result<(), ServiceError> {
    let (number, hash) = (head.number, head.hash);
    let held = app
        .store
        .read(move |tx| {
            let Some(row) = tx.find_neighbour_log(server)? else { return Ok(None) };
            // Where its past is told differently there is nothing to bring.
            if number >= row.end.number || tx.neighbour_log_hash(server, number)? != Some(hash) {
                return Ok(None);
            }
            let Ok(head) = serde_json::from_str(&row.head) else { return Ok(None) };
            let after = row.end.number.saturating_sub(MAX_LOG_HANDED_BACK as u64);
            let entries = tx.list_neighbour_log(server, after, MAX_LOG_HANDED_BACK)?;
            Ok::<_, ServiceError>(Some(HeldKeyLog { entries, head }))
        })
        .await?;
    let Some(held) = held else { return Ok(()) };
    let request = Request::HandBackKeyLog { held: Box::new(held) };
    unless_refused(calls::ask_for_response(app, server, &request).await)
}

async fn hand_back_people(app: &App, server: Fingerprint) -> Result<(), ServiceError> {
    let people = app.store.read(move |tx| Ok::<_, ServiceError>(tx.list_stood_in_for(server)?)).await?;
    for id in people {
        let Some(held) = app.store.read(move |tx| held(tx, id)).await? else { continue };
        let request = Request::HandBack { held: Box::new(held) };
        unless_refused(calls::ask_for_response(app, server, &request).await)?;
    }
    Ok(())
}

fn held(tx: &ReadTx<'_>, id: ParticipantId) -> Result<Option<HeldKeys>, ServiceError> {
    let (Some(bundle), Some((_, list))) = (tx.current_bundle(id)?, tx.device_list(id)?) else {
        return Ok(None);
    };
    let changes = tx.signature_key_changes(id, 0)?;
    Ok(Some(HeldKeys {
        changes: changes.iter().map(|change| stored_jws(change)).collect::<Result<_, _>>()?,
        bundle: stored_jws(&bundle.bundle)?,
        device_list: Some(stored_jws(&list)?),
    }))
}
