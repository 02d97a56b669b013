//! Instead of setting a new server up: restoring a backup of an earlier one, by whoever has the code that the machine
//! shows.

use askama::Template;
use axum::extract::{FromRequest, Multipart, Query, Request};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::log_in;
use super::page::{Page, show};
use super::restore::{self, RestoringPage, UploadError, Uploader};
use super::session::{Visitor, refuse};
use super::set_up::CodeInLink;
use crate::http::error::status_of;
use crate::service::backup::{self, Staged};
use crate::service::permission::RecentlyConfirmed;
use crate::service::{AdminError, ServiceError, set_up};

#[derive(Template)]
#[template(path = "admin/set_up_restore.html")]
struct ChoosePage {
    page: Page,
    form: String,
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

/// Where a file is chosen; once the server is set up, the page Backup is the place.
pub(super) async fn choose(visitor: Visitor, Query(link): Query<CodeInLink>) -> Response {
    match set_up::is_needed(&visitor.pages.app).await {
        Ok(true) => choosing(&visitor, &link.code, None),
        Ok(false) => Redirect::to("/admin/backup").into_response(),
        Err(error) => refuse(&visitor, StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

fn choosing(visitor: &Visitor, code: &str, error: Option<&ServiceError>) -> Response {
    let (form, cookie) = log_in::form_token(visitor);
    let mut page = visitor.page("set-up");
    let mut status = StatusCode::OK;
    if let Some(error) = error {
        status = status_of(error);
        page = page.fail(error);
    }
    let nonce = page.nonce.clone();
    let code = super::set_up::code_of_link(code);
    log_in::with_cookie(show(status, &nonce, &ChoosePage { page, form, code }), cookie)
}

/// Takes the file: the form's token and the code, then a passphrase, then the file, in this order.
pub(super) async fn upload(visitor: Visitor, request: Request) -> Response {
    let Ok(fields) = Multipart::from_request(request, &()).await else {
        return refuse(&visitor, StatusCode::BAD_REQUEST, AdminError::ForeignForm);
    };
    let app = &visitor.pages.app;
    let mut typed = String::new();
    let uploader = Coded { visitor: &visitor, is_own: false, typed: &mut typed };
    match restore::read(app, fields, uploader).await {
        Ok(staged) => sure(&visitor, &typed, staged),
        Err(UploadError::Foreign) => refuse(&visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm),
        Err(UploadError::Refused(error)) => refused(&visitor, &typed, error),
    }
}

/// Whoever has the code, from the browser that the form was shown in.
struct Coded<'a> {
    visitor: &'a Visitor,
    is_own: bool,
    /// The code as typed, for the next form.
    typed: &'a mut String,
}

impl Uploader for Coded<'_> {
    async fn proof(&mut self, name: &str, text: &str) -> Result<Option<RecentlyConfirmed>, ServiceError> {
        match name {
            "form" => self.is_own = log_in::is_own(self.visitor, text),
            "code" if self.is_own => {
                text.clone_into(self.typed);
                let visitor = self.visitor;
                return set_up::proof(&visitor.pages.app, text, visitor.address).await.map(Some);
            }
            _ => {}
        }
        Ok(None)
    }
}

fn refused(visitor: &Visitor, code: &str, error: ServiceError) -> Response {
    match error {
        ServiceError::Admin(AdminError::AlreadySetUp) => refuse(visitor, StatusCode::CONFLICT, error),
        error => choosing(visitor, code, Some(&error)),
    }
}

fn sure(visitor: &Visitor, code: &str, staged: Staged) -> Response {
    let (form, cookie) = log_in::form_token(visitor);
    let page = visitor.page("set-up");
    let nonce = page.nonce.clone();
    let made = staged.made_at.map_or_else(|| "–".into(), |at| page.when(&at));
    let template = SurePage {
        page,
        form,
        code: super::set_up::code_of_link(code),
        id: staged.id,
        made,
        fingerprint: staged.fingerprint.grouped(),
    };
    log_in::with_cookie(show(StatusCode::OK, &nonce, &template), cookie)
}

#[derive(Deserialize)]
struct SureForm {
    #[serde(default)]
    form: String,
    code: String,
    id: String,
}

/// Stops the server and has it start again with the backup.
pub(super) async fn confirm(visitor: Visitor, request: Request) -> Response {
    let body = match log_in::read(&visitor, request).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let Ok(form) = serde_html_form::from_bytes::<SureForm>(&body) else {
        return refuse(&visitor, StatusCode::BAD_REQUEST, AdminError::ForeignForm);
    };
    if !log_in::is_own(&visitor, &form.form) {
        return refuse(&visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm);
    }
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
