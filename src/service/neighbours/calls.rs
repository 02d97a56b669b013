//! Calls: asking another home for something, and answering what another home asks. Signed by both homes.

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
use super::{attachments, forgetting, groups};
use crate::domain::neighbour::{CALLS, PLACEMENTS, REPORTS};
use crate::links::{Answer, Counted, Waits};
use crate::live::rates::TooOften;
use crate::service::error::compute;
use crate::service::groups::Actor;
use crate::service::second_home::standing_in;
use crate::service::{ServiceError, reports, restored};
use crate::state::{App, AppState};
use crate::store::{NeighbourRow, ReadTx};

/// How long another home may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// When something is asked again that another home has no time for.
const LATER_SECONDS: u32 = 5;

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
async fn forward(
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

/// Answers a neighbour's call, or passes it on; `None` when it goes no further.
pub async fn answer(app: &AppState, neighbour: Fingerprint, call: Call) -> Option<Signed> {
    let row = app.store.read(move |tx| tx.find_neighbour(neighbour)).await.ok().flatten();
    let row = row.filter(NeighbourRow::is_paired)?;
    if call.home != app.fingerprint {
        return pass_on(app, &row, call).await;
    }
    let counted = app.links.count(neighbour, Counted::Calls, CALLS, 1, app.clock.elapsed());
    let name = call.signed.name();
    let own = app.fingerprint;
    let verified = compute(move || Ok(verify_call(own, call.signed))).await.ok().flatten();
    let Some((identity, request)) = verified else {
        tracing::warn!(%neighbour, "a neighbour brought a call whose signature does not fit");
        return None;
    };
    let result = match (counted, request) {
        (Err(wait), _) => {
            Err(Refusal::Later { seconds: u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX) })
        }
        // Whatever is allowed by now: what was told once is taken back.
        (_, Some(request @ Request::Forget { .. })) => {
            run(app, &row, identity, request).await.map_err(|error| refusal(&error))
        }
        _ if !row.contract.allows_anything() => Err(Refusal::NotAllowedAcross),
        (_, None) => Err(Refusal::Malformed { reason: "this server does not know what is asked".into() }),
        (_, Some(request)) => run(app, &row, identity, request).await.map_err(|error| refusal(&error)),
    };
    let body = match result {
        Ok(Done::Bytes(mut bytes)) => {
            bytes.insert(0, BYTES);
            bytes
        }
        Ok(Done::Response(response)) => serde_json::to_vec(&response).ok()?,
        Err(refusal) => serde_json::to_vec(&Response::Refused(refusal)).ok()?,
    };
    let identity = app.identity.clone();
    compute(move || {
        let call = Base64Bytes(name.to_vec());
        let header = ReplyHeader { home: own, call, body: Sha512Digest::of(&body) }.sign(&*identity);
        let header =
            serde_json::to_vec(&header).map_err(|error| ServiceError::Internal(error.to_string()))?;
        Ok(Signed { identity_key: identity.public().spki().to_vec(), header, body })
    })
    .await
    .ok()
}

/// Who asks, and what, if it can be read; `None` when the signature does not fit.
fn verify_call(own: Fingerprint, signed: Signed) -> Option<(RsaPublicKey, Option<Request>)> {
    let identity = RsaPublicKey::from_spki(&signed.identity_key).ok()?;
    let header = CallHeader::verify(&signed.signed_header()?, &identity).ok()?;
    let fits = header.home == own && header.origin != own && header.body == Sha512Digest::of(&signed.body);
    fits.then(|| (identity, serde_json::from_slice(&signed.body).ok()))
}

async fn pass_on(app: &App, source: &NeighbourRow, call: Call) -> Option<Signed> {
    let hops = call.hops.min(MAX_HOPS).checked_sub(1)?;
    let counted = app.links.count(source.id, Counted::Calls, CALLS, 1, app.clock.elapsed());
    if !source.contract.hop_through || counted.is_err() {
        return None;
    }
    let home = call.home;
    let via = app.store.read(move |tx| way(tx, home)).await.ok().flatten()?;
    if via.id == source.id || !via.contract.hop_through {
        return None;
    }
    forward(app, via.id, call.home, hops, call.signed, Instant::now() + ANSWER_TIME).await
}

/// What a call came to.
enum Done {
    Response(Response),
    /// Of an attachment.
    Bytes(Vec<u8>),
}

