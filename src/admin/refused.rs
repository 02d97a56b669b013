//! A refusal as a page of its own.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

use super::page::{Page, show};
use super::pages::Pages;
use super::session::Visitor;
use crate::service::{AdminError, ServiceError};

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

/// Whatever a library refuses in words of its own (a number in an address that is none, a form without its fields) becomes
/// a page.
pub(super) async fn as_page(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    use axum::extract::FromRequestParts;

    let (parts, body) = request.into_parts();
    let mut asked = parts.clone();
    let response = next.run(Request::from_parts(parts, body)).await;
    let is_raw = response.status().is_client_error()
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !is_raw {
        return response;
    }
    let error = match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => AdminError::FileTooLarge,
        _ => AdminError::UnreadableRequest,
    };
    match Visitor::from_request_parts(&mut asked, &pages).await {
        Ok(visitor) => error_page(visitor.page("error"), response.status(), &error.into()),
        Err(refused) => refused.into_response(),
    }
}
