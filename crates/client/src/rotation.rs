//! New keys for a participant: made on one device, carried to the others, proved to the server.
//!
//! Encryption keys are renewed every 90 days and the McEliece key every year, by whichever device notices
//! first; revoking a device renews everything.

use std::time::Duration;

use momedo_protocol::api;
use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::message::{KIND_KEYS, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPublicKey;
use momedo_protocol::possession::PossessionContext;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::seal::{RecipientKeys, seal};
use momedo_protocol::suite::Suite;
use web_time::Instant;

use crate::clocks::require_set;
use crate::platform::keys::PrivateKey;
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::registration::bundle_payload;
use crate::secrets::{CarriedKeys, MadeKey, NewKeys};
use crate::sending::submit;
use crate::session::Session;
use crate::signing::signed;
use crate::{ClientError, contacts, devices, handing_back, key_backup, key_log, now};

/// How long the sealed keys for another device may take to be submitted.
const CARRY_TIME: Duration = Duration::from_secs(10);

/// How old encryption keys get, in days.
const ENCRYPTION_KEY_DAYS: u64 = 90;

/// How old a McEliece key gets, in days.
const MCELIECE_KEY_DAYS: u64 = 365;

/// Setting with the time the McEliece key was made.
pub(crate) const MCELIECE_MADE_AT: &str = "mceliece-made-at";

fn protocol(error: impl ToString) -> ClientError {
    ClientError::Protocol(error.to_string())
}

/// What is to be published.
pub(crate) struct Replacement {
    /// A new signature key, if it changes.
    pub(crate) signature_key: Option<MadeKey>,
    /// The encryption keys.
    pub(crate) keys: NewKeys,
    /// The next device list, if it changes; it is signed here.
    pub(crate) device_list: Option<DeviceListPayload>,
}

/// Renews the encryption keys if they are due. Another device may be doing the same; then its keys come with
/// the next messages.
///
/// # Errors
/// As [`ClientError`] says; the old keys go on working.
pub async fn rotate_if_due(
    profile: &Profile,
    session: &mut Session,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    let bundle = profile.own_bundle()?;
    if now() < bundle.payload.issued_at.plus_days(ENCRYPTION_KEY_DAYS) {
        return Ok(());
    }
    rotate(profile, session, progress).await
}

/// Renews the encryption keys now.
///
/// # Errors
/// As [`rotate_if_due`].
pub async fn rotate(
    profile: &Profile,
    session: &mut Session,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    progress(Step::MakingKeys);
    let bundle = profile.own_bundle()?;
    let list = devices::active(profile, session).await?;
    let made_at = profile.get(MCELIECE_MADE_AT)?.unwrap_or(bundle.payload.issued_at);
    let current = profile.private_keys(&bundle.digest).await?.and_then(|keys| keys.mceliece.clone());
    let public =
        bundle.payload.mceliece_key.map(|digest| profile.mceliece_key(&digest)).transpose()?.flatten();
    let kept = current.zip(public).filter(|_| now() < made_at.plus_days(MCELIECE_KEY_DAYS));
    let keys = match kept {
        None => NewKeys::make(&profile.platform).await?,
        Some((private, public)) => {
            let public = McEliecePublicKey::from_bytes(public).map_err(protocol)?;
            NewKeys::make_beside(&profile.platform, private, public).await?
        }
    };
    let replacement = Replacement { signature_key: None, keys, device_list: None };
    publish(profile, session, &list.devices, replacement, progress).await
}

/// Publishes the same keys in a bundle that names the homes of now.
///
/// # Errors
/// As [`ClientError`] says; the bundle before stays in force.
pub(crate) async fn publish_homes(
    profile: &Profile,
    session: &mut Session,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    let bundle = profile.own_bundle()?;
    let digest = bundle.payload.mceliece_key;
    let public = digest.map(|digest| profile.mceliece_key(&digest)).transpose()?.flatten();
    let keys = match public.map(McEliecePublicKey::from_bytes).transpose().map_err(protocol)? {
        Some(public) => profile.keys_for_another_bundle(&bundle.digest, public).await?,
        None => None,
    };
    // Without all of the keys at hand, new ones name the homes as well.
    let Some(keys) = keys else { return rotate(profile, session, progress).await };
    let list = devices::active(profile, session).await?;
    let replacement = Replacement { signature_key: None, keys, device_list: None };
    publish(profile, session, &list.devices, replacement, progress).await
}

/// Carries new keys to `devices`, publishes their bundle and puts it into force here.
pub(crate) async fn publish(
    profile: &Profile,
    session: &mut Session,
    devices: &[DeviceEntry],
    replacement: Replacement,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    require_set()?;
    let Replacement { signature_key: new_signature_key, keys, device_list } = replacement;
    let old_signature_key = profile.signature_key().await?;
    let (signature_key, signature_key_bytes) = match &new_signature_key {
        Some(new) => (&new.key, new.pkcs8.clone()),
        None => (&old_signature_key, profile.signature_key_bytes()?),
    };
    let old = profile.own_bundle()?;
    let home = session.connection().server().fingerprint;
    let version = old.payload.version + 1;
    let payload =
        bundle_payload(session.id, &old.payload.name, version, profile.homes()?, signature_key, &keys);
    let signers: &[&PrivateKey] = match &new_signature_key {
        Some(new) => &[&new.key, &old_signature_key],
        None => &[&old_signature_key],
    };
    let jws = signed(&payload, signers).await?;
    let bundle = KeyBundle::verify(&jws).map_err(protocol)?;
    let digest = keys.mceliece.digest();
    let has_new_mceliece_key = old.payload.mceliece_key != Some(digest);
    if has_new_mceliece_key {
        progress(Step::SendingKey);
        session.store_mceliece_key(&digest, keys.mceliece.bytes()).await?;
    }

    // The other devices get the keys first: should this fail halfway, they know keys nobody uses.
    let carried = CarriedKeys {
        signature_key: Base64Bytes(signature_key_bytes.to_vec()),
        bundle_digest: bundle.digest,
        keys: keys.stored.clone(),
    };
    let own = session.device;
    let body = serde_json::to_value(&carried).map_err(protocol)?;
    for entry in devices.iter().filter(|entry| entry.id() != own) {
        carry(profile, session, entry, KIND_KEYS, body.clone(), &old_signature_key).await?;
    }
    let signed_list = match &device_list {
        Some(list) => Some(signed(list, &[signature_key]).await?),
        None => None,
    };
    let request = api::PublishRequest { bundle: jws.clone(), device_list: signed_list.clone() };
    let challenge = session.publish(&request).await?;
    let context = PossessionContext { server: home, id: session.id, bundle_digest: bundle.digest };
    let answer = keys.private.answer(&challenge.challenge, &context).await;
    let answer = answer.ok_or_else(|| protocol("the server's challenge does not fit the keys"))?;
    // On disk before the server makes them count: should the answer get lost, the next command adopts them.
    profile.store_carried_keys(&carried)?;
    let proof = api::ProofRequest {
        challenge_id: challenge.challenge_id,
        answer: Base64Bytes(answer.bytes().to_vec()),
    };
    session.prove(&proof).await?;
    profile.atomically(|| {
        profile.store_signature_key(&signature_key_bytes)?;
        if has_new_mceliece_key {
            profile.set_mceliece_key(&digest, keys.mceliece.bytes())?;
            profile.set(MCELIECE_MADE_AT, &now())?;
        }
        profile.set_own_bundle(&bundle, &jws)?;
        if let Some((list, signed)) = device_list.as_ref().zip(signed_list.as_ref()) {
            handing_back::note_list(profile, list, signed)?;
        }
        key_backup::mark_due(profile)?;
        profile.forget_carried_keys()
    })?;
    // Whoever has the newest end of the log can give it back to a server that loses it.
    Box::pin(key_log::follow_published(profile, session)).await;
    // What cannot be renewed now is renewed with the next command.
    drop(key_backup::renew_if_due(profile, session).await);
    Ok(())
}

/// Sends the keys in force to the own other devices: a server that was restored has lost what was on its way to them.
///
/// # Errors
/// As [`ClientError`] says.
pub(crate) async fn carry_current(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let bundle = profile.own_bundle()?;
    let signature_key = profile.signature_key().await?;
    let Some(keys) = profile.stored_keys(&bundle.digest)? else { return Ok(()) };
    let carried = CarriedKeys {
        signature_key: Base64Bytes(profile.signature_key_bytes()?.to_vec()),
        bundle_digest: bundle.digest,
        keys,
    };
    let body = serde_json::to_value(&carried).map_err(protocol)?;
    let (own, list) = (session.device, devices::active(profile, session).await?);
    let mut first = None;
    for entry in list.devices.iter().filter(|entry| entry.id() != own) {
        // What was signed with the key of before is believed by whoever has not heard of the new one.
        if let Err(error) = carry(profile, session, entry, KIND_KEYS, body.clone(), &signature_key).await {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

/// Sends keys to one of the own devices, sealed to that device's RSA and ML-KEM keys and to the McEliece key that all own
/// devices have the private half of: whoever has none of the devices must break all three, whoever had one the two.
pub(crate) async fn carry(
    profile: &Profile,
    session: &mut Session,
    entry: &DeviceEntry,
    kind: &str,
    body: serde_json::Value,
    signature_key: &PrivateKey,
) -> Result<(), ClientError> {
    let rsa = RsaPublicKey::from_spki(&entry.rsa_key.0).map_err(protocol)?;
    let ml_kem = MlKemPublicKey::from_bytes(&entry.ml_kem_key.0).map_err(protocol)?;
    let shared = contacts::mceliece_key(profile, session, &profile.own_bundle()?, &|_| {}).await?;
    let mceliece = shared.as_ref();
    let suite = if mceliece.is_some() { Suite::Full } else { Suite::Small };
    // Device keys are named by their digest alone.
    let keys = RecipientKeys { version: 0, digest: entry.key_digest(), rsa: &rsa, ml_kem: &ml_kem, mceliece };
    let message = Message {
        from: session.id,
        to: Some(session.id),
        group: None,
        id: MessageId::new(now()),
        sent_at: now(),
        conversation: None,
        log: None,
        kind: kind.into(),
        body,
    };
    let inner = signed(&message, &[signature_key]).await?.to_bytes();
    let envelope = seal(suite, &keys, message.id, &inner).map_err(protocol)?;
    let request = api::SubmitRequest {
        id: message.id,
        to: session.id,
        device: Some(entry.id()),
        envelope: Base64Bytes(envelope),
        own_devices: None,
        blobs: Vec::new(),
    };
    submit(profile, session, &request, Instant::now() + CARRY_TIME).await
}
