//! Where a group of another server is kept: asked of neighbours; the group's first entry proves the answer.

use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::GroupEntry;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::link::{FindGroup, FoundGroup, Frame, MAX_HOPS};

use super::finding::{Asker, PER_HOP, whom_to_ask};
use super::waiting::Waiting;
use crate::domain::neighbour::QUESTIONS;
use crate::links::{Answer, Counted, Waits};
use crate::service::error::compute;
use crate::service::{ServiceError, documents};
use crate::state::App;
use crate::store::NeighbourRow;

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

/// Asks one neighbour, which brought mail of a group, who keeps that group, for so long; keeps what it proves.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn learn_from(
    app: &App,
    via: Fingerprint,
    group: GroupId,
    time: Duration,
) -> Result<(), ServiceError> {
    let waiting = Waiting::begin(app, Waits::Questions, None, &[via], time);
    match ask_neighbours(app, &[via], waiting, group, app.links.new_query(), MAX_HOPS).await? {
        Some((home, via, _)) => app.store.write(move |tx| Ok(tx.save_remote_group(group, home, via)?)).await,
        None => Ok(()),
    }
}

/// The home that a group's first entry names, and the neighbour that told.
async fn ask_for_group(
    app: &App,
    asker: Asker,
    group: GroupId,
    query: u64,
) -> Result<Option<(Fingerprint, Fingerprint, Jws)>, ServiceError> {
    let neighbours = whom_to_ask(app, asker).await?;
    let hops = asker.hops();
    let most = PER_HOP * (u32::from(hops) + 1);
    let waiting = Waiting::begin(app, Waits::Questions, asker.who_waits(), &neighbours, most);
    ask_neighbours(app, &neighbours, waiting, group, query, hops).await
}

async fn ask_neighbours(
    app: &App,
    neighbours: &[Fingerprint],
    mut waiting: Waiting<'_>,
    group: GroupId,
    query: u64,
    hops: u8,
) -> Result<Option<(Fingerprint, Fingerprint, Jws)>, ServiceError> {
    let frame = Frame::FindGroup(FindGroup { query, group, hops });
    let mut question = app.links.ask(neighbours, query, &frame);
    while !waiting.is_over() {
        let next = tokio::time::timeout_at(waiting.until(), question.next());
        let Ok(Some((via, answer))) = next.await else { break };
        waiting.answered(via);
        let Answer::FoundGroup(found) = answer else { continue };
        let Some(jws) = found.entry else { continue };
        let own = app.fingerprint;
        let verified = compute(move || {
            let state = GroupEntry::read(&jws).ok().and_then(|entry| GroupState::create(&entry).ok());
            Ok(state.filter(|state| state.id() == group && state.home != own).map(|state| (state.home, jws)))
        });
        match verified.await? {
            Some((home, jws)) => {
                waiting.told();
                return Ok(Some((home, via, jws)));
            }
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
        return Ok(FoundGroup { entry: Some(documents::stored_jws(&first)?), ..nothing });
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
