//! `user backup-keys`, `recover`, `link-device`, and `add-device` with a link.

use momedo_protocol::api::{KeyBackupEnd, KeyBackupSlot, KeyBackupState};
use momedo_protocol::device_link::{DeviceLink, LinkCode};
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::invite::ServerLink;
use momedo_protocol::key_backup::{RECOVERY_WORDS, RecoveryCode};
use momedo_protocol::time::UnixMillis;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::devices::Added;
use super::{CommandError, Reader, Status, by_name};
use crate::connection::ServerAddress;
use crate::linking::{self, Candidate};
use crate::profile::{Place, Profile};
use crate::session::Session;
use crate::{devices, key_backup, recovering, watching};

/// Longest text that is looked through for the words of a recovery code, in bytes.
const MAX_CODE_BYTES: usize = 4096;

/// A new recovery code: it is shown once.
#[derive(Debug, Serialize)]
pub struct Words {
    /// Whose it is.
    pub id: ParticipantId,
    /// Where it is of use: the link of the server.
    #[serde(serialize_with = "as_text")]
    pub server: ServerLink,
    /// The twelve words.
    #[serde(serialize_with = "as_words")]
    pub words: Zeroizing<String>,
}

fn as_text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn as_words<S: Serializer>(value: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value)
}

/// Keeps the keys on the server, closed with a new recovery code.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn back_up(profile: &Profile, reader: Reader<'_>) -> Result<Words, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    let code = key_backup::make(profile, &mut session).await?;
    let server = profile.server()?;
    let server = ServerLink {
        address: server.addresses.first().cloned().unwrap_or_default(),
        server: server.fingerprint,
    };
    Ok(Words { id: session.id, server, words: code.words() })
}

/// What is known of the key backup.
#[derive(Debug, Serialize)]
pub struct BackupShown {
    /// What ended the last one, where there ever was one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "by_name")]
    pub ended: Option<Option<KeyBackupEnd>>,
    /// The one there is.
    pub key_backup: Option<BackupSlot>,
    /// What the server says, for words.
    #[serde(skip)]
    pub state: Option<KeyBackupState>,
}

/// A key backup.
#[derive(Debug, Serialize)]
pub struct BackupSlot {
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last fetched with the right words.
    pub fetched_at: Option<UnixMillis>,
    /// When its words were made.
    pub made_at: UnixMillis,
    /// By which device.
    pub made_by: Option<DeviceId>,
    /// Whether this device renews it.
    pub renewable: bool,
    /// When it was stored.
    pub stored_at: UnixMillis,
    /// Its version.
    pub version: u64,
}

/// Says whether there is a key backup, and from when.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn backup_state(profile: &Profile, reader: Reader<'_>) -> Result<BackupShown, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    let Some((state, renewable)) = key_backup::state(profile, &mut session).await? else {
        return Ok(BackupShown { ended: None, key_backup: None, state: None });
    };
    let slot = |slot: &KeyBackupSlot| BackupSlot {
        bytes: slot.bytes,
        fetched_at: slot.fetched_at,
        made_at: slot.made_at,
        made_by: slot.made_by,
        renewable,
        stored_at: slot.stored_at,
        version: state.version,
    };
    let key_backup = state.slot.as_ref().map(slot);
    Ok(BackupShown { ended: Some(state.ended.clone()), key_backup, state: Some(state) })
}

impl BackupShown {
    /// Why the recovery code of before opens nothing any more.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub fn why_ended(&self, profile: &Profile) -> Result<Option<String>, CommandError> {
        Ok(self.state.as_ref().map(|state| watching::ended(profile, state)).transpose()?.flatten())
    }
}

/// The key backup is gone.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BackupDeleted {
    /// `deleted`.
    pub key_backup: &'static str,
}

/// Removes the key backup from the server.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn delete_backup(profile: &Profile, reader: Reader<'_>) -> Result<BackupDeleted, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    key_backup::delete(profile, &mut session).await?;
    Ok(BackupDeleted { key_backup: "deleted" })
}

/// Whether a text has as many words as a recovery code, or more than anybody types: no further line is read.
pub fn has_all_words(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).count();
    words >= RECOVERY_WORDS || text.len() > MAX_CODE_BYTES
}

/// With what somebody gets their identity back.
pub struct Recovering<'a> {
    /// The server's link.
    pub server: ServerLink,
    /// Whose identity it is.
    pub id: ParticipantId,
    /// The twelve words.
    pub code: RecoveryCode,
    /// What the new device is called.
    pub device_name: &'a str,
    /// Whether every other device is revoked.
    pub others: Others,
}

/// What becomes of the other devices of somebody who is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Stay,
    /// They are revoked, and all keys are made anew.
    Revoked,
}

