//! `GET /server` and `GET /identity`: who answers here.

use axum::Json;
use axum::extract::State;
use momedo_protocol::api;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::jws::Signer;
use momedo_protocol::limits::{MAX_DEVICES, MAX_OZONE_PAGE, MAX_WAIT_SECONDS};
use momedo_protocol::problem::Problem;
use momedo_protocol::suite::Suite;

use super::HttpState;
use super::error::ApiResult;
use super::extract::Unauthenticated;
use crate::service::ServiceError;

/// What an identity proof signs before the exporter.
const IDENTITY_LABEL: &[u8] = b"momedo identity proof v1";

/// Who this server is and what it takes.
#[utoipa::path(get, path = "/server", security(()), responses((status = 200, body = api::ServerInformation)))]
pub(crate) async fn server(
    State(state): State<HttpState>,
    _: Unauthenticated,
) -> Json<api::ServerInformation> {
    let mail = &state.config().mail;
    Json(api::ServerInformation {
        name: state.config().server.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        fingerprint: state.fingerprint,
        identity_key: Base64Bytes(state.identity.public().spki().to_vec()),
        limits: api::ServerLimits {
            max_envelope_bytes: mail.max_envelope_bytes as u64,
            retention_days: mail.retention_days,
            max_queue_bytes: mail.max_queue_bytes,
            max_ozone_page: MAX_OZONE_PAGE as u64,
            max_wait_seconds: MAX_WAIT_SECONDS,
            max_devices: MAX_DEVICES as u64,
            max_blob_bytes: state.config().blobs.max_blob_bytes,
        },
        suites: Suite::ALL.to_vec(),
        registration: api::RegistrationPolicy::Invite,
    })
}

/// Proof that the holder of the identity key answers on this very connection, for servers whose certificate comes from
/// elsewhere, and for clients to whose clock its dates do not fit.
#[utoipa::path(get, path = "/identity", security(()), responses(
    (status = 200, body = api::IdentityProof),
    (status = 500, body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn identity(
    State(state): State<HttpState>,
    client: Unauthenticated,
) -> ApiResult<Json<api::IdentityProof>> {
    let exporter =
        client.0.exporter.ok_or_else(|| ServiceError::Internal("the connection has no exporter".into()))?;
    let app = state.app.clone();
    let signature =
        crate::service::error::compute(move || Ok(app.identity.sign(&[IDENTITY_LABEL, &exporter].concat())))
            .await?;
    Ok(Json(api::IdentityProof {
        identity_key: Base64Bytes(state.identity.public().spki().to_vec()),
        signature: Base64Bytes(signature),
        now: state.clock.now(),
    }))
}
