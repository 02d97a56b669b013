//! Why a use case was refused: one kind per thing the caller can do about it.

use std::time::Duration;

use momedo_protocol::device_list::DeviceListError;
use momedo_protocol::envelope::EnvelopeError;
use momedo_protocol::key_bundle::KeyBundleError;

use super::AdminError;
use super::backup::BackupError;
use crate::memory::TooMuch;
use crate::rates::TooOften;
use crate::store::StoreError;

/// Why another server was not asked for an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// Its admin or this server's made a pause.
    Paused,
    /// It cannot be reached, or did not answer in time.
    Unreachable,
    /// The contract does not allow the participant to.
    NotAllowed,
}

/// Why a use case was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceError {
    /// No session, or one that ended: log in.
    #[error("not logged in")]
    NotLoggedIn,
    /// The signature, the nonce or the device does not fit: log in anew.
    #[error("log-in refused")]
    LoginRefused,
    /// The device was taken off the participant's list.
    #[error("the device is revoked")]
    DeviceRevoked,
    /// The participant is disabled by an admin.
    #[error("the participant is disabled")]
    Disabled,
    /// These are another participant's keys or devices.
    #[error("not yours")]
    NotYours,
    /// Nobody has this ID here.
    #[error("unknown participant")]
    UnknownParticipant,
    /// Nobody has this ID here, and not everybody elsewhere could be asked.
    #[error("unknown participant here, others were not asked")]
    UnknownHere(Unasked),
    /// No such invite.
    #[error("unknown invite")]
    UnknownInvite,
    /// The invite is too old.
    #[error("the invite expired")]
    InviteExpired,
    /// Somebody registered with the invite.
    #[error("the invite is used up")]
    InviteUsed,
    /// The reservation is over, or never was.
    #[error("the reservation ended")]
    ReservationEnded,
    /// The bundle itself is not acceptable.
    #[error("key bundle: {0}")]
    Bundle(#[from] KeyBundleError),
    /// The device list itself is not acceptable.
    #[error("device list: {0}")]
    DeviceList(#[from] DeviceListError),
    /// A rule about bundles or lists that only the server can check.
    #[error("{0}")]
    KeyRule(&'static str),
    /// A device is being removed without new keys.
    #[error("revoking needs new keys")]
    RevokingNeedsNewKeys,
    /// A McEliece key of wrong length.
    #[error("wrong McEliece key length")]
    McElieceLength,
    /// A McEliece key that is not what its name says.
    #[error("wrong McEliece key digest")]
    McElieceDigest,
    /// No McEliece key with this digest.
    #[error("unknown McEliece key")]
    UnknownMcElieceKey,
    /// The possession challenge was answered wrongly: a key cannot be opened.
    #[error("wrong proof")]
    WrongProof,
    /// The possession challenge is over, or never was.
    #[error("unknown challenge")]
    ChallengeGone,
    /// Larger than this server takes.
    #[error("envelope over {limit} bytes")]
    EnvelopeTooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not an envelope, or of an unknown suite.
    #[error("envelope: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The message ID outside is not the one inside.
    #[error("message ids differ")]
    MessageIdMismatch,
    /// Sealed to keys the recipient does not use any more, or never had.
    #[error("stale bundle")]
    StaleBundle,
    /// The same message ID with other bytes.
    #[error("message conflict")]
    MessageConflict,
    /// The recipient takes nothing from this sender.
    #[error("blocked")]
    Blocked,
    /// More participants blocked than anybody needs.
    #[error("too many blocks")]
    TooManyBlocks,
    /// The participant has no key backup.
    #[error("no key backup")]
    NoKeyBackup,
    /// The slot stored has this version already, or a higher one.
    #[error("outdated key backup")]
    KeyBackupOutdated,
    /// The server was restored from a backup, and one of the participant's devices has to bring newer keys first.
    #[error("newer keys were forgotten")]
    KeysForgotten,
    /// The server was restored from a backup that does not know this device.
    #[error("device forgotten")]
    DeviceForgotten,
    /// No key backup opens for this ID and secret.
    #[error("key backup refused")]
    KeyBackupRefused,
    /// The device link ended, or never was.
    #[error("unknown device link")]
    UnknownLink,
    /// Somebody else used the device link.
    #[error("device link used")]
    LinkUsed,
    /// A message that cannot be reported.
    #[error("report refused: {0}")]
    ReportRefused(&'static str),
    /// The recipient has no device, as after a key reset.
    #[error("no device")]
    NoDevice,
    /// The sender may not talk to other servers this way.
    #[error("not allowed across")]
    NotAllowedAcross,
    /// The participant's keys, devices and account change only at their first home.
    #[error("only the first home changes this")]
    FirstHomeOnly,
    /// Two servers claim the recipient.
    #[error("two servers claim this participant")]
    DisputedParticipant,
    /// Another server that has to be asked cannot be reached now.
    #[error("another server cannot be reached")]
    HomeUnreachable,
    /// The attachment is still being fetched from another server.
    #[error("the file is on its way from another server")]
    BlobOnItsWay,
    /// The log of key changes of this server is not followed here.
    #[error("unknown key log")]
    UnknownKeyLog,
    /// Too much waits for the recipient's server.
    #[error("neighbour full")]
    NeighbourFull,
    /// So much of the sender's waits for the neighbour that leads to the recipient's server that others need the rest.
    #[error("neighbour share full")]
    NeighbourShareFull,
    /// Every device queue of the recipient is full.
    #[error("ozone full")]
    OzoneFull,
    /// The sender's share of every device queue of the recipient is full.
    #[error("sender share full")]
    SenderShareFull,
    /// Too much of the sender waits, for all recipients together.
    #[error("sender's room full")]
    SenderFull,
    /// No attachment with this ID, or none of the asker's business.
    #[error("unknown file")]
    UnknownBlob,
    /// The ID stands for another attachment.
    #[error("the file's ID is taken")]
    BlobConflict,
    /// Not all of the attachment is there yet.
    #[error("the file is incomplete")]
    BlobIncomplete,
    /// An upload goes on elsewhere.
    #[error("wrong offset")]
    WrongOffset {
        /// Where it goes on.
        offset: u64,
    },
    /// Larger than this server takes.
    #[error("file over {limit} bytes")]
    BlobTooLarge {
        /// The limit, before sealing.
        limit: u64,
    },
    /// The participant's attachments take too much.
    #[error("quota of files full")]
    BlobQuotaFull,
    /// Everybody's attachments together take too much.
    #[error("room for files full")]
    BlobStoreFull,
    /// There are no bytes in the range that was asked for.
    #[error("range not satisfiable")]
    RangeNotSatisfiable,
    /// No group with this ID, or none of the asker's business.
    #[error("unknown group")]
    UnknownGroup,
    /// The group changed meanwhile: read its chain on and try again.
    #[error("the group changed meanwhile")]
    StaleGroup {
        /// Number of the last entry.
        number: u32,
    },
    /// The chain's rules do not allow it.
    #[error("{0}")]
    GroupRefused(String),
    /// Only moderators post to this group.
    #[error("only moderators post here")]
    ModeratorsPost,
    /// A member's keys were reset, and the chain does not exclude them yet.
    #[error("a member's keys were reset")]
    MemberReset,
    /// Somebody made or joined too many groups.
    #[error("too many groups")]
    TooManyGroups,
    /// Somebody was added to too many groups by the same person, or from the same other server.
    #[error("added too often")]
    AddedTooOften,
    /// The author wrote too many entries of the group's chain.
    #[error("changed too often")]
    ChangedTooOften,
    /// The cursor is from another life of the store.
    #[error("other epoch")]
    OtherEpoch,
    /// The cursor lies beyond what was handed out.
    #[error("not handed out")]
    NotHandedOut,
    /// Too often; later.
    #[error("too often")]
    TooOften(Duration),
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The body is larger than this call takes.
    #[error("body over {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body did not come in time.
    #[error("body too slow")]
    BodyTooSlow,
    /// Nothing is at this path.
    #[error("no such path")]
    NoSuchPath,
    /// The path does not know this method.
    #[error("wrong method")]
    WrongMethod,
    /// What only admins ask for.
    #[error(transparent)]
    Admin(#[from] super::AdminError),
    /// The disk is full.
    #[error("storage full")]
    StorageFull,
    /// Too much waits; later.
    #[error("busy")]
    Busy,
    /// A backup was not made, or cannot be used.
    #[error(transparent)]
    Backup(BackupError),
    /// Not the caller's fault.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<BackupError> for ServiceError {
    fn from(error: BackupError) -> Self {
        match error {
            // What was typed is wrong, and can be put right there.
            BackupError::Name(_) | BackupError::Unknown(_) => {
                AdminError::UnknownBackup(error.to_string()).into()
            }
            BackupError::PassphraseTooShort => AdminError::ShortPassphrase.into(),
            BackupError::NoRoom { .. } => AdminError::NoRoom(error.to_string()).into(),
            other => Self::Backup(other),
        }
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
