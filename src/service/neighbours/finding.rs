//! Who is home to an ID, and their keys: asked of neighbours, verified again here, kept for a while.
//!
//! What is kept serves while a server on the way is down. Own IDs are never asked for.

use std::time::Duration;

use momedo_protocol::api::PublishedKeys;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::GroupEntry;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::link::{FetchKey, Find, FindGroup, Found, FoundGroup, Frame, KeyPart, MAX_HOPS};
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::time::UnixMillis;

use super::key_logs;
use crate::domain::neighbour::{Belonging, Contract, KEY_QUESTIONS, QUESTIONS};
use crate::links::{Answer, Counted};
use crate::service::error::compute;
use crate::service::{ServiceError, key_server};
use crate::state::App;
use crate::store::{NeighbourRow, ParticipantState, ReadTx, RemoteKeys, RemoteRow, Tick, WriteTx};

/// How long kept keys are served without asking again, in milliseconds: ten minutes.
const FRESH: u64 = 600_000;

/// How long a question may take for each server it may still pass, and one more.
const PER_HOP: Duration = Duration::from_millis(800);

/// How long others may still answer after the first did: two that claim one ID must be noticed.
const GRACE: Duration = Duration::from_millis(300);

/// For how long nobody is asked again for an ID that nobody knew.
const UNKNOWN: Duration = Duration::from_secs(20);

/// How long a McEliece key may take.
const KEY_TIME: Duration = Duration::from_secs(60);

/// Length of a McEliece key, in bytes.
const KEY_BYTES: usize = momedo_protocol::mceliece::PUBLIC_KEY_BYTES;

/// For whom something is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Asker {
    /// One of this server's participants.
    Participant(ParticipantId),
    /// A neighbour, whose question may pass so many servers more.
    Neighbour(Fingerprint, u8),
    /// This server, to check what another home says.
    Server,
}

/// Keys that a neighbour told, verified.
struct Told {
    home: Fingerprint,
    via: Fingerprint,
    distance: u8,
    bundle: KeyBundle,
    published: PublishedKeys,
}

