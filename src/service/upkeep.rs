//! What the background loops do: expiry, parking, forgetting. All of it goes by served time.

use super::{ServiceError, neighbours};
use crate::domain::limits::{PARK_AFTER_DAYS, RECEIPT_EXTRA_DAYS, REPORT_DAYS};
use crate::state::App;
use crate::store::Tick;
use momedo_protocol::limits::SUPERSEDED_BUNDLE_DAYS;

/// Rows of the message memory looked at in one transaction.
const FORGET_STEP: u32 = 5_000;

/// Removes what waited longer than the retention, parks devices nobody saw for a month, and forgets what
/// may be forgotten. Returns how many envelopes expired.
///
/// # Errors
/// As [`ServiceError`] says; the next round tries again.
pub async fn expire(app: &App) -> Result<u64, ServiceError> {
    let now = app.store.tick();
    let retention = app.config().mail.retention_days;
    // Before one retention has passed nothing can be that old, and tick 0 would match nothing anyway.
    let expired = if let Some(before) = now.0.checked_sub(Tick(0).plus_days(retention).0).map(Tick) {
        expire_before(app, before).await? + neighbours::receipts::expire(app, before).await?
    } else {
        0
    };
    let expired = expired + super::smoke::mail::expire(app).await?;
    if let Some(since) = now.0.checked_sub(Tick(0).plus_days(PARK_AFTER_DAYS).0).map(Tick) {
        let parked = app.store.read(move |tx| tx.unseen_devices(since)).await?;
        for device in parked {
            let online = app.hub.is_online(device.participant, device.id);
            app.store
                .write_freeing(move |tx| {
                    // A stream that is open for weeks needs no log-in and may have nothing to acknowledge.
                    let result = if online {
                        tx.mark_device_seen(device.id)
                    } else {
                        tx.park_device(device.id, since)
                    };
                    Ok::<_, ServiceError>(result?)
                })
                .await?;
        }
    }
    super::blobs::expire(app, now, app.config().blobs.retention_days).await?;
    neighbours::nearby::expire(app).await?;
    forget_messages(app, now.minus_days(retention + RECEIPT_EXTRA_DAYS)).await?;
    let (hour_ago, superseded) =
        (Tick(now.0.saturating_sub(3_600_000)), now.minus_days(SUPERSEDED_BUNDLE_DAYS));
    let reported = now.minus_days(REPORT_DAYS);
    let activity = app.activity.kept();
    app.store
        .write_freeing(move |tx| {
            tx.delete_ended_reservations()?;
            tx.trim_audit_log()?;
            tx.delete_reports_before(reported)?;
            tx.delete_unused_mceliece_keys(hour_ago, superseded)?;
            super::activity::keep(tx, &activity)?;
            Ok::<_, ServiceError>(tx.store_served_time()?)
        })
        .await?;
    app.sessions.sweep(app.clock.elapsed());
    app.half_log_ins.sweep(app.clock.elapsed());
    app.printed.sweep(app.clock.elapsed());
    app.device_links.sweep(app.clock.elapsed());
    Ok(expired)
}

async fn expire_before(app: &App, before: Tick) -> Result<u64, ServiceError> {
    let devices = app
        .store
        .write_freeing(move |tx| Ok::<_, ServiceError>(tx.devices_with_mail_before(before)?))
        .await?;
    let mut expired = 0;
    for device in devices {
        expired +=
            app.store.write_freeing(move |tx| Ok::<_, ServiceError>(tx.expire(device, before)?)).await?;
    }
    Ok(expired)
}

async fn forget_messages(app: &App, before: Tick) -> Result<(), ServiceError> {
    if before == Tick(0) {
        return Ok(());
    }
    let mut from = [0; 16];
    loop {
        let step = app
            .store
            .write_freeing(move |tx| Ok::<_, ServiceError>(tx.forget_messages(before, from, FORGET_STEP)?))
            .await?;
        match step {
            Some(next) if next != from => from = next,
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
