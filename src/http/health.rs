//! `GET /healthz`, for whoever watches the server; without log-in.

use axum::extract::State;
use axum::http::StatusCode;

use super::HttpState;
use crate::service::overview::{self, Health};

/// 200 when the server can read its database; says when it takes no new mail.
pub(crate) async fn health(State(state): State<HttpState>) -> (StatusCode, &'static str) {
    match overview::health(&state).await {
        Health::Unreadable => (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be read\n"),
        Health::Full => (StatusCode::OK, "ok, but the disk is full: no new mail is taken\n"),
        Health::Well => (StatusCode::OK, "ok\n"),
    }
}
