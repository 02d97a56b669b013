//! A participant's newest keys and devices, handed back by one of the devices or by the second home.
//!
//! They were proved to this server once, so they are not proved again. A gap in versions is no fault; what counts is that
//! they are newer, and signed from the newest keys known here on, or that this server's own log says that they are the
//! newest.

use momedo_protocol::api::restored::{Held, HeldKeys};
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::key_log::{KeyLogEntry, LogSubject};
use momedo_protocol::login::Login;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::time::UnixMillis;

use super::log;
use crate::service::documents::{countersign, jws_text, verified_bundle};
use crate::service::error::compute;
use crate::service::neighbours::finding_mceliece;
use crate::service::{ServiceError, devices, key_log, second_home};
use crate::state::App;
use crate::store::{BundleRow, ParticipantState, ReadTx, WriteTx};

/// What is known here of whoever's keys are handed back.
struct Known {
    id: ParticipantId,
    bundle: KeyBundle,
    /// The newest that the own log tells of: version and digest.
    logged: Option<(u64, Sha512Digest)>,
    list_version: u64,
}

impl Known {
    /// `None` where nothing is taken back: nobody active, or somebody whose keys change elsewhere.
    fn read(tx: &ReadTx<'_>, id: ParticipantId, subject: LogSubject) -> Result<Option<Self>, ServiceError> {
        let is_active = tx.find_participant(id)?.is_some_and(|row| row.state == ParticipantState::Active);
        if !is_active || second_home::require_first(tx, id).is_err() {
            return Ok(None);
        }
        let Some(row) = tx.current_bundle(id)? else { return Ok(None) };
        Ok(Some(Self {
            id,
            bundle: verified_bundle(&row.bundle)?,
            logged: tx.newest_in_key_log(subject)?,
            list_version: tx.device_list(id)?.map_or(0, |(version, _)| version),
        }))
    }
}

/// Keys and devices that may take the place of those here.
struct Checked {
    /// The version that is current here.
    after: u64,
    /// What was forgotten, oldest first: bundles that changed the signature key, then the newest; empty if that is known.
    bundles: Vec<(KeyBundle, Jws)>,
    /// Whether the signature key leads from the one known here; else the own log alone vouches for the newest.
    continues: bool,
    list: Option<(Jws, DeviceListPayload)>,
}

impl Checked {
    fn is_empty(&self) -> bool {
        self.bundles.is_empty() && self.list.is_none()
    }
}

fn check(held: &HeldKeys, known: &Known) -> Result<Checked, ServiceError> {
    let bundle = KeyBundle::verify(&held.bundle)?;
    if bundle.payload.id != known.id {
        return Err(ServiceError::KeyRule("the key bundle is for another participant"));
    }
    let (version, current) = (bundle.payload.version, known.bundle.payload.version);
    let mut checked = Checked { after: current, bundles: Vec::new(), continues: true, list: None };
    if version < current {
        return Ok(checked);
    }
    if version > current {
        match bundle.may_come_back(&held.bundle, &known.bundle, &held.changes) {
            Ok(forgotten) => checked.bundles = forgotten,
            // After an admin's reset: this server made it current itself.
            Err(_) if known.logged == Some((version, bundle.digest)) => checked.continues = false,
            Err(error) => return Err(error.into()),
        }
    } else if bundle.digest != known.bundle.digest {
        return Err(ServiceError::KeyRule("another key bundle has this version here"));
    }
    let changes_signature_key = bundle.signature_key != known.bundle.signature_key;
    if let Some(jws) = &held.device_list {
        let list = DeviceListPayload::verify(jws, &bundle.signature_key)?;
        if list.id != known.id {
            return Err(ServiceError::KeyRule("the device list is for another participant"));
        }
        if list.version > known.list_version {
            checked.list = Some((jws.clone(), list));
        }
    }
    if changes_signature_key && checked.list.is_none() {
        return Err(ServiceError::KeyRule("a new signature key needs a device list signed with it"));
    }
    if version > current {
        checked.bundles.push((bundle, held.bundle.clone()));
    }
    Ok(checked)
}

