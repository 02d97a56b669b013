//! The key server: it believes nothing.
//!
//! A bundle is taken only when its signature, sizes and version are right *and* its owner has shown that
//! every encryption key in it can be opened.

use std::time::Duration;

use momedo_protocol::api::{self, DeviceJoined, JoinedHow};
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::{KeyBundle, KeyBundleError};
use momedo_protocol::key_log::KeyLogEntry;
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::possession::{PossessionChallenge, PossessionContext};
use momedo_protocol::random;
use momedo_protocol::seal::RecipientKeys;
use momedo_protocol::suite::Suite;

use super::documents::{countersign, jws_text, stored_jws, verified_bundle};
use super::error::compute;
use super::{ServiceError, devices, key_log, second_home};
use crate::domain::limits::{CHALLENGE, MAX_UNUSED_MCELIECE_KEYS, SESSION};
use crate::live::pending_bundles::PendingBundle;
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::{BundleRow, ParticipantState, ReadTx, ReservationRow};
use crate::surroundings::addresses;

/// Who publishes keys: somebody who is registering, or a participant.
#[derive(Debug, Clone)]
pub enum Publisher {
    /// Holds a reservation.
    Registering(ReservationRow),
    /// Is logged in.
    Participant(Principal),
}

impl Publisher {
    /// Whose keys the publisher may publish.
    pub fn participant(&self) -> ParticipantId {
        match self {
            Self::Registering(reservation) => reservation.participant,
            Self::Participant(principal) => principal.participant,
        }
    }
}

/// Stores a McEliece key under its digest, for a bundle that will name it.
///
/// # Errors
/// [`ServiceError::McElieceLength`], [`ServiceError::McElieceDigest`], or [`ServiceError::TooOften`] when
/// too many stored ones are unused.
pub async fn store_mceliece_key(
    app: &App,
    uploader: ParticipantId,
    digest: Sha512Digest,
    bytes: Vec<u8>,
) -> Result<api::StoredKey, ServiceError> {
    app.rates.publication(uploader, app.clock.elapsed())?;
    second_home::require_first_home(app, uploader).await?;
    let key = compute(move || {
        let key = McEliecePublicKey::from_bytes(bytes).map_err(|_| ServiceError::McElieceLength)?;
        if key.digest() == digest { Ok(key) } else { Err(ServiceError::McElieceDigest) }
    })
    .await?;
    app.store
        .write(move |tx| {
            if tx.count_unused_mceliece_keys(uploader)? >= MAX_UNUSED_MCELIECE_KEYS {
                return Err(ServiceError::TooOften(Duration::from_secs(3600)));
            }
            tx.insert_mceliece_key(&digest, uploader, key.bytes())?;
            Ok(api::StoredKey { digest })
        })
        .await
}

/// A stored McEliece key (524,160 bytes).
///
/// # Errors
/// [`ServiceError::UnknownMcElieceKey`].
pub async fn mceliece_key(app: &App, digest: Sha512Digest) -> Result<Vec<u8>, ServiceError> {
    app.store.read(move |tx| tx.find_mceliece_key(&digest)?.ok_or(ServiceError::UnknownMcElieceKey)).await
}

/// The current keys of one of this server's participants.
///
/// # Errors
/// [`ServiceError::UnknownParticipant`].
pub async fn own_keys(app: &App, id: ParticipantId, known: u64) -> Result<api::PublishedKeys, ServiceError> {
    let (row, changes, person) = app
        .store
        .read(move |tx| {
            let participant = tx.find_participant(id)?.ok_or(ServiceError::UnknownParticipant)?;
            if participant.state == ParticipantState::Erased {
                return Err(ServiceError::UnknownParticipant);
            }
            let row = tx.current_bundle(id)?.ok_or(ServiceError::UnknownParticipant)?;
            // Whoever has the older ones may have been revoked.
            if tx.forgotten_keys(id)?.is_some() {
                return Err(ServiceError::KeysForgotten);
            }
            Ok((row, tx.signature_key_changes(id, known)?, tx.find_person_of(id)?))
        })
        .await?;
    let mut countersignature = stored_jws(&row.countersignature)?;
    if let Some(person) = person
        && !says_name(&countersignature, &person.name)
    {
        countersignature = countersign(app, &verified_bundle(&row.bundle)?, person.name);
        let text = jws_text(&countersignature)?;
        app.store
            .write(move |tx| Ok::<_, ServiceError>(tx.set_countersignature(id, row.version, &text)?))
            .await?;
    }
    Ok(api::PublishedKeys {
        bundle: stored_jws(&row.bundle)?,
        countersignature,
        changes: changes.iter().map(|text| stored_jws(text)).collect::<Result<_, _>>()?,
        home: None,
    })
}