/// Who is back.
#[derive(Debug, Clone, Serialize)]
pub struct Recovered {
    /// The new device.
    pub device: DeviceId,
    /// The ID.
    pub id: ParticipantId,
    /// The display name.
    pub name: String,
    /// The other devices.
    pub others: Vec<OtherDevice>,
}

/// Another device of somebody who is back.
#[derive(Debug, Clone, Serialize)]
pub struct OtherDevice {
    /// Its ID.
    pub device: DeviceId,
    /// What it is called.
    pub name: String,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Gets an identity back with its recovery code.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn recover(
    place: &dyn Place,
    recovering: Recovering<'_>,
    reader: Reader<'_>,
) -> Result<(Profile, Recovered), CommandError> {
    let Recovering { server, id, code, device_name, others } = recovering;
    let server = ServerAddress { addresses: vec![server.address], fingerprint: server.server };
    let recovering = recovering::Recovering { server, id, code, device_name, language: reader.language };
    let (profile, mut session, recovered) = recovering::recover(place, recovering, reader.progress).await?;
    let revoked = others == Others::Revoked && !recovered.others.is_empty();
    if revoked {
        devices::revoke_others(&profile, &mut session, reader.progress)
            .await
            .map_err(|error| CommandError::NotRevoked { id, error })?;
    }
    let others = recovered.others.into_iter().map(|(device, name)| OtherDevice { device, name, revoked });
    let answer = Recovered { device: recovered.device, id, name: recovered.name, others: others.collect() };
    Ok((profile, answer))
}

/// A link with which another device becomes the participant's, while it holds.
pub struct Linking<'a> {
    profile: &'a Profile,
    session: Session,
    link: DeviceLink,
    expires_in: u64,
}

/// The link.
#[derive(Debug, Serialize)]
pub struct LinkShown {
    /// How many seconds it holds.
    pub expires_in: u64,
    /// The whole link.
    #[serde(serialize_with = "as_words")]
    pub link: Zeroizing<String>,
}

/// A device that wants to be linked.
#[derive(Debug, Clone, Serialize)]
pub struct CandidateShown {
    /// What it shows, and its person has to type.
    #[serde(serialize_with = "as_text")]
    pub code: LinkCode,
    /// Its ID, once it is linked.
    pub device: DeviceId,
    /// What it calls itself.
    pub name: String,
    #[serde(skip)]
    candidate: Candidate,
}

/// A device that was linked.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Linked {
    /// Its ID.
    pub device: DeviceId,
    /// What became of it.
    pub status: Status,
}

impl<'a> Linking<'a> {
    /// Opens a link.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn open(profile: &'a Profile, reader: Reader<'_>) -> Result<Self, CommandError> {
        let mut session = profile.log_in(reader.language).await?;
        let (link, time) = linking::open(profile, &mut session).await?;
        Ok(Self { profile, session, link, expires_in: time.as_secs() })
    }

    /// What is to be shown to the new device.
    pub fn shown(&self) -> LinkShown {
        LinkShown { expires_in: self.expires_in, link: Zeroizing::new(self.link.to_string()) }
    }

    /// Waits for the new device.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn candidate(&mut self) -> Result<CandidateShown, CommandError> {
        let candidate = linking::await_candidate(&mut self.session, &self.link).await?;
        let (code, device, name) = (candidate.code, candidate.device(), candidate.name.clone());
        Ok(CandidateShown { code, device, name, candidate })
    }

    /// Makes the new device the participant's if what was typed is what it shows, and ends the link if not.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn finish(mut self, new: &CandidateShown, typed: &str) -> Result<Linked, CommandError> {
        if typed.trim().parse::<LinkCode>().ok() != Some(new.code) {
            linking::refuse(&mut self.session, &self.link).await?;
            return Err(CommandError::CodesDiffer);
        }
        let device = linking::accept(self.profile, &mut self.session, &self.link, &new.candidate).await?;
        Ok(Linked { device, status: Status::Linked })
    }
}

/// The code that a new device shows.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CodeShown {
    /// Six digits, to be typed on the old device.
    #[serde(serialize_with = "as_text")]
    pub code: LinkCode,
}

/// Makes this device one of whoever shows the link; `show` shows the code.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn join(
    place: &dyn Place,
    link: &DeviceLink,
    device_name: &str,
    reader: Reader<'_>,
    show: &(dyn Fn(CodeShown) -> std::io::Result<()> + Send + Sync),
) -> Result<(Profile, Added), CommandError> {
    let show = |code| show(CodeShown { code });
    let (new, device) =
        linking::join(place, link, device_name, reader.language, reader.progress, &show).await?;
    let added = Added { device, id: new.id()?, name: device_name.to_owned() };
    Ok((new, added))
}
