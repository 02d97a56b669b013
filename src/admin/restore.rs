//! Restoring: choose or upload a backup, look at what it is, confirm; then the server starts again with it.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::multipart::{Field, MultipartError};
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
use crate::state::App;

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
pub(super) struct RestoringPage {
    pub(super) page: Page,
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
    let app = &session.session.visitor.pages.app;
    let token = |name: &str, text: &str| {
        let is_own = name == "csrf" && is_genuine(&session.session, text);
        is_own.then(|| admin.clone())
    };
    match read(app, fields, None, token).await {
        Ok(staged) => confirmation(&session, staged),
        Err(UploadError::Foreign) => {
            refuse(&session.session.visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm)
        }
        Err(UploadError::Refused(error)) => refused(&session, error).await,
    }
}

/// Why an uploaded file was not prepared.
pub(super) enum UploadError {
    /// It came from another page, or its fields in another order.
    Foreign,
    /// The file, the passphrase or who sent it was refused.
    Refused(ServiceError),
}

impl<E: Into<ServiceError>> From<E> for UploadError {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// Most bytes of a field that is no file.
const MAX_FIELD_BYTES: usize = 1024;

async fn small(mut field: Field<'_>, patience: Duration) -> Result<Zeroizing<String>, ServiceError> {
    let mut typed = Zeroizing::new(Vec::new());
    while let Some(part) =
        tokio::time::timeout(patience, field.chunk()).await.map_err(late)?.map_err(malformed)?
    {
        if typed.len() + part.len() > MAX_FIELD_BYTES {
            return Err(ServiceError::Malformed("a field is too long".into()));
        }
        typed.extend_from_slice(&part);
    }
    Ok(Zeroizing::new(String::from_utf8_lossy(&typed).into_owned()))
}

fn late(_: tokio::time::error::Elapsed) -> ServiceError {
    ServiceError::BodyTooSlow
}

fn malformed(error: MultipartError) -> ServiceError {
    ServiceError::Malformed(error.body_text())
}

/// Most fields before the file.
const MAX_FIELDS: usize = 8;

/// Reads fields up to the file and prepares that. Where `proof` is not there yet, `token` has to find it in a field before
/// passphrase and file, which are not read until then.
pub(super) async fn read(
    app: &App,
    mut fields: Multipart,
    mut proof: Option<RecentlyConfirmed>,
    token: impl Fn(&str, &str) -> Option<RecentlyConfirmed>,
) -> Result<Staged, UploadError> {
    // A backup may be large and the line slow; but something has to come.
    let patience = Duration::from_secs(app.config().listen.body_seconds);
    let mut passphrase = None;
    for _ in 0..MAX_FIELDS {
        let next = tokio::time::timeout(patience, fields.next_field()).await.map_err(late)?;
        let Some(mut field) = next.map_err(malformed)? else { break };
        let name = field.name().unwrap_or_default().to_owned();
        match (name.as_str(), &proof) {
            ("passphrase" | "file", None) => return Err(UploadError::Foreign),
            ("passphrase", Some(_)) => {
                let typed = SecretText::typed(&**small(field, patience).await?);
                passphrase = Some(typed).filter(|text| !text.is_empty());
            }
            ("file", Some(admin)) => {
                let mut upload = backup::Upload::begin(app, admin);
                while let Some(part) =
                    tokio::time::timeout(patience, field.chunk()).await.map_err(late)?.map_err(malformed)?
                {
                    if !upload.put(part).await {
                        break;
                    }
                }
                return Ok(upload.stage(app, passphrase).await?);
            }
            (name, _) => {
                let text = small(field, patience).await?;
                proof = token(name, &text).or(proof);
            }
        }
    }
    match proof {
        Some(_) => Err(AdminError::NoFileChosen.into()),
        None => Err(UploadError::Foreign),
    }
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
