//! Sends what waits for a neighbour, a few batches at a time; the rest waits on disk, not in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::BatchId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::links::Link;
use crate::service::neighbours::sending::{self, Parcel, Place};
use crate::state::AppState;

/// Batches sent and not answered.
const WINDOW: usize = 16;

/// How often everything that waits is looked through: for what has to be repeated.
const ROUND: Duration = Duration::from_secs(20);

/// A neighbour that answers nothing for so long is as good as gone.
const PATIENCE: Duration = Duration::from_secs(120);

struct Flying {
    since: Instant,
    is_answer: bool,
    _permit: OwnedSemaphorePermit,
}

/// Parcels that a neighbour has not answered.
pub(super) struct InFlight {
    room: Arc<Semaphore>,
    parcels: Mutex<HashMap<BatchId, Flying>>,
}

impl InFlight {
    pub(super) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(WINDOW)), parcels: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BatchId, Flying>> {
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&self, parcel: &Parcel) {
        let Ok(permit) = self.room.clone().acquire_owned().await else { return };
        let flying = Flying { since: Instant::now(), is_answer: parcel.is_answer, _permit: permit };
        self.lock().insert(parcel.batch, flying);
    }

    /// Notes that a parcel was answered; true when it was itself an answer.
    pub(super) fn end(&self, batch: &BatchId) -> bool {
        self.lock().remove(batch).is_some_and(|flying| flying.is_answer)
    }

    /// Whether the neighbour has left something unanswered for too long.
    pub(super) fn is_stuck(&self) -> bool {
        self.lock().values().any(|flying| flying.since.elapsed() > PATIENCE)
    }

    /// What is unanswered when the link ends.
    pub(super) fn drain(&self) -> Vec<BatchId> {
        self.lock().drain().map(|(batch, _)| batch).collect()
    }
}

/// Sends until the link ends.
pub(super) async fn run(app: AppState, neighbour: Fingerprint, link: Arc<Link>, flying: Arc<InFlight>) {
    let mut place = Place::default();
    let mut rounds = tokio::time::interval(ROUND);
    loop {
        while link.is_paired() {
            let parcels = match sending::next(&app, neighbour, &mut place).await {
                Ok(parcels) => parcels,
                Err(error) => {
                    tracing::warn!(%error, "what waits for a neighbour cannot be read; it will be tried again");
                    break;
                }
            };
            if parcels.is_empty() {
                break;
            }
            for parcel in parcels {
                flying.start(&parcel).await;
                sending::note(&app, &parcel);
                if !link.send_bytes(parcel.frame).await {
                    return;
                }
            }
        }
        tokio::select! {
            () = link.wake.notified() => {
                if link.begins_anew() {
                    place = Place::default();
                }
            }
            _ = rounds.tick() => place = Place::default(),
        }
    }
}
