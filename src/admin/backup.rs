//! Backups: make one now, look at those there are, verify, download; how to restore.

use askama::Template;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use momedo_protocol::secret_text::SecretText;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::confirm::{self, ConfirmedForm};
use super::page::{Page, show};
use super::refused::error_page;
use super::session::{AdminSession, Form};
use crate::http::error::status_of;
use crate::live::staff_sessions;
use crate::service::backup::{self, Backup, BackupStatus};
use crate::service::{AdminError, ServiceError};

#[derive(Template)]
#[template(path = "admin/backup.html")]
struct BackupPage {
    page: Page,
    backups: Vec<Row>,
    status: BackupStatus,
    every_hours: u64,
    keep: u64,
    /// Whether the password is asked for before a file is chosen.
    asks_first: bool,
    /// The newest one, for the command that restores it.
    example: String,
}

struct Row {
    name: String,
    made: String,
    /// The same as HTML, for its reader's time zone.
    made_there: String,
    bytes: u64,
    is_verified: bool,
}

fn row(page: &Page, backup: Backup) -> Row {
    Row {
        name: backup.name.to_string(),
        made: backup.made_at.map_or_else(|| "–".into(), |at| page.time(&at)),
        made_there: backup.made_at.map_or_else(|| "–".into(), |at| page.when(&at)),
        bytes: backup.bytes,
        is_verified: backup.verified,
    }
}

pub(super) async fn list_with(session: &AdminSession, page: Page, status: StatusCode) -> Response {
    let app = &session.session.visitor.pages.app;
    match backup::list(app, &session.admin).await {
        Ok(backups) => {
            let backups: Vec<Row> = backups.into_iter().rev().map(|backup| row(&page, backup)).collect();
            let example = backups.first().map_or_else(|| "20260914-031500Z".into(), |row| row.name.clone());
            let config = app.config();
            let nonce = page.nonce.clone();
            let template = BackupPage {
                page,
                backups,
                status: backup::status(app).await,
                every_hours: config.backup.every_hours,
                keep: config.backup.keep as u64,
                asks_first: confirm::proof(session).is_none(),
                example,
            };
            show(status, &nonce, &template)
        }
        Err(error) => {
            let error = ServiceError::from(error);
            error_page(page, status_of(&error), &error)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct DoneQuery {
    #[serde(default)]
    done: String,
}

pub(super) async fn list(
    session: AdminSession,
    axum::extract::Query(query): axum::extract::Query<DoneQuery>,
) -> Response {
    let mut page = session.page("backup");
    let text = match query.done.as_str() {
        "made" => Some(page.t("backup.made").to_owned()),
        "verified" => Some(page.t("backup.verified-now").to_owned()),
        _ => None,
    };
    if let Some(text) = text {
        page = page.done(text);
    }
    list_with(&session, page, StatusCode::OK).await
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn make(Form(session, Nothing {}): Form<Nothing>) -> Response {
    let app = &session.session.visitor.pages.app;
    match backup::create(app, &session.admin).await.map_err(ServiceError::from) {
        Ok(_) => Redirect::to("/admin/backup?done=made").into_response(),
        Err(error) => {
            let page = session.page("backup").fail(&error);
            list_with(&session, page, status_of(&error)).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct NameForm {
    name: String,
}

pub(super) async fn verify(Form(session, form): Form<NameForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    match backup::verify(app, &session.admin, &form.name).await {
        Ok(_) => Redirect::to("/admin/backup?done=verified").into_response(),
        Err(error) => {
            let error = ServiceError::from(error);
            let page = session.page("backup").fail(&error);
            list_with(&session, page, status_of(&error)).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct DownloadForm {
    name: String,
    #[serde(default)]
    passphrase: Zeroizing<String>,
    #[serde(default)]
    repeated: Zeroizing<String>,
}

pub(super) async fn download(ConfirmedForm(session, admin, form): ConfirmedForm<DownloadForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    // A slip would only be found on the day the file is needed.
    if !staff_sessions::equally_typed(&form.passphrase, &form.repeated) {
        let error = AdminError::PasswordsDiffer.into();
        let page = session.page("backup").fail(&error);
        return list_with(&session, page, status_of(&error)).await;
    }
    let passphrase = Some(SecretText::typed(&*form.passphrase)).filter(|passphrase| !passphrase.is_empty());
    let started = backup::download(app, &admin, &form.name, passphrase);
    match started.await {
        Ok(download) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", download.file_name)),
                (header::CONTENT_LENGTH, download.bytes.to_string()),
            ];
            (headers, Body::from_stream(download.parts)).into_response()
        }
        Err(error) => {
            let page = session.page("backup").fail(&error);
            list_with(&session, page, status_of(&error)).await
        }
    }
}
