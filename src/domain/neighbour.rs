//! What holds between two servers: who may talk across, how it stands, when to dial again.

use std::net::IpAddr;
use std::time::Duration;

use momedo_protocol::link::MAX_BATCH_ITEMS;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use super::rate::Rate;
use super::role::Role;

/// Envelopes per minute from a neighbour, unless its contract says otherwise: a school's busiest minute.
const PER_MINUTE: u32 = 6_000;

/// Bytes that wait for a neighbour, or come from one and wait for another, unless its contract says otherwise.
const QUEUE_BYTES: u64 = 64 * 1024 * 1024;

/// How much more a server brings that shares its participants with this one.
const COPIES: u32 = 50;

/// What may pass between this server and a neighbour. Nothing, until an admin allows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contract {
    /// All of this server's participants may talk across.
    pub everybody: bool,
    /// Those with one of these roles may.
    pub roles: Vec<Role>,
    /// Those in one of these classes may.
    pub classes: Vec<i64>,
    /// What comes from this neighbour may pass on to others, and what others bring to this one.
    pub hop_through: bool,
    /// Envelopes the neighbour may bring per minute.
    pub per_minute: u32,
    /// Bytes that may wait: from here to it, and from it to others.
    pub queue_bytes: u64,
    /// Each of the two is a second home for those of the other's participants who want it.
    pub second_home: bool,
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            everybody: false,
            roles: Vec::new(),
            classes: Vec::new(),
            hop_through: false,
            per_minute: PER_MINUTE,
            queue_bytes: QUEUE_BYTES,
            second_home: false,
        }
    }
}

/// What of a person decides whether they may talk across.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Belonging {
    /// The role the admins gave.
    pub role: Role,
    /// The classes.
    pub classes: Vec<i64>,
}

impl Contract {
    /// Whether a participant of this server may talk across, and be found from there.
    pub fn admits(&self, person: &Belonging) -> bool {
        self.everybody
            || self.roles.contains(&person.role)
            || self.classes.iter().any(|class| person.classes.contains(class))
    }

    /// Whether anything at all may pass.
    pub fn allows_anything(&self) -> bool {
        self.everybody
            || !self.roles.is_empty()
            || !self.classes.is_empty()
            || self.hop_through
            || self.second_home
    }

    /// How many envelopes the neighbour may bring; a whole batch at once, or a large one would never be taken.
    pub fn rate(&self) -> Rate {
        const BATCH: u32 = MAX_BATCH_ITEMS as u32;
        // To a second home goes what its first home takes from everybody.
        let per_minute = self.per_minute.saturating_mul(if self.second_home { COPIES } else { 1 });
        Rate { per_minute, burst: per_minute.max(BATCH) }
    }
}

/// What an admin of this server decided about a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Decision {
    /// It may connect.
    Active,
    /// Not now; what is queued waits.
    Paused,
    /// Never again; what was queued went back.
    Blocked,
}

impl Decision {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// Reads the word in the table.
    pub fn of(word: &str) -> Self {
        word.parse().unwrap_or(Self::Blocked)
    }
}

/// How a server asks another one to become its neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asking {
    /// With the code of its pairing link.
    Code(String),
    /// Without one: it was found in the local network.
    Nearby,
}

/// Requests without a code that may wait for the admin: nobody has more new neighbours in a few days.
pub const MAX_NEARBY_REQUESTS: usize = 5;

/// How long such a request waits, in days.
pub const NEARBY_REQUEST_DAYS: u64 = 7;

/// How often new servers may ask without a code from one address: each request may be a row on the disk.
pub const NEARBY_REQUESTS: Rate = Rate { per_minute: 1, burst: 5 };

