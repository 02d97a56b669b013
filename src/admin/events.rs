//! What pages hear while they are open, as server-sent events: live numbers, and that neighbours changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::session::AdminSession;
use crate::service::overview;

/// How often they are sent.
const PERIOD: Duration = Duration::from_secs(5);

/// How long changes are gathered before they are told.
const SETTLING: Duration = Duration::from_millis(200);

/// How long one stream lasts, in periods; the browser opens the next by itself, and asks for its session again.
const LIFETIME: u32 = 120;

pub(super) async fn numbers(session: AdminSession) -> Response {
    let (pages, handle) = (session.session.visitor.pages.clone(), session.session.handle);
    let ticks = tokio::time::interval(PERIOD);
    let events = stream::unfold((pages, handle, ticks, 0), |(pages, handle, mut ticks, sent)| async move {
        let mut stop = pages.stop.clone();
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.requested() => return None,
        }
        let holds = pages.app.staff_sessions.holds(&handle, pages.app.clock.elapsed());
        if sent >= LIFETIME || !holds {
            return None;
        }
        let status = overview::recent_status(&pages.app).await.ok()?;
        let event = Event::default().json_data(status).ok()?;
        Some((Ok::<_, Infallible>(event), (pages, handle, ticks, sent + 1)))
    });
    Sse::new(events).into_response()
}

/// Says that a neighbour, its line, or what was found nearby has changed. What changed, the page says.
pub(super) async fn neighbours(session: AdminSession) -> Response {
    let (pages, handle) = (session.session.visitor.pages.clone(), session.session.handle);
    let (mut links, nearby) = (pages.app.links.changes(), pages.app.nearby.changes());
    // What changed since the page was made is told first.
    links.mark_changed();
    let until = tokio::time::Instant::now() + PERIOD * LIFETIME;
    let start = (pages, handle, links, nearby);
    let events = stream::unfold(start, move |(pages, handle, mut links, mut nearby)| async move {
        let mut stop = pages.stop.clone();
        tokio::select! {
            changed = links.changed() => changed.ok()?,
            changed = nearby.changed() => changed.ok()?,
            () = tokio::time::sleep_until(until) => return None,
            () = stop.requested() => return None,
        }
        // One event for a handful of changes: each has the browser fetch the page.
        tokio::time::sleep(SETTLING).await;
        links.mark_unchanged();
        nearby.mark_unchanged();
        if !pages.app.staff_sessions.holds(&handle, pages.app.clock.elapsed()) {
            return None;
        }
        Some((Ok::<_, Infallible>(Event::default().data("changed")), (pages, handle, links, nearby)))
    });
    Sse::new(events).into_response()
}
