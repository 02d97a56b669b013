//! A new device out of the key backup, when all others are lost.

use std::time::Duration;

use http::Method;
use momedo_protocol::api;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::connection::tell_of_clocks;
use crate::connection::{Connection, ServerAddress};
use crate::profile::{Place, Profile};
use crate::progress::{Progress, Step};
use crate::secrets::DeviceKeys;
use crate::session::{Session, from_json, server_information, to_json};
use crate::signing::signed;
use crate::{ClientError, identity, known_devices, now, rotation};

fn failed(error: impl ToString) -> ClientError {
    ClientError::KeyBackup(error.to_string())
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
        known_devices::know_key_backup(&profile, Some(&sealing.lock))?;
        known_devices::know_devices(&profile, &list)?;
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
