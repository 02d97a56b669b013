//! A participant's side of momedo: profile on disk, log-in, keys, sending and receiving.
//!
//! The command line, the tests and the examples stand on this crate. It believes the server nothing that
//! it can check: the server's identity is pinned from the invite link, contacts' keys are remembered, and
//! what arrives is verified before it is shown.
//!
//! | module | holds |
//! |---|---|
//! | [`profile`] | everything a device keeps, and when it changes |
//! | [`keeping`] | where it is kept: in an SQLite file, or in pages for a browser |
//! | [`secrets`] | a participant's private keys, made, stored and loaded |
//! | [`connection`] | HTTPS to the pinned server |
//! | [`session`] | log-in, and the calls of the API |
//! | [`registration`], [`devices`], [`rotation`] | joining, adding or revoking devices, new keys |
//! | [`watching`] | what other own devices did: devices added or revoked, recovery words replaced |
//! | [`key_backup`], [`linking`] | a new device, by a recovery code or by another device |
//! | `handing_back` | what a server that was restored from an older backup is told first |
//! | [`blocking`], [`reporting`], [`personal`] | unwanted mail, and what the server holds about one |
//! | [`contacts`] | whose keys are known, and what happens when they change |
//! | [`key_log`] | whether the server shows everybody the same keys |
//! | [`sending`], [`receiving`], [`stream`] | messages |
//! | [`blobs`], [`metadata`], [`file_name`] | files that go along: sealed, uploaded, fetched, saved; what images tell |
//! | [`living`], [`receipts`] | what becomes of messages: seen, done, chosen, changed; telling senders |
//! | [`groups`] | groups: who belongs, their keys, and posting |

pub mod addresses;
pub mod blobs;
pub mod blocking;
pub mod clocks;
pub mod connection;
pub mod contacts;
pub mod devices;
pub mod error;
pub mod file_name;
pub mod groups;
mod handing_back;
pub mod homes;
mod identity;
pub mod keeping;
pub mod key_backup;
pub mod key_log;
pub mod linking;
pub mod living;
pub mod metadata;
pub mod names;
pub mod personal;
pub mod platform;
pub mod private_keys;
pub mod profile;
pub mod progress;
pub mod receipts;
pub mod receiving;
pub mod registration;
pub mod reporting;
pub mod rotation;
pub mod secrets;
pub mod sending;
pub mod sentences;
pub mod session;
pub mod signing;
#[cfg(test)]
mod testing;
mod unconfirmed;
pub mod watching;

pub use error::ClientError;

use momedo_protocol::time::UnixMillis;

/// The device's clock, in milliseconds since 1970.
pub fn now() -> UnixMillis {
    let since = web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
