//! `POST /participants`.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use momedo_protocol::api;
use momedo_protocol::problem::Problem;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{SmallJson, Unauthenticated};
use crate::service::registration;

/// Reserves an ID for an invite; the keys follow under `/keys/{id}` with the token given here.
#[utoipa::path(post, path = "/participants", security(()), request_body = api::ReserveRequest, responses(
    (status = 201, body = api::Reservation),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn reserve(
    State(state): State<HttpState>,
    client: Unauthenticated,
    SmallJson(request): SmallJson<api::ReserveRequest>,
) -> ApiResult<(StatusCode, Answer<api::Reservation>)> {
    let reserved = client.count(&state, registration::reserve(&state, request.invite).await)?;
    Ok((StatusCode::CREATED, Answer(reserved)))
}
