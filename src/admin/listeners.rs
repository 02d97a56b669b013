//! Listeners: what the server listens on, and adding, stopping, starting and removing while it runs.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::page::{Page, show};
use super::refused::error_page;
use super::session::{AdminSession, Form};
use super::smoke::{self, Typed};
use crate::http::error::status_of;
use crate::live::listening::{Listener, ListenerState};
use crate::service::ServiceError;
use crate::service::audit::Action;
use crate::service::listeners;

#[derive(Template)]
#[template(path = "admin/listeners.html")]
struct ListenersPage {
    page: Page,
    listeners: Vec<Row>,
    max_connections: u64,
    max_per_address: u64,
    address: String,
    smoke: smoke::Listeners,
}

struct Row {
    address: String,
    is_fixed: bool,
    is_running: bool,
    state: String,
    reason: String,
}

fn row(page: &Page, listener: Listener) -> Row {
    let (word, reason) = match listener.state {
        ListenerState::Running => ("running", String::new()),
        ListenerState::Stopped => ("stopped", String::new()),
        ListenerState::Failed(reason) => ("failed", page.told(&reason)),
    };
    Row {
        address: listener.address.to_string(),
        is_fixed: listener.fixed,
        is_running: word == "running",
        state: page.word("state", word),
        reason,
    }
}

pub(super) async fn list_with(
    session: &AdminSession,
    page: Page,
    address: String,
    typed: Typed,
    status: StatusCode,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let read = async {
        let smoke = smoke::listeners_section(app, &session.admin, &page, typed).await?;
        Ok::<_, ServiceError>((listeners::list(app, &session.admin).await?, smoke))
    };
    match read.await {
        Ok((all, smoke)) => {
            let listeners = all.into_iter().map(|listener| row(&page, listener)).collect();
            let config = app.config();
            let nonce = page.nonce.clone();
            let template = ListenersPage {
                page,
                listeners,
                max_connections: config.listen.max_connections as u64,
                max_per_address: config.listen.max_connections_per_address as u64,
                address,
                smoke,
            };
            show(status, &nonce, &template)
        }
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

pub(super) async fn list(session: AdminSession) -> Response {
    let page = session.page("listeners");
    list_with(&session, page, String::new(), Typed::default(), StatusCode::OK).await
}

#[derive(Deserialize)]
pub(super) struct ListenerForm {
    act: String,
    address: String,
}

pub(super) async fn change(Form(session, form): Form<ListenerForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = match form.act.as_str() {
        "add" => listeners::add(app, &session.admin, &form.address).await.map(drop),
        "start" => listeners::change(app, &session.admin, &form.address, Action::ListenerStarted).await,
        "stop" => listeners::change(app, &session.admin, &form.address, Action::ListenerStopped).await,
        _ => listeners::change(app, &session.admin, &form.address, Action::ListenerRemoved).await,
    };
    match result {
        Ok(()) => Redirect::to("/admin/listeners").into_response(),
        Err(error) => {
            let page = session.page("listeners").fail(&error);
            list_with(&session, page, form.address, Typed::default(), status_of(&error)).await
        }
    }
}
