//! The key backup: made with a recovery code that is shown once, renewed without it, and recovered from with
//! it on a new device.

use std::time::Duration;

use http::Method;
use momedo_protocol::api;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys, SealingKeys};
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::message::{KIND_KEY_BACKUP, Message};
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::connection::{Connection, ServerAddress};
use crate::profile::{Place, Profile};
use crate::progress::{Progress, Step};
use crate::registration::tell_of_clocks;
use crate::secrets::DeviceKeys;
use crate::session::{Session, from_json, server_information, to_json};
use crate::signing::signed;
use crate::{ClientError, devices, identity, now, rotation, watching};

/// Setting that says that the keys changed since the key backup was made.
const DUE: &str = "key-backup-due";

/// Setting with the version of the slot that this device stored or removed last, and whether it removed it.
const LAST: &str = "key-backup-last";

fn failed(error: impl ToString) -> ClientError {
    ClientError::KeyBackup(error.to_string())
}

/// Makes a key backup with a new recovery code, in place of the one before, and tells the other devices what
/// they renew it with. The code is returned once and kept nowhere.
///
/// # Errors
/// As [`ClientError`] says; after an error an earlier backup may be there still.
pub async fn make(profile: &Profile, session: &mut Session) -> Result<RecoveryCode, ClientError> {
    devices::adopt_published_keys(profile, session).await?;
    let code = RecoveryCode::random();
    let keys = RecoveryKeys::derive(&code, profile.server()?.fingerprint, session.id).sealing_keys();
    let signature_key = profile.signature_key().await?;
    store(profile, session, &keys, &identity::collect(profile)?, Storing::NewCode).await?;
    profile.atomically(|| {
        profile.set_sealing_keys(&keys, signature_key.public().fingerprint())?;
        watching::know_key_backup(profile, Some(&keys.lock))?;
        profile.remove(DUE)
    })?;
    let body = serde_json::to_value(&keys).map_err(failed)?;
    let (own, list) = (session.device, devices::active(profile, session).await?);
    for entry in list.devices.iter().filter(|entry| entry.id() != own) {
        rotation::carry(profile, session, entry, KIND_KEY_BACKUP, body.clone(), &signature_key).await?;
    }
    Ok(code)
}

/// Gives a server that was restored the slot back that it has forgotten, so that no recovery code of before opens
/// anything, and the newest does. What another device did since is left alone: it has a higher version.
///
/// # Errors
/// As [`ClientError`] says.
pub(crate) async fn hand_back(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let Some((last, was_removed)) = profile.get::<(u64, bool)>(LAST)? else { return Ok(()) };
    let known = match session.key_backup().await {
        Ok(state) => state.version,
        Err(error) if error.problem() == Some("no-key-backup") => 0,
        Err(error) => return Err(error),
    };
    if known >= last {
        return Ok(());
    }
    if was_removed {
        return if known == 0 { Ok(()) } else { session.delete_key_backup().await };
    }
    let Some(keys) = profile.sealing_keys()? else { return Ok(()) };
    store(profile, session, &keys, &identity::collect(profile)?, Storing::NewCode).await.map(drop)
}

/// Why a slot is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storing {
    /// Its recovery code is new.
    NewCode,
    /// The keys in it are new; it never brings a code back that ended, nor replaces one that another device made.
    Renewed,
}

/// Stores a slot under the next version.
async fn store(
    profile: &Profile,
    session: &mut Session,
    keys: &SealingKeys,
    content: &[u8],
    storing: Storing,
) -> Result<Renewal, ClientError> {
    let renews = storing == Storing::Renewed;
    let mut tries = 3;
    loop {
        let version = match session.key_backup().await {
            Ok(state) if renews && state.slot.is_none() => return Ok(Renewal::None),
            Ok(state) if renews && state.slot.as_ref().is_some_and(|slot| slot.lock != keys.lock) => {
                return Ok(Renewal::Foreign);
            }
            Ok(state) => state.version + 1,
            Err(error) if error.problem() == Some("no-key-backup") && renews => return Ok(Renewal::None),
            Err(error) if error.problem() == Some("no-key-backup") => 1,
            Err(error) => return Err(error),
        };
        let slot = keys.seal(content, session.id, version).map_err(failed)?;
        let request =
            api::KeyBackupRequest { version, lock: keys.lock.clone(), slot: Base64Bytes(slot), renews };
        tries -= 1;
        match session.store_key_backup(&request).await {
            // Another device was faster; what it stored is not newer than this.
            Err(error) if error.problem() == Some("key-backup-outdated") && tries > 0 => {}
            result => {
                result?;
                profile.set(LAST, &(version, false))?;
                return Ok(Renewal::Renewed);
            }
        }
    }
}

