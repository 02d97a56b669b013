//! What takes a while, for showing how far it is.

use crate::clocks::Clocks;

/// What takes a while, for showing progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Keys are being made: a few seconds.
    MakingKeys,
    /// The McEliece key (512 KiB) is being sent.
    SendingKey,
    /// A contact's McEliece key (512 KiB) is being fetched.
    FetchingKey,
    /// Members' keys are being fetched, about 512 KiB each the first time.
    FetchingKeys {
        /// How many are here.
        done: usize,
        /// How many there are.
        total: usize,
    },
    /// A file is being uploaded, in sealed bytes.
    Uploading {
        /// How many were sent.
        done: u64,
        /// How many there are.
        total: u64,
    },
    /// A file is being fetched, in bytes.
    Downloading {
        /// How many are here.
        done: u64,
        /// How many there are.
        total: u64,
    },
    /// The server is the right one, and some clock is wrong.
    ClocksDiffer(Clocks),
    /// A new group key is being sealed to every member.
    HandingOutKeys {
        /// How many have it.
        done: usize,
        /// How many there are.
        total: usize,
    },
}

/// Hears of every step that takes a while.
pub type Progress<'a> = &'a (dyn Fn(Step) + Send + Sync);
