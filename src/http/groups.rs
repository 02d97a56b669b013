//! Groups under `/groups`.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use momedo_protocol::api::groups as api;
use momedo_protocol::api::restored::HeldEntries;
use momedo_protocol::encoding::{Base64Bytes, decode_base64};
use momedo_protocol::group::GroupId;
use momedo_protocol::problem::Problem;
use serde::Deserialize;

use super::HttpState;
use super::error::{ApiResult, problem};
use super::extract::{Authenticated, InPath, InQuery, Json, LargeJson, Submitting};
use super::language;
use crate::service::groups::{self, posting};
use crate::service::restored;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntriesQuery {
    /// Number of the last entry the asker has; 0 or absent: from the first.
    #[serde(default)]
    after: u32,
    /// For whoever wants to join with the group's link: the fingerprint of the own signature key (32 bytes), then the
    /// link's signature for it (64 bytes).
    proof: Option<String>,
}

/// The asker's groups, and the open ones.
#[utoipa::path(get, path = "/groups", responses(
    (status = 200, body = api::Groups),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(state): State<HttpState>,
    Authenticated(asker): Authenticated,
) -> ApiResult<Answer<api::Groups>> {
    Ok(Answer(groups::list(&state, asker).await?))
}

/// Keeps a new group: the first entry of its chain.
#[utoipa::path(post, path = "/groups", request_body = api::GroupEntryRequest, responses(
    (status = 201, body = api::GroupEntryTaken),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    State(state): State<HttpState>,
    Submitting(author): Submitting,
    Json(request): Json<api::GroupEntryRequest>,
) -> ApiResult<(StatusCode, Answer<api::GroupEntryTaken>)> {
    Ok((StatusCode::CREATED, Answer(groups::create(&state, author, request).await?)))
}

/// A part of a group's chain.
#[utoipa::path(get, path = "/groups/{id}/entries", params(("id" = GroupId, Path), EntriesQuery), responses(
    (status = 200, body = api::GroupEntries),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn entries(
    State(state): State<HttpState>,
    Authenticated(reader): Authenticated,
    InPath(id): InPath<GroupId>,
    InQuery(query): InQuery<EntriesQuery>,
) -> ApiResult<Answer<api::GroupEntries>> {
    let proof = query.proof.as_deref().and_then(decode_base64).map(Base64Bytes);
    Ok(Answer(groups::entries(&state, reader, id, query.after, proof).await?))
}

/// Takes the next entry of a chain.
#[utoipa::path(post, path = "/groups/{id}/entries", params(("id" = GroupId, Path)),
    request_body = api::GroupEntryRequest, responses(
    (status = 201, body = api::GroupEntryTaken),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn append(
    State(state): State<HttpState>,
    Submitting(author): Submitting,
    InPath(id): InPath<GroupId>,
    Json(request): Json<api::GroupEntryRequest>,
) -> ApiResult<(StatusCode, Answer<api::GroupEntryTaken>)> {
    Ok((StatusCode::CREATED, Answer(groups::append(&state, author, id, request).await?)))
}

/// Takes entries of a chain back that a restored server has forgotten, whoever signed them.
#[utoipa::path(put, path = "/groups/{id}/entries", params(("id" = GroupId, Path)),
    request_body = HeldEntries, responses(
    (status = 201, body = api::GroupEntryTaken),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn take_back(
    State(state): State<HttpState>,
    Submitting(from): Submitting,
    InPath(id): InPath<GroupId>,
    LargeJson(request): LargeJson<HeldEntries>,
) -> ApiResult<(StatusCode, Answer<api::GroupEntryTaken>)> {
    Ok((StatusCode::CREATED, Answer(restored::groups::take(&state, from, id, request).await?)))
}

/// Hands out group keys: an envelope of its own for each of several members.
#[utoipa::path(post, path = "/groups/{id}/keys", params(("id" = GroupId, Path)),
    request_body = api::GroupKeysRequest, responses(
    (status = 201, body = api::GroupKeysReceipt),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = 507, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn hand_out_keys(
    State(state): State<HttpState>,
    Submitting(sender): Submitting,
    headers: HeaderMap,
    InPath(id): InPath<GroupId>,
    LargeJson(request): LargeJson<api::GroupKeysRequest>,
) -> ApiResult<(StatusCode, Answer<api::GroupKeysReceipt>)> {
    let language = language::asked_for(&headers);
    let refused = posting::hand_out_keys(&state, sender, id, request).await?;
    let refused =
        refused.iter().map(|(to, error)| api::RefusedGroupKey { to: *to, problem: problem(error, language) });
    Ok((StatusCode::CREATED, Answer(api::GroupKeysReceipt { refused: refused.collect() })))
}

/// Posts to a group; 201 means that it is on disk. The same bytes again get the same answer.
#[utoipa::path(post, path = "/groups/{id}/messages", params(("id" = GroupId, Path)),
    request_body = api::GroupMessageRequest, responses(
    (status = 201, body = api::GroupReceipt),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = 507, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn post(
    State(state): State<HttpState>,
    Submitting(sender): Submitting,
    InPath(id): InPath<GroupId>,
    LargeJson(request): LargeJson<api::GroupMessageRequest>,
) -> ApiResult<(StatusCode, Answer<api::GroupReceipt>)> {
    Ok((StatusCode::CREATED, Answer(posting::post(&state, sender, id, request).await?)))
}
