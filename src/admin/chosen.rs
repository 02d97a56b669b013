//! What is done to several people at once, who were chosen in the list.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::confirm::ConfirmedForm;
use super::page::{Page, show};
use super::people;
use super::session::{Session, StaffForm};
use super::sheets;
use crate::service::classes;
use crate::service::people::{self as use_cases, Who};
use crate::service::permission::Admin;
use crate::service::{AdminError, ServiceError};
use crate::store::PersonId;

/// Most people that something is done to at once.
const MAX_CHOSEN: usize = 600;

#[derive(Deserialize)]
pub(super) struct ChosenForm {
    #[serde(default)]
    act: String,
    #[serde(default)]
    person: Vec<i64>,
    /// The class they go into.
    #[serde(default)]
    to: String,
    /// What the list showed, for cards of everybody in it.
    #[serde(default)]
    class: String,
    #[serde(default)]
    search: String,
    #[serde(default)]
    again: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/chosen_delete.html")]
struct DeletePage {
    page: Page,
    people: Vec<(PersonId, String)>,
}

/// Those who were chosen, each once.
fn chosen(mut people: Vec<i64>) -> Result<Vec<PersonId>, ServiceError> {
    people.sort_unstable();
    people.dedup();
    match people.len() {
        0 => Err(AdminError::NobodyChosen.into()),
        1..=MAX_CHOSEN => Ok(people.into_iter().map(PersonId).collect()),
        _ => Err(AdminError::TooManyChosen.into()),
    }
}

pub(super) async fn act(StaffForm(session, form): StaffForm<ChosenForm>) -> Response {
    if form.act.is_empty() || form.act == "print" {
        return sheets::print_chosen(&session, form.person, (form.search, &form.class), form.again.is_some())
            .await;
    }
    let done = async {
        let admin = session.staff.admin().ok_or(AdminError::AdminsOnly)?;
        let people = chosen(form.person)?;
        let many = people.len();
        let many = many as u64;
        match form.act.as_str() {
            "delete" => ask_to_delete(&session, people).await,
            "move" => {
                let class = format!("#{}", form.to);
                classes::move_people(&session.visitor.pages.app, &admin, class, people).await?;
                Ok(back(&format!("m{many}-0")))
            }
            "disable" => {
                let passed = set_enabled(&session, &admin, people, false).await?;
                Ok(back(&format!("d{}-{passed}", many - passed)))
            }
            "enable" => {
                let passed = set_enabled(&session, &admin, people, true).await?;
                Ok(back(&format!("e{}-{passed}", many - passed)))
            }
            _ => Err(AdminError::UnreadableRequest.into()),
        }
    };
    match done.await {
        Ok(response) => response,
        Err(error) => people::list_after(session, &error).await,
    }
}

fn back(done: &str) -> Response {
    Redirect::to(&format!("/admin/participants?done={done}")).into_response()
}

/// Locks out or lets in; how many were passed over because they have not registered.
async fn set_enabled(
    session: &Session,
    admin: &Admin,
    people: Vec<PersonId>,
    enabled: bool,
) -> Result<u64, ServiceError> {
    let mut passed = 0;
    for person in people {
        let set =
            use_cases::set_enabled(&session.visitor.pages.app, admin, Who::Person(person), enabled).await;
        match set {
            Ok(()) => {}
            // Not registered yet, or gone meanwhile.
            Err(ServiceError::Admin(AdminError::NotRegistered | AdminError::UnknownPerson)) => passed += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(passed)
}

async fn ask_to_delete(session: &Session, people: Vec<PersonId>) -> Result<Response, ServiceError> {
    let app = &session.visitor.pages.app;
    let mut named = Vec::with_capacity(people.len());
    for person in people {
        let details = use_cases::details(app, &session.staff, Who::Person(person)).await?;
        named.push((person, details.person.name));
    }
    let page = session.page("participants");
    let nonce = page.nonce.clone();
    Ok(show(StatusCode::OK, &nonce, &DeletePage { page, people: named }))
}

#[derive(Deserialize)]
pub(super) struct DeleteForm {
    #[serde(default)]
    person: Vec<i64>,
}

pub(super) async fn delete(ConfirmedForm(session, admin, form): ConfirmedForm<DeleteForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let done = async {
        let mut many = 0;
        for person in chosen(form.person)? {
            match use_cases::delete(app, &admin, Who::Person(person)).await {
                Ok(()) => many += 1,
                Err(ServiceError::Admin(AdminError::UnknownPerson)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok::<_, ServiceError>(many)
    };
    match done.await {
        Ok(many) => back(&format!("x{many}-0")),
        Err(error) => people::list_after(session.session, &error).await,
    }
}

/// What the list says after something was done: what `done` in its address stands for.
pub(super) fn notice(page: &Page, done: &str) -> Option<String> {
    let (act, numbers) = done.split_at_checked(1)?;
    let (many, passed) = numbers.split_once('-')?;
    let (many, passed): (u64, u64) = (many.parse().ok()?, passed.parse().ok()?);
    let key = match act {
        "m" => "chosen.moved",
        "d" => "chosen.disabled",
        "e" => "chosen.enabled",
        "x" => "chosen.deleted",
        _ => return None,
    };
    let mut text = page.with(key, page.number(&many));
    if passed > 0 {
        text = format!("{text} {}", page.with("chosen.passed-over", page.number(&passed)));
    }
    Some(text)
}
