//! Memory for frames that are still coming: little for each connection at once, more only while there is some.
//!
//! Whoever's frame is larger waits for memory, and with it the other end; nothing is lost. What a frame says it will
//! need is reserved before the rest of it is read, so that two that are half there never wait for each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A piece of memory, in bytes; the first is everybody's.
const PIECE_BYTES: usize = 64 * 1024;

/// What frames larger than a piece may take in memory, in pieces, once for connections that showed that they belong
/// here and once for all others: 32 MiB each, four of the largest frames. Whoever is known does not wait for strangers.
const PIECES: usize = 512;

/// The budget.
pub struct LargeFrames {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

/// Memory of one connection; free again when dropped.
#[derive(Default)]
pub struct Reserved(Option<OwnedSemaphorePermit>);

/// No memory became free in time.
#[derive(Debug, PartialEq, Eq)]
pub struct NoMemory;

impl Default for LargeFrames {
    fn default() -> Self {
        Self { known: Arc::new(Semaphore::new(PIECES)), strangers: Arc::new(Semaphore::new(PIECES)) }
    }
}

impl LargeFrames {
    /// Waits until there is memory for so many bytes. Who has none waits as long as it takes; who has some already,
    /// because the frame grew beyond what it said, for `patience`, since others may wait for that.
    ///
    /// # Errors
    /// `NoMemory`: what was reserved still is.
    pub async fn reserve(
        &self,
        reserved: &mut Reserved,
        bytes: usize,
        is_known: bool,
        patience: Duration,
    ) -> Result<(), NoMemory> {
        let budget = match &reserved.0 {
            // Who becomes known meanwhile goes on where it began.
            Some(permit) => permit.semaphore(),
            None if is_known => &self.known,
            None => &self.strangers,
        };
        let missing = (bytes / PIECE_BYTES).min(PIECES).saturating_sub(reserved.pieces());
        let wanted = budget.clone().acquire_many_owned(u32::try_from(missing).unwrap_or(u32::MAX));
        let wanted = async { wanted.await.map_err(|_| NoMemory) };
        match &mut reserved.0 {
            Some(permit) => {
                permit.merge(tokio::time::timeout(patience, wanted).await.unwrap_or(Err(NoMemory))?);
            }
            None => reserved.0 = Some(wanted.await?),
        }
        Ok(())
    }
}

impl Reserved {
    fn pieces(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Whether so many bytes are within it.
    pub fn covers(&self, bytes: usize) -> bool {
        bytes / PIECE_BYTES <= self.pieces()
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1024 * 1024;
    const PATIENCE: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn strangers_wait_for_each_other_and_nobody_known_for_them() {
        let frames = LargeFrames::default();
        let mut strangers: Vec<Reserved> = (0..5).map(|_| Reserved::default()).collect();
        for one in &mut strangers[..4] {
            frames.reserve(one, 8 * MIB, false, PATIENCE).await.unwrap();
            assert!(one.covers(8 * MIB) && !one.covers(9 * MIB));
        }
        let mut fifth = strangers.pop().unwrap();
        assert!(frames.reserve(&mut fifth, 100 * 1024, false, PATIENCE).now_or_never().is_none());
        // A small frame needs nothing.
        assert!(fifth.covers(PIECE_BYTES - 1));
        let mut known: Vec<Reserved> = (0..4).map(|_| Reserved::default()).collect();
        for one in &mut known {
            frames.reserve(one, 8 * MIB, true, PATIENCE).await.unwrap();
        }
        assert!(frames.reserve(&mut Reserved::default(), MIB, true, PATIENCE).now_or_never().is_none());
        strangers[0].release();
        frames.reserve(&mut fifth, 100 * 1024, false, PATIENCE).await.unwrap();
        drop(known);
        frames.reserve(&mut Reserved::default(), MIB, true, PATIENCE).await.unwrap();
    }

    #[tokio::test]
    async fn two_that_grow_do_not_wait_for_each_other_for_ever() {
        let frames = LargeFrames::default();
        let (mut one, mut other) = (Reserved::default(), Reserved::default());
        for reserved in [&mut one, &mut other] {
            frames.reserve(reserved, 16 * MIB, true, PATIENCE).await.unwrap();
        }
        assert_eq!(frames.reserve(&mut one, 17 * MIB, true, PATIENCE).await, Err(NoMemory));
        assert!(one.covers(16 * MIB));
        other.release();
        frames.reserve(&mut one, 17 * MIB, true, PATIENCE).await.unwrap();
        assert!(one.covers(17 * MIB));
    }
}
