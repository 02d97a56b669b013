//! Who asks: Host check against DNS rebinding, session cookie, form token; and what each refusal shows.

use momedo_texts::Language;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use momedo_protocol::time::UnixMillis;
use serde::de::DeserializeOwned;

use super::asking;
use super::confirm::NewCookie;
use super::page::Page;
use super::pages::Pages;
use super::refused::error_page;
use super::resume;
use crate::http::Connection;
use crate::http::extract::limited_body;
use crate::http::language;
use crate::live::staff_sessions::{self, Authenticated, Door};
use crate::service::accounts::{self, Caller, Rights};
use crate::service::permission::{Admin, Staff};
use crate::service::{AdminError, ServiceError};
use crate::surroundings::addresses;

/// The session's cookie on TLS. The prefix makes browsers refuse it without `Secure`, for other paths and
/// from other hosts.
pub(super) const COOKIE: &str = "__Host-momedo-admin";

/// The session's cookie on the loopback listener without TLS, refused on TLS. Cookies know no ports: a browser sends
/// it to every port of this machine, so port and process stand in its name, and a session holds only at its port.
pub(super) const LOCAL_COOKIE: &str = "momedo-admin-local";

/// The cookie that ties a log-in form to the browser it was shown in.
pub(super) const FORM_COOKIE: &str = "__Host-momedo-form";
/// The same on the loopback listener.
pub(super) const LOCAL_FORM_COOKIE: &str = "momedo-form-local";

/// The cookie that a browser which logged in before is known by. It opens nothing.
pub(super) const DEVICE_COOKIE: &str = "__Host-momedo-device";
/// The same on the loopback listener.
pub(super) const LOCAL_DEVICE_COOKIE: &str = "momedo-device-local";

/// The cookie that remembers a chosen language.
const LANGUAGE_COOKIE: &str = "__Host-momedo-language";
/// The same on the loopback listener.
const LOCAL_LANGUAGE_COOKIE: &str = "momedo-language";

/// Largest form without a session, in bytes.
pub(super) const MAX_SMALL_FORM_BYTES: usize = 16 * 1024;

/// Largest form, in bytes.
pub(super) const MAX_FORM_BYTES: usize = 256 * 1024;

/// Whether a connection came over the plain loopback listener.
#[derive(Clone, Copy)]
pub struct Loopback(
    /// Its port.
    pub u16,
);

/// A request before anybody is known.
pub(super) struct Visitor {
    pub(super) pages: Arc<Pages>,
    pub(super) headers: HeaderMap,
    pub(super) address: IpAddr,
    pub(super) language: Language,
    pub(super) door: Door,
    pub(super) path: String,
    /// What the answer sets, if anything.
    pub(super) new_cookie: NewCookie,
}

/// A request of somebody who is logged in.
pub(super) struct Session {
    pub(super) visitor: Visitor,
    pub(super) staff: Staff,
    pub(super) csrf: String,
    pub(super) handle: String,
    /// When it began.
    pub(super) begun_at: UnixMillis,
    /// How much that weighs much an admin has not read.
    pub(super) unread: u64,
    /// Whether it has to switch one-time passwords on before anything else.
    pub(super) must_enrol: bool,
}

/// A request of an admin.
pub(super) struct AdminSession {
    pub(super) session: Session,
    pub(super) admin: Admin,
}

/// A form of an admin, with its token checked.
pub(super) struct Form<T>(pub(super) AdminSession, pub(super) T);

/// A form of anybody who is logged in, with its token checked.
pub(super) struct StaffForm<T>(pub(super) Session, pub(super) T);

pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// The host of `host:port`, without brackets.
fn host_of(value: &str) -> &str {
    match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => value.rsplit_once(':').map_or(value, |(host, _)| host),
    }
}

