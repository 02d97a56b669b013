//! What a device's queue takes, and what an acknowledgement may do.

use momedo_protocol::digest::Fingerprint;

/// Percent of a queue that one neighbour may fill, whoever it says wrote: made-up senders leave room for everybody else.
const NEIGHBOUR_PERCENT: u64 = 50;

/// Percent of a queue that one home behind a neighbour may fill: others behind the same one have room then, too.
const FARTHER_HOME_PERCENT: u64 = 25;

/// Percent of a queue that copies of the recipient's other home may fill: nearly everything comes over it while it is the
/// one that is used, and what is handed in here needs some room all the same.
const COPIES_PERCENT: u64 = 75;

/// Where an envelope in a queue came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// This server's participants, or this server.
    #[default]
    Here,
    /// Another home, over a neighbour.
    There {
        /// The neighbour that brought it.
        neighbour: Fingerprint,
        /// The home that signed for it.
        home: Fingerprint,
        /// Whether it is a copy of what the recipient's other home took.
        is_copy: bool,
    },
}

/// Numbers of a [`Source`] as they stand beside a delivery; both 0: here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SourceNumbers {
    /// Of the neighbour.
    pub neighbour: i64,
    /// Of the home.
    pub home: i64,
}

/// The first eight bytes: nobody makes two identity keys that begin alike.
fn number(server: Fingerprint) -> i64 {
    let (beginning, _) = server.0.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    i64::from_be_bytes(*beginning)
}

impl Source {
    /// The numbers by which queues count it.
    pub fn numbers(self) -> SourceNumbers {
        match self {
            Self::Here => SourceNumbers::default(),
            Self::There { neighbour, home, .. } => {
                SourceNumbers { neighbour: number(neighbour), home: number(home) }
            }
        }
    }
}

/// What a queue holds already, as far as it counts for one envelope more; in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queued {
    /// All of it.
    pub all: u64,
    /// From the same sender, by the same home.
    pub from_sender: u64,
    /// From the same home.
    pub from_home: u64,
    /// Over the same neighbour.
    pub over_neighbour: u64,
}

/// How much a device's queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes per device queue.
    pub queue_bytes: u64,
    /// Bytes of it that one sender may fill.
    pub sender_bytes: u64,
}

/// What a delivery counts for beside what is delivered: its rows.
pub const DELIVERY_BYTES: u64 = 64;

/// Whether so many bytes more may wait from a sender from whom so many wait already, for everybody together.
pub fn fits_sender(waiting: u64, more: u64, limit: u64) -> bool {
    waiting.saturating_add(more) <= limit
}

/// Why a queue does not take an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueFull {
    /// The queue is full.
    Queue,
    /// This sender's share of it is full.
    SenderShare,
    /// The share of the neighbour that brings it, or of the home behind that one, is full.
    NeighbourShare,
}

impl Quota {
    /// The quota of a queue of which one sender may fill so many percent.
    pub fn of(queue_bytes: u64, sender_share_percent: u64) -> Self {
        Self { queue_bytes, sender_bytes: queue_bytes.saturating_mul(sender_share_percent) / 100 }
    }

    /// Whether an envelope of `size` bytes still fits a queue that holds `queued` bytes, `from_sender` of
    /// them from the same sender.
    ///
    /// # Errors
    /// [`QueueFull`] says what is full.
    pub fn admit(&self, queued: u64, from_sender: u64, size: u64) -> Result<(), QueueFull> {
        if queued.saturating_add(size) > self.queue_bytes {
            return Err(QueueFull::Queue);
        }
        if from_sender.saturating_add(size) > self.sender_bytes {
            return Err(QueueFull::SenderShare);
        }
        Ok(())
    }

    /// The same for an envelope from `source`.
    ///
    /// # Errors
    /// [`QueueFull`] says what is full.
    pub fn admit_from(&self, source: Source, queued: Queued, size: u64) -> Result<(), QueueFull> {
        self.admit(queued.all, queued.from_sender, size)?;
        let Source::There { neighbour, home, is_copy } = source else { return Ok(()) };
        let share = |percent: u64| self.queue_bytes / 100 * percent;
        let (of_home, of_neighbour) = match (is_copy, home == neighbour) {
            (true, _) => (COPIES_PERCENT, COPIES_PERCENT),
            (false, true) => (NEIGHBOUR_PERCENT, NEIGHBOUR_PERCENT),
            (false, false) => (FARTHER_HOME_PERCENT, NEIGHBOUR_PERCENT),
        };
        let fits = |filled: u64, percent: u64| filled.saturating_add(size) <= share(percent);
        if fits(queued.from_home, of_home) && fits(queued.over_neighbour, of_neighbour) {
            Ok(())
        } else {
            Err(QueueFull::NeighbourShare)
        }
    }
}

/// Why an acknowledgement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcknowledgementError {
    /// The cursor is from another life of the store: start again from its beginning.
    OtherEpoch,
    /// The cursor lies beyond what was handed out.
    NotHandedOut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_queue_nor_one_sender_grows_past_its_share() {
        let quota = Quota { queue_bytes: 100, sender_bytes: 25 };
        assert_eq!(quota.admit(0, 0, 25), Ok(()));
        assert_eq!(quota.admit(75, 0, 25), Ok(()));
        assert_eq!(quota.admit(76, 0, 25), Err(QueueFull::Queue));
        assert_eq!(quota.admit(20, 20, 6), Err(QueueFull::SenderShare));
        assert_eq!(quota.admit(u64::MAX, 0, 1), Err(QueueFull::Queue));
    }

    #[test]
    fn what_servers_bring_leaves_room_for_everybody_else() {
        let quota = Quota { queue_bytes: 1000, sender_bytes: 250 };
        let (near, far) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
        let queued = |from_home: u64, over_neighbour: u64| Queued {
            all: over_neighbour,
            from_sender: 0,
            from_home,
            over_neighbour,
        };
        let direct = Source::There { neighbour: near, home: near, is_copy: false };
        assert_eq!(quota.admit_from(direct, queued(499, 499), 1), Ok(()));
        assert_eq!(quota.admit_from(direct, queued(500, 500), 1), Err(QueueFull::NeighbourShare));
        // A home behind it has a part of its share.
        let behind = Source::There { neighbour: near, home: far, is_copy: false };
        assert_eq!(quota.admit_from(behind, queued(249, 400), 1), Ok(()));
        assert_eq!(quota.admit_from(behind, queued(250, 400), 1), Err(QueueFull::NeighbourShare));
        assert_eq!(quota.admit_from(behind, queued(0, 500), 1), Err(QueueFull::NeighbourShare));
        let copy = Source::There { neighbour: near, home: near, is_copy: true };
        assert_eq!(quota.admit_from(copy, queued(749, 749), 1), Ok(()));
        assert_eq!(quota.admit_from(copy, queued(750, 750), 1), Err(QueueFull::NeighbourShare));
        // Others hand in as before, until it is full.
        assert_eq!(quota.admit_from(Source::Here, queued(750, 750), 250), Ok(()));
        assert_eq!(quota.admit_from(Source::Here, queued(750, 750), 251), Err(QueueFull::Queue));
        assert_ne!(direct.numbers(), behind.numbers());
        assert_eq!(Source::Here.numbers(), SourceNumbers::default());
    }

    #[test]
    fn what_one_sender_has_waiting_everywhere_is_limited() {
        for (waiting, more, fits) in
            [(0, 100, true), (60, 40, true), (60, 41, false), (u64::MAX, 1, false), (0, 101, false)]
        {
            assert_eq!(fits_sender(waiting, more, 100), fits, "{waiting} and {more}");
        }
    }
}
