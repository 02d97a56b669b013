//! What the second home takes over from the first: keys, devices and whom somebody blocks. Everything that has a
//! signature is verified again; the rest concerns nobody but the participant, whose home has the say anyway.

use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::key_log::{KeyLogEntry, LogSubject};
use momedo_protocol::limits::MAX_BLOCKS;
use momedo_protocol::link::second_home::Placement;
use momedo_protocol::time::UnixMillis;

use crate::domain::neighbour::MAX_STOOD_IN_FOR;
use crate::service::documents::{countersign, jws_text};
use crate::service::error::compute;
use crate::service::neighbours::finding::{self, Asker};
use crate::service::neighbours::{finding_mceliece, key_logs};
use crate::service::{ServiceError, devices, key_log, personal};
use crate::state::AppState;
use crate::store::{BundleRow, ParticipantState, ReadTx, WriteTx};

/// A placement whose signatures fit.
struct Checked {
    placement: Placement,
    /// Bundles that changed the signature key, and the current one, oldest first.
    bundles: Vec<(KeyBundle, Jws)>,
    list: DeviceListPayload,
    /// What the first home's admins call the participant.
    name: String,
}

fn refused(reason: &str) -> ServiceError {
    ServiceError::Malformed(reason.into())
}

fn check(
    own: Fingerprint,
    first: Fingerprint,
    first_key: &momedo_protocol::rsa_key::RsaPublicKey,
    placement: Placement,
) -> Result<Checked, ServiceError> {
    let read = |jws: &Jws| {
        let bundle = KeyBundle::verify(jws)?;
        let is_theirs = bundle.payload.id == placement.id;
        if is_theirs {
            Ok((bundle, jws.clone()))
        } else {
            Err(refused("the key bundle is for somebody else"))
        }
    };
    let mut bundles = placement.changes.iter().map(read).collect::<Result<Vec<_>, ServiceError>>()?;
    let (bundle, jws) = read(&placement.bundle)?;
    let homes = &bundle.payload.homes;
    if homes.len() != 2 || !homes.contains(&own) || !homes.contains(&first) {
        return Err(refused("the key bundle does not name both servers as homes"));
    }
    let signed = Countersignature::verify(&placement.countersignature, first_key)
        .map_err(|_| refused("the first home has not countersigned the key bundle"))?;
    if signed.id != placement.id || signed.fingerprint != bundle.fingerprint() {
        return Err(refused("the first home has countersigned other keys"));
    }
    let list = DeviceListPayload::verify(&placement.device_list, &bundle.signature_key)?;
    if list.id != placement.id || placement.blocks.len() > MAX_BLOCKS {
        return Err(refused("the device list is for somebody else, or too much is blocked"));
    }
    let version = bundle.payload.version;
    bundles.retain(|(change, _)| change.payload.version < version);
    bundles.sort_by_key(|(change, _)| change.payload.version);
    bundles.dedup_by_key(|(change, _)| change.payload.version);
    bundles.push((bundle, jws));
    Ok(Checked { placement, bundles, list, name: signed.name })
}

/// Whether this server may stand in for somebody whose first home asks for it.
fn may_stand_in(tx: &ReadTx<'_>, first: Fingerprint, id: ParticipantId) -> Result<(), ServiceError> {
    super::partner(tx, first)?.ok_or(ServiceError::NotAllowedAcross)?;
    match (tx.find_participant(id)?, tx.find_other_home(id)?) {
        // Nobody gets somebody else's contacts by naming them as one's own.
        (None, None) if tx.find_remote(id)?.is_some_and(|row| !row.lives_at(first)) => {
            Err(ServiceError::NotAllowedAcross)
        }
        (None, None) if tx.count_shared(first)?.theirs >= MAX_STOOD_IN_FOR => {
            Err(ServiceError::NotAllowedAcross)
        }
        (None, None) => Ok(()),
        (_, Some(home)) if home.server == first && !home.is_first => Ok(()),
        (_, Some(home)) if home.server == first => Err(ServiceError::FirstHomeOnly),
        // One of this server's own, or somebody it stands in for at another's request.
        _ => Err(ServiceError::NotAllowedAcross),
    }
}