/// Checks what a neighbour tells of an ID: it counts only with its home's countersignature.
fn verify(
    own: Fingerprint,
    id: ParticipantId,
    now: UnixMillis,
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
    if bundle.payload.expires_at < now {
        return Err("with keys that have expired");
    }
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

/// Whether `told` follows what is kept: the same signature key, or a walk of changes that leads from it.
fn follows(kept: &PublishedKeys, told: &Told) -> bool {
    let Ok(mut current) = KeyBundle::verify(&kept.bundle).map(|bundle| bundle.signature_key) else {
        return false;
    };
    for change in &told.published.changes {
        if let Ok(step) = KeyBundle::verify(change)
            && step.is_signed_by(change, &current).is_ok()
        {
            current = step.signature_key;
        }
    }
    current == told.bundle.signature_key
}

/// Keeps what a neighbour told, unless it contradicts what is kept.
fn keep(tx: &WriteTx<'_>, told: &Told) -> Result<Option<RemoteRow>, ServiceError> {
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
    let is_older = told.bundle.payload.version < keys.version;
    let is_other = told.bundle.payload.version == keys.version && told.bundle.digest != keys.digest;
    if kept.home == told.home {
        if is_other {
            return dispute(tx, kept, told.home).map(Some);
        }
        let row = if is_older {
            RemoteRow { via: told.via, ..kept }
        } else {
            if !follows(&known, told) {
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
    // The other home that the bundle names may be behind for a moment.
    if kept.other_home == Some(told.home) && (is_older || is_other) {
        return Ok(Some(kept));
    }
    // A participant who moved says so with a bundle that follows the one known here.
    if !is_older && !is_other && follows(&known, told) {
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

/// What is known of a participant of another server, asking the neighbours that may be asked; `None` when none of
/// them knows.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn find(app: &App, asker: Asker, id: ParticipantId) -> Result<Option<RemoteRow>, ServiceError> {
    if let Asker::Participant(participant) = asker {
        app.rates.search(participant, app.clock.elapsed())?;
    }
    ask(app, asker, id, app.links.new_query()).await
}

async fn ask(
    app: &App,
    asker: Asker,
    id: ParticipantId,
    query: u64,
) -> Result<Option<RemoteRow>, ServiceError> {
    let neighbours = whom_to_ask(app, asker).await?;
    if neighbours.is_empty() {
        return Ok(None);
    }
    let hops = match asker {
        Asker::Participant(_) | Asker::Server => MAX_HOPS,
        Asker::Neighbour(_, hops) => hops,
    };
    let mut question = app.links.ask(&neighbours, query, &Frame::Find(Find { query, id, hops }));
    let mut deadline = tokio::time::Instant::now() + PER_HOP * (u32::from(hops) + 1);
    let mut told: Vec<Told> = Vec::new();
    for _ in 0..neighbours.len() {
        let Ok(Some((via, answer))) = tokio::time::timeout_at(deadline, question.next()).await else { break };
        let Answer::Found(found) = answer else { continue };
        let (own, now) = (app.fingerprint, app.clock.now());
        let verified = compute(move || Ok(verify(own, id, now, via, *found))).await?;
        match verified {
            Ok(None) => {}
            Ok(Some(verified)) => {
                if !key_logs::vouch(app, verified.home, via, &verified.bundle).await? {
                    tracing::warn!(%via, "a neighbour told of keys that do not stand in the log of their home");
                    continue;
                }
                told.push(verified);
                deadline = deadline.min(tokio::time::Instant::now() + GRACE);
            }
            Err(reason) => tracing::warn!(%via, "a neighbour told of a participant {reason}"),
        }
    }
    drop(question);
    if told.is_empty() {
        // A question that was passed on may have missed those that heard it before, on another way.
        if !matches!(asker, Asker::Neighbour(..)) {
            app.links.note_unknown(id, app.clock.elapsed());
        }
        return Ok(None);
    }
    // The nearest last: it is the one that stays. Each is compared with what the others said.
    told.sort_by_key(|told| std::cmp::Reverse((told.distance, told.via.0)));
    let (row, rerouted) = app
        .store
        .write(move |tx| {
            let mut row = None;
            for told in &told {
                row = keep(tx, told)?;
            }
            let rerouted = match &row {
                Some(row) if row.disputed_by.is_none() => tx.reroute(row.home, row.via)?,
                _ => false,
            };
            Ok::<_, ServiceError>((row, rerouted))
        })
        .await?;
    if let Some(row) = row.as_ref().filter(|_| rerouted) {
        app.links.wake(row.via);
    }
    Ok(row)
}

/// The home of a group of another server: as known, or as the neighbours tell with the group's first entry.
///
/// # Errors
/// [`ServiceError::UnknownGroup`].
pub async fn group_home(app: &App, asker: ParticipantId, id: GroupId) -> Result<Fingerprint, ServiceError> {
    let known = app.store.read(move |tx| tx.find_remote_group(id)).await?;
    if let Some((home, _)) = known {
        return Ok(home);
    }
    app.rates.search(asker, app.clock.elapsed())?;
    let found = ask_for_group(app, Asker::Participant(asker), id, app.links.new_query()).await?;
    let (home, via, _) = found.ok_or(ServiceError::UnknownGroup)?;
    app.store.write(move |tx| Ok::<_, ServiceError>(tx.save_remote_group(id, home, via)?)).await?;
    Ok(home)
}

/// The home that a group's first entry names, and the neighbour that told.
async fn ask_for_group(
    app: &App,
    asker: Asker,
    group: GroupId,
    query: u64,
) -> Result<Option<(Fingerprint, Fingerprint, Jws)>, ServiceError> {
    let neighbours = whom_to_ask(app, asker).await?;
    let hops = match asker {
        Asker::Participant(_) | Asker::Server => MAX_HOPS,
        Asker::Neighbour(_, hops) => hops,
    };
    let frame = Frame::FindGroup(FindGroup { query, group, hops });
    let mut question = app.links.ask(&neighbours, query, &frame);
    let deadline = tokio::time::Instant::now() + PER_HOP * (u32::from(hops) + 1);
    for _ in 0..neighbours.len() {
        let Ok(Some((via, answer))) = tokio::time::timeout_at(deadline, question.next()).await else { break };
        let Answer::FoundGroup(found) = answer else { continue };
        let Some(jws) = found.entry else { continue };
        let own = app.fingerprint;
        let verified = compute(move || {
            let state = GroupEntry::read(&jws).ok().and_then(|entry| GroupState::create(&entry).ok());
            Ok(state.filter(|state| state.id() == group && state.home != own).map(|state| (state.home, jws)))
        });
        match verified.await? {
            Some((home, jws)) => return Ok(Some((home, via, jws))),
            None => tracing::warn!(%via, "a neighbour told of a group what its ID contradicts"),
        }
    }
    Ok(None)
}

/// Answers a neighbour that looks for a group's home.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn answer_group(
    app: &App,
    neighbour: Fingerprint,
    find: FindGroup,
) -> Result<FoundGroup, ServiceError> {
    let nothing = FoundGroup { query: find.query, entry: None, distance: 0 };
    if app.links.count(neighbour, Counted::Questions, QUESTIONS, 1, app.clock.elapsed()).is_err()
        || !app.links.is_new_question(find.query)
    {
        return Ok(nothing);
    }
    let (asking, first) = app
        .store
        .read(move |tx| {
            let asking = tx.find_neighbour(neighbour)?.filter(NeighbourRow::is_paired);
            Ok::<_, ServiceError>((asking, tx.group_entries(find.group, 0, 1, 0)?.pop()))
        })
        .await?;
    let Some(asking) = asking.filter(|row| row.contract.allows_anything()) else { return Ok(nothing) };
    if let Some(first) = first {
        return Ok(FoundGroup { entry: Some(key_server::stored_jws(&first)?), ..nothing });
    }
    if !asking.contract.hop_through || find.hops == 0 {
        return Ok(nothing);
    }
    let asker = Asker::Neighbour(neighbour, find.hops.min(MAX_HOPS) - 1);
    let Some((home, via, entry)) = ask_for_group(app, asker, find.group, find.query).await? else {
        return Ok(nothing);
    };
    app.store.write(move |tx| Ok::<_, ServiceError>(tx.save_remote_group(find.group, home, via)?)).await?;
    Ok(FoundGroup { entry: Some(entry), distance: 1, ..nothing })
}

/// Connected neighbours whose contract lets the asker's question pass.
async fn whom_to_ask(app: &App, asker: Asker) -> Result<Vec<Fingerprint>, ServiceError> {
    let connected = app.links.connected();
    if connected.is_empty() {
        return Ok(connected);
    }
    app.store
        .read(move |tx| {
            let person = match asker {
                Asker::Participant(id) => Some(tx.belonging(id)?),
                Asker::Neighbour(..) | Asker::Server => None,
            };
            let mut asked = Vec::new();
            for id in connected {
                let Some(row) = tx.find_neighbour(id)?.filter(NeighbourRow::is_paired) else { continue };
                let may = match (&person, asker) {
                    (Some(person), _) => row.contract.admits(person),
                    (None, Asker::Neighbour(asking, _)) => asking != id && row.contract.hop_through,
                    (None, Asker::Server) => row.contract.allows_anything(),
                    (None, Asker::Participant(_)) => false,
                };
                if may {
                    asked.push(id);
                }
            }
            Ok(asked)
        })
        .await
}

/// Keys of a participant of another server, as they are served to one of this server's: what is kept while it is
/// fresh, else asked for anew; what is kept serves while nobody answers.
///
/// # Errors
/// [`ServiceError::UnknownParticipant`], [`ServiceError::NotAllowedAcross`] or
/// [`ServiceError::DisputedParticipant`].
pub async fn keys_of(
    app: &App,
    asker: ParticipantId,
    id: ParticipantId,
    known: u64,
) -> Result<PublishedKeys, ServiceError> {
    let kept = app
        .store
        .read(move |tx| {
            let Some(row) = tx.find_remote(id)? else { return Ok::<_, ServiceError>(None) };
            if row.disputed_by.is_some() {
                return Err(ServiceError::DisputedParticipant);
            }
            let via = tx.find_neighbour(row.via)?.ok_or(ServiceError::UnknownParticipant)?;
            may_talk(&via.contract, &tx.belonging(asker)?)?;
            Ok(Some((row, tx.tick())))
        })
        .await?;
    let is_fresh =
        |row: &RemoteRow, now: Tick| row.keys.is_some() && now.0.saturating_sub(row.learned.0) < FRESH;
    let row = match kept {
        Some((row, now)) if is_fresh(&row, now) => row,
        kept => {
            let since = app.clock.elapsed().saturating_sub(UNKNOWN);
            let found = if kept.is_none() && app.links.was_unknown(id, since) {
                None
            } else {
                find(app, Asker::Participant(asker), id).await?
            };
            found.or(kept.map(|(row, _)| row)).ok_or(ServiceError::UnknownParticipant)?
        }
    };
    if row.disputed_by.is_some() {
        return Err(ServiceError::DisputedParticipant);
    }
    published(&row, known)
}

/// Fingerprint of the signature key, and version, of what a home published last of a participant.
///
/// # Errors
/// As [`ServiceError`] says.
pub fn published_at(
    tx: &ReadTx<'_>,
    id: ParticipantId,
    home: Fingerprint,
) -> Result<Option<(Fingerprint, u32)>, ServiceError> {
    let row = tx.find_remote(id)?.filter(|row| row.home == home && row.disputed_by.is_none());
    let Some(keys) = row.and_then(|row| row.keys) else { return Ok(None) };
    let published: PublishedKeys = serde_json::from_str(&keys.published)
        .map_err(|_| ServiceError::Internal("kept keys are damaged".into()))?;
    let fingerprint = KeyBundle::verify(&published.bundle)?.fingerprint();
    Ok(Some((fingerprint, u32::try_from(keys.version).unwrap_or(u32::MAX))))
}

/// Whether one of this server's participants may talk over a neighbour.
pub(super) fn may_talk(contract: &Contract, person: &Belonging) -> Result<(), ServiceError> {
    if contract.admits(person) { Ok(()) } else { Err(ServiceError::NotAllowedAcross) }
}

fn published(row: &RemoteRow, known: u64) -> Result<PublishedKeys, ServiceError> {
    let keys = row.keys.as_ref().ok_or(ServiceError::UnknownParticipant)?;
    let mut published: PublishedKeys = serde_json::from_str(&keys.published)
        .map_err(|_| ServiceError::Internal("kept keys are damaged".into()))?;
    published
        .changes
        .retain(|change| KeyBundle::verify(change).is_ok_and(|bundle| bundle.payload.version > known));
    Ok(published)
}

/// Answers a neighbour's question: with keys of one of this server's participants, if they may be seen from there,
/// or with what others tell, if questions may pass.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn answer(app: &App, neighbour: Fingerprint, find: Find) -> Result<Found, ServiceError> {
    let nothing = Found { query: find.query, keys: None, distance: 0 };
    if app.links.count(neighbour, Counted::Questions, QUESTIONS, 1, app.clock.elapsed()).is_err()
        || !app.links.is_new_question(find.query)
    {
        return Ok(nothing);
    }
    let id = find.id;
    enum Here {
        Theirs,
        Hidden,
        Visible,
        Kept(Box<RemoteRow>),
    }
    let here = app
        .store
        .read(move |tx| {
            let asking = tx.find_neighbour(neighbour)?.filter(NeighbourRow::is_paired);
            let Some(asking) = asking else { return Ok::<_, ServiceError>(Here::Hidden) };
            if let Some(participant) = tx.find_participant(id)? {
                let visible = participant.state == ParticipantState::Active
                    && asking.contract.admits(&tx.belonging(id)?);
                return Ok(if visible { Here::Visible } else { Here::Hidden });
            }
            if !asking.contract.hop_through {
                return Ok(Here::Hidden);
            }
            let fresh = |row: &RemoteRow| tx.tick().0.saturating_sub(row.learned.0) < FRESH;
            let kept = tx.find_remote(id)?.filter(|row| {
                row.keys.is_some() && row.disputed_by.is_none() && row.via != neighbour && fresh(row)
            });
            let Some(kept) = kept else { return Ok(Here::Theirs) };
            let lets_through = tx.find_neighbour(kept.via)?.is_some_and(|via| via.contract.hop_through);
            Ok(if lets_through { Here::Kept(Box::new(kept)) } else { Here::Hidden })
        })
        .await?;
    match here {
        Here::Hidden => Ok(nothing),
        Here::Visible => {
            let keys = key_server::own_keys(app, id, 0).await?;
            let home = Some(Base64Bytes(app.identity.public().spki().to_vec()));
            Ok(Found { keys: Some(PublishedKeys { home, ..keys }), ..nothing })
        }
        Here::Kept(row) => Ok(Found { keys: Some(published(&row, 0)?), distance: 1, ..nothing }),
        Here::Theirs if find.hops == 0 => Ok(nothing),
        Here::Theirs => {
            let asker = Asker::Neighbour(neighbour, find.hops.min(MAX_HOPS) - 1);
            let found = ask(app, asker, id, find.query).await?;
            let found = found.filter(|row| row.disputed_by.is_none() && row.via != neighbour);
            let keys = found.map(|row| published(&row, 0)).transpose()?;
            Ok(Found { keys, distance: 1, ..nothing })
        }
    }
}

/// A McEliece key that a participant of another server uses; kept here from then on.
///
/// # Errors
/// [`ServiceError::UnknownMcElieceKey`].
pub async fn mceliece_key(app: &App, digest: Sha512Digest) -> Result<Vec<u8>, ServiceError> {
    let row = app.store.read(move |tx| tx.find_remote_by_mceliece(&digest)).await?;
    let row = row.ok_or(ServiceError::UnknownMcElieceKey)?;
    let key = fetch_key(app, row.via, digest, MAX_HOPS).await?.ok_or(ServiceError::UnknownMcElieceKey)?;
    let bytes = key.clone();
    let kept: Result<(), ServiceError> =
        app.store.write(move |tx| Ok(tx.insert_mceliece_key(&digest, row.id, &bytes)?)).await;
    if let Err(error) = kept {
        tracing::debug!(%error, "a neighbour's McEliece key is not kept");
    }
    Ok(key)
}

pub(in crate::service) async fn fetch_key(
    app: &App,
    via: Fingerprint,
    digest: Sha512Digest,
    hops: u8,
) -> Result<Option<Vec<u8>>, ServiceError> {
    let query = app.links.new_query();
    let mut question = app.links.ask(&[via], query, &Frame::FetchKey(FetchKey { query, digest, hops }));
    let deadline = tokio::time::Instant::now() + KEY_TIME;
    let mut key: Vec<u8> = Vec::new();
    while key.len() < KEY_BYTES {
        let Ok(Some((_, answer))) = tokio::time::timeout_at(deadline, question.next()).await else {
            return Ok(None);
        };
        let Answer::KeyPart(KeyPart { offset, bytes, .. }) = answer else { return Ok(None) };
        let follows = usize::try_from(offset) == Ok(key.len());
        if bytes.is_empty() || !follows || key.len() + bytes.len() > KEY_BYTES {
            return Ok(None);
        }
        key.extend_from_slice(&bytes);
    }
    compute(move || {
        let key = McEliecePublicKey::from_bytes(key).map_err(|_| ServiceError::McElieceLength)?;
        Ok((key.digest() == digest).then(|| key.bytes().to_vec()))
    })
    .await
}

/// A McEliece key that a neighbour asks for: one of this server's, or from where this server knows its owner.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn answer_key(
    app: &App,
    neighbour: Fingerprint,
    question: FetchKey,
) -> Result<Option<Vec<u8>>, ServiceError> {
    if app.links.count(neighbour, Counted::Keys, KEY_QUESTIONS, 1, app.clock.elapsed()).is_err() {
        return Ok(None);
    }
    let digest = question.digest;
    let (kept, way) = app
        .store
        .read(move |tx| {
            let asking = tx.find_neighbour(neighbour)?.filter(NeighbourRow::is_paired);
            let Some(asking) = asking.filter(|row| row.contract.allows_anything()) else {
                return Ok::<_, ServiceError>((None, None));
            };
            // What has a digest can be told to whoever knows it: that is learned with the bundle alone.
            let kept = tx.find_mceliece_key(&digest)?;
            let way = if kept.is_none() && asking.contract.hop_through {
                tx.find_remote_by_mceliece(&digest)?.map(|row| row.via).filter(|via| *via != neighbour)
            } else {
                None
            };
            Ok((kept, way))
        })
        .await?;
    match (kept, way) {
        (Some(key), _) => Ok(Some(key)),
        (None, Some(via)) if question.hops > 0 => {
            fetch_key(app, via, digest, question.hops.min(MAX_HOPS) - 1).await
        }
        _ => Ok(None),
    }
}
