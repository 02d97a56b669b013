//! Neighbours: pairing with other servers, how they stand, and what may pass.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use strum::IntoEnumIterator;

use super::confirm::ConfirmedForm;
use super::page::{Page, show};
use super::refused::error_page;
use super::session::{AdminSession, Form};
use super::sheets;
use super::smoke::{self, Typed};
use crate::domain::role::Role;
use crate::http::error::status_of;
use crate::service::neighbours::contracts::{self, ContractChange};
use crate::service::neighbours::key_logs;
use crate::service::neighbours::nearby::{self, NearbyServer};
use crate::service::neighbours::pairing::{self, NewLink};
use crate::service::neighbours::{self, Neighbour, NeighbourState, Why};
use crate::service::second_home::taking_over;
use crate::service::{AdminError, ServiceError, classes};
use crate::store::{EVERYTHING, Shared};

#[derive(Template)]
#[template(path = "admin/neighbours.html")]
struct NeighboursPage {
    page: Page,
    words: String,
    fingerprint: String,
    neighbours: Vec<Row>,
    nearby: Option<Vec<NearbyServer>>,
    link: Option<ShownLink>,
    pasted: String,
    smoke: smoke::Neighbours,
}

struct ShownLink {
    link: String,
    until: String,
    qr: String,
}

struct Row {
    id: String,
    words: String,
    fingerprint: String,
    name: String,
    address: String,
    state: String,
    /// The class that colours the state.
    look: &'static str,
    is_well: bool,
    awaits_us: bool,
    is_nearby: bool,
    is_active: bool,
    why: String,
    since: String,
    next_try: String,
    waiting: String,
    log: String,
    log_broken: String,
    everybody: bool,
    hop_through: bool,
    second_home: bool,
    shared: String,
    may_take_over: bool,
    says_first: bool,
    is_closed: bool,
    roles: Vec<Choice>,
    classes: Vec<Choice>,
    per_minute: u32,
    queue_mib: u64,
}

struct Choice {
    value: String,
    name: String,
    chosen: bool,
}

fn row(page: &Page, neighbour: Neighbour, all_classes: &[(i64, String)]) -> Row {
    let time =
        |at: Option<momedo_protocol::time::UnixMillis>| at.map_or_else(String::new, |at| page.time(&at));
    let contract = neighbour.contract;
    let why = match &neighbour.why {
        _ if neighbour.state == NeighbourState::WrongIdentity => {
            page.t("neighbours.wrong-identity").to_owned()
        }
        Some(Why::Silent(detail)) => page.word("why", "silent").replace("{0}", detail),
        Some(why) => page.word("why", why.word()),
        None => String::new(),
    };
    let role = |role: Role| Choice {
        value: role.word().into(),
        name: page.word("role", role.word()),
        chosen: contract.roles.contains(&role),
    };
    let class = |(id, name): &(i64, String)| Choice {
        value: format!("#{id}"),
        name: name.clone(),
        chosen: contract.classes.contains(id),
    };
    Row {
        id: neighbour.id.to_string(),
        words: neighbour.words,
        fingerprint: neighbour.id.grouped(),
        name: neighbour.name,
        address: neighbour.address.unwrap_or_default(),
        look: match neighbour.state {
            NeighbourState::Connected => "active",
            NeighbourState::Unreachable | NeighbourState::WrongIdentity | NeighbourState::Blocked => {
                "disabled"
            }
            NeighbourState::WaitingForUs | NeighbourState::WaitingForThem | NeighbourState::Paused => "",
        },
        state: page.word("state", neighbour.state.word()),
        is_well: neighbour.state == NeighbourState::Connected,
        awaits_us: neighbour.state == NeighbourState::WaitingForUs,
        is_nearby: neighbour.nearby,
        is_active: !matches!(neighbour.state, NeighbourState::Paused | NeighbourState::Blocked),
        why,
        since: time(neighbour.since),
        next_try: time(neighbour.next_try),
        waiting: match neighbour.waiting + neighbour.passing {
            0 => String::new(),
            count => page.number(&count),
        },
        log: neighbour.log.as_ref().map_or_else(String::new, |log| {
            page.t("neighbours.log").replace("{0}", &page.number(&log.number)).replace("{1}", &log.hash)
        }),
        log_broken: time(neighbour.log.and_then(|log| log.broken_at)),
        everybody: contract.everybody,
        hop_through: contract.hop_through,
        second_home: contract.second_home,
        shared: match neighbour.shared {
            Shared { ours: 0, theirs: 0, .. } => String::new(),
            shared => page
                .t("neighbours.shared")
                .replace("{0}", &page.number(&shared.ours))
                .replace("{1}", &page.number(&shared.theirs)),
        },
        says_first: neighbour.says_first,
        may_take_over: neighbour.shared.theirs > 0 && neighbour.state != NeighbourState::Connected,
        is_closed: !contract.allows_anything(),
        roles: Role::iter().map(role).collect(),
        classes: all_classes.iter().map(class).collect(),
        per_minute: contract.per_minute,
        queue_mib: contract.queue_bytes / (1024 * 1024),
    }
}

/// What was typed into one of the page's forms, or made by one.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) link: Option<NewLink>,
    pub(super) pasted: String,
    pub(super) smoke: Typed,
}

