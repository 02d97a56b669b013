//! `GET /ozone` and `POST /ozone/ack`: always the asking device's own.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use momedo_protocol::api;
use momedo_protocol::cursor::Cursor;
use momedo_protocol::limits::{MAX_OZONE_PAGE, MAX_WAIT_SECONDS};
use momedo_protocol::problem::Problem;
use serde::Deserialize;

use super::error::ApiResult;
use super::extract::{Authenticated, InQuery, SmallJson};
use super::{Connection, HttpState};
use crate::domain::limits::MAX_PAGE_BYTES;
use crate::service::ozone;

/// The largest page as JSON, or little less, in bytes.
const PAGE_BYTES: usize = MAX_PAGE_BYTES as usize * 4 / 3;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// Reads on after this place; absent: from the oldest.
    after: Option<Cursor>,
    /// Most messages, 1 to 500; 100 when absent.
    limit: Option<usize>,
    /// Seconds to hold an empty answer back until something arrives, at most 50.
    #[serde(default)]
    wait: u64,
}

/// What waits for this device.
#[utoipa::path(get, path = "/ozone", params(PageQuery), responses(
    (status = 200, body = api::OzonePage),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn fetch(
    State(mut state): State<HttpState>,
    Authenticated(principal): Authenticated,
    axum::Extension(connection): axum::Extension<Connection>,
    InQuery(query): InQuery<PageQuery>,
) -> ApiResult<Answer<api::OzonePage>> {
    let limit = query.limit.unwrap_or(100).min(MAX_OZONE_PAGE);
    let wait = Duration::from_secs(query.wait.min(MAX_WAIT_SECONDS));
    let app = state.app.clone();
    // What may be large is counted before it is read; what a wait ends with is not.
    let room = connection.serving.reserve(PAGE_BYTES)?;
    let first = ozone::page(&app, principal, query.after, limit, Duration::ZERO).await?;
    drop(room);
    if !first.messages.is_empty() || wait.is_zero() {
        return Ok(Answer(first));
    }
    let page = tokio::select! {
        page = ozone::page(&app, principal, query.after, limit, wait) => page?,
        // A waiting client must not hold the server back from stopping.
        () = state.stop.requested() => {
            ozone::page(&app, principal, query.after, limit, Duration::ZERO).await?
        }
    };
    Ok(Answer(page))
}

/// Everything up to the cursor is stored by the device and can go.
#[utoipa::path(post, path = "/ozone/ack", request_body = api::AcknowledgeRequest, responses(
    (status = 200, body = api::Acknowledged),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn acknowledge(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    SmallJson(request): SmallJson<api::AcknowledgeRequest>,
) -> ApiResult<Answer<api::Acknowledged>> {
    Ok(Answer(ozone::acknowledge(&state, principal, request.cursor).await?))
}
