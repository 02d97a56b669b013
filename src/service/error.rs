//! Why a use case was refused: one kind per thing the caller can do about it. [`super::refusal`] says what comes of it.

use std::time::Duration;

use momedo_protocol::device_list::DeviceListError;
use momedo_protocol::envelope::EnvelopeError;
use momedo_protocol::key_bundle::KeyBundleError;
use strum::{EnumIter, EnumProperty, IntoStaticStr};

use super::AdminError;
use super::backup::BackupError;
use crate::live::memory::TooMuch;
use crate::live::rates::TooOften;
use crate::store::StoreError;

/// Why a use case was refused. Each kind is a row: its word, which is its name or stands beside it, and its status; what is
/// said of it stands under the word in `web-admin/messages/`, in both languages.
#[derive(Debug, Clone, EnumIter, EnumProperty, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ServiceError {
    /// No session, or one that ended: log in.
    #[strum(props(status = 401))]
    NotLoggedIn,
    /// The signature, the nonce or the device does not fit: log in anew.
    #[strum(props(status = 403))]
    LoginRefused,
    /// The device was taken off the participant's list.
    #[strum(props(status = 403))]
    DeviceRevoked,
    /// The participant is disabled by an admin.
    #[strum(serialize = "participant-disabled", props(status = 403))]
    Disabled,
    /// These are another participant's keys or devices.
    #[strum(props(status = 403))]
    NotYours,
    /// Nobody has this ID here.
    #[strum(props(status = 404))]
    UnknownParticipant,
    /// Nobody has this ID here, and another server that may know it cannot be reached, or did not answer in time.
    #[strum(props(status = 503, retry_after = 60))]
    UnknownHere,
    /// Nobody has this ID here, and another server that may know it is paused by its admin or this server's.
    #[strum(props(status = 503, retry_after = 300))]
    UnknownHerePaused,
    /// No such invite.
    #[strum(props(status = 404))]
    UnknownInvite,
    /// The invite is too old.
    #[strum(props(status = 410))]
    InviteExpired,
    /// Somebody registered with the invite.
    #[strum(props(status = 409))]
    InviteUsed,
    /// The reservation is over, or never was.
    #[strum(props(status = 401))]
    ReservationEnded,
    /// The bundle itself is not acceptable.
    #[strum(serialize = "bundle-refused", props(status = 422))]
    Bundle(String),
    /// The device list itself is not acceptable.
    #[strum(serialize = "device-list-refused", props(status = 422))]
    DeviceList(String),
    /// A rule about bundles or lists that only the server can check.
    #[strum(serialize = "keys-refused", props(status = 422))]
    KeyRule(&'static str),
    /// A device is being removed without new keys.
    #[strum(props(status = 422))]
    RevokingNeedsNewKeys,
    /// A McEliece key of wrong length.
    #[strum(serialize = "mceliece-length", props(status = 422))]
    McElieceLength,
    /// A McEliece key that is not what its name says.
    #[strum(serialize = "mceliece-digest", props(status = 422))]
    McElieceDigest,
    /// No McEliece key with this digest.
    #[strum(serialize = "unknown-mceliece-key", props(status = 404))]
    UnknownMcElieceKey,
    /// The possession challenge was answered wrongly: a key cannot be opened.
    #[strum(props(status = 403))]
    WrongProof,
    /// The possession challenge is over, or never was.
    #[strum(props(status = 409))]
    ChallengeGone,
    /// Larger than this server takes.
    #[strum(props(status = 413))]
    EnvelopeTooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not an envelope.
    #[strum(serialize = "envelope-malformed", props(status = 422))]
    Envelope(String),
    /// An envelope of a suite that is unknown here.
    #[strum(props(status = 422))]
    UnknownSuite(String),
    /// The message ID outside is not the one inside.
    #[strum(props(status = 422))]
    MessageIdMismatch,
    /// Sealed to keys the recipient does not use any more, or never had.
    #[strum(props(status = 409))]
    StaleBundle,
    /// The same message ID with other bytes.
    #[strum(props(status = 409))]
    MessageConflict,
    /// The recipient takes nothing from this sender.
    #[strum(props(status = 403))]
    Blocked,
    /// More participants blocked than anybody needs.
    #[strum(props(status = 409))]
    TooManyBlocks,
    /// The participant has no key backup.
    #[strum(props(status = 404))]
    NoKeyBackup,
    /// The slot stored has this version already, or a higher one.
    #[strum(props(status = 409))]
    KeyBackupOutdated,
    /// The server was restored from a backup, and one of the participant's devices has to bring newer keys first.
    #[strum(props(status = 409))]
    KeysForgotten,
    /// The server was restored from a backup that does not know this device.
    #[strum(props(status = 403))]
    DeviceForgotten,
    /// No key backup opens for this ID and secret.
    #[strum(props(status = 403))]
    KeyBackupRefused,
    /// The device link ended, or never was.
    #[strum(props(status = 404))]
    UnknownLink,
    /// Somebody else used the device link.
    #[strum(props(status = 409))]
    LinkUsed,
    /// A message that cannot be reported.
    #[strum(props(status = 422))]
    ReportRefused(&'static str),
    /// The recipient has no device, as after a key reset.
    #[strum(props(status = 409))]
    NoDevice,
    /// The sender may not talk to other servers this way.
    #[strum(props(status = 403))]
    NotAllowedAcross,
    /// The participant's keys, devices and account change only at their first home.
    #[strum(props(status = 409))]
    FirstHomeOnly,
    /// Two servers claim the recipient.
    #[strum(props(status = 409))]
    DisputedParticipant,
    /// Another server that has to be asked cannot be reached now.
    #[strum(props(status = 503, retry_after = 5))]
    HomeUnreachable,
    /// The attachment is still being fetched from another server.
    #[strum(props(status = 503, retry_after = 1))]
    BlobOnItsWay,
    /// The log of key changes of this server is not followed here.
    #[strum(props(status = 404))]
    UnknownKeyLog,
    /// Too much waits for the recipient's server.
    #[strum(props(status = 507, retry_after = 600))]
    NeighbourFull,
    /// So much of the sender's waits for the neighbour that leads to the recipient's server that others need the rest.
    #[strum(props(status = 507, retry_after = 600))]
    NeighbourShareFull,
    /// Every device queue of the recipient is full.
    #[strum(props(status = 507, retry_after = 3600))]
    OzoneFull,
    /// The sender's share of every device queue of the recipient is full.
    #[strum(props(status = 507, retry_after = 3600))]
    SenderShareFull,
    /// Too much of the sender waits, for all recipients together.
    #[strum(props(status = 507, retry_after = 3600))]
    SenderFull,
    /// No attachment with this ID, or none of the asker's business.
    #[strum(props(status = 404))]
    UnknownBlob,
    /// The ID stands for another attachment.
    #[strum(props(status = 409))]
    BlobConflict,
    /// Not all of the attachment is there yet.
    #[strum(props(status = 409))]
    BlobIncomplete,
    /// An upload goes on elsewhere.
    #[strum(props(status = 409))]
    WrongOffset {
        /// Where it goes on.
        offset: u64,
    },
    /// Larger than this server takes.
    #[strum(props(status = 413))]
    BlobTooLarge {
        /// The limit, before sealing.
        limit: u64,
    },
    /// The participant's attachments take too much.
    #[strum(props(status = 507, retry_after = 3600))]
    BlobQuotaFull,
    /// Everybody's attachments together take too much.
    #[strum(props(status = 507, retry_after = 3600))]
    BlobStoreFull,
    /// There are no bytes in the range that was asked for.
    #[strum(props(status = 416))]
    RangeNotSatisfiable,
    /// No group with this ID, or none of the asker's business.
    #[strum(props(status = 404))]
    UnknownGroup,
    /// The group changed meanwhile: read its chain on and try again.
    #[strum(props(status = 409))]
    StaleGroup {
        /// Number of the last entry.
        number: u32,
    },
    /// The chain's rules do not allow it.
    #[strum(props(status = 422))]
    GroupRefused(String),
    /// Only moderators post to this group.
    #[strum(props(status = 403))]
    ModeratorsPost,
    /// A member's keys were reset, and the chain does not exclude them yet.
    #[strum(props(status = 409))]
    MemberReset,
    /// Somebody made or joined too many groups.
    #[strum(props(status = 422))]
    TooManyGroups,
    /// Somebody was added to too many groups by the same person, or from the same other server.
    #[strum(props(status = 422))]
    AddedTooOften,
    /// The author wrote too many entries of the group's chain.
    #[strum(props(status = 422))]
    ChangedTooOften,
    /// The cursor is from another life of the store.
    #[strum(props(status = 409))]
    OtherEpoch,
    /// The cursor lies beyond what was handed out.
    #[strum(props(status = 409))]
    NotHandedOut,
    /// Too often; later.
    #[strum(props(status = 429))]
    TooOften(Duration),
    /// The request cannot be read.
    #[strum(props(status = 400))]
    Malformed(String),
    /// The body is larger than this call takes.
    #[strum(props(status = 413))]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body did not come in time.
    #[strum(props(status = 408))]
    BodyTooSlow,
    /// Nothing is at this path.
    #[strum(props(status = 404))]
    NoSuchPath,
    /// The path does not know this method.
    #[strum(props(status = 405))]
    WrongMethod,
    /// What only admins ask for.
    #[strum(disabled)]
    Admin(AdminError),
    /// The disk is full.
    #[strum(props(status = 507, retry_after = 300))]
    StorageFull,
    /// Too much waits; later.
    #[strum(props(status = 503, retry_after = 1))]
    Busy,
    /// A backup was not made, or cannot be used.
    #[strum(disabled)]
    Backup(BackupError),
    /// Not the caller's fault.
    #[strum(props(status = 500))]
    Internal(String),
}

impl From<KeyBundleError> for ServiceError {
    fn from(error: KeyBundleError) -> Self {
        Self::Bundle(error.to_string())
    }
}

impl From<DeviceListError> for ServiceError {
    fn from(error: DeviceListError) -> Self {
        Self::DeviceList(error.to_string())
    }
}

impl From<EnvelopeError> for ServiceError {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::UnknownSuite(suite) => Self::UnknownSuite(suite.to_string()),
            other => Self::Envelope(other.to_string()),
        }
    }
}

impl From<AdminError> for ServiceError {
    fn from(error: AdminError) -> Self {
        Self::Admin(error)
    }
}

impl From<BackupError> for ServiceError {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::StorageFull,
            StoreError::Busy | StoreError::Closed => Self::Busy,
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<TooMuch> for ServiceError {
    fn from(TooMuch: TooMuch) -> Self {
        Self::Busy
    }
}

impl From<TooOften> for ServiceError {
    fn from(TooOften(after): TooOften) -> Self {
        Self::TooOften(after)
    }
}

/// Lets a start go on without what a full disk keeps from being written now: what waits can be served all the same.
///
/// # Errors
/// Every other one than [`ServiceError::StorageFull`].
pub(crate) fn unless_full(result: Result<(), ServiceError>, what: &str) -> Result<(), ServiceError> {
    match result {
        Err(ServiceError::StorageFull) => {
            tracing::warn!("the disk is full: {what}");
            Ok(())
        }
        result => result,
    }
}

/// Runs work that computes for a while off the async threads.
pub(crate) async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ServiceError::Internal(format!("a computation ended early: {error}"))))
}
