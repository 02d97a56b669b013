//! Whose turn it is, when some homes are slow and others never answer.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;

/// Homes whose turn it is at once.
const AT_ONCE: usize = 8;

/// Rest of a home after a turn in which nothing moved; doubled with every further one.
const REST: Duration = Duration::from_secs(20);

/// Longest rest.
const LONGEST_REST: Duration = Duration::from_secs(600);

/// Turns of homes: whoever was served longest ago comes first, and those without success rest ever longer.
#[derive(Debug, Default)]
pub struct Turns {
    under_way: HashSet<Fingerprint>,
    past: HashMap<Fingerprint, Past>,
    ended: u64,
}

/// What a home's last turn left.
#[derive(Debug, Default)]
struct Past {
    /// Which of all turns it was.
    turn: u64,
    /// Turns without success since the last one with it.
    fruitless: u32,
    rests_until: Duration,
}

impl Turns {
    /// Those of `waiting` whose turn begins now; each has to be [ended](Self::end).
    pub fn begin(&mut self, mut waiting: Vec<Fingerprint>, now: Duration) -> Vec<Fingerprint> {
        let known: HashSet<_> = waiting.iter().copied().collect();
        self.past.retain(|home, _| known.contains(home));
        waiting.retain(|home| {
            !self.under_way.contains(home) && self.past.get(home).is_none_or(|past| past.rests_until <= now)
        });
        waiting.sort_by_key(|home| self.past.get(home).map(|past| past.turn));
        waiting.truncate(AT_ONCE.saturating_sub(self.under_way.len()));
        self.under_way.extend(&waiting);
        waiting
    }

    /// Ends a home's turn, which had success if anything `moved`.
    pub fn end(&mut self, home: Fingerprint, moved: bool, now: Duration) {
        self.under_way.remove(&home);
        self.ended += 1;
        let past = self.past.entry(home).or_default();
        past.turn = self.ended;
        past.fruitless = if moved { 0 } else { past.fruitless.saturating_add(1) };
        past.rests_until = match past.fruitless.checked_sub(1) {
            None => now,
            Some(doublings) => now + REST.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_REST),
        };
    }

    /// Ends every rest, since something changed; what fails again rests longer than before.
    pub fn wake(&mut self) {
        self.past.values_mut().for_each(|past| past.rests_until = Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes(numbers: std::ops::Range<u8>) -> Vec<Fingerprint> {
        numbers.map(|number| Fingerprint([number; 32])).collect()
    }

    #[test]
    fn homes_that_take_long_are_overtaken_by_nobody_twice() {
        let mut turns = Turns::default();
        let all = homes(0..20);
        let now = Duration::ZERO;
        let mut order = turns.begin(all.clone(), now);
        assert_eq!(order.len(), AT_ONCE);
        assert!(turns.begin(all.clone(), now).is_empty());
        // Each that ends makes room for one that had no turn yet, as long as there is one.
        for ended in 0..12 {
            turns.end(order[ended], true, now);
            order.extend(turns.begin(all.clone(), now));
        }
        assert_eq!(order.iter().collect::<HashSet<_>>().len(), all.len());
        turns.end(order[12], true, now);
        assert_eq!(turns.begin(all, now), [order[0]]);
    }

    #[test]
    fn rests_double_until_something_moves_or_changes() {
        let mut turns = Turns::default();
        let [home]: [Fingerprint; 1] = homes(0..1).try_into().unwrap();
        let mut now = Duration::ZERO;
        let begins = |turns: &mut Turns, now| turns.begin(vec![home], now) == [home];
        for seconds in [20, 40, 80, 160, 320, 600, 600] {
            assert!(begins(&mut turns, now));
            turns.end(home, false, now);
            assert!(!begins(&mut turns, now + Duration::from_secs(seconds - 1)));
            now += Duration::from_secs(seconds);
        }
        assert!(begins(&mut turns, now));
        turns.end(home, false, now);
        turns.wake();
        assert!(begins(&mut turns, now));
        turns.end(home, true, now);
        assert!(begins(&mut turns, now));
    }
}