impl Visitor {
    fn is_known_host(&self, host: &str) -> bool {
        let name = host_of(host);
        if name.parse::<IpAddr>().is_ok() {
            return true;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if addresses::names(&self.pages.app.config()).contains(&name) {
            return true;
        }
        // Whoever has the certificate for a name has the name.
        let in_force = self.pages.app.certificates.in_force();
        in_force.is_some_and(|found| found.names.iter().any(|known| known.eq_ignore_ascii_case(&name)))
    }

    /// Whether the request was made by a page of ours, as far as the browser says.
    pub(super) fn is_own_form(&self) -> bool {
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
            return false;
        }
        match (text("origin"), text("host")) {
            (None, _) => true,
            (Some(origin), Some(host)) => {
                let scheme = if self.door == Door::Tls { "https" } else { "http" };
                origin == format!("{scheme}://{host}")
            }
            (Some(_), None) => false,
        }
    }

    /// A cookie's name at the door of this request.
    fn name_here(&self, tls: &str, local: &str) -> String {
        match self.door {
            Door::Tls => tls.to_owned(),
            Door::Loopback(port) => {
                format!("{local}-{port}-{}", self.pages.app.staff_sessions.process())
            }
        }
    }

    pub(super) fn session_cookie(&self) -> String {
        self.name_here(COOKIE, LOCAL_COOKIE)
    }

    pub(super) fn form_cookie(&self) -> String {
        self.name_here(FORM_COOKIE, LOCAL_FORM_COOKIE)
    }

    /// The next process, too, knows a browser again.
    pub(super) fn device_cookie(&self) -> String {
        match self.door {
            Door::Tls => DEVICE_COOKIE.to_owned(),
            Door::Loopback(port) => format!("{LOCAL_DEVICE_COOKIE}-{port}"),
        }
    }

    pub(super) fn language_cookie(&self) -> &'static str {
        if self.door == Door::Tls { LANGUAGE_COOKIE } else { LOCAL_LANGUAGE_COOKIE }
    }

    /// A cookie's attributes: `Secure` but on loopback without TLS, where a path keeps it from other pages at least.
    pub(super) fn set_cookie(&self, name: &str, value: &str) -> String {
        let scope = if self.door == Door::Tls { "/; Secure" } else { "/admin" };
        format!("{name}={value}; HttpOnly; SameSite=Strict; Path={scope}")
    }

    /// Where a typed password comes from.
    pub(super) fn caller<'a>(&self, device_cookie: Option<&'a str>) -> Caller<'a> {
        Caller { address: self.address, device_cookie }
    }

    fn authenticated(&self) -> Option<Authenticated> {
        let token = cookie(&self.headers, &self.session_cookie())?;
        // What a page fetches by itself, with nobody there, keeps no session alive.
        let counts_as_use = !self.path.starts_with("/admin/events");
        let now = self.pages.app.clock.elapsed();
        self.pages.app.staff_sessions.find(token, self.door, counts_as_use, now)
    }

    /// The session of the request, if it has one whose account still is what it was; with today's rights.
    pub(super) async fn session(self) -> Result<Session, Self> {
        let Some(known) = self.authenticated() else { return Err(self) };
        let app = &self.pages.app;
        match accounts::rights(app, &known.account, &known.stamp, known.begun_at).await {
            Ok(Some(Rights { staff, unread, must_enrol })) => {
                let Authenticated { csrf, handle, begun_at, .. } = known;
                Ok(Session { staff, unread, must_enrol, csrf, handle, begun_at, visitor: self })
            }
            Ok(None) => {
                app.staff_sessions.end(&known.handle);
                Err(self)
            }
            Err(error) => {
                tracing::error!(%error, "an account cannot be read");
                Err(self)
            }
        }
    }

    pub(super) fn page(&self, current: &'static str) -> Page {
        let server = self.pages.app.config().server.name.clone();
        let mut page = Page::new(self.language, server, current);
        page.is_local = self.door != Door::Tls;
        page.at = self.pages.app.clock.now();
        page.path = form_urlencoded::byte_serialize(self.path.as_bytes()).collect();
        page
    }
}

impl Session {
    /// Whoever has to switch one-time passwords on sees where that is done, and nothing else.
    pub(super) fn may_see_this(&self) -> bool {
        let path = self.visitor.path.split('?').next().unwrap_or_default();
        !self.must_enrol
            || path == "/admin/account"
            || path.starts_with("/admin/account/")
            || matches!(path, "/admin/log-out" | "/admin/confirm")
    }

