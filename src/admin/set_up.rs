//! The first three steps: password, name and address, first class with its first person.

use std::net::{IpAddr, SocketAddr};

use askama::Template;
use axum::extract::{Query, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use momedo_protocol::name::tidied;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::confirm::ConfirmedForm;
use super::log_in;
use super::page::{Page, show};
use super::session::{AdminSession, Form, Visitor, refuse};
use super::set_up_addresses::{self, Address};
use crate::domain::role::Role;
use crate::http::error::status_of;
use crate::live::staff_sessions;
use crate::service::rules::{self, Rules};
use crate::service::{AdminError, ServiceError, classes, listeners, naming, people, set_up};
use crate::settings::names;
use crate::surroundings::addresses;

#[derive(Template)]
#[template(path = "admin/set_up_account.html")]
struct AccountPage {
    page: Page,
    form: String,
    code: String,
}

#[derive(Template)]
#[template(path = "admin/set_up_server.html")]
struct ServerPage {
    page: Page,
    name: String,
    addresses: Vec<Address>,
    own: String,
    port: u16,
}

#[derive(Template)]
#[template(path = "admin/set_up_class.html")]
struct ClassPage {
    page: Page,
    class: String,
    person: String,
}

#[derive(Deserialize)]
pub(super) struct CodeInLink {
    #[serde(default)]
    pub(super) code: String,
}

/// A page with a form for whoever has no session, with what went wrong if anything did.
pub(super) fn without_session<T: Template>(
    visitor: &Visitor,
    error: Option<&ServiceError>,
    made: impl FnOnce(Page, String) -> T,
) -> Response {
    let (form, cookie) = log_in::form_token(visitor);
    let mut page = visitor.page("set-up");
    let mut status = StatusCode::OK;
    if let Some(error) = error {
        status = status_of(error);
        page = page.fail(error);
    }
    let nonce = page.nonce.clone();
    log_in::with_cookie(show(status, &nonce, &made(page, form)), cookie)
}

/// The first step's form; the opened link may carry the code.
pub(super) fn account_form(visitor: &Visitor, code: &str, error: Option<&ServiceError>) -> Response {
    let code = code_of_link(code);
    without_session(visitor, error, |page, form| AccountPage { page, form, code })
}

/// `GET /admin/setup`: the first step while it is needed; afterwards never again.
pub(super) async fn again(visitor: Visitor, Query(link): Query<CodeInLink>) -> Response {
    match set_up::is_needed(&visitor.pages.app).await {
        Ok(true) => account_form(&visitor, &link.code, None),
        Ok(false) => Redirect::to("/admin").into_response(),
        Err(error) => refuse(&visitor, StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

#[derive(Deserialize)]
struct AccountForm {
    #[serde(default)]
    form: String,
    code: String,
    password: Zeroizing<String>,
    repeated: Zeroizing<String>,
}

pub(super) async fn account(visitor: Visitor, request: Request) -> Response {
    let body = match log_in::read(&visitor, request).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let Ok(typed) = serde_html_form::from_bytes::<AccountForm>(&body) else {
        return refuse(&visitor, StatusCode::BAD_REQUEST, AdminError::ForeignForm);
    };
    if !log_in::is_own(&visitor, &typed.form) {
        return account_form(&visitor, &typed.code, Some(&AdminError::ForeignForm.into()));
    }
    if !staff_sessions::equally_typed(&typed.password, &typed.repeated) {
        return account_form(&visitor, &typed.code, Some(&AdminError::PasswordsDiffer.into()));
    }
    let made = set_up::with_code(&visitor.pages.app, &typed.code, typed.password, visitor.address).await;
    match made {
        Ok(who) => log_in::begin(&visitor, who, "/admin/setup/server"),
        Err(ServiceError::Admin(AdminError::AlreadySetUp)) => {
            refuse(&visitor, StatusCode::CONFLICT, AdminError::AlreadySetUp)
        }
        // A wrong code is typed again, not carried on.
        Err(error @ ServiceError::Admin(AdminError::WrongSetUpCode)) => {
            account_form(&visitor, "", Some(&error))
        }
        Err(error) => account_form(&visitor, &typed.code, Some(&error)),
    }
}

/// The code as it may stand in a link or a form.
pub(super) fn code_of_link(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(20).collect()
}

async fn server_page(
    session: &AdminSession,
    name: String,
    own: String,
    error: Option<&ServiceError>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let mut page = session.page("set-up");
    let status = error.map_or(StatusCode::OK, status_of);
    if let Some(error) = error {
        page = page.fail(error);
    }
    let mut addresses = set_up_addresses::offered(page.language, app).await;
    addresses.iter_mut().for_each(|address| address.is_chosen &= own.is_empty());
    let nonce = page.nonce.clone();
    let port = app.listeners.running().first().map_or(4710, SocketAddr::port);
    show(status, &nonce, &ServerPage { page, name, addresses, own, port })
}

pub(super) async fn server(session: AdminSession) -> Response {
    let name = session.session.visitor.pages.app.config().server.name.clone();
    let name = if name == "momedo" { String::new() } else { name };
    server_page(&session, name, String::new(), None).await
}

#[derive(Deserialize)]
pub(super) struct ServerForm {
    name: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    own_address: String,
    port: String,
}

pub(super) async fn name_server(ConfirmedForm(session, admin, form): ConfirmedForm<ServerForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let own = form.own_address.trim().to_owned();
    let chosen = if form.address == "own" { own.clone() } else { form.address.clone() };
    let change = async {
        let port: u16 = form.port.trim().parse().map_err(|_| AdminError::NotAnAddress)?;
        let running = app.listeners.running();
        if port != 0 && running.iter().all(|address| address.port() != port) {
            let ip = running.first().map_or(IpAddr::from([0; 8]), SocketAddr::ip);
            listeners::add(app, &session.admin, &SocketAddr::new(ip, port).to_string()).await?;
        }
        let name = Some(tidied(&form.name));
        let addresses = Some(vec![chosen]).filter(|addresses| !addresses[0].is_empty());
        let file = app.file_config();
        // What was found by itself is found again after the router gave another address.
        let found = addresses::for_links(&app.config(), &app.listeners.running());
        let addresses = addresses.filter(|chosen| !found.starts_with(&format!("{}:", chosen[0])));
        let rules = Rules {
            link_port: Some(port).filter(|port| *port != 0),
            name: name.filter(|_| !file.is_fixed(names::server::name)),
            addresses: addresses.filter(|_| !file.is_fixed(names::server::addresses)),
            ..Rules::default()
        };
        rules::change(app, &admin, rules).await
    };
    match change.await {
        Ok(()) => {
            session.session.visitor.pages.renew_certificate().await;
            Redirect::to("/admin/setup/class").into_response()
        }
        Err(error) => server_page(&session, form.name, own, Some(&error)).await,
    }
}

fn class_page(
    session: &AdminSession,
    class: String,
    person: String,
    error: Option<&ServiceError>,
) -> Response {
    let mut page = session.page("set-up");
    let status = error.map_or(StatusCode::OK, status_of);
    if let Some(error) = error {
        page = page.fail(error);
    }
    let nonce = page.nonce.clone();
    show(status, &nonce, &ClassPage { page, class, person })
}

pub(super) async fn class(session: AdminSession) -> Response {
    class_page(&session, String::new(), String::new(), None)
}

#[derive(Deserialize)]
pub(super) struct ClassForm {
    class: String,
    person: String,
}

pub(super) async fn add_class(Form(session, form): Form<ClassForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let add = async {
        naming::check_name(&tidied(&form.person))?;
        let class = match classes::add(app, &session.admin, form.class.clone()).await {
            Ok(class) => class,
            Err(ServiceError::Admin(AdminError::ClassExists)) => {
                classes::find(app, &session.admin, form.class.trim().to_owned()).await?.id
            }
            Err(error) => return Err(error),
        };
        let name = form.person.clone();
        let person = people::add(app, &session.admin, name, Role::Member, Some(class), None).await?;
        people::invite(app, &session.session.staff, vec![person]).await
    };
    match add.await {
        Ok(cards) => super::sheets::show_made(&session.session, cards, true),
        Err(error) => class_page(&session, form.class, form.person, Some(&error)),
    }
}
