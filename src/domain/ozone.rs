//! What a device's queue takes, and what an acknowledgement may do.

/// How much a device's queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes per device queue.
    pub queue_bytes: u64,
    /// Bytes of it that one sender may fill.
    pub sender_bytes: u64,
}

/// Why a queue does not take an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueFull {
    /// The queue is full.
    Queue,
    /// This sender's share of it is full.
    SenderShare,
}

impl Quota {
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
}
