//! The Smoke gateway's rules: how much anybody may ask of it, and what is handed over first.

use std::collections::HashMap;
use std::time::Duration;

use super::rate::Rate;
/// Most named ozones: each costs one hash over every frame.
pub const MAX_OZONES: usize = 16;

/// Largest body of a stored message, in bytes: what the app reads before it loses patience.
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Most messages that wait for one ID.
pub const MAX_WAITING: u64 = 2_000;

/// Messages and bytes handed over for one request; the next request brings the rest.
pub const MAX_RELEASED: usize = 200;
/// See [`MAX_RELEASED`].
pub const MAX_RELEASED_BYTES: u64 = 1024 * 1024;

/// How often one connection is given the same message: the app never acknowledges one that it already had from
/// its sender.
pub const MAX_RELEASES_PER_CONNECTION: u8 = 5;

/// Time between two retrievals of one participant; the app asks once a minute.
pub const BETWEEN_RETRIEVALS: Duration = Duration::from_secs(5);

/// Messages one connection may leave.
pub const COPIES: Rate = Rate { per_minute: 120, burst: 600 };

/// Key requests of one connection; an answer may have half a megabyte.
pub const KEY_REQUESTS: Rate = Rate { per_minute: 30, burst: 60 };

/// IDs one connection may share.
pub const SHARED_IDS: Rate = Rate { per_minute: 6, burst: 30 };

/// How long an announced routing identity holds; the app repeats each every 15 seconds.
pub const IDENTITY: Duration = Duration::from_secs(60);

/// Routing identities of one connection: one per Fire channel, one or two of its own.
pub const MAX_IDENTITIES: usize = 64;

/// Without a byte for this long the other end is gone.
pub const SILENCE: Duration = Duration::from_secs(90);

/// A frame must be complete within this time.
pub const UNFINISHED: Duration = Duration::from_secs(60);

/// How often a challenge is renewed, and how long one can be answered.
pub const CHALLENGE_RENEWAL: Duration = Duration::from_secs(10);
/// See [`CHALLENGE_RENEWAL`].
pub const CHALLENGE: Duration = Duration::from_secs(30);

/// Largest frame of a connection to a private listener that did not prove who it is, in bytes.
pub const MAX_LOCKED_FRAME_BYTES: usize = 64 * 1024;

/// Hashing work one connection may ask for, in blocks of SHA-512 (up to 0.5 µs each on a busy machine): a fifth of
/// a core in the long run, and a second of one at once.
const WORK_PER_SECOND: f64 = 400_000.0;
const WORK_BURST: f64 = 2_000_000.0;

/// Hashing work a connection has done. Whoever asks for more waits: nothing is lost, and a flood slows itself.
#[derive(Debug)]
pub struct WorkBudget {
    /// Blocks done beyond what time gave back; below zero: a credit.
    debt: f64,
    updated: Duration,
}

impl WorkBudget {
    /// A full credit.
    pub fn new(now: Duration) -> Self {
        Self { debt: -WORK_BURST, updated: now }
    }

    /// Charges work; how long to wait before it.
    pub fn charge(&mut self, blocks: u64, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.updated).as_secs_f64();
        self.updated = now;
        self.debt = (self.debt - passed * WORK_PER_SECOND).max(-WORK_BURST);
        let wait = Duration::from_secs_f64(self.debt.max(0.0) / WORK_PER_SECOND);
        self.debt += blocks as f64;
        wait
    }
}

/// A message that waits, without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its number; rises in the order messages came.
    pub number: i64,
    /// Bytes of its body.
    pub size: u64,
    /// Whether it was handed over before.
    pub released: bool,
}

/// Whether a message of `size` bytes fits beside what waits.
pub fn has_room((count, bytes): (u64, u64), size: u64, max_bytes: u64) -> bool {
    count < MAX_WAITING && bytes.saturating_add(size) <= max_bytes
}

/// What to hand over now: what this connection was given least often first, the oldest of those first.
pub fn choose_release(mut waiting: Vec<Waiting>, given: &HashMap<i64, u8>) -> Vec<Waiting> {
    let times = |message: &Waiting| given.get(&message.number).copied().unwrap_or(0);
    waiting.retain(|message| times(message) < MAX_RELEASES_PER_CONNECTION);
    waiting.sort_by_key(|message| (times(message), message.number));
    let mut bytes = 0;
    let fits = |message: &Waiting| {
        // The first goes whatever its size.
        let fits = bytes == 0 || bytes + message.size <= MAX_RELEASED_BYTES;
        bytes += message.size;
        fits
    };
    waiting.truncate(MAX_RELEASED);
    let chosen = waiting.iter().copied().take_while(fits);
    chosen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: i64, size: u64) -> Waiting {
        Waiting { number, size, released: false }
    }

    #[test]
    fn what_is_never_acknowledged_does_not_keep_back_what_is_new() {
        let waiting: Vec<_> = (1..=300).map(|number| message(number, 1_000)).collect();
        let mut given = HashMap::new();
        let first = choose_release(waiting.clone(), &given);
        assert_eq!(first.len(), MAX_RELEASED);
        assert_eq!(first[0].number, 1);
        for message in first {
            given.insert(message.number, 1);
        }
        let second = choose_release(waiting.clone(), &given);
        assert_eq!(second[0].number, 201);
        assert_eq!(second[100].number, 1);
        for message in &waiting {
            given.insert(message.number, MAX_RELEASES_PER_CONNECTION);
        }
        assert!(choose_release(waiting, &given).is_empty());
    }

    #[test]
    fn one_request_brings_a_megabyte_or_one_large_message() {
        let chosen = |sizes: &[u64]| {
            let waiting = sizes.iter().zip(1..).map(|(size, number)| message(number, *size)).collect();
            choose_release(waiting, &HashMap::new()).len()
        };
        assert_eq!(chosen(&[2_000_000, 1]), 1);
        assert_eq!(chosen(&[400_000, 400_000, 400_000]), 2);
        assert_eq!(chosen(&[]), 0);
    }

    #[test]
    fn a_flood_waits_longer_and_longer_and_time_forgives() {
        let mut budget = WorkBudget::new(Duration::ZERO);
        assert_eq!(budget.charge(2_000_000, Duration::ZERO), Duration::ZERO);
        assert_eq!(budget.charge(1_200_000, Duration::ZERO), Duration::ZERO);
        assert_eq!(budget.charge(1, Duration::ZERO), Duration::from_secs(3));
        assert_eq!(budget.charge(1, Duration::from_secs(10)), Duration::ZERO);
    }

    #[test]
    fn a_queue_is_full_by_number_and_by_bytes() {
        assert!(has_room((0, 0), 10, 10));
        assert!(!has_room((1, 1), 10, 10));
        assert!(!has_room((MAX_WAITING, 0), 1, 10));
    }
}
