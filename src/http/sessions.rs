//! Log-in under `/sessions`.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use momedo_protocol::api;
use momedo_protocol::problem::Problem;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{LimitedJson, SmallJson, Unauthenticated};
use crate::service::login;

/// Largest log-in, in bytes: to a restored server the end of its log of key changes comes along, and a device list.
const LOG_IN_BODY_BYTES: usize = 256 * 1024;

/// Draws a nonce for a device to sign.
#[utoipa::path(post, path = "/sessions/challenge", security(()), request_body = api::LoginChallengeRequest, responses(
    (status = 200, body = api::LoginChallenge),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn challenge(
    State(state): State<HttpState>,
    _: Unauthenticated,
    SmallJson(request): SmallJson<api::LoginChallengeRequest>,
) -> ApiResult<Answer<api::LoginChallenge>> {
    Ok(Answer(login::challenge(&state, request.device)))
}

/// Begins a session.
#[utoipa::path(post, path = "/sessions", security(()), request_body = api::LoginRequest, responses(
    (status = 201, body = api::Session),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn log_in(
    State(state): State<HttpState>,
    client: Unauthenticated,
    LimitedJson(request): LimitedJson<api::LoginRequest, LOG_IN_BODY_BYTES>,
) -> ApiResult<(StatusCode, Answer<api::Session>)> {
    let session = client.count(&state, login::log_in(&state, request).await)?;
    Ok((StatusCode::CREATED, Answer(session)))
}
