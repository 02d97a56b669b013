//! How many messages were accepted in each of the last 24 hours: for the overview's chart. In memory; what is kept of it
//! over a restart is [`Kept`].

use std::sync::{Mutex, PoisonError};

use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// Hours that are remembered.
pub const HOURS: usize = 24;

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

/// Counts by hour of the clock on the wall.
#[derive(Default)]
pub struct Activity(Mutex<Kept>);

/// The counts as they are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The hour of the last count, since 1970.
    hour: u64,
    /// Oldest hour first.
    counts: [u64; HOURS],
    /// Since the start; not kept, since a total that is a little less after a kill -9 reads as a new beginning.
    #[serde(skip)]
    total: u64,
}

impl Kept {
    fn advance(&mut self, now: UnixMillis) {
        let hour = now.0 / HOUR;
        // A clock that was far ahead would keep everything in one hour until it is that late.
        if hour + (HOURS as u64) < self.hour {
            (self.hour, self.counts) = (hour, [0; HOURS]);
        }
        // One that was set back a little goes on in the hour that is passing.
        let passed = usize::try_from(hour.saturating_sub(self.hour)).unwrap_or(HOURS).min(HOURS);
        if passed > 0 {
            self.counts.rotate_left(passed);
            self.counts[HOURS - passed..].fill(0);
            self.hour = hour;
        }
    }
}

impl Activity {
    /// Counts an accepted message.
    pub fn count(&self, now: UnixMillis) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now);
        state.counts[HOURS - 1] = state.counts[HOURS - 1].saturating_add(1);
        state.total += 1;
    }

    /// All that were counted since the start of the server.
    pub fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// The counts, oldest hour first; the last is the hour that is passing.
    pub fn by_hour(&self, now: UnixMillis) -> [u64; HOURS] {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now);
        state.counts
    }

    /// What is to be kept.
    pub fn kept(&self) -> Kept {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins with what was kept.
    pub fn begin_with(&self, kept: Kept) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: u64) -> UnixMillis {
        UnixMillis(hours * HOUR + 1)
    }

    #[test]
    fn hours_move_on_and_old_ones_fall_out() {
        let activity = Activity::default();
        activity.count(hours(1000));
        activity.count(hours(1000));
        activity.count(hours(1002));
        let counts = activity.by_hour(hours(1003));
        assert_eq!(counts[HOURS - 4..], [2, 0, 1, 0]);
        assert_eq!(activity.by_hour(hours(1100)), [0; HOURS]);
        assert_eq!(activity.total(), 3, "a total never falls");
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_loses_nothing() {
        let activity = Activity::default();
        activity.count(hours(1000));
        activity.count(hours(998));
        assert_eq!(activity.by_hour(hours(1000))[HOURS - 1], 2);
    }

    #[test]
    fn a_clock_that_was_years_ahead_spoils_the_chart_only_until_it_is_right() {
        let activity = Activity::default();
        activity.count(hours(90_000));
        activity.count(hours(1000));
        activity.count(hours(1001));
        assert_eq!(activity.by_hour(hours(1001))[HOURS - 2..], [1, 1]);
    }

    #[test]
    fn what_was_kept_is_gone_on_with() {
        let (before, after) = (Activity::default(), Activity::default());
        before.count(hours(1000));
        let text = serde_json::to_vec(&before.kept()).unwrap();
        after.begin_with(serde_json::from_slice(&text).unwrap());
        after.count(hours(1001));
        assert_eq!(after.by_hour(hours(1001))[HOURS - 2..], [1, 1]);
    }
}
