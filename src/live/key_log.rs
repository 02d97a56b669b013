//! What of the key log is in memory: its signed head, who waits for changes, and what is being worked on. Entries are
//! in the store, and what they mean in [`crate::service::key_log`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    following: Mutex<HashMap<Fingerprint, watch::Receiver<()>>>,
}

/// Following a neighbour's log, which nobody else does meanwhile.
pub struct Following<'a> {
    log: &'a KeyLog,
    neighbour: Fingerprint,
    /// Nothing is sent; whoever waits hears that it is gone.
    _done: watch::Sender<()>,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.log.under_way().remove(&self.neighbour);
    }
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

    fn under_way(&self) -> MutexGuard<'_, HashMap<Fingerprint, watch::Receiver<()>>> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to follow a neighbour's log, after whoever does so already.
    pub async fn begin_following(&self, neighbour: Fingerprint) -> Following<'_> {
        loop {
            let mut others = match self.under_way().entry(neighbour) {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => {
                    let (done, receiver) = watch::channel(());
                    entry.insert(receiver);
                    return Following { log: self, neighbour, _done: done };
                }
            };
            // An error says that they are done.
            let _: Result<_, _> = others.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn each_neighbours_log_is_followed_by_one_at_a_time() {
        let log = KeyLog::default();
        let [one, other] = [1, 2].map(|number| Fingerprint([number; 32]));
        let first = log.begin_following(one).await;
        let of_other = log.begin_following(other).await;
        let mut second = pin!(log.begin_following(one));
        let mut third = pin!(log.begin_following(one));
        poll_fn(|context| {
            assert!(second.as_mut().poll(context).is_pending());
            assert!(third.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(first);
        let next = second.await;
        poll_fn(|context| {
            assert!(third.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(next);
        drop((third.await, of_other));
        assert!(log.under_way().is_empty());
    }
}
