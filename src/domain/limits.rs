//! Times and counts the server keeps to, each with its reason. What an admin may change is in
//! [`crate::settings::config`].

use std::time::Duration;

/// How long an ID stays reserved: making a McEliece key on a slow tablet takes a minute or two.
pub const RESERVATION: Duration = Duration::from_secs(600);

/// Reservations one invite may have open at once: retries after a broken line.
pub const MAX_RESERVATIONS_PER_INVITE: u64 = 5;

/// How long a possession challenge can be answered.
pub const CHALLENGE: Duration = Duration::from_secs(120);

/// How long a log-in nonce can be used.
pub const NONCE: Duration = Duration::from_secs(60);

/// Log-ins of one device for which the server remembers that their nonce was used: more per minute are refused.
pub const MAX_USED_NONCES_PER_DEVICE: usize = 512;

/// Offered bundles kept until they are proved, a few kilobytes each.
pub const MAX_PENDING_BUNDLES: usize = 1_000;

/// Bytes that all of them take together.
pub const MAX_PENDING_BUNDLE_BYTES: usize = 32 << 20;

/// How long a device link can be used, and from its first use the linking may take.
pub const DEVICE_LINK: Duration = Duration::from_secs(momedo_protocol::limits::DEVICE_LINK_SECONDS);

/// Device links open at once: a whole year of a school, on the day the tablets come.
pub const MAX_DEVICE_LINKS: usize = 500;

/// Bytes all open device links hold at most.
pub const MAX_DEVICE_LINK_BYTES: usize = 16 * 1024 * 1024;

/// How long a report is kept, in days of the server's running time.
pub const REPORT_DAYS: u64 = 90;

/// A session unused for this long ends.
pub const SESSION: Duration = Duration::from_secs(24 * 3600);

/// Sessions one device may have; the oldest ends when one more begins.
pub const MAX_SESSIONS_PER_DEVICE: usize = 8;

/// McEliece keys one participant may have uploaded without using them in a bundle.
pub const MAX_UNUSED_MCELIECE_KEYS: u64 = 3;

/// Postings with large bodies read at once: each may take several megabytes.
pub const MAX_LARGE_BODIES: usize = 4;

/// Exports of personal data that run at once, those for admins apart: each holds a connection to the database, and what
/// it compressed.
pub const MAX_EXPORTS: usize = 8;

/// How long one may take in all: a place is not kept by taking it slowly.
pub const EXPORT_TIME: Duration = Duration::from_secs(600);

/// Uploads of attachments that run at once: each takes a quarter of a megabyte.
pub const MAX_UPLOADS: usize = 64;

/// Uploads of one participant that run at once.
pub const MAX_UPLOADS_PER_PARTICIPANT: usize = 4;

/// After how many bytes an upload is synced and noted: what a crash can cost its sender.
pub const BLOB_SYNC_BYTES: u64 = 4 * 1024 * 1024;

/// How long an upload is kept that nothing refers to.
pub const UNSENT_BLOB: Duration = Duration::from_secs(24 * 3600);

/// A device not seen for this long is parked, in days.
pub const PARK_AFTER_DAYS: u64 = 30;

/// For how long of its running time a restored server takes back what it may have forgotten, in days: the retention of mail
/// by default, so that a tablet that spent the summer in a drawer is heard, too.
pub const TAKES_BACK_DAYS: u64 = 90;

/// How long an accepted message is remembered after its envelope expired, in days.
pub const RECEIPT_EXTRA_DAYS: u64 = 30;

/// Largest page of envelopes read at once, in bytes.
pub const MAX_PAGE_BYTES: u64 = 512 * 1024;

/// How long a session of the admin pages lasts at most.
pub const STAFF_SESSION: Duration = Duration::from_secs(12 * 3600);

/// How long one may be idle.
pub const STAFF_SESSION_IDLE: Duration = Duration::from_secs(3600);

/// How old a typed password may be for what weighs much on the admin pages.
pub const RECENT_CONFIRMATION: Duration = Duration::from_secs(5 * 60);

/// Most sessions one account of the admin pages has; beyond that the one unused for longest ends.
pub const MAX_SESSIONS_PER_ACCOUNT: usize = 16;
