//! Group keys that did not come: asked for, and handed on to whoever asks.
//!
//! A key goes to everybody whom the chain lists, but somebody may be out of reach just then: disabled, with a parked
//! device, behind a neighbour that was blocked. What is posted under such a key waits, and nobody would know. So a device
//! with locked messages asks those who have the key, and says so; whoever is asked looks at the chain, and at nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use momedo_protocol::group::GroupId;
use momedo_protocol::group::envelope::{self, GroupSuite};
use momedo_protocol::group::key::GroupKeyRequestBody;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message::{KIND_GROUP_KEY_REQUEST, Message};
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::keys::{self, Notice};
use super::{chain, notes};
use crate::meaning::Meaning;
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, names, now};

/// Setting with what was asked of whom.
const ASKED: &str = "group-keys-asked-for";

/// Setting with what others asked and have not been answered.
const WANTED: &str = "group-keys-wanted";

/// Setting with what others were given lately.
const GIVEN: &str = "group-keys-given";

/// Members asked at once for one key, and the pause before others are asked, in milliseconds: an hour.
const AT_ONCE: usize = 3;
const PAUSE: u64 = 3_600_000;

/// Groups asked about in one run, and askers answered.
const IN_ONE_RUN: usize = 8;

/// Most epochs one message asks for; older ones are asked for later.
const MAX_EPOCHS: usize = 32;

/// Most questions that wait for an answer, and most answers that are remembered; the oldest give way.
const MAX_REMEMBERED: usize = 256;

/// Time for one question or answer.
const TIME: Duration = Duration::from_secs(15);

/// What was asked about a group: the epochs, whom, and when last.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Asked {
    group: GroupId,
    epochs: BTreeSet<u32>,
    whom: BTreeSet<ParticipantId>,
    at: UnixMillis,
}

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wanted {
    by: ParticipantId,
    group: GroupId,
    epochs: BTreeSet<u32>,
}

/// What somebody was given, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Given {
    to: ParticipantId,
    group: GroupId,
    epoch: u32,
    at: UnixMillis,
}

/// What waits for keys in one group: for which epochs, who posted it, and how much it is.
#[derive(Debug, Default)]
struct Locked {
    epochs: BTreeSet<u32>,
    senders: BTreeSet<ParticipantId>,
    messages: u64,
}

/// Notes a verified question, to be answered when mail has been taken.
///
/// # Errors
/// [`ClientError::Profile`].
pub(crate) fn note(profile: &Profile, message: &Message) -> Result<(), ClientError> {
    let Ok(body) = serde_json::from_value::<GroupKeyRequestBody>(message.body.clone()) else { return Ok(()) };
    let group = GroupId::of(&body.group);
    // Made-up groups must not push out what members ask.
    let is_member = |state: GroupState| state.active(message.from).is_some();
    if !profile.group(group)?.is_some_and(is_member) {
        return Ok(());
    }
    let mut wanted: Vec<Wanted> = profile.get(WANTED)?.unwrap_or_default();
    wanted.retain(|known| known.by != message.from || known.group != group);
    let epochs = body.epochs.into_iter().take(MAX_EPOCHS).collect();
    wanted.push(Wanted { by: message.from, group, epochs });
    let excess = wanted.len().saturating_sub(MAX_REMEMBERED);
    profile.set(WANTED, &wanted.split_off(excess))
}

/// Answers what others asked for, as far as the chain lists them.
///
/// # Errors
/// As [`ClientError`] says; what could not be answered is answered another time.
pub(crate) async fn answer(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let mut wanted: Vec<Wanted> = profile.get(WANTED)?.unwrap_or_default();
    if wanted.is_empty() {
        return Ok(());
    }
    let later = wanted.split_off(wanted.len().min(IN_ONE_RUN));
    let mut left = later;
    let mut failed = None;
    for asked in wanted {
        if let Err(error) = answer_one(profile, session, &asked).await {
            // Asked again by whoever still lacks it, should the question be the trouble.
            if Meaning::of(&error, session.is_second) == Meaning::NoAnswers {
                left.push(asked);
                failed.get_or_insert(error);
            }
        }
    }
    profile.set(WANTED, &left)?;
    failed.map_or(Ok(()), Err)
}

