//! Reading a group's chain on, and appending to it.

use momedo_protocol::api::groups::{ChainEnd, GroupEntries, GroupEntryRequest};
use momedo_protocol::api::restored::{HeldEntries, MAX_ENTRIES_HANDED_BACK};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Action, GroupEntry, GroupEntryPayload};
use momedo_protocol::group::state::{GroupError, GroupState};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use web_time::Instant;

use super::key_store;
use super::notes::note_changes;
use crate::insisting::insist;
use crate::profile::Profile;
use crate::session::{Session, server_information};
use crate::signing::signed;
use crate::{ClientError, now};

/// How often an entry is worded again because somebody else was faster.
pub(super) const MAX_TRIES: usize = 16;

fn broken(id: GroupId, reason: impl ToString) -> ClientError {
    ClientError::BrokenGroup { id, reason: reason.to_string() }
}

/// A group that was read to its end, and what the server alone says of it.
#[derive(Debug, Clone)]
pub struct Synced {
    /// The group.
    pub state: GroupState,
    /// Members whose keys were reset and whom the chain does not exclude yet.
    pub reset: Vec<momedo_protocol::id::ParticipantId>,
}

/// Reads a group's chain to its end and checks every entry.
///
/// # Errors
/// [`ClientError::BrokenGroup`] when the chain is not what it must be; the group must not be used then.
pub async fn sync(profile: &Profile, session: &mut Session, id: GroupId) -> Result<Synced, ClientError> {
    let known = profile.group(id)?;
    let mut state = known.clone();
    let mut read = Vec::new();
    let mut pushed_back = None;
    let answer = loop {
        let after = state.as_ref().map_or(0, |state| state.number);
        let answer = match session.group_entries(id, after, None).await {
            // As far as the server knows, there is no such group, or this participant does not belong to it.
            Err(error) if error.problem() == Some("unknown-group") && pushed_back.is_none() && after > 0 => {
                if !Box::pin(hand_back(profile, session, id, 1)).await? {
                    return Err(error);
                }
                pushed_back = Some(0);
                continue;
            }
            result => result?,
        };
        if answer.number < after {
            // A server that takes entries and has no more afterwards would be given them for ever.
            if pushed_back.is_some_and(|before| answer.number <= before) {
                return Err(broken(id, "the server shows an older group than before"));
            }
            Box::pin(push_back(profile, session, id, &answer)).await?;
            pushed_back = Some(answer.number);
            continue;
        }
        let done = take(id, &mut state, &answer, &mut read)?;
        if done {
            break answer;
        }
    };
    let state = state.ok_or_else(|| broken(id, "it has no entries"))?;
    let expected = state.active_members().filter(|(who, _)| !answer.reset.contains(who)).count();
    // Its members alone may be among those a server passes on to; it cannot be asked, but it tells.
    if answer.members > expected as u64 {
        return Err(broken(id, "the server passes messages on to somebody who is no member"));
    }
    if !read.is_empty() {
        keep(profile, known.as_ref(), &state, &read)?;
    }
    Ok(Synced { state, reset: answer.reset })
}

/// Keeps what was read of a chain, with the keys it commits to.
fn keep(
    profile: &Profile,
    before: Option<&GroupState>,
    state: &GroupState,
    read: &[(GroupEntry, Jws)],
) -> Result<(), ClientError> {
    profile.atomically(|| {
        profile.save_group(state, read)?;
        key_store::confirm(profile, state)?;
        note_changes(profile, before, state, read)
    })
}

/// Takes one page of entries; true when it was the last.
fn take(
    id: GroupId,
    state: &mut Option<GroupState>,
    answer: &GroupEntries,
    read: &mut Vec<(GroupEntry, Jws)>,
) -> Result<bool, ClientError> {
    for jws in &answer.entries {
        let entry = GroupEntry::read(jws).map_err(|error| broken(id, error))?;
        match state {
            Some(state) => state.apply(&entry).map_err(|error| broken(id, error))?,
            None => *state = Some(begin(id, &entry)?),
        }
        read.push((entry, jws.clone()));
    }
    let number = state.as_ref().map_or(0, |state| state.number);
    match answer.entries.is_empty() {
        true if number < answer.number => Err(broken(id, "the server keeps entries back")),
        _ => Ok(number >= answer.number),
    }
}

fn begin(id: GroupId, entry: &GroupEntry) -> Result<GroupState, ClientError> {
    let state = GroupState::create(entry).map_err(|error| broken(id, error))?;
    if state.id() != id {
        return Err(broken(id, "the server shows another group"));
    }
    Ok(state)
}

/// Bytes of entries handed back at once, about: what a server takes in one request.
const HANDED_BACK_BYTES: usize = 128 * 1024;

/// How many of the first entries go into one request; at least one.
fn as_many_as_fit(entries: &[Jws]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Jws| {
        bytes += serde_json::to_string(entry).map_or(0, |text| text.len());
        bytes <= HANDED_BACK_BYTES
    };
    entries.iter().take_while(fits).count().max(1)
}

