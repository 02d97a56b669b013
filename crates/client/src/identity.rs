//! A participant's identity: read out of a profile for a key backup or a new device, and put into a new one.

use momedo_protocol::device_list::DeviceEntry;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::identity::{Identity, IdentityContact};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::limits::MAX_IDENTITY_BYTES;
use zeroize::Zeroizing;

use crate::contacts::{Contact, Trust};
use crate::groups::key_store as keys;
use crate::platform::Platform;
use crate::platform::keys::{KeyUse, PrivateKey};
use crate::profile::Profile;
use crate::secrets::{DeviceKeys, MCELIECE_MADE_AT, StoredKeys};
use crate::{ClientError, key_log, known_devices};

fn damaged(error: impl ToString) -> ClientError {
    ClientError::Protocol(error.to_string())
}

/// The profile's identity as JSON, at most [`MAX_IDENTITY_BYTES`]: with as many contacts as fit, and of the
/// bundles' keys the newest.
pub(crate) fn collect(profile: &Profile) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let server = profile.server()?;
    let bundle: Option<Jws> = profile.get("bundle")?;
    let mut identity = Identity {
        id: profile.id()?,
        name: profile.own_bundle()?.payload.name,
        server: server.fingerprint,
        addresses: server.addresses,
        bundle: bundle.ok_or_else(|| damaged("the profile has no bundle"))?,
        signature_key: momedo_protocol::encoding::Base64Bytes(profile.signature_key_bytes()?.to_vec()),
        earlier_signature_keys: profile.earlier_signature_keys()?,
        bundle_keys: profile.identity_keys()?,
        group_keys: keys::list(profile)?,
        mceliece_made_at: profile.get(MCELIECE_MADE_AT)?,
        contacts: Vec::new(),
        key_backup: profile.sealing_keys()?,
    };
    let length = |identity: &Identity| serde_json::to_vec(identity).map(|json| Zeroizing::new(json).len());
    while length(&identity).map_err(damaged)? > MAX_IDENTITY_BYTES && identity.bundle_keys.len() > 1 {
        identity.bundle_keys.remove(0);
    }
    let mut taken = length(&identity).map_err(damaged)?;
    for id in profile.contact_ids()? {
        let Some(contact) = profile.contact(id)? else { continue };
        let contact = IdentityContact {
            id,
            trust: contact.trust.name().into(),
            bundle: contact.bundle,
            earlier_keys: contact.earlier_keys,
            reset: contact.reset,
        };
        // And a comma.
        taken += serde_json::to_vec(&contact).map_err(damaged)?.len() + 1;
        if taken > MAX_IDENTITY_BYTES {
            break;
        }
        identity.contacts.push(contact);
    }
    Ok(Zeroizing::new(serde_json::to_vec(&identity).map_err(damaged)?))
}

/// Reads an identity and checks that its parts belong together and every key in it can be used.
pub(crate) async fn read(
    platform: &Platform,
    bytes: &[u8],
) -> Result<(Identity, PrivateKey, KeyBundle), ClientError> {
    let identity: Identity = serde_json::from_slice(bytes).map_err(damaged)?;
    let key = Zeroizing::new(identity.signature_key.0.clone());
    let key = platform.rsa.load(key, KeyUse::Signing).await?;
    for keys in &identity.bundle_keys {
        StoredKeys::of_identity(keys).load(platform).await?;
    }
    let bundle = KeyBundle::verify(&identity.bundle).map_err(damaged)?;
    if bundle.payload.id != identity.id || bundle.signature_key != *key.public() {
        return Err(damaged("the keys do not belong together"));
    }
    Ok((identity, key, bundle))
}

/// Fills a new profile. `bundle` is the participant's newest; its keys may not be in the identity. `signature_key` is the
/// fingerprint of the identity's.
pub(crate) fn install(
    profile: &Profile,
    identity: &Identity,
    bundle: &Jws,
    signature_key: Fingerprint,
    device: &DeviceKeys,
    entry: &DeviceEntry,
) -> Result<(), ClientError> {
    profile.atomically(|| {
        profile.store_identity_keys(identity)?;
        profile.store_device_keys(device)?;
        for key in identity.group_keys.iter().filter_map(|key| GroupKey::from_bytes(&key.0)) {
            keys::keep(profile, &key)?;
        }
        for contact in &identity.contacts {
            let remembered = Contact {
                trust: Trust::of_name(&contact.trust),
                bundle: contact.bundle.clone(),
                earlier_keys: contact.earlier_keys.clone(),
                reset: contact.reset.clone(),
            };
            profile.set_contact(contact.id, &remembered)?;
        }
        let ids: Vec<_> = identity.contacts.iter().map(|contact| contact.id).collect();
        key_log::watch_later(profile, &ids)?;
        if let Some(made_at) = identity.mceliece_made_at {
            profile.set(MCELIECE_MADE_AT, &made_at)?;
        }
        if let Some(sealing) = &identity.key_backup {
            // Handed over together with the signature key that is in force.
            profile.set_sealing_keys(sealing, signature_key)?;
            known_devices::know_key_backup(profile, Some(&sealing.lock))?;
        }
        profile.set("addresses", &identity.addresses)?;
        profile.set("server", &identity.server)?;
        profile.set("name", &identity.name)?;
        profile.set("device", &entry.id())?;
        profile.set("bundle", bundle)?;
        profile.set("id", &identity.id)
    })
}
