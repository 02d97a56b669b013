//! How many messages were accepted in each of the last 24 hours, in memory: for the overview's graph.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Hours that are remembered.
pub const HOURS: usize = 24;

/// Counts by hour since the start of the server.
#[derive(Default)]
pub struct Activity(Mutex<State>);

#[derive(Default)]
struct State {
    hour: u64,
    counts: [u64; HOURS],
}

impl State {
    fn advance(&mut self, now: Duration) {
        let hour = now.as_secs() / 3600;
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
    pub fn count(&self, now: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now);
        state.counts[HOURS - 1] += 1;
    }

    /// The counts, oldest hour first; the last is the hour that is passing.
    pub fn by_hour(&self, now: Duration) -> [u64; HOURS] {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now);
        state.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_move_on_and_old_ones_fall_out() {
        let activity = Activity::default();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        activity.count(hours(0));
        activity.count(hours(0));
        activity.count(hours(2));
        let counts = activity.by_hour(hours(3));
        assert_eq!(counts[HOURS - 4..], [2, 0, 1, 0]);
        assert_eq!(activity.by_hour(hours(100)), [0; HOURS]);
    }
}
