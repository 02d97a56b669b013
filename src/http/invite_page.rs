//! `GET /i` and `GET /`: what a browser shows somebody who opened an invite link. Uses no code up: the
//! code is in the fragment and never reaches the server.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use momedo_texts::Language;

use super::HttpState;
use super::extract::Unauthenticated;
use super::language;
use super::unread::Shared;

/// The page's only style and script are its own, named by their digests.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "invite.html")]
struct InvitePage<'a> {
    language: &'static str,
    german: bool,
    server: &'a str,
    fingerprint: String,
}

/// Explains how to join, in the browser's language.
pub(crate) async fn invite(
    State(state): State<HttpState>,
    _: Unauthenticated,
    headers: HeaderMap,
) -> Response {
    let language = language::asked_for(&headers);
    let page = InvitePage {
        language: language.tag(),
        german: language == Language::German,
        server: &state.config().server.name,
        fingerprint: state.fingerprint.grouped(),
    };
    shown(&page, language)
}

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage<'a> {
    language: &'static str,
    german: bool,
    server: &'a str,
}

/// Explains what to do with a link for a new device; what makes it one is in the fragment, too.
pub(crate) async fn device(
    State(state): State<HttpState>,
    _: Unauthenticated,
    headers: HeaderMap,
) -> Response {
    let language = language::asked_for(&headers);
    let german = language == Language::German;
    let page = DevicePage { language: language.tag(), german, server: &state.config().server.name };
    shown(&page, language)
}

pub(super) fn shown(page: &impl Template, language: Language) -> Response {
    match page.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CONTENT_LANGUAGE, language.tag()),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::VARY, "accept-language"),
            ];
            (headers, html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Somebody typed the server's address.
pub(crate) async fn home(_: Unauthenticated) -> Redirect {
    Redirect::temporary("/i")
}

/// The style sheet of the pages without log-in.
pub(crate) async fn style(_: Unauthenticated) -> impl IntoResponse {
    let headers =
        [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    Shared((headers, include_str!("../../web-admin/static/public.css")))
}
