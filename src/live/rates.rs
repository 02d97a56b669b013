//! Rate limits: token buckets by participant and by address, bounded in memory.
//!
//! What a participant may do is used up by who proved to be that participant, and by nobody else; what is asked without a
//! proof is charged to the address. `docs/threat-model.md` lists every rate, who pays and when.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use momedo_protocol::digest::sha256;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::random;

use crate::domain::neighbour::NEARBY_REQUESTS;
use crate::domain::rate::{Bucket, Rate};
use crate::settings::config::RatesConfig;

/// Buckets kept per limit; full ones are forgotten first.
const MAX_BUCKETS: usize = 100_000;

/// Failed log-ins from one address to one account: five at once, then one every half minute.
const LOG_INS: Rate = Rate { per_minute: 2, burst: 5 };

/// Failed log-ins to one account from everywhere: guessing stays hopeless, and locking its owner out needs
/// many addresses.
const ACCOUNT_LOG_INS: Rate = Rate { per_minute: 30, burst: 200 };

/// Questions of one participant that neighbours are asked: they have limits of their own for this server, and nobody
/// may use them up alone.
const SEARCHES: Rate = Rate { per_minute: 20, burst: 60 };

/// Stands for what was typed as an account, whether there is one or not: so neither a lock-out nor a wait tells them
/// apart, and nothing that was typed is kept. So short that all of them together never fill a limit's memory.
type AccountTag = u16;

/// The networks whose handshakes are counted, in bits, and how many times the rate of one address each has: whoever has a
/// /48 has 65,536 addresses.
const HANDSHAKE_NETWORKS: [(u32, u32); 3] = [(64, 1), (56, 2), (48, 4)];

/// Every limit that is being counted.
pub struct Rates {
    messages: Limit<ParticipantId>,
    requests: Limit<ParticipantId>,
    publications: Limit<ParticipantId>,
    searches: Limit<ParticipantId>,
    unauthenticated: Limit<IpAddr>,
    failures: Limit<IpAddr>,
    /// TLS handshakes with an address, and with the larger networks it is in.
    handshakes: [Limit<IpAddr>; HANDSHAKE_NETWORKS.len()],
    /// Servers that ask without a code to become neighbours.
    nearby_requests: Limit<IpAddr>,
    /// Failed log-ins on the admin pages, from one address to one account, and to one account from anywhere.
    log_ins: Limit<(IpAddr, AccountTag)>,
    accounts: Limit<AccountTag>,
    /// What [`Rates::tag`] is made with.
    tag_key: [u8; 32],
    /// Failed log-ins from a browser that logged in before, which what others do must not slow down.
    known_browsers: Limit<String>,
    /// Failed log-ins on the admin pages from one address, whatever the account. Apart from `failures`: whoever
    /// guesses there must not keep a whole school behind the same address from logging in.
    staff_failures: Limit<IpAddr>,
    /// Wrong codes for setting the server up.
    set_up_codes: Limit<IpAddr>,
}

/// Too often; trying again makes sense after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften(pub Duration);

struct Limit<K> {
    rate: RwLock<Rate>,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq> Limit<K> {
    fn new(rate: Rate) -> Self {
        Self { rate: RwLock::new(rate), buckets: Mutex::default() }
    }

    fn with<T>(&self, key: K, now: Duration, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let rate = self.rate();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain(|_, bucket| !bucket.is_full(rate, now));
            if buckets.len() >= MAX_BUCKETS {
                // Somebody has that many addresses; starting over is kinder than refusing everybody.
                buckets.clear();
            }
        }
        act(buckets.entry(key).or_insert_with(|| Bucket::full(rate, now)))
    }

    fn rate(&self) -> Rate {
        *self.rate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, rate: Rate) {
        *self.rate.write().unwrap_or_else(PoisonError::into_inner) = rate;
    }

    fn take(&self, key: K, now: Duration) -> Result<(), TooOften> {
        self.with(key, now, |bucket| bucket.take(self.rate(), now)).map_err(TooOften)
    }

    fn give_back(&self, key: K, now: Duration) {
        self.with(key, now, |bucket| bucket.give_back(self.rate(), now));
    }

    fn check(&self, key: K, now: Duration) -> Result<(), TooOften> {
        self.with(key, now, |bucket| bucket.check(self.rate(), now)).map_err(TooOften)
    }
}

