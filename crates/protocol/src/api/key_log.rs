//! What `GET /keys/log` gives, and what servers give each other of their logs.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::digest::Sha512Digest;
use crate::key_log::{KeyLogEntry, SignedHead};

wire! {
    /// A part of a key log, after a place that the asker named by its number.
    response KeyLogPage {
        /// The hash at that place; absent if the log does not reach it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub hash: Option<Sha512Digest>,
        /// What follows, in order: at most 256 entries, and at least one if there are more.
        pub entries: Vec<KeyLogEntry>,
        /// Where the log ends now.
        pub head: SignedHead,
    }
}
