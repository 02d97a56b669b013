//! Frames as bytes: kind, length, body.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::batch::{read_batch, write_batch};
use super::calls::{self, Call, Reply, Signed};
use super::{
    BATCH_BYTES, Batch, BatchId, CONTROL_BYTES, FetchKey, FetchKeyLog, Find, FindGroup, Found, FoundGroup,
    Hello, KEY_PART_BYTES, KeyLogPart, KeyPart, MAX_ENVELOPE_BYTES, NoWay, SignedReceipt, Standing,
};
use crate::digest::Fingerprint;
use crate::invite::InviteCode;
use crate::key_log::SignedHead;

/// Bytes before a frame's body: kind and length.
pub const HEADER_BYTES: usize = 5;

/// Largest answer with keys: a bundle, its countersignature, and a few dozen changes.
const FOUND_BYTES: usize = 512 * 1024;

/// Largest frame with a batch.
const MAX_BATCH_FRAME_BYTES: usize = BATCH_BYTES + MAX_ENVELOPE_BYTES + 64 * 1024;

/// Largest part of a key log: [`crate::limits::MAX_KEY_LOG_PAGE`] entries and a head.
const KEY_LOG_BYTES: usize = 96 * 1024;

/// Largest receipt: an outcome for everything in a batch.
const RECEIPT_BYTES: usize = 64 * 1024;

/// Why a frame is refused; the link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A kind that this version does not know.
    #[error("unknown kind of frame {0}")]
    UnknownKind(u8),
    /// Larger than its kind may be.
    #[error("a frame of kind {kind} has at most {limit} bytes")]
    TooLarge {
        /// Its kind.
        kind: u8,
        /// The most it may have.
        limit: usize,
    },
    /// The body is not what it should be.
    #[error("malformed frame of kind {0}")]
    Malformed(u8),
}

