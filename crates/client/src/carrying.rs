//! Keys that go to the own other devices, sealed to each.

use std::time::Duration;

use momedo_protocol::api;
use momedo_protocol::device_list::DeviceEntry;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::message::{KIND_KEYS, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPublicKey;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::seal::{RecipientKeys, seal};
use momedo_protocol::suite::Suite;
use web_time::Instant;

use crate::platform::keys::PrivateKey;
use crate::profile::Profile;
use crate::secrets::CarriedKeys;
use crate::session::Session;
use crate::signing::signed;
use crate::submitting::submit;
use crate::{ClientError, contacts, device_lists, now};

/// How long the sealed keys for another device may take to be submitted.
const CARRY_TIME: Duration = Duration::from_secs(10);

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
    let body = serde_json::to_value(&carried).map_err(ClientError::protocol)?;
    let (own, list) = (session.device, device_lists::active(profile, session).await?);
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
    let rsa = RsaPublicKey::from_spki(&entry.rsa_key.0).map_err(ClientError::protocol)?;
    let ml_kem = MlKemPublicKey::from_bytes(&entry.ml_kem_key.0).map_err(ClientError::protocol)?;
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
    let envelope = seal(suite, &keys, message.id, &inner).map_err(ClientError::protocol)?;
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
