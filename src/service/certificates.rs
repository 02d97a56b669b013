//! The server's identity and the certificate in force: made, renewed, exchanged for one from elsewhere.
//!
//! One certificate from elsewhere is kept in the database, so it is in every backup: an admin's upload, or
//! what a public authority issued ([`super::acme`]). Files that momedo.toml names go before it.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::acme::AcmeStatus;
use super::audit::{self, Action};
use super::permission::{Admin, RecentlyConfirmed};
use super::{AdminError, ServiceError, acme};
use crate::settings::config::Config;
use crate::state::{App, AppState};
use crate::store::{Store, StoreError, WriteTx};
use crate::surroundings::addresses;
use crate::surroundings::clock::Clock;
use crate::tls::{AuthorityError, Certificates, CertificatesError, Identity, InForce, Names, Origin, Reload};

/// The setting a certificate from elsewhere is kept under.
const KEPT: &str = "own-certificate";

/// Largest PEM file, in bytes.
pub const MAX_PEM_BYTES: usize = 64 * 1024;

/// Why the identity cannot be read, or a certificate not be made.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The identity is damaged, or refuses a name.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// What was made or configured cannot be used.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RenewalError> for ServiceError {
    fn from(error: RenewalError) -> Self {
        match error {
            RenewalError::Store(error) => error.into(),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// A certificate from elsewhere: PEM chain and PEM key.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Upload {
    /// The chain, own certificate first.
    pub chain: String,
    /// Its private key.
    pub key: String,
    /// Whether a public authority issued it by itself.
    #[serde(default)]
    pub acme: bool,
}

impl Upload {
    fn origin(&self) -> Origin {
        if self.acme { Origin::Acme } else { Origin::Uploaded }
    }

    /// What is in it, unless it cannot be used (any more).
    pub(super) fn about(&self, now: UnixMillis) -> Option<InForce> {
        Certificates::check(&self.chain, &self.key, self.origin(), now).ok().map(|(_, about)| about)
    }
}

/// How the certificate in force stands.
#[derive(Debug, Serialize)]
pub struct CertificateStatus {
    /// Where it comes from.
    pub origin: Origin,
    /// When it ends.
    pub ends_at: UnixMillis,
    /// Days until then.
    pub days: u64,
    /// Names and addresses in it.
    pub names: Vec<String>,
    /// Its SHA-256.
    pub fingerprint: Fingerprint,
    /// The server's own fingerprint, which no certificate changes.
    pub server_fingerprint: Fingerprint,
    /// Whether a public authority is asked, and how that goes.
    pub acme: AcmeStatus,
}

/// How the certificate in force stands.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn status(app: &App, admin: &Admin) -> Result<CertificateStatus, ServiceError> {
    let unreadable = || ServiceError::Internal("the certificate in force cannot be read".into());
    let in_force = app.certificates.in_force().ok_or_else(unreadable)?;
    Ok(CertificateStatus {
        origin: in_force.origin,
        ends_at: in_force.ends_at,
        days: in_force.ends_at.0.saturating_sub(app.clock.now().0) / 86_400_000,
        names: in_force.names,
        fingerprint: in_force.fingerprint,
        server_fingerprint: app.fingerprint,
        acme: acme::status(app, admin).await?,
    })
}

/// Reads or makes the identity at the start, and takes the certificate to serve with.
///
/// # Errors
/// As [`RenewalError`] says.
pub(crate) async fn open(
    store: &Store,
    config: &Config,
    clock: &Clock,
) -> Result<(Certificates, RsaPrivateKey), RenewalError> {
    let identity = identity(store, config, clock).await?;
    let certificates = Certificates::new(&identity, &config.tls)?;
    match kept(store).await {
        Ok(None) => {}
        Ok(Some(upload)) => {
            match Certificates::check(&upload.chain, &upload.key, upload.origin(), clock.now()) {
                Ok((certified, about)) => certificates.use_kept(certified, about.origin),
                Err(error) => {
                    tracing::error!(%error, "the kept certificate cannot be used; the issued one serves");
                }
            }
        }
        Err(error) => tracing::error!(%error, "the kept certificate cannot be read"),
    }
    Ok((certificates, identity.key()?))
}

