//! Certificates: what is in force, the authority's certificate for devices, one from elsewhere.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::confirm::ConfirmedForm;
use super::page::{Page, show};
use super::refused::error_page;
use super::session::{AdminSession, Form};
use crate::acme::Challenge;
use crate::http::error::status_of;
use crate::http::trust;
use crate::service::acme::{self, Choice, is_public_name};
use crate::service::certificates::{self, CertificateStatus, MAX_PEM_BYTES, Upload};
use crate::service::{AdminError, ServiceError};
use crate::settings::names;
use crate::tls::Origin;

#[derive(Template)]
#[template(path = "admin/certificates.html")]
struct CertificatesPage {
    page: Page,
    status: CertificateStatus,
    /// What a device shows when it is to trust this server.
    authority: String,
    origin: String,
    is_kept: bool,
    is_from_files: bool,
    /// What the form of the public authority shows.
    choice: Choice,
    domains: String,
    is_directory_fixed: bool,
    acme_state: String,
}

/// Shows the page, with what was typed into the form of the public authority if that was refused.
async fn show_with(
    session: &AdminSession,
    page: Page,
    status: StatusCode,
    typed: Option<Choice>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let stands = match certificates::status(app, &session.admin).await {
        Ok(stands) => stands,
        Err(error) => return error_page(page, status_of(&error), &error),
    };
    let word = match stands.origin {
        Origin::Issued => "certificates.issued",
        Origin::Files => "certificates.files",
        Origin::Uploaded => "certificates.uploaded",
        Origin::Acme => "certificates.acme",
    };
    let mut choice = typed.unwrap_or_else(|| stands.acme.choice.clone());
    if choice.domains.is_empty() {
        // The likeliest: a public name people use already.
        choice.domains =
            app.config().server.addresses.iter().filter(|name| is_public_name(name)).cloned().collect();
    }
    let nonce = page.nonce.clone();
    let template = CertificatesPage {
        authority: trust::fingerprint(app),
        origin: page.t(word).to_owned(),
        is_kept: matches!(stands.origin, Origin::Uploaded | Origin::Acme),
        is_from_files: stands.origin == Origin::Files,
        is_directory_fixed: app.config().is_fixed(names::acme::directory),
        acme_state: acme_state(&page, &stands),
        domains: choice.domains.join(" "),
        choice,
        status: stands,
        page,
    };
    show(status, &nonce, &template)
}

/// One sentence on how the public authority's certificate stands.
fn acme_state(page: &Page, stands: &CertificateStatus) -> String {
    let acme = &stands.acme;
    match (&acme.trouble, acme.due_at) {
        _ if !acme.choice.enabled => page.t("acme.is-off").to_owned(),
        (Some(_), _) => {
            page.with("acme.again", acme.again_at.map_or_else(|| "–".into(), |at| page.time(&at)))
        }
        (None, Some(at)) => page.with("acme.renews", page.day(&at)),
        (None, None) => page.t("acme.under-way").to_owned(),
    }
}

pub(super) async fn show_all(session: AdminSession, Query(query): Query<Done>) -> Response {
    let mut page = session.page("certificates");
    let text = match query.done.as_str() {
        "on" => Some("acme.switched-on"),
        "off" => Some("acme.switched-off"),
        "renewed" => Some("acme.renewed"),
        _ => None,
    };
    if let Some(text) = text.map(|key| page.t(key).to_owned()) {
        page = page.done(text);
    }
    show_with(&session, page, StatusCode::OK, None).await
}

#[derive(Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    done: String,
}

/// What to show after a change: the page anew, or what was refused.
async fn changed(session: &AdminSession, result: Result<(), ServiceError>, done: &str) -> Response {
    match result {
        Ok(()) => Redirect::to(&format!("/admin/certificates?done={done}")).into_response(),
        Err(error) => {
            let page = session.page("certificates").fail(&error);
            show_with(session, page, status_of(&error), None).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct AcmeForm {
    domains: String,
    #[serde(default)]
    directory: String,
    #[serde(default)]
    contact: String,
    challenge: Challenge,
    #[serde(default)]
    agrees: Option<String>,
}

/// Switches certificates from a public authority on; the order itself runs by itself and is shown here.
pub(super) async fn acme_on(ConfirmedForm(session, admin, form): ConfirmedForm<AcmeForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let choice = Choice {
        enabled: false,
        domains: form.domains.split([' ', ',', ';', '\n', '\r', '\t']).map(str::to_owned).collect(),
        directory: form.directory,
        contact: form.contact,
        challenge: form.challenge,
    };
    match acme::switch_on(app, &admin, choice.clone(), form.agrees.is_some()).await {
        Ok(()) => Redirect::to("/admin/certificates?done=on").into_response(),
        Err(error) => {
            let page = session.page("certificates").fail(&error);
            show_with(&session, page, status_of(&error), Some(choice)).await
        }
    }
}

pub(super) async fn acme_off(ConfirmedForm(session, admin, Nothing {}): ConfirmedForm<Nothing>) -> Response {
    let result = acme::switch_off(&session.session.visitor.pages.app, &admin).await;
    changed(&session, result, "off").await
}

pub(super) async fn acme_renew(Form(session, Nothing {}): Form<Nothing>) -> Response {
    let result = acme::obtain(&session.session.visitor.pages.app).await;
    changed(&session, result, "renewed").await
}

#[derive(Deserialize)]
pub(super) struct UploadForm {
    chain: String,
    key: Zeroizing<String>,
}

pub(super) async fn upload(ConfirmedForm(session, admin, form): ConfirmedForm<UploadForm>) -> Response {
    let pages = &session.session.visitor.pages;
    let result = if form.chain.len() > MAX_PEM_BYTES || form.key.len() > MAX_PEM_BYTES {
        Err(AdminError::FileTooLarge.into())
    } else {
        let upload = Upload { chain: form.chain, key: form.key.to_string(), acme: false };
        certificates::upload(&pages.app, &admin, upload).await
    };
    changed(&session, result, "").await
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn remove(ConfirmedForm(session, admin, Nothing {}): ConfirmedForm<Nothing>) -> Response {
    let result = certificates::remove(&session.session.visitor.pages.app, &admin).await;
    changed(&session, result, "").await
}
