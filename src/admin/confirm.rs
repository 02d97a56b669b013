//! Asking again for the password before what weighs much: a stolen session, or a screen left unlocked, is not enough.
//!
//! The page carries everything that was typed, and sends it with the password to where it was going, so nothing is
//! typed twice. Only an upload is too large for that: there the password is asked for before the file is chosen.

use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::log_in::with_cookie;
use super::own_path::own_path;
use super::page::{Page, show};
use super::pages::Pages;
use super::refused::error_page;
use super::session::{
    AdminSession, Refused, Session, StaffForm, checked_body, cookie, fields, of_admin_form, of_form,
};
use crate::http::error::status_of;
use crate::service::permission::{RecentlyConfirmed, Staff};
use crate::service::{AdminError, ServiceError, accounts};

/// The fields of the page itself.
const PASSWORD: &str = "confirm-password";
const ONE_TIME: &str = "confirm-one-time";

/// A form of an admin who typed the password in the last five minutes, with its token checked.
pub(super) struct ConfirmedForm<T>(pub(super) AdminSession, pub(super) RecentlyConfirmed, pub(super) T);

/// The same of anybody who is logged in.
pub(super) struct ConfirmedStaffForm<T>(
    pub(super) Session,
    pub(super) RecentlyConfirmed<Staff>,
    pub(super) T,
);

#[derive(Template)]
#[template(path = "admin/confirm.html")]
struct ConfirmPage {
    page: Page,
    /// Where it goes on.
    action: String,
    /// Where to go instead.
    back: &'static str,
    /// What is about to be done.
    what: String,
    typed: Vec<(String, String)>,
    asks_one_time_password: bool,
}

/// What a form is about, and the page it stands on.
fn purpose(path: &str) -> (&'static str, &'static str) {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches("/admin/").split('/').collect();
    match parts.as_slice() {
        ["accounts"] => ("confirm.account-add", "/admin/account"),
        ["accounts", "password"] => ("confirm.account-password", "/admin/account"),
        ["accounts", "classes"] => ("confirm.account-classes", "/admin/account"),
        ["accounts", ..] => ("confirm.account-delete", "/admin/account"),
        ["account", "password"] => ("confirm.password", "/admin/account"),
        ["account", "session"] => ("confirm.session", "/admin/account"),
        ["account", ..] => ("confirm.one-time", "/admin/account"),
        ["participants", _, "reset-keys"] => ("confirm.reset-keys", "/admin/participants"),
        ["participants", _, "export"] => ("confirm.export", "/admin/participants"),
        ["participants", ..] => ("confirm.delete", "/admin/participants"),
        ["groups", ..] => ("confirm.group", "/admin/groups"),
        ["backup", "download"] => ("confirm.download", "/admin/backup"),
        ["backup", ..] => ("confirm.restore", "/admin/backup"),
        ["certificates", ..] => ("confirm.certificates", "/admin/certificates"),
        ["neighbours", "accept-log"] => ("confirm.accept-log", "/admin/neighbours"),
        ["neighbours", "rules"] => ("confirm.contract", "/admin/neighbours"),
        ["neighbours", ..] => ("confirm.take-over", "/admin/neighbours"),
        ["smoke", "participants", _, "keys"] => ("confirm.smoke-keys", "/admin/participants"),
        ["smoke", "neighbours", ..] => ("confirm.smoke-certificate", "/admin/neighbours"),
        _ => ("confirm.rules", "/admin/rules"),
    }
}

/// Asks for the password; what was typed goes along.
async fn ask(
    session: &Session,
    action: String,
    purpose: (&'static str, &'static str),
    typed: Vec<(String, String)>,
    error: Option<&ServiceError>,
) -> Response {
    let mut page = session.page("confirm");
    // Another language begins again on a page of its own.
    page.path = form_urlencoded::byte_serialize(purpose.1.as_bytes()).collect();
    let asks = match accounts::has_one_time_passwords(&session.visitor.pages.app, &session.staff).await {
        Ok(asks) => asks,
        Err(error) => return error_page(page, status_of(&error), &error),
    };
    let mut status = StatusCode::FORBIDDEN;
    if let Some(error) = error {
        status = status_of(error);
        page = page.fail(error);
    }
    let (nonce, what) = (page.nonce.clone(), page.t(purpose.0).to_owned());
    let template = ConfirmPage { page, action, back: purpose.1, what, typed, asks_one_time_password: asks };
    show(status, &nonce, &template)
}

/// Asks for the password before something that cannot go along; `next` is where that is chosen.
pub(super) async fn ask_before(session: &Session, next: &str) -> Response {
    let typed = vec![("next".to_owned(), next.to_owned())];
    ask(session, "/admin/confirm".into(), purpose(next), typed, None).await
}

/// Proof for an admin who typed the password in the last five minutes.
pub(super) fn proof(session: &AdminSession) -> Option<RecentlyConfirmed> {
    let session = &session.session;
    accounts::recently_confirmed(&session.visitor.pages.app, &session.staff, &session.handle)?.admin()
}

