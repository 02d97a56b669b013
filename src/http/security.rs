//! `GET /.well-known/security.txt` (RFC 9116) for programs, and `GET /security` for people: whom to tell of a fault of
//! this server. Both say what stands under Rules; where nothing does, they say that, and what to do instead.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use momedo_texts::Language;

use super::HttpState;
use super::extract::Unauthenticated;
use super::invite_page::shown;
use super::language;
use crate::domain::calendar::rfc3339;
use crate::domain::security_contact::{VALID_DAYS, uri};
use crate::surroundings::addresses;

/// What is answered where no contact stands under Rules.
const NOBODY: &str = "No contact for reporting faults is set here. Please ask the school or office that runs this \
                      server.\nHier ist keine Stelle für Meldungen angegeben. Bitte fragen Sie die Schule oder \
                      Einrichtung, die diesen Server betreibt.\n";

pub(crate) async fn text(State(state): State<HttpState>, _: Unauthenticated) -> Response {
    let config = state.config();
    let security = &config.security;
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let expires = state.clock.now().plus_days(VALID_DAYS);
    let Some(expires) = rfc3339(expires) else {
        // A clock beyond the year 9999.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if security.contact.is_empty() {
        return (StatusCode::NOT_FOUND, kind, NOBODY).into_response();
    }
    let address = addresses::for_links(&config, &state.listeners.running());
    let mut lines = vec![
        format!("Contact: {}", uri(&security.contact)),
        format!("Expires: {expires}"),
        "Preferred-Languages: de, en".to_owned(),
        format!("Canonical: https://{address}/.well-known/security.txt"),
    ];
    for (name, value) in [("Encryption", &security.encryption), ("Policy", &security.policy)] {
        if !value.is_empty() {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.push(String::new());
    (kind, lines.join("\r\n")).into_response()
}

#[derive(Template)]
#[template(path = "security.html")]
struct SecurityPage<'a> {
    language: &'static str,
    german: bool,
    server: &'a str,
    /// As it is read.
    contact: &'a str,
    /// As it is opened.
    contact_uri: String,
    policy: &'a str,
    encryption: &'a str,
    version: &'static str,
}

pub(crate) async fn page(State(state): State<HttpState>, _: Unauthenticated, headers: HeaderMap) -> Response {
    let language = language::asked_for(&headers);
    let config = state.config();
    let security = &config.security;
    let read = security.contact.trim_start_matches("mailto:").trim_start_matches("tel:");
    let page = SecurityPage {
        language: language.tag(),
        german: language == Language::German,
        server: &config.server.name,
        contact: read,
        contact_uri: uri(&security.contact),
        policy: &security.policy,
        encryption: &security.encryption,
        version: env!("CARGO_PKG_VERSION"),
    };
    shown(&page, language)
}
