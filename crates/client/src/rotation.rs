//! New keys for a participant: made on one device, carried to the others, proved to the server.
//!
//! Encryption keys are renewed every 90 days and the McEliece key every year, by whichever device notices
//! first; revoking a device renews everything.

use momedo_protocol::api;
use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::message::KIND_KEYS;
use momedo_protocol::possession::PossessionContext;

use crate::carrying::carry;
use crate::clocks::require_set;
use crate::own_bundle::bundle_payload;
use crate::platform::keys::PrivateKey;
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::secrets::{CarriedKeys, MCELIECE_MADE_AT, MadeKey, NewKeys};
use crate::session::Session;
use crate::signing::signed;
use crate::{ClientError, device_lists, held, key_backup, key_log, now};

/// How old encryption keys get, in days.
const ENCRYPTION_KEY_DAYS: u64 = 90;

/// How old a McEliece key gets, in days.
const MCELIECE_KEY_DAYS: u64 = 365;

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
    let list = device_lists::active(profile, session).await?;
    let made_at = profile.get(MCELIECE_MADE_AT)?.unwrap_or(bundle.payload.issued_at);
    let current = profile.private_keys(&bundle.digest).await?.and_then(|keys| keys.mceliece.clone());
    let public =
        bundle.payload.mceliece_key.map(|digest| profile.mceliece_key(&digest)).transpose()?.flatten();
    let kept = current.zip(public).filter(|_| now() < made_at.plus_days(MCELIECE_KEY_DAYS));
    let keys = match kept {
        None => NewKeys::make(&profile.platform).await?,
        Some((private, public)) => {
            let public = McEliecePublicKey::from_bytes(public).map_err(ClientError::protocol)?;
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
    let keys = match public.map(McEliecePublicKey::from_bytes).transpose().map_err(ClientError::protocol)? {
        Some(public) => profile.keys_for_another_bundle(&bundle.digest, public).await?,
        None => None,
    };
    // Without all of the keys at hand, new ones name the homes as well.
    let Some(keys) = keys else { return rotate(profile, session, progress).await };
    let list = device_lists::active(profile, session).await?;
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
    let bundle = KeyBundle::verify(&jws).map_err(ClientError::protocol)?;
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
    let body = serde_json::to_value(&carried).map_err(ClientError::protocol)?;
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
    let answer =
        answer.ok_or_else(|| ClientError::protocol("the server's challenge does not fit the keys"))?;
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
            held::note_list(profile, list, signed)?;
        }
        held::mark_due(profile)?;
        profile.forget_carried_keys()
    })?;
    // Whoever has the newest end of the log can give it back to a server that loses it.
    Box::pin(key_log::follow_published(profile, session)).await;
    // What cannot be renewed now is renewed with the next command.
    drop(key_backup::renew_if_due(profile, session).await);
    Ok(())
}
