//! Time, from the system or from a test.
//!
//! Two readings that must not be confused: [`Clock::now`] is what a clock on the wall shows and may
//! jump; [`Clock::elapsed`] only ever grows. Expiry, rates and time-outs go by the second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use momedo_protocol::time::UnixMillis;

/// Where the server's time comes from; one cheap clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    Manual(Arc<ManualTime>),
}

/// Milliseconds that passed, and what the wall shows when none have.
#[derive(Debug)]
struct ManualTime {
    elapsed: AtomicU64,
    wall: AtomicU64,
}

impl Clock {
    /// The operating system's time.
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands still until [`Clock::advance`] is called; starts in 2026.
    pub fn manual() -> Self {
        let wall = AtomicU64::new(1_790_000_000_000);
        Self(Source::Manual(Arc::new(ManualTime { elapsed: AtomicU64::new(0), wall })))
    }

    /// Moves a manual clock forward; does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(time) = &self.0 {
            time.elapsed.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    /// Sets what a manual clock's wall shows now, while no time passes; does nothing to the system's.
    pub fn set_wall(&self, now: UnixMillis) {
        if let Source::Manual(time) = &self.0 {
            time.wall.store(now.0.wrapping_sub(time.elapsed.load(Ordering::SeqCst)), Ordering::SeqCst);
        }
    }

    /// What the clock on the wall shows.
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Source::Manual(time) => {
                let (wall, elapsed) = (&time.wall, &time.elapsed);
                UnixMillis(wall.load(Ordering::SeqCst).wrapping_add(elapsed.load(Ordering::SeqCst)))
            }
        }
    }

    /// Time since this clock was made; never goes back.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System(start) => start.elapsed(),
            Source::Manual(time) => Duration::from_millis(time.elapsed.load(Ordering::SeqCst)),
        }
    }
}