/// What became of a key backup that was to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It holds the newest keys.
    Renewed,
    /// There is none, or this device does not know what to renew it with.
    None,
    /// Another device made it anew, and what it is renewed with has not come yet.
    Foreign,
}

/// Notes that the keys changed.
pub(crate) fn mark_due(profile: &Profile) -> Result<(), ClientError> {
    profile.set(DUE, &true)
}

/// Renews the key backup if the keys changed since; it never replaces one that another code opens.
///
/// # Errors
/// As [`ClientError`] says; it stays due.
pub async fn renew_if_due(profile: &Profile, session: &mut Session) -> Result<Renewal, ClientError> {
    if profile.get(DUE)? != Some(true) {
        return Ok(Renewal::None);
    }
    let renewal = renew(profile, session).await?;
    if renewal != Renewal::Foreign {
        profile.remove(DUE)?;
    }
    Ok(renewal)
}

async fn renew(profile: &Profile, session: &mut Session) -> Result<Renewal, ClientError> {
    let Some(keys) = profile.sealing_keys()? else { return Ok(Renewal::None) };
    let renewal = store(profile, session, &keys, &identity::collect(profile)?, Storing::Renewed).await?;
    if renewal == Renewal::None {
        profile.forget_sealing_keys()?;
    }
    Ok(renewal)
}

/// Takes over what another own device sends for renewing the backup; false when it cannot be read. It counts as long as the
/// signature key does that `signed_with` is: not after a device was revoked, in whatever order that is heard of.
pub(crate) fn take(
    profile: &Profile,
    message: &Message,
    signed_with: &RsaPublicKey,
) -> Result<bool, ClientError> {
    let Ok(keys) = serde_json::from_value::<SealingKeys>(message.body.clone()) else { return Ok(false) };
    profile.set_sealing_keys(&keys, signed_with.fingerprint()).map(|()| true)
}

/// What the server knows of the key backup, and whether this device can renew it; `None` when there never was one.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn state(
    profile: &Profile,
    session: &mut Session,
) -> Result<Option<(api::KeyBackupState, bool)>, ClientError> {
    match session.key_backup().await {
        Err(error) if error.problem() == Some("no-key-backup") => Ok(None),
        Err(error) => Err(error),
        Ok(state) => {
            let keys = profile.sealing_keys()?;
            let renewable = keys.zip(state.slot.as_ref()).is_some_and(|(keys, slot)| keys.lock == slot.lock);
            Ok(Some((state, renewable)))
        }
    }
}

/// Removes the key backup; its recovery code opens nothing any more.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn delete(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    session.delete_key_backup().await?;
    let last = profile.get::<(u64, bool)>(LAST)?.map_or(0, |(last, _)| last);
    profile.atomically(|| {
        profile.set(LAST, &(last + 1, true))?;
        profile.forget_sealing_keys()?;
        watching::know_key_backup(profile, None)?;
        profile.remove(DUE)
    })
}

/// Whom and where to recover.
pub struct Recovering<'a> {
    /// The server.
    pub server: ServerAddress,
    /// The participant.
    pub id: ParticipantId,
    /// The recovery code.
    pub code: RecoveryCode,
    /// What the new device is called.
    pub device_name: &'a str,
    /// Language of error texts, a tag such as `de`.
    pub language: &'a str,
}

/// What came back.
#[derive(Debug)]
pub struct Recovered {
    /// The display name.
    pub name: String,
    /// The new device.
    pub device: DeviceId,
    /// The participant's other devices, with their names: lost ones should be revoked.
    pub others: Vec<(DeviceId, String)>,
}