/// Whether an own countersignature says this name: an admin may have renamed the person since.
fn says_name(countersignature: &Jws, name: &str) -> bool {
    let payload = countersignature.unverified_payload().ok();
    let signed = payload.and_then(|payload| serde_json::from_slice::<Countersignature>(&payload).ok());
    signed.is_some_and(|signed| signed.name == name)
}

/// Checks an offered bundle and asks for a proof that its keys can be opened.
///
/// # Errors
/// [`ServiceError::NotYours`], [`ServiceError::Bundle`], [`ServiceError::DeviceList`],
/// [`ServiceError::KeyRule`], [`ServiceError::RevokingNeedsNewKeys`] or
/// [`ServiceError::UnknownMcElieceKey`].
pub async fn offer(
    app: &App,
    id: ParticipantId,
    publisher: &Publisher,
    request: api::PublishRequest,
) -> Result<api::PublishChallenge, ServiceError> {
    if publisher.participant() != id {
        return Err(ServiceError::NotYours);
    }
    app.rates.publication(id, app.clock.elapsed())?;
    second_home::require_first_home(app, id).await?;
    let is_new = matches!(publisher, Publisher::Registering(_));
    let context = app.store.read(move |tx| Context::read(tx, id)).await?;
    let server = app.fingerprint;
    let checked = compute(move || check(id, is_new, &context, request, server)).await?;
    let (bundle, jws, device_list, changes_signature_key) = checked;
    let mceliece = match bundle.payload.mceliece_key {
        Some(digest) => Some(mceliece_key(app, digest).await?),
        None => None,
    };
    let (challenge, answer, bundle) = compute(move || {
        let mceliece = mceliece
            .map(McEliecePublicKey::from_bytes)
            .transpose()
            .map_err(|_| ServiceError::McElieceLength)?;
        let suite = if mceliece.is_some() { Suite::Full } else { Suite::Small };
        let keys =
            RecipientKeys::of_bundle(&bundle, mceliece.as_ref()).ok_or(ServiceError::McElieceDigest)?;
        let context = PossessionContext { server, id, bundle_digest: bundle.digest };
        let (challenge, answer) = PossessionChallenge::make(suite, &keys, &context)
            .map_err(|_| ServiceError::UnknownMcElieceKey)?;
        Ok((challenge, answer, bundle))
    })
    .await?;
    let challenge_id = encode_hex(&random::bytes::<16>());
    let now = app.clock.elapsed();
    let pending = PendingBundle {
        challenge_id: challenge_id.clone(),
        answer,
        offered: now,
        bundle,
        jws,
        device_list,
        changes_signature_key,
    };
    if !app.pending_bundles.put(id, pending, now) {
        return Err(ServiceError::Busy);
    }
    Ok(api::PublishChallenge { challenge_id, challenge, expires_in: CHALLENGE.as_secs() })
}

/// What the store knows before a bundle is offered.
struct Context {
    current: Option<BundleRow>,
    key_reset_allowed: bool,
    forgotten: Option<u64>,
    device_list_version: u64,
    devices: Vec<DeviceId>,
}

impl Context {
    fn read(tx: &ReadTx<'_>, id: ParticipantId) -> Result<Self, ServiceError> {
        Ok(Self {
            current: tx.current_bundle(id)?,
            key_reset_allowed: tx.find_participant(id)?.is_some_and(|row| row.key_reset_allowed),
            forgotten: tx.forgotten_keys(id)?,
            device_list_version: tx.device_list(id)?.map_or(0, |(version, _)| version),
            devices: tx.list_devices(id)?.into_iter().map(|device| device.id).collect(),
        })
    }
}

