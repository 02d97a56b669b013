//! What people hand back to a server that was restored from an older backup: what it once had, signed by themselves and
//! by it.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::jws::Jws;
use crate::key_log::{KeyLogEntry, SignedHead};

/// Most entries of a key log that are handed back at once: some weeks of a school, in about 130 KB.
pub const MAX_LOG_HANDED_BACK: usize = 600;

/// Most entries of a group's chain that are handed back at once.
pub const MAX_ENTRIES_HANDED_BACK: usize = 64;

wire! {
    /// The newest keys and devices of a participant, as one of their devices, or their second home, has them.
    request HeldKeys {
        /// Bundles that changed the signature key, oldest first: those that the server has, too, are passed over.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub changes: Vec<Jws>,
        /// The newest bundle.
        pub bundle: Jws,
        /// The newest device list, if it is at hand; it is signed with that bundle's signature key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub device_list: Option<Jws>,
    }
}

wire! {
    /// The end of the server's own log of key changes, as somebody followed it: by its own signature the server knows
    /// that it is.
    request HeldKeyLog {
        /// The last entries, at most 600, in order.
        pub entries: Vec<KeyLogEntry>,
        /// The head they end at.
        pub head: SignedHead,
    }
}

wire! {
    /// What comes along with the first log-in of a device at a server in a new life.
    request Held {
        /// The participant's keys and devices.
        pub keys: HeldKeys,
        /// The end of the log of key changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub log: Option<HeldKeyLog>,
    }
}

wire! {
    /// `PUT /groups/{id}/entries`: entries of a chain that the server may have forgotten, whoever signed them.
    request HeldEntries {
        /// At most 64 that follow each other.
        pub entries: Vec<Jws>,
    }
}
