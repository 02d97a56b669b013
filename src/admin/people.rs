//! People: the list, and one person with devices, keys and everything an admin may do about them.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use strum::IntoEnumIterator;

use super::chosen;
use super::confirm::ConfirmedForm;
use super::page::{Notice, Page, Paging, ROWS, show};
use super::refused::error_page;
use super::session::{AdminSession, Form, Session, StaffForm};
use super::sheets;
use super::smoke::{self, Typed};
use crate::domain::role::Role;
use crate::http::error::status_of;
use crate::http::export;
use crate::http::me::download;
use crate::live::exports::AskedBy;
use crate::service::classes::{self, Class};
use crate::service::import;
use crate::service::people::{self, DeletionPreview, Details, Who};
use crate::service::personal;
use crate::service::{AdminError, ServiceError};
use crate::store::{EVERYTHING, ImportRow, ParticipantState, PeopleFilter, PersonId, PersonRow};

#[derive(Template)]
#[template(path = "admin/people.html")]
struct PeoplePage {
    page: Page,
    people: Vec<Row>,
    paging: Paging,
    classes: Vec<Class>,
    class: i64,
    unregistered: bool,
    imports: Vec<ImportRow>,
    name: String,
    is_filtered: bool,
    /// For admins.
    smoke: Option<smoke::Participants>,
}

/// A person, ready to be printed.
struct Row {
    number: i64,
    name: String,
    id: String,
    classes: String,
    role: String,
    state: String,
    state_word: &'static str,
    devices: u64,
}

fn state_word(person: &PersonRow) -> &'static str {
    match (person.state, person.invited_until) {
        (Some(ParticipantState::Active), _) => "active",
        (Some(_), _) => "disabled",
        (None, Some(_)) => "invited",
        (None, None) => "added",
    }
}

fn row(page: &Page, person: PersonRow) -> Row {
    let state_word = state_word(&person);
    Row {
        number: person.id.0,
        id: person.participant.map(|id| id.to_string()).unwrap_or_default(),
        role: page.word("role", person.role.word()),
        state: page.word("state", state_word),
        state_word,
        name: person.name,
        classes: person.classes,
        devices: person.devices,
    }
}

#[derive(Deserialize, Default)]
pub(super) struct ListQuery {
    #[serde(default)]
    search: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    unregistered: String,
    #[serde(default)]
    page: String,
    /// What was just done to several people.
    #[serde(default)]
    done: String,
}

pub(super) async fn list(session: Session, Query(query): Query<ListQuery>) -> Response {
    let done = chosen::notice(&session.page("participants"), &query.done);
    let notice = done.map(|text| (Notice { text, is_error: false }, StatusCode::OK));
    list_with(session, query, notice, String::new(), Typed::default()).await
}

/// The list again, after something about those chosen was refused.
pub(super) async fn list_after(session: Session, error: &ServiceError) -> Response {
    let text = session.page("participants").refusal(error);
    let notice = (Notice { text, is_error: true }, status_of(error));
    list_with(session, ListQuery::default(), Some(notice), String::new(), Typed::default()).await
}

/// The list again, after something about Smoke was refused.
pub(super) async fn list_with_smoke(session: Session, error: &ServiceError, typed: Typed) -> Response {
    let text = session.page("participants").refusal(error);
    let notice = (Notice { text, is_error: true }, status_of(error));
    list_with(session, ListQuery::default(), Some(notice), String::new(), typed).await
}

async fn list_with(
    session: Session,
    query: ListQuery,
    notice: Option<(Notice, StatusCode)>,
    name: String,
    typed: Typed,
) -> Response {
    let mut page = session.page("participants");
    let app = &session.visitor.pages.app;
    let class = query.class.parse().unwrap_or(0);
    let unregistered = query.unregistered == "1";
    let number: u64 = query.page.parse().unwrap_or(1).clamp(1, 1_000_000);
    let filter = PeopleFilter {
        search: query.search.clone(),
        class: Some(class).filter(|class| *class != 0),
        unregistered,
        ..PeopleFilter::default()
    };
    let read = async {
        let found = people::list(app, &session.staff, filter, (number - 1) * ROWS, ROWS).await?;
        let (classes, _) = classes::list(app, &session.staff, String::new(), 0, EVERYTHING).await?;
        let imports = match session.staff.admin() {
            Some(admin) => import::recent(app, &admin).await?,
            None => Vec::new(),
        };
        let smoke = match session.staff.admin() {
            Some(admin) => Some(smoke::participants_section(app, &admin, &query.search, 1, typed).await?),
            None => None,
        };
        Ok::<_, ServiceError>((found, classes, imports, smoke))
    };
    let ((rows, total), classes, imports, smoke) = match read.await {
        Ok(read) => read,
        Err(error) => return error_page(page, status_of(&error), &error),
    };
    let mut status = StatusCode::OK;
    if let Some((notice, code)) = notice {
        page.notice = Some(notice);
        status = code;
    }
    let rest = format!("&class={class}&unregistered={}", u8::from(unregistered));
    let people = rows.into_iter().map(|person| row(&page, person)).collect();
    let is_filtered = !query.search.is_empty() || class != 0 || unregistered;
    let paging = Paging::new(query.search, number, total, rest);
    let nonce = page.nonce.clone();
    let template =
        PeoplePage { page, people, paging, classes, class, unregistered, imports, name, is_filtered, smoke };
    show(status, &nonce, &template)
}

