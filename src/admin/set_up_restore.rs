//! Instead of setting a new server up: restoring a backup of an earlier one, by whoever has the code that the machine
//! shows. The code stands in the address, as in the link that the double-click opens: so it is known before a byte of what may
//! be large is read.

use askama::Template;
use axum::extract::{FromRequest, Multipart, Query, Request};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::log_in;
use super::page::{Page, show};
use super::restore::{self, RestoringPage, UploadError};
use super::session::{Visitor, refuse};
use super::set_up::{CodeInLink, code_of_link, without_session};
use crate::service::backup::{self, Staged};
use crate::service::{AdminError, ServiceError, set_up};

#[derive(Template)]
#[template(path = "admin/set_up_restore.html")]
struct ChoosePage {
    page: Page,
    form: String,
    /// Right, or empty: then it is asked for.
    code: String,
}

#[derive(Template)]
#[template(path = "admin/set_up_restore_sure.html")]
struct SurePage {
    page: Page,
    form: String,
    code: String,
    id: String,
    made: String,
    fingerprint: String,
}

/// Where the code is typed, if the link has none, and then a file is chosen. Once the server is set up, the page Backup is
/// the place.
pub(super) async fn choose(visitor: Visitor, Query(link): Query<CodeInLink>) -> Response {
    let app = &visitor.pages.app;
    match set_up::is_needed(app).await {
        Ok(true) if link.code.is_empty() => choosing(&visitor, "", None),
        Ok(true) => match set_up::proof(app, &link.code, visitor.address).await {
            Ok(_) => choosing(&visitor, &link.code, None),
            Err(error) => choosing(&visitor, "", Some(&error)),
        },
        Ok(false) => Redirect::to("/admin/backup").into_response(),
        Err(error) => refuse(&visitor, StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

fn choosing(visitor: &Visitor, code: &str, error: Option<&ServiceError>) -> Response {
    let code = code_of_link(code);
    without_session(visitor, error, |page, form| ChoosePage { page, form, code })
}

/// What stands in the address of an upload.
#[derive(Deserialize)]
pub(super) struct UploadLink {
    #[serde(default)]
    form: String,
    #[serde(default)]
    code: String,
}

/// Takes the file, after a passphrase.
pub(super) async fn upload(visitor: Visitor, Query(link): Query<UploadLink>, request: Request) -> Response {
    if !log_in::is_own(&visitor, &link.form) {
        return refuse(&visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm);
    }
    let app = &visitor.pages.app;
    let proof = match set_up::proof(app, &link.code, visitor.address).await {
        Ok(proof) => proof,
        Err(error) => return refused(&visitor, "", error),
    };
    let Ok(fields) = Multipart::from_request(request, &()).await else {
        return refuse(&visitor, StatusCode::BAD_REQUEST, AdminError::ForeignForm);
    };
    match restore::read(app, fields, Some(proof.clone()), |_, _| None).await {
        // A large file takes its time, and somebody else may have been faster.
        Ok(staged) => match set_up::is_needed(app).await {
            Ok(true) => sure(&visitor, &link.code, staged),
            Ok(false) => {
                backup::cancel(app, &proof);
                refuse(&visitor, StatusCode::CONFLICT, AdminError::AlreadySetUp)
            }
            Err(error) => refuse(&visitor, StatusCode::SERVICE_UNAVAILABLE, error),
        },
        Err(UploadError::Foreign) => refuse(&visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm),
        Err(UploadError::Refused(error)) => refused(&visitor, &link.code, error),
    }
}

/// The page again, with what went wrong; a wrong code is not kept, so that it can be typed again.
fn refused(visitor: &Visitor, code: &str, error: ServiceError) -> Response {
    match error {
        ServiceError::Admin(AdminError::AlreadySetUp) => refuse(visitor, StatusCode::CONFLICT, error),
        ServiceError::Admin(AdminError::WrongSetUpCode) => choosing(visitor, "", Some(&error)),
        error => choosing(visitor, code, Some(&error)),
    }
}

fn sure(visitor: &Visitor, code: &str, staged: Staged) -> Response {
    without_session(visitor, None, |page, form| SurePage {
        made: staged.made_at.map_or_else(|| "–".into(), |at| page.when(&at)),
        page,
        form,
        code: code_of_link(code),
        id: staged.id,
        fingerprint: staged.fingerprint.grouped(),
    })
}

#[derive(Deserialize)]
struct SureForm {
    #[serde(default)]
    form: String,
    code: String,
    id: String,
}

/// A form that proves itself: the browser's token, the code, the staged restore.
async fn read_form(visitor: &Visitor, request: Request) -> Result<SureForm, Response> {
    let body = log_in::read(visitor, request).await?;
    let Ok(form) = serde_html_form::from_bytes::<SureForm>(&body) else {
        return Err(refuse(visitor, StatusCode::BAD_REQUEST, AdminError::ForeignForm));
    };
    if !log_in::is_own(visitor, &form.form) {
        return Err(refuse(visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm));
    }
    Ok(form)
}

/// Gives up what was uploaded.
pub(super) async fn cancel(visitor: Visitor, request: Request) -> Response {
    let form = match read_form(&visitor, request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let app = &visitor.pages.app;
    match set_up::proof(app, &form.code, visitor.address).await {
        Ok(proof) => {
            backup::cancel(app, &proof);
            choosing(&visitor, &form.code, None)
        }
        Err(error) => refused(&visitor, "", error),
    }
}

/// Stops the server and has it start again with the backup.
pub(super) async fn confirm(visitor: Visitor, request: Request) -> Response {
    let form = match read_form(&visitor, request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let app = &visitor.pages.app;
    let confirmed = async {
        let proof = set_up::proof(app, &form.code, visitor.address).await?;
        // There is nothing yet that a slip could replace, so nothing has to be typed against one.
        backup::confirm(app, &proof, &form.id, &app.config().server.name).await
    };
    if let Err(error) = confirmed.await {
        return refused(&visitor, &form.code, error);
    }
    let page = visitor.page("set-up");
    let nonce = page.nonce.clone();
    let mut response = show(StatusCode::OK, &nonce, &RestoringPage { page });
    response.headers_mut().insert("refresh", HeaderValue::from_static("6; url=/admin"));
    response
}
