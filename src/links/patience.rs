//! How long participants have waited for neighbours lately.

use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;

use super::{Links, lock};
use crate::domain::patience::{Allowance, CALLS, Patience, QUESTIONS};

/// Pairs of neighbour and participant remembered; both are known here, so nobody makes them up.
const REMEMBERED: usize = 50_000;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waits {
    /// The word who lives where, or who keeps what.
    Questions,
    /// What another home does.
    Calls,
}

impl Waits {
    fn allowance(self) -> Allowance {
        match self {
            Self::Questions => QUESTIONS,
            Self::Calls => CALLS,
        }
    }
}

impl Links {
    /// How long a participant's request waits for a neighbour's answer that may take `most`.
    pub fn patience(
        &self,
        waits: Waits,
        neighbour: Fingerprint,
        participant: ParticipantId,
        most: Duration,
        now: Duration,
    ) -> Duration {
        let mut all = lock(&self.patience);
        match all.get_mut(&(waits, neighbour, participant)) {
            Some(patience) => patience.time(waits.allowance(), most, now),
            None => waits.allowance().most.min(most),
        }
    }

    /// Notes that it waited so long.
    pub fn waited(
        &self,
        waits: Waits,
        neighbour: Fingerprint,
        participant: ParticipantId,
        time: Duration,
        answered: bool,
        now: Duration,
    ) {
        let mut all = lock(&self.patience);
        if all.len() >= REMEMBERED {
            all.retain(|(waits, ..), patience| !patience.is_whole(waits.allowance(), now));
            if all.len() >= REMEMBERED {
                all.clear();
            }
        }
        let whole = || Patience::whole(waits.allowance(), now);
        let patience = all.entry((waits, neighbour, participant)).or_insert_with(whole);
        patience.waited(waits.allowance(), time, answered, now);
    }
}
