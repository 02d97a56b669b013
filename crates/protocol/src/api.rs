//! What the HTTP API under `/api/v1` takes and gives, as JSON.
//!
//! Bytes travel as base64url without padding. Unknown fields in requests are refused, so that a
//! misspelt field is an error and not a surprise.

pub mod blobs;
pub mod groups;
pub mod homes;
pub mod key_log;
pub mod restored;

use serde::{Deserialize, Serialize};

use crate::blob::BlobId;
use crate::cursor::{Cursor, StoreEpoch};
use crate::device_link::LinkId;
use crate::digest::{Fingerprint, Sha512Digest};
use crate::encoding::Base64Bytes;
use crate::group::GroupId;
use crate::id::{DeviceId, ParticipantId};
use crate::invite::InviteCode;
use crate::jws::Jws;
use crate::message_id::MessageId;
use crate::possession::PossessionChallenge;
use crate::suite::Suite;
use crate::time::UnixMillis;

macro_rules! wire {
    ($(#[$doc:meta])* request $name:ident { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name { $($body)* }
    };
    ($(#[$doc:meta])* response $name:ident { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name { $($body)* }
    };
}

use wire;

wire! {
    /// `GET /server`: who this server is and what it takes.
    response ServerInformation {
        /// The name its admin gave it.
        pub name: String,
        /// Version of the program.
        pub version: String,
        /// Fingerprint of the identity key.
        pub fingerprint: Fingerprint,
        /// The identity key itself (SPKI DER); check it against the fingerprint.
        pub identity_key: Base64Bytes,
        /// Sizes and times this server keeps to.
        pub limits: ServerLimits,
        /// Suites it passes on.
        pub suites: Vec<Suite>,
        /// What registration needs.
        pub registration: RegistrationPolicy,
    }
}

/// What registration needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RegistrationPolicy {
    /// An invite code.
    Invite,
}

wire! {
    /// Sizes and times a server keeps to.
    response ServerLimits {
        /// Largest envelope, in bytes.
        pub max_envelope_bytes: u64,
        /// How long an unacknowledged envelope waits, in days.
        pub retention_days: u64,
        /// Largest device queue, in bytes.
        pub max_queue_bytes: u64,
        /// Largest page of the ozone, in messages.
        pub max_ozone_page: u64,
        /// Longest long-polling wait, in seconds.
        pub max_wait_seconds: u64,
        /// Most devices per participant.
        pub max_devices: u64,
        /// Largest attachment, in bytes before sealing.
        pub max_blob_bytes: u64,
    }
}

wire! {
    /// `GET /identity`: proof that the holder of the identity key answers on this very connection.
    response IdentityProof {
        /// The identity key (SPKI DER).
        pub identity_key: Base64Bytes,
        /// `PS512` signature over the label `momedo identity proof v1`, then the 32 bytes of the TLS
        /// exporter `EXPORTER-momedo-identity` (empty context).
        pub signature: Base64Bytes,
        /// What the server's clock shows.
        pub now: UnixMillis,
    }
}

wire! {
    /// `POST /participants`: asks for an ID with an invite code.
    request ReserveRequest {
        /// The code from the invite link.
        pub invite: InviteCode,
    }
}

wire! {
    /// An ID reserved for ten minutes.
    response Reservation {
        /// The ID.
        pub id: ParticipantId,
        /// The name the admin wrote on the invite, if any.
        pub name: Option<String>,
        /// Bearer token for the rest of the registration.
        pub token: String,
        /// The version the bundle must have: 1, or more when an admin reset the keys of this ID.
        pub bundle_version: u64,
        /// The version the device list must have, likewise.
        pub device_list_version: u64,
        /// For how many seconds it holds.
        pub expires_in: u64,
    }
}

wire! {
    /// `PUT /keys/{id}`: offers a key bundle.
    request PublishRequest {
        /// The signed bundle.
        pub bundle: Jws,
        /// The device list; needed at registration and whenever the signature key changes, since it is
        /// signed with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub device_list: Option<Jws>,
    }
}

wire! {
    /// The server's question before it publishes a bundle.
    response PublishChallenge {
        /// Names the question in the answer.
        pub challenge_id: String,
        /// The question.
        pub challenge: PossessionChallenge,
        /// For how many seconds it holds.
        pub expires_in: u64,
    }
}

wire! {
    /// `POST /keys/{id}/proof`: answers the server's question.
    request ProofRequest {
        /// From [`PublishChallenge`].
        pub challenge_id: String,
        /// The answer (64 bytes).
        pub answer: Base64Bytes,
    }
}

wire! {
    /// A bundle is published. After a registration it comes with a session.
    response Published {
        /// The participant.
        pub id: ParticipantId,
        /// The published version.
        pub version: u64,
        /// The home's countersignature.
        pub countersignature: Jws,
        /// A session of the registering device; absent when an existing participant published.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub session: Option<Session>,
    }
}

wire! {
    /// `GET /keys/{id}`: a participant's current keys.
    response PublishedKeys {
        /// The signed bundle.
        pub bundle: Jws,
        /// The home's countersignature of ID and fingerprint.
        pub countersignature: Jws,
        /// Bundles after the `known` version in which the signature key changed, oldest first; each is
        /// signed by the new and the old key, or by the new one alone after a reset.
        pub changes: Vec<Jws>,
        /// For a participant of another server: that home's identity key (SPKI DER), which made the
        /// countersignature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub home: Option<Base64Bytes>,
    }
}

wire! {
    /// `PUT /devices`: a device list that adds or renames devices.
    request DeviceListRequest {
        /// The signed list.
        pub device_list: Jws,
    }
}

wire! {
    /// `GET /devices`: the participant's own devices.
    response Devices {
        /// The signed list.
        pub device_list: Jws,
        /// What the server knows of each.
        pub devices: Vec<DeviceState>,
    }
}

wire! {
    /// What the server knows of one device.
    response DeviceState {
        /// The device.
        pub id: DeviceId,
        /// Whether a stream or a long poll of it is open.
        pub online: bool,
        /// Envelopes that wait for it.
        pub waiting: u64,
        /// Whether its queue was dropped because it was not seen for a month.
        pub parked: bool,
        /// How it joined, as far as the server knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub joined: Option<DeviceJoined>,
    }
}

/// How a device came onto its participant's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum JoinedHow {
    /// It came with the participant's registration, or with new keys after a reset.
    Registered,
    /// Another device listed it.
    Linked,
    /// Somebody knew the recovery code.
    Recovered,
}

