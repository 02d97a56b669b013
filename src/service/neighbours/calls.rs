//! Calls: asking another home for something. Signed by both homes.

use std::time::Duration;

use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::calls::{
    BYTES, CallHeader, MAX_CALL_BYTES, MAX_REPLY_BYTES, Refusal, ReplyHeader, Request, Response,
};
use momedo_protocol::link::{Call, Frame, MAX_HOPS, Signed};
use momedo_protocol::random;
use momedo_protocol::rsa_key::RsaPublicKey;
use tokio::time::Instant;

use super::waiting::Waiting;
use crate::links::{Answer, Waits};
use crate::service::ServiceError;
use crate::service::error::compute;
use crate::state::App;
use crate::store::{NeighbourRow, ReadTx};

/// How long another home may take to answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(20);

/// The neighbour that leads to a home, if mail may go there now.
pub(super) fn way(tx: &ReadTx<'_>, home: Fingerprint) -> Result<Option<NeighbourRow>, ServiceError> {
    if let Some(direct) = tx.find_neighbour(home)?.filter(NeighbourRow::is_paired) {
        return Ok(Some(direct));
    }
    let Some(via) = tx.way_to_home(home)? else { return Ok(None) };
    Ok(tx.find_neighbour(via)?.filter(NeighbourRow::is_paired))
}

/// The neighbour over which this server may ask a home.
///
/// # Errors
/// [`ServiceError::HomeUnreachable`].
pub(super) async fn way_to(app: &App, home: Fingerprint) -> Result<NeighbourRow, ServiceError> {
    app.store.read(move |tx| way(tx, home)).await?.ok_or(ServiceError::HomeUnreachable)
}

/// Asks another home, and returns the body of its answer.
///
/// # Errors
/// [`ServiceError::HomeUnreachable`], or [`ServiceError::Malformed`] when there is more to ask than a call holds.
pub(super) async fn ask(app: &App, home: Fingerprint, request: &Request) -> Result<Vec<u8>, ServiceError> {
    let via = way_to(app, home).await?.id;
    let mut waiting = Waiting::begin(app, Waits::Calls, who_waits(request), &[via], ANSWER_TIME);
    if waiting.is_over() {
        return Err(ServiceError::HomeUnreachable);
    }
    let body = serde_json::to_vec(request).map_err(|error| ServiceError::Internal(error.to_string()))?;
    if body.len() > MAX_CALL_BYTES {
        return Err(ServiceError::Malformed("this is too large to be sent to another server".into()));
    }
    let (own, identity) = (app.fingerprint, app.identity.clone());
    let signed = compute(move || {
        let nonce = Base64Bytes(random::bytes::<16>().to_vec());
        let header = CallHeader { origin: own, home, nonce, body: Sha512Digest::of(&body) };
        let header = serde_json::to_vec(&header.sign(&*identity));
        let header = header.map_err(|error| ServiceError::Internal(error.to_string()))?;
        Ok(Signed { identity_key: identity.public().spki().to_vec(), header, body })
    })
    .await?;
    let name = signed.name();
    let until = waiting.until();
    let reply = forward(app, via, home, MAX_HOPS, signed, until).await;
    let reply = reply.ok_or(ServiceError::HomeUnreachable)?;
    waiting.answered(via);
    drop(waiting);
    let verified = compute(move || Ok(verify_reply(home, name, reply))).await?;
    verified.ok_or_else(|| {
        tracing::warn!(%via, "an answer of another home is not signed by it");
        ServiceError::HomeUnreachable
    })
}

fn verify_reply(home: Fingerprint, call: [u8; 32], reply: Signed) -> Option<Vec<u8>> {
    let identity = RsaPublicKey::from_spki(&reply.identity_key).ok()?;
    let header = ReplyHeader::verify(&reply.signed_header()?, &identity).ok()?;
    let fits = header.home == home
        && header.call.0 == call
        && header.body == Sha512Digest::of(&reply.body)
        && reply.body.len() <= MAX_REPLY_BYTES;
    fits.then_some(reply.body)
}

