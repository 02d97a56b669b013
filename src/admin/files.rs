//! Style and script, built into the program; named files only, so there is no path to climb out of.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::unread::Shared;

const STYLE: &str = include_str!("../../web-admin/static/admin.css");
const SCRIPT: &str = include_str!("../../web-admin/static/admin.js");

pub(super) async fn file(Path(name): Path<String>) -> Response {
    let (kind, text) = match name.as_str() {
        "admin.css" => ("text/css; charset=utf-8", STYLE),
        "admin.js" => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=600")];
    Shared((headers, text)).into_response()
}