/// Takes over what a participant's first home says, once it is on disk.
///
/// # Errors
/// [`ServiceError::NotAllowedAcross`], [`ServiceError::FirstHomeOnly`] when this server is the first home,
/// [`ServiceError::Malformed`], [`ServiceError::Bundle`] or [`ServiceError::DeviceList`] for what does not fit, and
/// [`ServiceError::HomeUnreachable`] while the McEliece key cannot be fetched.
pub async fn place(
    app: &AppState,
    first: Fingerprint,
    first_key: momedo_protocol::rsa_key::RsaPublicKey,
    placement: Placement,
) -> Result<(), ServiceError> {
    let (id, own) = (placement.id, app.fingerprint);
    let known = app
        .store
        .read(move |tx| {
            may_stand_in(tx, first, id)?;
            Ok::<_, ServiceError>(tx.current_bundle(id)?.map_or(0, |row| row.version))
        })
        .await
        .inspect_err(|error| {
            if matches!(error, ServiceError::FirstHomeOnly) && app.links.set_says_first(first, true) {
                tracing::warn!(server = %first, "a second home says that it took over: accept that, or ask its admin");
            }
        })?;
    if known == 0 {
        // Whoever already lives elsewhere is found there; then the two claims are compared.
        finding::find(app, Asker::Server, id).await?;
        app.store.read(move |tx| may_stand_in(tx, first, id)).await?;
    }
    let checked = compute(move || check(own, first, &first_key, placement)).await?;
    let Some((newest, _)) = checked.bundles.last() else { return Err(refused("there is no key bundle")) };
    if newest.payload.version < known {
        return Err(refused("the key bundle is older than the one known here"));
    }
    if newest.payload.version > known {
        // They publish nothing here themselves, and what the log has it keeps.
        app.rates.publication(id, app.clock.elapsed())?;
        // Before it is kept: a first home that is restored gets its log back together with the keys it tells of.
        key_logs::follow(app, first).await?;
    }
    if let Some(digest) = newest.payload.mceliece_key {
        let is_here =
            app.store.read(move |tx| Ok::<_, ServiceError>(tx.find_mceliece_key(&digest)?.is_some())).await?;
        if !is_here {
            let key = finding_mceliece::fetch_key(app, first, digest, 0)
                .await?
                .ok_or(ServiceError::HomeUnreachable)?;
            app.store
                .write(move |tx| Ok::<_, ServiceError>(tx.insert_mceliece_key(&digest, id, &key)?))
                .await?;
        }
    }
    let subject = key_log::own_subject(app, id).await?;
    let mut rows = Vec::with_capacity(checked.bundles.len());
    for (bundle, jws) in &checked.bundles {
        let row = BundleRow {
            version: bundle.payload.version,
            digest: bundle.digest,
            mceliece: bundle.payload.mceliece_key,
            changes_signature_key: checked.placement.changes.contains(jws),
            countersignature: jws_text(&countersign(app, bundle, checked.name.clone()))?,
            bundle: jws_text(jws)?,
        };
        rows.push((row, jws.signature_count() == 1));
    }
    let now = app.clock.now();
    let (is_active, ended) = app
        .store
        .write(move |tx| {
            may_stand_in(tx, first, id)?;
            let current = tx.current_bundle(id)?.map_or(0, |row| row.version);
            let name = checked.bundles.last().map_or("", |(bundle, _)| &bundle.payload.name);
            if tx.find_participant(id)?.is_none() {
                // Until now somebody of another server.
                tx.delete_remote(id)?;
                tx.insert_participant(id, name, now)?;
            }
            tx.set_other_home(id, first, false)?;
            if let Some(digest) = checked.bundles.last().and_then(|(bundle, _)| bundle.payload.mceliece_key) {
                tx.adopt_mceliece_key(&digest)?;
            }
            let role = checked.placement.role.parse().unwrap_or_default();
            tx.set_role_of_participant(id, role)?;
            for (row, _) in rows.iter().filter(|(row, _)| row.version == current) {
                tx.set_countersignature(id, row.version, &row.countersignature)?;
            }
            for (row, has_one_signature) in rows.into_iter().filter(|(row, _)| row.version > current) {
                let entry = KeyLogEntry { subject, version: row.version, digest: row.digest, made_at: now };
                tx.insert_bundle(id, &row)?;
                tx.append_to_key_log(own, id, &entry)?;
                if row.changes_signature_key && has_one_signature {
                    tx.note_reset_in_groups(id)?;
                }
            }
            tx.update_participant_after_publishing(id, name)?;
            let ended = take_devices(tx, &checked, own, subject, now)?;
            take_blocks(tx, id, &checked.placement.blocks, now)?;
            let state =
                if checked.placement.active { ParticipantState::Active } else { ParticipantState::Disabled };
            tx.set_participant_state(id, state)?;
            Ok::<_, ServiceError>((checked.placement.active, ended))
        })
        .await?;
    app.key_log.note_change();
    devices::end(app, id, &ended);
    if !is_active {
        app.hub.disconnect_participant(id);
        app.sessions.end_participant(id);
    }
    Ok(())
}

