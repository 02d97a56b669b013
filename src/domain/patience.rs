//! How long requests of one participant wait for one neighbour, taken together.

use std::time::Duration;

/// What is waited at once, and how many minutes' rest give one minute of waiting back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// At once.
    pub most: Duration,
    /// The time that passes for each part of waiting that comes back.
    pub parts: u32,
}

/// For the word who lives where: a question that nobody answers and half of another, then five seconds a minute.
pub const QUESTIONS: Allowance = Allowance { most: Duration::from_secs(6), parts: 12 };

/// For what another home does: one call that nobody answers and a little, then fifteen seconds a minute.
pub const CALLS: Allowance = Allowance { most: Duration::from_secs(30), parts: 4 };

/// An answer within this time costs nothing: that is a line, not a trick.
const FREE: Duration = Duration::from_millis(300);

/// How far beyond its end somebody who answers nothing is still given [`FREE`], so that one who was only away is heard.
const MOST_DEBT: Duration = Duration::from_secs(2);

/// What is left of an allowance.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    left: Duration,
    debt: Duration,
    updated: Duration,
}

impl Patience {
    /// All of it.
    pub fn whole(allowance: Allowance, now: Duration) -> Self {
        Self { left: allowance.most, debt: Duration::ZERO, updated: now }
    }

    fn refill(&mut self, allowance: Allowance, now: Duration) {
        let back = now.saturating_sub(self.updated) / allowance.parts.max(1);
        let paid = back.min(self.debt);
        self.debt -= paid;
        self.left = (self.left + (back - paid)).min(allowance.most);
        self.updated = now;
    }

    /// How long to wait at most for an answer that may take `most`; zero: not at all.
    pub fn time(&mut self, allowance: Allowance, most: Duration, now: Duration) -> Duration {
        self.refill(allowance, now);
        match self.left {
            left if left > FREE => left.min(most),
            _ if self.debt < MOST_DEBT => FREE.min(most),
            _ => Duration::ZERO,
        }
    }

    /// Notes that so long was waited; an answer costs less than none.
    pub fn waited(&mut self, allowance: Allowance, time: Duration, answered: bool, now: Duration) {
        self.refill(allowance, now);
        let cost = if answered { time.saturating_sub(FREE) } else { time };
        self.debt = (self.debt + cost.saturating_sub(self.left)).min(MOST_DEBT);
        self.left = self.left.saturating_sub(cost);
    }

    /// Whether all of it is there again, so that forgetting it changes nothing.
    pub fn is_whole(&mut self, allowance: Allowance, now: Duration) -> bool {
        self.refill(allowance, now);
        self.left == allowance.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn whoever_answers_nothing_holds_nobody_up_for_long() {
        let mut patience = Patience::whole(QUESTIONS, Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..64 {
            let time = patience.time(QUESTIONS, 4 * SECOND, now);
            now += time;
            patience.waited(QUESTIONS, time, false, now);
        }
        assert!(now <= 10 * SECOND, "{now:?}");
        assert_eq!(patience.time(QUESTIONS, 4 * SECOND, now), Duration::ZERO);
        // It comes back, the debt first.
        let later = patience.time(QUESTIONS, 4 * SECOND, now + 48 * SECOND);
        assert!(later > SECOND && later < 4 * SECOND, "{later:?}");
        assert!(!patience.is_whole(QUESTIONS, now + 48 * SECOND));
        assert!(patience.is_whole(QUESTIONS, now + 200 * SECOND));
    }

    #[test]
    fn answers_cost_what_they_take_too_long() {
        let mut patience = Patience::whole(QUESTIONS, Duration::ZERO);
        for _ in 0..1000 {
            patience.waited(QUESTIONS, FREE, true, Duration::ZERO);
        }
        assert!(patience.is_whole(QUESTIONS, Duration::ZERO));
        for _ in 0..6 {
            patience.waited(QUESTIONS, SECOND + FREE, true, Duration::ZERO);
        }
        assert_eq!(patience.time(QUESTIONS, 4 * SECOND, Duration::ZERO), FREE);
    }
}