/// Reads the stored identity, or makes one; renews the leaf where names or dates ask for it.
async fn identity(store: &Store, config: &Config, clock: &Clock) -> Result<Identity, RenewalError> {
    let names = Names { dns: addresses::names(config), ip: addresses::ip_addresses(config) };
    let stored = store.read(|tx| tx.setting(Identity::SETTING)).await?;
    let is_first = stored.is_none();
    let (identity, changed) = match stored {
        Some(bytes) => {
            let mut identity: Identity =
                serde_json::from_slice(&bytes).map_err(|_| AuthorityError::Damaged)?;
            let changed = identity.renew(&names, clock.now())?;
            (identity, changed)
        }
        None => {
            tracing::info!("first start: making this server's identity");
            (Identity::generate(&names, clock.now())?, true)
        }
    };
    if changed {
        let bytes = serde_json::to_vec(&identity).map_err(|_| AuthorityError::Damaged)?;
        match store.write(move |tx| tx.set_setting(Identity::SETTING, &bytes)).await {
            // Its keys are the same as before; only dates and names would be issued once more.
            Err(StoreError::Full) if !is_first => {
                tracing::warn!(
                    "the disk is full: the new certificate serves, and is kept once there is room"
                );
            }
            written => written?,
        }
    }
    Ok(identity)
}

/// Renews the leaf of a running server if a new date window or new addresses ask for it.
///
/// # Errors
/// As [`RenewalError`] says.
pub async fn renew(app: &App) -> Result<(), RenewalError> {
    let identity = identity(&app.store, &app.config(), &app.clock).await?;
    Ok(app.certificates.exchange(&identity)?)
}

/// Reads an own certificate's files again, and says in the log what came of it.
pub async fn reload(app: AppState, when: Reload) {
    // File I/O does not belong on async threads.
    let looked = tokio::task::spawn_blocking(move || match app.certificates.reload(when) {
        Ok(true) => tracing::info!("the certificate files were read again and are in force"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the changed certificate cannot be used"),
    });
    if let Err(error) = looked.await {
        tracing::error!(%error, "a background look ended early");
    }
}

/// The kept certificate from elsewhere, if there is one.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn kept(store: &Store) -> Result<Option<Upload>, ServiceError> {
    let bytes = store.read(|tx| Ok::<_, ServiceError>(tx.setting(KEPT)?)).await?;
    Ok(bytes.filter(|bytes| !bytes.is_empty()).and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Keeps a certificate, or none.
pub(super) fn keep(tx: &WriteTx<'_>, upload: Option<&Upload>) -> Result<(), ServiceError> {
    let bytes = upload.map_or_else(|| Ok(Vec::new()), serde_json::to_vec);
    let bytes = bytes.map_err(|error| ServiceError::Internal(error.to_string()))?;
    Ok(tx.set_setting(KEPT, &bytes)?)
}

/// Checks an upload, keeps it and puts it into force; no public authority is asked any more.
///
/// # Errors
/// [`AdminError::UnusableCertificate`].
pub async fn upload(app: &App, admin: &RecentlyConfirmed, upload: Upload) -> Result<(), ServiceError> {
    let now = app.clock.now();
    let (certified, about) = Certificates::check(&upload.chain, &upload.key, Origin::Uploaded, now)
        .map_err(|error| AdminError::UnusableCertificate(error.to_string()))?;
    change(app, admin, Some(upload)).await?;
    app.certificates.use_kept(certified, about.origin);
    Ok(())
}

/// Forgets a certificate from elsewhere; the issued one serves again, and no public authority is asked.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn remove(app: &App, admin: &RecentlyConfirmed) -> Result<(), ServiceError> {
    change(app, admin, None).await?;
    let identity = identity(&app.store, &app.config(), &app.clock).await?;
    app.certificates.use_issued(&identity).map_err(|error| RenewalError::from(error).into())
}

async fn change(app: &App, admin: &RecentlyConfirmed, upload: Option<Upload>) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    // An order under way must not put its own into force afterwards.
    let _turn = app.certificate_orders.lock().await;
    app.store
        .write(move |tx| {
            acme::disable(tx)?;
            keep(tx, upload.as_ref())?;
            audit::log(tx, now, &account, Action::CertificateChanged, "")
        })
        .await
}
