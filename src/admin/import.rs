//! Importing a class list: choose a file, look at what it would do, say yes, undo.

use askama::Template;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;

use super::import_preview::{ConfirmForm, PreviewPage};
use super::page::{Page, show};
use super::pages::Pages;
use super::refused::error_page;
use super::session::{AdminSession, Form, is_genuine, refuse};
use crate::domain::class_list::Choices;
use crate::http::error::status_of;
use crate::service::import::{self, Imported, MAX_FILE_BYTES, Undone};
use crate::service::{AdminError, ServiceError};
use crate::store::{ImportId, ImportRow};

#[derive(Template)]
#[template(path = "admin/import.html")]
struct ImportPage {
    page: Page,
    imports: Vec<ImportRow>,
    imported: Option<Imported>,
    undone: Option<Undone>,
}

async fn form(session: &AdminSession, page: Page, done: (Option<Imported>, Option<Undone>)) -> Response {
    let app = &session.session.visitor.pages.app;
    let imports = import::recent(app, &session.admin).await.unwrap_or_default();
    let status = match &page.notice {
        Some(notice) if notice.is_error => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let nonce = page.nonce.clone();
    show(status, &nonce, &ImportPage { page, imports, imported: done.0, undone: done.1 })
}

#[derive(Deserialize)]
pub(super) struct DoneQuery {
    #[serde(default)]
    done: String,
}

/// Numbers that a finished step hands to the page after it.
fn numbers(text: &str) -> Vec<u64> {
    text.split('-').filter_map(|number| number.parse().ok()).collect()
}

pub(super) async fn show_form(session: AdminSession, Query(query): Query<DoneQuery>) -> Response {
    let page = session.page("participants");
    let done = match (query.done.split_once('.'), numbers(query.done.split_once('.').map_or("", |(_, n)| n)))
    {
        (Some(("i", _)), numbers) if numbers.len() == 5 => (
            Some(Imported {
                id: ImportId(i64::try_from(numbers[0]).unwrap_or(0)),
                added: numbers[1],
                changed: numbers[2],
                unchanged: numbers[3],
                faulty: numbers[4],
            }),
            None,
        ),
        (Some(("u", _)), numbers) if numbers.len() == 3 => {
            (None, Some(Undone { deleted: numbers[0], put_back: numbers[1], kept: numbers[2] }))
        }
        _ => (None, None),
    };
    form(&session, page, done).await
}

/// Reads the file out of the form; the token comes before it.
async fn read(session: &AdminSession, mut fields: Multipart) -> Result<(String, Vec<u8>), ServiceError> {
    let malformed =
        |error: axum::extract::multipart::MultipartError| ServiceError::Malformed(error.body_text());
    let mut is_own = false;
    while let Some(mut field) = fields.next_field().await.map_err(malformed)? {
        match field.name() {
            Some("csrf") => {
                let token = field.text().await.map_err(malformed)?;
                is_own = is_genuine(&session.session, &token);
            }
            // Nothing is read for anybody else.
            _ if !is_own => return Err(AdminError::ForeignForm.into()),
            Some("file") => {
                let name = field.file_name().unwrap_or_default().to_owned();
                let mut bytes = Vec::new();
                while let Some(chunk) = field.chunk().await.map_err(malformed)? {
                    if bytes.len() + chunk.len() > MAX_FILE_BYTES {
                        return Err(AdminError::FileTooLarge.into());
                    }
                    bytes.extend_from_slice(&chunk);
                }
                return Ok((name, bytes));
            }
            _ => {}
        }
    }
    Err(AdminError::EmptyList.into())
}

pub(super) async fn preview(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let session = match AdminSession::from_request_parts(&mut parts, &pages).await {
        Ok(session) => session,
        Err(refused) => return refused.into_response(),
    };
    let request = Request::from_parts(parts, body);
    let Ok(fields) = Multipart::from_request(request, &()).await else {
        return refuse(&session.session.visitor, StatusCode::BAD_REQUEST, AdminError::ForeignForm);
    };
    let time = std::time::Duration::from_secs(pages.app.config().listen.body_seconds);
    let read = tokio::time::timeout(time, read(&session, fields)).await;
    let (file_name, file) = match read.unwrap_or(Err(ServiceError::BodyTooSlow)) {
        Ok(read) => read,
        Err(error @ ServiceError::Admin(AdminError::ForeignForm)) => {
            return refuse(&session.session.visitor, StatusCode::FORBIDDEN, error);
        }
        Err(error) => return failed(&session, &error).await,
    };
    let now = pages.app.clock.elapsed();
    let kept = pages.app.previews.keep(session.admin.account(), file_name, file, now);
    look(&session, kept, Choices::default()).await
}

/// The dry run of a list that is kept, understood by these choices.
async fn look(session: &AdminSession, kept: String, choices: Choices) -> Response {
    let app = &session.session.visitor.pages.app;
    let plan = async {
        let preview = app.previews.find(&kept, session.admin.account(), app.clock.elapsed());
        let preview = preview.ok_or(AdminError::PreviewGone)?;
        let plan = import::plan(app, &session.admin, preview.file.clone(), choices.clone()).await?;
        Ok::<_, ServiceError>((preview.file_name.clone(), plan))
    };
    match plan.await {
        Ok((file_name, plan)) => {
            let page = session.page("participants");
            let nonce = page.nonce.clone();
            show(StatusCode::OK, &nonce, &PreviewPage::new(page, kept, file_name, plan, &choices))
        }
        Err(error) => failed(session, &error).await,
    }
}

async fn failed(session: &AdminSession, error: &ServiceError) -> Response {
    form(session, session.page("participants").fail(error), (None, None)).await
}

pub(super) async fn confirm(Form(session, confirmed): Form<ConfirmForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    // What was changed on the page is looked at before it is done.
    if confirmed.wants_to_look() {
        return look(&session, confirmed.preview.clone(), confirmed.choices()).await;
    }
    let import = async {
        // Taken before it is done: pressed twice, it is done once.
        let taken = app.previews.take(&confirmed.preview, session.admin.account(), app.clock.elapsed());
        let preview = taken.ok_or(AdminError::PreviewGone)?;
        let (file_name, file) = (preview.file_name.clone(), preview.file.clone());
        import::import(app, &session.admin, file_name, file, confirmed.choices()).await
    };
    match import.await {
        Ok(done) => {
            let Imported { id, added, changed, unchanged, faulty } = done;
            let to = format!("/admin/import?done=i.{}-{added}-{changed}-{unchanged}-{faulty}", id.0);
            Redirect::to(&to).into_response()
        }
        Err(error) => failed(&session, &error).await,
    }
}

#[derive(Deserialize)]
pub(super) struct UndoForm {
    id: i64,
}

pub(super) async fn undo(Form(session, undone): Form<UndoForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    match import::undo(app, &session.admin, ImportId(undone.id)).await {
        Ok(Undone { deleted, put_back, kept }) => {
            Redirect::to(&format!("/admin/import?done=u.{deleted}-{put_back}-{kept}")).into_response()
        }
        Err(error) => error_page(session.page("participants"), status_of(&error), &error),
    }
}
