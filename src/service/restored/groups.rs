//! Entries of groups' chains, handed back: by whoever has them, whoever signed them.
//!
//! An entry that follows the last one by the chain's rules counts. If the chain went on differently since the restore, what
//! came first holds, as always: its members see that, and a moderator of theirs has to act.
//!
//! A key that was replaced since may be a thief's by now. What it signed counts together with the entry by which its owner
//! renewed it alone: that one follows what the owner knew of, and nobody else could make it.

use std::collections::{BTreeMap, BTreeSet};

use momedo_protocol::api::groups::GroupEntryTaken;
use momedo_protocol::api::restored::{HeldEntries, MAX_ENTRIES_HANDED_BACK};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Action, GroupEntry, GroupRole};
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::calls::{Request, Response};
use momedo_protocol::time::UnixMillis;

use crate::domain::group::{MAX_OWN_GROUPS, cost};
use crate::live::sessions::Principal;
use crate::service::error::compute;
use crate::service::groups::{self, Actor, is_here, is_known, shares};
use crate::service::neighbours::{calls, finding_groups};
use crate::service::{ServiceError, documents};
use crate::state::App;
use crate::store::{Author, ReadTx, WriteTx};

/// Takes entries of a group kept here, or passes them on to the server that keeps it.
///
/// # Errors
/// [`ServiceError::UnknownGroup`] where nothing is taken back, [`ServiceError::StaleGroup`] if the chain went on
/// differently, [`ServiceError::GroupRefused`], or what is said of reaching another server.
pub async fn take(
    app: &App,
    from: Principal,
    id: GroupId,
    held: HeldEntries,
) -> Result<GroupEntryTaken, ServiceError> {
    let first = read_all(id, &held).await?;
    let names_this = first.first().is_some_and(|(entry, _)| is_home(entry, app.fingerprint));
    if names_this || is_here(app, id).await? {
        return put(app, Actor::Here(from), id, first).await;
    }
    app.rates.message(from.participant, app.clock.elapsed())?;
    let home = finding_groups::group_home(app, from.participant, id).await?;
    let request = Request::GroupHandBack { from: from.participant, group: id, held };
    match calls::ask_for_response(app, home, &request).await? {
        Response::Appended(taken) => Ok(taken),
        _ => Err(calls::unexpected()),
    }
}

/// Takes entries that a participant of another home has.
///
/// # Errors
/// As [`take`].
pub async fn take_from(
    app: &App,
    actor: Actor,
    id: GroupId,
    held: HeldEntries,
) -> Result<GroupEntryTaken, ServiceError> {
    let entries = read_all(id, &held).await?;
    put(app, actor, id, entries).await
}

