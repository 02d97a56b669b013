//! What somebody typed into a form whose session had ended meanwhile: kept through the log-in, and shown to be sent.
//!
//! It travels in the log-in form itself, so the server keeps nothing for whoever is not logged in. Passwords are not among it.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::log_in::{self, Kept, with_cookie};
use super::page::{Page, show};
use super::session::{Refused, Session, Visitor, refuse};
use crate::http::extract::limited_body;
use crate::service::accounts::LoggedIn;
use crate::service::{AdminError, ServiceError};

/// Most bytes that are kept; with a password they are still a small form.
const MAX_KEPT_BYTES: usize = 12 * 1024;

/// Parts of the names of fields that are secret, or mean nothing in another session.
const NOT_KEPT: [&str; 7] = ["csrf", "password", "passphrase", "one-time", "one_time", "secret", "preview"];

#[derive(Template)]
#[template(path = "admin/resume.html")]
struct ResumePage {
    page: Page,
    action: String,
    typed: Vec<(String, String)>,
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
    match limited_body(request, &visitor.pages.app, MAX_KEPT_BYTES).await {
        Ok(body) => {
            let (typed, next) = (kept(&body), visitor.path.clone());
            log_in::form_with(
                &visitor,
                "",
                &next,
                Kept { typed: &typed, half: "" },
                Some(&AdminError::SessionEnded.into()),
            )
            .into()
        }
        Err(ServiceError::BodyTooLarge { .. }) => {
            refuse(&visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm).into()
        }
        Err(error) => refuse(&visitor, StatusCode::BAD_REQUEST, error).into(),
    }
}

/// What of a form is kept.
fn kept(body: &Bytes) -> String {
    let is_kept = |name: &str| !NOT_KEPT.iter().any(|part| name.contains(part));
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(body).filter(|(name, _)| is_kept(name)) {
        kept.append_pair(&name, &value);
    }
    kept.finish()
}

/// Begins a session, and shows what was kept, to be sent again.
pub(super) async fn begin(mut visitor: Visitor, who: LoggedIn, action: &str, typed: &str) -> Response {
    let (own, cookies) = log_in::begun(&visitor, who);
    if let Ok(own) = HeaderValue::from_str(&own) {
        visitor.headers.insert(header::COOKIE, own);
    }
    let response = match visitor.session().await {
        Ok(session) if session.may_see_this() => show_kept(&session, action, typed),
        _ => Redirect::to("/admin").into_response(),
    };
    cookies.into_iter().fold(response, with_cookie)
}

fn show_kept(session: &Session, action: &str, typed: &str) -> Response {
    let mut page = session.page("resume");
    page.path = form_urlencoded::byte_serialize(b"/admin").collect();
    let typed = form_urlencoded::parse(typed.as_bytes());
    let typed = typed.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let nonce = page.nonce.clone();
    show(StatusCode::OK, &nonce, &ResumePage { page, action: action.to_owned(), typed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_kept() {
        let body = Bytes::from_static(
            b"csrf=1&name=Ada+L&class=7&class=8&password=x&confirm-one-time=1&old-password=y",
        );
        assert_eq!(kept(&body), "name=Ada+L&class=7&class=8");
    }
}
