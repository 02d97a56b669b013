//! The wire protocol of the Smoke app and of its server SmokeStack: framing, identities, key streams, ozone
//! requests, key bundles, and recognising what an anonymous frame is.
//!
//! Pure: no I/O, no clock and no async runtime; times come in as Unix milliseconds. What may not enter: any
//! decision of the server's, such as who may register or how long mail is kept. Nothing here opens an
//! end-to-end encrypted message; only envelopes that are meant for servers are decrypted.
//!
//! | module | holds |
//! |---|---|
//! | [`frame`], [`lenient_base64`] | bytes on the line, in both directions |
//! | [`greeting`] | whether a connection begins as these frames do, or as HTTP |
//! | [`smoke_id`], [`sip_hash`] | who somebody is |
//! | [`key_stream`], [`mac`] | keys derived from an ID or an ozone's name |
//! | [`ozone_request`] | what a client asks a server for |
//! | [`key_bundle`], [`signature`] | published public keys, and checking signatures |
//! | [`destination`], [`offline_copy`] | the last 64 bytes of a payload: for whom it is |
//! | [`challenge`] | how a client proves itself on a private listener |
//! | [`directory`], [`recognition`] | which of all this an incoming payload is, at the least cost |
//!
//! `vectors/vectors.json` holds bytes made by the original app; `tests/vectors.rs` checks every one of them.

pub mod challenge;
pub mod destination;
pub mod directory;
pub mod frame;
pub mod greeting;
pub mod key_bundle;
pub mod key_stream;
pub mod lenient_base64;
pub mod mac;
pub mod offline_copy;
pub mod ozone_request;
pub mod recognition;
pub mod signature;
pub mod sip_hash;
pub mod smoke_id;

/// SHA-512 of `data`: what keys, messages and routing identities are known by (64 bytes).
pub fn sha512(data: &[u8]) -> [u8; 64] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, data);
    digest.as_ref().try_into().expect("SHA-512 has 64 bytes")
}

/// `N` random bytes.
///
/// # Panics
/// When the operating system has no randomness to give; nothing safe can be done then.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}
