//! Offline copies: messages that a client leaves at the server, and their release to the recipient.
//!
//! A copy ends in a tag under the ozone's key over body, recipient's ID and minute, so a server finds out whom it
//! is for by trying those it knows.

use crate::destination::{Identity, tag};
use crate::mac::{MacState, TAG_BYTES};
use crate::smoke_id::SmokeId;

/// Milliseconds of a minute.
const MINUTE_MILLIS: u64 = 60_000;

/// The minute that copies are tagged with.
pub fn minute(now_millis: u64) -> u64 {
    now_millis / MINUTE_MILLIS
}

/// Minutes to try, the likeliest first: the sender's clock may be a little behind or ahead, and a copy may be on
/// its way while the minute changes.
pub fn minutes(now_millis: u64) -> [u64; 3] {
    let now = minute(now_millis);
    [now, now.wrapping_sub(1), now + 1]
}

/// Whether `tag` addresses the body that `state` has read to `id` in `minute`.
pub fn is_for(state: &MacState, id: &SmokeId, minute: u64, tag: &[u8]) -> bool {
    state.with(&suffix(id, minute)).is(tag)
}

/// The tag of a copy; what a client appends to the body.
pub fn copy_tag(state: &MacState, id: &SmokeId, minute: u64) -> [u8; TAG_BYTES] {
    state.with(&suffix(id, minute)).tag()
}

fn suffix(id: &SmokeId, minute: u64) -> [u8; 47] {
    let mut suffix = [0; 47];
    suffix[..39].copy_from_slice(id.as_bytes());
    suffix[39..].copy_from_slice(&minute.to_be_bytes());
    suffix
}

/// The payload that hands a stored body to whoever asked with `retrieval_identity`.
pub fn release(body: &[u8], retrieval_identity: &Identity) -> Vec<u8> {
    [body, &tag(retrieval_identity, body)].concat()
}
