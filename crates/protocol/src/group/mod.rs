//! Groups: who belongs, signed by whoever changed it, and how messages to a group are sealed.
//!
//! A group is a chain of signed entries. Everybody checks it alone: the server before it takes an entry, every
//! member before believing one. So a server cannot put anybody into a group unseen. What may not enter: storage,
//! and asking people for keys.
//!
//! | module | holds |
//! |---|---|
//! | [`entry`] | one signed change |
//! | [`state`] | the rules, and what a group is after all its changes |
//! | [`key`] | the group key of an epoch |
//! | [`envelope`] | a message sealed once for all members |
//! | [`link`] | the link that lets people join |

pub mod entry;
pub mod envelope;
pub mod key;
pub mod link;
pub mod state;

use std::fmt;
use std::str::FromStr;

use crate::digest::Sha512Digest;
use crate::encoding::serde_as_text;
use crate::id::{read_symbols, write_symbols};

/// Bits of a group's short ID.
const BITS: u32 = 60;

/// A group's short ID: the first 60 bits of the digest of its first entry, as 12 Crockford symbols.
///
/// People type it; programs pin the whole digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "7QK0M3ZD9XN4"))]
pub struct GroupId(u64);

/// The text is not a group's ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group's ID has 12 letters and digits, such as 7QK0M3ZD9XN4")]
pub struct GroupIdError;

impl GroupId {
    /// The short ID of the group with this digest.
    pub fn of(digest: &Sha512Digest) -> Self {
        let first = digest.0.first_chunk().expect("a digest has 64 bytes");
        Self(u64::from_be_bytes(*first) >> (64 - BITS))
    }

    /// The ID with this number; `None` from 2^60 on.
    pub fn from_number(number: u64) -> Option<Self> {
        (number >> BITS == 0).then_some(Self(number))
    }

    /// The ID as a number below 2^60.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbols(self.0, BITS, f)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for GroupId {
    type Err = GroupIdError;
    fn from_str(text: &str) -> Result<Self, GroupIdError> {
        read_symbols(text, BITS).map(Self).ok_or(GroupIdError)
    }
}

serde_as_text!(GroupId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_id_is_the_beginning_of_its_digest() {
        let mut digest = Sha512Digest([0; 64]);
        digest.0[..8].copy_from_slice(&[0xFF; 8]);
        let id = GroupId::of(&digest);
        assert_eq!(id.to_string(), "ZZZZZZZZZZZZ");
        assert_eq!("zzzz-zzzz-zzzz".parse(), Ok(id));
        assert_eq!(GroupId::from_number(id.number()), Some(id));
        assert_eq!("M8N22HT6".parse::<GroupId>(), Err(GroupIdError));
    }
}
