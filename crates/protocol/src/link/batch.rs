//! Batches of envelopes, and what becomes of them.

use serde::{Deserialize, Serialize};

use super::documents::BatchId;
use super::{MAX_BATCH_PARTS, read_part, write_part};
use crate::encoding::Base64Bytes;
use crate::jws::Jws;

/// Why a batch goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoWay {
    /// No way to the home is known here.
    NoRoute,
    /// It has passed too many servers, or came back.
    TooFar,
    /// The contract between two servers on the way does not allow it.
    NotAllowedAcross,
    /// It cannot be read, or its signature does not fit.
    Malformed,
}

/// Envelopes for one home, on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// How many servers it may still pass.
    pub hops: u8,
    /// The identity key (SPKI DER) of the home it comes from.
    pub identity_key: Vec<u8>,
    /// The signed [`BatchHeader`](super::documents::BatchHeader) as JSON, as it was signed.
    pub header: Vec<u8>,
    /// What the header names by its digest, each once, in the order in which it is first named.
    pub parts: Vec<Vec<u8>>,
}

impl Batch {
    /// Names the batch.
    pub fn id(&self) -> BatchId {
        BatchId::of(&self.header)
    }

    /// The signed header, not verified.
    pub fn signed_header(&self) -> Option<Jws> {
        serde_json::from_slice(&self.header).ok()
    }
}

/// What became of a batch, signed by the home it was for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// The batch.
    pub batch: BatchId,
    /// The identity key (SPKI DER) of the home it was for.
    pub identity_key: Base64Bytes,
    /// A [`Receipt`](super::documents::Receipt).
    pub receipt: Jws,
}

pub(super) fn write_batch(out: &mut Vec<u8>, batch: &Batch) {
    out.push(batch.hops);
    write_part(out, &batch.identity_key);
    write_part(out, &batch.header);
    for part in &batch.parts {
        write_part(out, part);
    }
}

pub(super) fn read_batch(body: &[u8]) -> Option<Batch> {
    let (hops, mut rest) = body.split_first()?;
    let identity_key = read_part(&mut rest)?.to_vec();
    let header = read_part(&mut rest)?.to_vec();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        if parts.len() == MAX_BATCH_PARTS {
            return None;
        }
        parts.push(read_part(&mut rest)?.to_vec());
    }
    Some(Batch { hops: *hops, identity_key, header, parts })
}

#[cfg(test)]
mod tests {
    use super::super::{Frame, FrameError};
    use super::*;

    #[test]
    fn more_parts_than_a_batch_may_have_are_refused() {
        let mut out = Vec::new();
        let parts = vec![Vec::new(); MAX_BATCH_PARTS + 1];
        write_batch(&mut out, &Batch { hops: 0, identity_key: Vec::new(), header: Vec::new(), parts });
        assert_eq!(Frame::decode(5, &out).map(drop), Err(FrameError::Malformed(5)));
    }
}
