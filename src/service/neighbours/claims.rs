//! What neighbours tell of an ID: verified here, compared with what is kept, and kept if it contradicts nothing.

use momedo_protocol::api::PublishedKeys;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::link::{Found, MAX_HOPS};
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::service::ServiceError;
use crate::store::{RemoteKeys, RemoteRow, Tick, WriteTx};

/// Changes of the signature key that are looked at with an answer: each costs two verifications in the writer's time.
const MAX_CHANGES: usize = 64;

/// Keys that a neighbour told, verified.
pub(super) struct Told {
    pub(super) home: Fingerprint,
    pub(super) via: Fingerprint,
    pub(super) distance: u8,
    pub(super) bundle: KeyBundle,
    pub(super) published: PublishedKeys,
}

/// Checks what a neighbour tells of an ID: it counts only with its home's countersignature.
pub(super) fn verify(
    own: Fingerprint,
    id: ParticipantId,
    via: Fingerprint,
    found: Found,
) -> Result<Option<Told>, &'static str> {
    let Some(published) = found.keys else { return Ok(None) };
    let home = published.home.as_ref().ok_or("without a home")?;
    let identity = RsaPublicKey::from_spki(&home.0).map_err(|_| "with a home that has no key")?;
    let home = identity.fingerprint();
    if home == own {
        return Err("as if this server were the home");
    }
    let bundle = KeyBundle::verify(&published.bundle).map_err(|_| "with a bundle that is not acceptable")?;
    if bundle.payload.id != id || !bundle.payload.homes.contains(&home) {
        return Err("with a bundle for something else");
    }
    let signed = Countersignature::verify(&published.countersignature, &identity)
        .map_err(|_| "without the home's signature")?;
    if signed.id != id || signed.fingerprint != bundle.fingerprint() {
        return Err("with the home's signature for other keys");
    }
    if published.changes.len() > MAX_CHANGES {
        return Err("with more changes of keys than anybody makes");
    }
    // Whether they have expired is for clients to say: this server's clock may be the one that is wrong.
    Ok(Some(Told { home, via, distance: found.distance.min(MAX_HOPS), bundle, published }))
}

impl Told {
    fn row(&self, tick: Tick) -> Result<RemoteRow, ServiceError> {
        let published = serde_json::to_string(&self.published);
        Ok(RemoteRow {
            id: self.bundle.payload.id,
            home: self.home,
            via: self.via,
            keys: Some(RemoteKeys {
                version: self.bundle.payload.version,
                digest: self.bundle.digest,
                mceliece: self.bundle.payload.mceliece_key,
                published: published.map_err(|error| ServiceError::Internal(error.to_string()))?,
            }),
            learned: tick,
            disputed_by: None,
            settled: false,
            other_home: self.bundle.payload.homes.iter().copied().find(|home| *home != self.home),
        })
    }
}

/// Whether a walk of changes, each signed by the key before, leads from one signature key to another.
fn leads(from: &RsaPublicKey, changes: &[Jws], to: &RsaPublicKey) -> bool {
    let mut current = from.clone();
    for change in changes {
        if let Ok(step) = KeyBundle::verify(change)
            && step.is_signed_by(change, &current).is_ok()
        {
            current = step.signature_key;
        }
    }
    current == *to
}

/// Keeps what a neighbour told, unless it contradicts what is kept.
pub(super) fn keep(tx: &WriteTx<'_>, told: &Told) -> Result<Option<RemoteRow>, ServiceError> {
    let id = told.bundle.payload.id;
    if tx.find_participant(id)?.is_some() {
        return Ok(None);
    }
    let new = told.row(tx.tick())?;
    let Some(kept) = tx.find_remote(id)? else {
        tx.save_remote(&new)?;
        return Ok(Some(new));
    };
    let Some(keys) = &kept.keys else {
        // Until now only a batch had named the participant; the home's signature counts for more.
        tx.save_remote(&new)?;
        return Ok(Some(new));
    };
    let known: PublishedKeys = serde_json::from_str(&keys.published)
        .map_err(|_| ServiceError::Internal("kept keys are damaged".into()))?;
    let known_bundle = KeyBundle::verify(&known.bundle)?;
    let (before, after) = (&known_bundle.signature_key, &told.bundle.signature_key);
    let follows = || leads(before, &told.published.changes, after);
    let is_older = told.bundle.payload.version < keys.version;
    let is_other = told.bundle.payload.version == keys.version && told.bundle.digest != keys.digest;
    if kept.home == told.home {
        if is_other {
            return dispute(tx, kept, told.home).map(Some);
        }
        let row = if is_older {
            RemoteRow { via: told.via, ..kept }
        } else {
            if !follows() {
                // Their keys were reset: groups kept here exclude them until somebody adds them again.
                tx.note_reset_in_groups(id)?;
            }
            RemoteRow { disputed_by: kept.disputed_by, settled: kept.settled, ..new }
        };
        tx.save_remote(&row)?;
        return Ok(Some(row));
    }
    if kept.settled {
        return Ok(Some(kept));
    }
    // Older words of the same person are no claim: a home that was left may not have heard of it, and the other home may be
    // behind for a moment. Whoever names the true home as their other one is not named by that one's bundle.
    let name_each_other =
        kept.other_home == Some(told.home) && told.bundle.payload.homes.contains(&kept.home);
    let is_behind = is_older && (name_each_other || leads(after, &known.changes, before));
    if is_behind || (is_other && name_each_other) {
        return Ok(Some(kept));
    }
    // A participant who moved says so with a bundle that follows the one known here.
    if !is_older && !is_other && follows() {
        tx.save_remote(&new)?;
        return Ok(Some(new));
    }
    dispute(tx, kept, told.home).map(Some)
}

fn dispute(tx: &WriteTx<'_>, kept: RemoteRow, by: Fingerprint) -> Result<RemoteRow, ServiceError> {
    if kept.disputed_by.is_none() {
        tracing::warn!("two servers claim one participant: nothing is sent there until an admin decides");
    }
    let row = RemoteRow { disputed_by: Some(by), ..kept };
    tx.save_remote(&row)?;
    Ok(row)
}

#[cfg(test)]
mod tests;
