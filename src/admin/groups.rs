//! Groups that participants made: what the server knows of them, and deleting one.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::confirm::ConfirmedForm;
use super::page::{Page, Paging, ROWS, show};
use super::refused::error_page;
use super::session::AdminSession;
use crate::http::error::status_of;
use crate::service::groups::{self, ListedGroup};

#[derive(Template)]
#[template(path = "admin/groups.html")]
struct GroupsPage {
    page: Page,
    groups: Vec<ListedGroup>,
    paging: Paging,
}

#[derive(Deserialize, Default)]
pub(super) struct ListQuery {
    #[serde(default)]
    search: String,
    #[serde(default)]
    page: String,
}

pub(super) async fn list(session: AdminSession, Query(query): Query<ListQuery>) -> Response {
    let page = session.page("groups");
    let number: u64 = query.page.parse().unwrap_or(1).clamp(1, 1_000_000);
    let app = &session.session.visitor.pages.app;
    let found = groups::list_all(app, &session.admin, query.search.clone(), (number - 1) * ROWS, ROWS).await;
    match found {
        Ok((groups, total)) => {
            let paging = Paging::new(query.search, number, total, String::new());
            let nonce = page.nonce.clone();
            show(StatusCode::OK, &nonce, &GroupsPage { page, groups, paging })
        }
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn delete(
    Path(id): Path<String>,
    ConfirmedForm(session, admin, Nothing {}): ConfirmedForm<Nothing>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    match groups::delete(app, &admin, &id).await {
        Ok(()) => Redirect::to("/admin/groups").into_response(),
        Err(error) => error_page(session.page("groups"), status_of(&error), &error),
    }
}
