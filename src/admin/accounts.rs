//! One's own account: password, one-time passwords, sessions; and for admins, everybody's.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use data_encoding::BASE32_NOPAD;
use momedo_protocol::encoding::{decode_hex, encode_hex};
use momedo_protocol::random;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::confirm::{ConfirmedForm, ConfirmedStaffForm};
use super::page::{Page, show};
use super::refused::error_page;
use super::session::{Session, cookie};
use super::sheets;
use crate::domain::role::AccountRole;
use crate::http::error::status_of;
use crate::live::staff_sessions::{self, Listed};
use crate::service::accounts::{self, TOTP_SECRET_BYTES};
use crate::service::audit::{self, Action};
use crate::service::classes::{self, Class};
use crate::service::{AdminError, ServiceError};
use crate::store::EVERYTHING;

#[derive(Template)]
#[template(path = "admin/account.html")]
struct AccountPage {
    page: Page,
    has_one_time_passwords: bool,
    must_enrol: bool,
    secret: String,
    secret_text: String,
    qr: String,
    recovery: Vec<String>,
    sessions: Vec<Listed>,
    own_session: String,
    accounts: Vec<Row>,
    classes: Vec<Class>,
}

struct Row {
    name: String,
    role: String,
    classes: String,
    has_one_time_passwords: bool,
    is_own: bool,
}

impl AccountPage {
    fn minutes(&self, session: &Listed) -> u64 {
        session.idle.as_secs() / 60
    }
}

async fn own_with(session: &Session, page: Page, recovery: Vec<String>, status: StatusCode) -> Response {
    own_with_secret(session, page, recovery, status, None).await
}

/// The page with the secret that was offered before, which the app on the phone has by now.
async fn own_with_secret(
    session: &Session,
    page: Page,
    recovery: Vec<String>,
    status: StatusCode,
    offered: Option<[u8; TOTP_SECRET_BYTES]>,
) -> Response {
    let app = &session.visitor.pages.app;
    let read = async {
        let (classes, _) = classes::list(app, &session.staff, String::new(), 0, EVERYTHING).await?;
        let own = accounts::has_one_time_passwords(app, &session.staff).await?;
        let all = match session.staff.admin() {
            Some(admin) => accounts::list(app, &admin).await?,
            None => Vec::new(),
        };
        Ok::<_, ServiceError>((classes, own, all))
    };
    let (classes, has_one_time_passwords, all) = match read.await {
        Ok(read) => read,
        Err(error) => return error_page(page, status_of(&error), &error),
    };
    let name_of = |id: &i64| classes.iter().find(|class| class.id == *id).map(|class| class.name.clone());
    let accounts = all
        .into_iter()
        .map(|(row, own)| Row {
            is_own: row.name == session.staff.account(),
            name: row.name,
            role: page.word("role", row.role.word()),
            classes: own.iter().filter_map(name_of).collect::<Vec<_>>().join(", "),
            has_one_time_passwords: row.totp_secret.is_some(),
        })
        .collect();
    let is_enrolling = session.must_enrol || offered.is_some();
    let secret = offered.unwrap_or_else(random::bytes);
    let text = BASE32_NOPAD.encode(&secret);
    let label: String = form_urlencoded::byte_serialize(page.server.as_bytes()).collect();
    let label = label.replace('+', "%20");
    let account: String = form_urlencoded::byte_serialize(session.staff.account().as_bytes()).collect();
    let uri = format!("otpauth://totp/{label}:{account}?secret={text}&issuer={label}");
    let is_admin = session.staff.admin().is_some();
    let mut sessions = app.staff_sessions.list(app.clock.elapsed());
    sessions.retain(|listed| is_admin || listed.account == session.staff.account());
    let nonce = page.nonce.clone();
    let template = AccountPage {
        page,
        has_one_time_passwords,
        must_enrol: is_enrolling,
        secret: encode_hex(&secret),
        secret_text: text,
        qr: if has_one_time_passwords { String::new() } else { sheets::qr(&uri) },
        recovery,
        sessions,
        own_session: session.handle.clone(),
        accounts,
        classes,
    };
    show(status, &nonce, &template)
}

pub(super) async fn own(session: Session) -> Response {
    let mut page = session.page("account");
    if session.must_enrol {
        page = page.fail(&AdminError::OneTimePasswordsRequired.into());
    }
    own_with(&session, page, Vec::new(), StatusCode::OK).await
}

