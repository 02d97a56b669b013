//! Listeners for Smoke clients alone; private ones let in who proves to hold registered keys.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::SmokeError;
use crate::live::listening::{self, ListenerState, Purpose};
use crate::service::audit::{self, Action};
use crate::service::permission::Admin;
use crate::service::{AdminError, ServiceError};
use crate::state::App;
use crate::store::SmokeListenerRow;

/// Clients of a listener when nobody says how many.
pub const DEFAULT_MAX_CLIENTS: u64 = 1_000;

/// Most clients of a listener; the server's own limit on connections holds as well.
const MAX_MAX_CLIENTS: u64 = 10_000;

/// Most listeners.
const MAX_LISTENERS: usize = 16;

/// A listener, as listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SmokeListener {
    /// Address and port.
    pub address: String,
    /// Whether clients must prove who they are.
    pub private: bool,
    /// Most clients at once.
    pub max_clients: u64,
    /// How it fares.
    #[serde(flatten)]
    pub state: ListenerState,
}

fn listed(app: &App, row: SmokeListenerRow) -> SmokeListener {
    let running = app.smoke.listeners.list();
    let state = running.into_iter().find(|one| one.address.to_string() == row.address).map(|one| one.state);
    SmokeListener {
        state: state.unwrap_or(ListenerState::Stopped),
        address: row.address,
        private: row.is_private,
        max_clients: row.max_clients,
    }
}

/// Every listener.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Vec<SmokeListener>, ServiceError> {
    let rows = app.store.read(|tx| Ok::<_, ServiceError>(tx.smoke_listeners()?)).await?;
    Ok(rows.into_iter().map(|row| listed(app, row)).collect())
}

/// Starts those that are enabled; one that cannot be had is noted and logged.
pub async fn start_kept(app: &App) {
    let rows = match app.store.read(|tx| Ok::<_, ServiceError>(tx.smoke_listeners()?)).await {
        Ok(rows) => rows,
        Err(error) => return tracing::error!(%error, "the Smoke listeners cannot be read"),
    };
    for row in rows.iter().filter(|row| row.is_enabled) {
        if let Err(error) = start(app, row).await {
            tracing::warn!(%error, address = %row.address, "a Smoke listener cannot be started");
        }
    }
}

fn parse(address: &str) -> Result<SocketAddr, AdminError> {
    address.trim().parse().map_err(|_| AdminError::NotAnAddress)
}

/// Binds and serves; the address with the port it got.
async fn start(app: &App, row: &SmokeListenerRow) -> Result<SocketAddr, ServiceError> {
    let address = parse(&row.address)?;
    let failed = |reason: String| {
        app.smoke.listeners.note(address, false, ListenerState::Failed(reason.clone()));
        ServiceError::from(AdminError::CannotListen(reason))
    };
    let bound = listening::bind(&[address]).await.map_err(|error| failed(error.to_string()))?;
    let max_clients = usize::try_from(row.max_clients).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    let free = Arc::new(Semaphore::new(max_clients));
    let mut first = address;
    for listener in bound {
        if address.port() == 0 {
            first = listener.local_addr().map_err(|error| failed(error.to_string()))?;
        }
        let purpose = Purpose::Smoke { is_private: row.is_private, free: free.clone() };
        app.smoke.listeners.run_for(first, false, listener, purpose);
    }
    Ok(first)
}

/// Adds a listener and, beside a running server, starts it.
///
/// # Errors
/// [`AdminError::NotAnAddress`], [`AdminError::ListenerExists`], [`AdminError::CannotListen`] or
/// [`SmokeError::MaxClients`].
pub async fn add(
    app: &App,
    admin: &Admin,
    address: &str,
    is_private: bool,
    max_clients: u64,
) -> Result<SmokeListener, ServiceError> {
    if !(1..=MAX_MAX_CLIENTS).contains(&max_clients) {
        return Err(SmokeError::MaxClients.into());
    }
    let address = parse(address)?;
    let rows = app.store.read(|tx| Ok::<_, ServiceError>(tx.smoke_listeners()?)).await?;
    let taken = rows.len() >= MAX_LISTENERS
        || rows.iter().any(|row| row.address == address.to_string())
        || app.listeners.list().iter().any(|one| one.address == address);
    if taken {
        return Err(AdminError::ListenerExists.into());
    }
    let mut row =
        SmokeListenerRow { address: address.to_string(), is_private, max_clients, is_enabled: true };
    // Without a running server it is only noted.
    if !app.listeners.list().is_empty() {
        let bound = start(app, &row).await.inspect_err(|_| app.smoke.listeners.remove(address))?;
        row.address = bound.to_string();
    }
    record(app, admin, Action::ListenerAdded, row.clone()).await?;
    Ok(listed(app, row))
}

/// Starts, stops or removes a listener.
///
/// # Errors
/// [`AdminError::UnknownListener`] or [`AdminError::CannotListen`].
pub async fn change(app: &App, admin: &Admin, address: &str, action: Action) -> Result<(), ServiceError> {
    let address = parse(address)?;
    let rows = app.store.read(|tx| Ok::<_, ServiceError>(tx.smoke_listeners()?)).await?;
    let found = rows.into_iter().find(|row| row.address == address.to_string());
    let mut row = found.ok_or(AdminError::UnknownListener)?;
    let state =
        app.smoke.listeners.list().into_iter().find(|one| one.address == address).map(|one| one.state);
    match action {
        Action::ListenerStarted => {
            if state != Some(ListenerState::Running) && !app.listeners.list().is_empty() {
                start(app, &row).await?;
            }
            row.is_enabled = true;
        }
        Action::ListenerStopped => {
            app.smoke.listeners.stop(address).await;
            row.is_enabled = false;
        }
        _ => {
            app.smoke.listeners.stop(address).await;
            app.smoke.listeners.remove(address);
        }
    }
    record(app, admin, action, row).await
}

async fn record(app: &App, admin: &Admin, action: Action, row: SmokeListenerRow) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            if action == Action::ListenerRemoved {
                tx.delete_smoke_listener(&row.address)?;
            } else {
                tx.put_smoke_listener(&row)?;
            }
            audit::log(tx, now, &account, action, &row.address)
        })
        .await
}
