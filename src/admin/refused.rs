//! A refusal as a page of its own.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::page::{Page, show};
use crate::service::ServiceError;

#[derive(Template)]
#[template(path = "admin/error.html")]
struct ErrorPage {
    page: Page,
    code: u16,
}

/// A refusal as a page of its own.
pub(super) fn error_page(page: Page, status: StatusCode, error: &ServiceError) -> Response {
    if let ServiceError::Internal(reason) = error {
        tracing::error!(%reason, "an admin page failed");
    }
    let page = page.fail(error);
    let nonce = page.nonce.clone();
    show(status, &nonce, &ErrorPage { page, code: status.as_u16() })
}
