//! What two servers say of themselves and of each other.

use serde::{Deserialize, Serialize};

/// Said first, by both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Versions of the link the server speaks; the highest that both speak counts.
    pub versions: Vec<u8>,
    /// What it can do beyond that version; what both name may be used.
    pub features: Vec<String>,
    /// The name its admin gave it.
    pub name: String,
    /// `host:port` where it may be dialled, the best first.
    pub addresses: Vec<String>,
    /// Largest envelope it takes.
    pub max_envelope_bytes: u64,
    /// How often it sends something at least, in seconds.
    pub heartbeat_seconds: u16,
}

/// How a server sees the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Never heard of, or removed.
    Unknown,
    /// The code of the pairing link is wrong, expired, or was used by another server.
    WrongCode,
    /// A request without a code is not taken: from too far away, switched off, or too many wait.
    NotTaken,
    /// The request is on disk; an admin has to confirm it.
    Recorded,
    /// An admin confirmed.
    Confirmed,
    /// An admin made a pause.
    Paused,
    /// Blocked.
    Blocked,
}
