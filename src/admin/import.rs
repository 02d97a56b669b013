//! Importing a class list: choose a file, look at what it would do, say yes, undo.

use askama::Template;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;

use super::page::{Page, show};
use super::pages::Pages;
use super::refused::error_page;
use super::session::{AdminSession, Form, is_genuine, refuse};
use crate::http::error::status_of;
use crate::service::import::{self, Effect, Imported, MAX_FILE_BYTES, Undone};
use crate::service::{AdminError, ServiceError};
use crate::store::{ImportId, ImportRow};

/// Rows shown of a dry run; the faulty ones always.
const SHOWN_ROWS: usize = 200;

#[derive(Template)]
#[template(path = "admin/import.html")]
struct ImportPage {
    page: Page,
    imports: Vec<ImportRow>,
    imported: Option<Imported>,
    undone: Option<Undone>,
}

#[derive(Template)]
#[template(path = "admin/import_preview.html")]
struct PreviewPage {
    page: Page,
    preview: String,
    file_name: String,
    rows: Vec<ShownRow>,
    hidden: u64,
    adds: u64,
    changes: u64,
    unchanged: u64,
    faulty: u64,
}

struct ShownRow {
    line: u64,
    name: String,
    class: String,
    text: String,
    is_faulty: bool,
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
    let planned = async {
        let time = std::time::Duration::from_secs(pages.app.config().listen.body_seconds);
        let read = tokio::time::timeout(time, read(&session, fields)).await;
        let (file_name, file) = read.unwrap_or(Err(ServiceError::BodyTooSlow))?;
        let rows = import::plan(&pages.app, &session.admin, &file).await?;
        Ok::<_, ServiceError>((file_name, file, rows))
    };
    let (file_name, file, rows) = match planned.await {
        Ok(planned) => planned,
        Err(error @ ServiceError::Admin(AdminError::ForeignForm)) => {
            return refuse(&session.session.visitor, StatusCode::FORBIDDEN, error);
        }
        Err(error) => {
            let page = session.page("participants").fail(&error);
            return form(&session, page, (None, None)).await;
        }
    };
    let page = session.page("participants");
    let count = |wanted: Option<Effect>| rows.iter().filter(|row| row.result.ok() == wanted).count() as u64;
    let (adds, changes) = (count(Some(Effect::Adds)), count(Some(Effect::Changes)));
    let (unchanged, faulty) = (count(Some(Effect::Unchanged)), count(None));
    let total = rows.len();
    let shown: Vec<ShownRow> = rows
        .into_iter()
        .enumerate()
        .filter(|(index, row)| *index < SHOWN_ROWS || row.result.is_err())
        .map(|(_, row)| ShownRow {
            line: row.line,
            text: match row.result {
                Ok(effect) => page.word("effect", word(&effect).as_str()),
                Err(error) => page.word("row", word(&error).as_str()),
            },
            is_faulty: row.result.is_err(),
            name: row.name,
            class: row.class,
        })
        .collect();
    let preview =
        pages.app.previews.keep(session.admin.account(), file_name.clone(), file, pages.app.clock.elapsed());
    let hidden = (total - shown.len()) as u64;
    let nonce = page.nonce.clone();
    let template =
        PreviewPage { page, preview, file_name, rows: shown, hidden, adds, changes, unchanged, faulty };
    show(StatusCode::OK, &nonce, &template)
}

/// The word a kind of result has in JSON and in the messages.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    preview: String,
}

pub(super) async fn confirm(Form(session, confirmed): Form<ConfirmForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let import = async {
        let preview = app.previews.take(&confirmed.preview, session.admin.account(), app.clock.elapsed());
        let preview = preview.ok_or(AdminError::PreviewGone)?;
        import::import(app, &session.admin, preview.file_name.clone(), &preview.file).await
    };
    match import.await {
        Ok(done) => {
            let Imported { id, added, changed, unchanged, faulty } = done;
            let to = format!("/admin/import?done=i.{}-{added}-{changed}-{unchanged}-{faulty}", id.0);
            Redirect::to(&to).into_response()
        }
        Err(error) => {
            let page = session.page("participants").fail(&error);
            form(&session, page, (None, None)).await
        }
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
