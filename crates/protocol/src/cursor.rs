//! A place in a device's queue: the store's epoch and a sequence number.

use std::fmt;
use std::str::FromStr;

use crate::encoding::serde_as_text;
use crate::id::{read_symbols, write_symbols};
use crate::random;

/// Which life of the store a sequence number belongs to: 40 random bits, drawn anew by every restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct StoreEpoch(u64);

impl StoreEpoch {
    /// Draws a new epoch.
    pub fn random() -> Self {
        let [a, b, c, d, e] = random::bytes();
        Self(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }

    /// The epoch with this number; `None` from 2^40 on.
    pub fn from_number(number: u64) -> Option<Self> {
        (number >> 40 == 0).then_some(Self(number))
    }

    /// The epoch as a number below 2^40.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StoreEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbols(self.0, 40, f)
    }
}

impl FromStr for StoreEpoch {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        read_symbols(text, 40).map(Self).ok_or(CursorError)
    }
}

serde_as_text!(StoreEpoch);

/// A place in a device's queue, written `EPOCH.SEQUENCE` such as `7QK0M3ZD.42`.
///
/// Sequence numbers rise by one per delivery and start at 1; 0 is the place before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Cursor {
    /// The life of the store that `sequence` counts in.
    pub epoch: StoreEpoch,
    /// The last delivery up to and including which the cursor stands.
    pub sequence: u64,
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is an epoch and a number, such as 7QK0M3ZD.42")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (epoch, sequence) = text.split_once('.').ok_or(CursorError)?;
        let epoch = epoch.parse()?;
        let sequence: u64 = sequence.parse().map_err(|_| CursorError)?;
        // SQLite and JSON readers stop at 2^63 and 2^53; nobody gets there by counting.
        if sequence > 1 << 53 {
            return Err(CursorError);
        }
        Ok(Self { epoch, sequence })
    }
}

serde_as_text!(Cursor);

#[cfg(feature = "openapi")]
crate::encoding::schema_of!(StoreEpoch, String, "7QK0M3ZD");
#[cfg(feature = "openapi")]
crate::encoding::schema_of!(Cursor, String, "7QK0M3ZD.42");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_went_and_nonsense_is_refused() {
        let cursor = Cursor { epoch: StoreEpoch::random(), sequence: 42 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in
            ["", ".", "7QK0M3ZD", "7QK0M3ZD.", "7QK0M3ZD.-1", "7QK0M3Z.1", "7QK0M3ZD.99999999999999999"]
        {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
