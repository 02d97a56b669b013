//! `GET /healthz`, for whoever watches the server; without log-in.

use axum::extract::State;
use axum::http::StatusCode;

use super::HttpState;
use crate::service::ServiceError;

/// 200 when the server can read its database; says when it takes no new mail.
pub(crate) async fn health(State(state): State<HttpState>) -> (StatusCode, &'static str) {
    let readable = state.store.read(|tx| Ok::<_, ServiceError>(tx.epoch())).await;
    match readable {
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be read\n"),
        Ok(_) if state.store.is_full() => {
            (StatusCode::OK, "ok, but the disk is full: no new mail is taken\n")
        }
        Ok(_) => (StatusCode::OK, "ok\n"),
    }
}
