//! What can go wrong on a participant's side, in words the participant can act on.

use std::path::PathBuf;

use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::problem::Problem;

/// Nobody has an ID at the server that was asked, and others could not be asked.
const UNKNOWN_HERE: [&str; 2] = ["unknown-here", "unknown-here-paused"];

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused, in its own words.
    #[error("{}{}", .0.title, .0.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default())]
    Refused(Box<Problem>),
    /// No address of the server answers.
    #[error("cannot reach the server at {addresses}: {reason}")]
    Unreachable {
        /// The addresses tried.
        addresses: String,
        /// What the last one said.
        reason: String,
    },
    /// Somebody answers who is not the pinned server.
    #[error("whoever answers at {address} is not this profile's server: do not go on, ask your admin")]
    WrongServer {
        /// The address.
        address: String,
    },
    /// New keys would be dated by a clock that was never set.
    #[error("this device's clock shows {shows}, a time before this program was made: set it, then try again")]
    ClockNotSet {
        /// What it shows.
        shows: String,
    },
    /// The server's answer is not what the protocol says.
    #[error("the server's answer makes no sense: {0}")]
    Protocol(String),
    /// The profile folder cannot be used.
    #[error("cannot use the profile {}: {reason}", .path.display())]
    Profile {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The profile is encrypted, and no passphrase was given.
    #[error("the profile is locked: give its passphrase with --passphrase-file")]
    Locked,
    /// The profile is encrypted with another passphrase than the one given, or damaged.
    #[error("this is not the profile's passphrase")]
    WrongPassphrase,
    /// The server's log of key changes makes no sense by itself.
    #[error("the server's log of key changes cannot be right: {0}; tell your admin")]
    KeyLog(String),
    /// A contact's keys were reset without the old keys.
    #[error(
        "the keys of {id} were reset: compare the new fingerprint {} with them, \
         then run `momedo keys verify {id} FINGERPRINT`", .fingerprint.grouped()
    )]
    KeysReset {
        /// The contact.
        id: ParticipantId,
        /// The new fingerprint.
        fingerprint: Fingerprint,
    },
    /// The server offers older or unconfirmed keys of a contact.
    #[error("the server's keys for {id} cannot be trusted: {reason}")]
    UntrustedKeys {
        /// The contact.
        id: ParticipantId,
        /// Why.
        reason: String,
        /// Whether the same question may be answered with better keys another day.
        may_change: bool,
    },
    /// A fingerprint that was compared does not fit.
    #[error("this is not the fingerprint of {id}: theirs is {}", .actual.grouped())]
    FingerprintDiffers {
        /// The contact.
        id: ParticipantId,
        /// The fingerprint the keys have.
        actual: Fingerprint,
    },
    /// A group's chain is not what it must be.
    #[error("the group {id} must not be used, tell its moderators: {reason}")]
    BrokenGroup {
        /// The group.
        id: GroupId,
        /// What is wrong.
        reason: String,
    },
    /// The group's rules do not allow it.
    #[error("the group does not allow this: {0}")]
    GroupRefused(String),
    /// No message has this ID here.
    #[error("no message {0} is known here; if several have this ID, name it as SENDER/ID")]
    UnknownMessage(String),
    /// It cannot be said of this message.
    #[error("{0}")]
    NotPossible(String),
    /// A key backup that cannot be made, opened or used.
    #[error("key backup: {0}")]
    KeyBackup(String),
    /// Devices that joined through one that is to be revoked would get the new keys.
    #[error(
        "{} joined through what you revoke and would get your new keys: name each as another device to revoke, or with \
         --keep if you added it yourself; momedo user devices shows when and how they joined",
        .0.iter().map(|(id, name)| format!("{name} ({id})")).collect::<Vec<_>>().join(", ")
    )]
    JoinedThrough(Vec<(DeviceId, String)>),
    /// A device cannot be linked.
    #[error("linking a device: {0}")]
    Linking(String),
    /// A message that is not kept here any more, or never was.
    #[error("this device has no such message: it keeps what it received for {days} days")]
    NotKept {
        /// How long messages are kept for reporting.
        days: u64,
    },
    /// Several people sent a message with this ID.
    #[error("several people sent a message with this ID: say whose it is with --from")]
    AmbiguousMessage,
    /// A file cannot be used.
    #[error("cannot use {}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No message with this file was received here.
    #[error("no file {0} is known here; momedo file list shows them")]
    UnknownFile(BlobId),
    /// What the server handed out is not what the sender sealed.
    #[error("the file {name} is not what its sender sealed: it was damaged, cut off or exchanged on the way")]
    DamagedFile {
        /// What it is called.
        name: String,
    },
    /// Something that arrived has a value no profile can hold, such as a time beyond all times.
    #[error("this cannot be kept: {0}")]
    Unfit(String),
    /// A question that was not put to the server in this run, because of what came of earlier ones.
    #[error("not asked for now: {0}")]
    NotAsked(String),
    /// The message is too long to send.
    #[error(
        "the message is too long: about {} letters fit one (fewer of those that are not plain Latin ones); send longer \
         texts as a file",
        crate::sending::MAX_BODY_BYTES
    )]
    TooLong,
}

impl ClientError {
    /// Whether trying the same again may help: nothing was refused for good.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // Another server that is away or paused may be so for long: whoever waits is told at once.
            Self::Refused(problem) if UNKNOWN_HERE.contains(&problem.name()) => false,
            Self::Refused(problem) => matches!(problem.status, 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether somebody cannot be written to now, whoever else can: their keys are not to be had.
    pub(crate) fn is_about_one_recipient(&self) -> bool {
        let name = self.problem().unwrap_or_default();
        matches!(name, "unknown-participant" | "not-allowed-across") || UNKNOWN_HERE.contains(&name)
    }

    /// The line ended before everything had come.
    pub(crate) fn cut() -> Self {
        Self::Unreachable { addresses: "its address".into(), reason: "the line broke".into() }
    }

    /// The name of the server's problem, such as `stale-bundle`.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(problem.name()),
            _ => None,
        }
    }
}
