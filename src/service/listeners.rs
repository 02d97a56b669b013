//! Listeners that admins add, stop, start and remove while the server runs.
//!
//! Those of momedo.toml and of the command line stay what they are there; the others are kept in the database.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::audit::{self, Action};
use super::permission::Admin;
use super::{AdminError, ServiceError, link_address};
use crate::live::listening::{self, Listener, ListenerState};
use crate::state::App;
use crate::store::{ReadTx, WriteTx};
use crate::surroundings::addresses;

/// The setting that kept listeners stand under.
const LISTENERS: &str = "listeners";

/// Most listeners an admin may add.
const MAX_KEPT: usize = 32;

/// A kept listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    address: SocketAddr,
    enabled: bool,
}

fn kept(tx: &ReadTx<'_>) -> Result<Vec<Kept>, ServiceError> {
    let bytes = tx.setting(LISTENERS)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

fn keep(tx: &WriteTx<'_>, listeners: &[Kept]) -> Result<(), ServiceError> {
    let bytes = serde_json::to_vec(listeners).map_err(|error| ServiceError::Internal(error.to_string()))?;
    Ok(tx.set_setting(LISTENERS, &bytes)?)
}

/// Every listener; without a running server, the kept and configured ones, stopped.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, _: &Admin) -> Result<Vec<Listener>, ServiceError> {
    let mut all = app.listeners.list();
    if all.is_empty() {
        let state = ListenerState::Stopped;
        let fixed = app.config().listen.addresses.clone();
        all.extend(fixed.into_iter().map(|address| Listener { address, fixed: true, state: state.clone() }));
        let kept = app.store.read(kept).await?;
        all.extend(kept.into_iter().map(|row| Listener {
            address: row.address,
            fixed: false,
            state: state.clone(),
        }));
    }
    Ok(all)
}

/// Starts the kept listeners; one that cannot be had is noted and logged, and keeps nobody from the others.
pub async fn start_kept(app: &App) {
    let kept = match app.store.read(kept).await {
        Ok(kept) => kept,
        Err(error) => return tracing::error!(%error, "the kept listeners cannot be read"),
    };
    for Kept { address, enabled } in kept {
        // One that momedo.toml names by now as well runs already.
        if known(app, address).is_some() {
            continue;
        }
        if !enabled {
            app.listeners.note(address, false, ListenerState::Stopped);
            continue;
        }
        if let Err(error) = start_one(app, address).await {
            tracing::warn!(%error, %address, "a listener cannot be started");
        }
    }
}

async fn start_one(app: &App, address: SocketAddr) -> Result<SocketAddr, ServiceError> {
    match listening::bind(&[address]).await {
        Ok(listeners) => {
            let mut first = address;
            for listener in listeners {
                let bound = listener.local_addr().unwrap_or(address);
                // Port 0 becomes the port it got, so that it is the same after a restart.
                first = if address.port() == 0 { bound } else { address };
                app.listeners.run(first, false, listener);
            }
            Ok(first)
        }
        Err(error) => {
            let reason = error.to_string();
            app.listeners.note(address, false, ListenerState::Failed(reason.clone()));
            Err(AdminError::CannotListen(reason).into())
        }
    }
}

fn parse(address: &str) -> Result<SocketAddr, AdminError> {
    address.trim().parse().map_err(|_| AdminError::NotAnAddress)
}

fn known(app: &App, address: SocketAddr) -> Option<Listener> {
    app.listeners.list().into_iter().find(|listener| listener.address == address)
}

/// Adds a listener and, beside a running server, starts it; its address with the port it got.
///
/// # Errors
/// [`AdminError::NotAnAddress`], [`AdminError::ListenerExists`] or [`AdminError::CannotListen`].
pub async fn add(app: &App, admin: &Admin, address: &str) -> Result<SocketAddr, ServiceError> {
    let address = parse(address)?;
    let exists = |rows: &[Kept]| rows.len() >= MAX_KEPT || rows.iter().any(|row| row.address == address);
    if known(app, address).is_some() || exists(&app.store.read(kept).await?) {
        return Err(AdminError::ListenerExists.into());
    }
    let address = if app.listeners.list().is_empty() {
        address
    } else {
        start_one(app, address).await.inspect_err(|_| app.listeners.remove(address))?
    };
    record(app, admin, Action::ListenerAdded, address, move |rows| {
        rows.push(Kept { address, enabled: true })
    })
    .await?;
    refresh_link_address(app).await?;
    Ok(address)
}

/// Stops, starts or removes a listener an admin added.
///
/// # Errors
/// [`AdminError::UnknownListener`], [`AdminError::ListenerFixed`], [`AdminError::LastListener`] or
/// [`AdminError::CannotListen`].
pub async fn change(app: &App, admin: &Admin, address: &str, action: Action) -> Result<(), ServiceError> {
    let address = parse(address)?;
    let is_kept = app.store.read(kept).await?.iter().any(|row| row.address == address);
    if !is_kept {
        let fixed = known(app, address).is_some() || app.config().listen.addresses.contains(&address);
        return Err(if fixed { AdminError::ListenerFixed } else { AdminError::UnknownListener }.into());
    }
    match action {
        Action::ListenerStarted => {
            if known(app, address).is_some_and(|listener| listener.state != ListenerState::Running) {
                start_one(app, address).await?;
            }
            record(app, admin, action, address, move |rows| enable(rows, address, true)).await?;
        }
        Action::ListenerStopped => {
            if app.listeners.running() == [address] {
                return Err(AdminError::LastListener.into());
            }
            app.listeners.stop(address).await;
            record(app, admin, action, address, move |rows| enable(rows, address, false)).await?;
        }
        _ => {
            if app.listeners.running() == [address] {
                return Err(AdminError::LastListener.into());
            }
            app.listeners.stop(address).await;
            app.listeners.remove(address);
            let removed = Action::ListenerRemoved;
            record(app, admin, removed, address, move |rows| rows.retain(|row| row.address != address))
                .await?;
        }
    }
    refresh_link_address(app).await
}

fn enable(rows: &mut [Kept], address: SocketAddr, enabled: bool) {
    for row in rows.iter_mut().filter(|row| row.address == address) {
        row.enabled = enabled;
    }
}

async fn record(
    app: &App,
    admin: &Admin,
    action: Action,
    address: SocketAddr,
    alter: impl FnOnce(&mut Vec<Kept>) + Send + 'static,
) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            let mut rows = kept(tx)?;
            alter(&mut rows);
            keep(tx, &rows)?;
            audit::log(tx, now, &account, action, &address.to_string())
        })
        .await
}

/// Lets invite links name what people can reach now.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn refresh_link_address(app: &App) -> Result<(), ServiceError> {
    let mut running = app.listeners.running();
    // Behind a loopback listener is a proxy at most; nobody else reaches it.
    let reachable: Vec<SocketAddr> = running.iter().copied().filter(|a| !a.ip().is_loopback()).collect();
    if !reachable.is_empty() {
        running = reachable;
    }
    if running.is_empty() {
        return Ok(());
    }
    let wanted = super::rules::kept(&app.store).await?.link_port;
    // A sort that keeps the order of the rest.
    running.sort_by_key(|address| Some(address.port()) != wanted);
    link_address::remember(app, addresses::for_links(&app.config(), &running)).await
}
