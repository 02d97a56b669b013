//! What of the key log is in memory: its signed head, who waits for changes, and what is being worked on. Entries are
//! in the store, and what they mean in [`crate::service::key_log`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::key_log::{LogPlace, SignedHead};
use tokio::sync::{Semaphore, watch};

/// Slow hashes of IDs computed at once: each takes 8 MiB for a while.
const SUBJECTS_AT_ONCE: usize = 2;

/// The log's state in memory.
pub struct KeyLog {
    /// Bounds slow hashes of IDs.
    pub subjects: Semaphore,
    head: Mutex<Option<(LogPlace, SignedHead)>>,
    changed: watch::Sender<u64>,
    following: Mutex<HashMap<Fingerprint, Arc<tokio::sync::Mutex<()>>>>,
}

impl Default for KeyLog {
    fn default() -> Self {
        Self {
            subjects: Semaphore::new(SUBJECTS_AT_ONCE),
            head: Mutex::default(),
            changed: watch::channel(0).0,
            following: Mutex::default(),
        }
    }
}

impl KeyLog {
    /// The signed head of this place, if it was signed in this run.
    pub fn signed(&self, place: LogPlace) -> Option<SignedHead> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        head.as_ref().filter(|(of, _)| *of == place).map(|(_, head)| head.clone())
    }

    /// Keeps the newest signed head: one signature serves everybody who asks.
    pub fn keep(&self, place: LogPlace, signed: SignedHead) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some((place, signed));
    }

    /// Hears of every entry.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells whoever listens that there is a new entry.
    pub fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Held by whoever follows a neighbour's log: one at a time.
    pub fn following(&self, neighbour: Fingerprint) -> Arc<tokio::sync::Mutex<()>> {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        following.entry(neighbour).or_default().clone()
    }
}
