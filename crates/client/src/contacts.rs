//! Whose keys are known, and what happens when they change.
//!
//! A key is pinned on first use. A change signed by the old key is followed; a reset without it stops
//! sending until somebody compared the new fingerprint; an older version is refused.

use momedo_protocol::api::PublishedKeys;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::clocks::Minute;
use crate::key_log::Vouching;
pub use crate::known_keys::{KnownKeys, remembered};
use crate::known_keys::{known_keys, untrusted, untrusted_now, verify};
use crate::names::{self, Called};
use crate::profile::Profile;
pub use crate::profile::contact::{Contact, Trust};
use crate::progress::{Progress, Step};
use crate::session::{Session, server_information};
use crate::{ClientError, key_log, now};

/// Fetches a contact's keys, checks them and pins, follows or stops.
///
/// # Errors
/// [`ClientError::KeysReset`] or [`ClientError::UntrustedKeys`] when they must not be used.
pub async fn fetch(
    profile: &Profile,
    session: &mut Session,
    id: ParticipantId,
) -> Result<KnownKeys, ClientError> {
    let remembered = profile.contact(id)?;
    let known = remembered.as_ref().map(|contact| verify(id, &contact.bundle)).transpose()?;
    let (published, bundle, vouching) = match published(profile, session, id, known.as_ref()).await {
        // A server that was restored waits for their newest keys, which are remembered here.
        Err(error) if error.problem() == Some("keys-forgotten") => match remembered {
            Some(contact) if contact.reset.is_none() => return known_keys(id, &contact),
            _ => return Err(error),
        },
        result => result?,
    };
    let called =
        Called { by_home: name_by_home(id, &published)?, by_themselves: bundle.payload.name.clone() };
    let home = match &published.home {
        None => Some(session.connection().server().fingerprint),
        // Without a log there is nothing to watch.
        Some(_) if vouching != Vouching::Vouched => None,
        Some(key) => Some(server_of(id, key)?.fingerprint()),
    };
    let contact = match (remembered, known) {
        (None, _) | (_, None) => Contact {
            trust: if vouching == Vouching::Vouched { Trust::FirstUse } else { Trust::Unvouched },
            bundle: published.bundle,
            earlier_keys: Vec::new(),
            reset: None,
        },
        (Some(contact), Some(known)) => {
            let mut contact = follow(id, contact, &known, &bundle, published)?;
            if contact.trust == Trust::Unvouched && vouching == Vouching::Vouched {
                contact.trust = Trust::FirstUse;
            }
            contact
        }
    };
    profile.set_contact(id, &contact)?;
    names::note(profile, id, &called)?;
    if let Some(home) = home {
        key_log::watch_devices(profile, home, id).await?;
    }
    if contact.reset.is_some() {
        return Err(ClientError::KeysReset { id, fingerprint: bundle.fingerprint() });
    }
    known_keys(id, &contact)
}

/// What their home's admins call somebody, out of a countersignature that was verified with the bundle.
fn name_by_home(id: ParticipantId, published: &PublishedKeys) -> Result<String, ClientError> {
    let payload = published.countersignature.unverified_payload().map_err(|error| untrusted(id, error))?;
    let signed: Countersignature = serde_json::from_slice(&payload).map_err(|error| untrusted(id, error))?;
    Ok(signed.name)
}

/// What the server publishes of somebody, as far as its log of key changes bears it out.
async fn published(
    profile: &Profile,
    session: &mut Session,
    id: ParticipantId,
    known: Option<&KeyBundle>,
) -> Result<(PublishedKeys, KeyBundle, Vouching), ClientError> {
    let version = known.map_or(0, |bundle| bundle.payload.version);
    // Twice: they may become current between the two answers.
    let mut bundle = None;
    for _ in 0..2 {
        let published = session.keys(id, version).await?;
        let checked = check(session, id, &published).await?;
        if let Some(key) = &published.home {
            // A stranger who stands in the own server's log does not live elsewhere, whatever it says now; whoever
            // is known has to have signed a move.
            if version == 0 && key_log::knows(profile, session, id).await? {
                key_log::raise_missing(profile, &checked, None)?;
                return Err(untrusted(id, "the server said before that they live on it"));
            }
            let home = server_of(id, key)?.fingerprint();
            let vouching = key_log::vouching(profile, session, home, &checked).await?;
            // What is no news may be older than the log while their home cannot be reached.
            let is_known = known.is_some_and(|known| known.digest == checked.digest);
            if matches!(vouching, Vouching::Vouched | Vouching::Nobody) || is_known {
                return Ok((published, checked, vouching));
            }
            if vouching == Vouching::Contradicted {
                bundle = Some((checked, Some(home)));
            }
        } else if key_log::vouches(profile, session, &checked).await? {
            return Ok((published, checked, Vouching::Vouched));
        } else {
            bundle = Some((checked, None));
        }
    }
    if let Some((bundle, home)) = bundle {
        key_log::raise_missing(profile, &bundle, home)?;
    }
    // A log that is behind catches up, and a server that made something up may be found out.
    Err(untrusted_now(
        id,
        "they are not the newest in their home's log of key changes: the server may show others other keys",
    ))
}