type Checked = (KeyBundle, Jws, Option<(Jws, DeviceListPayload)>, bool);

fn check(
    id: ParticipantId,
    is_new: bool,
    context: &Context,
    request: api::PublishRequest,
    server: momedo_protocol::digest::Fingerprint,
) -> Result<Checked, ServiceError> {
    let bundle = KeyBundle::verify(&request.bundle)?;
    if bundle.payload.id != id {
        return Err(ServiceError::KeyRule("the key bundle is for another participant"));
    }
    if !bundle.payload.homes.contains(&server) {
        return Err(ServiceError::KeyRule("the key bundle does not name this server as a home"));
    }
    let previous = match &context.current {
        Some(row) => Some(KeyBundle::verify(&stored_jws(&row.bundle)?)?),
        None => None,
    };
    let changes_signature_key = match &previous {
        None if !is_new => return Err(ServiceError::UnknownParticipant),
        None => {
            if bundle.payload.version != 1 {
                return Err(KeyBundleError::Version { expected: 1 }.into());
            }
            if request.bundle.signature_count() != 1 {
                return Err(ServiceError::KeyRule("the first key bundle has one signature"));
            }
            false
        }
        Some(previous) => {
            let changes = bundle.signature_key != previous.signature_key;
            match bundle.may_follow(&request.bundle, previous) {
                // A reset of keys that a restored server has forgotten is newer than those, too.
                Err(KeyBundleError::Version { .. })
                    if context.key_reset_allowed
                        && request.bundle.signature_count() == 1
                        && context.forgotten.is_some_and(|version| bundle.payload.version == version + 1) => {
                }
                Err(KeyBundleError::NotSignedByOldKey)
                    if context.key_reset_allowed && request.bundle.signature_count() == 1 => {}
                other => other?,
            }
            changes
        }
    };
    let device_list = match request.device_list {
        None if is_new || changes_signature_key => {
            return Err(ServiceError::KeyRule("a new signature key needs a device list signed with it"));
        }
        None => None,
        Some(jws) => {
            let list = DeviceListPayload::verify(&jws, &bundle.signature_key)?;
            devices::check_follows(&list, id, context.device_list_version)?;
            // A device joins by itself and in the open; else it would come hidden in a change of keys.
            if !is_new && list.devices.iter().any(|entry| !context.devices.contains(&entry.id())) {
                return Err(ServiceError::KeyRule(
                    "a device list that comes with new keys adds no devices: add them before or after",
                ));
            }
            let revokes = context.devices.iter().any(|id| list.devices.iter().all(|entry| entry.id() != *id));
            if revokes && !previous.as_ref().is_some_and(|previous| renews_every_key(&bundle, previous)) {
                return Err(ServiceError::RevokingNeedsNewKeys);
            }
            Some((jws, list))
        }
    };
    Ok((bundle, request.bundle, device_list, changes_signature_key))
}

/// A revoked device has every old private key, so each must be replaced.
fn renews_every_key(bundle: &KeyBundle, previous: &KeyBundle) -> bool {
    bundle.signature_key != previous.signature_key
        && bundle.rsa_key != previous.rsa_key
        && bundle.ml_kem_key != previous.ml_kem_key
        && (bundle.payload.mceliece_key.is_none()
            || bundle.payload.mceliece_key != previous.payload.mceliece_key)
}

