//! Live numbers for the overview, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::session::AdminSession;
use crate::service::overview;

/// How often they are sent.
const PERIOD: Duration = Duration::from_secs(5);

/// How long one stream lasts; the browser opens the next by itself, and asks for its session again.
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
