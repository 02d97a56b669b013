//! The key backup: the participant's own slot under `/me`, and what works without a session.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use momedo_protocol::api;
use momedo_protocol::limits::{MAX_KEY_BACKUP_BYTES, MAX_SIGNED_DOCUMENT_BYTES};
use momedo_protocol::problem::Problem;

use super::HttpState;
use super::error::ApiResult;
use super::extract::{Authenticated, LimitedJson, Storing, Unauthenticated};
use crate::service::key_backup;

/// Largest request with a slot: in base64url, and the rest of it.
const SLOT_BODY_BYTES: usize = MAX_KEY_BACKUP_BYTES.div_ceil(3) * 4 + 1024;

/// Largest request for a new device: a signed device list, and the rest of it.
const DEVICE_BODY_BYTES: usize = MAX_SIGNED_DOCUMENT_BYTES * 4 / 3 + 4096;

/// What is known of the own key backup.
#[utoipa::path(get, path = "/me/key-backup", responses(
    (status = 200, body = api::KeyBackupState),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn state(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
) -> ApiResult<Answer<api::KeyBackupState>> {
    Ok(Answer(key_backup::state(&state, principal).await?))
}

/// Replaces the own key backup.
#[utoipa::path(put, path = "/me/key-backup", request_body = api::KeyBackupRequest, responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn store(
    State(state): State<HttpState>,
    Storing(principal): Storing,
    LimitedJson(request): LimitedJson<api::KeyBackupRequest, SLOT_BODY_BYTES>,
) -> ApiResult<StatusCode> {
    key_backup::store(&state, principal, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the own key backup.
#[utoipa::path(delete, path = "/me/key-backup", responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn delete(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
) -> ApiResult<StatusCode> {
    key_backup::delete(&state, principal).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fetches a key backup with the secret that follows from its recovery code.
#[utoipa::path(post, path = "/key-backups/fetch", security(()), request_body = api::KeyBackupFetchRequest, responses(
    (status = 200, body = api::KeyBackup),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn fetch(
    State(state): State<HttpState>,
    client: Unauthenticated,
    LimitedJson(request): LimitedJson<api::KeyBackupFetchRequest, 1024>,
) -> ApiResult<Answer<api::KeyBackup>> {
    Ok(Answer(client.count(&state, key_backup::fetch(&state, request).await)?))
}

/// Adds a device with the same secret and a device list signed with the recovered signature key.
#[utoipa::path(post, path = "/key-backups/device", security(()), request_body = api::RecoverDeviceRequest, responses(
    (status = 204),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn add_device(
    State(state): State<HttpState>,
    client: Unauthenticated,
    LimitedJson(request): LimitedJson<api::RecoverDeviceRequest, DEVICE_BODY_BYTES>,
) -> ApiResult<StatusCode> {
    client.count(&state, key_backup::add_device(&state, request).await)?;
    Ok(StatusCode::NO_CONTENT)
}
