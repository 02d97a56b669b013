//! The overview: is everything well, what needs doing, how much is going on.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use momedo_protocol::time::UnixMillis;
use serde::Deserialize;

use super::chart::{self, Chart};
use super::page::{Page, show};
use super::refused::error_page;
use super::session::{AdminSession, Form, Visitor, refuse};
use super::{log_in, set_up};
use crate::http::error::status_of;
use crate::service::audit::{self, Action};
use crate::service::overview::{self, Overview, Task};
use crate::service::{AdminError, ServiceError, set_up as setting_up};
use crate::surroundings::autostart::{self, Autostart};
use crate::tls::Origin;

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct OverviewPage {
    page: Page,
    overview: Overview,
    tasks: Vec<Shown>,
    chart: Chart,
    most: u64,
    messages: u64,
    now: UnixMillis,
    unread: Vec<Unread>,
    /// Older ones that are not shown.
    more: u64,
    /// The newest of them.
    until: i64,
    autostart_text: String,
    autostart_is_on: bool,
    autostart_switches: bool,
}

/// Something that weighs much and that this admin has not read, in words.
struct Unread {
    what: String,
    subject: String,
    who: String,
    /// Whether it was done in this admin's name, in another session.
    is_own: bool,
    /// When, as HTML.
    when: String,
}

/// How many of these are shown.
const MAX_UNREAD: u64 = 30;

/// A task in words.
struct Shown {
    text: String,
    link: &'static str,
    link_text: String,
    is_urgent: bool,
}

#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
    #[serde(default)]
    code: String,
}

/// `GET /admin`: the set-up while it is needed, then the log-in, then the overview.
pub(super) async fn show_or_log_in(visitor: Visitor, Query(next): Query<Next>) -> Response {
    match setting_up::is_needed(&visitor.pages.app).await {
        Ok(true) => return set_up::account_form(&visitor, &next.code, None),
        Ok(false) => {}
        Err(error) => return refuse(&visitor, StatusCode::SERVICE_UNAVAILABLE, error),
    }
    let session = match visitor.session().await {
        Ok(session) => session,
        Err(visitor) => return log_in::form(&visitor, setting_up::ACCOUNT, &next.next, None),
    };
    if !session.may_see_this() {
        return Redirect::to("/admin/account").into_response();
    }
    match session.staff.admin() {
        Some(admin) => show_overview(AdminSession { session, admin }).await,
        // A class lead's own page is the list of people.
        None => Redirect::to("/admin/participants").into_response(),
    }
}

async fn show_overview(session: AdminSession) -> Response {
    let page = session.page("overview");
    let app = &session.session.visitor.pages.app;
    let read = async {
        let begun_at = session.session.begun_at;
        let unread = audit::unread(app, &session.admin, begun_at, MAX_UNREAD).await?;
        Ok::<_, ServiceError>((overview::overview(app, &session.admin).await?, unread))
    };
    let (overview, unread) = match read.await {
        Ok(read) => read,
        Err(error) => return error_page(page, status_of(&error), &error),
    };
    let until = unread.first().map_or(0, |row| row.id);
    let more = session.session.unread.saturating_sub(unread.len() as u64);
    let unread = unread
        .into_iter()
        .map(|row| Unread {
            what: page.word("action", &row.action),
            is_own: row.account == session.admin.account(),
            subject: page.subject(&row.action, &row.subject),
            who: row.account,
            when: page.when(&row.at),
        })
        .collect();
    let mut tasks: Vec<Shown> = overview.tasks.iter().map(|task| shown(&page, task)).collect();
    tasks.extend(certificate_task(&session, &page));
    let most = overview.messages_per_hour.iter().copied().max().unwrap_or(0);
    let messages = overview.messages_per_hour.iter().sum();
    let nonce = page.nonce.clone();
    let now = app.clock.now();
    let chart = chart::of(&overview.messages_per_hour, now);
    let directory = app.store.directory().to_owned();
    let autostart = tokio::task::spawn_blocking(move || autostart::status(&directory)).await;
    let autostart = autostart.ok().and_then(Result::ok).unwrap_or(Autostart::Unavailable);
    let (word, switches) = match &autostart {
        Autostart::On { .. } => ("autostart.on", true),
        Autostart::Other { .. } => ("autostart.other", true),
        Autostart::Off => ("autostart.off", true),
        Autostart::Service => ("autostart.service", false),
        Autostart::Unavailable => ("autostart.unavailable", false),
    };
    let template = OverviewPage {
        overview,
        tasks,
        chart,
        most,
        messages,
        now,
        unread,
        more,
        until,
        autostart_text: page.t(word).to_owned(),
        autostart_is_on: matches!(autostart, Autostart::On { .. }),
        autostart_switches: switches,
        page,
    };
    show(StatusCode::OK, &nonce, &template)
}

