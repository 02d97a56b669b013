//! `POST /messages`.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use momedo_protocol::api;
use momedo_protocol::problem::Problem;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{Json, Submitting};
use crate::service::delivery;

/// Accepts a sealed envelope; 201 means that it is on disk. The same bytes again get the same answer.
#[utoipa::path(post, path = "/messages", request_body = api::SubmitRequest, responses(
    (status = 201, body = api::Receipt),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = 507, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn submit(
    State(state): State<HttpState>,
    Submitting(sender): Submitting,
    Json(request): Json<api::SubmitRequest>,
) -> ApiResult<(StatusCode, Answer<api::Receipt>)> {
    Ok((StatusCode::CREATED, Answer(delivery::submit(&state, sender, request).await?)))
}