    pub(super) fn page(&self, current: &'static str) -> Page {
        let mut page = self.visitor.page(current);
        page.csrf.clone_from(&self.csrf);
        page.account = self.staff.account().to_owned();
        page.is_admin = self.staff.admin().is_some();
        page.unread = self.unread;
        page
    }
}

impl AdminSession {
    pub(super) fn page(&self, current: &'static str) -> Page {
        self.session.page(current)
    }
}

/// Shows a refusal as a page of its own.
pub(super) fn refuse(visitor: &Visitor, status: StatusCode, error: impl Into<ServiceError>) -> Response {
    error_page(visitor.page("error"), status, &error.into())
}

/// Why a request gets no further; boxed, because an answer is large.
pub(super) struct Refused(Box<Response>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Response> for Refused {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl FromRequestParts<Arc<Pages>> for Visitor {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, pages: &Arc<Pages>) -> Result<Self, Refused> {
        let local = parts.extensions.get::<Loopback>().copied();
        let address = parts
            .extensions
            .get::<Connection>()
            .map_or(IpAddr::from([127, 0, 0, 1]), |connection| connection.address);
        let language_cookie = if local.is_some() { LOCAL_LANGUAGE_COOKIE } else { LANGUAGE_COOKIE };
        let chosen = match cookie(&parts.headers, language_cookie) {
            Some("de") => Some(Language::German),
            Some("en") => Some(Language::English),
            _ => None,
        };
        let mut headers = parts.headers.clone();
        // HTTP/2 names the host in the request target.
        if let (None, Some(authority)) = (headers.get(header::HOST), parts.uri.authority())
            && let Ok(value) = authority.as_str().parse()
        {
            headers.insert(header::HOST, value);
        }
        let visitor = Self {
            pages: pages.clone(),
            language: chosen.unwrap_or_else(|| language::asked_for(&headers)),
            headers,
            address,
            door: local.map_or(Door::Tls, |Loopback(port)| Door::Loopback(port)),
            new_cookie: parts.extensions.get::<NewCookie>().cloned().unwrap_or_default(),
            // Below a nested router the request's own target is cut short.
            path: parts
                .extensions
                .get::<axum::extract::OriginalUri>()
                .map_or(&parts.uri, |original| &original.0)
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
        };
        let host = visitor.headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
        let known = match local {
            // Exactly what the browser was opened with: nobody else's name may lead here.
            Some(Loopback(port)) => {
                host == format!("127.0.0.1:{port}") || host == format!("localhost:{port}")
            }
            None => visitor.is_known_host(host),
        };
        if !known {
            return Err(refuse(&visitor, StatusCode::MISDIRECTED_REQUEST, AdminError::UnknownHost).into());
        }
        // Whoever is logged in is not slowed down by what others behind the same address do.
        let known = visitor.authenticated().is_some();
        if let Some(error) = (!known)
            .then(|| pages.app.rates.unauthenticated(address, pages.app.clock.elapsed()).err())
            .flatten()
        {
            let error = ServiceError::from(error);
            return Err(refuse(&visitor, StatusCode::TOO_MANY_REQUESTS, error).into());
        }
        Ok(visitor)
    }
}

impl FromRequestParts<Arc<Pages>> for Session {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, pages: &Arc<Pages>) -> Result<Self, Refused> {
        let visitor = Visitor::from_request_parts(parts, pages).await?;
        match visitor.session().await {
            Ok(session) if session.may_see_this() => Ok(session),
            Ok(_) if parts.method == Method::GET => {
                Err(Redirect::to("/admin/account").into_response().into())
            }
            Ok(session) => {
                let error = AdminError::OneTimePasswordsRequired.into();
                Err(error_page(session.page("error"), StatusCode::FORBIDDEN, &error).into())
            }
            Err(visitor) if parts.method == Method::GET => {
                let next: String = form_urlencoded::byte_serialize(visitor.path.as_bytes()).collect();
                Err(Redirect::to(&format!("/admin?next={next}")).into_response().into())
            }
            Err(visitor) => Err(refuse(&visitor, StatusCode::FORBIDDEN, AdminError::ForeignForm).into()),
        }
    }
}

