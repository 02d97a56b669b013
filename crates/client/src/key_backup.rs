//! The key backup: made with a recovery code that is shown once, renewed without it, and recovered from with
//! it on a new device.

use momedo_protocol::api;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys, SealingKeys};
use momedo_protocol::message::{KIND_KEY_BACKUP, Message};
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::held::DUE;
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, adopting, carrying, device_lists, identity, known_devices};

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
    adopting::adopt_published_keys(profile, session).await?;
    let code = RecoveryCode::random();
    let keys = RecoveryKeys::derive(&code, profile.server()?.fingerprint, session.id).sealing_keys();
    let signature_key = profile.signature_key().await?;
    store(profile, session, &keys, &identity::collect(profile)?, Storing::NewCode).await?;
    profile.atomically(|| {
        profile.set_sealing_keys(&keys, signature_key.public().fingerprint())?;
        known_devices::know_key_backup(profile, Some(&keys.lock))?;
        profile.remove(DUE)
    })?;
    let body = serde_json::to_value(&keys).map_err(failed)?;
    let (own, list) = (session.device, device_lists::active(profile, session).await?);
    for entry in list.devices.iter().filter(|entry| entry.id() != own) {
        carrying::carry(profile, session, entry, KIND_KEY_BACKUP, body.clone(), &signature_key).await?;
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
        known_devices::know_key_backup(profile, None)?;
        profile.remove(DUE)
    })
}
