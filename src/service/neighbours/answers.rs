//! Answering what another home asks, or passing it on. Signed by this home.

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::link::calls::{BYTES, CallHeader, Refusal, ReplyHeader, Request, Response};
use momedo_protocol::link::{Call, MAX_HOPS, Signed};
use momedo_protocol::rsa_key::RsaPublicKey;
use tokio::time::Instant;

use super::calls::{ANSWER_TIME, forward, way};
use super::{attachments, forgetting, groups};
use crate::domain::neighbour::{CALLS, PLACEMENTS, REPORTS};
use crate::links::Counted;
use crate::live::rates::TooOften;
use crate::service::error::compute;
use crate::service::groups::Actor;
use crate::service::second_home::standing_in;
use crate::service::{ServiceError, reports, restored};
use crate::state::{App, AppState};
use crate::store::NeighbourRow;

/// When something is asked again that another home has no time for.
const LATER_SECONDS: u32 = 5;

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
