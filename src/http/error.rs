//! The one place where refusals become HTTP: status, problem details, language.

use momedo_texts::{Language, Refusal};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use momedo_protocol::problem::{PROBLEM_PREFIX, Problem};

use super::language;
use crate::service::ServiceError;

/// A refusal on its way out; a middleware gives it its language.
#[derive(Debug)]
pub struct ApiError(pub ServiceError);

/// What handlers return.
pub type ApiResult<T> = Result<T, ApiError>;

impl<E: Into<ServiceError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = status_of(&self.0).into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

/// The problem details of a refusal.
pub(crate) fn problem(error: &ServiceError, language: Language) -> Problem {
    Problem {
        kind: format!("{PROBLEM_PREFIX}{}", error.word()),
        title: error.said(language),
        status: error.status(),
        detail: error.detail(),
        retry_after: error.retry_after(),
    }
}

/// The status of a refusal.
pub(crate) fn status_of(error: &ServiceError) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Middleware: writes the body of every refusal, in the request's language, and logs what was our fault.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let language = language::asked_for(request.headers());
    let mut response = next.run(request).await;
    let range = response.headers_mut().remove(header::CONTENT_RANGE);
    let Some(error) = response.extensions_mut().remove::<Arc<ServiceError>>() else {
        if let Some(range) = range {
            response.headers_mut().insert(header::CONTENT_RANGE, range);
        }
        return response;
    };
    if let ServiceError::Internal(cause) = &*error {
        tracing::error!(%cause, "a request failed");
    }
    let mut response = refusal(&error, language);
    if let Some(range) = range {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

/// A refusal with its body.
pub(crate) fn refusal(error: &ServiceError, language: Language) -> Response {
    let problem = problem(error, language);
    let status = status_of(error);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = (status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
    if let Some(after) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
