//! Restoring: choose or upload a backup, look at what it is, confirm; then the server starts again with it.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use momedo_protocol::secret_text::SecretText;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::backup as list;
use super::confirm::{self, ConfirmedForm};
use super::page::{Page, show};
use super::pages::Pages;
use super::session::{AdminSession, Form, is_genuine, refuse};
use crate::http::error::status_of;
use crate::service::backup::{self, Staged};
use crate::service::permission::RecentlyConfirmed;
use crate::service::{AdminError, ServiceError};

/// Where a file is chosen.
pub(super) const CHOOSE_FILE: &str = "/admin/backup#restore-file";

#[derive(Template)]
#[template(path = "admin/restore.html")]
struct RestorePage {
    page: Page,
    staged: Staged,
    made: String,
    fingerprint: String,
}

#[derive(Template)]
#[template(path = "admin/restoring.html")]
struct RestoringPage {
    page: Page,
}

fn confirmation(session: &AdminSession, staged: Staged) -> Response {
    let page = session.page("backup");
    let nonce = page.nonce.clone();
    let made = staged.made_at.map_or_else(|| "–".into(), |at| page.time(&at));
    let fingerprint = staged.fingerprint.grouped();
    show(StatusCode::OK, &nonce, &RestorePage { page, staged, made, fingerprint })
}

/// The backups, with why this one cannot be restored.
async fn refused(session: &AdminSession, error: ServiceError) -> Response {
    let page = session.page("backup").fail(&error);
    list::list_with(session, page, status_of(&error)).await
}

#[derive(Deserialize)]
pub(super) struct NameForm {
    name: String,
}

/// Prepares one of the kept backups.
pub(super) async fn choose(ConfirmedForm(session, admin, form): ConfirmedForm<NameForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    match backup::stage_kept(app, &admin, &form.name).await {
        Ok(staged) => confirmation(&session, staged),
        Err(error) => refused(&session, error).await,
    }
}

/// Prepares a file that is uploaded: token, passphrase, file, in this order.
pub(super) async fn upload(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let session = match AdminSession::from_request_parts(&mut parts, &pages).await {
        Ok(session) => session,
        Err(refused) => return refused.into_response(),
    };
    // Before anything is read: what is this large goes not through a form again.
    let Some(admin) = confirm::proof(&session) else {
        return confirm::ask_before(&session.session, CHOOSE_FILE).await;
    };
    let Ok(fields) = Multipart::from_request(Request::from_parts(parts, body), &()).await else {
        return refuse(&session.session.visitor, StatusCode::BAD_REQUEST, AdminError::ForeignForm);
    };
    match read(&session, &admin, fields).await {
        Ok(staged) => confirmation(&session, staged),
        Err(error @ ServiceError::Admin(AdminError::ForeignForm)) => {
            refuse(&session.session.visitor, StatusCode::FORBIDDEN, error)
        }
        Err(error) => refused(&session, error).await,
    }
}

async fn read(
    session: &AdminSession,
    admin: &RecentlyConfirmed,
    mut fields: Multipart,
) -> Result<Staged, ServiceError> {
    let app = &session.session.visitor.pages.app;
    let malformed =
        |error: axum::extract::multipart::MultipartError| ServiceError::Malformed(error.body_text());
    // A backup may be large and the line slow; but something has to come.
    let patience = Duration::from_secs(app.config().listen.body_seconds);
    let late = |_| ServiceError::BodyTooSlow;
    let (mut is_own, mut passphrase) = (false, None);
    loop {
        let next = tokio::time::timeout(patience, fields.next_field()).await.map_err(late)?;
        let Some(mut field) = next.map_err(malformed)? else { break };
        match field.name() {
            Some("csrf") => {
                let token = tokio::time::timeout(patience, field.text()).await.map_err(late)?;
                is_own = is_genuine(&session.session, &token.map_err(malformed)?);
            }
            // Nothing is read for anybody else.
            _ if !is_own => return Err(AdminError::ForeignForm.into()),
            Some("passphrase") => {
                let mut typed = Zeroizing::new(Vec::new());
                while let Some(part) =
                    tokio::time::timeout(patience, field.chunk()).await.map_err(late)?.map_err(malformed)?
                {
                    if typed.len() + part.len() > 1024 {
                        return Err(ServiceError::Malformed("the passphrase is too long".into()));
                    }
                    typed.extend_from_slice(&part);
                }
                let text = String::from_utf8_lossy(&typed);
                passphrase = Some(SecretText::typed(text)).filter(|text| !text.is_empty());
            }
            Some("file") => {
                let mut upload = backup::Upload::begin(app, admin);
                while let Some(part) =
                    tokio::time::timeout(patience, field.chunk()).await.map_err(late)?.map_err(malformed)?
                {
                    if !upload.put(part).await {
                        break;
                    }
                }
                return upload.stage(app, passphrase).await;
            }
            _ => {}
        }
    }
    Err(AdminError::NoFileChosen.into())
}

#[derive(Deserialize)]
pub(super) struct Confirmation {
    id: String,
    server: String,
}

/// Stops the server and has it start again with the backup.
pub(super) async fn confirm(ConfirmedForm(session, admin, form): ConfirmedForm<Confirmation>) -> Response {
    let app = &session.session.visitor.pages.app;
    let confirmed = backup::confirm(app, &admin, &form.id, &form.server);
    if let Err(error) = confirmed.await {
        return refused(&session, error).await;
    }
    // Nobody is logged in when it comes back.
    let mut page = session.page("backup");
    page.account = String::new();
    let nonce = page.nonce.clone();
    let mut response = show(StatusCode::OK, &nonce, &RestoringPage { page });
    response.headers_mut().insert("refresh", HeaderValue::from_static("6; url=/admin"));
    response
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn cancel(Form(session, Nothing {}): Form<Nothing>) -> Response {
    backup::cancel(&session.session.visitor.pages.app, &session.admin);
    Redirect::to("/admin/backup").into_response()
}