/// Makes a device of a participant out of the key backup: same ID, same keys, nothing that contacts notice.
///
/// # Errors
/// [`ClientError::KeyBackup`], or as [`ClientError`] says; the profile then does not exist.
pub async fn recover(
    place: &dyn Place,
    recovering: Recovering<'_>,
    progress: Progress<'_>,
) -> Result<(Profile, Session, Recovered), ClientError> {
    if place.exists() {
        return Err(place.exists_already());
    }
    let platform = place.platform();
    let Recovering { server, id, code, device_name, language } = recovering;
    let recovery = RecoveryKeys::derive(&code, server.fingerprint, id);
    let mut connection = Connection::new(platform, server.clone(), language);
    let information = server_information(&mut connection).await?;
    tell_of_clocks(&connection, progress);
    let fetch_secret = Base64Bytes(recovery.fetch_secret.to_vec());
    let request = to_json(&api::KeyBackupFetchRequest { id, fetch_secret: fetch_secret.clone() })?;
    let answer =
        connection.request(Method::POST, "/key-backups/fetch", None, request, Duration::ZERO).await?;
    let backup: api::KeyBackup = from_json(&answer.body)?;
    let content = recovery.open(&backup.slot.0, id, backup.version).map_err(failed)?;
    let (mut found, signature_key, _) = identity::read(platform, &content).await?;
    if found.id != id || found.server != server.fingerprint {
        return Err(failed("it is of another participant or server"));
    }
    // Where the server was just reached goes before where it once was.
    found.addresses.retain(|address| !server.addresses.contains(address));
    found.addresses = [server.addresses.clone(), found.addresses.clone()].concat();
    let identity_key = RsaPublicKey::from_spki(&information.identity_key.0).map_err(failed)?;
    let published = KeyBundle::verify(&backup.keys.bundle).map_err(failed)?;
    let countersigned =
        Countersignature::verify(&backup.keys.countersignature, &identity_key).map_err(failed)?;
    if published.payload.id != id
        || countersigned.id != id
        || published.signature_key != *signature_key.public()
    {
        return Err(failed(
            "it is older than your newest keys and cannot be used any more: ask your admin to reset your keys",
        ));
    }
    let mut list =
        DeviceListPayload::verify(&backup.devices.device_list, signature_key.public()).map_err(failed)?;
    list.devices.retain(|entry| backup.devices.devices.iter().any(|state| state.id == entry.id()));
    let others = list.devices.iter().map(|entry| (entry.id(), entry.name.clone())).collect();

    progress(Step::MakingKeys);
    let keys = DeviceKeys::make(platform).await?;
    let entry = keys.entry(device_name);
    list.devices.push(entry.clone());
    list.version += 1;
    list.issued_at = now();
    let profile = place.create()?;
    let joined = async {
        let made_under = signature_key.public().fingerprint();
        identity::install(&profile, &found, &backup.keys.bundle, made_under, &keys, &entry)?;
        // Those in the backup may be of an earlier code.
        let sealing = recovery.sealing_keys();
        profile.set_sealing_keys(&sealing, signature_key.public().fingerprint())?;
        watching::know_key_backup(&profile, Some(&sealing.lock))?;
        watching::know_devices(&profile, &list)?;
        let device_list = signed(&list, &[&signature_key]).await?;
        let request = to_json(&api::RecoverDeviceRequest { id, fetch_secret, device_list })?;
        let added =
            connection.request(Method::POST, "/key-backups/device", None, request, Duration::ZERO).await;
        // Perhaps only the answer was lost: who can log in is listed.
        match (added, profile.log_in(language).await) {
            (_, Ok(session)) => Ok(session),
            (Err(error), Err(_)) | (Ok(_), Err(error)) => Err(error),
        }
    };
    let mut session = match joined.await {
        Ok(session) => session,
        Err(error) => {
            profile.discard();
            return Err(error);
        }
    };
    if profile.private_keys(&published.digest).await?.is_none() {
        // The backup missed a rotation: what is sealed to the newest bundle cannot be opened here.
        rotation::rotate(&profile, &mut session, progress).await?;
    }
    let recovered = Recovered { name: found.name.clone(), device: entry.id(), others };
    Ok((profile, session, recovered))
}
