//! `keys`: fingerprints, one's own and contacts', and the log of key changes.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::suite::Suite;
use serde::Serialize;

use super::{CommandError, Reader, by_name};
use crate::contacts::{self, Trust};
use crate::devices::adopt_published_keys;
use crate::profile::Profile;
use crate::profile::key_log::LogAlarm;
use crate::{key_log, names, rotation};

/// Somebody's keys.
#[derive(Debug, Clone, Serialize)]
pub struct KeysShown {
    /// Their fingerprint.
    pub fingerprint: Fingerprint,
    /// Whose they are.
    pub id: ParticipantId,
    /// What their home calls them.
    pub name: String,
    /// What they call themselves, where that is something else.
    pub own_name: Option<String>,
    /// With what one may seal to them.
    pub suites: Vec<Suite>,
    /// How sure one is: as [`Trust`], or `own`.
    pub trust: &'static str,
    /// How often they were made anew.
    pub version: u64,
}

impl KeysShown {
    fn own(bundle: KeyBundle) -> Self {
        let name = bundle.payload.name.clone();
        Self::of(bundle, name, None, "own")
    }

    fn of(bundle: KeyBundle, name: String, own_name: Option<String>, trust: &'static str) -> Self {
        let fingerprint = bundle.fingerprint();
        let payload = bundle.payload;
        Self {
            fingerprint,
            id: payload.id,
            name,
            own_name,
            suites: payload.suites,
            trust,
            version: payload.version,
        }
    }
}

/// Shows a contact's keys, or one's own.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn show(
    profile: &Profile,
    id: Option<ParticipantId>,
    reader: Reader<'_>,
) -> Result<KeysShown, CommandError> {
    let own = profile.id()?;
    let Some(id) = id.filter(|id| *id != own) else { return Ok(KeysShown::own(profile.own_bundle()?)) };
    let mut session = profile.log_in(reader.language).await?;
    let known = contacts::fetch(profile, &mut session, id).await?;
    let trust = known.trust.name();
    Ok(match names::of(profile, id)? {
        Some(called) => {
            let own_name = called.other_name().map(str::to_owned);
            KeysShown::of(known.bundle, called.by_home, own_name, trust)
        }
        None => KeysShown { trust, ..KeysShown::own(known.bundle) },
    })
}

/// Makes new encryption keys.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn rotate(profile: &Profile, reader: Reader<'_>) -> Result<KeysShown, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    adopt_published_keys(profile, &mut session).await?;
    rotation::rotate(profile, &mut session, reader.progress).await?;
    Ok(KeysShown::own(profile.own_bundle()?))
}

/// How far the log of key changes was followed.
#[derive(Debug, Clone, Serialize)]
pub struct LogShown {
    /// What was ever wrong with it.
    #[serde(serialize_with = "by_name")]
    pub alarms: Vec<LogAlarm>,
    /// Its hash there, in groups.
    pub hash: String,
    /// The number of its entries there.
    pub number: u64,
    /// Whose log it is.
    pub server: Fingerprint,
    /// Other servers of whose logs it tells.
    pub servers: Vec<OtherLog>,
}

/// Another server's log, as the own one tells of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OtherLog {
    /// The number of its entries.
    pub number: u64,
    /// Whose log it is.
    pub server: Fingerprint,
}

/// Shows how far the log of key changes was followed, or how it was at an earlier number.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn log(profile: &Profile, at: Option<u64>, reader: Reader<'_>) -> Result<LogShown, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    key_log::follow(profile, &mut session).await?;
    let view = key_log::view(profile, at)?.ok_or(CommandError::BeyondLog)?;
    let server = profile.server()?.fingerprint;
    let homes = profile.log_homes(server)?;
    Ok(LogShown {
        alarms: profile.log_alarms()?,
        hash: view.grouped_hash(),
        number: view.number,
        server,
        servers: homes.into_iter().map(|(server, number)| OtherLog { number, server }).collect(),
    })
}

/// Whose fingerprint was compared.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Verified {
    /// Who.
    pub id: ParticipantId,
    /// How sure one is now.
    pub trust: &'static str,
}

/// Reads a fingerprint as people tell it, with or without spaces.
///
/// # Errors
/// [`CommandError::NotAFingerprint`].
pub fn fingerprint(text: &str) -> Result<Fingerprint, CommandError> {
    text.replace([' ', '-', ':'], "").parse().map_err(|_| CommandError::NotAFingerprint)
}

/// Notes that a contact's fingerprint was compared with them.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn verify(
    profile: &Profile,
    id: ParticipantId,
    fingerprint: Fingerprint,
    reader: Reader<'_>,
) -> Result<Verified, CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    adopt_published_keys(profile, &mut session).await?;
    contacts::compare(profile, &mut session, id, fingerprint).await?;
    Ok(Verified { id, trust: Trust::Compared.name() })
}
