//! Trying again, for as long as something moves.

use std::time::Duration;

use web_time::Instant;

use crate::ClientError;
use crate::platform::Platform;

/// Pauses between tries: they double from the first to the longest, and begin anew with every progress.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Waits between tries, and gives up when nothing moved for too long.
pub(super) struct Patience {
    pub(super) wait: Duration,
    moved_at: Instant,
    place: u64,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, moved_at: Instant::now(), place: 0, pause: PAUSES.0 }
    }

    pub(super) fn reached(&mut self, place: u64) {
        if place > self.place {
            *self = Self { place, ..Self::new(self.wait) };
        }
    }

    /// Waits before the next try, unless `error` is final or the time is up.
    pub(super) async fn after(&mut self, platform: &Platform, error: ClientError) -> Result<(), ClientError> {
        if !error.is_temporary() || self.moved_at.elapsed() + self.pause > self.wait {
            return Err(error);
        }
        platform.wait(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }
}