wire! {
    /// When and how a device joined, as the server saw it.
    #[derive(Copy, PartialEq, Eq)]
    response DeviceJoined {
        /// When.
        pub at: UnixMillis,
        /// How.
        pub how: JoinedHow,
        /// The device that listed it, or that made the recovery code it came with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub by: Option<DeviceId>,
    }
}

wire! {
    /// `POST /sessions/challenge`: asks for a nonce.
    request LoginChallengeRequest {
        /// The device that wants to log in.
        pub device: DeviceId,
    }
}

wire! {
    /// A nonce to sign.
    response LoginChallenge {
        /// 32 bytes, good for one log-in.
        pub nonce: Base64Bytes,
        /// For how many seconds.
        pub expires_in: u64,
        /// Which life of the server's store it is: a device that knows another one brings along what it has.
        pub epoch: StoreEpoch,
    }
}

wire! {
    /// `POST /sessions`: logs in.
    request LoginRequest {
        /// A `momedo-login+jws`.
        pub login: Jws,
        /// What the server may have forgotten, for a device that knows another life of its store.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub held: Option<Box<restored::Held>>,
    }
}

wire! {
    /// A session: sent as `Authorization: Bearer TOKEN`.
    response Session {
        /// The participant logged in.
        pub id: ParticipantId,
        /// The device logged in.
        pub device: DeviceId,
        /// The bearer token.
        pub token: String,
        /// For how many seconds without use it holds.
        pub expires_in: u64,
        /// Where the server can be reached, as `host:port`, the best first; whoever knows its fingerprint may try them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub addresses: Vec<String>,
        /// Whether keys or devices that came along with the log-in were news to the server.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub was_behind: bool,
        /// Whether a restored server lacks the McEliece key that the participant's bundle names.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub lacks_key: bool,
    }
}

wire! {
    /// `POST /messages`, and `send` on the stream: submits one envelope.
    request SubmitRequest {
        /// The message ID that also stands in the envelope.
        pub id: MessageId,
        /// The recipient.
        pub to: ParticipantId,
        /// One of the sender's own devices, for an envelope sealed to that device's keys; `to` is then
        /// the sender.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub device: Option<DeviceId>,
        /// The envelope.
        pub envelope: Base64Bytes,
        /// The same message sealed to the sender's own bundle, for the sender's other devices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub own_devices: Option<Base64Bytes>,
        /// Blobs the message refers to, at most 16: whoever gets the message may fetch them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub blobs: Vec<BlobId>,
    }
}

wire! {
    /// 201: the envelope is on disk.
    response Receipt {
        /// The message.
        pub id: MessageId,
        /// Always `accepted`.
        pub status: ReceiptStatus,
    }
}

/// What became of a submitted envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReceiptStatus {
    /// It is on disk and will be kept until every device has it or it expires.
    Accepted,
}

wire! {
    /// `GET /ozone`: what waits for the asking device, oldest first.
    response OzonePage {
        /// The page.
        pub messages: Vec<Delivery>,
        /// The place after the last message of this page; acknowledge it once everything is stored.
        pub cursor: Cursor,
        /// Envelopes lost to this device since it last acknowledged, because its queue was full or parked.
        pub missed: u64,
        /// The oldest own bundle version that something may still arrive for; older private keys can go.
        pub oldest_bundle_version: u64,
    }
}