async fn after(session: &Session, result: Result<(), ServiceError>, done: &str) -> Response {
    let page = session.page("account");
    match result {
        Ok(()) => {
            let text = page.t(done).to_owned();
            own_with(session, page.done(text), Vec::new(), StatusCode::OK).await
        }
        Err(error) => own_with(session, page.fail(&error), Vec::new(), status_of(&error)).await,
    }
}

#[derive(Deserialize)]
pub(super) struct PasswordForm {
    old: Zeroizing<String>,
    password: Zeroizing<String>,
    repeated: Zeroizing<String>,
}

pub(super) async fn change_password(
    ConfirmedStaffForm(session, staff, form): ConfirmedStaffForm<PasswordForm>,
) -> Response {
    let app = &session.visitor.pages.app;
    let result = if staff_sessions::equally_typed(&form.password, &form.repeated) {
        let device = cookie(&session.visitor.headers, &session.visitor.device_cookie()).map(str::to_owned);
        let caller = session.visitor.caller(device.as_deref());
        accounts::change_password(app, &staff, form.old, form.password, caller, &session.handle).await
    } else {
        Err(AdminError::PasswordsDiffer.into())
    };
    after(&session, result, "account.password-changed").await
}

#[derive(Deserialize)]
pub(super) struct OneTimeForm {
    #[serde(default)]
    secret: String,
    #[serde(default)]
    one_time: String,
}

pub(super) async fn one_time_passwords(
    ConfirmedStaffForm(session, staff, form): ConfirmedStaffForm<OneTimeForm>,
) -> Response {
    let app = &session.visitor.pages.app;
    if form.secret.is_empty() {
        let result = accounts::disable_one_time_passwords(app, &staff, &session.handle).await;
        return after(&session, result, "account.one-time-off").await;
    }
    let secret: Option<[u8; TOTP_SECRET_BYTES]> = decode_hex(&form.secret);
    let enabled = async {
        let secret = secret.ok_or(AdminError::ForeignForm)?;
        accounts::enable_one_time_passwords(app, &staff, secret, &form.one_time, &session.handle).await
    };
    let page = session.page("account");
    match enabled.await {
        Ok(codes) => {
            let text = page.t("account.one-time-on").to_owned();
            own_with(&session, page.done(text), codes, StatusCode::OK).await
        }
        Err(error) => {
            let status = status_of(&error);
            own_with_secret(&session, page.fail(&error), Vec::new(), status, secret).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct SessionForm {
    session: String,
}

pub(super) async fn end_session(
    ConfirmedStaffForm(session, _, form): ConfirmedStaffForm<SessionForm>,
) -> Response {
    let app = &session.visitor.pages.app;
    let all = app.staff_sessions.list(app.clock.elapsed());
    let is_admin = session.staff.admin().is_some();
    let allowed = |listed: &&Listed| {
        listed.handle == form.session && (is_admin || listed.account == session.staff.account())
    };
    if let Some(listed) = all.iter().find(allowed) {
        app.staff_sessions.end(&listed.handle);
        let noted = audit::note(app, session.staff.account(), Action::SessionEnded, &listed.account).await;
        if let Err(error) = noted {
            return after(&session, Err(error), "account.session-ended").await;
        }
    }
    if form.session == session.handle {
        return Redirect::to("/admin").into_response();
    }
    after(&session, Ok(()), "account.session-ended").await
}

#[derive(Deserialize)]
pub(super) struct NewAccountForm {
    name: String,
    password: Zeroizing<String>,
    role: String,
    #[serde(default)]
    class: Vec<i64>,
}

pub(super) async fn add(ConfirmedForm(session, admin, form): ConfirmedForm<NewAccountForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let role = if form.role == "admin" { AccountRole::Admin } else { AccountRole::ClassLead };
    let result = accounts::add(app, &admin, form.name, form.password, role, form.class).await;
    after(&session.session, result, "account.added").await
}

#[derive(Deserialize)]
pub(super) struct DeleteForm {
    name: String,
}

pub(super) async fn delete(ConfirmedForm(session, admin, form): ConfirmedForm<DeleteForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = accounts::delete(app, &admin, form.name).await;
    after(&session.session, result, "account.deleted").await
}
