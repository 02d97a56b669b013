//! Everything a use case may need, behind one cheap clone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::rsa_private_key::RsaPrivateKey;

use momedo_protocol::invite::InviteCode;
use momedo_protocol::time::UnixMillis;
use tokio::sync::Semaphore;

use crate::domain::limits::MAX_LARGE_BODIES;
use crate::links::Links;
use crate::live::activity::Activity;
use crate::live::counts::Counts;
use crate::live::device_links::DeviceLinks;
use crate::live::exports::Exports;
use crate::live::half_log_ins::HalfLogIns;
use crate::live::hub::Hub;
use crate::live::key_log::KeyLog;
use crate::live::listening::Listeners;
use crate::live::memory::{Memory, Shares};
use crate::live::nearby::Nearby;
use crate::live::pending_bundles::PendingBundles;
use crate::live::previews::Previews;
use crate::live::printed::Printed;
use crate::live::rates::Rates;
use crate::live::sessions::Sessions;
use crate::live::shutdown::Trigger;
use crate::live::staff_sessions::StaffSessions;
use crate::live::uploads::Uploads;
use crate::settings::config::Config;
use crate::smoke_hub::SmokeHub;
use crate::store::Store;
use crate::surroundings::clock::Clock;
use crate::tls::Certificates;

/// The parts of a running server.
pub struct App {
    /// Settings in force, and those of momedo.toml alone.
    config: RwLock<Arc<Config>>,
    file_config: Config,
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
    /// Devices that are being linked.
    pub device_links: DeviceLinks,
    /// Bundles offered and not proved yet.
    pub pending_bundles: PendingBundles,
    /// Certificates in force.
    pub certificates: Certificates,
    /// Who is connected with the Smoke app.
    pub smoke: SmokeHub,
    /// One at a time reads what Smoke frames are recognised by.
    pub smoke_reload: tokio::sync::Mutex<()>,
    /// The identity key.
    pub identity: Arc<RsaPrivateKey>,
    /// Fingerprint of the identity key.
    pub fingerprint: Fingerprint,
    /// Who is logged in on the admin pages.
    pub staff_sessions: StaffSessions,
    /// What the set-up asks for while there is no account; drawn anew at each start.
    pub set_up_code: InviteCode,
    /// Client hellos that may be answered at once.
    pub handshake_turns: Semaphore,
    /// Passwords that may be checked at once: each takes 19 MiB for a while.
    pub password_checks: Semaphore,
    /// Postings with large bodies that may be read at once.
    pub large_bodies: Semaphore,
    /// What others have not taken yet.
    pub memory: Arc<Memory>,
    /// Exports that run.
    pub exports: Exports,
    /// Uploads of attachments that run.
    pub uploads: Uploads,
    /// The neighbours that are connected.
    pub links: Arc<Links>,
    /// Servers that say they are in the local network.
    pub nearby: Nearby,
    /// The log of key changes, as far as it is in memory.
    pub key_log: KeyLog,
    /// The listeners.
    pub listeners: Listeners,
    /// Messages by hour.
    pub activity: Activity,
    /// What failed, in numbers.
    pub counts: Counts,
    /// When all of this began; what is counted is counted from then on.
    pub started_at: UnixMillis,
    /// Class lists that were looked at and not imported yet.
    pub previews: Previews,
    /// Passwords that wait for their one-time password.
    pub half_log_ins: HalfLogIns,
    /// Invite cards that were just made.
    pub printed: Printed,
    /// The server in numbers as JSON, shared by whoever looks.
    pub recent_status: tokio::sync::Mutex<Option<(std::time::Duration, serde_json::Value)>>,
    /// One certificate is ordered, or exchanged for another, at a time.
    pub certificate_orders: tokio::sync::Mutex<()>,
    /// Wakes whoever orders certificates.
    pub certificate_wanted: tokio::sync::Notify,
    /// Where the pages are on loopback, if they are there.
    pub local_pages: Mutex<Option<String>>,
    /// A prepared restore that waits for its confirmation: its ID, and when the backup was made.
    pub staged_restore: Mutex<Option<(String, Option<UnixMillis>)>>,
    /// Ends the server, once it serves.
    pub stop: Mutex<Option<Trigger>>,
    /// Whether it is to start again then.
    restarts: AtomicBool,
}

/// What handlers and background loops hold.
pub type AppState = Arc<App>;

impl App {
    /// Puts the parts together; `config` is what is in force over `file_config`.
    pub fn new(
        file_config: Config,
        config: Config,
        store: Store,
        hub: Arc<Hub>,
        clock: Clock,
        certificates: Certificates,
        identity: RsaPrivateKey,
    ) -> AppState {
        let fingerprint = identity.public().fingerprint();
        let memory = Memory::new(Shares::of(config.listen.max_unread_bytes));
        let started_at = clock.now();
        Arc::new(Self {
            rates: Rates::new(&config.rates),
            config: RwLock::new(Arc::new(config)),
            file_config,
            store,
            hub,
            clock: clock.clone(),
            sessions: Sessions::default(),
            device_links: DeviceLinks::default(),
            pending_bundles: PendingBundles::default(),
            certificates,
            smoke: SmokeHub::default(),
            smoke_reload: tokio::sync::Mutex::default(),
            identity: Arc::new(identity),
            fingerprint,
            staff_sessions: StaffSessions::default(),
            set_up_code: InviteCode::random(),
            handshake_turns: crate::tls::door::turns(),
            password_checks: Semaphore::new(2),
            large_bodies: Semaphore::new(MAX_LARGE_BODIES),
            memory,
            exports: Exports::default(),
            uploads: Uploads::default(),
            links: Arc::new(Links::new(fingerprint, clock)),
            nearby: Nearby::default(),
            key_log: KeyLog::default(),
            listeners: Listeners::default(),
            activity: Activity::default(),
            counts: Counts::default(),
            started_at,
            previews: Previews::default(),
            half_log_ins: HalfLogIns::default(),
            printed: Printed::default(),
            recent_status: tokio::sync::Mutex::default(),
            certificate_orders: tokio::sync::Mutex::default(),
            certificate_wanted: tokio::sync::Notify::new(),
            local_pages: Mutex::default(),
            staged_restore: Mutex::default(),
            stop: Mutex::default(),
            restarts: AtomicBool::new(false),
        })
    }

    /// Ends the server.
    pub fn end(&self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(trigger) = stop {
            trigger.raise();
        }
    }

    /// Ends the server, and has it start again.
    pub fn restart(&self) {
        self.restarts.store(true, Ordering::SeqCst);
        self.end();
    }

    /// Takes a restart back: whoever asks the process to stop means it.
    pub fn stay_down(&self) {
        self.restarts.store(false, Ordering::SeqCst);
    }

    /// Whether the server is to start again after it ended.
    pub fn restarts(&self) -> bool {
        self.restarts.load(Ordering::SeqCst)
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The settings of momedo.toml and the command line alone.
    pub fn file_config(&self) -> &Config {
        &self.file_config
    }

    /// Puts other settings into force.
    pub fn change_config(&self, config: Config) {
        self.rates.change(&config.rates);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}
