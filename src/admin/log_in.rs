//! The log-in form, logging in and out.

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::random;
use serde::Deserialize;
use std::sync::Arc;
use zeroize::Zeroizing;

use super::own_path::own_path;
use super::page::{Page, show};
use super::pages::Pages;
use super::resume;
use super::session::{MAX_SMALL_FORM_BYTES, StaffForm, Visitor, cookie, refuse};
use crate::http::error::status_of;
use crate::http::extract::limited_body;
use crate::live::staff_sessions::{self, Client};
use crate::service::accounts::{self, Credentials, LoggedIn};
use crate::service::{AdminError, ServiceError};

#[derive(Template)]
#[template(path = "admin/log_in.html")]
struct LogInPage {
    page: Page,
    user: String,
    next: String,
    form: String,
    /// What was typed into a form whose session had ended.
    typed: String,
    /// Names a password that was right; then the one-time password alone is asked for.
    half: String,
}

/// What a log-in form sends.
#[derive(Deserialize)]
struct LogInForm {
    #[serde(default)]
    form: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    typed: String,
    #[serde(default)]
    half: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: Zeroizing<String>,
    #[serde(default)]
    one_time: String,
}

/// The form's token: the browser's cookie, or a new one to be set.
pub(super) fn form_token(visitor: &Visitor) -> (String, Option<HeaderValue>) {
    let known = cookie(&visitor.headers, &visitor.form_cookie());
    match known.filter(|token| {
        token.len() == 43 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    }) {
        Some(token) => (token.to_owned(), None),
        None => {
            let token = encode_base64(&random::bytes::<32>());
            let value = visitor.set_cookie(&visitor.form_cookie(), &token);
            (token, HeaderValue::from_str(&value).ok())
        }
    }
}

/// Whether a form without a session comes from the browser it was shown in.
pub(super) fn is_own(visitor: &Visitor, token: &str) -> bool {
    let known = cookie(&visitor.headers, &visitor.form_cookie()).unwrap_or("");
    visitor.is_own_form() && !known.is_empty() && staff_sessions::equal(known, token)
}

/// Adds a cookie to an answer.
pub(super) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Shows the form, with what went wrong if anything did.
pub(super) fn form(visitor: &Visitor, user: &str, next: &str, error: Option<&ServiceError>) -> Response {
    form_with(visitor, user, next, Kept::default(), error)
}

/// What goes along with a log-in form.
#[derive(Default, Clone, Copy)]
pub(super) struct Kept<'a> {
    /// What was typed into a form whose session had ended.
    pub(super) typed: &'a str,
    /// Names a password that was right.
    pub(super) half: &'a str,
}

/// The same, keeping what was typed into another form.
pub(super) fn form_with(
    visitor: &Visitor,
    user: &str,
    next: &str,
    kept: Kept<'_>,
    error: Option<&ServiceError>,
) -> Response {
    let (token, cookie) = form_token(visitor);
    let mut page = visitor.page("log-in");
    let mut status = StatusCode::OK;
    if let Some(error) = error {
        status = status_of(error);
        page = page.fail(error);
    }
    let nonce = page.nonce.clone();
    let template = LogInPage {
        page,
        user: user.to_owned(),
        next: own_path(next).to_owned(),
        form: token,
        typed: kept.typed.to_owned(),
        half: kept.half.to_owned(),
    };
    with_cookie(show(status, &nonce, &template), cookie)
}

/// Begins a session with a token of its own: one that was there before is worth nothing.
pub(super) fn begin(visitor: &Visitor, who: LoggedIn, next: &str) -> Response {
    let (_, cookies) = begun(visitor, who);
    cookies.into_iter().fold(Redirect::to(own_path(next)).into_response(), with_cookie)
}

