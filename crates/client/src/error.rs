//! What can go wrong on a participant's side, in words the participant can act on.

use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;

use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::problem::Problem;
use momedo_texts::{Catalogue, Language, Refusal};
use strum::{IntoStaticStr, VariantNames};

use crate::sentences;

/// Built in and never changed.
pub(crate) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::read(include_str!("../messages/de.toml"), include_str!("../messages/en.toml"))
});

/// Nobody has an ID at the server that was asked, and others could not be asked.
const UNKNOWN_HERE: [&str; 2] = ["unknown-here", "unknown-here-paused"];

/// Why something did not work. Each kind is a row: what is said of it stands under its name, in kebab-case, in this crate's
/// `messages/`.
#[derive(Debug, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum ClientError {
    /// The server refused, in its own words.
    #[strum(disabled)]
    Refused(Box<Problem>),
    /// No address of the server answers.
    Unreachable {
        /// The addresses tried.
        addresses: String,
        /// What the last one said.
        reason: String,
    },
    /// Somebody answers who is not the pinned server.
    WrongServer {
        /// The address.
        address: String,
    },
    /// New keys would be dated by a clock that was never set.
    ClockNotSet {
        /// What it shows.
        shows: String,
    },
    /// The server's answer is not what the protocol says.
    Protocol(String),
    /// The profile folder cannot be used.
    Profile {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The profile is encrypted, and no passphrase was given.
    Locked,
    /// The profile is encrypted with another passphrase than the one given, or damaged.
    WrongPassphrase,
    /// The server's log of key changes makes no sense by itself.
    KeyLog(String),
    /// A contact's keys were reset without the old keys.
    KeysReset {
        /// The contact.
        id: ParticipantId,
        /// The new fingerprint.
        fingerprint: Fingerprint,
    },
    /// The server offers older or unconfirmed keys of a contact.
    UntrustedKeys {
        /// The contact.
        id: ParticipantId,
        /// Why.
        reason: String,
        /// Whether the same question may be answered with better keys another day.
        may_change: bool,
    },
    /// A fingerprint that was compared does not fit.
    FingerprintDiffers {
        /// The contact.
        id: ParticipantId,
        /// The fingerprint the keys have.
        actual: Fingerprint,
    },
    /// A group's chain is not what it must be.
    BrokenGroup {
        /// The group.
        id: GroupId,
        /// What is wrong.
        reason: String,
    },
    /// The group's rules do not allow it.
    GroupRefused(String),
    /// No message has this ID here.
    UnknownMessage(String),
    /// It cannot be said of this message.
    NotPossible(String),
    /// A key backup that cannot be made, opened or used.
    KeyBackup(String),
    /// Devices that joined through one that is to be revoked would get the new keys.
    JoinedThrough(Vec<(DeviceId, String)>),
    /// A device cannot be linked.
    Linking(String),
    /// A message that is not kept here any more, or never was.
    NotKept {
        /// How long messages are kept for reporting.
        days: u64,
    },
    /// Several people sent a message with this ID.
    AmbiguousMessage,
    /// A file cannot be used.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No message with this file was received here.
    UnknownFile(BlobId),
    /// What the server handed out is not what the sender sealed.
    DamagedFile {
        /// What it is called.
        name: String,
    },
    /// Something that arrived has a value no profile can hold, such as a time beyond all times.
    Unfit(String),
    /// A question that was not put to the server in this run, because of what came of earlier ones.
    NotAsked(String),
    /// The message is too long to send.
    TooLong,
}

