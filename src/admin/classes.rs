//! Classes and teams: the list, and one of them with its people.

use std::collections::HashSet;

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::page::{Page, Paging, ROWS, show};
use super::refused::error_page;
use super::session::{AdminSession, Form, Session};
use crate::http::error::status_of;
use crate::service::ServiceError;
use crate::service::classes::{self, Class};
use crate::service::people::{self, Who};
use crate::store::{EVERYTHING, PeopleFilter, PersonId, PersonRow};

/// People offered for a class at once; how many more there are is said.
const FOUND: u64 = 50;

#[derive(Template)]
#[template(path = "admin/classes.html")]
struct ClassesPage {
    page: Page,
    classes: Vec<Class>,
    paging: Paging,
    name: String,
}

#[derive(Template)]
#[template(path = "admin/class.html")]
struct ClassPage {
    page: Page,
    class: Class,
    members: Vec<PersonRow>,
    others: Vec<PersonRow>,
    /// Found, and not shown.
    more: u64,
    search: String,
}

impl ClassPage {
    fn id_of(&self, person: &PersonRow) -> String {
        person.participant.map(|id| id.to_string()).unwrap_or_default()
    }
}

#[derive(Deserialize, Default)]
pub(super) struct ListQuery {
    #[serde(default)]
    search: String,
    #[serde(default)]
    page: String,
}

pub(super) async fn list(session: Session, Query(query): Query<ListQuery>) -> Response {
    let page = session.page("classes");
    list_with(&session, page, query, String::new()).await
}

async fn list_with(session: &Session, page: Page, query: ListQuery, name: String) -> Response {
    let number: u64 = query.page.parse().unwrap_or(1).clamp(1, 1_000_000);
    let app = &session.visitor.pages.app;
    match classes::list(app, &session.staff, query.search.clone(), (number - 1) * ROWS, ROWS).await {
        Ok((classes, total)) => {
            let paging = Paging::new(query.search, number, total, String::new());
            let status = match &page.notice {
                Some(notice) if notice.is_error => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::OK,
            };
            let nonce = page.nonce.clone();
            show(status, &nonce, &ClassesPage { page, classes, paging, name })
        }
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

#[derive(Deserialize)]
pub(super) struct NameForm {
    name: String,
}

pub(super) async fn add(Form(session, form): Form<NameForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    match classes::add(app, &session.admin, form.name.clone()).await {
        Ok(number) => Redirect::to(&format!("/admin/classes/{number}")).into_response(),
        Err(error) => {
            let page = session.page("classes").fail(&error);
            list_with(&session.session, page, ListQuery::default(), form.name).await
        }
    }
}

pub(super) async fn show_one(
    session: Session,
    Path(number): Path<i64>,
    Query(query): Query<ListQuery>,
) -> Response {
    let page = session.page("classes");
    one(&session, page, number, query.search).await
}

async fn one(session: &Session, page: Page, number: i64, search: String) -> Response {
    let app = &session.visitor.pages.app;
    let read = async {
        let class = classes::one(app, &session.staff, number).await?;
        let filter = PeopleFilter { class: Some(number), ..PeopleFilter::default() };
        let (members, _) = people::list(app, &session.staff, filter, 0, EVERYTHING).await?;
        let (mut others, mut more) = (Vec::new(), 0);
        if !search.trim().is_empty() {
            let filter = PeopleFilter { search: search.clone(), ..PeopleFilter::default() };
            let (found, total) = people::list(app, &session.staff, filter, 0, FOUND).await?;
            more = total - found.len() as u64;
            let inside: HashSet<PersonId> = members.iter().map(|member| member.id).collect();
            others = found.into_iter().filter(|row| !inside.contains(&row.id)).collect();
        }
        Ok::<_, ServiceError>((class, members, others, more))
    };
    match read.await {
        Ok((class, members, others, more)) => {
            let nonce = page.nonce.clone();
            show(StatusCode::OK, &nonce, &ClassPage { page, class, members, others, more, search })
        }
        Err(error) => error_page(page, StatusCode::NOT_FOUND, &error),
    }
}

/// Shows the class again, after something was done or refused.
async fn after(session: &AdminSession, number: i64, result: Result<(), ServiceError>) -> Response {
    match result {
        Ok(()) => Redirect::to(&format!("/admin/classes/{number}")).into_response(),
        Err(error) => {
            let page = session.page("classes").fail(&error);
            one(&session.session, page, number, String::new()).await
        }
    }
}

pub(super) async fn rename(Path(number): Path<i64>, Form(session, form): Form<NameForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let result = classes::rename(app, &session.admin, format!("#{number}"), form.name).await;
    after(&session, number, result).await
}

#[derive(Deserialize)]
pub(super) struct PersonForm {
    person: i64,
}

pub(super) async fn add_person(Path(number): Path<i64>, Form(session, form): Form<PersonForm>) -> Response {
    set_membership(&session, number, form.person, true).await
}

pub(super) async fn remove_person(
    Path(number): Path<i64>,
    Form(session, form): Form<PersonForm>,
) -> Response {
    set_membership(&session, number, form.person, false).await
}

async fn set_membership(session: &AdminSession, number: i64, person: i64, is_member: bool) -> Response {
    let app = &session.session.visitor.pages.app;
    let who = Who::Person(PersonId(person));
    let result = classes::set_membership(app, &session.admin, format!("#{number}"), who, is_member).await;
    after(session, number, result).await
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn delete(Path(number): Path<i64>, Form(session, Nothing {}): Form<Nothing>) -> Response {
    let app = &session.session.visitor.pages.app;
    match classes::delete(app, &session.admin, format!("#{number}")).await {
        Ok(()) => Redirect::to("/admin/classes").into_response(),
        Err(error) => error_page(session.page("classes"), status_of(&error), &error),
    }
}