fn renews(entry: &Jws) -> bool {
    GroupEntry::read(entry).is_ok_and(|entry| matches!(entry.payload.action, Action::Renew { .. }))
}

/// Hands a restored server the chain from entry `from` on, whoever signed it; false if it does not take it.
async fn hand_back(
    profile: &Profile,
    session: &mut Session,
    id: GroupId,
    mut from: u32,
) -> Result<bool, ClientError> {
    loop {
        let until = from.saturating_add(MAX_ENTRIES_HANDED_BACK as u32 - 1);
        let mut entries = profile.group_entries(id, from, until)?;
        if entries.is_empty() {
            return Ok(true);
        }
        let is_rest = entries.len() < MAX_ENTRIES_HANDED_BACK;
        let fitting = as_many_as_fit(&entries);
        if !is_rest || fitting < entries.len() {
            // What a replaced key signed counts together with its renewal alone.
            let renewed = entries[..fitting].iter().rposition(renews);
            entries.truncate(renewed.map_or(fitting, |last| last + 1));
        }
        from += u32::try_from(entries.len()).unwrap_or(u32::MAX);
        match session.hand_back_entries(id, &HeldEntries { entries }).await {
            Ok(_) => {}
            Err(ClientError::Refused(problem)) if !matches!(problem.status, 401 | 429 | 500..) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The server knows less than this device: it was restored from a backup. It gets the rest of the chain back;
/// if it has another chain, it lies.
async fn push_back(
    profile: &Profile,
    session: &mut Session,
    id: GroupId,
    answer: &GroupEntries,
) -> Result<(), ClientError> {
    let next = answer.number + 1;
    if hand_back(profile, session, id, next).await? {
        return Ok(());
    }
    let mut entries = profile.group_entries(id, next, next)?;
    let entry = entries.pop().ok_or_else(|| broken(id, "the server shows an older group than before"))?;
    match session.append_to_group(id, &GroupEntryRequest { entry }).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.problem(), Some("stale-group" | "group-refused" | "not-yours")) => {
            Err(broken(id, "the server shows an older group than before"))
        }
        Err(error) => Err(error),
    }
}

/// A group that somebody is about to join: what its first entry says, and where its chain ends.
pub(crate) struct Entrance {
    /// What the first entry makes.
    pub(crate) first: GroupState,
    /// What the next entry follows.
    pub(crate) end: ChainEnd,
}

/// Asks how a group can be joined, with a proof of having its link; `None` if it cannot.
pub(crate) async fn entrance(
    session: &mut Session,
    id: GroupId,
    proof: Option<&[u8]>,
) -> Result<Option<Entrance>, ClientError> {
    let answer = session.group_entries(id, 0, proof).await?;
    let first = answer.entries.first().ok_or_else(|| broken(id, "it has no entries"))?;
    let first = begin(id, &GroupEntry::read(first).map_err(|error| broken(id, error))?)?;
    Ok(answer.join.map(|end| Entrance { first, end }))
}

/// The payload of the next entry by this participant.
pub(crate) fn next_payload(state: Option<&GroupState>, own: &KeyBundle, action: Action) -> GroupEntryPayload {
    GroupEntryPayload {
        group: state.map(|state| state.group),
        number: state.map_or(1, |state| state.number + 1),
        previous: state.map(|state| state.head),
        author: own.payload.id,
        key: Base64Bytes(own.signature_key.spki().to_vec()),
        made_at: now(),
        action,
    }
}

/// Appends what `word` says to a group, worded again from the newest state while others are faster. `word` may
/// decide that nothing is left to do.
///
/// # Errors
/// As [`ClientError`] says; [`ClientError::GroupRefused`] when the rules do not allow it.
pub(crate) async fn append(
    profile: &Profile,
    session: &mut Session,
    id: GroupId,
    deadline: Instant,
    mut word: impl FnMut(&GroupState) -> Result<Option<Action>, ClientError>,
) -> Result<GroupState, ClientError> {
    for _ in 0..MAX_TRIES {
        let synced =
            insist(profile, session, deadline, async |session| sync(profile, session, id).await).await?;
        let mut state = synced.state;
        renew(profile, session, &mut state, deadline).await?;
        let Some(action) = word(&state)? else { return Ok(state) };
        if append_once(profile, session, &mut state, action, deadline).await? {
            return Ok(state);
        }
    }
    Err(ClientError::GroupRefused("others change the group all the time; try again later".into()))
}

/// Appends one entry to the state it was worded from; false if somebody else was faster.
pub(crate) async fn append_once(
    profile: &Profile,
    session: &mut Session,
    state: &mut GroupState,
    action: Action,
    deadline: Instant,
) -> Result<bool, ClientError> {
    let own = profile.own_bundle()?;
    let signature_key = profile.signature_key().await?;
    let entry = signed(&next_payload(Some(state), &own, action), &[&signature_key]).await?;
    let read = GroupEntry::read(&entry).map_err(|error| ClientError::Protocol(error.to_string()))?;
    let before = state.clone();
    state.apply(&read).map_err(|error| match error {
        GroupError::NotNext { .. } => ClientError::Protocol(error.to_string()),
        refused => ClientError::GroupRefused(refused.to_string()),
    })?;
    let id = state.id();
    let request = GroupEntryRequest { entry: entry.clone() };
    let sent =
        insist(profile, session, deadline, async |session| session.append_to_group(id, &request).await).await;
    match sent {
        Ok(()) => {}
        Err(error) if error.problem() == Some("stale-group") => {
            *state = before;
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    keep(profile, Some(&before), state, &[(read, entry)])?;
    Ok(true)
}

/// Tells the group of the own new signature key, if it knows an older one; false if somebody else was faster.
pub(super) async fn renew(
    profile: &Profile,
    session: &mut Session,
    state: &mut GroupState,
    deadline: Instant,
) -> Result<bool, ClientError> {
    let own = profile.own_bundle()?;
    let Some(member) = state.members.get(&session.id) else { return Ok(true) };
    if member.fingerprint == own.fingerprint() {
        return Ok(true);
    }
    let since = u64::from(member.version);
    let published =
        insist(profile, session, deadline, async |session| session.keys(session.id, since).await).await?;
    let previous = profile.earlier_signature_keys()?;
    let previous_key = previous
        .into_iter()
        .find(|key| momedo_protocol::digest::Fingerprint::of_spki(&key.0) == member.fingerprint);
    // A reset: a moderator has to add this participant again.
    let Some(previous_key) = previous_key else { return Ok(true) };
    let action = Action::Renew { previous_key, bundles: published.changes };
    append_once(profile, session, state, action, deadline).await
}

/// Excludes members whose keys were reset, with the server's word for it.
pub(crate) async fn suspend_reset(
    profile: &Profile,
    session: &mut Session,
    synced: &mut Synced,
    deadline: Instant,
) -> Result<bool, ClientError> {
    let mut changed = false;
    for who in std::mem::take(&mut synced.reset) {
        if synced.state.active(who).is_none() {
            continue;
        }
        let published =
            insist(profile, session, deadline, async |session| session.keys(who, 0).await).await?;
        let home_key = match published.home {
            Some(key) => key,
            None => server_information(session.connection()).await?.identity_key,
        };
        let action = Action::Suspend {
            member: who,
            bundle: published.bundle,
            home_key,
            countersignature: published.countersignature,
        };
        if !append_once(profile, session, &mut synced.state, action, deadline).await? {
            return Ok(true);
        }
        changed = true;
    }
    Ok(changed)
}

/// The epochs of a group's key during which somebody belonged to it, as far as this device has read the chain.
pub(crate) fn epochs_of(
    profile: &Profile,
    id: GroupId,
    who: momedo_protocol::id::ParticipantId,
) -> Result<std::collections::BTreeSet<u32>, ClientError> {
    let mut epochs = std::collections::BTreeSet::new();
    let mut state: Option<GroupState> = None;
    for jws in profile.group_entries(id, 1, u32::MAX)? {
        let entry = GroupEntry::read(&jws).map_err(|error| broken(id, error))?;
        match &mut state {
            None => state = Some(GroupState::create(&entry).map_err(|error| broken(id, error))?),
            Some(state) => state.apply(&entry).map_err(|error| broken(id, error))?,
        }
        epochs.extend(state.as_ref().filter(|state| state.active(who).is_some()).map(|state| state.epoch));
    }
    Ok(epochs)
}

/// The group as it was after an entry this device has read; `None` if it has no such entry.
pub(crate) fn state_at(
    profile: &Profile,
    id: GroupId,
    number: u32,
    head: &Sha512Digest,
) -> Result<Option<GroupState>, ClientError> {
    let Some(state) = profile.group(id)? else { return Ok(None) };
    if state.number == number {
        return Ok((state.head == *head).then_some(state));
    }
    if number > state.number {
        return Ok(None);
    }
    let mut then = profile.earlier_groups.at_or_before(id, number);
    let from = then.as_ref().map_or(1, |then| then.number + 1);
    for jws in profile.group_entries(id, from, number)? {
        let entry = GroupEntry::read(&jws).map_err(|error| broken(id, error))?;
        match &mut then {
            None => then = Some(GroupState::create(&entry).map_err(|error| broken(id, error))?),
            Some(then) => then.apply(&entry).map_err(|error| broken(id, error))?,
        }
    }
    let then = then.filter(|then| then.number == number);
    if let Some(then) = &then {
        profile.earlier_groups.keep(then.clone());
    }
    Ok(then.filter(|then| then.head == *head))
}
