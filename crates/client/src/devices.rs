//! A participant's devices: adding one, listing them, and revoking one with everything that follows.

use std::path::Path;
use std::time::{Duration, Instant};

use momedo_protocol::api;
use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::DeviceId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::message::{KIND_KEYS, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPublicKey;
use momedo_protocol::possession::PossessionContext;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::{RecipientKeys, seal};
use momedo_protocol::suite::Suite;

use crate::profile::Profile;
use crate::registration::{Progress, Step, bundle_payload};
use crate::secrets::{CarriedKeys, DeviceKeys, NewKeys, StoredKeys};
use crate::sending::submit;
use crate::session::Session;
use crate::{ClientError, now};

/// How long the sealed keys for another device may take to be submitted.
const CARRY_TIME: Duration = Duration::from_secs(10);

fn protocol(error: impl ToString) -> ClientError {
    ClientError::Protocol(error.to_string())
}

/// The participant's device list, verified with the own signature key, and what the server knows of each.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn list(
    profile: &Profile,
    session: &mut Session,
) -> Result<(DeviceListPayload, Vec<api::DeviceState>), ClientError> {
    let devices = session.devices().await?;
    let list = DeviceListPayload::verify(&devices.device_list, &profile.own_bundle()?.signature_key)
        .map_err(protocol)?;
    Ok((list, devices.devices))
}

/// Puts keys into force that another own device made and has published meanwhile. Every command that signs
/// or verifies for the participant begins with it.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn adopt_published_keys(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    if !profile.has_carried_keys()? {
        return Ok(());
    }
    let own = profile.own_bundle()?;
    let published = session.keys(session.id, own.payload.version).await?;
    let bundle = KeyBundle::verify(&published.bundle).map_err(protocol)?;
    let Some(key) = profile.carried_signature_key(&bundle.digest)? else { return Ok(()) };
    if bundle.payload.id != session.id || bundle.payload.version <= own.payload.version {
        return Ok(());
    }
    profile.atomically(|| {
        profile.store_signature_key(&key)?;
        profile.set("bundle", &published.bundle)?;
        profile.forget_carried_keys()
    })
}

/// Adds a device: makes its profile in `new_path`, with the participant's keys and device keys of its own.
///
/// # Errors
/// As [`ClientError`] says; the new profile then does not exist.
pub async fn add(
    profile: &Profile,
    new_path: &Path,
    name: &str,
    passphrase: Option<&str>,
    language: &str,
    progress: Progress<'_>,
) -> Result<(Profile, DeviceId), ClientError> {
    let mut session = profile.log_in(language).await?;
    adopt_published_keys(profile, &mut session).await?;
    let (mut list, _) = list(profile, &mut session).await?;
    let new = Profile::create(new_path, passphrase)?;
    progress(Step::MakingKeys);
    let added = async {
        let keys = tokio::task::spawn_blocking(DeviceKeys::generate).await.map_err(protocol)?;
        let entry = keys.entry(name);
        let device = entry.id();
        new.atomically(|| {
            new.copy_participant_keys(profile)?;
            new.copy_contacts(profile)?;
            new.store_device_keys(&keys)?;
            let server = profile.server()?;
            new.set("addresses", &server.addresses)?;
            new.set("server", &server.fingerprint)?;
            new.set("name", &profile.get::<String>("name")?)?;
            new.set("bundle", &profile.get::<momedo_protocol::jws::Jws>("bundle")?)?;
            new.set("device", &device)?;
            new.set("id", &profile.id()?)
        })?;
        list.devices.push(entry);
        list.version += 1;
        list.issued_at = now();
        let device_list = list.sign(&profile.signature_key()?);
        session.update_devices(&api::DeviceListRequest { device_list }).await?;
        Ok(device)
    }
    .await;
    match added {
        Ok(device) => Ok((new, device)),
        Err(error) => {
            new.discard();
            Err(error)
        }
    }
}