/// Takes what comes along with a log-in, after the device has signed for that; whether any of it was news.
///
/// # Errors
/// [`ServiceError::DeviceForgotten`] for a device that is not let in by what it brings and is not known either; as
/// [`ServiceError`] says for what goes wrong here.
pub async fn come_back(app: &App, device: DeviceId, login: &Jws, held: Held) -> Result<bool, ServiceError> {
    let Held { keys, log: held_log } = held;
    let (takes_back, row) =
        app.store.read(move |tx| Ok::<_, ServiceError>((tx.takes_back()?, tx.find_device(device)?))).await?;
    if !takes_back {
        return Ok(false);
    }
    // Whoever is nobody here costs no more than any other log-in.
    let (login, listed) = (login.clone(), keys.clone());
    let login_key = row.as_ref().map(|row| row.login_key.clone());
    let id = compute(move || Ok(signed_for(device, &login, &listed, login_key))).await?;
    let id = id.ok_or(ServiceError::DeviceForgotten)?;
    if row.as_ref().is_some_and(|row| row.participant != id) {
        return Err(ServiceError::DeviceForgotten);
    }
    if let Some(held) = held_log {
        // It may have gone on differently, and be of no use.
        let taken = log::take(app, held).await;
        taken.inspect_err(|error| tracing::debug!(%error, "the end of the log was not taken back")).ok();
    }
    match take(app, id, keys).await {
        Ok(was_behind) => Ok(was_behind),
        Err(error @ (ServiceError::Internal(_) | ServiceError::StorageFull | ServiceError::Busy)) => {
            Err(error)
        }
        Err(error) if row.is_none() => {
            tracing::info!(%error, "a device that the backup does not know was not let in");
            Err(ServiceError::DeviceForgotten)
        }
        // The log-in itself decides.
        Err(error) => {
            tracing::info!(%error, "keys that a device handed back were not taken");
            Ok(false)
        }
    }
}

/// Whether the McEliece key that a participant's newest bundle names is missing, because it came back without.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn lacks_mceliece_key(app: &App, id: ParticipantId) -> Result<bool, ServiceError> {
    app.store
        .read(move |tx| {
            let named = tx.current_bundle(id)?.and_then(|row| row.mceliece);
            let Some(digest) = named.filter(|_| second_home::require_first(tx, id).is_ok()) else {
                return Ok(false);
            };
            Ok(tx.takes_back()? && tx.find_mceliece_key(&digest)?.is_none())
        })
        .await
}

/// Whose keys they are, if a device that is known, or stands in their list, signed the log-in.
fn signed_for(
    device: DeviceId,
    login: &Jws,
    held: &HeldKeys,
    known: Option<Vec<u8>>,
) -> Option<ParticipantId> {
    let bundle = KeyBundle::verify(&held.bundle).ok()?;
    let listed = || {
        let list = DeviceListPayload::verify(held.device_list.as_ref()?, &bundle.signature_key).ok()?;
        let entry = list.devices.iter().find(|entry| entry.id() == device)?;
        Some(entry.login_key.0.clone())
    };
    let key = RsaPublicKey::from_spki(&known.or_else(listed)?).ok()?;
    Login::verify(login, &key).is_ok().then_some(bundle.payload.id)
}

/// Takes what a participant's second home has.
///
/// # Errors
/// [`ServiceError::NotAllowedAcross`] unless the newest bundle names the asking server, or as [`ServiceError`] says.
pub async fn come_back_from(app: &App, other: Fingerprint, held: HeldKeys) -> Result<(), ServiceError> {
    let bundle = {
        let jws = held.bundle.clone();
        compute(move || Ok(KeyBundle::verify(&jws)?)).await?
    };
    let homes = &bundle.payload.homes;
    let takes_back = app.store.read(|tx| Ok::<_, ServiceError>(tx.takes_back()?)).await?;
    if !takes_back || !homes.contains(&other) || !homes.contains(&app.fingerprint) {
        return Err(ServiceError::NotAllowedAcross);
    }
    let (id, mceliece) = (bundle.payload.id, bundle.payload.mceliece_key);
    if !take(app, id, held).await? {
        return Ok(());
    }
    let Some(digest) = mceliece else { return Ok(()) };
    let is_here =
        app.store.read(move |tx| Ok::<_, ServiceError>(tx.find_mceliece_key(&digest)?.is_some())).await?;
    if !is_here && let Some(key) = finding_mceliece::fetch_key(app, other, digest, 0).await? {
        let keep =
            move |tx: &mut WriteTx<'_>| Ok::<_, ServiceError>(tx.insert_mceliece_key(&digest, id, &key)?);
        app.store.write(keep).await?;
    }
    Ok(())
}