/// The session of a form; without one, the log-in form that keeps what was typed.
pub(super) async fn of_form(request: Request, pages: &Arc<Pages>) -> Result<(Session, Request), Refused> {
    let (mut parts, body) = request.into_parts();
    let visitor = Visitor::from_request_parts(&mut parts, pages).await?;
    match visitor.session().await {
        Ok(session) if session.may_see_this() => Ok((session, Request::from_parts(parts, body))),
        Ok(session) => {
            let error = AdminError::OneTimePasswordsRequired.into();
            Err(error_page(session.page("error"), StatusCode::FORBIDDEN, &error).into())
        }
        Err(visitor) => Err(resume::ask(visitor, Request::from_parts(parts, body)).await),
    }
}

/// The same of an admin.
pub(super) async fn of_admin_form(
    request: Request,
    pages: &Arc<Pages>,
) -> Result<(AdminSession, Request), Refused> {
    let (session, request) = of_form(request, pages).await?;
    Ok((AdminSession::of(session)?, request))
}

impl AdminSession {
    fn of(session: Session) -> Result<Self, Refused> {
        match session.staff.admin() {
            Some(admin) => Ok(Self { session, admin }),
            None => {
                let path = session.visitor.path.split('?').next().unwrap_or_default();
                tracing::warn!(path, address = %session.visitor.address, "a class lead asked for what only admins may");
                let page = session.page("error");
                let error = AdminError::AdminsOnly.into();
                Err(error_page(page, StatusCode::FORBIDDEN, &error).into())
            }
        }
    }
}

impl FromRequestParts<Arc<Pages>> for AdminSession {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, pages: &Arc<Pages>) -> Result<Self, Refused> {
        Self::of(Session::from_request_parts(parts, pages).await?)
    }
}

/// Reads a form's body and checks its token.
pub(super) async fn checked_body(session: &Session, request: Request) -> Result<Bytes, Refused> {
    let refused = |error: ServiceError, status| Refused::from(refuse(&session.visitor, status, error));
    let body = limited_body(request, &session.visitor.pages.app, MAX_FORM_BYTES)
        .await
        .map_err(|error| refused(error, StatusCode::PAYLOAD_TOO_LARGE))?;
    if !is_genuine(session, &token_in(&body)) {
        return Err(refused(AdminError::ForeignForm.into(), StatusCode::FORBIDDEN));
    }
    match asking::asked(session, &body) {
        Some(question) => Err(question.into()),
        None => Ok(body),
    }
}

/// The fields of a form.
pub(super) fn fields<T: DeserializeOwned>(session: &Session, body: &Bytes) -> Result<T, Refused> {
    serde_html_form::from_bytes(body).map_err(|error| {
        let error = ServiceError::Malformed(error.to_string());
        refuse(&session.visitor, StatusCode::BAD_REQUEST, error).into()
    })
}

async fn checked<T: DeserializeOwned>(session: &Session, request: Request) -> Result<T, Refused> {
    fields(session, &checked_body(session, request).await?)
}

fn token_in(body: &Bytes) -> String {
    let found = form_urlencoded::parse(body).find(|(name, _)| name == "csrf");
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Whether a form was made for this session, by a page of this server.
pub(super) fn is_genuine(session: &Session, token: &str) -> bool {
    session.visitor.is_own_form() && staff_sessions::equal(token, &session.csrf)
}

impl<T: DeserializeOwned> FromRequest<Arc<Pages>> for Form<T> {
    type Rejection = Refused;
    async fn from_request(request: Request, pages: &Arc<Pages>) -> Result<Self, Refused> {
        let (session, request) = of_admin_form(request, pages).await?;
        let form = checked(&session.session, request).await?;
        Ok(Self(session, form))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Pages>> for StaffForm<T> {
    type Rejection = Refused;
    async fn from_request(request: Request, pages: &Arc<Pages>) -> Result<Self, Refused> {
        let (session, request) = of_form(request, pages).await?;
        let form = checked(&session, request).await?;
        Ok(Self(session, form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_and_without_ports_and_brackets() {
        for (value, host) in [
            ("a.local:4710", "a.local"),
            ("a.local", "a.local"),
            ("[::1]:4710", "::1"),
            ("10.0.0.1:1", "10.0.0.1"),
        ] {
            assert_eq!(host_of(value), host);
        }
    }
}
