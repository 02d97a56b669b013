//! What this device holds of its participant's keys and devices that a server may have lost, and that they changed.

use momedo_protocol::api::restored::{Held, HeldKeyLog, HeldKeys, MAX_LOG_HANDED_BACK};
use momedo_protocol::cursor::StoreEpoch;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::ClientError;
use crate::profile::Profile;
use crate::session::Session;

/// Setting, with the server's fingerprint after it, with the life of its store that has everything of this device.
const EPOCH: &str = "store-epoch";

/// Setting with the newest own device list, as it was signed.
const LIST: &str = "own-device-list";

/// Setting with the own bundles that changed the signature key, oldest first.
const CHANGES: &str = "own-key-changes";

/// Setting with the digest of the own bundle for which the changes are complete.
const CHANGES_FOR: &str = "own-key-changes-for";

/// Changes of the signature key that go along with a log-in: more than anybody has while one backup is the newest.
const MOST_CHANGES: usize = 6;

/// Setting that says that the keys changed since the key backup was made.
pub(crate) const DUE: &str = "key-backup-due";

pub(crate) fn epoch_of(server: Fingerprint) -> String {
    format!("{EPOCH}:{server}")
}

/// Keeps the newest own device list.
pub(crate) fn note_list(
    profile: &Profile,
    list: &DeviceListPayload,
    signed: &Jws,
) -> Result<(), ClientError> {
    let known: Option<(u64, Jws)> = profile.get(LIST)?;
    if known.is_none_or(|(version, _)| list.version > version) {
        profile.set(LIST, &(list.version, signed))?;
    }
    Ok(())
}

/// Keeps own bundles that changed the signature key.
pub(crate) fn note_changes(profile: &Profile, changes: &[Jws]) -> Result<(), ClientError> {
    let mut known: Vec<Jws> = profile.get(CHANGES)?.unwrap_or_default();
    let before = known.len();
    for change in changes {
        if !known.contains(change) {
            known.push(change.clone());
        }
    }
    if known.len() == before {
        return Ok(());
    }
    known.sort_by_key(|change| KeyBundle::verify(change).map_or(0, |bundle| bundle.payload.version));
    profile.set(CHANGES, &known)
}

/// Gives a new device what the participant's devices hand back.
pub(crate) fn copy(new: &Profile, from: &Profile) -> Result<(), ClientError> {
    if let Some(list) = from.get::<(u64, Jws)>(LIST)? {
        new.set(LIST, &list)?;
    }
    note_changes(new, &from.get::<Vec<Jws>>(CHANGES)?.unwrap_or_default())
}

/// Asks the server once for the own changes of the signature key: a device that joined later was not told of them.
pub(crate) async fn learn_changes(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let own = profile.own_bundle()?.digest;
    if profile.get::<Sha512Digest>(CHANGES_FOR)? == Some(own) {
        return Ok(());
    }
    let published = session.keys(session.id, 0).await?;
    profile.atomically(|| {
        note_changes(profile, &published.changes)?;
        profile.set(CHANGES_FOR, &own)
    })
}

/// The participant's newest signature key as the server publishes it, if the one in force here leads to it: another own
/// device carries keys once more to a server that was restored, and signs with the newest it has.
pub(crate) async fn successor(
    profile: &Profile,
    session: &mut Session,
) -> Result<Option<RsaPublicKey>, ClientError> {
    let own = profile.own_bundle()?;
    let published = session.keys(session.id, own.payload.version).await?;
    let bundle =
        KeyBundle::verify(&published.bundle).map_err(|error| ClientError::Protocol(error.to_string()))?;
    let leads_there = bundle.may_come_back(&published.bundle, &own, &published.changes).is_ok();
    Ok(leads_there.then_some(bundle.signature_key))
}

/// What goes along with a log-in at `server`; nothing where this life of its store has everything already.
pub(crate) fn held(
    profile: &Profile,
    server: Fingerprint,
    epoch: StoreEpoch,
) -> Result<Option<Held>, ClientError> {
    let known: Option<StoreEpoch> = profile.get(&epoch_of(server))?;
    // Keys and devices change at the first home alone; whoever never logged in has nothing to tell.
    if known == Some(epoch) || server != profile.server()?.fingerprint {
        return Ok(None);
    }
    let Some(bundle) = profile.get::<Jws>("bundle")? else { return Ok(None) };
    let own = profile.own_bundle()?;
    let list = profile.get::<(u64, Jws)>(LIST)?.map(|(_, list)| list);
    let mut changes: Vec<Jws> = profile.get(CHANGES)?.unwrap_or_default();
    changes.drain(..changes.len().saturating_sub(MOST_CHANGES));
    let keys = HeldKeys {
        changes,
        bundle,
        device_list: list.filter(|list| DeviceListPayload::verify(list, &own.signature_key).is_ok()),
    };
    let log = profile.log_tail(server, MAX_LOG_HANDED_BACK)?;
    Ok(Some(Held { keys, log: log.map(|(entries, head)| HeldKeyLog { entries, head }) }))
}

/// Notes that the keys changed.
pub(crate) fn mark_due(profile: &Profile) -> Result<(), ClientError> {
    profile.set(DUE, &true)
}