/// Whether a request without a code may come from this address: out of a local network, by its looks, and not out of this
/// machine, where a proxy may stand for the whole world.
pub fn may_ask_without_code(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The longest pause between two tries to reach a neighbour.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long to wait after so many failed tries (from 1): 1, 2, 4, 8 s and so on up to a minute, a tenth more or
/// less as `chance` (0 to 255) falls, so that servers that lost the same line do not come back as one.
pub fn pause_before_retry(failures: u32, chance: u8) -> Duration {
    let seconds = 1u64 << failures.saturating_sub(1).min(6);
    let pause = Duration::from_secs(seconds).min(LONGEST_PAUSE);
    (pause * (900 + u32::from(chance) * 100 / 255) / 1000).min(LONGEST_PAUSE)
}

/// How long kept keys are served without asking again, in milliseconds: ten minutes.
pub const FRESH: u64 = 600_000;

/// For how long nobody is asked again for an ID that nobody knew.
pub const UNKNOWN: Duration = Duration::from_secs(20);

/// How often the other side may ask where somebody lives: questions are small, and each may travel on.
pub const QUESTIONS: Rate = Rate { per_minute: 240, burst: 240 };

/// How often it may make this server ask anew where somebody lives because of batches of one home.
pub const HOME_QUESTIONS: Rate = Rate { per_minute: 30, burst: 30 };

/// How often it may ask for a McEliece key: half a megabyte each.
pub const KEY_QUESTIONS: Rate = Rate { per_minute: 60, burst: 60 };

/// How often it may ask for something in the name of its participants; a piece of an attachment is one call.
pub const CALLS: Rate = Rate { per_minute: 3_000, burst: 3_000 };

/// How often it may report what this server's participants wrote: somebody reads each.
pub const REPORTS: Rate = Rate { per_minute: 6, burst: 60 };

/// How often it may bring mail of groups whose home has to be looked for first.
pub const GROUP_QUESTIONS: Rate = Rate { per_minute: 60, burst: 120 };

/// How often a first home may tell of its participants, of whom this server is the second home.
pub const PLACEMENTS: Rate = Rate { per_minute: 120, burst: 600 };

/// Most participants of one first home: each has a large key, and what changes is logged for good.
pub const MAX_STOOD_IN_FOR: u64 = 10_000;

/// How often it may ask for a part of the key log: a whole school's in a minute.
pub const LOG_QUESTIONS: Rate = Rate { per_minute: 600, burst: 600 };

/// How often a neighbour may tell how far its key log is: with every change, of a whole school on the first day.
pub const LOG_HEADS: Rate = Rate { per_minute: 300, burst: 600 };

/// How many people a neighbour may add to groups, of which this server has to know something.
pub const NEWCOMERS: Rate = Rate { per_minute: 300, burst: 1_000 };

/// How often a neighbour is believed that it was restored: everything is brought to it then.
pub const LIVES: Rate = Rate { per_minute: 1, burst: 5 };

/// Longest key log of a neighbour that is followed, in entries: a town's of some years, some 60 MB.
pub const MAX_LOG_ENTRIES: u64 = 250_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_until_a_role_or_a_class_is_allowed() {
        let teacher = Belonging { role: Role::Employee, classes: vec![3] };
        let pupil = Belonging { role: Role::Member, classes: vec![4] };
        let nothing = Contract::default();
        assert!(!nothing.admits(&teacher) && !nothing.admits(&pupil) && !nothing.hop_through);
        let roles = Contract { roles: vec![Role::Employee], ..Contract::default() };
        assert!(roles.admits(&teacher) && !roles.admits(&pupil));
        let classes = Contract { classes: vec![4, 5], ..Contract::default() };
        assert!(!classes.admits(&teacher) && classes.admits(&pupil));
        let everybody = Contract { everybody: true, ..Contract::default() };
        assert!(everybody.admits(&teacher) && everybody.admits(&pupil));
    }

    #[test]
    fn only_local_networks_may_ask_without_a_code() {
        for near in
            ["192.168.1.7", "10.0.0.1", "172.31.9.9", "169.254.3.4", "fd12::1", "fe80::1", "::ffff:10.1.2.3"]
        {
            assert!(may_ask_without_code(near.parse().unwrap()), "{near}");
        }
        for far in [
            "127.0.0.1",
            "::1",
            "100.64.0.1",
            "172.32.0.1",
            "203.0.113.9",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "0.0.0.0",
        ] {
            assert!(!may_ask_without_code(far.parse().unwrap()), "{far}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        for (failures, seconds) in
            [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0), (6, 32.0), (7, 60.0), (99, 60.0)]
        {
            for chance in [0, 128, 255] {
                let pause = pause_before_retry(failures, chance).as_secs_f64();
                assert!((0.9 * seconds..=(1.001 * seconds)).contains(&pause), "{failures}: {pause}");
                assert!(pause <= 60.0);
            }
        }
    }
}
