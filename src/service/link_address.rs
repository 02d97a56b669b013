//! The address that invite and pairing links name: remembered, so that commands beside a stopped server name it, too.

use super::ServiceError;
use crate::state::App;
use crate::store::ReadTx;

/// The setting that remembers the address invite links name.
const LINK_ADDRESS: &str = "link-address";

/// The address invite links name, if one was remembered.
pub(super) fn remembered(tx: &ReadTx<'_>) -> Result<Option<String>, ServiceError> {
    Ok(tx.setting(LINK_ADDRESS)?.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// That address, or what the settings make of it.
pub(super) fn or_default(app: &App, kept: Option<String>) -> String {
    let config = app.config();
    kept.unwrap_or_else(|| crate::surroundings::addresses::for_links(&config, &config.listen.addresses))
}

/// Where people reach this server, `host:port`.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn in_force(app: &App) -> Result<String, ServiceError> {
    let kept = app.store.read(remembered).await?;
    Ok(or_default(app, kept))
}

/// Remembers the address that invite links name.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn remember(app: &App, address: String) -> Result<(), ServiceError> {
    // Writing the same again would only wear the SD card, and fail on a full disk.
    let kept = app.store.read(|tx| tx.setting(LINK_ADDRESS)).await?;
    if kept.as_deref() == Some(address.as_bytes()) {
        return Ok(());
    }
    app.store.write(move |tx| Ok(tx.set_setting(LINK_ADDRESS, address.as_bytes())?)).await
}