#[derive(Deserialize)]
pub(super) struct NewPersonForm {
    name: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    role: String,
}

pub(super) async fn add(Form(session, form): Form<NewPersonForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let class = form.class.parse().ok().filter(|class: &i64| *class != 0);
    let role: Role = form.role.parse().unwrap_or_default();
    let add = async {
        let person = people::add(app, &session.admin, form.name.clone(), role, class, None).await?;
        people::invite(app, &session.session.staff, vec![person]).await
    };
    match add.await {
        Ok(cards) => sheets::show_made(&session.session, cards, false),
        Err(error) => {
            let text = session.page("participants").refusal(&error);
            let notice = (Notice { text, is_error: true }, status_of(&error));
            list_with(session.session, ListQuery::default(), Some(notice), form.name, Typed::default()).await
        }
    }
}

#[derive(Template)]
#[template(path = "admin/person.html")]
struct PersonPage {
    page: Page,
    details: Details,
    row: Row,
    classes: Vec<Class>,
    roles: Vec<(&'static str, String, bool)>,
}

impl PersonPage {
    fn has_other_classes(&self) -> bool {
        self.classes.iter().any(|class| !self.is_member(&class.id))
    }

    fn is_member(&self, class: &i64) -> bool {
        self.details.classes.contains(class)
    }
}

async fn one(session: &Session, number: i64, notice: Option<Result<String, ServiceError>>) -> Response {
    let mut page = session.page("participants");
    let app = &session.visitor.pages.app;
    let read = async {
        let details = people::details(app, &session.staff, Who::Person(PersonId(number))).await?;
        let (classes, _) = classes::list(app, &session.staff, String::new(), 0, EVERYTHING).await?;
        Ok::<_, ServiceError>((details, classes))
    };
    let (details, classes) = match read.await {
        Ok(read) => read,
        Err(error) => {
            let status = match &error {
                ServiceError::Admin(AdminError::UnknownPerson) => StatusCode::NOT_FOUND,
                other => status_of(other),
            };
            return error_page(page, status, &error);
        }
    };
    let mut status = StatusCode::OK;
    match notice {
        None => {}
        Some(Ok(text)) => page = page.done(text),
        Some(Err(error)) => {
            status = status_of(&error);
            page = page.fail(&error);
        }
    }
    let roles = Role::iter()
        .map(|role| (role.word(), page.word("role", role.word()), role == details.person.role))
        .collect();
    let row = row(&page, details.person.clone());
    let nonce = page.nonce.clone();
    show(status, &nonce, &PersonPage { page, details, row, classes, roles })
}

pub(super) async fn show_one(session: Session, Path(number): Path<i64>) -> Response {
    one(&session, number, None).await
}

/// Shows the person again, after something was done or refused.
async fn after(session: &AdminSession, number: i64, result: Result<(), ServiceError>, key: &str) -> Response {
    let text = session.page("participants").t(key).to_owned();
    one(&session.session, number, Some(result.map(|()| text))).await
}

fn who(number: i64) -> Who {
    Who::Person(PersonId(number))
}

#[derive(Deserialize)]
pub(super) struct NameForm {
    name: String,
}

pub(super) async fn rename(Path(number): Path<i64>, Form(session, form): Form<NameForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = people::rename(app, &session.admin, who(number), form.name).await;
    let key = "person.renamed";
    after(&session, number, result, key).await
}

#[derive(Deserialize)]
pub(super) struct RoleForm {
    role: String,
}

pub(super) async fn set_role(Path(number): Path<i64>, Form(session, form): Form<RoleForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let role: Role = form.role.parse().unwrap_or_default();
    let result = people::set_role(app, &session.admin, who(number), role).await;
    let key = "person.role-set";
    after(&session, number, result, key).await
}

#[derive(Deserialize)]
pub(super) struct EnabledForm {
    enabled: String,
}

pub(super) async fn set_enabled(Path(number): Path<i64>, Form(session, form): Form<EnabledForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let enabled = form.enabled == "1";
    let result = people::set_enabled(app, &session.admin, who(number), enabled).await;
    let key = if enabled { "person.enabled" } else { "person.disabled" };
    after(&session, number, result, key).await
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn invite(
    Path(number): Path<i64>,
    StaffForm(session, Nothing {}): StaffForm<Nothing>,
) -> Response {
    match sheets::print_for(&session, vec![PersonId(number)], false).await {
        Ok(page) => page,
        Err(error) => one(&session, number, Some(Err(error))).await,
    }
}

pub(super) async fn reset_keys(
    Path(number): Path<i64>,
    ConfirmedForm(session, admin, Nothing {}): ConfirmedForm<Nothing>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = people::reset_keys(app, &admin, who(number)).await;
    let key = "person.keys-reset";
    after(&session, number, result, key).await
}

#[derive(Deserialize)]
pub(super) struct DeviceForm {
    device: String,
}

pub(super) async fn revoke_device(
    Path(number): Path<i64>,
    Form(session, form): Form<DeviceForm>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = match form.device.parse() {
        Ok(device) => people::revoke_device(app, &session.admin, who(number), device).await,
        Err(_) => Err(AdminError::UnknownDevice.into()),
    };
    let key = "person.device-revoked";
    after(&session, number, result, key).await
}

#[derive(Deserialize)]
pub(super) struct ClassForm {
    class: String,
    act: String,
}

/// Moves somebody into a class, adds one, or takes one away; and says where they are now.
pub(super) async fn set_class(Path(number): Path<i64>, Form(session, form): Form<ClassForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let class = format!("#{}", form.class);
    let changed = async {
        match form.act.as_str() {
            "move" => classes::move_people(app, &session.admin, class, vec![PersonId(number)]).await?,
            act => classes::set_membership(app, &session.admin, class, who(number), act == "join").await?,
        }
        people::details(app, &session.session.staff, who(number)).await
    };
    let page = session.page("participants");
    let notice = changed.await.map(|details| match details.person.classes.as_str() {
        "" => page.t("person.in-no-class").to_owned(),
        classes => page.with("person.now-in", classes),
    });
    one(&session.session, number, Some(notice)).await
}

/// Everything about a person as a file; that it was asked for stands in the log.
pub(super) async fn export(
    Path(number): Path<i64>,
    ConfirmedForm(session, admin, Nothing {}): ConfirmedForm<Nothing>,
) -> Response {
    let page = session.page("participants");
    let app = &session.session.visitor.pages.app;
    let started = async {
        let subject = personal::of(app, &admin, who(number)).await?;
        export::start(app, AskedBy::Admin, subject, page.language).await
    };
    match started.await {
        Ok(export) => download(export),
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

#[derive(Template)]
#[template(path = "admin/person_delete.html")]
struct DeletePage {
    page: Page,
    row: Row,
    preview: DeletionPreview,
    /// What is held, in words, and how many rows.
    held: Vec<(&'static str, u64)>,
}

pub(super) async fn preview_deletion(session: AdminSession, Path(number): Path<i64>) -> Response {
    let page = session.page("participants");
    let app = &session.session.visitor.pages.app;
    let read = async {
        let details = people::details(app, &session.session.staff, who(number)).await?;
        let preview = people::preview_deletion(app, &session.admin, who(number)).await?;
        Ok::<_, ServiceError>((details, preview))
    };
    match read.await {
        Ok((details, preview)) => {
            let row = row(&page, details.person);
            let nonce = page.nonce.clone();
            let held = preview.held.iter();
            let held = held.map(|held| (export::words::of(held.table, page.language).0, held.rows)).collect();
            show(StatusCode::OK, &nonce, &DeletePage { page, row, preview, held })
        }
        Err(error) => error_page(page, StatusCode::NOT_FOUND, &error),
    }
}

pub(super) async fn delete(
    Path(number): Path<i64>,
    ConfirmedForm(session, admin, Nothing {}): ConfirmedForm<Nothing>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    match people::delete(app, &admin, who(number)).await {
        Ok(()) => Redirect::to("/admin/participants").into_response(),
        Err(error) => error_page(session.page("participants"), status_of(&error), &error),
    }
}
