//! Fetches attachments from the homes they were sent from, for as long as the server runs.

use std::time::Duration;

use crate::service::neighbours::attachments;
use crate::shutdown::Shutdown;
use crate::state::AppState;

/// How often is looked for what could not be fetched when it was announced.
const AGAIN: Duration = Duration::from_secs(20);

/// Fetches whenever something was announced or a link came back, until `stop`.
pub(super) async fn run(app: AppState, mut stop: Shutdown) {
    let mut changes = app.links.changes();
    loop {
        changes.mark_unchanged();
        tokio::select! {
            moved = attachments::fetch_all(&app) => match moved {
                // There may be more than one page.
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "attachments cannot be fetched; they will be tried again"),
            },
            () = stop.requested() => return,
        }
        tokio::select! {
            () = app.links.fetching.notified() => {}
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.requested() => return,
        }
    }
}
