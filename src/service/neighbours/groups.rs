//! Groups that other servers keep, for this server's participants; and groups kept here, for others'.

use std::collections::BTreeMap;

use momedo_protocol::api::groups as api;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Action, GroupEntry, GroupRole, MAX_ADDED_AT_ONCE, NewMember};
use momedo_protocol::group::envelope;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::link::calls::{Request, Response};
use momedo_protocol::link::documents::BatchBlob;

use super::calls;
use super::finding::{self, Asker, may_talk};
use super::{finding_groups, origins};
use crate::domain::neighbour::NEWCOMERS;
use crate::domain::ozone::Source;
use crate::links::Counted;
use crate::live::rates::TooOften;
use crate::live::sessions::Principal;
use crate::service::error::compute;
use crate::service::groups::{self, Actor, posting};
use crate::service::second_home::placing;
use crate::service::{ServiceError, blobs, delivery, recipients, senders};
use crate::state::App;
use crate::store::{Charged, Conversation, Known, NeighbourRow, NewEnvelope, ReadTx, Recipient};

/// Other homes whose participants one entry may add: each is asked.
const MAX_HOMES_AT_ONCE: usize = 8;

/// The group's home, if this participant may talk to it.
async fn home_for(app: &App, asker: Principal, group: GroupId) -> Result<Fingerprint, ServiceError> {
    let home = finding_groups::group_home(app, asker.participant, group).await?;
    let via = calls::way_to(app, home).await?;
    let participant = asker.participant;
    let person = app.store.read(move |tx| tx.belonging(participant)).await?;
    may_talk(&via.contract, &person)?;
    Ok(home)
}

/// A part of the chain of a group that another server keeps.
///
/// # Errors
/// As [`groups::entries`], and [`ServiceError::HomeUnreachable`] or [`ServiceError::NotAllowedAcross`].
pub async fn entries(
    app: &App,
    reader: Principal,
    group: GroupId,
    after: u32,
    proof: Option<Base64Bytes>,
) -> Result<api::GroupEntries, ServiceError> {
    let home = home_for(app, reader, group).await?;
    let request = Request::GroupEntries { from: reader.participant, group, after, proof };
    match calls::ask_for_response(app, home, &request).await? {
        Response::Entries(entries) => Ok(*entries),
        _ => Err(calls::unexpected()),
    }
}

/// Appends to the chain of a group that another server keeps.
///
/// # Errors
/// As [`groups::append`], and [`ServiceError::HomeUnreachable`] or [`ServiceError::NotAllowedAcross`].
pub async fn append(
    app: &App,
    author: Principal,
    group: GroupId,
    entry: Jws,
) -> Result<api::GroupEntryTaken, ServiceError> {
    let home = home_for(app, author, group).await?;
    check_blocks(app, author.participant, entry.clone()).await?;
    // An entry under keys that the group's home has not heard of would be refused there.
    if let Err(error) = placing::tell_of(app, home, author.participant).await {
        tracing::debug!(%error, "a second home does not hear of new keys now");
    }
    let request = Request::GroupAppend { from: author.participant, group, entry };
    match calls::ask_for_response(app, home, &request).await? {
        Response::Appended(taken) => Ok(taken),
        _ => Err(calls::unexpected()),
    }
}

/// Refuses to add anybody of this server who blocks the author, to a group that another server keeps.
async fn check_blocks(app: &App, author: ParticipantId, entry: Jws) -> Result<(), ServiceError> {
    let read = compute(move || Ok(GroupEntry::read(&entry).ok())).await?;
    let Some(Action::Add { members }) = read.map(|entry| entry.payload.action) else { return Ok(()) };
    app.store
        .read(move |tx| {
            for new in members {
                if tx.find_participant(new.id)?.is_some() && tx.blocks(new.id, author)? {
                    return Err(ServiceError::Blocked);
                }
            }
            Ok(())
        })
        .await
}

/// Posts to a group that another server keeps; the answer means that it is on that server's disk.
///
/// # Errors
/// As [`posting::post`], and [`ServiceError::HomeUnreachable`] or [`ServiceError::NotAllowedAcross`].
pub async fn post(
    app: &App,
    sender: Principal,
    group: GroupId,
    message: api::GroupMessageRequest,
) -> Result<api::GroupReceipt, ServiceError> {
    let home = home_for(app, sender, group).await?;
    let (ids, id) = (message.blobs.clone(), message.id);
    let sizes = app
        .store
        .write(move |tx| {
            senders::active_sender(tx, sender)?;
            blobs::check_references(tx, sender, &ids)?;
            tx.hold_for_home(home, &ids)?;
            // Before its home has it, which brings it back for others who live here.
            tx.note_posted_elsewhere(id, sender.participant, group)?;
            let size = |id| Ok(tx.find_blob(id)?.ok_or(ServiceError::UnknownBlob)?.size);
            ids.iter().copied().map(size).collect::<Result<Vec<_>, ServiceError>>()
        })
        .await?;
    let own = message.clone();
    let request = Request::GroupPost { from: sender.participant, group, message: Box::new(message), sizes };
    let Response::Posted(receipt) = calls::ask_for_response(app, home, &request).await? else {
        return Err(calls::unexpected());
    };
    keep_for_own_devices(app, sender, group, own).await?;
    app.activity.count(app.clock.now());
    Ok(receipt)
}

