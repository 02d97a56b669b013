//! `/device-links`: a mailbox for two devices that are being linked.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use momedo_protocol::api;
use momedo_protocol::device_link::{LinkId, LinkStep};
use momedo_protocol::limits::MAX_WAIT_SECONDS;
use momedo_protocol::problem::Problem;
use serde::Deserialize;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{Anybody, Authenticated, InPath, InQuery, limited_body};
use crate::service::{ServiceError, device_links};

/// Opens a link for a new device.
#[utoipa::path(post, path = "/device-links", responses(
    (status = 201, body = api::OpenedDeviceLink),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn open(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
) -> ApiResult<(StatusCode, Answer<api::OpenedDeviceLink>)> {
    Ok((StatusCode::CREATED, Answer(device_links::open(&state, principal)?)))
}

/// Ends a link.
#[utoipa::path(delete, path = "/device-links/{link}", params(("link" = LinkId, Path)), responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn close(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    InPath(link): InPath<LinkId>,
) -> StatusCode {
    device_links::close(&state, link, principal);
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waiting {
    /// For how many seconds to wait for the other device.
    #[serde(default)]
    wait: u64,
}

fn counted<T>(state: &HttpState, caller: &Anybody, result: Result<T, ServiceError>) -> ApiResult<T> {
    match caller {
        // Who asks for links that are not there may be guessing.
        Anybody::Unknown(client) => client.count(state, result),
        Anybody::Known(_) => Ok(result?),
    }
}

/// Reads what a device wrote; 204 when it has not yet.
#[utoipa::path(get, path = "/device-links/{link}/{step}", security((), ("session" = [])),
    params(("link" = LinkId, Path), ("step" = String, Path), Waiting), responses(
    (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn read(
    State(state): State<HttpState>,
    caller: Anybody,
    InPath((link, step)): InPath<(LinkId, LinkStep)>,
    InQuery(query): InQuery<Waiting>,
) -> ApiResult<Response> {
    let wait = Duration::from_secs(query.wait.min(MAX_WAIT_SECONDS));
    let read = device_links::read(&state, link, step, wait).await;
    Ok(match counted(&state, &caller, read)? {
        Some(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Writes a step, once.
#[utoipa::path(put, path = "/device-links/{link}/{step}", security((), ("session" = [])),
    params(("link" = LinkId, Path), ("step" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn write(
    State(state): State<HttpState>,
    caller: Anybody,
    InPath((link, step)): InPath<(LinkId, LinkStep)>,
    request: Request,
) -> ApiResult<StatusCode> {
    let writer = match &caller {
        Anybody::Known(principal) => Some(*principal),
        Anybody::Unknown(_) => None,
    };
    // Before its body is read: whoever has no link brings nothing.
    counted(&state, &caller, device_links::may_write(&state, link, step, writer))?;
    let bytes = limited_body(request, &state, device_links::limit(step)).await?;
    counted(&state, &caller, device_links::write(&state, link, step, writer, bytes))?;
    Ok(StatusCode::NO_CONTENT)
}
