//! Token buckets: how often somebody may do something.

use std::time::Duration;

/// A rate: `burst` at once, then `per_minute` as time goes by.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Refill per minute.
    pub per_minute: u32,
    /// Most at once.
    pub burst: u32,
}

impl Rate {
    /// So many times the rate.
    pub fn times(self, factor: u32) -> Self {
        Self { per_minute: self.per_minute.saturating_mul(factor), burst: self.burst.saturating_mul(factor) }
    }
}

/// How much of a rate is left.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    tokens: f64,
    updated: Duration,
}

impl Bucket {
    /// A full bucket.
    pub fn full(rate: Rate, now: Duration) -> Self {
        Self { tokens: f64::from(rate.burst), updated: now }
    }

    fn refill(&mut self, rate: Rate, now: Duration) {
        let passed = now.saturating_sub(self.updated).as_secs_f64();
        self.tokens = (self.tokens + passed * f64::from(rate.per_minute) / 60.0).min(f64::from(rate.burst));
        self.updated = now;
    }

    /// Takes one.
    ///
    /// # Errors
    /// The time after which one will be there.
    pub fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        self.take_many(rate, 1, now)
    }

    /// Takes so many at once, or none; more than the burst are never there.
    ///
    /// # Errors
    /// The time after which all of them will be there.
    pub fn take_many(&mut self, rate: Rate, number: u32, now: Duration) -> Result<(), Duration> {
        self.require(rate, number, now)?;
        self.tokens -= f64::from(number);
        Ok(())
    }

    /// Takes what something costs if one is there, and goes below zero with the rest: what costs more than the burst can
    /// be done, and is paid for before anything else. The debt is less than what was done last.
    ///
    /// # Errors
    /// The time after which one will be there.
    pub fn spend(&mut self, rate: Rate, cost: u32, now: Duration) -> Result<(), Duration> {
        self.require(rate, 1, now)?;
        self.tokens -= f64::from(cost);
        Ok(())
    }

    /// Gives one back.
    pub fn give_back(&mut self, rate: Rate, now: Duration) {
        self.refill(rate, now);
        self.tokens = (self.tokens + 1.0).min(f64::from(rate.burst));
    }

    /// Whether one is there, without taking it.
    ///
    /// # Errors
    /// As [`Bucket::take`].
    pub fn check(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        self.require(rate, 1, now)
    }

    fn require(&mut self, rate: Rate, number: u32, now: Duration) -> Result<(), Duration> {
        self.refill(rate, now);
        let number = f64::from(number);
        if self.tokens >= number {
            return Ok(());
        }
        let per_second = f64::from(rate.per_minute.max(1)) / 60.0;
        Err(Duration::from_secs_f64((number - self.tokens) / per_second))
    }

    /// Whether the bucket is full again, so that forgetting it changes nothing.
    pub fn is_full(&mut self, rate: Rate, now: Duration) -> bool {
        self.refill(rate, now);
        self.tokens >= f64::from(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_only_the_rate() {
        let rate = Rate { per_minute: 60, burst: 3 };
        let mut bucket = Bucket::full(rate, Duration::ZERO);
        for _ in 0..3 {
            assert_eq!(bucket.take(rate, Duration::ZERO), Ok(()));
        }
        assert_eq!(bucket.take(rate, Duration::ZERO), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(rate, Duration::from_secs(1)), Ok(()));
        assert!(!bucket.is_full(rate, Duration::from_secs(2)));
        assert_eq!(bucket.take_many(rate, 3, Duration::from_secs(3)), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take_many(rate, 3, Duration::from_secs(4)), Ok(()));
        assert!(!bucket.is_full(rate, Duration::from_secs(6)));
        assert!(bucket.is_full(rate, Duration::from_secs(60)));
    }

    #[test]
    fn what_costs_more_than_there_is_has_to_be_paid_off_first() {
        let rate = Rate { per_minute: 60, burst: 10 };
        let mut bucket = Bucket::full(rate, Duration::ZERO);
        assert_eq!(bucket.spend(rate, 41, Duration::ZERO), Ok(()));
        assert_eq!(bucket.take(rate, Duration::ZERO), Err(Duration::from_secs(32)));
        assert_eq!(bucket.spend(rate, 1, Duration::from_secs(31)), Err(Duration::from_secs(1)));
        assert_eq!(bucket.spend(rate, 1, Duration::from_secs(32)), Ok(()));
    }

    #[test]
    fn whatever_it_costs_nobody_spends_more_than_the_rate() {
        for cost in [1, 2, 7, 41, 500] {
            let rate = Rate { per_minute: 200, burst: 400 };
            let mut bucket = Bucket::full(rate, Duration::ZERO);
            let mut spent = 0;
            // An hour of somebody who tries ten times a second.
            for tenth in 0..36_000u64 {
                if bucket.spend(rate, cost, Duration::from_millis(tenth * 100)).is_ok() {
                    spent += cost;
                }
            }
            let most = rate.burst + 60 * rate.per_minute + cost;
            assert!(spent <= most && spent + 2 * cost >= 60 * rate.per_minute, "{cost}: {spent}");
        }
    }
}