impl Rates {
    /// Starts counting with these limits.
    pub fn new(config: &RatesConfig) -> Self {
        Self {
            messages: Limit::new(config.messages),
            requests: Limit::new(config.requests),
            publications: Limit::new(config.publications),
            searches: Limit::new(SEARCHES),
            unauthenticated: Limit::new(config.unauthenticated),
            failures: Limit::new(config.failures),
            handshakes: HANDSHAKE_NETWORKS.map(|(_, share)| Limit::new(config.handshakes.times(share))),
            nearby_requests: Limit::new(NEARBY_REQUESTS),
            log_ins: Limit::new(LOG_INS),
            accounts: Limit::new(ACCOUNT_LOG_INS),
            tag_key: random::bytes(),
            known_browsers: Limit::new(LOG_INS),
            staff_failures: Limit::new(config.failures),
            set_up_codes: Limit::new(LOG_INS),
        }
    }

    /// Puts other limits into force.
    pub fn change(&self, config: &RatesConfig) {
        self.messages.change(config.messages);
        self.requests.change(config.requests);
        self.publications.change(config.publications);
        self.unauthenticated.change(config.unauthenticated);
        self.failures.change(config.failures);
        for (limit, (_, share)) in self.handshakes.iter().zip(HANDSHAKE_NETWORKS) {
            limit.change(config.handshakes.times(share));
        }
        self.staff_failures.change(config.failures);
    }

    /// Counts a log-in on the admin pages before it is checked; a right one is given back.
    ///
    /// # Errors
    /// [`TooOften`] for an address, or an account, that failed too often.
    pub fn take_log_in(&self, address: IpAddr, account: &str, now: Duration) -> Result<(), TooOften> {
        self.staff_failures.take(network(address), now)?;
        let tag = self.tag(account);
        self.log_ins.take((network(address), tag), now)?;
        self.accounts.take(tag, now)
    }

    /// The same for a browser that logged in before, by what its cookie says.
    ///
    /// # Errors
    /// [`TooOften`] for one that failed too often.
    pub fn take_known_log_in(&self, browser: &str, now: Duration) -> Result<(), TooOften> {
        self.known_browsers.take(browser.to_owned(), now)
    }

    /// Gives back what [`Rates::take_known_log_in`] counted.
    pub fn give_known_log_in_back(&self, browser: &str, now: Duration) {
        self.known_browsers.give_back(browser.to_owned(), now);
    }

    /// Gives back what [`Rates::take_log_in`] counted.
    pub fn give_log_in_back(&self, address: IpAddr, account: &str, now: Duration) {
        self.staff_failures.give_back(network(address), now);
        let tag = self.tag(account);
        self.log_ins.give_back((network(address), tag), now);
        self.accounts.give_back(tag, now);
    }

    fn tag(&self, account: &str) -> AccountTag {
        let digest = sha256(&[&self.tag_key[..], account.as_bytes()].concat());
        AccountTag::from_be_bytes([digest[0], digest[1]])
    }

    /// Forgets failed log-ins of an account whose password was set at the machine.
    pub fn forget_log_ins(&self, account: &str) {
        let mut log_ins = self.log_ins.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let tag = self.tag(account);
        log_ins.retain(|(_, other), _| *other != tag);
        self.accounts.buckets.lock().unwrap_or_else(PoisonError::into_inner).remove(&tag);
    }