#[derive(Deserialize)]
pub(super) struct ReadForm {
    until: i64,
}

/// Notes that an admin has read what weighs much.
pub(super) async fn note_read(Form(session, form): Form<ReadForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    match audit::note_read(app, &session.admin, form.until).await {
        Ok(()) => Redirect::to("/admin").into_response(),
        Err(error) => error_page(session.page("overview"), status_of(&error), &error),
    }
}

#[derive(Deserialize)]
pub(super) struct AutostartForm {
    on: u8,
}

/// Switches starting with the computer on or off, for the account that the server runs under.
pub(super) async fn switch_autostart(Form(session, form): Form<AutostartForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let (directory, on) = (app.store.directory().to_owned(), form.on == 1);
    let switched = async {
        let refused = |reason: String| ServiceError::from(AdminError::NoAutostart(reason));
        tokio::task::spawn_blocking(move || autostart::switch(&directory, on))
            .await
            .map_err(|error| refused(error.to_string()))?
            .map_err(|error| refused(error.to_string()))?;
        let action = if on { Action::AutostartOn } else { Action::AutostartOff };
        audit::note(app, session.admin.account(), action, "").await
    };
    match switched.await {
        Ok(()) => Redirect::to("/admin").into_response(),
        Err(error) => error_page(session.page("overview"), status_of(&error), &error),
    }
}

/// An own certificate that nobody renewed; the issued one renews itself.
fn certificate_task(session: &AdminSession, page: &Page) -> Option<Shown> {
    let pages = &session.session.visitor.pages;
    let in_force = pages.app.certificates.in_force().filter(|found| found.origin != Origin::Issued)?;
    let days = in_force.ends_at.0.saturating_sub(pages.app.clock.now().0) / 86_400_000;
    (days < 21).then(|| Shown {
        text: page.with("task.certificate-ends", days),
        link: "/admin/certificates",
        link_text: page.t("task.certificate-ends-link").to_owned(),
        is_urgent: true,
    })
}

fn shown(page: &Page, task: &Task) -> Shown {
    let (key, value, link) = match task {
        Task::DiskFull => ("disk-full", String::new(), "/admin/rules"),
        Task::ListenerFailed { address } => ("listener-failed", address.clone(), "/admin/listeners"),
        Task::BackupsFail { reason } => ("backups-fail", page.told(reason), "/admin/backup"),
        Task::CertificateFails { reason } => ("certificate-fails", page.told(reason), "/admin/certificates"),
        Task::ClockWrong => ("clock-wrong", String::new(), "/admin/help"),
        Task::ReportsOpen { count } => ("reports-open", count.to_string(), "/admin/reports"),
        Task::SmokeKeys { count } => ("smoke-keys", page.number(count), "/admin/participants#smoke"),
        Task::NeighbourBroken { name } => ("neighbour-broken", name.clone(), "/admin/neighbours"),
        Task::NeighbourAsks { name } => ("neighbour-asks", name.clone(), "/admin/neighbours"),
        Task::LogBroken { name } => ("log-broken", name.clone(), "/admin/neighbours"),
        Task::Disputed { participant } => ("disputed", participant.to_string(), "/admin/neighbours"),
        Task::NobodyThere => ("nobody-there", String::new(), "/admin/participants"),
        Task::Unregistered { count } => {
            ("unregistered", page.number(count), "/admin/participants?unregistered=1")
        }
    };
    Shown {
        text: page.word("task", key).replace("{0}", &value),
        link,
        link_text: page.word("task", &format!("{key}-link")),
        is_urgent: matches!(
            task,
            Task::DiskFull
                | Task::ListenerFailed { .. }
                | Task::BackupsFail { .. }
                | Task::CertificateFails { .. }
                | Task::ClockWrong
                | Task::NeighbourBroken { .. }
                | Task::LogBroken { .. }
                | Task::Disputed { .. }
        ),
    }
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

#[derive(Template)]
#[template(path = "admin/stopped.html")]
struct StoppedPage {
    page: Page,
}

/// Stops the server: what a second double-click leads to must be able to end what the first began.
pub(super) async fn stop(Form(session, Nothing {}): Form<Nothing>) -> Response {
    let app = &session.session.visitor.pages.app;
    let noted: Result<(), ServiceError> =
        audit::note(app, session.admin.account(), Action::ServerStopped, "").await;
    // Whoever wants it stopped gets it stopped.
    if let Err(error) = noted {
        tracing::warn!(%error, "stopping could not be noted in the log");
    }
    app.end();
    let page = session.page("stopped");
    let nonce = page.nonce.clone();
    show(StatusCode::OK, &nonce, &StoppedPage { page })
}
