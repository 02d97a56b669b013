//! Groups: keeping their chains, and telling members what stands in them. [`posting`] passes on what is posted.
//!
//! The server checks every entry by the same rules as every member. It cannot make one, and what it alone decides
//! is the order: an entry counts if it follows the last one.

mod actor;
pub mod posting;
pub(super) mod shares;

pub use actor::Actor;
pub(super) use actor::{home_of_newcomer, published};

use momedo_protocol::api::groups as api;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Action, Encryption, GroupEntry, GroupRole, NewMember, Posting};
use momedo_protocol::group::state::{GroupError, GroupState};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use super::error::compute;
use super::neighbours::groups as elsewhere;
use super::neighbours::sending;
use super::permission::{Admin, RecentlyConfirmed};
use super::{ServiceError, audit, documents};
use crate::domain::group::{MAX_LISTED_OF_ONE, MAX_OWN_GROUPS, cost};
use crate::domain::limits::MAX_PAGE_BYTES;
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::{Audience, Author, GroupRow, ParticipantState, ReadTx, WriteTx};

/// Open groups listed at most.
const MAX_OPEN_GROUPS: u32 = 200;

impl From<GroupError> for ServiceError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::NotNext { number } => Self::StaleGroup { number },
            refused => Self::GroupRefused(refused.to_string()),
        }
    }
}

/// Whether the group is kept by this server.
pub(super) async fn is_here(app: &App, id: GroupId) -> Result<bool, ServiceError> {
    app.store.read(move |tx| Ok(tx.has_group(id)?)).await
}

async fn read_entry(jws: &Jws) -> Result<GroupEntry, ServiceError> {
    let jws = jws.clone();
    compute(move || GroupEntry::read(&jws).map_err(|error| ServiceError::GroupRefused(error.to_string())))
        .await
}

fn as_text(entry: &Jws) -> Result<String, ServiceError> {
    serde_json::to_string(entry).map_err(|error| ServiceError::Internal(error.to_string()))
}

/// Checks that an entry is by whoever sends it, with the key they have published.
fn check_author(tx: &ReadTx<'_>, author: Actor, entry: &GroupEntry) -> Result<u32, ServiceError> {
    if entry.payload.author != author.participant() {
        return Err(ServiceError::NotYours);
    }
    if let Actor::Here(principal) = author
        && tx
            .find_participant(principal.participant)?
            .is_some_and(|row| row.state == ParticipantState::Disabled)
    {
        return Err(ServiceError::Disabled);
    }
    let known = published(tx, author.participant(), author.elsewhere())?;
    let (fingerprint, version) = known.ok_or(match author {
        Actor::Here(_) => ServiceError::NotLoggedIn,
        Actor::There { .. } => ServiceError::UnknownParticipant,
    })?;
    if entry.key.fingerprint() != fingerprint {
        return Err(ServiceError::GroupRefused("the entry is not signed with the published key".into()));
    }
    Ok(version)
}

/// Keeps a new group. The same entry again gets the same answer.
///
/// # Errors
/// [`ServiceError::GroupRefused`], [`ServiceError::TooManyGroups`] or [`ServiceError::MessageConflict`].
pub async fn create(
    app: &App,
    author: Principal,
    request: api::GroupEntryRequest,
) -> Result<api::GroupEntryTaken, ServiceError> {
    app.rates.message(author.participant, app.clock.elapsed())?;
    let text = as_text(&request.entry)?;
    let entry = read_entry(&request.entry).await?;
    let state = GroupState::create(&entry)?;
    if state.home != app.fingerprint {
        return Err(ServiceError::GroupRefused("the group is for another server".into()));
    }
    let now = app.clock.now();
    app.store
        .write(move |tx| {
            let version = check_author(tx, Actor::Here(author), &entry)?;
            if state.members[&author.participant].version != version {
                return Err(ServiceError::GroupRefused("the version of the key bundle differs".into()));
            }
            let taken = api::GroupEntryTaken { id: state.id(), number: 1 };
            if let Some(known) = tx.find_group(state.id())? {
                return if known.group == state.group {
                    Ok(taken)
                } else {
                    Err(ServiceError::MessageConflict)
                };
            }
            if tx.count_own_groups(author.participant)? >= MAX_OWN_GROUPS {
                return Err(ServiceError::TooManyGroups);
            }
            let author = Author { participant: author.participant, elsewhere: None, is_moderator: true };
            tx.insert_group(&state, &text, &author, now)?;
            Ok(taken)
        })
        .await
}

