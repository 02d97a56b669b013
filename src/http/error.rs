//! The one place where refusals become HTTP: status, problem details, language.

use momedo_texts::{Language, Refusal};
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use momedo_protocol::problem::{PROBLEM_PREFIX, Problem};

use super::invite_page::POLICY;
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
    // Whoever follows a link is no program, and gets a page to read.
    let wants_page = request.method() == Method::GET
        && request
            .headers()
            .get(header::ACCEPT)
            .is_some_and(|accepted| accepted.as_bytes().starts_with(b"text/html"));
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
    if wants_page && let Some(page) = page(&error, language) {
        *response.body_mut() = page.into();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    if let Some(range) = range {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage {
    language: &'static str,
    german: bool,
    sentence: String,
    code: u16,
}

fn page(error: &ServiceError, language: Language) -> Option<String> {
    let page = RefusedPage {
        language: language.tag(),
        german: language == Language::German,
        sentence: error.said(language),
        code: status_of(error).as_u16(),
    };
    page.render().ok()
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
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-language"));
    if let Some(after) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
