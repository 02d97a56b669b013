//! HMAC-SHA-512 with keys prepared once, whose state can be copied half-way.
//!
//! Recognition hashes the long common beginning of a payload once per key and goes on from copies of that
//! state; that is what keeps its cost bounded.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

/// Bytes of a tag.
pub const TAG_BYTES: usize = 64;

/// A prepared key.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

/// A computation under way.
#[derive(Clone)]
pub struct MacState(hmac::Context);

impl MacKey {
    /// Prepares a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA512, key))
    }

    /// Starts with the first part of the data.
    pub fn start(&self, data: &[u8]) -> MacState {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(data);
        MacState(context)
    }

    /// The tag of `data`.
    pub fn tag(&self, data: &[u8]) -> [u8; TAG_BYTES] {
        self.start(data).tag()
    }

    /// Whether `tag` is the tag of `data`; compared in constant time.
    pub fn verifies(&self, data: &[u8], tag: &[u8]) -> bool {
        self.start(data).is(tag)
    }
}

impl MacState {
    /// The state after more data; the original can be used again.
    #[must_use]
    pub fn with(&self, data: &[u8]) -> Self {
        let mut context = self.0.clone();
        context.update(data);
        Self(context)
    }

    /// Ends the computation.
    pub fn tag(self) -> [u8; TAG_BYTES] {
        self.0.sign().as_ref().try_into().expect("HMAC-SHA-512 has 64 bytes")
    }

    /// Ends the computation and compares in constant time.
    pub fn is(self, tag: &[u8]) -> bool {
        verify_slices_are_equal(self.0.sign().as_ref(), tag).is_ok()
    }
}
