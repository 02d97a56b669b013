//! Reaching somebody at their other home when the neighbour that is the one used until now is lost.

use std::time::Duration;

use momedo_protocol::time::UnixMillis;

use crate::service::ServiceError;
use crate::state::App;

/// How long a neighbour may be away before its participants are written to at their other homes: longer than a restart.
const GRACE: Duration = Duration::from_secs(5);

/// Sends what waits for participants of lost neighbours to their other homes, where these are neighbours and connected.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn fail_over(app: &App) -> Result<(), ServiceError> {
    let connected = app.links.connected();
    let long_gone = |since: Option<UnixMillis>| {
        let grace = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
        since.is_none_or(|since| app.clock.now().0.saturating_sub(since.0) >= grace)
    };
    let pairs = app.store.read(|tx| Ok::<_, ServiceError>(tx.list_pairs_of_homes()?)).await?;
    for (home, other) in pairs {
        if connected.contains(&home) || !connected.contains(&other) || !long_gone(app.links.line(home).since)
        {
            continue;
        }
        let is_neighbour =
            app.store.read(move |tx| Ok::<_, ServiceError>(tx.find_neighbour(home)?.is_some())).await?;
        // What leads over others may still find its way.
        if !is_neighbour {
            continue;
        }
        let moved =
            app.store.write(move |tx| Ok::<_, ServiceError>(tx.send_to_other_home(home, other)?)).await?;
        if moved {
            tracing::info!(lost = %home, used = %other, "mail goes to the other homes of a lost neighbour's participants");
            app.links.wake(other);
        }
    }
    Ok(())
}
