//! `/devices`: the participant's own devices.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use momedo_protocol::api;
use momedo_protocol::problem::Problem;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{Authenticated, Json};
use crate::service::devices;

/// The participant's own devices.
#[utoipa::path(get, path = "/devices", responses(
    (status = 200, body = api::Devices),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
) -> ApiResult<Answer<api::Devices>> {
    Ok(Answer(devices::list(&state, principal.participant).await?))
}

/// Adds devices or changes their names. Removing one goes with new keys, through `PUT /keys/{id}`.
#[utoipa::path(put, path = "/devices", request_body = api::DeviceListRequest, responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn update(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    Json(request): Json<api::DeviceListRequest>,
) -> ApiResult<StatusCode> {
    devices::update(&state, principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
