//! Tells a neighbour where this server's key log ends: at once, and after changes, at most once a minute.

use std::sync::Arc;
use std::time::Duration;

use momedo_protocol::link::Frame;

use crate::links::Link;
use crate::service::key_log;
use crate::state::AppState;

/// Pause after each head.
const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// Tells until the link ends.
pub(super) async fn run(app: AppState, link: Arc<Link>) {
    let (mut log, mut lines) = (app.key_log.changes(), app.links.changes());
    let mut told = None;
    loop {
        log.mark_unchanged();
        lines.mark_unchanged();
        if link.is_paired() {
            match key_log::head(&app).await {
                Ok((place, head)) if told != Some(place) => {
                    if !link.send(&Frame::KeyLogHead(Box::new(head))).await {
                        return;
                    }
                    told = Some(place);
                    tokio::time::sleep(AT_MOST_EVERY).await;
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the head of the key log cannot be read; it is told later")
                }
            }
        }
        let ended = tokio::select! {
            changed = log.changed() => changed.is_err(),
            changed = lines.changed() => changed.is_err(),
        };
        if ended {
            return;
        }
    }
}
