//! Where a participant lives: what `GET /me/homes` gives.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::digest::Fingerprint;

wire! {
    /// Another server that keeps somebody's mail and keys, or may.
    response Home {
        /// The server ID; what a client checks before it says anything there.
        pub server: Fingerprint,
        /// Its name.
        pub name: String,
        /// Where it may be reached, best first; empty when that is not known.
        pub addresses: Vec<String>,
    }
}

wire! {
    /// A participant's homes, as the server that is asked sees them.
    response Homes {
        /// Whether the server that is asked is the first home: keys and devices change only there.
        pub is_first: bool,
        /// The other home.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub other: Option<Home>,
        /// Servers that may be named as the other home in the next key bundle; only the first home says.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub offered: Vec<Home>,
    }
}