/// Puts the device list into force, without the devices that the first home locked out; returns those that ended.
fn take_devices(
    tx: &mut WriteTx<'_>,
    checked: &Checked,
    own: Fingerprint,
    subject: LogSubject,
    now: UnixMillis,
) -> Result<Vec<DeviceId>, ServiceError> {
    let (id, list) = (checked.placement.id, &checked.list);
    let known = tx.device_list(id)?.map_or(0, |(version, _)| version);
    let mut ended = Vec::new();
    if list.version > known {
        let jws = &checked.placement.device_list;
        let before = tx.list_devices(id)?;
        let adds = list.devices.iter().any(|entry| before.iter().all(|device| entry.id() != device.id));
        ended = devices::put(tx, id, jws, list, now)?;
        if known > 0 && adds {
            let digest = devices::digest_of(jws)?;
            let subject = subject.of_devices();
            let entry = KeyLogEntry { subject, version: list.version, digest, made_at: now };
            tx.append_entry_to_key_log(own, &entry)?;
        }
    }
    for device in tx.list_devices(id)? {
        if !checked.placement.devices.contains(&device.id) {
            tx.drop_queue(device.id)?;
            tx.revoke_device(device.id, now)?;
            ended.push(device.id);
        }
    }
    Ok(ended)
}

fn take_blocks(
    tx: &mut WriteTx<'_>,
    id: ParticipantId,
    blocks: &[ParticipantId],
    now: UnixMillis,
) -> Result<(), ServiceError> {
    for (known, _) in tx.list_blocks(id)? {
        if !blocks.contains(&known) {
            tx.delete_block(id, known)?;
        }
    }
    for blocked in blocks {
        tx.insert_block(id, *blocked, now)?;
    }
    Ok(())
}

/// Forgets somebody whose second home this server is no longer; a second time changes nothing.
///
/// # Errors
/// [`ServiceError::FirstHomeOnly`] when this server is the first home.
pub async fn end(
    app: &AppState,
    first: Fingerprint,
    id: ParticipantId,
    erased: bool,
) -> Result<(), ServiceError> {
    let (own, now) = (app.fingerprint, app.clock.now());
    let ended = app
        .store
        .write_freeing(move |tx| match tx.find_other_home(id)? {
            Some(home) if home.server != first => Err(ServiceError::NotAllowedAcross),
            Some(home) if home.is_first => Err(ServiceError::FirstHomeOnly),
            None => Ok(false),
            Some(_) => {
                // Else whoever is told of their keys from now on would take this server for a liar.
                let version = tx.current_bundle(id)?.map_or(0, |row| row.version) + 1;
                if let Some(subject) = tx.log_subject(id)? {
                    let entry = KeyLogEntry { subject, version, digest: KeyLogEntry::MOVED, made_at: now };
                    tx.append_to_key_log(own, id, &entry)?;
                }
                if erased {
                    // Whom this server told as a home, too.
                    tx.begin_to_forget(id, None, None, None)?;
                    let subject = tx.subject_of(id)?;
                    tx.erase(&subject)?;
                }
                tx.forget_participant(id)?;
                Ok(true)
            }
        })
        .await?;
    if ended {
        app.key_log.note_change();
        personal::after_erasure(app, Some(id)).await;
    }
    Ok(())
}
