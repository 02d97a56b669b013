//! Puts a server together from a data directory, and runs it: what `momedo serve`, `momedo admin` and
//! tests share.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::data_directory::{DataDirectory, DataDirectoryError};
use crate::hub::Hub;
use crate::service::{ServiceError, rules};
use crate::shutdown::Shutdown;
use crate::state::{App, AppState};
use crate::store::{Store, StoreError, StoreOptions};
use crate::tls::{AuthorityError, Certificates, CertificatesError, Identity, Names, Reload};
use crate::{addresses, control, server, tasks};

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
    /// The identity or a certificate cannot be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// A use case failed during the start.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another server running there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A data directory that is open, with everything but the listeners.
pub struct Opened {
    /// The use cases' state.
    pub app: AppState,
    /// Certificates in force.
    pub certificates: Arc<Certificates>,
    directory: DataDirectory,
}

/// Opens a data directory: locks it, opens or makes the database, makes or renews the certificates.
///
/// Blocks; making an identity at the first start takes a second or two.
///
/// # Errors
/// As [`StartError`] says.
pub async fn open(path: &Path, config: Config, clock: Clock) -> Result<Opened, StartError> {
    let directory = DataDirectory::lock(path)?;
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
    let rules = rules::kept(&store).await?;
    let in_force = rules.over(&config);
    let names = Names { dns: addresses::names(&in_force), ip: addresses::ip_addresses(&in_force) };
    let identity = identity(&store, &names, &clock).await?;
    let certificates = Arc::new(Certificates::new(&identity, &config.tls)?);
    use_upload(&store, &certificates, &clock).await;
    let app = App::new(config, &rules, store, hub, clock, identity.key()?);
    Ok(Opened { app, certificates, directory })
}

/// Puts a kept upload into force; one that cannot be used any more is logged, and the issued one serves.
async fn use_upload(store: &Store, certificates: &Certificates, clock: &Clock) {
    match crate::service::certificates::kept(store).await {
        Ok(None) => {}
        Ok(Some(upload)) => match Certificates::check_upload(&upload.chain, &upload.key, clock.now()) {
            Ok(certified) => certificates.use_uploaded(certified),
            Err(error) => {
                tracing::error!(%error, "the uploaded certificate cannot be used; the issued one serves")
            }
        },
        Err(error) => tracing::error!(%error, "the uploaded certificate cannot be read"),
    }
}

/// The stored identity.
///
/// # Errors
/// As [`StartError`] says.
pub async fn stored_identity(app: &App) -> Result<Identity, StartError> {
    let names = Names { dns: addresses::names(&app.config()), ip: addresses::ip_addresses(&app.config()) };
    identity(&app.store, &names, &app.clock).await
}

/// Reads the stored identity, or makes one; renews the leaf where names or dates ask for it.
async fn identity(store: &Store, names: &Names, clock: &Clock) -> Result<Identity, StartError> {
    let stored = store.read(|tx| tx.setting(Identity::SETTING)).await?;
    let (identity, changed) = match stored {
        Some(bytes) => {
            let mut identity: Identity =
                serde_json::from_slice(&bytes).map_err(|_| AuthorityError::Damaged)?;
            let changed = identity.renew(names, clock.now())?;
            (identity, changed)
        }
        None => {
            tracing::info!("first start: making this server's identity");
            (Identity::generate(names, clock.now())?, true)
        }
    };
    if changed {
        let bytes = serde_json::to_vec(&identity).map_err(|_| AuthorityError::Damaged)?;
        store.write(move |tx| tx.set_setting(Identity::SETTING, &bytes)).await?;
    }
    Ok(identity)
}

/// Renews the leaf of a running server if a new date window or new addresses ask for it.
///
/// # Errors
/// As [`StartError`] says.
pub async fn renew_certificate(app: &App, certificates: &Certificates) -> Result<(), StartError> {
    let names = Names { dns: addresses::names(&app.config()), ip: addresses::ip_addresses(&app.config()) };
    let identity = identity(&app.store, &names, &app.clock).await?;
    Ok(certificates.exchange(&identity)?)
}

/// Reads an own certificate's files again, and says in the log what came of it.
pub async fn reload_certificate(certificates: Arc<Certificates>, when: Reload) {
    // File I/O does not belong on async threads.
    let looked = tokio::task::spawn_blocking(move || match certificates.reload(when) {
        Ok(true) => tracing::info!("the certificate files were read again and are in force"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the changed certificate cannot be used"),
    });
    if let Err(error) = looked.await {
        tracing::error!(%error, "a background look ended early");
    }
}

/// Binds the addresses to serve on; port 0 takes a free one.
///
/// # Errors
/// [`StartError::Listen`].
pub async fn bind(listen: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for address in listen {
        let failed = |source| StartError::Listen { address: *address, source };
        let everywhere_v4 = SocketAddr::from(([0; 4], address.port()));
        let is_everywhere_v6 = address.is_ipv6() && address.ip().is_unspecified();
        match TcpListener::bind(address).await {
            Ok(listener) => {
                // Windows gives "every address" to IPv6 alone.
                if cfg!(windows) && is_everywhere_v6 && address.port() != 0 {
                    listeners.push(TcpListener::bind(everywhere_v4).await.map_err(failed)?);
                }
                listeners.push(listener);
            }
            // A machine with IPv6 switched off.
            Err(source) if is_everywhere_v6 && source.kind() != std::io::ErrorKind::AddrInUse => {
                listeners.push(TcpListener::bind(everywhere_v4).await.map_err(|_| failed(source))?);
            }
            Err(source) => return Err(failed(source)),
        }
    }
    Ok(listeners)
}

impl Opened {
    /// Serves on `listeners` until `stop` turns true, then finishes writes and closes the database.
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
    ) -> Result<(), StartError> {
        // The pages may stop the server too.
        let (trigger, stopped) = crate::shutdown::channel();
        *self.app.stop.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(trigger);
        let stop = crate::shutdown::either(stop, stopped);
        let bound: Vec<SocketAddr> =
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let started = self.app.listeners.take_started();
        for (listener, address) in listeners.into_iter().zip(&bound) {
            self.app.listeners.run(*address, true, listener);
        }
        crate::service::listeners::start_kept(&self.app).await;
        crate::service::listeners::refresh_link_address(&self.app).await?;
        if crate::service::set_up::is_needed(&self.app).await? {
            let address = crate::service::administration::administration_address(&self.app).await?;
            let code = crate::service::set_up::code(&self.app);
            tracing::info!("not set up yet: open https://{address}/admin and enter the code {code}");
        }
        // Before anybody is told that the server is ready.
        let socket = control::listen(self.directory.path());
        let directory = self.directory.path().to_owned();
        let control = tokio::spawn(control::serve(self.app.clone(), socket, directory, stop.clone()));
        let mut tasks = tasks::spawn(&self.app, &self.certificates, &stop);
        ready(&bound);
        server::run(self.app.clone(), self.certificates.clone(), started, stop).await;
        let _: Result<_, _> = control.await;
        while tasks.join_next().await.is_some() {}
        self.app.store.close().await;
        Ok(())
    }
}