/// Checks what the server says of itself about a bundle: right participant, in date, countersigned.
async fn check(
    session: &mut Session,
    id: ParticipantId,
    published: &PublishedKeys,
) -> Result<KeyBundle, ClientError> {
    let bundle = verify(id, &published.bundle)?;
    if bundle.payload.id != id {
        return Err(untrusted(id, "they are somebody else's"));
    }
    if bundle.payload.expires_at < now() {
        let (expired, now) = (Minute(bundle.payload.expires_at), Minute(now()));
        return Err(untrusted_now(
            id,
            format!(
                "they expired at {expired}, and this device's clock shows {now}: set the clock if that is wrong; \
                 otherwise their owner has to come online"
            ),
        ));
    }
    let identity = home(session, id, published, &bundle).await?;
    let countersigned = Countersignature::verify(&published.countersignature, &identity)
        .map_err(|error| untrusted(id, error))?;
    if countersigned.id != id || countersigned.fingerprint != bundle.fingerprint() {
        return Err(untrusted(id, "the home's signature is for other keys"));
    }
    Ok(bundle)
}

/// The identity key of a participant's home: the pinned server's, or that of another server which the participant's
/// own signed bundle names.
async fn home(
    session: &mut Session,
    id: ParticipantId,
    published: &PublishedKeys,
    bundle: &KeyBundle,
) -> Result<RsaPublicKey, ClientError> {
    let pinned = session.connection().server().fingerprint;
    let Some(key) = &published.home else {
        let information = server_information(session.connection()).await?;
        return RsaPublicKey::from_spki(&information.identity_key.0).map_err(|error| untrusted(id, error));
    };
    let identity = server_of(id, key)?;
    let home = identity.fingerprint();
    if home == pinned || !bundle.payload.homes.contains(&home) {
        return Err(untrusted(id, "they come from a server that is not the participant's home"));
    }
    Ok(identity)
}

fn server_of(id: ParticipantId, key: &Base64Bytes) -> Result<RsaPublicKey, ClientError> {
    RsaPublicKey::from_spki(&key.0).map_err(|error| untrusted(id, error))
}

/// Whether two bundles name a home in common.
fn share_a_home(one: &KeyBundle, other: &KeyBundle) -> bool {
    one.payload.homes.iter().any(|home| other.payload.homes.contains(home))
}

/// What becomes of a remembered contact when the server shows `bundle`.
fn follow(
    id: ParticipantId,
    contact: Contact,
    known: &KeyBundle,
    bundle: &KeyBundle,
    published: PublishedKeys,
) -> Result<Contact, ClientError> {
    if bundle.payload.version < known.payload.version {
        return Err(untrusted(id, "the server shows an older version than before"));
    }
    if bundle.payload.version == known.payload.version && bundle.digest != known.digest {
        return Err(untrusted(id, "the server shows two different bundles of one version"));
    }
    if bundle.signature_key == known.signature_key {
        return Ok(Contact { bundle: published.bundle, reset: None, ..contact });
    }
    let mut current = known.signature_key.clone();
    let mut earlier_keys = contact.earlier_keys.clone();
    for change in &published.changes {
        let step = verify(id, change)?;
        if step.payload.id != id || step.is_signed_by(change, &current).is_err() {
            break;
        }
        earlier_keys.push(Base64Bytes(current.spki().to_vec()));
        current = step.signature_key;
    }
    if current == bundle.signature_key {
        return Ok(Contact { bundle: published.bundle, earlier_keys, reset: None, ..contact });
    }
    // A move to another server has to be signed by the pinned key; a reset is the word of the pinned home alone.
    if !share_a_home(known, bundle) {
        return Err(untrusted(id, "another server claims to be their home"));
    }
    Ok(Contact { reset: Some(published.bundle), ..contact })
}

/// Notes that somebody compared a contact's fingerprint; accepts a reset if it is the new one.
///
/// # Errors
/// [`ClientError::FingerprintDiffers`], or what [`fetch`] says.
pub async fn compare(
    profile: &Profile,
    session: &mut Session,
    id: ParticipantId,
    fingerprint: Fingerprint,
) -> Result<(), ClientError> {
    match fetch(profile, session, id).await {
        Ok(_) | Err(ClientError::KeysReset { .. }) => {}
        Err(error) => return Err(error),
    }
    let contact = profile.contact(id)?.ok_or_else(|| untrusted(id, "they are not known"))?;
    let bundle = contact.reset.clone().unwrap_or(contact.bundle);
    let actual = verify(id, &bundle)?.fingerprint();
    if actual != fingerprint {
        return Err(ClientError::FingerprintDiffers { id, actual });
    }
    profile.set_contact(id, &Contact { trust: Trust::Compared, bundle, reset: None, ..contact })
}

/// A bundle's McEliece key: from the profile, or fetched and compared with its digest.
///
/// # Errors
/// As [`ClientError`] says; a key that cannot be had is never a reason for a weaker suite.
pub async fn mceliece_key(
    profile: &Profile,
    session: &mut Session,
    bundle: &KeyBundle,
    progress: Progress<'_>,
) -> Result<Option<McEliecePublicKey>, ClientError> {
    let Some(digest) = bundle.payload.mceliece_key else { return Ok(None) };
    let cached = profile.mceliece_key(&digest)?;
    let is_cached = cached.is_some();
    let bytes = match cached {
        Some(bytes) => bytes,
        None => {
            progress(Step::FetchingKey);
            session.mceliece_key(&digest).await?
        }
    };
    let id = bundle.payload.id;
    let key = McEliecePublicKey::from_bytes(bytes).map_err(|error| untrusted(id, error))?;
    if key.digest() != digest {
        return Err(untrusted(id, "the McEliece key is not the one the bundle names"));
    }
    if !is_cached {
        profile.set_mceliece_key(&digest, key.bytes())?;
    }
    Ok(Some(key))
}
