//! The key server under `/keys`.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use momedo_protocol::api;
use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::mceliece::PUBLIC_KEY_BYTES;
use momedo_protocol::problem::Problem;
use serde::Deserialize;

use super::error::ApiResult;
use super::extract::{Authenticated, Bytes, InPath, InQuery, Json, Offering, Publishing, SmallJson};
use super::{Connection, HttpState};
use crate::service::{key_log, key_server, published_keys};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// The newest version the asker has; signature-key changes after it are answered too.
    #[serde(default)]
    known: u64,
}

/// A participant's current keys.
#[utoipa::path(get, path = "/keys/{id}", params(("id" = ParticipantId, Path), Known), responses(
    (status = 200, body = api::PublishedKeys),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn fetch(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    InPath(id): InPath<ParticipantId>,
    InQuery(query): InQuery<Known>,
) -> ApiResult<Answer<api::PublishedKeys>> {
    Ok(Answer(published_keys::keys(&state, principal, id, query.known.min(u64::from(u32::MAX))).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogPart {
    /// The number after which to begin.
    #[serde(default)]
    after: u64,
    /// Whose log: another server's, as far as this one followed it; absent: this server's.
    server: Option<Fingerprint>,
}

/// A part of a log of key changes, and where it ends.
#[utoipa::path(get, path = "/keys/log", params(LogPart), responses(
    (status = 200, body = KeyLogPage),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn log(
    State(state): State<HttpState>,
    _: Authenticated,
    InQuery(query): InQuery<LogPart>,
) -> ApiResult<Answer<KeyLogPage>> {
    let server = query.server.unwrap_or(state.fingerprint);
    Ok(Answer(key_log::page_of(&state, server, query.after).await?))
}

/// Offers a key bundle; the answer is a question that only the holder of its keys can answer.
#[utoipa::path(put, path = "/keys/{id}", params(("id" = ParticipantId, Path)),
    request_body = api::PublishRequest, responses(
    (status = 202, body = api::PublishChallenge),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn publish(
    State(state): State<HttpState>,
    Offering(publisher): Offering,
    InPath(id): InPath<ParticipantId>,
    Json(request): Json<api::PublishRequest>,
) -> ApiResult<(StatusCode, Answer<api::PublishChallenge>)> {
    let challenge = key_server::offer(&state, id, &publisher, request).await?;
    Ok((StatusCode::ACCEPTED, Answer(challenge)))
}

/// Answers the question and publishes the bundle; completes a registration.
#[utoipa::path(post, path = "/keys/{id}/proof", params(("id" = ParticipantId, Path)),
    request_body = api::ProofRequest, responses(
    (status = 201, body = api::Published),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn prove(
    State(state): State<HttpState>,
    Publishing(publisher): Publishing,
    InPath(id): InPath<ParticipantId>,
    SmallJson(request): SmallJson<api::ProofRequest>,
) -> ApiResult<(StatusCode, Answer<api::Published>)> {
    let published = key_server::prove(&state, id, &publisher, request).await?;
    Ok((StatusCode::CREATED, Answer(published)))
}

/// A Classic McEliece key, raw; what has a digest never changes, so it may be cached for ever.
#[utoipa::path(get, path = "/keys/mceliece/{digest}", params(("digest" = Sha512Digest, Path)), responses(
    (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn fetch_mceliece(
    State(state): State<HttpState>,
    _: Authenticated,
    axum::Extension(connection): axum::Extension<Connection>,
    InPath(digest): InPath<Sha512Digest>,
) -> ApiResult<impl IntoResponse> {
    let _room = connection.serving.reserve(PUBLIC_KEY_BYTES)?;
    let key = published_keys::any_mceliece_key(&state, digest).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ];
    Ok((headers, key))
}

/// Stores a Classic McEliece key for a bundle that will name it.
#[utoipa::path(put, path = "/keys/mceliece/{digest}", params(("digest" = Sha512Digest, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 201, body = api::StoredKey),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn store_mceliece(
    State(state): State<HttpState>,
    Offering(publisher): Offering,
    InPath(digest): InPath<Sha512Digest>,
    Bytes(key): Bytes,
) -> ApiResult<(StatusCode, Answer<api::StoredKey>)> {
    let stored =
        key_server::store_mceliece_key(&state, publisher.participant(), digest, key.to_vec()).await?;
    Ok((StatusCode::CREATED, Answer(stored)))
}