/// Takes the next entry of a chain. The same entry again gets the same answer.
///
/// # Errors
/// [`ServiceError::UnknownGroup`], [`ServiceError::StaleGroup`], [`ServiceError::GroupRefused`],
/// [`ServiceError::UnknownParticipant`], [`ServiceError::TooManyGroups`], [`ServiceError::AddedTooOften`],
/// [`ServiceError::ChangedTooOften`] or [`ServiceError::Blocked`].
pub async fn append(
    app: &App,
    author: Principal,
    id: GroupId,
    request: api::GroupEntryRequest,
) -> Result<api::GroupEntryTaken, ServiceError> {
    if !is_here(app, id).await? {
        app.rates.message(author.participant, app.clock.elapsed())?;
        return elsewhere::append(app, author, id, request.entry).await;
    }
    append_here(app, Actor::Here(author), id, request.entry).await
}

/// Takes the next entry of the chain of a group kept here.
///
/// # Errors
/// As [`append`].
pub async fn append_here(
    app: &App,
    author: Actor,
    id: GroupId,
    jws: Jws,
) -> Result<api::GroupEntryTaken, ServiceError> {
    author.count(app, 1)?;
    let text = as_text(&jws)?;
    let entry = read_entry(&jws).await?;
    let takes_out = entry.payload.action.takes_out();
    if let Action::Add { members } = &entry.payload.action {
        // The entry itself is paid for.
        let more = cost(members.len() as u64) - 1;
        if more > 0 {
            author.count(app, more)?;
        }
        let (members, home) = (members.clone(), app.fingerprint);
        let asked = members.clone();
        app.store
            .read(move |tx| {
                // Before anybody is asked about anybody.
                let member = author.member(tx, id)?.ok_or(ServiceError::UnknownGroup)?;
                if member.role != GroupRole::Moderator {
                    return Err(ServiceError::GroupRefused("only a moderator may do this".into()));
                }
                check_new_members(tx, author, &members, home)
            })
            .await?;
        elsewhere::ask_newcomers_homes(app, author.participant(), &asked).await?;
    }
    let work = move |tx: &mut WriteTx<'_>| take(tx, author, id, &entry, &text);
    // Leaving makes room, in the end: it is possible on a full disk, too.
    if takes_out { app.store.write_freeing(work).await } else { app.store.write(work).await }
}

/// Takes an entry that was read, if it may follow.
fn take(
    tx: &mut WriteTx<'_>,
    author: Actor,
    id: GroupId,
    entry: &GroupEntry,
    text: &str,
) -> Result<api::GroupEntryTaken, ServiceError> {
    // Whoever renews proves it by the key that the chain pins, over whichever home.
    let proves_it = matches!(entry.payload.action, Action::Join { .. } | Action::Renew { .. });
    let before = tx.find_whole_group(id)?.ok_or(ServiceError::UnknownGroup)?;
    let belongs = author.member(tx, id)?.is_some();
    if !belongs && !proves_it && !left_with(&before, entry) {
        return Err(ServiceError::UnknownGroup);
    }
    let number = entry.payload.number;
    if number <= before.number && is_known(tx, id, number, text)? {
        return Ok(api::GroupEntryTaken { id, number });
    }
    check_author(tx, author, entry)?;
    if let Action::Add { members } = &entry.payload.action {
        check_unchanged(tx, members, before.home)?;
    }
    if let Action::Join { home, .. } = &entry.payload.action
        && *home != author.elsewhere()
    {
        return Err(ServiceError::GroupRefused("whoever joins names their own home".into()));
    }
    let mut after = before.clone();
    after.apply(entry)?;
    let role = before.members.get(&author.participant()).map(|member| member.role);
    let written_by = Author {
        participant: author.participant(),
        elsewhere: author.elsewhere(),
        is_moderator: role == Some(GroupRole::Moderator),
    };
    shares::check(tx, &before, entry, &written_by)?;
    tx.save_group(&before.members, &after, text, &written_by)?;
    Ok(api::GroupEntryTaken { id, number })
}

/// Whether this is the entry with which its author left, sent once more.
fn left_with(state: &GroupState, entry: &GroupEntry) -> bool {
    entry.payload.number <= state.number && entry.payload.action == (Action::Leave {})
}

pub(super) fn is_known(tx: &ReadTx<'_>, id: GroupId, number: u32, text: &str) -> Result<bool, ServiceError> {
    let stored = tx.group_entries(id, number.saturating_sub(1), number, 0)?;
    Ok(stored.first().is_some_and(|stored| stored == text))
}

