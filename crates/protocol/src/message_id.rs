//! Message identifiers: 16 bytes, laid out as a UUID of version 7 (RFC 9562).
//!
//! The leading time makes the server's index of known messages grow at one edge instead of all over,
//! which spares SD cards. Nothing is decided by that time; any 16 bytes are a valid identifier.

use std::fmt;
use std::str::FromStr;

use crate::encoding::{decode_hex, encode_hex, serde_as_text};
use crate::random;
use crate::time::UnixMillis;

/// Identifies one message of one sender; travels in JSON as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "019aa6d1c2f87b1f8a4c3e5d6f708192"))]
pub struct MessageId(pub [u8; 16]);

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message ID has 32 hexadecimal digits")]
pub struct MessageIdError;

impl MessageId {
    /// Draws a new identifier: 48 bits of time, then 74 random bits.
    pub fn new(now: UnixMillis) -> Self {
        let mut id: [u8; 16] = random::bytes();
        id[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
        id[6] = 0x70 | id[6] & 0x0f;
        id[8] = 0x80 | id[8] & 0x3f;
        Self(id)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;
    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        decode_hex(text).map(Self).ok_or(MessageIdError)
    }
}

serde_as_text!(MessageId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_messages_sort_after_earlier_ones() {
        let earlier = MessageId::new(UnixMillis(1_700_000_000_000));
        let later = MessageId::new(UnixMillis(1_700_000_000_001));
        assert!(earlier < later);
        assert_eq!(earlier.to_string().parse(), Ok(earlier));
    }
}
