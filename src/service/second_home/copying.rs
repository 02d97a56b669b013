//! Mail that one home took, on its way to the other.
//!
//! A copy lies in the outbox like any other envelope, and is repeated until the other home has signed for it. While
//! the other home can be reached, "accepted" is answered when both have it on disk, so that losing either loses
//! nothing; if it cannot, one of them has to do.

use std::time::Duration;

use momedo_protocol::digest::Fingerprint;

use crate::service::ServiceError;
use crate::state::App;
use crate::store::OutgoingKey;

/// How long an answer waits for the other home's word.
const PATIENCE: Duration = Duration::from_secs(2);

/// A copy on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopySent {
    /// The other home.
    pub to: Fingerprint,
    /// What.
    pub key: OutgoingKey,
}

/// Waits until copies have arrived, or two seconds; not at all for a home that is not connected, or was late a moment ago.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn arrived(app: &App, copies: Vec<CopySent>) -> Result<(), ServiceError> {
    if copies.is_empty() {
        return Ok(());
    }
    let connected = app.links.connected();
    let mut expected = Vec::with_capacity(copies.len());
    let now = app.clock.elapsed();
    let is_waited_for = |home| connected.contains(&home) && app.links.is_waited_for(home, now);
    for copy in copies.iter().filter(|copy| is_waited_for(copy.to)) {
        expected.push((copy.to, copy.key, app.links.expect(copy.key)));
    }
    copies.iter().for_each(|copy| app.links.wake(copy.to));
    // What arrived before anybody expected it is not on its way any more.
    let expected = app
        .store
        .read(move |tx| {
            let mut open = Vec::with_capacity(expected.len());
            for (home, key, arrival) in expected {
                if tx.on_its_way(&key)?.is_some() {
                    open.push((home, arrival));
                }
            }
            Ok::<_, ServiceError>(open)
        })
        .await?;
    let until = tokio::time::Instant::now() + PATIENCE;
    for (home, arrival) in expected {
        if tokio::time::timeout_at(until, arrival.wait()).await.is_err() {
            tracing::debug!(%home, "the other home of a participant is slow; its copies follow");
            app.links.note_late(home, app.clock.elapsed());
        }
    }
    Ok(())
}
