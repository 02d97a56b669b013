//! Others' frames that wait somewhere to be written: one copy for everybody, and a limit on all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use momedo_smoke::frame::MAX_FRAME_BYTES;

use super::outgoing::Outgoing;

/// What others' frames may take in memory while they wait for all connections together, each counted once, in bytes:
/// 64 MiB.
const MAX_BYTES: usize = 8 * MAX_FRAME_BYTES;

/// How much waits.
#[derive(Default)]
pub(super) struct Echoes {
    bytes: Arc<AtomicUsize>,
}

/// A frame that is passed on.
pub struct Echo {
    bytes: Box<[u8]>,
    all: Arc<AtomicUsize>,
}

impl Echoes {
    /// Counts a frame until nobody holds it.
    pub(super) fn add(&self, frame: &[u8]) -> Arc<Echo> {
        self.bytes.fetch_add(frame.len(), Ordering::AcqRel);
        Arc::new(Echo { bytes: frame.into(), all: self.bytes.clone() })
    }

    /// Makes room where there is too much: whoever takes what is sent to it most slowly does without.
    pub(super) fn make_room<'a>(&self, connections: impl Iterator<Item = &'a Arc<Outgoing>> + Clone) {
        while self.bytes.load(Ordering::Acquire) > MAX_BYTES {
            let heaviest = connections.clone().map(|one| (one.held(), one)).max_by_key(|(held, _)| *held);
            let Some((held, heaviest)) = heaviest.filter(|(held, _)| *held > 0) else { return };
            tracing::debug!(held, "a connection takes others' Smoke frames too slowly: they are given up");
            if !heaviest.give_up_echoes() {
                return;
            }
        }
    }
}

impl Echo {
    /// As it came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes.len(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_in_all_is_given_up_where_most_of_it_lies() {
        let (echoes, queue) = (Echoes::default(), || Arc::new(Outgoing::new(false)));
        let (slow, slower, quick) = (queue(), queue(), queue());
        let all = [&slow, &slower, &quick];
        let push = |to: &[&Arc<Outgoing>], bytes: usize| {
            let echo = echoes.add(&vec![0; bytes]);
            to.iter().for_each(|one| one.push_echo(echo.clone()));
            drop(echo);
            echoes.make_room(all.into_iter());
        };
        // What waits for several is there once.
        for _ in 0..4 {
            push(&all, MAX_FRAME_BYTES);
        }
        while !quick.take().frames.is_empty() {}
        for _ in 0..4 {
            push(&[&slower], MAX_FRAME_BYTES);
        }
        assert_eq!(all.map(|one| one.held() / MAX_FRAME_BYTES), [4, 4, 0]);
        // One of the two that have most is without, whether it began to write or not; nobody else loses anything.
        let written = slow.take();
        push(&[&quick], MAX_FRAME_BYTES);
        push(&[&quick], 1);
        assert_eq!(all.map(|one| one.held() / MAX_FRAME_BYTES), [4, 0, 1]);
        assert_eq!(quick.held(), MAX_FRAME_BYTES + 1);
        drop(written);
    }

    #[test]
    fn who_takes_what_is_being_written_too_slowly_is_cut() {
        use futures_util::FutureExt;
        let echoes = Echoes::default();
        let queues: Vec<Arc<Outgoing>> = (0..10).map(|_| Arc::new(Outgoing::new(false))).collect();
        let mut written = Vec::new();
        for one in &queues {
            one.push_echo(echoes.add(&vec![0; MAX_FRAME_BYTES]));
            written.push(one.take());
            echoes.make_room(queues.iter());
        }
        // Each that was one too many cost one, and no more.
        let cut = queues.iter().filter(|one| one.is_cut().now_or_never().is_some()).count();
        assert_eq!(cut, 2);
        drop(written);
        assert_eq!(echoes.bytes.load(Ordering::Acquire), 0);
    }
}
