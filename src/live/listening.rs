//! The listeners of a running server: which there are, how they fare, and starting and stopping them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::live::shutdown::{self, Shutdown, Trigger};

/// How a listener fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "reason")]
pub enum ListenerState {
    /// Takes connections.
    Running,
    /// Stopped by an admin.
    Stopped,
    /// Cannot listen, and why.
    Failed(String),
}

/// A listener as listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listener {
    /// The address asked for.
    pub address: SocketAddr,
    /// Whether it stands in momedo.toml or on the command line.
    pub fixed: bool,
    /// How it fares.
    #[serde(flatten)]
    pub state: ListenerState,
}

/// What a listener is for.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// Whatever the door recognises.
    Everything,
    /// Smoke clients alone.
    Smoke {
        /// Whether they must prove who they are.
        is_private: bool,
        /// Places that are free.
        free: Arc<Semaphore>,
    },
}

/// What the accept loop is given.
pub struct Started {
    /// What it is for.
    pub purpose: Purpose,
    /// A bound listener.
    pub listener: TcpListener,
    /// When to stop.
    pub stop: Shutdown,
    /// Dropped once the listener is closed.
    pub closed: oneshot::Sender<Infallible>,
}

struct Entry {
    listener: Listener,
    stop: Option<(Trigger, oneshot::Receiver<Infallible>)>,
}

/// Every listener of this server.
#[derive(Default)]
pub struct Listeners {
    entries: Mutex<Vec<Entry>>,
    start: Mutex<Option<mpsc::UnboundedSender<Started>>>,
    changed: watch::Sender<u64>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; is another server running there?")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: std::io::Error,
}

/// Binds the addresses to serve on; port 0 takes a free one.
///
/// # Errors
/// [`BindError`] names the address.
pub async fn bind(listen: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for address in listen {
        let failed = |source| BindError { address: *address, source };
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

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of every listener that starts or stops.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// What the accept loop takes started listeners from; a later call replaces an earlier one.
    pub fn take_started(&self) -> mpsc::UnboundedReceiver<Started> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Hands what is started to whoever takes it from `other`.
    pub fn start_through(&self, other: &Self) {
        let sender = other.start.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }

    /// Starts a bound listener, adding it or taking the place of one that does not run.
    pub fn run(&self, address: SocketAddr, fixed: bool, bound: TcpListener) {
        self.run_for(address, fixed, bound, Purpose::Everything);
    }

    /// The same, for a purpose.
    pub fn run_for(&self, address: SocketAddr, fixed: bool, bound: TcpListener, purpose: Purpose) {
        let (trigger, stop) = shutdown::channel();
        let (closed, is_closed) = oneshot::channel();
        self.put(Listener { address, fixed, state: ListenerState::Running }, Some((trigger, is_closed)));
        if let Some(start) = &*self.start.lock().unwrap_or_else(PoisonError::into_inner) {
            // The accept loop is gone only when the server stops.
            let _: Result<_, _> = start.send(Started { purpose, listener: bound, stop, closed });
        }
    }

    /// Notes a listener that does not run.
    pub fn note(&self, address: SocketAddr, fixed: bool, state: ListenerState) {
        self.put(Listener { address, fixed, state }, None);
    }

    fn put(&self, listener: Listener, stop: Option<(Trigger, oneshot::Receiver<Infallible>)>) {
        let mut entries = self.lock();
        match entries.iter_mut().find(|entry| entry.listener.address == listener.address) {
            // Replacing it would drop its trigger, which stops it.
            Some(entry) if entry.stop.is_some() && stop.is_none() => {}
            Some(entry) => *entry = Entry { listener, stop },
            None => entries.push(Entry { listener, stop }),
        }
        drop(entries);
        self.note_change();
    }

    /// Stops a listener and waits until its address is free; connections it took go on.
    pub async fn stop(&self, address: SocketAddr) {
        let running = {
            let mut entries = self.lock();
            let entry = entries.iter_mut().find(|entry| entry.listener.address == address);
            entry.and_then(|entry| {
                entry.listener.state = ListenerState::Stopped;
                entry.stop.take()
            })
        };
        self.note_change();
        if let Some((trigger, closed)) = running {
            trigger.raise();
            // An error is what the other end says by going away.
            let _: Result<_, _> = closed.await;
        }
    }

    /// Forgets a listener, stopping it first.
    pub fn remove(&self, address: SocketAddr) {
        self.lock().retain(|entry| entry.listener.address != address);
        self.note_change();
    }

    /// Every listener.
    pub fn list(&self) -> Vec<Listener> {
        self.lock().iter().map(|entry| entry.listener.clone()).collect()
    }

    /// Addresses that take connections.
    pub fn running(&self) -> Vec<SocketAddr> {
        let running = |listener: &Listener| listener.state == ListenerState::Running;
        self.list().into_iter().filter(running).map(|listener| listener.address).collect()
    }
}
