//! Puts a server together from a data directory, and runs it: what `momedo serve`, `momedo admin` and
//! tests share.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::live::hub::Hub;
use crate::live::listening::BindError;
use crate::live::shutdown::Shutdown;
use crate::server::tasks;
use crate::service::certificates::{self, RenewalError};
use crate::service::error::unless_full;
use crate::service::{ServiceError, activity, backup, key_log, rules};
use crate::settings::config::{Config, ConfigError};
use crate::state::{App, AppState};
use crate::store::{Store, StoreError, StoreOptions};
use crate::surroundings::clock::Clock;
use crate::surroundings::data_directory;
use crate::surroundings::data_directory::{DataDirectory, DataDirectoryError};
use crate::{control, server, store};

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is locked or unusable.
    #[error(transparent)]
    Directory(#[from] DataDirectoryError),
    /// The settings make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The identity or a certificate cannot be made or used.
    #[error(transparent)]
    Certificate(#[from] RenewalError),
    /// A use case failed during the start.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] BindError),
}

/// A data directory that is open, with everything but the listeners.
pub struct Opened {
    /// The use cases' state.
    pub app: AppState,
    directory: DataDirectory,
}

/// How serving ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// For good.
    Stopped,
    /// To start again on these addresses.
    ToRestart(Vec<SocketAddr>),
}

/// Opens a data directory: locks it, opens or makes the database, makes or renews the certificates.
///
/// Blocks; making an identity at the first start takes a second or two.
///
/// # Errors
/// As [`StartError`] says.
pub async fn open(path: &Path, config: Config, clock: Clock) -> Result<Opened, StartError> {
    let directory = DataDirectory::lock(path)?;
    if !directory.privacy().is_private() {
        tracing::warn!("{}", data_directory::OPEN_TO_OTHERS);
    }
    let taken = backup::take(&directory, clock.now());
    let hub = Arc::new(Hub::new(config.listen.max_streams_per_device));
    let listening = hub.clone();
    let options = StoreOptions {
        max_database_bytes: Some(config.storage.max_database_bytes).filter(|bytes| *bytes > 0),
        ..StoreOptions::default()
    };
    let store = Store::open(
        directory.path(),
        clock.clone(),
        &options,
        Box::new(move |batch| listening.delivered(batch)),
    )?;
    if let Some(taken) = taken
        && let Err(error) = backup::note(&store, taken).await
    {
        tracing::warn!(%error, "the log does not tell of the restore yet; the next start tries again");
    }
    let rules = rules::kept(&store).await?;
    let in_force = rules.over(&config);
    let (certificates, identity) = certificates::open(&store, &in_force, &clock).await?;
    let app = App::new(config, in_force, store, hub, clock, certificates, identity);
    activity::begin(&app).await?;
    // Before anybody is served keys that do not stand in it.
    let begun = key_log::begin(&app).await;
    unless_full(begun, "current keys are entered into the log of key changes once there is room")?;
    Ok(Opened { app, directory })
}

/// Looks at the database of a data directory that no server has open, as a start would, and changes nothing; its
/// schema version, or `None` where there is no database yet. Blocks, and reads all of it.
///
/// # Errors
/// As [`StoreError`] says.
pub fn examine(path: &Path) -> Result<Option<u32>, StoreError> {
    store::examine(&data_directory::database(path))
}

impl Opened {
    /// Serves on `listeners` until `stop` turns true, then finishes writes and closes the database.
    ///
    /// Says whether it is to start again, and on which addresses.
    ///
    /// `ready` is called with the bound addresses as soon as connections are taken.
    ///
    /// # Errors
    /// As [`StartError`] says, before anything is served.
    pub async fn serve(
        self,
        listeners: Vec<TcpListener>,
        stop: Shutdown,
        ready: impl FnOnce(&[SocketAddr]),
    ) -> Result<Ended, StartError> {
        // The pages may stop the server too.
        let (trigger, stopped) = crate::live::shutdown::channel();
        *self.app.stop.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(trigger);
        let stop = crate::live::shutdown::either(stop, stopped);
        let bound: Vec<SocketAddr> =
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let started = self.app.listeners.take_started();
        for (listener, address) in listeners.into_iter().zip(&bound) {
            self.app.listeners.run(*address, true, listener);
        }
        crate::service::listeners::start_kept(&self.app).await;
        crate::service::smoke::directory::reload(&self.app).await?;
        self.app.smoke.listeners.start_through(&self.app.listeners);
        crate::service::smoke::listeners::start_kept(&self.app).await;
        let refreshed = crate::service::listeners::refresh_link_address(&self.app).await;
        unless_full(refreshed, "invites name the address of before until there is room")?;
        if crate::service::set_up::is_needed(&self.app).await? {
            let address = crate::service::link_address::in_force(&self.app).await?;
            let code = crate::service::set_up::code(&self.app);
            tracing::info!("not set up yet: open https://{address}/admin and enter the code {code}");
        }
        // Before anybody is told that the server is ready.
        let socket = control::listen(self.directory.path());
        let directory = self.directory.path().to_owned();
        let control = tokio::spawn(control::serve(self.app.clone(), socket, directory, stop.clone()));
        let mut tasks = tasks::spawn(&self.app, &stop);
        ready(&bound);
        server::run(self.app.clone(), started, stop).await;
        let _: Result<_, _> = control.await;
        while tasks.join_next().await.is_some() {}
        activity::end(&self.app).await;
        self.app.store.close().await;
        Ok(if self.app.restarts() { Ended::ToRestart(bound) } else { Ended::Stopped })
    }
}