impl Refusal for ClientError {
    fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            own => own.into(),
        }
    }

    fn values(&self, language: Language) -> Vec<(&'static str, String)> {
        let told = |reason: &str| sentences::told(reason, language);
        match self {
            Self::Unreachable { addresses, reason } => {
                vec![("addresses", told(addresses)), ("reason", told(reason))]
            }
            Self::WrongServer { address } => vec![("address", address.clone())],
            Self::ClockNotSet { shows } => vec![("shows", shows.clone())],
            Self::Protocol(reason)
            | Self::KeyLog(reason)
            | Self::GroupRefused(reason)
            | Self::NotPossible(reason)
            | Self::KeyBackup(reason)
            | Self::Linking(reason)
            | Self::Unfit(reason)
            | Self::NotAsked(reason) => vec![("reason", told(reason))],
            Self::Profile { path, reason } | Self::File { path, reason } => {
                vec![("path", path.display().to_string()), ("reason", told(reason))]
            }
            Self::KeysReset { id, fingerprint } | Self::FingerprintDiffers { id, actual: fingerprint } => {
                vec![("id", id.to_string()), ("fingerprint", fingerprint.grouped())]
            }
            Self::UntrustedKeys { id, reason, .. } => {
                vec![("id", id.to_string()), ("reason", told(reason))]
            }
            Self::BrokenGroup { id, reason } => vec![("id", id.to_string()), ("reason", told(reason))],
            Self::UnknownMessage(id) => vec![("id", id.clone())],
            Self::JoinedThrough(devices) => {
                let devices: Vec<_> = devices.iter().map(|(id, name)| format!("{name} ({id})")).collect();
                vec![("devices", devices.join(", "))]
            }
            Self::NotKept { days } => vec![("days", days.to_string())],
            Self::UnknownFile(id) => vec![("id", id.to_string())],
            Self::DamagedFile { name } => vec![("name", name.clone())],
            Self::TooLong => vec![("letters", crate::sending::MAX_BODY_BYTES.to_string())],
            Self::Refused(_) | Self::Locked | Self::WrongPassphrase | Self::AmbiguousMessage => Vec::new(),
        }
    }
}

/// In English, as programs and logs have it.
impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said(Language::English))
    }
}

impl std::error::Error for ClientError {}

impl ClientError {
    /// What went wrong and what to do, as people read it. A server's refusal stays in the language it was asked in.
    pub fn said(&self, language: Language) -> String {
        match self {
            Self::Refused(problem) => match &problem.detail {
                Some(detail) => format!("{} ({detail})", problem.title),
                None => problem.title.clone(),
            },
            own => own.said_with(&CATALOGUE, language),
        }
    }

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

    /// Something is not what the protocol says, in the words of whoever found it.
    pub(crate) fn protocol(error: impl ToString) -> Self {
        Self::Protocol(error.to_string())
    }

    /// The line ended before everything had come.
    pub fn cut() -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind that is said here.
    fn every_kind() -> Vec<ClientError> {
        use ClientError as E;
        let (id, fingerprint, text) = (ParticipantId::random(), Fingerprint([0; 32]), String::new);
        let path = PathBuf::new;
        vec![
            E::Unreachable { addresses: text(), reason: text() },
            E::WrongServer { address: text() },
            E::ClockNotSet { shows: text() },
            E::Protocol(text()),
            E::Profile { path: path(), reason: text() },
            E::Locked,
            E::WrongPassphrase,
            E::KeyLog(text()),
            E::KeysReset { id, fingerprint },
            E::UntrustedKeys { id, reason: text(), may_change: false },
            E::FingerprintDiffers { id, actual: fingerprint },
            E::BrokenGroup { id: "7QK0M3ZD9XN4".parse().unwrap(), reason: text() },
            E::GroupRefused(text()),
            E::UnknownMessage(text()),
            E::NotPossible(text()),
            E::KeyBackup(text()),
            E::JoinedThrough(Vec::new()),
            E::Linking(text()),
            E::NotKept { days: 0 },
            E::AmbiguousMessage,
            E::File { path: path(), reason: text() },
            E::UnknownFile(BlobId::random()),
            E::DamagedFile { name: text() },
            E::Unfit(text()),
            E::NotAsked(text()),
            E::TooLong,
        ]
    }

    #[test]
    fn every_error_is_one_row_in_both_languages() {
        let kinds = every_kind();
        let words: Vec<_> = kinds.iter().map(Refusal::word).collect();
        let expected = ClientError::VARIANTS.iter().copied().filter(|word| *word != "refused");
        assert_eq!(words, expected.collect::<Vec<_>>(), "a kind is missing here");
        let faults = CATALOGUE.faults(kinds.iter().map(|error| error as &dyn Refusal));
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
