//! Uploads that run: one at a time for each blob, few for each participant.
//!
//! A client that resumes may come before the server has noticed that the old line is dead. So whoever comes last has
//! the turn: the upload before it is told, keeps what it has, and ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use momedo_protocol::blob::BlobId;
use momedo_protocol::id::ParticipantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::domain::limits::{MAX_UPLOADS, MAX_UPLOADS_PER_PARTICIPANT};

/// How long an upload that was overtaken may take to put what it has on the disk.
const HANDOVER: Duration = Duration::from_secs(20);

/// Every upload that runs.
#[derive(Default)]
pub struct Uploads {
    blobs: Arc<Mutex<HashMap<BlobId, Arc<Running>>>>,
    participants: Arc<Mutex<HashMap<ParticipantId, usize>>>,
}

struct Running {
    /// One permit: who has it writes.
    turn: Arc<Semaphore>,
    /// Counts who came.
    arrivals: watch::Sender<u64>,
}

/// The right to write a blob.
pub struct Turn {
    blobs: Arc<Mutex<HashMap<BlobId, Arc<Running>>>>,
    id: BlobId,
    running: Arc<Running>,
    arrivals: watch::Receiver<u64>,
    permit: Option<OwnedSemaphorePermit>,
}

/// A place among the uploads that run.
pub struct Slot {
    participants: Arc<Mutex<HashMap<ParticipantId, usize>>>,
    participant: ParticipantId,
}

impl Uploads {
    /// Takes the turn for a blob from whoever has it; `None` when that one does not end in time.
    pub async fn take_turn(&self, id: BlobId) -> Option<Turn> {
        let running = {
            let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Running { turn: Arc::new(Semaphore::new(1)), arrivals: watch::channel(0).0 };
            blobs.entry(id).or_insert_with(|| Arc::new(new())).clone()
        };
        running.arrivals.send_modify(|arrivals| *arrivals += 1);
        let arrivals = running.arrivals.subscribe();
        // Made first, so that giving up tidies too.
        let mut turn =
            Turn { blobs: self.blobs.clone(), id, running: running.clone(), arrivals, permit: None };
        let permit = tokio::time::timeout(HANDOVER, running.turn.clone().acquire_owned()).await;
        turn.permit = Some(permit.ok()?.ok()?);
        Some(turn)
    }

    /// A place for one more upload; `None` when the participant, or everybody together, has enough.
    pub fn begin(&self, participant: ParticipantId) -> Option<Slot> {
        let mut counts = self.participants.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= MAX_UPLOADS {
            return None;
        }
        let count = counts.entry(participant).or_default();
        if *count >= MAX_UPLOADS_PER_PARTICIPANT {
            return None;
        }
        *count += 1;
        Some(Slot { participants: self.participants.clone(), participant })
    }
}

impl Turn {
    /// Returns when somebody else came for the same blob.
    pub async fn overtaken(&mut self) {
        // The sender lives as long as this turn.
        let _: Result<_, _> = self.arrivals.changed().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Here and in the map: nobody waits.
        if Arc::strong_count(&self.running) == 2 {
            blobs.remove(&self.id);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.participants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.participant) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.participant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_last_has_the_turn() {
        let uploads = Arc::new(Uploads::default());
        let id = BlobId([1; 16]);
        let mut first = uploads.take_turn(id).await.unwrap();
        let others = uploads.clone();
        let second = tokio::spawn(async move { others.take_turn(id).await.is_some() });
        first.overtaken().await;
        drop(first);
        assert!(second.await.unwrap());
        assert!(uploads.blobs.lock().unwrap().is_empty());
    }

    #[test]
    fn a_participant_and_all_together_have_so_many_uploads() {
        let uploads = Uploads::default();
        let ada = ParticipantId::from_number(0).unwrap();
        let slots: Vec<_> = (0..MAX_UPLOADS_PER_PARTICIPANT).map(|_| uploads.begin(ada).unwrap()).collect();
        assert!(uploads.begin(ada).is_none());
        drop(slots);
        let person = |number: usize| ParticipantId::from_number(number as u64).unwrap();
        let slots: Vec<_> = (0..MAX_UPLOADS).map(|number| uploads.begin(person(number)).unwrap()).collect();
        assert!(uploads.begin(person(MAX_UPLOADS)).is_none());
        drop(slots);
        assert!(uploads.begin(ada).is_some() && uploads.participants.lock().unwrap().len() <= 1);
    }
}
