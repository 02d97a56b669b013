//! Linking a second device: the server's part is a mailbox it cannot read.

use std::time::Duration;

use bytes::Bytes;
use momedo_protocol::api;
use momedo_protocol::device_link::{LinkId, LinkStep};
use momedo_protocol::limits::{MAX_HANDOVER_BYTES, MAX_LINK_STEP_BYTES};

use super::ServiceError;
use crate::domain::limits::DEVICE_LINK;
use crate::live::device_links::{LinkRefusal, Step};
use crate::live::sessions::Principal;
use crate::state::App;

impl From<LinkRefusal> for ServiceError {
    fn from(refusal: LinkRefusal) -> Self {
        match refusal {
            LinkRefusal::Unknown => Self::UnknownLink,
            LinkRefusal::Used => Self::LinkUsed,
            LinkRefusal::NotYours => Self::NotYours,
            LinkRefusal::OutOfTurn => Self::Malformed("the step before this one is missing".into()),
            LinkRefusal::Busy => Self::Busy,
        }
    }
}

/// Opens a link.
///
/// # Errors
/// [`ServiceError::Busy`].
pub fn open(app: &App, owner: Principal) -> Result<api::OpenedDeviceLink, ServiceError> {
    let link = app.device_links.open(owner, app.clock.elapsed())?;
    Ok(api::OpenedDeviceLink { link, expires_in: DEVICE_LINK.as_secs() })
}

/// Largest message of a step, in bytes.
pub fn limit(step: LinkStep) -> usize {
    if step == LinkStep::Handover { MAX_HANDOVER_BYTES } else { MAX_LINK_STEP_BYTES }
}

/// Refuses whoever may not write a step, before anything of it is read.
///
/// # Errors
/// [`ServiceError::UnknownLink`] or [`ServiceError::NotYours`], or [`ServiceError::Malformed`] out of turn.
pub fn may_write(
    app: &App,
    link: LinkId,
    step: LinkStep,
    writer: Option<Principal>,
) -> Result<(), ServiceError> {
    Ok(app.device_links.may_write(link, step, writer, app.clock.elapsed())?)
}

/// Writes a step.
///
/// # Errors
/// [`ServiceError::UnknownLink`], [`ServiceError::LinkUsed`], [`ServiceError::NotYours`],
/// [`ServiceError::BodyTooLarge`] or [`ServiceError::Busy`].
pub fn write(
    app: &App,
    link: LinkId,
    step: LinkStep,
    writer: Option<Principal>,
    bytes: Bytes,
) -> Result<(), ServiceError> {
    let limit = limit(step);
    if bytes.len() > limit {
        return Err(ServiceError::BodyTooLarge { limit });
    }
    Ok(app.device_links.write(link, step, writer, bytes, app.clock.elapsed())?)
}

/// Reads a step, waiting for it if need be; `None` when the time is up.
///
/// # Errors
/// [`ServiceError::UnknownLink`].
pub async fn read(
    app: &App,
    link: LinkId,
    step: LinkStep,
    wait: Duration,
) -> Result<Option<Bytes>, ServiceError> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        match app.device_links.read(link, step, app.clock.elapsed())? {
            Step::Written(bytes) => return Ok(Some(bytes)),
            Step::Awaited(mut written) => {
                // An error says that the link was closed; the next look tells so.
                if tokio::time::timeout_at(deadline, written.changed()).await.is_err() {
                    return Ok(None);
                }
            }
        }
    }
}

/// Ends a link of one's own.
pub fn close(app: &App, link: LinkId, owner: Principal) {
    app.device_links.close(link, owner);
}

#[cfg(test)]
mod tests;
