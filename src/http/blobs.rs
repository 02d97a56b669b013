//! Attachments under `/blobs`.

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use momedo_protocol::api::blobs as api;
use momedo_protocol::blob::BlobId;
use momedo_protocol::problem::Problem;
use serde::Deserialize;

use super::HttpState;
use super::error::{ApiError, ApiResult};
use super::extract::{Authenticated, InPath, InQuery, SmallJson};
use crate::domain::range::{Asked, asked};
use crate::service::{ServiceError, blobs};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppendQuery {
    /// Where the first byte goes: what the server said it has.
    offset: u64,
}

/// Announces an upload; the same ID and size again get the same answer.
#[utoipa::path(post, path = "/blobs", request_body = api::BlobRequest, responses(
    (status = 201, body = api::BlobUpload),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = 507, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn announce(
    State(state): State<HttpState>,
    Authenticated(owner): Authenticated,
    SmallJson(request): SmallJson<api::BlobRequest>,
) -> ApiResult<(StatusCode, Answer<api::BlobUpload>)> {
    Ok((StatusCode::CREATED, Answer(blobs::announce(&state, owner, request).await?)))
}

/// Appends bytes to an upload; what came before a line broke is kept.
#[utoipa::path(patch, path = "/blobs/{id}", params(("id" = BlobId, Path), AppendQuery),
    request_body(content = String, content_type = "application/octet-stream"), responses(
    (status = 200, body = api::BlobUpload),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = 507, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn append(
    State(state): State<HttpState>,
    Authenticated(owner): Authenticated,
    InPath(id): InPath<BlobId>,
    InQuery(query): InQuery<AppendQuery>,
    request: Request,
) -> ApiResult<Answer<api::BlobUpload>> {
    let body = request.into_body().into_data_stream();
    let body = body.map(|bytes| bytes.map_err(|error| ServiceError::Malformed(error.to_string())));
    Ok(Answer(blobs::append(&state.app, owner, id, query.offset, body).await?))
}

/// How far an upload is.
#[utoipa::path(get, path = "/blobs/{id}/upload", params(("id" = BlobId, Path)), responses(
    (status = 200, body = api::BlobUpload),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn progress(
    State(state): State<HttpState>,
    Authenticated(owner): Authenticated,
    InPath(id): InPath<BlobId>,
) -> ApiResult<Answer<api::BlobUpload>> {
    Ok(Answer(blobs::progress(&state, owner, id).await?))
}

/// The bytes, or the one range of them that is asked for.
#[utoipa::path(get, path = "/blobs/{id}", params(("id" = BlobId, Path)), responses(
    (status = 200, body = String, content_type = "application/octet-stream"),
    (status = 206, body = String, content_type = "application/octet-stream"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn fetch(
    State(state): State<HttpState>,
    Authenticated(asking): Authenticated,
    InPath(id): InPath<BlobId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let blob = blobs::find(&state, asking, id).await?;
    let (size, tag) = (blob.size(), format!("\"{}\"", blob.tag()));
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // A range of other bytes than the client has begun with would be worse than all of them.
    let same = header(header::IF_RANGE).is_none_or(|condition| condition == tag);
    let asked = asked(header(header::RANGE).filter(|_| same), size);
    let (status, from, until) = match asked {
        Asked::Whole => (StatusCode::OK, 0, size),
        Asked::Part { from, until } => (StatusCode::PARTIAL_CONTENT, from, until),
        Asked::Nothing => {
            let mut refusal = ApiError(ServiceError::RangeNotSatisfiable).into_response();
            refusal.headers_mut().insert(header::CONTENT_RANGE, value(format!("bytes */{size}"))?);
            return Ok(refusal);
        }
    };
    let bytes = blobs::read(&state, blob, from, until).await?;
    let mut response = (status, Body::from_stream(bytes)).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(until - from));
    answer.insert(header::ETAG, value(tag)?);
    if status == StatusCode::PARTIAL_CONTENT {
        let last = until - 1;
        answer.insert(header::CONTENT_RANGE, value(format!("bytes {from}-{last}/{size}"))?);
    }
    for (name, value) in [
        (header::ACCEPT_RANGES, "bytes"),
        (header::CONTENT_TYPE, "application/octet-stream"),
        // Nobody's browser is to show what a stranger uploaded.
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::CONTENT_SECURITY_POLICY, "sandbox"),
    ] {
        answer.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Says that the asking device needs a blob no more; its owner's devices erase nothing by that.
#[utoipa::path(delete, path = "/blobs/{id}/hold", params(("id" = BlobId, Path)), responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn release_hold(
    State(state): State<HttpState>,
    Authenticated(asking): Authenticated,
    InPath(id): InPath<BlobId>,
) -> ApiResult<StatusCode> {
    blobs::release_hold(&state, asking, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Erases a blob for its owner; for a device that got it, says that it needs it no more.
#[utoipa::path(delete, path = "/blobs/{id}", params(("id" = BlobId, Path)), responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn release(
    State(state): State<HttpState>,
    Authenticated(asking): Authenticated,
    InPath(id): InPath<BlobId>,
) -> ApiResult<StatusCode> {
    blobs::release(&state, asking, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn value(text: String) -> Result<HeaderValue, ServiceError> {
    HeaderValue::from_str(&text).map_err(|error| ServiceError::Internal(error.to_string()))
}
