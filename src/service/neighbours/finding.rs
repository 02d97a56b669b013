//! Who is home to an ID, and their keys: asked of neighbours, verified again here, kept for a while.
//!
//! What is kept serves while a server on the way is down. Own IDs are never asked for.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use momedo_protocol::api::PublishedKeys;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::link::{Find, Found, Frame, MAX_HOPS};
use tokio::time::Instant;

use super::claims::{Told, keep, verify};
use super::waiting::Waiting;
use super::{absent, forgetting, key_logs};
use crate::domain::neighbour::{Belonging, Contract, FRESH, QUESTIONS, UNKNOWN};
use crate::links::{Answer, Counted, Waits};
use crate::service::error::compute;
use crate::service::{ServiceError, key_server};
use crate::state::App;
use crate::store::{NeighbourRow, ParticipantState, ReadTx, RemoteRow, Tick};

/// How long a question may take for each server it may still pass, and one more.
pub(super) const PER_HOP: Duration = Duration::from_millis(800);

/// How long others may still answer after the first did: two that claim one ID must be noticed.
const GRACE: Duration = Duration::from_millis(300);

/// For whom something is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Asker {
    /// One of this server's participants.
    Participant(ParticipantId),
    /// A neighbour, whose question may pass so many servers more.
    Neighbour(Fingerprint, u8),
    /// This server, to check what another home says.
    Server,
    /// This server, for one of its participants who did not ask.
    For(ParticipantId),
}

impl Asker {
    /// How many servers the question may pass.
    pub(super) fn hops(self) -> u8 {
        match self {
            Self::Neighbour(_, hops) => hops,
            Self::Participant(_) | Self::Server | Self::For(_) => MAX_HOPS,
        }
    }

    /// The participant who waits for the answer.
    pub(super) fn who_waits(self) -> Option<ParticipantId> {
        match self {
            Self::Participant(id) => Some(id),
            Self::Neighbour(..) | Self::Server | Self::For(_) => None,
        }
    }
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

/// The same for what a participant is owed without having asked; it counts for nobody.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn find_again(
    app: &App,
    participant: ParticipantId,
    id: ParticipantId,
) -> Result<Option<RemoteRow>, ServiceError> {
    ask(app, Asker::For(participant), id, app.links.new_query()).await
}

