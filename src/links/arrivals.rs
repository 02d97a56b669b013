//! Whoever waits for the word that an envelope has arrived at another home.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::{Links, lock};
use crate::store::OutgoingKey;

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

    /// Gives the word.
    pub(super) fn note_arrival(&self, key: &OutgoingKey) {
        for waiting in lock(&self.arrivals).remove(key).unwrap_or_default() {
            // Whoever waited may have given up.
            let _: Result<_, _> = waiting.send(());
        }
    }
}
