//! `POST /reports`.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use momedo_protocol::api;
use momedo_protocol::problem::Problem;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{Json, Storing};
use crate::service::reports;

/// Discloses one received message to the staff.
#[utoipa::path(post, path = "/reports", request_body = api::ReportRequest, responses(
    (status = 201, body = api::Reported),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn report(
    State(state): State<HttpState>,
    Storing(principal): Storing,
    Json(request): Json<api::ReportRequest>,
) -> ApiResult<(StatusCode, Answer<api::Reported>)> {
    Ok((StatusCode::CREATED, Answer(reports::report(&state, principal, request).await?)))
}
