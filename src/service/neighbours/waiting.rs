//! Waiting for neighbours: on behalf of a participant for so long in all, so that one that is slow on purpose holds
//! nobody up with many things to ask about.

use std::collections::HashMap;
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use tokio::time::Instant;

use crate::links::Waits;
use crate::state::App;

/// Neighbours that were asked something together.
pub(super) struct Waiting<'a> {
    app: &'a App,
    waits: Waits,
    /// Who has to wait; `None`: nobody who could be held up.
    participant: Option<ParticipantId>,
    begun: Instant,
    /// How long each may take.
    most: Duration,
    /// How long each of those is waited for that have not answered.
    times: HashMap<Fingerprint, Duration>,
    /// Whether somebody told what was asked for: then the others kept nobody from it.
    is_told: bool,
}

impl<'a> Waiting<'a> {
    /// Begins to wait, for each at most `most`.
    pub(super) fn begin(
        app: &'a App,
        waits: Waits,
        participant: Option<ParticipantId>,
        neighbours: &[Fingerprint],
        most: Duration,
    ) -> Self {
        let now = app.clock.elapsed();
        let time = |neighbour: &Fingerprint| {
            participant.map_or(most, |who| app.links.patience(waits, *neighbour, who, most, now))
        };
        let times = neighbours.iter().map(|neighbour| (*neighbour, time(neighbour))).collect();
        Self { app, waits, participant, begun: Instant::now(), most, times, is_told: false }
    }

    /// When nobody is waited for any more.
    pub(super) fn until(&self) -> Instant {
        self.begun + self.times.values().max().copied().unwrap_or_default()
    }

    /// Whether nobody is left to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.times.values().all(|time| time.is_zero())
    }

    /// Whether all that have not answered were given all the time they may take.
    pub(super) fn is_whole(&self) -> bool {
        all_whole(self.times.values(), self.most)
    }

    /// Whether nobody was silent.
    pub(super) fn have_all_answered(&self) -> bool {
        self.times.is_empty()
    }

    /// Notes that one is done.
    pub(super) fn answered(&mut self, neighbour: Fingerprint) {
        if let Some(time) = self.times.remove(&neighbour) {
            self.pay(neighbour, self.begun.elapsed().min(time), true);
        }
    }

    /// Notes that what was asked for was told.
    pub(super) fn told(&mut self) {
        self.is_told = true;
    }

    fn pay(&self, neighbour: Fingerprint, time: Duration, answered: bool) {
        if let Some(who) = self.participant {
            self.app.links.waited(self.waits, neighbour, who, time, answered, self.app.clock.elapsed());
        }
    }
}

impl Drop for Waiting<'_> {
    /// Whoever has not answered until now has let somebody wait, also somebody who gave up.
    fn drop(&mut self) {
        let waited = self.begun.elapsed();
        for (neighbour, time) in &self.times {
            self.pay(*neighbour, waited.min(*time), self.is_told);
        }
    }
}

fn all_whole<'a>(mut times: impl Iterator<Item = &'a Duration>, most: Duration) -> bool {
    times.all(|time| *time >= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_given_less_time_makes_the_waiting_less_than_whole() {
        let [most, less] = [Duration::from_secs(4), Duration::from_millis(300)];
        assert!(all_whole([].iter(), most), "all have answered");
        assert!(all_whole([most, most].iter(), most));
        assert!(!all_whole([most, less].iter(), most));
        assert!(!all_whole([Duration::ZERO].iter(), most));
    }
}