/// Newcomers must exist, here or where they are said to live, with the keys they are pinned to.
fn check_new_members(
    tx: &ReadTx<'_>,
    author: Actor,
    members: &[NewMember],
    own: Fingerprint,
) -> Result<(), ServiceError> {
    for new in members {
        let elsewhere = home_of_newcomer(tx, new, own)?;
        if let Some(home) = elsewhere {
            may_be_added(tx, author, new.id, home)?;
        }
        let known = published(tx, new.id, elsewhere)?.ok_or(ServiceError::UnknownParticipant)?;
        if known != (new.fingerprint, new.version) {
            return Err(ServiceError::StaleBundle);
        }
    }
    Ok(())
}

/// Newcomers were checked before others were asked about them; their keys must not have changed meanwhile. Reads no keys:
/// versions tell, and this is the writer's time.
fn check_unchanged(tx: &ReadTx<'_>, members: &[NewMember], own: Fingerprint) -> Result<(), ServiceError> {
    for new in members {
        let version = match home_of_newcomer(tx, new, own)? {
            None => tx.current_bundle(new.id)?.map(|row| row.version),
            Some(home) => {
                let row = tx.find_remote(new.id)?;
                row.filter(|row| row.lives_at(home)).and_then(|row| row.keys).map(|keys| keys.version)
            }
        };
        if version != Some(u64::from(new.version)) {
            return Err(ServiceError::StaleBundle);
        }
    }
    Ok(())
}

/// Whether the contract with the neighbour on the way allows somebody of another server in.
fn may_be_added(
    tx: &ReadTx<'_>,
    author: Actor,
    member: ParticipantId,
    home: Fingerprint,
) -> Result<(), ServiceError> {
    let Some(way) = sending::way_to_member(tx, member, home)? else {
        return Err(sending::why_no_way(tx, member, home)?);
    };
    let Some(neighbour) = tx.find_neighbour(way.via)? else { return Err(ServiceError::HomeUnreachable) };
    let allowed = match author {
        Actor::Here(principal) => neighbour.contract.admits(&tx.belonging(principal.participant)?),
        Actor::There { .. } => neighbour.contract.hop_through || neighbour.id == home,
    };
    if allowed { Ok(()) } else { Err(ServiceError::NotAllowedAcross) }
}

/// A part of a chain, for members; whoever left or was removed reads as far as that. Whoever may join gets the first
/// entry and where the chain ends, for the server cannot take back what it once showed.
///
/// # Errors
/// [`ServiceError::UnknownGroup`], also for whom it is none of their business.
pub async fn entries(
    app: &App,
    reader: Principal,
    id: GroupId,
    after: u32,
    proof: Option<Base64Bytes>,
) -> Result<api::GroupEntries, ServiceError> {
    if !is_here(app, id).await? {
        return elsewhere::entries(app, reader, id, after, proof).await;
    }
    entries_here(app, Actor::Here(reader), id, after, proof).await
}

/// A part of the chain of a group kept here.
///
/// # Errors
/// As [`entries`].
pub async fn entries_here(
    app: &App,
    reader: Actor,
    id: GroupId,
    after: u32,
    proof: Option<Base64Bytes>,
) -> Result<api::GroupEntries, ServiceError> {
    app.store
        .read(move |tx| {
            let state = tx.find_group(id)?.ok_or(ServiceError::UnknownGroup)?;
            let is_member = reader.member(tx, id)?.is_some();
            let join = (!is_member && may_join(&state, reader, proof.as_ref()))
                .then_some(api::ChainEnd { number: state.number, head: state.head });
            let until = match left_at(tx, reader, id)? {
                _ if is_member => state.number,
                Some(until) => until,
                None if join.is_some() => 1,
                None => return Err(ServiceError::UnknownGroup),
            };
            let audience = if is_member { tx.group_audience(id)? } else { Audience::default() };
            let entries =
                tx.group_entries(id, after, until, usize::try_from(MAX_PAGE_BYTES).unwrap_or(usize::MAX))?;
            let entries = entries.iter().map(|entry| documents::stored_jws(entry));
            Ok(api::GroupEntries {
                group: state.group,
                entries: entries.collect::<Result<_, _>>()?,
                number: until,
                members: audience.members.len() as u64,
                reset: audience.reset,
                join,
            })
        })
        .await
}

