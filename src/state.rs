//! Everything a use case may need, behind one cheap clone.

use std::sync::Arc;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::rsa_private_key::RsaPrivateKey;

use crate::clock::Clock;
use crate::config::Config;
use crate::hub::Hub;
use crate::rates::Rates;
use crate::service::key_server::PendingBundles;
use crate::sessions::Sessions;
use crate::store::Store;

/// The parts of a running server.
pub struct App {
    /// Settings.
    pub config: Config,
    /// Everything on disk.
    pub store: Store,
    /// Who is connected.
    pub hub: Arc<Hub>,
    /// Time.
    pub clock: Clock,
    /// Who is logged in.
    pub sessions: Sessions,
    /// How often anybody did anything.
    pub rates: Rates,
    /// Bundles offered and not proved yet.
    pub pending_bundles: PendingBundles,
    /// The identity key.
    pub identity: RsaPrivateKey,
    /// Fingerprint of the identity key.
    pub fingerprint: Fingerprint,
}

/// What handlers and background loops hold.
pub type AppState = Arc<App>;

impl App {
    /// Puts the parts together.
    pub fn new(
        config: Config,
        store: Store,
        hub: Arc<Hub>,
        clock: Clock,
        identity: RsaPrivateKey,
    ) -> AppState {
        let fingerprint = identity.public().fingerprint();
        Arc::new(Self {
            rates: Rates::new(&config.rates),
            config,
            store,
            hub,
            clock,
            sessions: Sessions::default(),
            pending_bundles: PendingBundles::default(),
            identity,
            fingerprint,
        })
    }
}