/// One frame.
#[derive(Debug, Clone)]
pub enum Frame {
    /// Said first.
    Hello(Hello),
    /// Still there.
    Heartbeat,
    /// Asks to be paired.
    Pair {
        /// The code of a pairing link; absent: the server was found in the local network.
        code: Option<InviteCode>,
    },
    /// How the sender sees the other side now.
    Standing(Standing),
    /// Envelopes on their way.
    Batch(Box<Batch>),
    /// The batch, or the answer to it, is on disk and need not be repeated soon.
    Taken {
        /// Which.
        batch: BatchId,
    },
    /// The batch is not taken now.
    Busy {
        /// Which.
        batch: BatchId,
        /// When to try again, in seconds.
        retry_after: u32,
    },
    /// The batch goes no further here.
    Undeliverable {
        /// Which.
        batch: BatchId,
        /// Why.
        reason: NoWay,
    },
    /// What became of a batch.
    Receipt(Box<SignedReceipt>),
    /// Who is home to an ID?
    Find(Find),
    /// The answer.
    Found(Box<Found>),
    /// Asks for a McEliece key.
    FetchKey(FetchKey),
    /// A part of one.
    KeyPart(KeyPart),
    /// Asks another home for something.
    Call(Box<Call>),
    /// The answer.
    Reply(Box<Reply>),
    /// Who keeps a group?
    FindGroup(FindGroup),
    /// The answer.
    FoundGroup(Box<FoundGroup>),
    /// Where the sender's key log ends.
    KeyLogHead(Box<SignedHead>),
    /// Asks for a part of the other server's key log.
    FetchKeyLog(FetchKeyLog),
    /// The part.
    KeyLogPart(Box<KeyLogPart>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PairBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<InviteCode>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingBody {
    standing: Standing,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TakenBody {
    batch: BatchId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BusyBody {
    batch: BatchId,
    retry_after: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UndeliverableBody {
    batch: BatchId,
    reason: NoWay,
}

/// Reads kind and length of the next frame's body.
///
/// # Errors
/// [`FrameError::UnknownKind`] or [`FrameError::TooLarge`], before anything of that length is allocated.
pub fn read_header(header: [u8; HEADER_BYTES]) -> Result<(u8, usize), FrameError> {
    let [kind, length @ ..] = header;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let limit = match kind {
        1 | 3 | 4 | 6 | 7 | 8 | 10 | 12 | 14 | 17 | 19 => CONTROL_BYTES,
        2 => 0,
        5 => MAX_BATCH_FRAME_BYTES,
        9 => RECEIPT_BYTES,
        11 => FOUND_BYTES,
        13 => 12 + KEY_PART_BYTES,
        15 => calls::MAX_CALL_BYTES + calls::BESIDE_BYTES,
        16 => calls::MAX_REPLY_BYTES + calls::BESIDE_BYTES,
        20 => FOUND_BYTES,
        18 => KEY_LOG_BYTES,
        _ => return Err(FrameError::UnknownKind(kind)),
    };
    if length > limit { Err(FrameError::TooLarge { kind, limit }) } else { Ok((kind, length)) }
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => 1,
            Self::Heartbeat => 2,
            Self::Pair { .. } => 3,
            Self::Standing(_) => 4,
            Self::Batch(_) => 5,
            Self::Taken { .. } => 6,
            Self::Busy { .. } => 7,
            Self::Undeliverable { .. } => 8,
            Self::Receipt(_) => 9,
            Self::Find(_) => 10,
            Self::Found(_) => 11,
            Self::FetchKey(_) => 12,
            Self::KeyPart(_) => 13,
            Self::Call(_) => 15,
            Self::Reply(_) => 16,
            Self::FindGroup(_) => 19,
            Self::FoundGroup(_) => 20,
            Self::KeyLogHead(_) => 14,
            Self::FetchKeyLog(_) => 17,
            Self::KeyLogPart(_) => 18,
        }
    }

    /// The frame's bytes: kind, length, body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind(), 0, 0, 0, 0];
        match self {
            Self::Heartbeat => {}
            Self::Batch(batch) => write_batch(&mut out, batch),
            Self::KeyPart(part) => {
                out.extend_from_slice(&part.query.to_be_bytes());
                out.extend_from_slice(&part.offset.to_be_bytes());
                out.extend_from_slice(&part.bytes);
            }
            Self::Hello(body) => write_json(&mut out, body),
            Self::Pair { code } => write_json(&mut out, &PairBody { code: *code }),
            Self::Standing(standing) => write_json(&mut out, &StandingBody { standing: *standing }),
            Self::Taken { batch } => write_json(&mut out, &TakenBody { batch: *batch }),
            Self::Busy { batch, retry_after } => {
                write_json(&mut out, &BusyBody { batch: *batch, retry_after: *retry_after });
            }
            Self::Undeliverable { batch, reason } => {
                write_json(&mut out, &UndeliverableBody { batch: *batch, reason: *reason });
            }
            Self::Receipt(body) => write_json(&mut out, body),
            Self::Find(body) => write_json(&mut out, body),
            Self::Found(body) => write_json(&mut out, body),
            Self::FetchKey(body) => write_json(&mut out, body),
            Self::FindGroup(body) => write_json(&mut out, body),
            Self::FoundGroup(body) => write_json(&mut out, body),
            Self::Call(call) => {
                out.extend_from_slice(&call.query.to_be_bytes());
                out.push(call.hops);
                out.extend_from_slice(&call.home.0);
                call.signed.write(&mut out);
            }
            Self::Reply(reply) => {
                out.extend_from_slice(&reply.query.to_be_bytes());
                if let Some(signed) = &reply.signed {
                    signed.write(&mut out);
                }
            }
            Self::KeyLogHead(body) => write_json(&mut out, body),
            Self::FetchKeyLog(body) => write_json(&mut out, body),
            Self::KeyLogPart(body) => write_json(&mut out, body),
        }
        let length = u32::try_from(out.len() - HEADER_BYTES).unwrap_or(u32::MAX);
        out[1..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
        out
    }

    /// Reads the body of a frame whose kind was read by [`read_header`].
    ///
    /// # Errors
    /// As [`FrameError`] says.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, FrameError> {
        let malformed = FrameError::Malformed(kind);
        Ok(match kind {
            1 => Self::Hello(read_json(kind, body)?),
            2 if body.is_empty() => Self::Heartbeat,
            3 => Self::Pair { code: read_json::<PairBody>(kind, body)?.code },
            4 => Self::Standing(read_json::<StandingBody>(kind, body)?.standing),
            5 => Self::Batch(Box::new(read_batch(body).ok_or(malformed)?)),
            6 => Self::Taken { batch: read_json::<TakenBody>(kind, body)?.batch },
            7 => {
                let BusyBody { batch, retry_after } = read_json(kind, body)?;
                Self::Busy { batch, retry_after }
            }
            8 => {
                let UndeliverableBody { batch, reason } = read_json(kind, body)?;
                Self::Undeliverable { batch, reason }
            }
            9 => Self::Receipt(read_json(kind, body)?),
            10 => Self::Find(read_json(kind, body)?),
            11 => Self::Found(read_json(kind, body)?),
            12 => Self::FetchKey(read_json(kind, body)?),
            13 => {
                let (query, rest) = body.split_first_chunk::<8>().ok_or(malformed)?;
                let (offset, bytes) = rest.split_first_chunk::<4>().ok_or(malformed)?;
                Self::KeyPart(KeyPart {
                    query: u64::from_be_bytes(*query),
                    offset: u32::from_be_bytes(*offset),
                    bytes: bytes.to_vec(),
                })
            }
            15 => {
                let (query, rest) = body.split_first_chunk::<8>().ok_or(malformed)?;
                let (hops, rest) = rest.split_first().ok_or(malformed)?;
                let (home, rest) = rest.split_first_chunk::<32>().ok_or(malformed)?;
                Self::Call(Box::new(Call {
                    query: u64::from_be_bytes(*query),
                    hops: *hops,
                    home: Fingerprint(*home),
                    signed: Signed::read(rest).ok_or(malformed)?,
                }))
            }
            16 => {
                let (query, rest) = body.split_first_chunk::<8>().ok_or(malformed)?;
                let signed = match rest {
                    [] => None,
                    rest => Some(Signed::read(rest).ok_or(malformed)?),
                };
                Self::Reply(Box::new(Reply { query: u64::from_be_bytes(*query), signed }))
            }
            19 => Self::FindGroup(read_json(kind, body)?),
            20 => Self::FoundGroup(read_json(kind, body)?),
            14 => Self::KeyLogHead(read_json(kind, body)?),
            17 => Self::FetchKeyLog(read_json(kind, body)?),
            18 => Self::KeyLogPart(read_json(kind, body)?),
            2 => return Err(malformed),
            _ => return Err(FrameError::UnknownKind(kind)),
        })
    }
}

fn write_json<T: Serialize>(out: &mut Vec<u8>, body: &T) {
    serde_json::to_writer(out, body).expect("frames are plain structures that always serialize");
}

fn read_json<T: DeserializeOwned>(kind: u8, body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(|_| FrameError::Malformed(kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::MAX_BATCH_PARTS;
    use super::*;
    use crate::id::ParticipantId;

    fn round(frame: &Frame) -> Frame {
        let bytes = frame.encode();
        let (kind, length) = read_header(*bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(length, bytes.len() - HEADER_BYTES);
        Frame::decode(kind, &bytes[HEADER_BYTES..]).unwrap()
    }

    proptest! {
        #[test]
        fn a_batch_comes_back_as_it_went(
            hops: u8, identity_key: Vec<u8>, header: Vec<u8>,
            parts in proptest::collection::vec(any::<Vec<u8>>(), 0..MAX_BATCH_PARTS),
        ) {
            let batch = Batch { hops, identity_key, header, parts };
            let Frame::Batch(read) = round(&Frame::Batch(Box::new(batch.clone()))) else { panic!() };
            prop_assert_eq!(*read, batch);
        }

        #[test]
        fn a_part_of_a_key_comes_back_as_it_went(query: u64, offset: u32, bytes: Vec<u8>) {
            let part = KeyPart { query, offset, bytes };
            let Frame::KeyPart(read) = round(&Frame::KeyPart(part.clone())) else { panic!() };
            prop_assert_eq!(read, part);
        }

        #[test]
        fn whatever_arrives_is_read_or_refused(kind: u8, body: Vec<u8>) {
            // Never a panic, and what is read is written again as it can be read.
            if let Ok(frame) = Frame::decode(kind, &body) {
                let bytes = frame.encode();
                prop_assert!(Frame::decode(bytes[0], &bytes[HEADER_BYTES..]).is_ok());
            }
        }

        #[test]
        fn a_batch_that_was_cut_is_refused(cut in 1usize..200) {
            let batch = Batch {
                hops: 4, identity_key: vec![1; 60], header: vec![2; 60], parts: vec![vec![3; 60]],
            };
            let bytes = Frame::Batch(Box::new(batch)).encode();
            let body = &bytes[HEADER_BYTES..bytes.len() - cut.min(bytes.len() - HEADER_BYTES)];
            // A cut between two envelopes leaves a shorter batch, which the header then contradicts.
            if let Ok(Frame::Batch(read)) = Frame::decode(5, body) {
                prop_assert!(read.parts.is_empty());
            }
        }
    }

    #[test]
    fn lengths_are_refused_before_anything_is_allocated() {
        for kind in 0..=u8::MAX {
            let [a, b, c, d] = u32::MAX.to_be_bytes();
            assert!(read_header([kind, a, b, c, d]).is_err(), "kind {kind}");
        }
        assert_eq!(read_header([2, 0, 0, 0, 1]), Err(FrameError::TooLarge { kind: 2, limit: 0 }));
        assert_eq!(read_header([99, 0, 0, 0, 0]), Err(FrameError::UnknownKind(99)));
        assert_eq!(read_header([6, 0, 0, 1, 0]), Ok((6, 256)));
    }

    #[test]
    fn frames_of_json_come_back_as_they_went() {
        let batch = BatchId([7; 32]);
        assert!(matches!(round(&Frame::Taken { batch }), Frame::Taken { batch: read } if read == batch));
        let busy = round(&Frame::Busy { batch, retry_after: 9 });
        assert!(matches!(busy, Frame::Busy { retry_after: 9, .. }));
        let code = Some(InviteCode::random());
        assert!(matches!(round(&Frame::Pair { code }), Frame::Pair { code: read } if read == code));
        assert!(matches!(round(&Frame::Pair { code: None }), Frame::Pair { code: None }));
        let standing = round(&Frame::Standing(Standing::WrongCode));
        assert!(matches!(standing, Frame::Standing(Standing::WrongCode)));
        assert!(matches!(round(&Frame::Heartbeat), Frame::Heartbeat));
        let find = Find { query: u64::MAX, id: ParticipantId::random(), hops: 4 };
        assert!(matches!(round(&Frame::Find(find)), Frame::Find(read) if read == find));
    }
}