/// Puts keys and devices into force that are newer than those here; whether there was anything.
async fn take(app: &App, id: ParticipantId, held: HeldKeys) -> Result<bool, ServiceError> {
    // For nobody no slow hash is made.
    let is_known = app.store.read(move |tx| Ok::<_, ServiceError>(tx.current_bundle(id)?.is_some())).await?;
    if !is_known {
        return Err(ServiceError::UnknownParticipant);
    }
    let subject = key_log::own_subject(app, id).await?;
    let known = app.store.read(move |tx| Known::read(tx, id, subject)).await?;
    let known = known.ok_or(ServiceError::UnknownParticipant)?;
    let checked = compute(move || check(&held, &known)).await?;
    if checked.is_empty() {
        return Ok(false);
    }
    let given = app.store.read(move |tx| Ok::<_, ServiceError>(tx.name_given_to(id, None)?)).await?;
    let mut rows = Vec::with_capacity(checked.bundles.len());
    for (index, (bundle, jws)) in checked.bundles.iter().enumerate() {
        let name = given.clone().unwrap_or_else(|| bundle.payload.name.clone());
        rows.push(BundleRow {
            version: bundle.payload.version,
            digest: bundle.digest,
            mceliece: bundle.payload.mceliece_key,
            // All before the newest are there because they did.
            changes_signature_key: index + 1 < checked.bundles.len()
                || jws.signature_count() == 2
                || !checked.continues,
            countersignature: jws_text(&countersign(app, bundle, name))?,
            bundle: jws_text(jws)?,
        });
    }
    let (server, now) = (app.fingerprint, app.clock.now());
    let revoked = app.store.write(move |tx| put(tx, server, now, (id, subject), checked, rows)).await?;
    app.key_log.note_change();
    app.links.telling.notify_one();
    devices::end(app, id, &revoked);
    Ok(true)
}

fn put(
    tx: &mut WriteTx<'_>,
    server: Fingerprint,
    now: UnixMillis,
    (id, subject): (ParticipantId, LogSubject),
    checked: Checked,
    rows: Vec<BundleRow>,
) -> Result<Vec<DeviceId>, ServiceError> {
    if !tx.takes_back()? || tx.current_bundle(id)?.map(|row| row.version) != Some(checked.after) {
        return Err(ServiceError::KeyRule("the keys changed meanwhile"));
    }
    let logged = tx.newest_in_key_log(subject)?.map_or(0, |(version, _)| version);
    let changes_signature_key = rows.iter().any(|row| row.changes_signature_key);
    for row in rows {
        // What the log tells of already it told everybody.
        if row.version > logged {
            let entry = KeyLogEntry { subject, version: row.version, digest: row.digest, made_at: now };
            tx.append_to_key_log(server, id, &entry)?;
        }
        tx.insert_bundle(id, &row)?;
    }
    if let Some((bundle, _)) = checked.bundles.last() {
        // A second home that is none any more, or not yet again, is the participant's next decision.
        second_home::placing::note_bundle(tx, server, id, &bundle.payload.homes).or_else(
            |error| match error {
                ServiceError::KeyRule(_) => Ok(()),
                error => Err(error),
            },
        )?;
        tx.update_participant_after_publishing(id, &bundle.payload.name)?;
    }
    if let Some((bundle, _)) = checked.bundles.last().filter(|_| !checked.continues) {
        // Chains that came back before may have them added again.
        tx.note_reset_unless_pinned(id, bundle.fingerprint())?;
    }
    if changes_signature_key {
        tx.end_key_backup(id, now, None)?;
    }
    match &checked.list {
        Some((jws, list)) => put_devices(tx, id, jws, list, now),
        None => Ok(Vec::new()),
    }
}

/// Puts a newer device list into force. What was revoked here stays revoked, whatever the list says.
fn put_devices(
    tx: &mut WriteTx<'_>,
    id: ParticipantId,
    jws: &Jws,
    list: &DeviceListPayload,
    now: UnixMillis,
) -> Result<Vec<DeviceId>, ServiceError> {
    let mut standing = list.clone();
    let mut entries = Vec::with_capacity(list.devices.len());
    for entry in &list.devices {
        let known = tx.find_device(entry.id())?;
        if known.is_none_or(|known| known.participant != id || !known.revoked) {
            entries.push(entry.clone());
        }
    }
    standing.devices = entries;
    devices::put(tx, id, jws, &standing, now)
}
