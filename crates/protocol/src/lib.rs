//! What goes over the wire between momedo programs, and how it is sealed.
//!
//! This crate is pure: no network, no files, no clock, no runtime. Time comes in as an argument;
//! randomness comes from the operating system. It also compiles for `wasm32-unknown-unknown`, because
//! the web client uses it. What may not enter: anything that only a server or only one client needs.
//!
//! `docs/protocol.md` says the same in prose, with the test vectors of `vectors/`.
//!
//! | module | holds |
//! |---|---|
//! | [`id`], [`message_id`], [`cursor`], [`digest`], [`encoding`] | the small values everything is named by |
//! | [`rsa_key`], [`ml_kem_key`], [`mceliece`] | one public-key scheme each |
//! | [`jws`] | the one signature format |
//! | [`key_bundle`], [`device_list`], [`countersignature`], [`login`], [`erasure`] | what is signed |
//! | [`key_log`] | which bundles a server made current, in a chain that only grows |
//! | [`envelope`], [`seal`], [`message`], [`kind`] | one end-to-end encrypted message, from outside to inside |
//! | [`blob`] | a file that goes along, sealed in chunks |
//! | [`group`] | who belongs to a group, and messages sealed once for all of it |
//! | [`possession`] | the proof that whoever publishes keys can open them |
//! | [`api`], [`stream`], [`problem`] | what the HTTP API and the WebSocket carry |
//! | [`invite`] | the link a participant joins with |
//! | [`identity`], [`key_backup`], [`device_link`] | how a new device becomes a participant's |
//! | [`link`] | what two servers say to each other |
//! | [`notice`] | what a home tells its participants about messages to other servers |
//! | [`name`] | what may stand as a name |
//! | [`secret_text`] | what people type to prove who they are |
//! | [`padding`] | how lengths are rounded up |
//! | [`limits`] | every size both sides agree on |

pub mod api;
pub mod blob;
mod committing;
mod copied;
pub mod countersignature;
pub mod cursor;
pub mod device_link;
pub mod device_list;
pub mod digest;
pub mod encoding;
pub mod envelope;
pub mod erasure;
pub mod group;
pub mod id;
pub mod identity;
pub mod invite;
pub mod jws;
pub mod key_backup;
pub mod key_bundle;
pub mod key_log;
pub mod kind;
pub mod limits;
pub mod link;
pub mod login;
pub mod mceliece;
pub mod message;
pub mod message_id;
pub mod ml_kem_key;
pub mod name;
pub mod notice;
pub mod padding;
pub mod possession;
pub mod problem;
pub mod random;
pub mod rsa_key;
pub mod seal;
pub mod secret_text;
pub mod stream;
pub mod suite;
pub mod time;

#[cfg(not(target_arch = "wasm32"))]
pub mod rsa_private_key;