/// The sender's other devices get what was posted from here: the group's home knows no devices of other servers.
async fn keep_for_own_devices(
    app: &App,
    sender: Principal,
    group: GroupId,
    message: api::GroupMessageRequest,
) -> Result<(), ServiceError> {
    let digest = app.store.receipt_key().group_digest(&message);
    let (quota, accepted_at, who) = (app.config().mail.quota(), app.clock.now(), sender.participant);
    app.store
        .write(move |tx| {
            let Some(entry) = tx.directory_entry(who)? else { return Ok::<_, ServiceError>(()) };
            let slot = message.slots.into_iter().find(|slot| slot.to == who).map(|slot| slot.slot.0);
            let version = match &slot {
                Some(slot) => envelope::decode_slot(slot)?.header.recipient_version,
                None => 0,
            };
            if tx.remember_message(message.id, who, Conversation::Group(group), &digest)? != Known::New {
                return Ok(());
            }
            let size = message.envelope.0.len();
            let takers = recipients::takers_of_own(tx, &entry, who, size, Some(sender.device), &quota)?;
            let slot = slot.map(Into::into);
            let own = Recipient { participant: who, takers, slot, bundle_version: version };
            let envelope = NewEnvelope {
                sender: who,
                message_id: message.id,
                accepted_at,
                bundle_version: 0,
                source: Source::Here,
                charged: Charged::Sender,
                bytes: message.envelope.0,
            };
            Ok(tx.append_to_group(group, &[own], envelope)?)
        })
        .await
}

/// Hands out keys of a group that another server keeps: to each member as an envelope like any other.
///
/// # Errors
/// [`ServiceError::UnknownGroup`]; members who cannot be sent to are named instead.
pub async fn hand_out_keys(
    app: &App,
    sender: Principal,
    group: GroupId,
    request: api::GroupKeysRequest,
) -> Result<Vec<(ParticipantId, ServiceError)>, ServiceError> {
    finding_groups::group_home(app, sender.participant, group).await?;
    let mut refused = Vec::new();
    for message in request.messages {
        match delivery::submit_between(app, sender, request.id, message.to, message.envelope).await {
            Ok(()) => {}
            // What is nobody's fault fails all of them.
            Err(error @ (ServiceError::Internal(_) | ServiceError::StorageFull | ServiceError::Busy)) => {
                return Err(error);
            }
            Err(error) => refused.push((message.to, error)),
        }
    }
    Ok(refused)
}

/// A part of the chain of a group kept here, for a participant of another home.
pub(super) async fn entries_for(
    app: &App,
    actor: Actor,
    group: GroupId,
    after: u32,
    proof: Option<Base64Bytes>,
) -> Result<api::GroupEntries, ServiceError> {
    groups::entries_here(app, actor, group, after, proof).await
}

/// The next entry of the chain of a group kept here, by a participant of another home.
pub(super) async fn append_for(
    app: &App,
    actor: Actor,
    home: Fingerprint,
    group: GroupId,
    jws: Jws,
) -> Result<api::GroupEntryTaken, ServiceError> {
    let participant = actor.participant();
    let entry = jws.clone();
    let read = compute(move || Ok(GroupEntry::read(&entry).ok())).await?;
    let entry = read.ok_or_else(|| ServiceError::GroupRefused("the entry cannot be read".into()))?;
    let own = app.fingerprint;
    let fingerprint = entry.key.fingerprint();
    let asking = entry.clone();
    app.store.read(move |tx| may_append(tx, group, participant, &asking)).await?;
    // The author's keys, and those of whom they add, as their homes publish them now.
    let mut unknown = Vec::new();
    let (known, is_here) = app
        .store
        .read(move |tx| {
            let known = groups::published(tx, participant, Some(home))?;
            Ok::<_, ServiceError>((known, tx.find_participant(participant)?.is_some()))
        })
        .await?;
    // Of this server's own people nobody else is asked: their other home has told it.
    if !is_here && known.is_none_or(|(known, _)| known != fingerprint) {
        unknown.push(participant);
    }
    if let Action::Add { members } = &entry.payload.action {
        for new in members {
            let new = new.clone();
            let id = new.id;
            let is_unknown = app
                .store
                .read(move |tx| {
                    let Some(home) = groups::home_of_newcomer(tx, &new, own)? else {
                        return Ok::<_, ServiceError>(false);
                    };
                    let known = finding::published_at(tx, new.id, home)?;
                    Ok(known != Some((new.fingerprint, new.version)))
                })
                .await?;
            if is_unknown {
                unknown.push(id);
            }
        }
    }
    if let Actor::There { neighbour, .. } = actor
        && !unknown.is_empty()
    {
        // Each is a question to every neighbour of this server.
        let number = u32::try_from(unknown.len()).unwrap_or(u32::MAX);
        app.links
            .count(neighbour, Counted::Newcomers, NEWCOMERS, number, app.clock.elapsed())
            .map_err(TooOften)?;
    }
    for id in unknown {
        finding::find(app, Asker::Server, id).await?;
    }
    groups::append_here(app, actor, group, jws).await
}