async fn answer_one(profile: &Profile, session: &mut Session, wanted: &Wanted) -> Result<(), ClientError> {
    let Some(state) = profile.group(wanted.group)? else { return Ok(()) };
    if state.active(wanted.by).is_none() || state.active(session.id).is_none() {
        return Ok(());
    }
    let mut given: Vec<Given> = profile.get(GIVEN)?.unwrap_or_default();
    given.retain(|given| now().0.abs_diff(given.at.0) < PAUSE);
    let was_given = |epoch: u32| {
        given.iter().any(|given| (given.to, given.group, given.epoch) == (wanted.by, wanted.group, epoch))
    };
    let asked: Vec<u32> = wanted.epochs.iter().copied().filter(|epoch| !was_given(*epoch)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    // Whoever came later does not read what was written before.
    let theirs = chain::epochs_of(profile, wanted.group, wanted.by)?;
    let deadline = Instant::now() + TIME;
    for epoch in asked.into_iter().filter(|epoch| theirs.contains(epoch)) {
        let commitment = profile.group_commitment(wanted.group, epoch)?;
        let key =
            commitment.map(|commitment| super::key_store::find(profile, &commitment)).transpose()?.flatten();
        let Some(key) = key else { continue };
        let notice = Notice::of_key(&state, epoch, &key)?;
        keys::tell(profile, session, &state, &notice, &[wanted.by], deadline, &|_| {}).await?;
        given.push(Given { to: wanted.by, group: wanted.group, epoch, at: now() });
        given.drain(..given.len().saturating_sub(MAX_REMEMBERED));
        // At once: should the next fail, this one is not given again.
        profile.set(GIVEN, &given)?;
    }
    Ok(())
}

/// Asks for the keys of what waits, and says so; others are asked when those before did not answer for an hour.
///
/// # Errors
/// As [`ClientError`] says.
pub(crate) async fn ask(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let locked = locked(profile)?;
    let mut asked: Vec<Asked> = profile.get(ASKED)?.unwrap_or_default();
    let before = asked.len();
    asked.retain(|asked| locked.contains_key(&asked.group));
    if locked.is_empty() {
        return if before > 0 { profile.set(ASKED, &asked) } else { Ok(()) };
    }
    // Those that were never asked about first: groups in which nobody answers keep no other waiting.
    let asked_at = |group: &GroupId| asked.iter().find(|asked| asked.group == *group).map(|asked| asked.at);
    let mut due: Vec<_> = locked.iter().filter(|(group, locked)| is_due(&asked, group, locked)).collect();
    due.sort_by_key(|(group, _)| asked_at(group));
    due.truncate(IN_ONE_RUN);
    for (group, locked) in due {
        let Some(state) = profile.group(*group)? else { continue };
        let known = asked.iter().position(|asked| asked.group == *group);
        let earlier = known.map(|known| asked.swap_remove(known));
        let whom = earlier.map(|earlier| earlier.whom).unwrap_or_default();
        let epochs = locked.epochs.clone();
        // Noted before: what cannot be asked now is asked again after the pause, and not with every look.
        asked.push(Asked { group: *group, epochs, whom: whom.clone(), at: now() });
        profile.set(ASKED, &asked)?;
        match ask_about(profile, session, &state, locked, whom).await {
            Ok(whom) => {
                if let Some(noted) = asked.last_mut() {
                    noted.whom = whom;
                }
                profile.set(ASKED, &asked)?;
            }
            Err(error) if Meaning::of(&error, session.is_second) == Meaning::NoAnswers => return Err(error),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Whether a group is to be asked about now: never before, or for other epochs, or long ago.
fn is_due(asked: &[Asked], group: &GroupId, locked: &Locked) -> bool {
    let earlier = asked.iter().find(|asked| asked.group == *group);
    earlier.is_none_or(|earlier| {
        !locked.epochs.is_subset(&earlier.epochs) || now().0.abs_diff(earlier.at.0) >= PAUSE
    })
}

/// Asks about one group; who was asked, now or before.
async fn ask_about(
    profile: &Profile,
    session: &mut Session,
    state: &GroupState,
    locked: &Locked,
    mut whom: BTreeSet<ParticipantId>,
) -> Result<BTreeSet<ParticipantId>, ClientError> {
    let mut epochs = BTreeSet::new();
    for epoch in &locked.epochs {
        // What the chain does not say yet comes with the chain.
        let Some(commitment) = profile.group_commitment(state.id(), *epoch)? else { continue };
        if super::key_store::find(profile, &commitment)?.is_none() {
            epochs.insert(*epoch);
        }
    }
    if epochs.is_empty() || state.active(session.id).is_none() {
        return Ok(whom);
    }
    let mut candidates = candidates(state, locked, session.id);
    if session.devices().await?.devices.len() < 2 {
        candidates.retain(|candidate| *candidate != session.id);
    }
    if candidates.iter().all(|candidate| whom.contains(candidate)) {
        whom.clear();
    }
    candidates.retain(|candidate| !whom.contains(candidate));
    candidates.truncate(AT_ONCE);
    let body = GroupKeyRequestBody {
        group: state.group,
        epochs: epochs.iter().rev().take(MAX_EPOCHS).copied().collect(),
    };
    let notice = Notice::new(KIND_GROUP_KEY_REQUEST, &body)?;
    let deadline = Instant::now() + TIME;
    let left_out = keys::tell(profile, session, state, &notice, &candidates, deadline, &|_| {}).await?;
    whom.extend(candidates.iter().copied());
    let reached: Vec<_> = candidates.iter().filter(|asked| !left_out.contains(asked)).collect();
    if !reached.is_empty() {
        say(profile, session.id, state, locked, &reached)?;
    }
    Ok(whom)
}

/// Whom to ask, the likeliest first: own devices, whoever posted under the key, moderators, all others.
fn candidates(state: &GroupState, locked: &Locked, own: ParticipantId) -> Vec<ParticipantId> {
    use momedo_protocol::group::entry::GroupRole;
    let posted = locked.senders.iter().copied().filter(|sender| state.active(*sender).is_some());
    let moderators = state.active_members().filter(|(_, member)| member.role == GroupRole::Moderator);
    let others = state.active_members().map(|(id, _)| id);
    let mut seen = BTreeSet::new();
    let all = std::iter::once(own).chain(posted).chain(moderators.map(|(id, _)| id)).chain(others);
    all.filter(|id| seen.insert(*id)).collect()
}

/// Has people told.
fn say(
    profile: &Profile,
    own: ParticipantId,
    state: &GroupState,
    locked: &Locked,
    asked: &[&ParticipantId],
) -> Result<(), ClientError> {
    let name = |id: ParticipantId| -> Result<String, ClientError> {
        if id == own {
            return Ok("your other devices".into());
        }
        Ok(names::of(profile, id)?.map_or_else(|| id.to_string(), |called| format!("{called} ({id})")))
    };
    let whom = asked.iter().map(|id| name(**id)).collect::<Result<Vec<_>, _>>()?.join(", ");
    let messages = match locked.messages {
        1 => "a message cannot be read yet".into(),
        count => format!("{count} messages cannot be read yet"),
    };
    let text = format!("{messages}, for their key has not come: asked {whom} for it");
    let digest = momedo_protocol::digest::sha256(format!("{text}{}", now().0).as_bytes());
    notes::note(profile, state, digest[..16].try_into().ok(), &text)
}

/// What waits for keys, by group.
fn locked(profile: &Profile) -> Result<BTreeMap<GroupId, Locked>, ClientError> {
    let mut all: BTreeMap<GroupId, Locked> = BTreeMap::new();
    for (delivery, in_group) in profile.set_aside_for_group_keys()? {
        let Some(group) = delivery.group else { continue };
        let Ok(outside) = envelope::decode(&delivery.envelope.0) else { continue };
        if outside.header.suite == GroupSuite::GroupKey && GroupId::of(&outside.header.group) == group {
            let locked = all.entry(group).or_default();
            locked.epochs.insert(outside.header.epoch);
            locked.senders.insert(delivery.from);
            locked.messages = in_group;
        }
    }
    Ok(all)
}
