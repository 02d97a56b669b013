//! Choosing the language of the pages, kept in a cookie.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::own_path::own_path;
use super::session::Visitor;

#[derive(Deserialize)]
pub(super) struct Choice {
    to: String,
    #[serde(default)]
    back: String,
}

pub(super) async fn choose(
    visitor: Visitor,
    axum::extract::Query(choice): axum::extract::Query<Choice>,
) -> Response {
    let language = if choice.to == "de" { "de" } else { "en" };
    let mut response = Redirect::to(own_path(&choice.back)).into_response();
    let cookie = format!("{}; Max-Age=31536000", visitor.set_cookie(visitor.language_cookie(), language));
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}
