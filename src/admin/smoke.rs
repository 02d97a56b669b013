//! The Smoke part of Participants, Ozones, Listeners and Neighbours: a section of each page, and its forms.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::time::UnixMillis;
use serde::Deserialize;

use super::confirm::ConfirmedForm;
use super::page::{Page, Paging, ROWS, show};
use super::refused::error_page;
use super::session::{AdminSession, Form};
use super::{listeners as listeners_page, lists, neighbours as neighbours_page, people};
use crate::http::error::status_of;
use crate::live::listening::ListenerState;
use crate::service::ServiceError;
use crate::service::audit::Action;
use crate::service::permission::Admin;
use crate::service::rules::{self, Rules};
use crate::service::smoke::listeners::DEFAULT_MAX_CLIENTS;
use crate::service::smoke::neighbours::{NeighbourChange, NeighbourKind, SmokeNeighbour};
use crate::service::smoke::{keys, listeners, neighbours, ozones, participants};
use crate::settings::names;
use crate::smoke_hub::LinkState;
use crate::state::App;
use crate::store::{SmokeOzoneRow, SmokeParticipantRow};

/// What stands in the fields of a form that was refused.
#[derive(Debug, Clone, Default)]
pub(super) struct Typed {
    pub(super) name: String,
    pub(super) value: String,
}

/// The section of Participants.
pub(super) struct Participants {
    pub(super) rows: Vec<ParticipantRow>,
    pub(super) total: u64,
    pub(super) typed: Typed,
    pub(super) may_share: bool,
    pub(super) is_fixed: bool,
}

/// A participant, ready to be printed.
pub(super) struct ParticipantRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) keys: &'static str,
    pub(super) refusal: String,
    pub(super) depth: u64,
    pub(super) bytes: u64,
    pub(super) seen_at: Option<UnixMillis>,
    pub(super) is_shared: bool,
    pub(super) accepts_unsigned: bool,
    pub(super) fingerprint: String,
}

impl From<SmokeParticipantRow> for ParticipantRow {
    fn from(row: SmokeParticipantRow) -> Self {
        let groups = |digest: [u8; 64]| digest.chunks(4).map(encode_hex).collect::<Vec<_>>().join(" ");
        Self {
            id: row.id.to_string(),
            name: row.name,
            keys: row.keys.map_or("none", |state| state.word()),
            refusal: row.refusal.unwrap_or_default(),
            depth: row.depth,
            bytes: row.bytes,
            seen_at: row.seen_at,
            is_shared: row.is_shared,
            accepts_unsigned: row.accepts_unsigned,
            fingerprint: row.encryption_digest.map(groups).unwrap_or_default(),
        }
    }
}

/// Reads the section of Participants: one page of those whose name or ID has `search` in it.
pub(super) async fn participants_section(
    app: &App,
    admin: &Admin,
    search: &str,
    page: u64,
    typed: Typed,
) -> Result<Participants, ServiceError> {
    let (rows, total) = participants::list(app, admin, search.to_owned(), (page - 1) * ROWS, ROWS).await?;
    Ok(Participants {
        rows: rows.into_iter().map(ParticipantRow::from).collect(),
        total,
        typed,
        may_share: app.config().smoke.share_ids,
        is_fixed: app.file_config().is_fixed(names::smoke::share_ids),
    })
}

#[derive(Template)]
#[template(path = "admin/smoke_people.html")]
struct PeoplePage {
    page: Page,
    smoke: Participants,
    paging: Paging,
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    search: String,
    #[serde(default)]
    page: String,
}

