//! `/me/blocks`: from whom the participant takes nothing.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use momedo_protocol::api;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::problem::Problem;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{Authenticated, InPath};
use crate::service::blocks;

/// Whom the participant blocks.
#[utoipa::path(get, path = "/me/blocks", responses(
    (status = 200, body = api::Blocks),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
) -> ApiResult<Answer<api::Blocks>> {
    Ok(Answer(blocks::list(&state, principal).await?))
}

/// Blocks somebody.
#[utoipa::path(put, path = "/me/blocks/{id}", params(("id" = ParticipantId, Path)), responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn add(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    InPath(id): InPath<ParticipantId>,
) -> ApiResult<StatusCode> {
    blocks::add(&state, principal, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Blocks somebody no longer.
#[utoipa::path(delete, path = "/me/blocks/{id}", params(("id" = ParticipantId, Path)), responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn remove(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    InPath(id): InPath<ParticipantId>,
) -> ApiResult<StatusCode> {
    blocks::remove(&state, principal, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
