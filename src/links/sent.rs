//! What was sent lately, so that it is not sent again before some time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::BatchId;

use super::{Links, lock};
use crate::store::OutgoingKey;

/// Batches whose envelopes are remembered, for the case that a server on the way cannot deliver them.
const SENT_BATCHES: usize = 10_000;

/// What was sent and need not be sent again before some time.
#[derive(Default)]
pub(super) struct Sent {
    envelopes: HashMap<OutgoingKey, Duration>,
    batches: HashMap<BatchId, Duration>,
    contents: HashMap<BatchId, Vec<OutgoingKey>>,
    order: VecDeque<BatchId>,
    /// Batches that a neighbour could not take yet.
    busy: HashMap<Fingerprint, HashSet<BatchId>>,
}

impl Links {
    /// Whether an envelope may be sent (again) now.
    pub fn is_due(&self, key: &OutgoingKey, now: Duration) -> bool {
        lock(&self.sent).envelopes.get(key).is_none_or(|not_before| *not_before <= now)
    }

    /// Whether a batch that passes through may be sent (again) now.
    pub fn is_batch_due(&self, batch: &BatchId, now: Duration) -> bool {
        lock(&self.sent).batches.get(batch).is_none_or(|not_before| *not_before <= now)
    }

    /// Notes that envelopes are on their way in a batch, and when they may be sent again.
    pub fn note_sent(&self, batch: BatchId, keys: &[OutgoingKey], not_before: Duration) {
        let mut sent = lock(&self.sent);
        for key in keys {
            sent.envelopes.insert(*key, not_before);
        }
        if sent.contents.insert(batch, keys.to_vec()).is_none() {
            sent.order.push_back(batch);
        }
        if sent.order.len() > SENT_BATCHES
            && let Some(oldest) = sent.order.pop_front()
        {
            sent.contents.remove(&oldest);
        }
    }

    /// Notes that a batch that passes through was sent, and when it may be sent again.
    pub fn note_relayed(&self, batch: BatchId, not_before: Duration) {
        lock(&self.sent).batches.insert(batch, not_before);
    }

    /// Lets a batch be sent again from some time on: with its envelopes, if it is from here.
    pub fn postpone(&self, batch: &BatchId, not_before: Duration) {
        let mut sent = lock(&self.sent);
        if let Some(known) = sent.batches.get_mut(batch) {
            *known = not_before;
        }
        for key in sent.contents.get(batch).cloned().unwrap_or_default() {
            if let Some(known) = sent.envelopes.get_mut(&key) {
                *known = not_before;
            }
        }
    }

    /// Lets a batch be sent again from some time on, or as soon as the neighbour takes more.
    pub fn note_busy(&self, neighbour: Fingerprint, batch: BatchId, not_before: Duration) {
        self.postpone(&batch, not_before);
        let mut sent = lock(&self.sent);
        let busy = sent.busy.entry(neighbour).or_default();
        if busy.len() < SENT_BATCHES {
            busy.insert(batch);
        }
    }

    /// Lets everything be sent again now that a neighbour could not take.
    pub fn takes_more(&self, neighbour: Fingerprint, now: Duration) {
        let busy = lock(&self.sent).busy.remove(&neighbour);
        for batch in busy.into_iter().flatten() {
            self.postpone(&batch, now);
        }
        self.wake_anew(neighbour);
    }

    /// The envelopes of a batch from here, as far as they are remembered.
    pub fn contents(&self, batch: &BatchId) -> Vec<OutgoingKey> {
        lock(&self.sent).contents.get(batch).cloned().unwrap_or_default()
    }

    /// Lets an envelope be sent again from some time on.
    pub fn postpone_envelope(&self, key: OutgoingKey, not_before: Duration) {
        lock(&self.sent).envelopes.insert(key, not_before);
    }

    /// Forgets an envelope that has arrived, or will not.
    pub fn forget_envelope(&self, key: &OutgoingKey) {
        lock(&self.sent).envelopes.remove(key);
        self.note_arrival(key);
    }

    /// Forgets a batch that was answered.
    pub fn forget_batch(&self, batch: &BatchId) {
        lock(&self.sent).batches.remove(batch);
    }
}

#[cfg(test)]
mod tests {
    use momedo_protocol::id::ParticipantId;
    use momedo_protocol::message_id::MessageId;

    use super::*;
    use crate::surroundings::clock::Clock;

    #[test]
    fn what_a_neighbour_could_not_take_goes_as_soon_as_it_takes_more() {
        let links = Links::new(Fingerprint([0; 32]), Clock::manual());
        let [one, other] = [1, 2].map(|byte| Fingerprint([byte; 32]));
        let key = |byte| OutgoingKey {
            sender: ParticipantId::from_number(1).unwrap(),
            message_id: MessageId([byte; 16]),
            recipient: ParticipantId::from_number(2).unwrap(),
            group: None,
        };
        let (now, later) = (Duration::from_secs(10), Duration::from_secs(400));
        for (neighbour, byte) in [(one, 1), (other, 2)] {
            let batch = BatchId([byte; 32]);
            links.note_sent(batch, &[key(byte)], later);
            links.note_busy(neighbour, batch, later);
        }
        assert!(!links.is_due(&key(1), now) && !links.is_due(&key(2), now));
        links.takes_more(one, now);
        assert!(links.is_due(&key(1), now));
        assert!(!links.is_due(&key(2), now), "another neighbour's");
    }
}
