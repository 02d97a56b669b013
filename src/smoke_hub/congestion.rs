//! Which payloads were seen lately, so that servers that echo to each other do not do so for ever and a captured
//! request is worth nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use momedo_smoke::destination::Content;

/// How long a payload is remembered: longer than any request is timely.
const MEMORY: Duration = Duration::from_secs(65);

/// Payloads remembered per generation, some 30 bytes each.
const MAX_REMEMBERED: usize = 250_000;

/// The app repeats a message to somebody who may be away; from this pause on it is passed on again.
const REPETITION: Duration = Duration::from_secs(5);

/// Whether a payload came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It did not.
    New,
    /// From the same connection, a while ago: worth passing on again, and nothing else.
    Repeated,
    /// It did.
    Duplicate,
}

/// Digests under a key of this run's own, in two generations.
#[derive(Default)]
pub(super) struct Congestion {
    hasher: RandomState,
    recent: HashMap<u64, Seen>,
    older: HashMap<u64, Seen>,
    turned: Duration,
}

#[derive(Clone, Copy)]
struct Seen {
    source: u64,
    at: Duration,
}

/// The digest of what a frame carries; the frame around it changes when it is sent again.
pub(super) fn digest(hasher: &RandomState, content: Content<'_>) -> u64 {
    hasher.hash_one(content)
}

impl Congestion {
    pub(super) fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    pub(super) fn look(&mut self, digest: u64, source: u64, now: Duration) -> Novelty {
        if now.saturating_sub(self.turned) >= MEMORY || self.recent.len() >= MAX_REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
            self.turned = now;
        }
        let seen = self.recent.get(&digest).or_else(|| self.older.get(&digest)).copied();
        let seen = seen.filter(|seen| now.saturating_sub(seen.at) < MEMORY);
        match seen {
            Some(seen) if seen.source != source || now.saturating_sub(seen.at) < REPETITION => {
                Novelty::Duplicate
            }
            seen => {
                self.recent.insert(digest, Seen { source, at: now });
                if seen.is_some() { Novelty::Repeated } else { Novelty::New }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_source_may_repeat_itself_and_only_after_a_pause() {
        let mut congestion = Congestion::default();
        let second = Duration::from_secs;
        let mut look = |digest, source, at| congestion.look(digest, source, second(at));
        assert_eq!(look(1, 1, 100), Novelty::New);
        assert_eq!(look(1, 1, 104), Novelty::Duplicate);
        assert_eq!(look(1, 2, 106), Novelty::Duplicate);
        assert_eq!(look(1, 1, 106), Novelty::Repeated);
        assert_eq!(look(2, 2, 106), Novelty::New);
        // Over a turn of generations, too, and not for longer because nothing came meanwhile.
        assert_eq!(look(3, 1, 164), Novelty::New);
        assert_eq!(look(3, 2, 228), Novelty::Duplicate);
        assert_eq!(look(3, 2, 229), Novelty::New);
        assert_eq!(look(3, 1, 5_000), Novelty::New);
    }

    #[test]
    fn memory_is_bounded() {
        let mut congestion = Congestion::default();
        for digest in 0..3 * MAX_REMEMBERED as u64 {
            congestion.look(digest, 1, Duration::ZERO);
        }
        assert!(congestion.recent.len() + congestion.older.len() <= 2 * MAX_REMEMBERED);
    }
}