    /// Counts a submission.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn message(&self, participant: ParticipantId, now: Duration) -> Result<(), TooOften> {
        self.messages.take(participant, now)
    }

    /// Refuses senders whose next submission would be too many, without counting it.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn may_message(&self, participant: ParticipantId, now: Duration) -> Result<(), TooOften> {
        self.messages.check(participant, now)
    }

    /// Refuses participants whose next publication would be too many, without counting it.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn may_publish(&self, participant: ParticipantId, now: Duration) -> Result<(), TooOften> {
        self.publications.check(participant, now)
    }

    /// Counts what costs as much as several submissions, before it is done; see [`Bucket::spend`].
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn messages(&self, participant: ParticipantId, cost: u32, now: Duration) -> Result<(), TooOften> {
        let rate = self.messages.rate();
        self.messages.with(participant, now, |bucket| bucket.spend(rate, cost, now)).map_err(TooOften)
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

    /// Counts a TLS handshake: each costs more than its client hello, which can be sent again and again.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn handshake(&self, address: IpAddr, now: Duration) -> Result<(), TooOften> {
        self.handshakes
            .iter()
            .zip(HANDSHAKE_NETWORKS)
            .try_for_each(|(limit, (bits, _))| limit.take(network_of(address, bits), now))
    }

    /// Refuses addresses that failed too often.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn may_fail(&self, address: IpAddr, now: Duration) -> Result<(), TooOften> {
        self.failures.check(network(address), now)
    }

    /// Counts a server that asks, for the first time and without a code, to become a neighbour.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn nearby_request(&self, address: IpAddr, now: Duration) -> Result<(), TooOften> {
        self.nearby_requests.take(network(address), now)
    }

    /// Counts a publication of keys.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn publication(&self, participant: ParticipantId, now: Duration) -> Result<(), TooOften> {
        self.publications.take(participant, now)
    }

    /// Counts a question for neighbours.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn search(&self, participant: ParticipantId, now: Duration) -> Result<(), TooOften> {
        self.searches.take(participant, now)
    }

    /// Counts a failure.
    ///
    /// # Errors
    /// [`TooOften`] when there were too many already.
    pub fn failure(&self, address: IpAddr, now: Duration) -> Result<(), TooOften> {
        self.failures.take(network(address), now)
    }

    /// Counts a wrong code for setting the server up. Nothing but the code is needed to be let in, whatever others tried.
    ///
    /// # Errors
    /// [`TooOften`] when there were too many from this address already.
    pub fn wrong_set_up_code(&self, address: IpAddr, now: Duration) -> Result<(), TooOften> {
        self.set_up_codes.take(network(address), now)
    }
}

/// One household or school has a whole IPv6 /64, so that is what counts as one address.
pub fn network(address: IpAddr) -> IpAddr {
    network_of(address, 64)
}

/// The IPv6 network of so many bits that an address is in; an IPv4 address is one by itself.
pub fn network_of(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let rest = u128::MAX.checked_shr(bits).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & !rest).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_that_is_typed_waits_for_itself_whether_there_is_such_an_account_or_not() {
        let (rates, now) = (Rates::new(&RatesConfig::default()), Duration::ZERO);
        let address = IpAddr::from([192, 0, 2, 1]);
        for name in ["admin", "nobody", "nothing"] {
            let tries = (0..6).map(|_| rates.take_log_in(address, name, now).is_ok());
            assert_eq!(tries.collect::<Vec<_>>(), [true, true, true, true, true, false], "{name}");
        }
        rates.forget_log_ins("nobody");
        assert!(rates.take_log_in(address, "nobody", now).is_ok());
        assert!(rates.take_log_in(address, "admin", now).is_err());
    }

    #[test]
    fn an_address_is_in_networks_of_several_sizes() {
        let address: IpAddr = "2001:db8:1234:5678:9abc::1".parse().unwrap();
        for (bits, network) in
            [(64, "2001:db8:1234:5678::"), (56, "2001:db8:1234:5600::"), (48, "2001:db8:1234::")]
        {
            assert_eq!(network_of(address, bits), network.parse::<IpAddr>().unwrap());
        }
        let v4: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(network_of("::ffff:192.0.2.7".parse().unwrap(), 48), v4);
    }

    #[test]
    fn handshakes_have_a_rate_for_an_address_and_for_all_of_a_network() {
        let handshakes = Rate { per_minute: 60, burst: 10 };
        let rates = Rates::new(&RatesConfig { handshakes, ..RatesConfig::default() });
        let now = Duration::ZERO;
        let address = |subnet: u16, host: u16| -> IpAddr {
            Ipv6Addr::new(0x2001, 0xdb8, 1, subnet, 0, 0, 0, host).into()
        };
        for host in 0..10 {
            assert!(rates.handshake(address(0, host), now).is_ok());
        }
        assert!(rates.handshake(address(0, 99), now).is_err(), "one address: its /64");
        let taken = (1..100).filter(|subnet| rates.handshake(address(*subnet, 0), now).is_ok()).count();
        assert!((8..=10).contains(&taken), "twice as many in a /56: {taken}");
        let taken =
            (1..200u16).filter(|number| rates.handshake(address(number << 8, 0), now).is_ok()).count();
        assert!((15..=20).contains(&taken), "four times as many in a /48: {taken}");
        let other: IpAddr = "2001:db8:2::1".parse().unwrap();
        assert!(
            rates.handshake(other, now).is_ok() && rates.handshake("192.0.2.7".parse().unwrap(), now).is_ok()
        );
    }
}
