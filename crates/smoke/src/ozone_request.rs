//! What a client asks a server for, sealed with an ozone's key stream.
//!
//! Whoever knows the ozone's name can read these and can make the unsigned ones.

use crate::key_stream::KeyStream;
use crate::smoke_id::{ID_CHARACTERS, SmokeId};
use crate::{destination, signature};

/// How far a request's time may be from the server's clock, in milliseconds; exactly this much is allowed.
pub const WINDOW_MILLIS: u64 = 30_000;

/// Where a signed request's signature begins.
const SIGNED_BYTES: usize = 137;

/// Length of a temporary identity.
const TEMPORARY_BYTES: usize = 8;

/// A request, taken apart and not judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OzoneRequest {
    /// `0x00`: hand over what waits for me; the field is the retrieval identity.
    Retrieve(Signed),
    /// `0x01`: give me somebody's public keys.
    FetchKeys {
        /// When it was made, in Unix milliseconds.
        at_millis: u64,
        /// Who asks.
        requester: SmokeId,
        /// Whose keys.
        requested: SmokeId,
    },
    /// `0x02`: this ID exists.
    ShareId {
        /// When it was made, in Unix milliseconds.
        at_millis: u64,
        /// The ID.
        id: SmokeId,
        /// What the confirmation repeats.
        temporary: [u8; TEMPORARY_BYTES],
    },
    /// `0x04`: I have read a message; the field is its digest.
    MessageRead(Signed),
}

/// A signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// When it was made, in Unix milliseconds.
    pub at_millis: u64,
    /// What it is about.
    pub field: [u8; 64],
    /// SHA-512 of the sender's encryption key.
    pub key_digest: [u8; 64],
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    fn read(plain: &[u8]) -> Option<Self> {
        let (signed, signature) = plain.split_at_checked(SIGNED_BYTES)?;
        Some(Self {
            at_millis: millis(signed)?,
            field: signed[9..73].try_into().ok()?,
            key_digest: signed[73..].try_into().ok()?,
            signed: signed.to_vec(),
            signature: signature.to_vec(),
        })
    }

    /// Whether the signature verifies under this key (SPKI DER).
    pub fn is_signed_by(&self, signature_key: &[u8]) -> bool {
        signature::verifies(signature_key, &self.signed, &self.signature)
    }
}

fn millis(plain: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(plain.get(1..9)?.try_into().ok()?))
}

/// Whether a time is within `window_millis` of the clock.
pub fn is_timely(at_millis: u64, now_millis: u64, window_millis: u64) -> bool {
    at_millis.abs_diff(now_millis) <= window_millis
}

impl OzoneRequest {
    /// Takes the opened request apart; `None` for anything that is not one.
    pub fn read(plain: &[u8]) -> Option<Self> {
        match plain.first()? {
            0 => Signed::read(plain).map(Self::Retrieve),
            1 => Some(Self::FetchKeys {
                at_millis: millis(plain)?,
                requester: SmokeId::from_wire(plain.get(9..9 + ID_CHARACTERS)?)?,
                requested: SmokeId::from_wire(plain.get(9 + ID_CHARACTERS..)?.trim_ascii())?,
            }),
            2 => {
                let (id, temporary) = plain.get(9..)?.split_at_checked(ID_CHARACTERS)?;
                Some(Self::ShareId {
                    at_millis: millis(plain)?,
                    id: SmokeId::from_wire(id)?,
                    temporary: temporary.try_into().ok()?,
                })
            }
            4 => Signed::read(plain).map(Self::MessageRead),
            _ => None,
        }
    }

    /// When it was made, in Unix milliseconds.
    pub fn at_millis(&self) -> u64 {
        match self {
            Self::Retrieve(signed) | Self::MessageRead(signed) => signed.at_millis,
            Self::FetchKeys { at_millis, .. } | Self::ShareId { at_millis, .. } => *at_millis,
        }
    }
}

/// The payload that confirms a shared ID (`0x03`): with the stream of the ozone it was shared in, addressed to it.
pub fn confirmation(stream: &KeyStream, id: &SmokeId, temporary: &[u8; 8], now_millis: u64) -> Vec<u8> {
    let plain = [&[3][..], &now_millis.to_be_bytes(), id.as_bytes(), temporary].concat();
    let mut payload = stream.seal(&plain);
    let tag = destination::tag(&id.routing_identity(), &payload);
    payload.extend_from_slice(&tag);
    payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_window_is_closed_on_both_sides() {
        for (at, timely) in
            [(70_000, true), (69_999, false), (130_000, true), (130_001, false), (u64::MAX, false)]
        {
            assert_eq!(is_timely(at, 100_000, WINDOW_MILLIS), timely, "{at}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(kind in 0u8..6, plain: Vec<u8>) {
            OzoneRequest::read(&[&[kind][..], &plain].concat());
        }
    }
}
