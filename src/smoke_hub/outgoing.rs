//! What waits to be written to one connection: answers to its own requests first, then what others sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;

/// Frames and bytes of others' traffic that may wait; the oldest goes when there is more.
const MAX_ECHOES: usize = 256;
const MAX_ECHO_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of answers beyond which no more are asked for.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What one TLS record holds, in bytes, less its frame: the app reads one at a time.
const RECORD_BYTES: usize = 16_000;

/// Frames that are written together.
#[derive(Default)]
pub struct Batch {
    /// In this order.
    pub frames: Vec<Arc<[u8]>>,
    /// Whether an answer is among them.
    pub has_answer: bool,
}

/// What waits for one connection.
pub struct Outgoing {
    queue: Mutex<Queue>,
    wake: Notify,
    is_locked: AtomicBool,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Queue {
    answers: VecDeque<Arc<[u8]>>,
    answer_bytes: usize,
    echoes: VecDeque<Arc<[u8]>>,
    echo_bytes: usize,
}

impl Outgoing {
    pub(super) fn new(is_locked: bool) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Notify::new(),
            is_locked: AtomicBool::new(is_locked),
            is_closed: AtomicBool::new(false),
        }
    }

    pub(super) fn unlock(&self) {
        self.is_locked.store(false, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether nothing but challenges may be written yet.
    pub fn is_locked(&self) -> bool {
        self.is_locked.load(Ordering::Acquire)
    }

    /// Ends it, once everything is written.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether it is to end.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Adds an answer; none is ever dropped. Whoever makes many asks [`Outgoing::has_room`] first.
    pub fn push_answer(&self, frame: Arc<[u8]>) {
        let mut queue = lock(&self.queue);
        queue.answer_bytes += frame.len();
        queue.answers.push_back(frame);
        drop(queue);
        self.wake.notify_one();
    }

    /// Whether the other end keeps up with its answers.
    pub fn has_room(&self) -> bool {
        lock(&self.queue).answer_bytes < MAX_ANSWER_BYTES
    }

    /// Adds somebody else's frame, dropping the oldest of too many.
    pub(super) fn push_echo(&self, frame: Arc<[u8]>) {
        let mut queue = lock(&self.queue);
        queue.echo_bytes += frame.len();
        queue.echoes.push_back(frame);
        while queue.echoes.len() > 1 && (queue.echoes.len() > MAX_ECHOES || queue.echo_bytes > MAX_ECHO_BYTES)
        {
            if let Some(dropped) = queue.echoes.pop_front() {
                queue.echo_bytes -= dropped.len();
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Waits until something was added or changed.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// What to write next: as much as fits a record, answers and others' frames by turns, or one larger frame.
    pub fn take(&self) -> Batch {
        let mut queue = lock(&self.queue);
        let (mut batch, mut bytes) = (Batch::default(), 0);
        loop {
            let fits = |frame: &Arc<[u8]>| bytes == 0 || bytes + frame.len() <= RECORD_BYTES;
            let is_answer = batch.frames.len() % 2 == 0 || queue.echoes.is_empty();
            let frame = if is_answer && queue.answers.front().is_some_and(fits) {
                batch.has_answer = true;
                queue.answers.pop_front().inspect(|frame| queue.answer_bytes -= frame.len())
            } else if queue.echoes.front().is_some_and(fits) {
                queue.echoes.pop_front().inspect(|frame| queue.echo_bytes -= frame.len())
            } else {
                None
            };
            let Some(frame) = frame else { return batch };
            bytes += frame.len();
            batch.frames.push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(mark: u8, bytes: usize) -> Arc<[u8]> {
        Arc::from(vec![mark; bytes])
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_of_others_and_none_of_its_own() {
        let outgoing = Outgoing::new(false);
        for number in 0..=255 {
            outgoing.push_answer(frame(number, 10));
        }
        for number in 0..=256usize {
            outgoing.push_echo(frame((number % 256) as u8, 10));
        }
        outgoing.push_echo(frame(7, MAX_ECHO_BYTES));
        let mut answers = 0;
        let mut taken = Vec::new();
        loop {
            let batch = outgoing.take();
            if batch.frames.is_empty() {
                break;
            }
            assert!(
                batch.frames.len() == 1
                    || batch.frames.iter().map(|f| f.len()).sum::<usize>() <= RECORD_BYTES
            );
            answers += usize::from(batch.has_answer);
            taken.extend(batch.frames);
        }
        assert!(answers > 0);
        assert_eq!(taken.len(), 257);
        assert_eq!(taken.iter().filter(|frame| frame.len() == MAX_ECHO_BYTES).count(), 1);
        assert!(outgoing.has_room());
        outgoing.push_answer(frame(0, MAX_ANSWER_BYTES));
        assert!(!outgoing.has_room());
    }

    #[test]
    fn answers_and_others_take_turns_within_a_record() {
        let outgoing = Outgoing::new(false);
        for _ in 0..3 {
            outgoing.push_answer(frame(1, 4_000));
            outgoing.push_echo(frame(2, 4_000));
        }
        let marks = |batch: Batch| batch.frames.iter().map(|frame| frame[0]).collect::<Vec<_>>();
        assert_eq!(marks(outgoing.take()), [1, 2, 1, 2]);
        assert_eq!(marks(outgoing.take()), [1, 2]);
        assert!(marks(outgoing.take()).is_empty());
    }
}
