//! Rate limits: token buckets by participant and by address, bounded in memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use momedo_protocol::id::ParticipantId;

use crate::config::RatesConfig;
use crate::domain::rate::{Bucket, Rate};

/// Buckets kept per limit; full ones are forgotten first.
const MAX_BUCKETS: usize = 100_000;

/// Every limit that is being counted.
pub struct Rates {
    messages: Limit<ParticipantId>,
    requests: Limit<ParticipantId>,
    publications: Limit<ParticipantId>,
    unauthenticated: Limit<IpAddr>,
    failures: Limit<IpAddr>,
}

/// Too often; trying again makes sense after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften(pub Duration);

struct Limit<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq> Limit<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    fn with<T>(&self, key: K, now: Duration, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain(|_, bucket| !bucket.is_full(self.rate, now));
            if buckets.len() >= MAX_BUCKETS {
                // Somebody has that many addresses; starting over is kinder than refusing everybody.
                buckets.clear();
            }
        }
        act(buckets.entry(key).or_insert_with(|| Bucket::full(self.rate, now)))
    }

    fn take(&self, key: K, now: Duration) -> Result<(), TooOften> {
        self.with(key, now, |bucket| bucket.take(self.rate, now)).map_err(TooOften)
    }

    fn check(&self, key: K, now: Duration) -> Result<(), TooOften> {
        self.with(key, now, |bucket| bucket.check(self.rate, now)).map_err(TooOften)
    }
}

impl Rates {
    /// Starts counting with these limits.
    pub fn new(config: &RatesConfig) -> Self {
        Self {
            messages: Limit::new(config.messages),
            requests: Limit::new(config.requests),
            publications: Limit::new(config.publications),
            unauthenticated: Limit::new(config.unauthenticated),
            failures: Limit::new(config.failures),
        }
    }

    /// Counts a submission.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn message(&self, participant: ParticipantId, now: Duration) -> Result<(), TooOften> {
        self.messages.take(participant, now)
    }

    /// Counts another request of a participant.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn request(&self, participant: ParticipantId, now: Duration) -> Result<(), TooOften> {
        self.requests.take(participant, now)
    }

    /// Counts a request without a session.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn unauthenticated(&self, address: IpAddr, now: Duration) -> Result<(), TooOften> {
        self.unauthenticated.take(network(address), now)
    }

    /// Refuses addresses that failed too often.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn may_fail(&self, address: IpAddr, now: Duration) -> Result<(), TooOften> {
        self.failures.check(network(address), now)
    }

    /// Counts a publication of keys.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn publication(&self, participant: ParticipantId, now: Duration) -> Result<(), TooOften> {
        self.publications.take(participant, now)
    }

    /// Counts a failure.
    pub fn failure(&self, address: IpAddr, now: Duration) {
        // What is over the limit already needs no counting.
        let _: Result<_, _> = self.failures.take(network(address), now);
    }
}

/// One household or school has a whole IPv6 /64, so that is what counts as one address.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            octets.into()
        }
        v4 => v4,
    }
}