/// Checks what was typed into the page.
async fn confirm(
    session: &Session,
    password: Zeroizing<String>,
    one_time: String,
) -> Result<RecentlyConfirmed<Staff>, ServiceError> {
    let visitor = &session.visitor;
    let device = cookie(&visitor.headers, &visitor.device_cookie());
    let (app, caller) = (&visitor.pages.app, visitor.caller(device));
    let confirmed =
        accounts::confirm(app, &session.staff, &session.handle, password, one_time, caller).await?;
    let cookie = visitor.set_cookie(&visitor.session_cookie(), &confirmed.token);
    visitor.new_cookie.set(HeaderValue::from_str(&cookie).ok());
    Ok(confirmed.proof)
}

/// A cookie that the answer sets, whatever the answer is.
#[derive(Clone, Default)]
pub(super) struct NewCookie(Arc<Mutex<Option<HeaderValue>>>);

impl NewCookie {
    fn set(&self, cookie: Option<HeaderValue>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cookie;
    }
}

/// Gives every request a place for a new cookie, and its answer that cookie.
pub(super) async fn with_new_cookie(mut request: Request, next: Next) -> Response {
    let place = NewCookie::default();
    request.extensions_mut().insert(place.clone());
    let response = next.run(request).await;
    let cookie = place.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    with_cookie(response, cookie)
}

/// Reads a form, and finds or asks for the proof.
async fn proved<T: DeserializeOwned>(
    session: &Session,
    request: Request,
) -> Result<(RecentlyConfirmed<Staff>, T), Refused> {
    let body = checked_body(session, request).await?;
    let app = &session.visitor.pages.app;
    let proof = match accounts::recently_confirmed(app, &session.staff, &session.handle) {
        Some(proof) => proof,
        None => {
            let (password, one_time) = (field(&body, PASSWORD), field(&body, ONE_TIME));
            let result = match password {
                Some(password) => {
                    confirm(session, password.into(), one_time.unwrap_or_default()).await.map_err(Some)
                }
                None => Err(None),
            };
            match result {
                Ok(proof) => proof,
                Err(error) => {
                    let path = session.visitor.path.clone();
                    let purpose = purpose(&path);
                    return Err(ask(session, path, purpose, typed(&body), error.as_ref()).await.into());
                }
            }
        }
    };
    Ok((proof, fields(session, &body)?))
}

fn field(body: &Bytes, wanted: &str) -> Option<String> {
    form_urlencoded::parse(body).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

/// What was typed before.
fn typed(body: &Bytes) -> Vec<(String, String)> {
    form_urlencoded::parse(body)
        .filter(|(name, _)| !["csrf", PASSWORD, ONE_TIME].contains(&&**name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

impl<T: DeserializeOwned> FromRequest<Arc<Pages>> for ConfirmedForm<T> {
    type Rejection = Refused;
    async fn from_request(request: Request, pages: &Arc<Pages>) -> Result<Self, Refused> {
        let (session, request) = of_admin_form(request, pages).await?;
        let (proof, form) = proved(&session.session, request).await?;
        match proof.admin() {
            Some(admin) => Ok(Self(session, admin, form)),
            None => {
                let error = AdminError::AdminsOnly.into();
                Err(error_page(session.page("error"), StatusCode::FORBIDDEN, &error).into())
            }
        }
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Pages>> for ConfirmedStaffForm<T> {
    type Rejection = Refused;
    async fn from_request(request: Request, pages: &Arc<Pages>) -> Result<Self, Refused> {
        let (session, request) = of_form(request, pages).await?;
        let (proof, form) = proved(&session, request).await?;
        Ok(Self(session, proof, form))
    }
}

#[derive(Deserialize)]
pub(super) struct Where {
    #[serde(default)]
    next: String,
}

/// The page, before something is chosen.
pub(super) async fn show_before(session: Session, Query(query): Query<Where>) -> Response {
    let mut response = ask_before(&session, own_path(&query.next)).await;
    // Nothing was refused.
    *response.status_mut() = StatusCode::OK;
    response
}

#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    #[serde(default)]
    next: String,
    #[serde(default, rename = "confirm-password")]
    password: Zeroizing<String>,
    #[serde(default, rename = "confirm-one-time")]
    one_time: String,
}

/// Takes the password, and leads to where something is chosen.
pub(super) async fn before(StaffForm(session, form): StaffForm<ConfirmForm>) -> Response {
    let next = own_path(&form.next);
    match confirm(&session, form.password, form.one_time).await {
        Ok(_) => Redirect::to(next).into_response(),
        Err(error) => {
            let typed = vec![("next".to_owned(), next.to_owned())];
            ask(&session, "/admin/confirm".into(), purpose(next), typed, Some(&error)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_is_about_to_be_done_and_leads_back() {
        for (path, what, back) in [
            ("/admin/accounts", "confirm.account-add", "/admin/account"),
            ("/admin/participants/7/export", "confirm.export", "/admin/participants"),
            ("/admin/backup#restore-file", "confirm.restore", "/admin/backup"),
            ("/admin/backup/restore?x=y", "confirm.restore", "/admin/backup"),
            ("/admin/setup/server", "confirm.rules", "/admin/rules"),
            ("", "confirm.rules", "/admin/rules"),
        ] {
            assert_eq!(purpose(path), (what, back), "{path}");
        }
    }
}
