//! Reports: messages that their recipients disclosed, for the admins and the leads of the reporters' classes.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::page::{Page, Paging, ROWS, show};
use super::refused::error_page;
use super::session::{Session, StaffForm};
use crate::http::error::status_of;
use crate::service::reports::{self, Report};
use crate::store::{ParticipantState, PersonRow, ReportId};

#[derive(Template)]
#[template(path = "admin/reports.html")]
struct ReportsPage {
    page: Page,
    reports: Vec<Report>,
    paging: Paging,
}

impl ReportsPage {
    /// Whether somebody is not locked out yet.
    fn may_act(&self, person: &PersonRow) -> bool {
        person.state == Some(ParticipantState::Active)
    }
}

#[derive(Deserialize, Default)]
pub(super) struct ListQuery {
    #[serde(default)]
    page: String,
}

pub(super) async fn list(session: Session, Query(query): Query<ListQuery>) -> Response {
    let page = session.page("reports");
    let app = &session.visitor.pages.app;
    let number: u64 = query.page.parse().unwrap_or(1).clamp(1, 1_000_000);
    match reports::list(app, &session.staff, (number - 1) * ROWS, ROWS).await {
        Ok((reports, total)) => {
            let paging = Paging::new(String::new(), number, total, String::new());
            let nonce = page.nonce.clone();
            show(StatusCode::OK, &nonce, &ReportsPage { page, reports, paging })
        }
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

#[derive(Deserialize)]
pub(super) struct NoteForm {
    report: i64,
    note: String,
}

pub(super) async fn set_note(StaffForm(session, form): StaffForm<NoteForm>) -> Response {
    let app = &session.visitor.pages.app;
    match reports::set_note(app, &session.staff, ReportId(form.report), &form.note).await {
        Ok(()) => Redirect::to(&format!("/admin/reports#report-{}", form.report)).into_response(),
        Err(error) => error_page(session.page("reports"), status_of(&error), &error),
    }
}

#[derive(Deserialize)]
pub(super) struct StateForm {
    report: i64,
    closed: String,
}

pub(super) async fn set_state(StaffForm(session, form): StaffForm<StateForm>) -> Response {
    let app = &session.visitor.pages.app;
    let result = reports::set_closed(app, &session.staff, ReportId(form.report), form.closed == "1").await;
    match result {
        Ok(()) => Redirect::to("/admin/reports").into_response(),
        Err(error) => error_page(session.page("reports"), status_of(&error), &error),
    }
}
