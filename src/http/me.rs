//! `/me`: everything the server holds about the participant, handed out or erased.

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use momedo_protocol::api;
use momedo_protocol::problem::Problem;

use super::HttpState;
use super::error::ApiResult;
use super::export;
use super::extract::{Authenticated, SmallJson};
use super::language;
use crate::live::exports::AskedBy;
use crate::service::{personal, second_home};

/// Where the participant lives: this server, and perhaps another one.
#[utoipa::path(get, path = "/me/homes", responses(
    (status = 200, body = api::homes::Homes),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn homes(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
) -> ApiResult<Answer<api::homes::Homes>> {
    Ok(Answer(second_home::homes(&state, principal).await?))
}

/// Everything the server holds about the participant, as a ZIP file of JSON and readable HTML.
#[utoipa::path(get, path = "/me/export", responses(
    (status = 200, content_type = "application/zip", body = Vec<u8>),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn export(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let subject = personal::own(&state, principal).await?;
    Ok(download(export::start(&state, AskedBy::Themselves, subject, language::asked_for(&headers)).await?))
}

/// An export on its way.
pub(crate) fn download(export: export::Export) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", export.file_name)),
    ];
    (headers, Body::from_stream(export.parts)).into_response()
}

/// Erases the participant: everything but the ID, which is never given again.
#[utoipa::path(delete, path = "/me", request_body = api::EraseRequest, responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn erase(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    SmallJson(request): SmallJson<api::EraseRequest>,
) -> ApiResult<StatusCode> {
    personal::erase_own(&state, principal, request.erasure).await?;
    Ok(StatusCode::NO_CONTENT)
}