/// Whether somebody who does not belong can join: an open group of this server, or with the link. Its public half stands
/// in the chain, which former members have; so who has the link signs with it.
fn may_join(state: &GroupState, reader: Actor, proof: Option<&Base64Bytes>) -> bool {
    let is_open = state.settings.access == Access::Open && reader.elsewhere().is_none();
    let has_link = || {
        let (fingerprint, signature) = proof?.0.split_first_chunk()?;
        let fingerprint = Fingerprint(*fingerprint);
        Some(state.link.as_ref()?.lets_in(&state.group, reader.participant(), &fingerprint, signature))
    };
    !state.archived && (is_open || has_link() == Some(true))
}

/// The last entry that somebody who belonged once was there for.
fn left_at(tx: &ReadTx<'_>, reader: Actor, id: GroupId) -> Result<Option<u32>, ServiceError> {
    if let Actor::There { participant, home, .. } = reader
        && tx.find_remote(participant)?.is_none_or(|row| row.home != home)
    {
        return Ok(None);
    }
    Ok(tx.left_group_at(id, reader.participant())?)
}

/// The asker's groups, and open ones.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(app: &App, asker: Principal) -> Result<api::Groups, ServiceError> {
    app.store
        .read(move |tx| {
            let summaries = |rows: &[GroupRow]| rows.iter().map(summary).collect();
            // One more tells that there are more.
            let mut open = tx.open_groups(asker.participant, MAX_OPEN_GROUPS + 1, MAX_LISTED_OF_ONE)?;
            let more_open = open.len() > MAX_OPEN_GROUPS as usize;
            open.truncate(MAX_OPEN_GROUPS as usize);
            let groups = summaries(&tx.groups_of(asker.participant)?);
            Ok(api::Groups { groups, open: summaries(&open), more_open })
        })
        .await
}

fn summary(row: &GroupRow) -> api::GroupSummary {
    api::GroupSummary {
        id: row.state.id(),
        group: row.state.group,
        name: row.state.settings.name.clone(),
        number: row.state.number,
        members: row.members,
    }
}

/// A group as admins see it: what the server knows, and nothing that is said.
#[derive(Debug, Clone, Serialize)]
pub struct ListedGroup {
    /// The short ID.
    pub id: GroupId,
    /// What people call it.
    pub name: String,
    /// How many belong to it.
    pub members: u64,
    /// Who may write.
    pub posting: Posting,
    /// How messages are sealed.
    pub encryption: Encryption,
    /// Whether nobody posts any more.
    pub archived: bool,
    /// When it was made.
    pub created_at: UnixMillis,
}

impl ListedGroup {
    /// Whether every member may write.
    pub fn everyone_posts(&self) -> bool {
        self.posting == Posting::Everyone
    }

    /// Whether its members share a key.
    pub fn has_group_key(&self) -> bool {
        self.encryption == Encryption::Symmetric
    }
}

impl From<GroupRow> for ListedGroup {
    fn from(row: GroupRow) -> Self {
        Self {
            id: row.state.id(),
            name: row.state.settings.name,
            members: row.members,
            posting: row.state.settings.posting,
            encryption: row.state.encryption,
            archived: row.state.archived,
            created_at: row.created_at,
        }
    }
}

/// One page of all groups by name, and how many there are in all.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list_all(
    app: &App,
    _: &Admin,
    search: String,
    offset: u64,
    limit: u64,
) -> Result<(Vec<ListedGroup>, u64), ServiceError> {
    app.store
        .read(move |tx| {
            let (rows, total) = tx.list_groups(&search, offset, limit)?;
            Ok((rows.into_iter().map(ListedGroup::from).collect(), total))
        })
        .await
}

/// Deletes a group: nobody can write to it any more. What waits in queues is still delivered.
///
/// # Errors
/// [`ServiceError::UnknownGroup`].
pub async fn delete(app: &App, admin: &RecentlyConfirmed, id: &str) -> Result<(), ServiceError> {
    let id: GroupId = id.parse().map_err(|_| ServiceError::UnknownGroup)?;
    let (at, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write_freeing(move |tx| {
            let state = tx.find_group(id)?.ok_or(ServiceError::UnknownGroup)?;
            tx.delete_group(id)?;
            audit::log(
                tx,
                at,
                &account,
                audit::Action::GroupDeleted,
                &format!("{} ({id})", state.settings.name),
            )
        })
        .await
}

#[cfg(test)]
mod tests;