/// Revokes a device: new signature and encryption keys, sealed to every device that stays, and a list
/// without the revoked one. Afterwards nothing sealed or signed with the old keys counts.
///
/// # Errors
/// As [`ClientError`] says; before the server has taken the new bundle, nothing has changed.
pub async fn revoke(
    profile: &Profile,
    device: DeviceId,
    language: &str,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    if device == profile.device()? {
        return Err(ClientError::Protocol("a device cannot revoke itself: use another one".into()));
    }
    let mut session = profile.log_in(language).await?;
    adopt_published_keys(profile, &mut session).await?;
    let (mut list, _) = list(profile, &mut session).await?;
    let before = list.devices.len();
    list.devices.retain(|entry| entry.id() != device);
    if list.devices.len() == before {
        return Err(ClientError::Protocol(format!("no device {device} is in your list")));
    }
    progress(Step::MakingKeys);
    let (new_signature_key, keys) =
        tokio::task::spawn_blocking(|| (RsaPrivateKey::generate(), NewKeys::generate()))
            .await
            .map_err(protocol)?;
    let old_signature_key = profile.signature_key()?;
    let old = profile.own_bundle()?;
    let home = profile.server()?.fingerprint;
    let version = old.payload.version + 1;
    let payload = bundle_payload(session.id, &old.payload.name, version, home, &new_signature_key, &keys);
    let jws = payload.sign(&[&new_signature_key, &old_signature_key]);
    let bundle = KeyBundle::verify(&jws).map_err(protocol)?;
    progress(Step::SendingKey);
    let digest = keys.mceliece.digest();
    session.store_mceliece_key(&digest, keys.mceliece.bytes()).await?;

    // The other devices get the keys first: should this fail halfway, they know keys nobody uses.
    let carried = CarriedKeys {
        signature_key: Base64Bytes(new_signature_key.pkcs8().to_vec()),
        bundle_digest: bundle.digest,
        keys: StoredKeys::new(&keys.private),
    };
    let own = session.device;
    for entry in list.devices.iter().filter(|entry| entry.id() != own) {
        carry(profile, &mut session, entry, &list, &carried, &old_signature_key).await?;
    }
    list.version += 1;
    list.issued_at = now();
    let publish =
        api::PublishRequest { bundle: jws.clone(), device_list: Some(list.sign(&new_signature_key)) };
    let challenge = session.publish(&publish).await?;
    let context = PossessionContext { server: home, id: session.id, bundle_digest: bundle.digest };
    let answer = challenge.challenge.answer(&keys.private, &context).map_err(protocol)?;
    // On disk before the server makes them count: should the answer get lost, the next command adopts them.
    profile.store_carried_keys(&carried)?;
    session
        .prove(&api::ProofRequest {
            challenge_id: challenge.challenge_id,
            answer: Base64Bytes(answer.bytes().to_vec()),
        })
        .await?;
    profile.atomically(|| {
        profile.store_signature_key(&new_signature_key)?;
        profile.set_mceliece_key(&digest, keys.mceliece.bytes())?;
        profile.set("bundle", &jws)?;
        profile.forget_carried_keys()
    })
}

/// Sends new keys to one of the own devices, sealed to that device's keys alone.
async fn carry(
    profile: &Profile,
    session: &mut Session,
    entry: &DeviceEntry,
    list: &DeviceListPayload,
    carried: &CarriedKeys,
    signature_key: &RsaPrivateKey,
) -> Result<(), ClientError> {
    let rsa = RsaPublicKey::from_spki(&entry.rsa_key.0).map_err(protocol)?;
    let ml_kem = MlKemPublicKey::from_bytes(&entry.ml_kem_key.0).map_err(protocol)?;
    let keys = RecipientKeys {
        version: u32::try_from(list.version).map_err(protocol)?,
        digest: entry.key_digest(),
        rsa: &rsa,
        ml_kem: &ml_kem,
        mceliece: None,
    };
    let message = Message {
        from: session.id,
        to: session.id,
        id: MessageId::new(now()),
        sent_at: now(),
        conversation: None,
        kind: KIND_KEYS.into(),
        body: serde_json::to_value(carried).map_err(protocol)?,
    };
    let envelope = seal(Suite::Small, &keys, message.id, &message.sign(signature_key)).map_err(protocol)?;
    let request = api::SubmitRequest {
        id: message.id,
        to: session.id,
        device: Some(entry.id()),
        envelope: Base64Bytes(envelope),
        own_devices: None,
    };
    submit(profile, session, &request, Instant::now() + CARRY_TIME).await
}
