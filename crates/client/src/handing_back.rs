//! What a server that was restored from an older backup is told, first thing: whatever this device has that is newer.
//!
//! The server names the life of its store before a device logs in. To one that this device has not been in, the log-in
//! brings along the own newest keys and devices and the end of the server's own log of key changes, as this device followed
//! it. Everything else follows at once: entries of groups' chains, who is blocked, the key backup. What does not work is done
//! with the next log-in; nothing of it keeps anybody from writing or reading.

use std::pin::Pin;

use momedo_protocol::api::restored::{Held, HeldKeyLog, HeldKeys, MAX_LOG_HANDED_BACK};
use momedo_protocol::cursor::StoreEpoch;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::groups::chain;
use crate::profile::Profile;
use crate::receiving::meaning::Meaning;
use crate::session::Session;
use crate::{ClientError, blocking, homes, key_backup, rotation};

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

fn epoch_of(server: Fingerprint) -> String {
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

/// Hands back what does not go along with a log-in, if the server is in another life than this device knew.
///
/// # Errors
/// [`ClientError::Profile`].
pub(crate) fn finish<'a>(
    profile: &'a Profile,
    session: &'a mut Session,
) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + 'a>> {
    Box::pin(async move {
        let server = session.connection().server().fingerprint;
        let Some(epoch) = session.epoch.filter(|_| !session.is_second) else { return Ok(()) };
        let known: Option<StoreEpoch> = profile.get(&epoch_of(server))?;
        if known == Some(epoch) {
            return Ok(());
        }
        let is_done = known.is_none() || hand_back(profile, session, server).await?;
        if is_done { profile.set(&epoch_of(server), &epoch) } else { Ok(()) }
    })
}

/// Whether a step is done: it went well, or was refused for good.
fn is_done<T>(result: Result<T, ClientError>) -> Result<bool, ClientError> {
    match result {
        Ok(_) => Ok(true),
        Err(error @ ClientError::Profile { .. }) => Err(error),
        Err(error) => {
            Ok(!matches!(Meaning::of(&error, false), Meaning::NoAnswers | Meaning::TooMuch | Meaning::Passes))
        }
    }
}

/// Each step by itself; whether all are done.
async fn hand_back(
    profile: &Profile,
    session: &mut Session,
    server: Fingerprint,
) -> Result<bool, ClientError> {
    let mut done = true;
    if session.lacks_key {
        done &= is_done(Box::pin(give_mceliece_key(profile, session)).await)?;
    }
    if session.was_behind {
        done &= is_done(Box::pin(rotation::carry_current(profile, session)).await)?;
    }
    done &= is_done(Box::pin(blocking::hand_back(profile, session)).await)?;
    done &= is_done(Box::pin(key_backup::hand_back(profile, session)).await)?;
    for group in profile.groups()?.iter().filter(|group| group.home == server) {
        done &= is_done(Box::pin(chain::sync(profile, session, group.id())).await)?;
    }
    homes::ask_soon(profile)?;
    Ok(done)
}

async fn give_mceliece_key(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let Some(digest) = profile.own_bundle()?.payload.mceliece_key else { return Ok(()) };
    let Some(key) = profile.mceliece_key(&digest)? else { return Ok(()) };
    session.store_mceliece_key(&digest, &key).await
}