/// Everybody with the Smoke app, page by page.
pub(super) async fn all_participants(session: AdminSession, Query(query): Query<ListQuery>) -> Response {
    let page = session.page("participants");
    let app = &session.session.visitor.pages.app;
    let number: u64 = query.page.parse().unwrap_or(1).clamp(1, 1_000_000);
    match participants_section(app, &session.admin, &query.search, number, Typed::default()).await {
        Ok(smoke) => {
            let paging = Paging::new(query.search, number, smoke.total, String::new());
            let nonce = page.nonce.clone();
            show(StatusCode::OK, &nonce, &PeoplePage { page, smoke, paging })
        }
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

#[derive(Deserialize, Default)]
pub(super) struct ParticipantForm {
    #[serde(default)]
    act: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    allowed: String,
}

/// Adds a participant.
pub(super) async fn add_participant(Form(session, form): Form<ParticipantForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    match participants::add(app, &session.admin, &form.id, &form.name).await {
        Ok(_) => Redirect::to("/admin/participants#smoke").into_response(),
        Err(error) => {
            let typed = Typed { name: form.name, value: form.id };
            people::list_with_smoke(session.session, &error, typed).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct AllowedForm {
    #[serde(default)]
    allowed: String,
}

/// Says whether clients may register IDs.
pub(super) async fn change_sharing(
    ConfirmedForm(session, admin, form): ConfirmedForm<AllowedForm>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let rules = Rules { smoke_share_ids: Some(form.allowed == "1"), ..Rules::default() };
    match rules::change(app, &admin, rules).await {
        Ok(()) => Redirect::to("/admin/participants#smoke").into_response(),
        Err(error) => people::list_with_smoke(session.session, &error, Typed::default()).await,
    }
}

#[derive(Template)]
#[template(path = "admin/smoke_person.html")]
struct PersonPage {
    page: Page,
    one: ParticipantRow,
}

async fn person_page(session: &AdminSession, page: Page, id: &str, status: StatusCode) -> Response {
    let app = &session.session.visitor.pages.app;
    let read = async {
        let id = participants::parse_id(id)?;
        let (rows, _) = participants::list(app, &session.admin, id.to_string(), 0, 1).await?;
        rows.into_iter().next().ok_or_else(|| crate::service::smoke::SmokeError::UnknownParticipant.into())
    };
    match read.await {
        Ok(row) => {
            let nonce = page.nonce.clone();
            show(status, &nonce, &PersonPage { page, one: row.into() })
        }
        Err(error) => error_page(page, StatusCode::NOT_FOUND, &error),
    }
}

/// One participant.
pub(super) async fn participant(session: AdminSession, Path(id): Path<String>) -> Response {
    let page = session.page("participants");
    person_page(&session, page, &id, StatusCode::OK).await
}

/// Changes one participant.
pub(super) async fn change_participant(
    Path(id): Path<String>,
    Form(session, form): Form<ParticipantForm>,
) -> Response {
    let (app, admin) = (&session.session.visitor.pages.app, &session.admin);
    let change = async {
        let id = participants::parse_id(&id)?;
        match form.act.as_str() {
            "rename" => participants::change(app, admin, id, Some(form.name.trim().to_owned()), None).await,
            "unsigned" => participants::change(app, admin, id, None, Some(form.allowed == "1")).await,
            _ => participants::remove(app, admin, id).await,
        }
    };
    match change.await {
        Ok(()) if form.act == "remove" => Redirect::to("/admin/participants#smoke").into_response(),
        Ok(()) => Redirect::to(&format!("/admin/smoke/participants/{id}")).into_response(),
        Err(error) => {
            let page = session.page("participants").fail(&error);
            person_page(&session, page, &id, status_of(&error)).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct KeysForm {
    #[serde(default)]
    act: String,
}

/// Binds the keys that wait, or forgets those there are.
pub(super) async fn change_keys(
    Path(id): Path<String>,
    ConfirmedForm(session, admin, form): ConfirmedForm<KeysForm>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let change = async {
        let id = participants::parse_id(&id)?;
        match form.act.as_str() {
            "approve" => keys::approve(app, &admin, id).await,
            _ => keys::forget(app, &admin, id).await,
        }
    };
    match change.await {
        Ok(()) => Redirect::to(&format!("/admin/smoke/participants/{id}")).into_response(),
        Err(error) => {
            let page = session.page("participants").fail(&error);
            person_page(&session, page, &id, status_of(&error)).await
        }
    }
}

/// The section of Ozones.
pub(super) struct Ozones {
    pub(super) rows: Vec<SmokeOzoneRow>,
    pub(super) typed: Typed,
}

pub(super) async fn ozones_section(app: &App, admin: &Admin, typed: Typed) -> Result<Ozones, ServiceError> {
    Ok(Ozones { rows: ozones::list(app, admin).await?, typed })
}

#[derive(Deserialize)]
pub(super) struct OzoneForm {
    act: String,
    #[serde(default)]
    ozone: String,
}

/// Adds or removes an ozone.
pub(super) async fn change_ozones(Form(session, form): Form<OzoneForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let done = match form.act.as_str() {
        "add" => ozones::add(app, &session.admin, &form.ozone).await.map(drop),
        _ => ozones::remove(app, &session.admin, &form.ozone).await,
    };
    match done {
        Ok(()) => Redirect::to("/admin/ozones#smoke").into_response(),
        Err(error) => {
            let page = session.page("ozones").fail(&error);
            let typed = Typed { value: form.ozone, ..Typed::default() };
            lists::ozones_with(&session, page, Default::default(), typed, status_of(&error)).await
        }
    }
}

/// The section of Listeners.
pub(super) struct Listeners {
    pub(super) rows: Vec<ListenerRow>,
    pub(super) typed: Typed,
    pub(super) shared_port: bool,
    pub(super) is_fixed: bool,
    pub(super) default_max_clients: u64,
    pub(super) connected: u64,
}

/// A listener, ready to be printed.
pub(super) struct ListenerRow {
    pub(super) address: String,
    pub(super) is_private: bool,
    pub(super) max_clients: u64,
    pub(super) is_running: bool,
    pub(super) state: String,
    pub(super) reason: String,
}

pub(super) async fn listeners_section(
    app: &App,
    admin: &Admin,
    page: &Page,
    typed: Typed,
) -> Result<Listeners, ServiceError> {
    let row = |one: listeners::SmokeListener| {
        let (word, reason) = match one.state {
            ListenerState::Running => ("running", String::new()),
            ListenerState::Stopped => ("stopped", String::new()),
            ListenerState::Failed(reason) => ("failed", page.told(&reason)),
        };
        ListenerRow {
            address: one.address,
            is_private: one.private,
            max_clients: one.max_clients,
            is_running: word == "running",
            state: page.word("state", word),
            reason,
        }
    };
    Ok(Listeners {
        rows: listeners::list(app, admin).await?.into_iter().map(row).collect(),
        typed,
        shared_port: app.config().smoke.shared_port,
        is_fixed: app.file_config().is_fixed(names::smoke::shared_port),
        default_max_clients: DEFAULT_MAX_CLIENTS,
        connected: app.smoke.count().0 as u64,
    })
}

#[derive(Deserialize)]
pub(super) struct ListenerForm {
    act: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    private: String,
    #[serde(default)]
    max_clients: String,
}

/// Says whether Smoke clients may use everybody's listeners.
pub(super) async fn change_shared_port(
    ConfirmedForm(session, admin, form): ConfirmedForm<AllowedForm>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let rules = Rules { smoke_shared_port: Some(form.allowed == "1"), ..Rules::default() };
    match rules::change(app, &admin, rules).await {
        Ok(()) => Redirect::to("/admin/listeners#smoke").into_response(),
        Err(error) => {
            let page = session.page("listeners").fail(&error);
            listeners_page::list_with(&session, page, String::new(), Typed::default(), status_of(&error))
                .await
        }
    }
}

/// Adds or changes a listener.
pub(super) async fn change_listeners(Form(session, form): Form<ListenerForm>) -> Response {
    let (app, admin) = (&session.session.visitor.pages.app, &session.admin);
    let done = match form.act.as_str() {
        "add" => {
            let max_clients = form.max_clients.trim().parse().unwrap_or(0);
            listeners::add(app, admin, &form.address, form.private == "1", max_clients).await.map(drop)
        }
        "start" => listeners::change(app, admin, &form.address, Action::ListenerStarted).await,
        "stop" => listeners::change(app, admin, &form.address, Action::ListenerStopped).await,
        _ => listeners::change(app, admin, &form.address, Action::ListenerRemoved).await,
    };
    match done {
        Ok(()) => Redirect::to("/admin/listeners#smoke").into_response(),
        Err(error) => {
            let page = session.page("listeners").fail(&error);
            let typed = Typed { value: form.address, ..Typed::default() };
            listeners_page::list_with(&session, page, String::new(), typed, status_of(&error)).await
        }
    }
}

/// The section of Neighbours.
pub(super) struct Neighbours {
    pub(super) rows: Vec<NeighbourRow>,
    pub(super) typed: Typed,
}

/// A neighbour, ready to be printed.
pub(super) struct NeighbourRow {
    pub(super) address: String,
    pub(super) kind: String,
    pub(super) is_enabled: bool,
    pub(super) has_changed: bool,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) fingerprint: String,
}

pub(super) async fn neighbours_section(
    app: &App,
    admin: &Admin,
    page: &Page,
    typed: Typed,
) -> Result<Neighbours, ServiceError> {
    let row = |one: SmokeNeighbour| {
        let (word, reason) = match &one.link {
            None => ("stopped", String::new()),
            Some(LinkState::Connecting) => ("connecting", String::new()),
            Some(LinkState::Connected) => ("connected", String::new()),
            Some(LinkState::CertificateChanged) => ("certificate-changed", String::new()),
            Some(LinkState::Failed(reason)) => ("failed", page.told(reason)),
        };
        NeighbourRow {
            has_changed: one.link == Some(LinkState::CertificateChanged),
            address: one.row.address,
            kind: page.word("smoke-kind", &one.row.kind),
            is_enabled: one.row.is_enabled,
            state: page.word("smoke-link", word),
            reason,
            fingerprint: one.fingerprint.map(|found| found.grouped()).unwrap_or_default(),
        }
    };
    Ok(Neighbours { rows: neighbours::list(app, admin).await?.into_iter().map(row).collect(), typed })
}

#[derive(Deserialize)]
pub(super) struct NeighbourForm {
    act: String,
    address: String,
    #[serde(default)]
    kind: String,
}

/// Adds or changes a neighbour.
pub(super) async fn change_neighbours(Form(session, form): Form<NeighbourForm>) -> Response {
    let (app, admin) = (&session.session.visitor.pages.app, &session.admin);
    let change = match form.act.as_str() {
        "add" => None,
        "start" => Some(NeighbourChange::Start),
        "stop" => Some(NeighbourChange::Stop),
        _ => Some(NeighbourChange::Remove),
    };
    let done = match change {
        None => neighbours::add(app, admin, &form.address, NeighbourKind::of(&form.kind)).await,
        Some(change) => neighbours::change(app, admin, &form.address, change).await,
    };
    after_neighbour(&session, done, form.address).await
}

async fn after_neighbour(
    session: &AdminSession,
    done: Result<(), ServiceError>,
    address: String,
) -> Response {
    match done {
        Ok(()) => Redirect::to("/admin/neighbours#smoke").into_response(),
        Err(error) => {
            let page = session.page("neighbours").fail(&error);
            let typed = Typed { value: address, ..Typed::default() };
            let shown = neighbours_page::Shown { smoke: typed, ..Default::default() };
            neighbours_page::list_with(session, page, shown, status_of(&error)).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct AddressForm {
    address: String,
}

/// Takes whatever certificate a neighbour shows next.
pub(super) async fn forget_certificate(
    ConfirmedForm(session, admin, form): ConfirmedForm<AddressForm>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let done = neighbours::forget_certificate(app, &admin, &form.address).await;
    after_neighbour(&session, done, form.address).await
}
