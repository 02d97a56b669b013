//! A participant's side of momedo: what it decides about keys, contacts, groups, messages and files, wherever it runs.
//!
//! Command line, bots, tests and browsers stand on this crate. It believes the server nothing that it can check: the
//! server's identity is pinned from the invite link, contacts' keys are remembered, and what arrives is verified before it
//! is shown. Sockets, files, threads, clocks that wake and private RSA keys are the platform's: `client-native` and
//! `client-browser` bring them. What may not enter: anything that only one of the two can do.
//!
//! Arrows go down this table; nothing in it names what stands above it.
//!
//! | module | holds |
//! |---|---|
//! | [`commands`] | what the commands of every shell do, and their answers as JSON |
//! | [`receiving`], [`devices`], [`watching`], [`linking`], [`recovering`], [`registration`], [`homes`] | what a person does, or what happens to them |
//! | [`sending`], [`blobs`], [`receipts`], [`rotation`], [`key_backup`], `handing_back`, `adopting` | what that is made of |
//! | [`groups`], `carrying`, `submitting`, `insisting`, `logging_in` | one step with a server, repeated until it is answered |
//! | [`contacts`], [`key_log`], [`names`], [`living`], `unconfirmed`, [`blocking`], [`reporting`], [`personal`] | one thing that is known or said |
//! | [`session`], [`connection`], [`addresses`] | log-in, and the calls of the API |
//! | `inbox`, `opening`, `identity`, `held`, `known_devices`, `known_keys`, `own_bundle`, [`secrets`] | what is read out of the profile, and put there |
//! | [`profile`] | everything a device keeps, and when it changes |
//! | [`keeping`] | rows, in SQLite or in pages |
//! | [`metadata`], [`file_name`], [`signing`], [`private_keys`], [`clocks`], [`progress`], [`sentences`], [`error`] | small things that stand alone |
//! | [`platform`] | what the client asks of whatever it runs on |

pub mod addresses;
mod adopting;
pub mod blobs;
pub mod blocking;
mod carrying;
pub mod clocks;
pub mod commands;
pub mod connection;
pub mod contacts;
mod device_lists;
pub mod devices;
mod draft;
pub mod error;
pub mod file_name;
pub mod groups;
mod handing_back;
mod held;
pub mod homes;
mod identity;
mod inbox;
mod insisting;
pub mod keeping;
pub mod key_backup;
pub mod key_log;
mod known_devices;
mod known_keys;
pub mod linking;
pub mod living;
mod logging_in;
mod meaning;
pub mod metadata;
pub mod names;
mod opening;
mod own_bundle;
pub mod personal;
pub mod platform;
pub mod private_keys;
pub mod profile;
pub mod progress;
mod questions;
mod queue_place;
pub mod receipts;
pub mod receiving;
pub mod recovering;
pub mod registration;
pub mod reporting;
pub mod rotation;
pub mod secrets;
pub mod sending;
pub mod sentences;
pub mod session;
pub mod signing;
mod submitting;
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