async fn ask(
    app: &App,
    asker: Asker,
    id: ParticipantId,
    query: u64,
) -> Result<Option<RemoteRow>, ServiceError> {
    let neighbours = whom_to_ask(app, asker).await?;
    let hops = asker.hops();
    let most = PER_HOP * (u32::from(hops) + 1);
    let mut waiting = Waiting::begin(app, Waits::Questions, asker.who_waits(), &neighbours, most);
    if waiting.is_over() {
        return Ok(None);
    }
    let mut question = app.links.ask(&neighbours, query, &Frame::Find(Find { query, id, hops }));
    let mut told: Vec<Told> = Vec::new();
    let mut first_told: Option<Instant> = None;
    // Each answer is looked at by itself: whoever shows no log of key changes keeps nobody else's from being heard.
    let mut checking = FuturesUnordered::new();
    while !waiting.is_over() {
        let until = match first_told {
            // What came in time is heard to its end.
            Some(at) if checking.is_empty() => waiting.until().min(at + GRACE),
            _ => waiting.until(),
        };
        tokio::select! {
            answer = question.next() => match answer {
                Some((via, Answer::Found(found))) if found.keys.is_some() => {
                    checking.push(async move { (via, check(app, id, via, *found).await) });
                }
                Some((via, _)) => waiting.answered(via),
                None => break,
            },
            Some((via, checked)) = checking.next() => {
                waiting.answered(via);
                if let Some(checked) = checked? {
                    told.push(checked);
                    waiting.told();
                    first_told.get_or_insert_with(Instant::now);
                }
            }
            () = tokio::time::sleep_until(until) => break,
        }
    }
    drop(question);
    drop(checking);
    let (is_whole, all_answered) = (waiting.is_whole(), waiting.have_all_answered());
    drop(waiting);
    if told.is_empty() {
        // A question that was passed on may have missed those that heard it before, on another way. And whose patience is
        // used up has not waited for what others would hear.
        if is_whole && !matches!(asker, Asker::Neighbour(..)) {
            app.links.note_unknown(id, app.clock.elapsed(), all_answered);
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

/// What a neighbour tells, if it may be believed.
async fn check(
    app: &App,
    id: ParticipantId,
    via: Fingerprint,
    found: Found,
) -> Result<Option<Told>, ServiceError> {
    let own = app.fingerprint;
    match compute(move || Ok(verify(own, id, via, found))).await? {
        Ok(None) => Ok(None),
        Ok(Some(told)) if key_logs::vouch(app, told.home, via, &told.bundle).await? => Ok(Some(told)),
        Ok(Some(_)) => {
            tracing::warn!(%via, "a neighbour told of keys that do not stand in the log of their home");
            Ok(None)
        }
        Err(reason) => {
            tracing::warn!(%via, "a neighbour told of a participant {reason}");
            Ok(None)
        }
    }
}

/// Connected neighbours whose contract lets the asker's question pass.
pub(super) async fn whom_to_ask(app: &App, asker: Asker) -> Result<Vec<Fingerprint>, ServiceError> {
    let connected = app.links.connected();
    if connected.is_empty() {
        return Ok(connected);
    }
    app.store
        .read(move |tx| {
            let person = match asker {
                Asker::Participant(id) | Asker::For(id) => Some(tx.belonging(id)?),
                Asker::Neighbour(..) | Asker::Server => None,
            };
            let mut asked = Vec::new();
            for id in connected {
                let Some(row) = tx.find_neighbour(id)?.filter(NeighbourRow::is_paired) else { continue };
                let may = match (&person, asker) {
                    (Some(person), _) => row.contract.admits(person),
                    (None, Asker::Neighbour(asking, _)) => asking != id && row.contract.hop_through,
                    (None, Asker::Server) => row.contract.allows_anything(),
                    (None, Asker::Participant(_) | Asker::For(_)) => false,
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
/// [`ServiceError::NotAllowedAcross`], [`ServiceError::DisputedParticipant`], or what is said of an ID that nobody
/// answered for.
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
            // Without the neighbour that led there somebody else may lead there, or nobody does.
            let Some(via) = tx.find_neighbour(row.via)? else { return Ok(None) };
            may_talk(&via.contract, &tx.belonging(asker)?)?;
            Ok(Some((row, tx.tick())))
        })
        .await?;
    // Learned at 0: their home's log went on in the first ten minutes.
    let is_fresh = |row: &RemoteRow, now: Tick| {
        row.keys.is_some() && row.learned.0 > 0 && now.0.saturating_sub(row.learned.0) < FRESH
    };
    let row = match kept {
        Some((row, now)) if is_fresh(&row, now) => row,
        kept => {
            let since = app.clock.elapsed().saturating_sub(UNKNOWN);
            let found = if kept.is_none() && app.links.was_unknown(id, since) {
                None
            } else {
                find(app, Asker::Participant(asker), id).await?
            };
            match found.or(kept.map(|(row, _)| row)) {
                Some(row) => row,
                None => return Err(absent::why(app, asker, id).await?),
            }
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
    let row = tx.find_remote(id)?.filter(|row| row.lives_at(home) && row.disputed_by.is_none());
    row.map_or(Ok(None), |row| pinned(&row))
}

/// Fingerprint of the signature key, and version, of the keys that are kept.
fn pinned(row: &RemoteRow) -> Result<Option<(Fingerprint, u32)>, ServiceError> {
    let Some(keys) = &row.keys else { return Ok(None) };
    let published: PublishedKeys = serde_json::from_str(&keys.published)
        .map_err(|_| ServiceError::Internal("kept keys are damaged".into()))?;
    let fingerprint = KeyBundle::verify(&published.bundle)?.fingerprint();
    Ok(Some((fingerprint, u32::try_from(keys.version).unwrap_or(u32::MAX))))
}

/// What is known of somebody whom a group's chain places at `home` with the signature key of this fingerprint: they may
/// be written to at their other home, or have moved since, as that very key says. While the chain does not know of a new
/// key yet, the home that it names alone speaks for them.
///
/// # Errors
/// As [`ServiceError`] says.
pub fn find_placed(
    tx: &ReadTx<'_>,
    id: ParticipantId,
    home: Fingerprint,
    fingerprint: Fingerprint,
) -> Result<Option<RemoteRow>, ServiceError> {
    let Some(row) = tx.find_remote(id)? else { return Ok(None) };
    let is_theirs = row.disputed_by.is_none()
        && (row.home == home || pinned(&row)?.is_some_and(|(pinned, _)| pinned == fingerprint));
    Ok(is_theirs.then_some(row))
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
                let visible = participant.state != ParticipantState::Erased
                    && asking.contract.admits(&tx.belonging(id)?);
                return Ok(if visible { Here::Visible } else { Here::Hidden });
            }
            if !asking.contract.hop_through {
                return Ok(Here::Hidden);
            }
            let fresh =
                |row: &RemoteRow| row.learned.0 > 0 && tx.tick().0.saturating_sub(row.learned.0) < FRESH;
            let kept = tx.find_remote(id)?.filter(|row| {
                row.keys.is_some() && row.disputed_by.is_none() && row.via != neighbour && fresh(row)
            });
            let Some(kept) = kept else { return Ok(Here::Theirs) };
            let lets_through = tx.find_neighbour(kept.via)?.is_some_and(|via| via.contract.hop_through);
            Ok(if lets_through { Here::Kept(Box::new(kept)) } else { Here::Hidden })
        })
        .await?;
    let found = match here {
        Here::Hidden => return Ok(nothing),
        Here::Visible => {
            let keys = match key_server::own_keys(app, id, 0).await {
                // Whoever asks goes on with what they know.
                Err(ServiceError::KeysForgotten) => return Ok(nothing),
                keys => keys?,
            };
            let home = Some(Base64Bytes(app.identity.public().spki().to_vec()));
            Found { keys: Some(PublishedKeys { home, ..keys }), query: find.query, distance: 0 }
        }
        Here::Kept(row) => Found { keys: Some(published(&row, 0)?), query: find.query, distance: 1 },
        Here::Theirs if find.hops == 0 => return Ok(nothing),
        Here::Theirs => {
            let asker = Asker::Neighbour(neighbour, find.hops.min(MAX_HOPS) - 1);
            let found = ask(app, asker, id, find.query).await?;
            let found = found.filter(|row| row.disputed_by.is_none() && row.via != neighbour);
            let keys = found.map(|row| published(&row, 0)).transpose()?;
            Found { keys, query: find.query, distance: 1 }
        }
    };
    // Whoever is told has to hear of it, too, when the participant is erased.
    if found.keys.is_some() && !forgetting::note_told(app, id, neighbour).await? {
        return Ok(nothing);
    }
    Ok(found)
}