pub(super) async fn list_with(
    session: &AdminSession,
    page: Page,
    shown: Shown,
    status: StatusCode,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let Shown { link, pasted, smoke } = shown;
    let found = async {
        let smoke = smoke::neighbours_section(app, &session.admin, &page, smoke).await?;
        let all = neighbours::list(app, &session.admin).await?;
        let classes = classes::list(app, &session.admin.staff(), String::new(), 0, EVERYTHING).await?.0;
        let nearby = nearby::list(app, &session.admin).await?;
        Ok::<_, ServiceError>((all, classes, nearby, smoke))
    };
    let (mut all, classes, nearby, smoke) = match found.await {
        Ok(found) => found,
        Err(error) => return error_page(page, status_of(&error), &error),
    };
    let classes: Vec<(i64, String)> = classes.into_iter().map(|class| (class.id, class.name)).collect();
    // What has to be decided stands first.
    all.sort_by_key(|neighbour| neighbour.state != NeighbourState::WaitingForUs);
    let neighbours = all.into_iter().map(|neighbour| row(&page, neighbour, &classes)).collect();
    let link = link.map(|new| ShownLink {
        until: page.day(&new.expires_at),
        qr: sheets::qr(&new.link),
        link: new.link,
    });
    let nonce = page.nonce.clone();
    let (words, fingerprint) = (app.fingerprint.words(), app.fingerprint.grouped());
    let shown = NeighboursPage { page, words, fingerprint, neighbours, nearby, link, pasted, smoke };
    show(status, &nonce, &shown)
}

pub(super) async fn list(session: AdminSession) -> Response {
    let page = session.page("neighbours");
    list_with(&session, page, Shown::default(), StatusCode::OK).await
}

#[derive(Deserialize)]
pub(super) struct ChangeForm {
    act: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    link: String,
}

pub(super) async fn change(Form(session, form): Form<ChangeForm>) -> Response {
    let (app, admin) = (&session.session.visitor.pages.app, &session.admin);
    let result = async {
        match form.act.as_str() {
            "invite" => return pairing::invite(app, admin).await.map(Some),
            "add" => drop(pairing::add(app, admin, &form.link).await?),
            "ask" => drop(nearby::ask(app, admin, &form.id).await?),
            act => {
                let id = neighbours::named(app, &form.id).await?;
                match act {
                    "confirm" => drop(pairing::confirm(app, admin, id).await?),
                    "pause" => drop(pairing::pause(app, admin, id).await?),
                    "resume" => drop(pairing::resume(app, admin, id).await?),
                    "block" => drop(pairing::block(app, admin, id).await?),
                    "remove" => pairing::remove(app, admin, id).await?,
                    // Whatever this page does not have.
                    _ => return Err(AdminError::ForeignForm.into()),
                }
            }
        }
        Ok::<_, ServiceError>(None)
    };
    match result.await {
        Ok(None) => Redirect::to("/admin/neighbours").into_response(),
        Ok(link) => {
            let page = session.page("neighbours");
            list_with(&session, page, Shown { link, ..Shown::default() }, StatusCode::OK).await
        }
        Err(error) => {
            let page = session.page("neighbours").fail(&error);
            let shown = Shown { pasted: form.link, ..Shown::default() };
            list_with(&session, page, shown, status_of(&error)).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ContractForm {
    id: String,
    #[serde(default)]
    everybody: String,
    #[serde(default)]
    hop_through: String,
    #[serde(default)]
    second_home: String,
    #[serde(default)]
    role: Vec<Role>,
    #[serde(default)]
    class: Vec<String>,
    per_minute: u32,
    queue_mib: u64,
}

pub(super) async fn allow(ConfirmedForm(session, admin, form): ConfirmedForm<ContractForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = async {
        let id = neighbours::named(app, &form.id).await?;
        let change = ContractChange {
            everybody: Some(form.everybody == "on"),
            roles: Some(form.role),
            classes: Some(form.class),
            hop_through: Some(form.hop_through == "on"),
            per_minute: Some(form.per_minute),
            queue_mib: Some(form.queue_mib),
            second_home: Some(form.second_home == "on"),
        };
        contracts::allow(app, &admin, Some(id), change).await.map(drop)
    };
    after(&session, result.await).await
}

/// The list again, after something was done or refused.
async fn after(session: &AdminSession, result: Result<(), ServiceError>) -> Response {
    match result {
        Ok(()) => Redirect::to("/admin/neighbours").into_response(),
        Err(error) => {
            let page = session.page("neighbours").fail(&error);
            list_with(session, page, Shown::default(), status_of(&error)).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct IdForm {
    id: String,
}

/// Becomes the first home of everybody this server stands in for at a lost neighbour's request.
pub(super) async fn take_over(ConfirmedForm(session, admin, form): ConfirmedForm<IdForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = async {
        let id = neighbours::named(app, &form.id).await?;
        taking_over::take_over(app, &admin, id).await.map(drop)
    };
    after(&session, result.await).await
}

/// Believes a neighbour that it took this server's participants over.
pub(super) async fn accept_take_over(ConfirmedForm(session, admin, form): ConfirmedForm<IdForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = async {
        let id = neighbours::named(app, &form.id).await?;
        taking_over::accept(app, &admin, id).await.map(drop)
    };
    after(&session, result.await).await
}

/// Lets a neighbour's log of key changes begin anew.
pub(super) async fn accept_log(ConfirmedForm(session, admin, form): ConfirmedForm<IdForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = async {
        let id = neighbours::named(app, &form.id).await?;
        key_logs::accept(app, &admin, id).await
    };
    after(&session, result.await).await
}