/// Does what a home asks that is reached over `over`.
async fn run(
    app: &AppState,
    over: &NeighbourRow,
    identity: RsaPublicKey,
    request: Request,
) -> Result<Done, ServiceError> {
    let origin = identity.fingerprint();
    let actor = |participant| Actor::There {
        participant,
        home: origin,
        neighbour: over.id,
        rate: over.contract.rate(),
    };
    let response = match request {
        Request::GroupEntries { from, group, after, proof } => {
            Response::Entries(Box::new(groups::entries_for(app, actor(from), group, after, proof).await?))
        }
        Request::GroupAppend { from, group, entry } => {
            Response::Appended(groups::append_for(app, actor(from), origin, group, entry).await?)
        }
        Request::GroupAdd { from, members } => {
            groups::may_be_added(app, over, from, members).await?;
            Response::Done
        }
        Request::GroupPost { from, group, message, sizes } => {
            Response::Posted(groups::post_for(app, actor(from), group, *message, sizes).await?)
        }
        Request::Blob { id, offset } => {
            return Ok(Done::Bytes(attachments::part_for(app, origin, id, offset).await?));
        }
        Request::BlobTaken { id } => {
            attachments::taken_by(app, origin, id).await?;
            Response::Done
        }
        Request::Report { from, reason, message } => {
            let counted = app.links.count(over.id, Counted::Reports, REPORTS, 1, app.clock.elapsed());
            counted.map_err(TooOften)?;
            reports::report_from(app, origin, from, reason, message).await?;
            Response::Done
        }
        Request::StandIn { placement } => {
            let counted = app.links.count(over.id, Counted::Placements, PLACEMENTS, 1, app.clock.elapsed());
            counted.map_err(TooOften)?;
            standing_in::place(app, origin, identity, *placement).await?;
            Response::Done
        }
        Request::Forget { identity_key, departure } => {
            forgetting::forget(app, over.id, identity_key, departure).await?;
            Response::Done
        }
        Request::HandBack { held } => {
            let counted = app.links.count(over.id, Counted::Placements, PLACEMENTS, 1, app.clock.elapsed());
            counted.map_err(TooOften)?;
            restored::keys::come_back_from(app, origin, *held).await?;
            Response::Done
        }
        Request::HandBackKeyLog { held } => {
            restored::log::take(app, *held).await?;
            Response::Done
        }
        Request::GroupHandBack { from, group, held } => {
            Response::Appended(restored::groups::take_from(app, actor(from), group, held).await?)
        }
        Request::StandInEnds { id, erased } => {
            standing_in::end(app, origin, id, erased).await?;
            Response::Done
        }
    };
    Ok(Done::Response(response))
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

fn refusal(error: &ServiceError) -> Refusal {
    match error {
        ServiceError::UnknownGroup => Refusal::UnknownGroup,
        ServiceError::StaleGroup { number } => Refusal::StaleGroup { number: *number },
        ServiceError::GroupRefused(reason) => Refusal::GroupRefused { reason: reason.clone() },
        ServiceError::MemberReset => Refusal::MemberReset,
        ServiceError::ModeratorsPost => Refusal::ModeratorsPost,
        ServiceError::UnknownParticipant | ServiceError::UnknownHere | ServiceError::UnknownHerePaused => {
            Refusal::UnknownParticipant
        }
        ServiceError::StaleBundle => Refusal::StaleBundle,
        ServiceError::FirstHomeOnly => Refusal::FirstHomeHere,
        ServiceError::Bundle(_) | ServiceError::DeviceList(_) | ServiceError::KeyRule(_) => {
            Refusal::Malformed { reason: error.to_string() }
        }
        ServiceError::TooManyGroups => Refusal::TooManyGroups,
        ServiceError::AddedTooOften => Refusal::AddedTooOften,
        ServiceError::ChangedTooOften => Refusal::ChangedTooOften,
        ServiceError::Blocked => Refusal::Blocked,
        ServiceError::SenderFull => Refusal::SenderFull,
        ServiceError::MessageConflict | ServiceError::BlobConflict => Refusal::Conflict,
        ServiceError::UnknownBlob => Refusal::UnknownBlob,
        ServiceError::BlobIncomplete => Refusal::BlobIncomplete,
        ServiceError::NotAllowedAcross | ServiceError::NotYours => Refusal::NotAllowedAcross,
        ServiceError::ReportRefused(_) => Refusal::ReportRefused,
        ServiceError::Malformed(reason) => Refusal::Malformed { reason: reason.clone() },
        ServiceError::MessageIdMismatch
        | ServiceError::Envelope(_)
        | ServiceError::UnknownSuite(_)
        | ServiceError::EnvelopeTooLarge { .. } => Refusal::Malformed { reason: error.to_string() },
        error => {
            tracing::debug!(%error, "another home's call is put off");
            Refusal::Later { seconds: LATER_SECONDS }
        }
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
