//! Invite sheets: one card per person with QR code, link and name, eight on A4, with lines to cut along.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;

use super::page::{Page, show};
use super::refused::error_page;
use super::session::Session;
use crate::http::error::status_of;
use crate::service::people::{self, Card};
use crate::service::{AdminError, ServiceError};
use crate::store::{PeopleFilter, PersonId};

/// Most cards printed at once: 75 sheets of A4.
const MAX_CARDS: u64 = 600;

#[derive(Template)]
#[template(path = "admin/cards.html")]
struct CardsPage {
    page: Page,
    cards: Vec<ShownCard>,
    is_first: bool,
    fingerprint: String,
}

struct ShownCard {
    name: String,
    classes: String,
    link: String,
    until: String,
    qr: String,
}

/// A QR code as a picture that stands in the page itself.
pub(super) fn qr(text: &str) -> String {
    let code = QrCode::with_error_correction_level(text, EcLevel::M);
    // Only a text beyond three kilobytes has no code, and links are far shorter.
    code.map(|code| code.render::<svg::Color<'_>>().min_dimensions(180, 180).build())
        .map(|picture| picture.split_once("?>").map_or(picture.clone(), |(_, svg)| svg.to_owned()))
        .unwrap_or_default()
}

/// Keeps cards that were just made, and leads to the page that shows them: however often it is loaded, they hold.
pub(super) fn show_made(session: &Session, cards: Vec<Card>, is_first: bool) -> Response {
    let app = &session.visitor.pages.app;
    let name = app.printed.keep(session.staff.account(), cards, app.clock.elapsed());
    let first = if is_first { "?first=1" } else { "" };
    Redirect::to(&format!("/admin/cards/{name}{first}")).into_response()
}

#[derive(Deserialize)]
pub(super) struct CardsQuery {
    #[serde(default)]
    first: String,
}

/// Cards that were made before.
pub(super) async fn made(
    session: Session,
    Path(name): Path<String>,
    Query(query): Query<CardsQuery>,
) -> Response {
    let page = session.page("participants");
    let app = &session.visitor.pages.app;
    let Some(cards) = app.printed.find(&name, session.staff.account(), app.clock.elapsed()) else {
        return error_page(page, StatusCode::NOT_FOUND, &AdminError::CardsGone.into());
    };
    // Some milliseconds each: off the async threads.
    let drawn = tokio::task::spawn_blocking(move || {
        let draw = |card: &Card| (qr(&card.link), card.clone());
        cards.iter().map(draw).collect::<Vec<_>>()
    });
    let shown = |(qr, card): (String, Card)| ShownCard {
        name: card.name,
        classes: card.classes,
        link: card.link,
        until: page.day(&card.expires_at),
        qr,
    };
    let cards = drawn.await.unwrap_or_default().into_iter().map(shown).collect();
    let fingerprint = app.fingerprint.grouped();
    let nonce = page.nonce.clone();
    let template = CardsPage { page, cards, is_first: query.first == "1", fingerprint };
    show(StatusCode::OK, &nonce, &template)
}

#[derive(Template)]
#[template(path = "admin/cards_again.html")]
struct CardsAgainPage {
    page: Page,
    people: Vec<PersonId>,
    open: u64,
}

/// Makes cards, once it was said that earlier ones end if there are any.
pub(super) async fn print_for(
    session: &Session,
    people: Vec<PersonId>,
    again: bool,
) -> Result<Response, ServiceError> {
    let app = &session.visitor.pages.app;
    if !again {
        let open = people::open_cards(app, &session.staff, people.clone()).await?;
        if open > 0 {
            let page = session.page("participants");
            let nonce = page.nonce.clone();
            return Ok(show(StatusCode::OK, &nonce, &CardsAgainPage { page, people, open }));
        }
    }
    let cards = people::invite(app, &session.staff, people).await?;
    Ok(show_made(session, cards, false))
}

/// Prints cards for chosen people, or for everybody who has not registered of those that a search and a class show.
pub(super) async fn print_chosen(
    session: &Session,
    mut chosen: Vec<i64>,
    (search, class): (String, &str),
    again: bool,
) -> Response {
    let app = &session.visitor.pages.app;
    let people = async {
        if !chosen.is_empty() {
            chosen.sort_unstable();
            chosen.dedup();
            if chosen.len() as u64 > MAX_CARDS {
                return Err(AdminError::TooManyCards.into());
            }
            return Ok::<_, ServiceError>(chosen.into_iter().map(PersonId).collect());
        }
        let filter = PeopleFilter {
            search,
            class: class.parse().ok().filter(|class| *class != 0),
            unregistered: true,
            ..PeopleFilter::default()
        };
        let (rows, total) = people::list(app, &session.staff, filter, 0, MAX_CARDS).await?;
        if total > MAX_CARDS {
            return Err(AdminError::TooManyCards.into());
        }
        Ok(rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
    };
    let printed = async { print_for(session, people.await?, again).await };
    match printed.await {
        Ok(page) => page,
        Err(error) => error_page(session.page("participants"), status_of(&error), &error),
    }
}