/// Publishes an offered bundle if the proof is right; completes a registration.
///
/// # Errors
/// [`ServiceError::ChallengeGone`], [`ServiceError::WrongProof`], [`ServiceError::InviteUsed`], or
/// [`ServiceError::Bundle`] when another device published meanwhile.
pub async fn prove(
    app: &App,
    id: ParticipantId,
    publisher: &Publisher,
    request: api::ProofRequest,
) -> Result<api::Published, ServiceError> {
    if publisher.participant() != id {
        return Err(ServiceError::NotYours);
    }
    let now = app.clock.elapsed();
    let pending =
        app.pending_bundles.take(id, &request.challenge_id, now).ok_or(ServiceError::ChallengeGone)?;
    if !pending.answer.matches(&request.answer.0) {
        return Err(ServiceError::WrongProof);
    }
    let invite = match publisher {
        Publisher::Registering(reservation) => Some(reservation.invite),
        Publisher::Participant(_) => None,
    };
    // Whom nobody named yet names themselves, once.
    let given =
        app.store.read(move |tx| Ok::<_, ServiceError>(tx.name_given_to(id, invite.as_ref())?)).await?;
    let name = given.unwrap_or_else(|| pending.bundle.payload.name.clone());
    let countersignature = countersign(app, &pending.bundle, name);
    let subject = key_log::own_subject(app, id).await?;
    let row = BundleRow {
        version: pending.bundle.payload.version,
        digest: pending.bundle.digest,
        mceliece: pending.bundle.payload.mceliece_key,
        changes_signature_key: pending.changes_signature_key,
        countersignature: jws_text(&countersignature)?,
        bundle: jws_text(&pending.jws)?,
    };
    let version = row.version;
    let first_device =
        pending.device_list.as_ref().and_then(|(_, list)| list.devices.first()).map(|d| d.id());
    let registration = match publisher {
        Publisher::Registering(reservation) => Some(reservation.invite),
        Publisher::Participant(_) => None,
    };
    let (created_at, server) = (app.clock.now(), app.fingerprint);
    let publishing = match publisher {
        Publisher::Registering(_) => None,
        Publisher::Participant(principal) => Some(*principal),
    };
    let revoked = app
        .store
        .write(move |tx| {
            let name = &pending.bundle.payload.name;
            if let Some(principal) = publishing {
                devices::require_listed(tx, principal)?;
            }
            if let Some(invite) = registration {
                match tx.find_participant(id)? {
                    None => tx.insert_participant(id, name, created_at)?,
                    // An invite for new keys, which an admin has to have allowed.
                    Some(known) if known.state != ParticipantState::Active => {
                        return Err(ServiceError::Disabled);
                    }
                    Some(known) if known.key_reset_allowed => {}
                    Some(_) => return Err(ServiceError::InviteUsed),
                }
                if !tx.spend_invite(&invite, id)? {
                    return Err(ServiceError::InviteUsed);
                }
                tx.attach_participant(&invite, id, name, created_at)?;
            }
            // Upkeep may have removed a key that was stored long before and unused until now.
            if let Some(digest) = &row.mceliece
                && !tx.touch_mceliece_key(digest)?
            {
                return Err(ServiceError::UnknownMcElieceKey);
            }
            let current = tx.current_bundle(id)?.map_or(0, |row| row.version);
            let current = tx.forgotten_keys(id)?.map_or(current, |forgotten| forgotten.max(current));
            if row.version != current + 1 {
                return Err(KeyBundleError::Version { expected: current + 1 }.into());
            }
            tx.insert_bundle(id, &row)?;
            let entry =
                KeyLogEntry { subject, version: row.version, digest: row.digest, made_at: created_at };
            tx.append_to_key_log(server, id, &entry)?;
            second_home::placing::note_bundle(tx, server, id, &pending.bundle.payload.homes)?;
            if row.changes_signature_key && pending.jws.signature_count() == 1 {
                tx.note_reset_in_groups(id)?;
            }
            tx.update_participant_after_publishing(id, name)?;
            if row.changes_signature_key {
                // What it held is of no use any more, and its recovery code may be whoever's it was changed for.
                tx.end_key_backup(id, created_at, None)?;
            }
            let joined = DeviceJoined { at: created_at, how: JoinedHow::Registered, by: None };
            match &pending.device_list {
                Some((jws, list)) => devices::apply(tx, id, jws, list, joined),
                None => Ok(Vec::new()),
            }
        })
        .await?;
    app.key_log.note_change();
    app.links.telling.notify_one();
    devices::end(app, id, &revoked);
    let session = match (publisher, first_device) {
        (Publisher::Registering(_), Some(device)) => Some(api::Session {
            id,
            device,
            token: app.sessions.begin(Principal { participant: id, device }, app.clock.elapsed()),
            expires_in: SESSION.as_secs(),
            addresses: addresses::reachable(&app.config(), &app.listeners.running()),
            was_behind: false,
            lacks_key: false,
        }),
        _ => None,
    };
    Ok(api::Published { id, version, countersignature, session })
}

#[cfg(test)]
mod tests;
