//! What each command does, between what was typed and what is printed, and its answer as JSON.
//!
//! The program and a browser's worker take the same words and give the same answers; what both decide is decided here, and
//! what both say to programs is worded here, once. No parsing of options may enter, no printing, no platform and no words
//! for people but those of refusals: a shell has them.
//!
//! An answer is a type that serializes to what `--json` prints. Its fields stand in the order of their names, as programs
//! always got them; what serves only a shell's words is left out of it.
//!
//! | module | commands |
//! |---|---|
//! | [`user`] | `user register`, `receipts`, `homes` |
//! | [`devices`] | `user devices`, `revoke-device`, `add-device` on the same machine |
//! | [`joining`] | `user backup-keys`, `recover`, `link-device`, `add-device` with a link |
//! | [`manners`] | `user block`, `unblock`, `blocked`, `erase` |
//! | [`send`], [`receive`] | `send`, `receive` |
//! | [`messages`], [`files`] | `message`, `file` |
//! | [`groups`] | `group` |
//! | [`keys`] | `keys` |

pub mod devices;
pub mod files;
pub mod groups;
pub mod joining;
pub mod keys;
pub mod manners;
pub mod messages;
pub mod receive;
mod refusal;
pub mod send;
pub mod user;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use crate::progress::Progress;

pub use refusal::CommandError;

/// Whoever reads the answers.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Their language, a tag such as `de`.
    pub language: &'a str,
    /// Hears of what takes a while.
    pub progress: Progress<'a>,
}

/// What was done to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A message is on the server's disk.
    Accepted,
    /// A device reads and writes no more.
    Revoked,
    /// A device is one of the participant's now.
    Linked,
    /// The server holds nothing of somebody any more.
    Erased,
    /// Somebody is no member any more.
    Left,
}

/// Types of the protocol have their fields in another order.
fn by_name<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::to_value(value).map_err(S::Error::custom)?.serialize(serializer)
}
