//! What somebody typed into a form whose session had ended meanwhile: kept through the log-in, and shown to be sent.
//!
//! It travels in the log-in form itself, so the server keeps nothing for whoever is not logged in. Passwords are not among it.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::log_in::{self, Kept, with_cookie};
use super::page::{Page, show};
use super::session::{MAX_FORM_BYTES, Refused, Session, Visitor, refuse};
use crate::http::extract::limited_body;
use crate::service::accounts::LoggedIn;
use crate::service::{AdminError, ServiceError};

/// Most bytes that are kept, as they stand in the log-in form: with a password it is still a small one.
const MAX_KEPT_BYTES: usize = 12 * 1024;

/// Pages whose forms are kept. Others hold passwords, keys or links that let somebody in.
const KEPT_PAGES: [&str; 7] = ["participants", "classes", "groups", "reports", "rules", "sheets", "notices"];

/// Parts of the names of fields that are secret all the same, or mean nothing in another session.
const NOT_KEPT: [&str; 7] = ["csrf", "password", "passphrase", "one-time", "one_time", "secret", "sure"];

/// What says that a form is kept, also one without fields.
const MARK: (&str, &str) = ("resumed", "1");

#[derive(Template)]
#[template(path = "admin/resume.html")]
struct ResumePage {
    page: Page,
    action: String,
    typed: Vec<(String, String)>,
    /// What of it are words: numbers and marks mean nothing to whoever typed them.
    shown: Vec<String>,
}

/// The log-in form for somebody who sent a form without a session, with what they typed.
pub(super) async fn ask(visitor: Visitor, request: Request) -> Refused {
    let is_form = request.method() == Method::POST
        && request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    // Nobody else's page may put words into this one's mouth.
    if !is_form || !visitor.is_own_form() {
        return refuse(&visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm).into();
    }
    let path = visitor.path.clone();
    let ended = AdminError::SessionEnded.into();
    let typed = match limited_body(request, &visitor.pages.app, MAX_FORM_BYTES).await {
        Ok(body) => kept(&path, &body),
        Err(error) => return refuse(&visitor, StatusCode::BAD_REQUEST, error).into(),
    };
    match typed {
        Some(typed) => {
            let kept = Kept { typed: &typed, half: "" };
            log_in::form_with(&visitor, "", &path, kept, Some(&ended)).into()
        }
        None => {
            let error = ServiceError::NotLoggedIn;
            log_in::form(&visitor, "", page_of(&path), Some(&error)).into()
        }
    }
}

/// The parts of a path below `/admin`.
fn parts(path: &str) -> Vec<&str> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.strip_prefix("/admin/").unwrap_or_default().split('/').collect()
}

/// The page that a form stands on, for whoever logs in without it.
fn page_of(path: &str) -> &'static str {
    match parts(path).first().copied().unwrap_or_default() {
        "participants" | "sheets" | "smoke" => "/admin/participants",
        "classes" => "/admin/classes",
        "import" => "/admin/import",
        "groups" => "/admin/groups",
        "reports" => "/admin/reports",
        "neighbours" => "/admin/neighbours",
        "listeners" => "/admin/listeners",
        "certificates" => "/admin/certificates",
        "rules" => "/admin/rules",
        "backup" => "/admin/backup",
        "account" | "accounts" => "/admin/account",
        _ => "/admin",
    }
}

/// What of a form is kept, if it is one that may be.
fn kept(path: &str, body: &[u8]) -> Option<String> {
    if !KEPT_PAGES.contains(parts(path).first()?) {
        return None;
    }
    let is_kept = |name: &str| name != MARK.0 && !NOT_KEPT.iter().any(|part| name.contains(part));
    let mut kept = form_urlencoded::Serializer::new(String::new());
    kept.append_pair(MARK.0, MARK.1);
    for (name, value) in form_urlencoded::parse(body).filter(|(name, _)| is_kept(name)) {
        kept.append_pair(&name, &value);
    }
    let kept = kept.finish();
    // In the log-in form it is encoded once more.
    let encoded: usize = form_urlencoded::byte_serialize(kept.as_bytes()).map(str::len).sum();
    (encoded <= MAX_KEPT_BYTES).then_some(kept)
}

/// Begins a session, and shows what was kept, to be sent again.
pub(super) async fn begin(mut visitor: Visitor, who: LoggedIn, action: &str, typed: &str) -> Response {
    let (own, cookies) = log_in::begun(&visitor, who);
    if let Ok(own) = HeaderValue::from_str(&own) {
        visitor.headers.insert(header::COOKIE, own);
    }
    let response = match visitor.session().await {
        // What comes back from the log-in form is no more believed than any form.
        Ok(session) if session.may_see_this() => match kept(action, typed.as_bytes()) {
            Some(typed) => show_kept(&session, action, &typed),
            None => Redirect::to(page_of(action)).into_response(),
        },
        _ => Redirect::to("/admin").into_response(),
    };
    cookies.into_iter().fold(response, with_cookie)
}

fn show_kept(session: &Session, action: &str, typed: &str) -> Response {
    let mut page = session.page("resume");
    page.path = form_urlencoded::byte_serialize(b"/admin").collect();
    let typed = form_urlencoded::parse(typed.as_bytes()).filter(|(name, _)| name != MARK.0);
    let typed: Vec<(String, String)> =
        typed.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let is_words = |value: &&String| value.contains(char::is_alphabetic);
    let shown = typed.iter().map(|(_, value)| value).filter(is_words).cloned().collect();
    let nonce = page.nonce.clone();
    show(StatusCode::OK, &nonce, &ResumePage { page, action: action.to_owned(), typed, shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_kept() {
        let body = b"csrf=1&name=Ada+L&class=7&class=8&password=x&confirm-one-time=1&old-password=y";
        let page = "/admin/participants/7/rename";
        assert_eq!(kept(page, body).unwrap(), "resumed=1&name=Ada+L&class=7&class=8");
        assert_eq!(kept(page, b"csrf=1").unwrap(), "resumed=1", "a form without fields is one");
        for secret in [
            "/admin/account/password",
            "/admin/accounts",
            "/admin/certificates",
            "/admin/neighbours",
            "/admin/setup/server",
            "/admin/backup/restore",
            "/admin",
        ] {
            assert_eq!(kept(secret, b"old=x&key=y&link=z"), None, "{secret}");
            assert!(page_of(secret).starts_with("/admin"));
        }
        let umlauts = format!("name={}", "ä".repeat(4_000));
        assert_eq!(kept(page, umlauts.as_bytes()), None, "it would be too large for the log-in form");
    }
}