/// The cookies of a session that begins, and that of the session as the browser will send it.
pub(super) fn begun(visitor: &Visitor, who: LoggedIn) -> (String, [Option<HeaderValue>; 2]) {
    let app = &visitor.pages.app;
    let browser = visitor.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let client = Client { address: visitor.address, door: visitor.door, browser };
    let LoggedIn { account, stamp, device_cookie } = who;
    let token = app.staff_sessions.begin(account, stamp, app.clock.elapsed(), app.clock.now(), &client);
    let cookie = HeaderValue::from_str(&visitor.set_cookie(&visitor.session_cookie(), &token)).ok();
    // A year; the password ends it before if it is changed.
    let device = device_cookie.and_then(|value| {
        let cookie = visitor.set_cookie(&visitor.device_cookie(), &value);
        HeaderValue::from_str(&format!("{cookie}; Max-Age=31536000")).ok()
    });
    (format!("{}={token}", visitor.session_cookie()), [cookie, device])
}

/// Reads a form that no session protects.
pub(super) async fn read(visitor: &Visitor, request: Request) -> Result<Bytes, Response> {
    let body = limited_body(request, &visitor.pages.app, MAX_SMALL_FORM_BYTES).await;
    body.map_err(|error| refuse(visitor, StatusCode::PAYLOAD_TOO_LARGE, error))
}

pub(super) async fn log_in(State(_): State<Arc<Pages>>, visitor: Visitor, request: Request) -> Response {
    let body = match read(&visitor, request).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let Ok(typed) = serde_html_form::from_bytes::<LogInForm>(&body) else {
        return refuse(&visitor, StatusCode::BAD_REQUEST, AdminError::ForeignForm);
    };
    let kept = Kept { typed: &typed.typed, half: "" };
    if !is_own(&visitor, &typed.form) {
        let error = AdminError::ForeignForm.into();
        return form_with(&visitor, &typed.user, &typed.next, kept, Some(&error));
    }
    let app = &visitor.pages.app;
    let now = app.clock.elapsed();
    let half = app.half_log_ins.find(&typed.half, &typed.form, now);
    if half.is_none() && !typed.half.is_empty() {
        // Nothing was tried, so nothing is counted.
        let error = AdminError::LogInTooSlow.into();
        return form_with(&visitor, &typed.user, &typed.next, kept, Some(&error));
    }
    let (account, password) = match half.clone() {
        Some(half) => half,
        None => (typed.user.trim().chars().take(100).collect(), typed.password),
    };
    let credentials =
        Credentials { account: account.clone(), password: password.clone(), one_time: typed.one_time };
    let device = cookie(&visitor.headers, &visitor.device_cookie()).map(str::to_owned);
    let who = match accounts::log_in(app, credentials, visitor.caller(device.as_deref())).await {
        Ok(who) => who,
        Err(ServiceError::Admin(AdminError::NeedsOneTimePassword)) => {
            let half = match half {
                Some(_) => typed.half,
                None => app.half_log_ins.keep(&account, password, &typed.form, now),
            };
            let error = AdminError::NeedsOneTimePassword.into();
            return form_with(&visitor, &account, &typed.next, Kept { half: &half, ..kept }, Some(&error));
        }
        Err(ServiceError::Admin(AdminError::WrongPassword)) if half.is_some() => {
            let error = AdminError::WrongOneTimePassword.into();
            return form_with(
                &visitor,
                &account,
                &typed.next,
                Kept { half: &typed.half, ..kept },
                Some(&error),
            );
        }
        Err(error) => {
            let half = if half.is_some() { &*typed.half } else { "" };
            return form_with(&visitor, &account, &typed.next, Kept { half, ..kept }, Some(&error));
        }
    };
    app.half_log_ins.forget(&typed.half);
    match typed.typed.as_str() {
        "" => begin(&visitor, who, &typed.next),
        kept => resume::begin(visitor, who, own_path(&typed.next), kept).await,
    }
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn log_out(StaffForm(session, Nothing {}): StaffForm<Nothing>) -> Response {
    session.visitor.pages.app.staff_sessions.end(&session.handle);
    let cookie = session.visitor.set_cookie(&session.visitor.session_cookie(), "");
    let cookie = format!("{cookie}; Max-Age=0");
    let mut response =
        with_cookie(Redirect::to("/admin").into_response(), HeaderValue::from_str(&cookie).ok());
    // Nothing is cached, and nothing of it stays behind a "back" button either.
    let clear = HeaderValue::from_static("\"cache\"");
    response.headers_mut().insert(HeaderName::from_static("clear-site-data"), clear);
    response
}
