//! The background loops, each a few lines calling a service.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::service::upkeep;
use crate::shutdown::Shutdown;
use crate::state::AppState;
use crate::tls::Certificates;

/// How often expiry runs.
const UPKEEP: Duration = Duration::from_secs(600);

/// How often a full disk and changed certificate files are looked at.
const WATCH: Duration = Duration::from_secs(20);

/// How often the certificate's dates and this machine's addresses are looked at.
const RENEWAL: Duration = Duration::from_secs(3600);

/// Starts every loop; they end with `stop`.
pub fn spawn(app: &AppState, certificates: &Arc<Certificates>, stop: &Shutdown) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let expiring = app.clone();
    tasks.spawn(every(UPKEEP, stop.clone(), move || {
        let app = expiring.clone();
        async move {
            match upkeep::expire(&app).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "envelopes expired"),
                Err(error) => tracing::warn!(%error, "expiry did not finish; it will be tried again"),
            }
        }
    }));
    let (renewing, current) = (app.clone(), certificates.clone());
    tasks.spawn(every(RENEWAL, stop.clone(), move || {
        let (app, certificates) = (renewing.clone(), current.clone());
        async move {
            if let Err(error) = crate::running::renew_certificate(&app, &certificates).await {
                tracing::error!(%error, "the certificate cannot be renewed");
            }
        }
    }));
    let (watching, certificates) = (app.clone(), certificates.clone());
    tasks.spawn(every(WATCH, stop.clone(), move || {
        let (app, certificates) = (watching.clone(), certificates.clone());
        async move {
            // File I/O does not belong on async threads.
            let looked = tokio::task::spawn_blocking(move || {
                if app.store.is_full() {
                    app.store.regain_reserve();
                }
                match certificates.reload_if_changed() {
                    Ok(true) => tracing::info!("the certificate files changed and are in force"),
                    Ok(false) => {}
                    Err(error) => tracing::error!(%error, "the changed certificate cannot be used"),
                }
            });
            if let Err(error) = looked.await {
                tracing::error!(%error, "a background look ended early");
            }
        }
    }));
    tasks
}

async fn every<F: Future<Output = ()>>(period: Duration, mut stop: Shutdown, mut work: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => work().await,
            () = stop.requested() => return,
        }
    }
}
