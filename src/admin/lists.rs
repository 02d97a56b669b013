//! Pages that only show: ozones, keys, about, help.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::page::{Page, Paging, ROWS, show};
use super::refused::error_page;
use super::session::{AdminSession, Session};
use super::smoke::{self, Typed};
use crate::http::error::status_of;
use crate::service::ServiceError;
use crate::service::overview::{self, Keys, Ozone};

#[derive(Deserialize, Default)]
pub(super) struct ListQuery {
    #[serde(default)]
    search: String,
    #[serde(default)]
    page: String,
}

impl ListQuery {
    fn number(&self) -> u64 {
        self.page.parse().unwrap_or(1).clamp(1, 1_000_000)
    }
}

#[derive(Template)]
#[template(path = "admin/ozones.html")]
struct OzonesPage {
    page: Page,
    ozones: Vec<Ozone>,
    paging: Paging,
    smoke: smoke::Ozones,
}

pub(super) async fn ozones(session: AdminSession, Query(query): Query<ListQuery>) -> Response {
    let page = session.page("ozones");
    ozones_with(&session, page, query, Typed::default(), StatusCode::OK).await
}

pub(super) async fn ozones_with(
    session: &AdminSession,
    page: Page,
    query: ListQuery,
    typed: Typed,
    status: StatusCode,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let number = query.number();
    let read = async {
        let (search, offset) = (query.search.clone(), (number - 1) * ROWS);
        let found = overview::ozones(app, &session.admin, search, offset, ROWS).await?;
        Ok::<_, ServiceError>((found, smoke::ozones_section(app, &session.admin, typed).await?))
    };
    match read.await {
        Ok(((ozones, total), smoke)) => {
            let paging = Paging::new(query.search, number, total, String::new());
            let nonce = page.nonce.clone();
            show(status, &nonce, &OzonesPage { page, ozones, paging, smoke })
        }
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

#[derive(Template)]
#[template(path = "admin/keys.html")]
struct KeysPage {
    page: Page,
    keys: Vec<Keys>,
    paging: Paging,
}

pub(super) async fn keys(session: AdminSession, Query(query): Query<ListQuery>) -> Response {
    let page = session.page("keys");
    let app = &session.session.visitor.pages.app;
    let number = query.number();
    match overview::keys(app, &session.admin, query.search.clone(), (number - 1) * ROWS, ROWS).await {
        Ok((keys, total)) => {
            let paging = Paging::new(query.search, number, total, String::new());
            let nonce = page.nonce.clone();
            show(StatusCode::OK, &nonce, &KeysPage { page, keys, paging })
        }
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

#[derive(Template)]
#[template(path = "admin/about.html")]
struct AboutPage {
    page: Page,
    version: &'static str,
    schema: u32,
    licence: &'static str,
}

pub(super) async fn about(session: Session) -> Response {
    let page = session.page("about");
    let nonce = page.nonce.clone();
    let template = AboutPage {
        page,
        version: env!("CARGO_PKG_VERSION"),
        schema: crate::store::SCHEMA_VERSION,
        licence: include_str!("../../LICENSE"),
    };
    show(StatusCode::OK, &nonce, &template)
}

#[derive(Template)]
#[template(path = "admin/help.html")]
struct HelpPage {
    page: Page,
}

pub(super) async fn help(session: Session) -> Response {
    let page = session.page("help");
    let nonce = page.nonce.clone();
    show(StatusCode::OK, &nonce, &HelpPage { page })
}
