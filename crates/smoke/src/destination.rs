//! The destination of a frame: its last 64 bytes are a tag under a routing identity over everything before.

use crate::lenient_base64;
use crate::mac::{MacKey, TAG_BYTES};

/// Bytes of a routing identity.
pub const IDENTITY_BYTES: usize = 64;

/// A routing identity: SHA-512 of a Smoke ID, of a Fire channel's key, or random for a retrieval.
pub type Identity = [u8; IDENTITY_BYTES];

/// Smallest payload that can be anything but noise.
pub const MIN_PAYLOAD_BYTES: usize = 128;

/// What a frame's body says about where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    bytes: Vec<u8>,
    is_fire: bool,
}

impl Addressed {
    /// Reads the body of an untyped frame: Base64, or three lines of it, which is a Fire (group) message.
    /// `None` for what is neither.
    pub fn read(body: &[u8]) -> Option<Self> {
        if let Some(fire) = fire(body) {
            return Some(Self { bytes: fire, is_fire: true });
        }
        let bytes = lenient_base64::decode(body)?;
        (!bytes.is_empty()).then_some(Self { bytes, is_fire: false })
    }

    /// Everything, the tag included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is a Fire message, which servers only pass on.
    pub fn is_fire(&self) -> bool {
        self.is_fire
    }

    /// Everything before the tag, and the tag; too short a payload has neither.
    pub fn parts(&self) -> Option<(&[u8], &[u8])> {
        if self.bytes.len() < MIN_PAYLOAD_BYTES {
            return None;
        }
        Some(self.bytes.split_at(self.bytes.len() - TAG_BYTES))
    }
}

/// The decoded lines of a body of exactly three, the last of them a tag.
fn fire(body: &[u8]) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = body.splitn(4, |byte| *byte == b'\n').collect();
    let [first, second, third] = lines[..] else { return None };
    let (data, mac, tag) =
        (lenient_base64::decode(first)?, lenient_base64::decode(second)?, lenient_base64::decode(third)?);
    (tag.len() == TAG_BYTES && !data.is_empty()).then(|| [data, mac, tag].concat())
}

/// The tag that addresses `data` to `identity`.
pub fn tag(identity: &Identity, data: &[u8]) -> [u8; TAG_BYTES] {
    MacKey::new(identity).tag(data)
}
