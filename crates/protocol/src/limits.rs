//! Sizes both sides of the wire agree on, each with its reason.

/// Largest envelope a server takes unless its settings say otherwise, in bytes.
///
/// A text of 4,000 characters seals to about 18 KiB; attachments travel as blobs.
pub const DEFAULT_MAX_ENVELOPE_BYTES: usize = 64 * 1024;

/// Smallest padded inner message, in bytes: short texts must not be told apart by length.
pub const MIN_PADDED_BYTES: usize = 512;

/// Largest signed document (key bundle, device list, log-in) that is parsed, in bytes.
pub const MAX_SIGNED_DOCUMENT_BYTES: usize = 64 * 1024;

/// Largest payload of a key bundle, in bytes: with keys of 4096 bits it has about 4 KiB.
pub const MAX_BUNDLE_PAYLOAD_BYTES: usize = 8 * 1024;

/// Most devices one participant may list.
pub const MAX_DEVICES: usize = 16;

/// Most home servers one key bundle may name.
pub const MAX_HOMES: usize = 4;

/// Smallest RSA modulus accepted, in bits (BSI TR-02102-1 asks for 3000).
pub const MIN_RSA_BITS: usize = 3000;

/// Largest RSA modulus accepted, in bits: verifying larger ones is a way to make a server busy.
pub const MAX_RSA_BITS: usize = 4096;

/// Key-bundle lifetime a client asks for, in days; it re-signs long before.
pub const KEY_BUNDLE_LIFETIME_DAYS: u64 = 365;

/// How long a superseded bundle's envelopes are still accepted, in days.
pub const SUPERSEDED_BUNDLE_DAYS: u64 = 14;

/// Most messages one ozone page holds.
pub const MAX_OZONE_PAGE: usize = 500;

/// Longest long-polling wait, in seconds; proxies commonly cut at 60.
pub const MAX_WAIT_SECONDS: u64 = 50;

/// Largest identity, in bytes of JSON: keys of a dozen bundles, or of three and some fifty contacts.
pub const MAX_IDENTITY_BYTES: usize = 240 * 1024;

/// Largest slot of a key backup, in bytes.
pub const MAX_KEY_BACKUP_BYTES: usize = 256 * 1024;

/// Largest handover to a linked device, in bytes: an identity padded and sealed.
pub const MAX_HANDOVER_BYTES: usize = 264 * 1024;

/// Largest of the other messages of a device link, in bytes: a device with keys of 4096 bits has 4 KiB.
pub const MAX_LINK_STEP_BYTES: usize = 8 * 1024;

/// How long a device link can be used, and how long its linking may take from then on, in seconds.
pub const DEVICE_LINK_SECONDS: u64 = 120;

/// Most participants one participant may block.
pub const MAX_BLOCKS: usize = 1_000;

/// Longest reason of a report, in Unicode scalar values.
pub const MAX_REASON_CHARACTERS: usize = 1_000;

/// Most entries of a key log in one answer, about 50 KiB of JSON.
pub const MAX_KEY_LOG_PAGE: usize = 256;

/// Most unacknowledged deliveries a stream may ask for.
pub const MAX_STREAM_WINDOW: usize = 512;

/// Unacknowledged deliveries a stream gets when it asks for none.
pub const DEFAULT_STREAM_WINDOW: usize = 64;
