//! Keeps the counts of the overview's chart over a restart.

use super::ServiceError;
use crate::live::activity::Kept;
use crate::state::App;
use crate::store::{StoreError, WriteTx};

/// The setting that keeps them.
const SETTING: &str = "activity";

/// Begins with what was kept; what cannot be read is no reason not to start.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn begin(app: &App) -> Result<(), ServiceError> {
    let kept = app.store.read(|tx| Ok::<_, ServiceError>(tx.setting(SETTING)?)).await?;
    let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    app.activity.begin_with(kept);
    Ok(())
}

/// Stores them, in a transaction that is written anyway.
pub(super) fn keep(tx: &WriteTx<'_>, kept: &Kept) -> Result<(), StoreError> {
    let Ok(bytes) = serde_json::to_vec(kept) else { return Ok(()) };
    tx.set_setting(SETTING, &bytes)
}

/// Stores them before the server ends. A full disk only costs the chart.
pub async fn end(app: &App) {
    let kept = app.activity.kept();
    let stored = app.store.write_freeing(move |tx| Ok::<_, ServiceError>(keep(tx, &kept)?)).await;
    if let Err(error) = stored {
        tracing::debug!(%error, "the overview's chart begins anew");
    }
}
