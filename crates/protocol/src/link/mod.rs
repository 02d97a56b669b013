//! What two servers say to each other: frames over one TLS 1.3 connection whose ends have proved their identity.
//!
//! A frame is its kind (1 byte), the length of its body (4 bytes), and the body. Every kind has a largest body,
//! which is checked before anything is allocated. Bodies are JSON, but for batches and parts of keys. What may
//! not enter: sockets, and which neighbour may do what.

mod batch;
pub mod calls;
pub mod documents;
mod frame;
mod hello;
mod pairing;
mod questions;
pub mod second_home;

pub use batch::{Batch, NoWay, SignedReceipt};
pub use calls::{Call, Reply, Signed};
pub use documents::BatchId;
pub use frame::{Frame, FrameError, HEADER_BYTES, read_header};
pub use hello::{Hello, Standing};
pub use pairing::{PairingLink, PairingLinkError};
pub use questions::{FetchKey, FetchKeyLog, Find, FindGroup, Found, FoundGroup, KeyLogPart, KeyPart};

/// ALPN of the link.
pub const ALPN: &[u8] = b"momedo-neighbour/1";

/// The version of the link that this code speaks.
pub const VERSION: u8 = 1;

/// How many servers a question or a batch may pass after the first.
pub const MAX_HOPS: u8 = 4;

/// Most envelopes in a batch.
pub const MAX_BATCH_ITEMS: usize = 64;

/// Most parts of a batch: an envelope for each item, and a member's sealed content key.
pub const MAX_BATCH_PARTS: usize = 2 * MAX_BATCH_ITEMS;

/// A batch takes no further envelope once it has this many bytes; one alone may be larger.
pub const BATCH_BYTES: usize = 256 * 1024;

/// Largest envelope that crosses a link: the most any server may be told to take.
pub const MAX_ENVELOPE_BYTES: usize = 1024 * 1024;

/// Bytes of a McEliece key in one frame; small enough for mail to pass in between.
pub const KEY_PART_BYTES: usize = 64 * 1024;

/// Most addresses a server tells of itself.
pub const MAX_ADDRESSES: usize = 4;

/// Longest such address, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 255;

/// Largest body of a frame that has no limit of its own, in bytes; strangers may send no other.
pub const CONTROL_BYTES: usize = 16 * 1024;

/// Appends a length (4 bytes) and that many bytes.
fn write_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(part);
}

fn read_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (part, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part)
}
