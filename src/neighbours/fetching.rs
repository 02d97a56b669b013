//! Fetches attachments from the homes they were sent from, for as long as the server runs: from several homes at once,
//! each in its turn, so that none waits for another one that is slow or dead.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::domain::turns::Turns;
use crate::live::shutdown::Shutdown;
use crate::service::neighbours::attachments::{self, Turn};
use crate::state::AppState;

/// How often is looked for what could not be fetched when it was announced.
const AGAIN: Duration = Duration::from_secs(20);

/// Fetches whenever something was announced or a link came back, until `stop`.
pub(super) async fn run(app: AppState, mut stop: Shutdown) {
    let mut changes = app.links.changes();
    let mut turns = Turns::default();
    let mut places = HashMap::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        match attachments::homes(&app).await {
            Ok(homes) => {
                places.retain(|home, _| homes.contains(home));
                for home in turns.begin(homes, app.clock.elapsed()) {
                    let (app, place) = (&app, places.remove(&home));
                    under_way.push(async move { (home, attachments::fetch_from(app, home, place).await) });
                }
            }
            Err(error) => tracing::warn!(%error, "attachments cannot be fetched; they will be tried again"),
        }
        tokio::select! {
            Some((home, ended)) = under_way.next() => {
                let Turn { moved, place } = ended.unwrap_or_else(|error| {
                    tracing::warn!(%error, "attachments cannot be fetched; they will be tried again");
                    Turn::default()
                });
                turns.end(home, moved, app.clock.elapsed());
                places.extend(place.map(|place| (home, place)));
            }
            () = app.links.fetching.notified() => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                turns.wake();
            }
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.requested() => return,
        }
    }
}