/// Whether somebody here published the key that signed an entry before the one they have now.
fn had_key(tx: &ReadTx<'_>, author: ParticipantId, entry: &GroupEntry) -> Result<bool, ServiceError> {
    for text in tx.list_bundles(author)? {
        if documents::fingerprint_of(&text)? == entry.key.fingerprint() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_home(entry: &GroupEntry, own: Fingerprint) -> bool {
    matches!(&entry.payload.action, Action::Create { home, .. } if *home == own)
}

type Read = Vec<(GroupEntry, String)>;

async fn read_all(id: GroupId, held: &HeldEntries) -> Result<Read, ServiceError> {
    if held.entries.is_empty() || held.entries.len() > MAX_ENTRIES_HANDED_BACK {
        return Err(ServiceError::Malformed("1 to 64 entries are handed back at once".into()));
    }
    let entries = held.entries.clone();
    compute(move || {
        let mut read = Vec::with_capacity(entries.len());
        for jws in &entries {
            let entry =
                GroupEntry::read(jws).map_err(|error| ServiceError::GroupRefused(error.to_string()))?;
            let group = entry.payload.group.unwrap_or(entry.digest);
            if GroupId::of(&group) != id {
                return Err(ServiceError::GroupRefused("an entry is of another group".into()));
            }
            let text =
                serde_json::to_string(jws).map_err(|error| ServiceError::Internal(error.to_string()))?;
            read.push((entry, text));
        }
        Ok(read)
    })
    .await
}

async fn put(app: &App, actor: Actor, id: GroupId, entries: Read) -> Result<GroupEntryTaken, ServiceError> {
    actor.count(app, cost(entries.len() as u64))?;
    let (own, now, from) = (app.fingerprint, app.clock.now(), actor.participant());
    app.store.write(move |tx| put_in(tx, from, own, now, id, &entries)).await
}

fn put_in(
    tx: &mut WriteTx<'_>,
    from: ParticipantId,
    own: Fingerprint,
    now: UnixMillis,
    id: GroupId,
    entries: &Read,
) -> Result<GroupEntryTaken, ServiceError> {
    if !tx.takes_back()? || tx.was_group_deleted(id)? {
        return Err(ServiceError::UnknownGroup);
    }
    let mut state = tx.find_whole_group(id)?;
    let mut number = state.as_ref().map_or(0, |state| state.number);
    let mut pins: BTreeMap<ParticipantId, BTreeSet<[u8; 32]>> = BTreeMap::new();
    for (entry, text) in entries {
        if entry.payload.number <= number {
            // Another one there: the chain went on differently.
            if !is_known(tx, id, entry.payload.number, text)? {
                return Err(ServiceError::StaleGroup { number });
            }
            continue;
        }
        let author = entry.payload.author;
        let before = state.as_ref().and_then(|state| pinned(state, author));
        let after = append(tx, from, own, now, state, (entry, text))?;
        // Whoever leaves takes nobody in, and cannot renew any more.
        if entry.payload.action != (Action::Leave {}) {
            pins.entry(author).or_default().extend(before.into_iter().chain(pinned(&after, author)));
        }
        number = entry.payload.number;
        state = Some(after);
    }
    let Some(state) = state else { return Err(ServiceError::UnknownGroup) };
    for (author, pins) in pins {
        check_renewed(tx, &state, author, &pins)?;
    }
    Ok(GroupEntryTaken { id, number })
}

/// The signature key that a member has published, as far as it is known; their home by the chain.
fn published(
    tx: &ReadTx<'_>,
    state: &GroupState,
    author: ParticipantId,
) -> Result<Option<Fingerprint>, ServiceError> {
    let home = state.members.get(&author).map(|member| member.home).filter(|home| *home != state.home);
    Ok(groups::published(tx, author, home)?.map(|(fingerprint, _)| fingerprint))
}

fn pinned(state: &GroupState, who: ParticipantId) -> Option<[u8; 32]> {
    state.members.get(&who).map(|member| member.fingerprint.0)
}

/// Refuses entries of somebody whose published key the chain pins neither before nor after one of them: they are signed
/// with a key that was replaced, and their owner has not renewed it since. That others took the owner out or in again
/// proves nothing, for a thief may have let them in. Whose newer keys this server has forgotten is pinned to the published
/// ones before.
fn check_renewed(
    tx: &ReadTx<'_>,
    state: &GroupState,
    author: ParticipantId,
    pins: &BTreeSet<[u8; 32]>,
) -> Result<(), ServiceError> {
    match published(tx, state, author)? {
        Some(known) if !pins.contains(&known.0) => {
            Err(ServiceError::GroupRefused("an entry is signed with a key that was replaced".into()))
        }
        _ => Ok(()),
    }
}

/// Takes the next entry, or the first one.
fn append(
    tx: &mut WriteTx<'_>,
    from: ParticipantId,
    own: Fingerprint,
    now: UnixMillis,
    before: Option<GroupState>,
    (entry, text): (&GroupEntry, &str),
) -> Result<GroupState, ServiceError> {
    let author = entry.payload.author;
    let Some(before) = before else {
        let state = GroupState::create(entry)?;
        if state.home != own {
            return Err(ServiceError::GroupRefused("the group is for another server".into()));
        }
        // Nobody founds groups in somebody else's name.
        if published(tx, &state, author)? != Some(entry.key.fingerprint()) && !had_key(tx, author, entry)? {
            return Err(ServiceError::GroupRefused(
                "the group is not signed with a key of its founder".into(),
            ));
        }
        if tx.count_own_groups(author)? >= MAX_OWN_GROUPS {
            return Err(ServiceError::TooManyGroups);
        }
        let author = Author { participant: author, elsewhere: None, is_moderator: true };
        tx.insert_group(&state, text, &author, now)?;
        return Ok(state);
    };
    let mut after = before.clone();
    after.apply(entry)?;
    let member = before.members.get(&author).or_else(|| after.members.get(&author));
    let written_by = Author {
        participant: author,
        elsewhere: member.map(|member| member.home).filter(|home| *home != own),
        is_moderator: before.members.get(&author).is_some_and(|member| member.role == GroupRole::Moderator),
    };
    // What one wrote oneself may never have been taken before: it leaves others what any new entry leaves them.
    if author == from {
        shares::check(tx, &before, entry, &written_by)?;
    } else {
        shares::check_chain(tx, &before, entry, &written_by)?;
    }
    tx.save_group(&before.members, &after, text, &written_by)?;
    Ok(after)
}

#[cfg(test)]
mod tests;
