//! Bundles that were offered and wait for their proof of possession, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::possession::PossessionAnswer;

use crate::domain::limits::{CHALLENGE, MAX_PENDING_BUNDLE_BYTES, MAX_PENDING_BUNDLES};

/// A bundle that waits for its proof of possession.
pub struct PendingBundle {
    /// What the proof is asked for by.
    pub challenge_id: String,
    /// The right answer.
    pub answer: PossessionAnswer,
    /// When it was offered, on the clock that nobody sets.
    pub offered: Duration,
    /// The bundle.
    pub bundle: KeyBundle,
    /// The bundle as it was signed.
    pub jws: Jws,
    /// The device list that came with it.
    pub device_list: Option<(Jws, DeviceListPayload)>,
    /// Whether its signature key is another than before.
    pub changes_signature_key: bool,
}

impl PendingBundle {
    /// The bytes it takes, roughly: what was signed, and as much again for what was read out of it.
    fn size(&self) -> usize {
        let list = self.device_list.as_ref().map_or(0, |(jws, _)| jws.size());
        2 * (self.jws.size() + list)
    }
}

/// Bundles offered and not proved yet, at most one per participant.
#[derive(Default)]
pub struct PendingBundles(Mutex<HashMap<ParticipantId, PendingBundle>>);

impl PendingBundles {
    /// Keeps a bundle; false when too many wait already, or too much.
    #[must_use]
    pub fn put(&self, id: ParticipantId, pending: PendingBundle, now: Duration) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What the same participant offered before gives way.
        all.remove(&id);
        let has_room = |all: &HashMap<ParticipantId, PendingBundle>| {
            let bytes = all.values().map(PendingBundle::size).sum::<usize>();
            all.len() < MAX_PENDING_BUNDLES && bytes + pending.size() <= MAX_PENDING_BUNDLE_BYTES
        };
        if !has_room(&all) {
            all.retain(|_, other| now.saturating_sub(other.offered) <= CHALLENGE);
            if !has_room(&all) {
                return false;
            }
        }
        all.insert(id, pending);
        true
    }

    /// Takes a bundle out. One answer per challenge: a wrong one ends it.
    pub fn take(&self, id: ParticipantId, challenge_id: &str, now: Duration) -> Option<PendingBundle> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = all.get(&id)?;
        if pending.challenge_id != challenge_id {
            return None;
        }
        all.remove(&id).filter(|pending| now.saturating_sub(pending.offered) <= CHALLENGE)
    }
}