/// Whether an entry may be its author's, by what is known here: before anybody is asked about anybody.
fn may_append(
    tx: &ReadTx<'_>,
    group: GroupId,
    author: ParticipantId,
    entry: &GroupEntry,
) -> Result<(), ServiceError> {
    if !tx.has_group(group)? {
        return Err(ServiceError::UnknownGroup);
    }
    let member = tx.find_group_member(group, author)?;
    match (&entry.payload.action, member) {
        (Action::Join { .. }, _) => Ok(()),
        (_, None) if entry.payload.action.takes_out() => Ok(()),
        (_, None) => Err(ServiceError::UnknownGroup),
        (Action::Add { .. }, Some(member))
            if member.role != GroupRole::Moderator || member.fingerprint != entry.key.fingerprint() =>
        {
            Err(ServiceError::GroupRefused(
                "only a moderator may do this, with the key the group knows".into(),
            ))
        }
        (_, Some(_)) => Ok(()),
    }
}

/// Asks the homes of newcomers who live elsewhere whether they may be added: what they block, only their homes know.
///
/// # Errors
/// [`ServiceError::Blocked`], [`ServiceError::HomeUnreachable`], or [`ServiceError::GroupRefused`] for too many homes.
pub(in crate::service) async fn ask_newcomers_homes(
    app: &App,
    author: ParticipantId,
    members: &[NewMember],
) -> Result<(), ServiceError> {
    let (own, newcomers) = (app.fingerprint, members.to_vec());
    let by_home = app
        .store
        .read(move |tx| {
            let mut by_home: BTreeMap<[u8; 32], Vec<ParticipantId>> = BTreeMap::new();
            for new in &newcomers {
                if let Some(home) = groups::home_of_newcomer(tx, new, own)? {
                    by_home.entry(home.0).or_default().push(new.id);
                }
            }
            Ok::<_, ServiceError>(by_home)
        })
        .await?;
    if by_home.len() > MAX_HOMES_AT_ONCE {
        let most = format!("people of at most {MAX_HOMES_AT_ONCE} other servers are added at once");
        return Err(ServiceError::GroupRefused(most));
    }
    for (home, members) in by_home {
        let request = Request::GroupAdd { from: author, members };
        match calls::ask_for_response(app, Fingerprint(home), &request).await? {
            Response::Done => {}
            _ => return Err(calls::unexpected()),
        }
    }
    Ok(())
}

/// Whether somebody of another home may add participants of this one to a group.
pub(super) async fn may_be_added(
    app: &App,
    over: &NeighbourRow,
    from: ParticipantId,
    members: Vec<ParticipantId>,
) -> Result<(), ServiceError> {
    if members.len() > MAX_ADDED_AT_ONCE {
        return Err(ServiceError::Malformed("too many are added at once".into()));
    }
    // Who blocks whom is nobody's to find out in bulk.
    let (neighbour, number) = (over.id, u32::try_from(members.len()).unwrap_or(u32::MAX));
    app.links
        .count(neighbour, Counted::Newcomers, NEWCOMERS, number, app.clock.elapsed())
        .map_err(TooOften)?;
    app.store
        .read(move |tx| {
            if tx.is_blocked_remote(from)? {
                return Err(ServiceError::NotAllowedAcross);
            }
            // This server has looked before it passed on what its own participant asks.
            if origins::lives_here_alone(tx, from)? {
                return Ok(());
            }
            for member in members {
                if tx.blocks(member, from)? {
                    return Err(ServiceError::Blocked);
                }
            }
            Ok(())
        })
        .await
}

/// A message to a group kept here, by a participant of another home.
pub(super) async fn post_for(
    app: &App,
    actor: Actor,
    group: GroupId,
    message: api::GroupMessageRequest,
    sizes: Vec<u64>,
) -> Result<api::GroupReceipt, ServiceError> {
    if sizes.len() != message.blobs.len() {
        return Err(ServiceError::Malformed("each attachment has one size".into()));
    }
    let coming = message.blobs.iter().zip(sizes).map(|(id, size)| BatchBlob { id: *id, size }).collect();
    delivery::counted(app, posting::post_here(app, actor, group, message, coming).await)
}
