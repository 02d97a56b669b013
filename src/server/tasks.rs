//! The background loops, each a few lines calling a service.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::live::shutdown::Shutdown;
use crate::service::{acme, backup, certificates, upkeep};
use crate::state::AppState;
use crate::tls::Reload;

/// How often expiry runs.
const UPKEEP: Duration = Duration::from_secs(600);

/// How often changed certificate files are looked at.
const WATCH: Duration = Duration::from_secs(20);

/// How soon a full disk is tried again, and how seldom in the end: each try may write up to the reserve.
const FULL_DISK: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));

/// How often the certificate's dates and this machine's addresses are looked at.
const RENEWAL: Duration = Duration::from_secs(3600);

/// How often it is looked whether a certificate from a public authority is due.
const ACME: Duration = Duration::from_secs(600);

/// How often it is looked whether a backup is due or room is short.
const BACKUP: Duration = Duration::from_secs(600);

/// Starts every loop; they end with `stop`.
pub fn spawn(app: &AppState, stop: &Shutdown) -> JoinSet<()> {
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
    let renewing = app.clone();
    tasks.spawn(every(RENEWAL, stop.clone(), move || {
        let app = renewing.clone();
        async move {
            if let Err(error) = certificates::renew(&app).await {
                tracing::error!(%error, "the certificate cannot be renewed");
            }
        }
    }));
    tasks.spawn(order_certificates(app.clone(), stop.clone()));
    let watched = app.clone();
    tasks.spawn(every(WATCH, stop.clone(), move || certificates::reload(watched.clone(), Reload::IfChanged)));
    let kept = app.clone();
    tasks.spawn(every(BACKUP, stop.clone(), move || {
        let app = kept.clone();
        async move {
            match backup::keep_up(&app).await {
                Ok(None) => {}
                Ok(Some(made)) => tracing::info!(name = %made.name, bytes = made.bytes, "backup made"),
                Err(error) => tracing::error!(%error, "no backup; it will be tried again"),
            }
        }
    }));
    tasks.spawn(crate::neighbours::run(app.clone(), stop.clone()));
    tasks.spawn(crate::neighbours::look_nearby(app.clone(), stop.clone()));
    tasks.spawn(watch_full_disk(app.clone(), stop.clone()));
    tasks.spawn(crate::smoke::keep_connections(app.clone(), stop.clone()));
    tasks
}

async fn every<F: Future<Output = ()>>(period: Duration, mut stop: Shutdown, mut work: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.requested() => return,
        }
        tokio::select! {
            () = work() => {}
            // What is half done is done again next time; the store finishes its own part.
            () = stop.requested() => return,
        }
    }
}

/// Orders a certificate from a public authority when one is due, and at once when an admin wants one.
async fn order_certificates(app: AppState, mut stop: Shutdown) {
    loop {
        let work = async {
            match acme::keep_up(&app).await {
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "it will be tried again"),
            }
            tokio::select! {
                () = tokio::time::sleep(ACME) => {}
                () = app.certificate_wanted.notified() => {}
            }
        };
        tokio::select! {
            () = work => {}
            // A half-done order is forgotten by the authority; the next start begins another.
            () = stop.requested() => return,
        }
    }
}

/// Ends a full disk's being full once the reserve fits again, asking ever more seldom.
async fn watch_full_disk(app: AppState, mut stop: Shutdown) {
    let (first, last) = FULL_DISK;
    let mut pause = first;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.requested() => return,
        }
        if !app.store.is_full() {
            pause = first;
            continue;
        }
        pause = (pause * 2).min(last);
        let store = app.store.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || store.regain_reserve()).await {
            tracing::error!(%error, "a background look ended early");
        }
        if !app.store.is_full() {
            tracing::info!("there is room again: new mail is taken");
            // What the start could not write.
            let again = async {
                crate::service::key_log::begin(&app).await?;
                crate::service::listeners::refresh_link_address(&app).await
            };
            if let Err(error) = again.await {
                tracing::warn!(%error, "what a full disk kept from being written is written by the next start");
            }
        }
    }
}
