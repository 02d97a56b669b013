//! Tells second homes what they have to know, looks for lost ones, and has neighbours forget who is erased, for as long as
//! the server runs.

use std::time::Duration;

use crate::live::shutdown::Shutdown;
use crate::service::neighbours::forgetting;
use crate::service::second_home::{failing_over, placing};
use crate::state::AppState;

/// How often is looked for what nobody gave notice of.
const AGAIN: Duration = Duration::from_secs(5);

/// Works whenever keys or devices changed or a link did, until `stop`.
pub(super) async fn run(app: AppState, mut stop: Shutdown) {
    let mut changes = app.links.changes();
    loop {
        changes.mark_unchanged();
        let work = async {
            failing_over::fail_over(&app).await?;
            placing::tell_all(&app).await?;
            forgetting::tell_all(&app).await
        };
        tokio::select! {
            done = work => if let Err(error) = done {
                tracing::warn!(%error, "other servers cannot be told; it will be tried again");
            },
            () = stop.requested() => return,
        }
        tokio::select! {
            () = app.links.telling.notified() => {}
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.requested() => return,
        }
    }
}