wire! {
    /// One envelope in a device's queue.
    response Delivery {
        /// Its place in the queue.
        pub cursor: Cursor,
        /// Who sent it.
        pub from: ParticipantId,
        /// The sender's ID for it.
        pub id: MessageId,
        /// When the server took it, by the server's clock.
        pub accepted_at: UnixMillis,
        /// The group it was posted to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub group: Option<GroupId>,
        /// In groups without a group key: the content key, sealed to the participant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub slot: Option<Base64Bytes>,
        /// The envelope.
        pub envelope: Base64Bytes,
    }
}

wire! {
    /// `POST /ozone/ack`: everything up to the cursor is stored by the device.
    request AcknowledgeRequest {
        /// The last stored delivery's place.
        pub cursor: Cursor,
    }
}

wire! {
    /// What is acknowledged now.
    response Acknowledged {
        /// The place up to which the queue is empty.
        pub cursor: Cursor,
    }
}

wire! {
    /// `PUT /keys/mceliece/{digest}`: the key is stored.
    response StoredKey {
        /// Its digest.
        pub digest: Sha512Digest,
    }
}

wire! {
    /// `PUT /me/key-backup`: replaces the slot.
    request KeyBackupRequest {
        /// Higher than that of the slot before.
        pub version: u64,
        /// SHA-256 of the fetch secret (32 bytes).
        pub lock: Base64Bytes,
        /// The sealed identity.
        pub slot: Base64Bytes,
        /// Whether it renews a slot with the same lock: then it is taken only while that one is there.
        pub renews: bool,
    }
}

wire! {
    /// `GET /me/key-backup`: what is known of the slot, or of what ended the last one.
    response KeyBackupState {
        /// The version of the slot, or of the one that ended; the next one's is higher.
        pub version: u64,
        /// The slot, while there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub slot: Option<KeyBackupSlot>,
        /// What ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ended: Option<KeyBackupEnd>,
    }
}

wire! {
    /// A slot without its content.
    response KeyBackupSlot {
        /// The lock it was stored with.
        pub lock: Base64Bytes,
        /// Its size in bytes.
        pub bytes: u64,
        /// When it was stored.
        pub stored_at: UnixMillis,
        /// When it was last fetched with the right secret, if ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub fetched_at: Option<UnixMillis>,
        /// When its recovery code was made.
        pub made_at: UnixMillis,
        /// The device that made the recovery code, as far as the server knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub made_by: Option<DeviceId>,
    }
}

wire! {
    /// What ended a slot.
    #[derive(PartialEq, Eq)]
    response KeyBackupEnd {
        /// When.
        pub at: UnixMillis,
        /// The device that removed it; absent when a device was revoked or the signature key changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub by: Option<DeviceId>,
    }
}

wire! {
    /// `POST /key-backups/fetch`: asks for a slot without a session.
    request KeyBackupFetchRequest {
        /// Whose.
        pub id: ParticipantId,
        /// From the recovery code (32 bytes).
        pub fetch_secret: Base64Bytes,
    }
}

wire! {
    /// A slot, and what the new device has to know besides.
    response KeyBackup {
        /// The slot's version.
        pub version: u64,
        /// The sealed identity.
        pub slot: Base64Bytes,
        /// The participant's published keys.
        pub keys: PublishedKeys,
        /// The participant's devices.
        pub devices: Devices,
    }
}

wire! {
    /// `POST /key-backups/device`: adds a device without a session.
    request RecoverDeviceRequest {
        /// Whose.
        pub id: ParticipantId,
        /// From the recovery code (32 bytes).
        pub fetch_secret: Base64Bytes,
        /// The next device list, signed with the recovered signature key.
        pub device_list: Jws,
    }
}

wire! {
    /// `POST /device-links`: a link to be shown.
    response OpenedDeviceLink {
        /// Names it.
        pub link: LinkId,
        /// For how many seconds it can be used.
        pub expires_in: u64,
    }
}

wire! {
    /// `DELETE /me`: erases the participant.
    request EraseRequest {
        /// A `momedo-erasure+jws`.
        pub erasure: Jws,
    }
}

wire! {
    /// `GET /me/blocks`: from whom nothing is taken.
    response Blocks {
        /// In the order of their IDs.
        pub blocks: Vec<Block>,
    }
}

wire! {
    /// Somebody from whom nothing is taken.
    response Block {
        /// Who.
        pub id: ParticipantId,
        /// Since when.
        pub since: UnixMillis,
    }
}

wire! {
    /// `POST /reports`: discloses one received message to the staff.
    request ReportRequest {
        /// The signed message as it was sealed.
        pub message: Jws,
        /// What is wrong with it, in the reporter's words.
        pub reason: String,
    }
}

wire! {
    /// The staff have it.
    response Reported {
        /// The report's number.
        pub report: u64,
    }
}
