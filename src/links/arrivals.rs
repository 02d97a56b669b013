//! Whoever waits for the word that an envelope has arrived at another home.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use tokio::sync::oneshot;

use super::{Links, lock};
use crate::store::OutgoingKey;

/// How long nobody waits for a home whose word was late: it is not to hold up every message.
const REST: Duration = Duration::from_secs(10);

/// Those who wait, by what they wait for.
pub(super) type Arrivals = Mutex<HashMap<OutgoingKey, Vec<oneshot::Sender<()>>>>;

/// Somebody waits for the word that an envelope has arrived.
pub struct Arrival {
    links: Arc<Links>,
    key: OutgoingKey,
    word: oneshot::Receiver<()>,
}

impl Arrival {
    /// Waits for it.
    pub async fn wait(mut self) {
        // Whoever would give the word never goes before the links do.
        let _: Result<_, _> = (&mut self.word).await;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.word.close();
        let mut arrivals = lock(&self.links.arrivals);
        if let Some(waiting) = arrivals.get_mut(&self.key) {
            waiting.retain(|waiting| !waiting.is_closed());
            if waiting.is_empty() {
                arrivals.remove(&self.key);
            }
        }
    }
}

impl Links {
    /// Waits from now on for the word that an envelope has arrived, or will not.
    pub fn expect(self: &Arc<Self>, key: OutgoingKey) -> Arrival {
        let (give, word) = oneshot::channel();
        lock(&self.arrivals).entry(key).or_default().push(give);
        Arrival { links: self.clone(), key, word }
    }

    /// Whether somebody waits for the word of this home: not shortly after it was late.
    pub fn is_waited_for(&self, home: Fingerprint, now: Duration) -> bool {
        lock(&self.slow).get(&home).is_none_or(|until| *until <= now)
    }

    /// Notes that the word of this home was late.
    pub fn note_late(&self, home: Fingerprint, now: Duration) {
        lock(&self.slow).insert(home, now + REST);
    }

    /// Gives the word.
    pub(super) fn note_arrival(&self, key: &OutgoingKey) {
        for waiting in lock(&self.arrivals).remove(key).unwrap_or_default() {
            // Whoever waited may have given up.
            let _: Result<_, _> = waiting.send(());
        }
    }
}
