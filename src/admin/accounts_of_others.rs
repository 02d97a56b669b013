//! One account as an admin changes it for somebody else: a lead's classes, a forgotten password.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::confirm::ConfirmedForm;
use super::page::{Page, show};
use super::refused::error_page;
use super::session::AdminSession;
use crate::domain::role::AccountRole;
use crate::http::error::status_of;
use crate::live::staff_sessions;
use crate::service::accounts::{self, Second};
use crate::service::{AdminError, ServiceError, classes};
use crate::store::EVERYTHING;

#[derive(Template)]
#[template(path = "admin/account_of_other.html")]
struct AccountPage {
    page: Page,
    name: String,
    role: String,
    is_lead: bool,
    has_one_time_passwords: bool,
    classes: Vec<Choice>,
}

/// A class that a lead looks after or not.
struct Choice {
    id: i64,
    name: String,
    is_led: bool,
}

async fn show_with(session: &AdminSession, name: &str, mut page: Page, status: StatusCode) -> Response {
    let app = &session.session.visitor.pages.app;
    let read = async {
        let (all, _) = classes::list(app, &session.session.staff, String::new(), 0, EVERYTHING).await?;
        let accounts = accounts::list(app, &session.admin).await?;
        let found = accounts.into_iter().find(|(row, _)| row.name == name);
        let (row, led) = found.ok_or(AdminError::UnknownAccount)?;
        Ok::<_, ServiceError>((row, led, all))
    };
    let (row, led, all) = match read.await {
        Ok(read) => read,
        Err(error) => return error_page(page, status_of(&error), &error),
    };
    let classes = all
        .into_iter()
        .map(|class| Choice { is_led: led.contains(&class.id), id: class.id, name: class.name })
        .collect();
    page.path = "%2Fadmin%2Faccount".into();
    let nonce = page.nonce.clone();
    let template = AccountPage {
        role: page.word("role", row.role.word()),
        page,
        name: row.name,
        is_lead: row.role == AccountRole::ClassLead,
        has_one_time_passwords: row.totp_secret.is_some(),
        classes,
    };
    show(status, &nonce, &template)
}

#[derive(Deserialize)]
pub(super) struct NameQuery {
    #[serde(default)]
    name: String,
}

pub(super) async fn show_one(session: AdminSession, Query(query): Query<NameQuery>) -> Response {
    if query.name == session.admin.account() {
        return Redirect::to("/admin/account").into_response();
    }
    let page = session.page("account");
    show_with(&session, &query.name, page, StatusCode::OK).await
}

async fn after(session: &AdminSession, name: &str, result: Result<(), ServiceError>, done: &str) -> Response {
    let page = session.page("account");
    match result {
        Ok(()) => {
            let text = page.with(done, name);
            show_with(session, name, page.done(text), StatusCode::OK).await
        }
        Err(error) => show_with(session, name, page.fail(&error), status_of(&error)).await,
    }
}

#[derive(Deserialize)]
pub(super) struct ClassesForm {
    name: String,
    #[serde(default)]
    class: Vec<i64>,
}

pub(super) async fn change_classes(
    ConfirmedForm(session, admin, form): ConfirmedForm<ClassesForm>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = accounts::change_classes(app, &admin, &form.name, form.class).await;
    after(&session, &form.name, result, "account.classes-saved").await
}

#[derive(Deserialize)]
pub(super) struct PasswordForm {
    name: String,
    password: Zeroizing<String>,
    repeated: Zeroizing<String>,
    #[serde(default)]
    one_time_lost: String,
}

pub(super) async fn set_password(
    ConfirmedForm(session, admin, form): ConfirmedForm<PasswordForm>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let second = if form.one_time_lost.is_empty() { Second::Keep } else { Second::SwitchOff };
    let result = if staff_sessions::equally_typed(&form.password, &form.repeated) {
        accounts::set_password(app, &admin, &form.name, form.password, second).await
    } else {
        Err(AdminError::PasswordsDiffer.into())
    };
    after(&session, &form.name, result, "account.new-password-saved").await
}