/// Asks another home, and reads its answer.
///
/// # Errors
/// As [`ask`], and what the other home refuses with.
pub(in crate::service) async fn ask_for_response(
    app: &App,
    home: Fingerprint,
    request: &Request,
) -> Result<Response, ServiceError> {
    let body = ask(app, home, request).await?;
    match serde_json::from_slice(&body) {
        Ok(Response::Refused(refusal)) => Err(refused(refusal)),
        Ok(response) => Ok(response),
        Err(_) => Err(unexpected()),
    }
}

/// Another home answered something else than was asked for.
pub(in crate::service) fn unexpected() -> ServiceError {
    tracing::warn!("another home answered what cannot be read");
    ServiceError::HomeUnreachable
}

/// The participant of this server who waits for the answer.
fn who_waits(request: &Request) -> Option<ParticipantId> {
    match request {
        Request::GroupEntries { from, .. }
        | Request::GroupAppend { from, .. }
        | Request::GroupPost { from, .. }
        | Request::GroupHandBack { from, .. }
        | Request::Report { from, .. } => Some(*from),
        _ => None,
    }
}

/// Sends a call over a neighbour and waits for the answer.
pub(super) async fn forward(
    app: &App,
    via: Fingerprint,
    home: Fingerprint,
    hops: u8,
    signed: Signed,
    until: Instant,
) -> Option<Signed> {
    let query = app.links.new_query();
    let call = Call { query, hops, home, signed };
    let mut question = app.links.ask(&[via], query, &Frame::Call(Box::new(call)));
    match tokio::time::timeout_at(until, question.next()).await {
        Ok(Some((_, Answer::Reply(reply)))) => reply,
        _ => None,
    }
}

/// Bytes of an attachment from its home.
///
/// # Errors
/// As [`ask`], and [`ServiceError::UnknownBlob`] or [`ServiceError::BlobIncomplete`].
pub(super) async fn blob_part(
    app: &App,
    home: Fingerprint,
    id: BlobId,
    offset: u64,
) -> Result<Vec<u8>, ServiceError> {
    let body = ask(app, home, &Request::Blob { id, offset }).await?;
    match body.split_first() {
        Some((&BYTES, bytes)) => Ok(bytes.to_vec()),
        _ => match serde_json::from_slice(&body) {
            Ok(Response::Refused(refusal)) => Err(refused(refusal)),
            _ => Err(unexpected()),
        },
    }
}

fn refused(refusal: Refusal) -> ServiceError {
    match refusal {
        Refusal::UnknownGroup => ServiceError::UnknownGroup,
        Refusal::StaleGroup { number } => ServiceError::StaleGroup { number },
        Refusal::GroupRefused { reason } => ServiceError::GroupRefused(reason),
        Refusal::MemberReset => ServiceError::MemberReset,
        Refusal::ModeratorsPost => ServiceError::ModeratorsPost,
        Refusal::UnknownParticipant => ServiceError::UnknownParticipant,
        Refusal::StaleBundle => ServiceError::StaleBundle,
        Refusal::FirstHomeHere => ServiceError::FirstHomeOnly,
        Refusal::TooManyGroups => ServiceError::TooManyGroups,
        Refusal::AddedTooOften => ServiceError::AddedTooOften,
        Refusal::ChangedTooOften => ServiceError::ChangedTooOften,
        Refusal::Blocked => ServiceError::Blocked,
        Refusal::SenderFull => ServiceError::SenderFull,
        Refusal::Conflict => ServiceError::MessageConflict,
        Refusal::UnknownBlob => ServiceError::UnknownBlob,
        Refusal::BlobIncomplete => ServiceError::BlobIncomplete,
        Refusal::NotAllowedAcross => ServiceError::NotAllowedAcross,
        Refusal::ReportRefused => ServiceError::ReportRefused("its sender's server refuses it"),
        Refusal::Malformed { reason } => ServiceError::Malformed(reason),
        Refusal::Later { .. } => ServiceError::HomeUnreachable,
    }
}
