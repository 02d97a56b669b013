//! What waits to be written to one connection: answers to its own requests first, then what others sent.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use momedo_smoke::frame::MAX_FRAME_BYTES;
use tokio::sync::Notify;

use super::echoes::Echo;
use super::lock;

/// Frames and bytes of others' traffic that may wait; the oldest goes when there is more. Several of the largest may.
const MAX_ECHOES: usize = 256;
const MAX_ECHO_BYTES: usize = 4 * MAX_FRAME_BYTES;

/// Bytes of answers beyond which no more are asked for.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What one TLS record holds, in bytes, less its frame: the app reads one at a time.
const RECORD_BYTES: usize = 16_000;

/// A frame on its way out.
pub enum Frame {
    /// This server's own.
    Answer(Arc<[u8]>),
    /// Somebody else's.
    Echo(Arc<Echo>),
}

impl Deref for Frame {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Answer(bytes) => bytes,
            Self::Echo(echo) => echo.bytes(),
        }
    }
}

/// Frames that are written together.
#[derive(Default)]
pub struct Batch {
    /// In this order.
    pub frames: Vec<Frame>,
    /// Whether an answer is among them.
    pub has_answer: bool,
}

/// What waits for one connection.
pub struct Outgoing {
    queue: Mutex<Queue>,
    wake: Notify,
    is_locked: AtomicBool,
    is_closed: AtomicBool,
    cut: Notify,
}

#[derive(Default)]
struct Queue {
    answers: VecDeque<Arc<[u8]>>,
    answer_bytes: usize,
    echoes: VecDeque<Arc<Echo>>,
    echo_bytes: usize,
    /// Bytes of others' frames in the batch that is being written.
    being_written: usize,
}

impl Outgoing {
    pub(super) fn new(is_locked: bool) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Notify::new(),
            is_locked: AtomicBool::new(is_locked),
            is_closed: AtomicBool::new(false),
            cut: Notify::new(),
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
    pub(super) fn push_echo(&self, echo: Arc<Echo>) {
        let mut queue = lock(&self.queue);
        queue.echo_bytes += echo.bytes().len();
        queue.echoes.push_back(echo);
        while queue.echoes.len() > 1 && (queue.echoes.len() > MAX_ECHOES || queue.echo_bytes > MAX_ECHO_BYTES)
        {
            if let Some(dropped) = queue.echoes.pop_front() {
                queue.echo_bytes -= dropped.bytes().len();
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Bytes of others' frames that wait or are being written.
    pub(super) fn held(&self) -> usize {
        let queue = lock(&self.queue);
        queue.echo_bytes + queue.being_written
    }

    /// Gives up others' frames, because with everybody's they take too much memory: those that wait, or else what is
    /// being written, and with it the connection. False when that takes a moment.
    pub(super) fn give_up_echoes(&self) -> bool {
        let mut queue = lock(&self.queue);
        let waited = !queue.echoes.is_empty();
        if !waited {
            queue.being_written = 0;
            self.cut.notify_one();
        }
        queue.echoes.clear();
        queue.echo_bytes = 0;
        waited
    }

    /// The batch that was taken last is written.
    pub fn written(&self) {
        lock(&self.queue).being_written = 0;
    }

    /// Waits until the connection has to end, because what is being written to it is taken too slowly.
    pub async fn is_cut(&self) {
        self.cut.notified().await;
    }

    /// Waits until something was added or changed.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// What to write next: as much as fits a record, answers and others' frames by turns, or one larger frame.
    pub fn take(&self) -> Batch {
        let mut queue = lock(&self.queue);
        let (mut batch, mut bytes) = (Batch::default(), 0);
        queue.being_written = 0;
        loop {
            let fits = |frame: &[u8]| bytes == 0 || bytes + frame.len() <= RECORD_BYTES;
            let is_answer = batch.frames.len() % 2 == 0 || queue.echoes.is_empty();
            let frame = if is_answer && queue.answers.front().is_some_and(|frame| fits(frame)) {
                batch.has_answer = true;
                queue
                    .answers
                    .pop_front()
                    .map(Frame::Answer)
                    .inspect(|frame| queue.answer_bytes -= frame.len())
            } else if queue.echoes.front().is_some_and(|echo| fits(echo.bytes())) {
                queue.echoes.pop_front().map(Frame::Echo).inspect(|frame| {
                    queue.echo_bytes -= frame.len();
                    queue.being_written += frame.len();
                })
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
    use super::super::echoes::Echoes;
    use super::*;

    fn frame(mark: u8, bytes: usize) -> Arc<[u8]> {
        Arc::from(vec![mark; bytes])
    }

    fn echo(mark: u8, bytes: usize) -> Arc<Echo> {
        Echoes::default().add(&frame(mark, bytes))
    }

    /// Everything that waits.
    fn taken(outgoing: &Outgoing) -> Vec<Frame> {
        let mut taken = Vec::new();
        loop {
            let batch = outgoing.take();
            let bytes: usize = batch.frames.iter().map(|frame| frame.len()).sum();
            assert!(batch.frames.len() <= 1 || bytes <= RECORD_BYTES);
            if batch.frames.is_empty() {
                return taken;
            }
            taken.extend(batch.frames);
        }
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_of_others_and_none_of_its_own() {
        let outgoing = Outgoing::new(false);
        for number in 0..=255 {
            outgoing.push_answer(frame(number, 10));
        }
        for number in 0..=256usize {
            outgoing.push_echo(echo((number % 256) as u8, 10));
        }
        outgoing.push_echo(echo(7, MAX_ECHO_BYTES));
        let taken = taken(&outgoing);
        assert_eq!(taken.iter().filter(|frame| matches!(frame, Frame::Answer(_))).count(), 256);
        assert_eq!(taken.iter().filter(|frame| frame.len() == MAX_ECHO_BYTES).count(), 1);
        assert_eq!(taken.len(), 257);
        assert!(outgoing.has_room());
        outgoing.push_answer(frame(0, MAX_ANSWER_BYTES));
        assert!(!outgoing.has_room());
    }

    #[test]
    fn the_largest_frames_wait_together() {
        let outgoing = Outgoing::new(false);
        let sizes = [4 * 1024 * 1024 + 1, 10, MAX_FRAME_BYTES, MAX_FRAME_BYTES, 10];
        for bytes in sizes {
            outgoing.push_echo(echo(1, bytes));
        }
        assert!(taken(&outgoing).iter().map(|frame| frame.len()).eq(sizes));
    }

    #[test]
    fn answers_and_others_take_turns_within_a_record() {
        let outgoing = Outgoing::new(false);
        for _ in 0..3 {
            outgoing.push_answer(frame(1, 4_000));
            outgoing.push_echo(echo(2, 4_000));
        }
        let marks = |batch: Batch| batch.frames.iter().map(|frame| frame[0]).collect::<Vec<_>>();
        assert_eq!(marks(outgoing.take()), [1, 2, 1, 2]);
        assert_eq!(marks(outgoing.take()), [1, 2]);
        assert!(marks(outgoing.take()).is_empty());
    }
}
