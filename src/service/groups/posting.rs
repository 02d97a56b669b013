//! Passing on what is posted to a group: kept once, delivered to every member's devices.

use std::collections::HashMap;
use std::sync::Arc;

use momedo_protocol::api::ReceiptStatus;
use momedo_protocol::api::groups as api;
use momedo_protocol::api::groups::MAX_GROUP_KEYS_AT_ONCE;
use momedo_protocol::blob::BlobId;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Encryption, GroupRole, Posting};
use momedo_protocol::group::envelope::{self, GroupSuite, MAX_SLOT_BYTES};
use momedo_protocol::group::state::{GroupState, MAX_GROUP_MEMBERS};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;

use crate::domain::ozone::Quota;
use crate::service::{ServiceError, blobs, delivery};
use crate::sessions::Principal;
use crate::state::App;
use crate::store::{Conversation, Known, NewEnvelope, ParticipantState, Recipient, StoreError, WriteTx};

/// Members that a posting to a group may have for each submission it counts as.
const MEMBERS_PER_SUBMISSION: usize = 50;

/// Largest JSON body of a posting: an envelope, and a slot for everybody in the largest group.
pub fn max_body_bytes(app: &App) -> usize {
    (app.config().mail.max_envelope_bytes + MAX_GROUP_MEMBERS * (MAX_SLOT_BYTES + 48)) * 4 / 3 + 4096
}

/// Accepts a message to a group; the answer means that it is on disk. The same bytes again get the same answer.
///
/// # Errors
/// [`ServiceError::UnknownGroup`], [`ServiceError::StaleGroup`], [`ServiceError::MemberReset`],
/// [`ServiceError::GroupRefused`], and what is said of envelopes.
pub async fn post(
    app: &App,
    sender: Principal,
    id: GroupId,
    request: api::GroupMessageRequest,
) -> Result<api::GroupReceipt, ServiceError> {
    app.rates.message(sender.participant, app.clock.elapsed())?;
    blobs::check_count(&request.blobs)?;
    let limit = app.config().mail.max_envelope_bytes;
    if request.envelope.0.len() > limit {
        return Err(ServiceError::EnvelopeTooLarge { limit });
    }
    let header = envelope::decode(&request.envelope.0)?.header;
    if header.message_id != request.id {
        return Err(ServiceError::MessageIdMismatch);
    }
    let digest = app.store.receipt_key().group_digest(&request);
    let mut slots = HashMap::with_capacity(request.slots.len());
    for slot in request.slots {
        let header = envelope::decode_slot(&slot.slot.0)?.header;
        if header.message_id != request.id {
            return Err(ServiceError::MessageIdMismatch);
        }
        let slot = Slot { bytes: slot.slot.0.into(), version: header.recipient_version, to: slot.to };
        if slots.insert(slot.to, slot).is_some() {
            return Err(ServiceError::Malformed("a member has two slots".into()));
        }
    }
    let posted = Posted {
        id: request.id,
        group: id,
        header,
        number: request.number,
        sender,
        envelope: request.envelope.0,
        slots,
        blobs: request.blobs,
        digest,
        accepted_at: app.clock.now(),
        quota: app.config().mail.quota(),
    };
    let members = app.store.write_decided(move |tx| posted.store(tx)).await?;
    // What it costs is known only now; whoever posts to thousands waits longer before the next time.
    for _ in 0..members / MEMBERS_PER_SUBMISSION {
        let _: Result<_, _> = app.rates.message(sender.participant, app.clock.elapsed());
    }
    app.activity.count(app.clock.elapsed());
    Ok(api::GroupReceipt { id: request.id, status: ReceiptStatus::Accepted, members: members as u64 })
}

struct Slot {
    bytes: Arc<[u8]>,
    version: u32,
    to: ParticipantId,
}

struct Posted {
    id: MessageId,
    group: GroupId,
    header: envelope::GroupHeader,
    number: u32,
    sender: Principal,
    envelope: Vec<u8>,
    slots: HashMap<ParticipantId, Slot>,
    blobs: Vec<BlobId>,
    digest: [u8; 16],
    accepted_at: UnixMillis,
    quota: Quota,
}

impl Posted {
    /// Decides everything before it writes anything; answers how many members it goes to.
    fn store(mut self, tx: &mut WriteTx<'_>) -> Result<usize, ServiceError> {
        let sender = self.sender.participant;
        let conversation = Conversation::Group(self.group);
        delivery::active_sender(tx, self.sender)?;
        let audience = tx.group_audience(self.group)?;
        if let Err(refusal) = self.check(tx, &audience.reset) {
            return match tx.known_message(self.id, sender, conversation, &self.digest)? {
                Known::New => Err(refusal),
                Known::Same => Ok(audience.members.len()),
                Known::Different => Err(ServiceError::MessageConflict),
            };
        }
        let recipients = self.recipients(tx, &audience.members)?;
        match tx.remember_message(self.id, sender, conversation, &self.digest)? {
            Known::Same => return Ok(audience.members.len()),
            Known::Different => return Err(ServiceError::MessageConflict),
            Known::New => {}
        }
        let envelope = NewEnvelope {
            sender,
            message_id: self.id,
            accepted_at: self.accepted_at,
            bundle_version: 0,
            bytes: self.envelope,
        };
        tx.append_to_group(self.group, &recipients, envelope)?;
        let devices = recipients.iter().flat_map(|recipient| recipient.takers.taking.iter().copied());
        blobs::hold(tx, &self.blobs, devices)?;
        Ok(audience.members.len())
    }

    /// Whether the sender may post this now.
    fn check(&self, tx: &WriteTx<'_>, reset: &[ParticipantId]) -> Result<(), ServiceError> {
        let state = tx.find_group(self.group)?.ok_or(ServiceError::UnknownGroup)?;
        let member = tx.find_group_member(self.group, self.sender.participant)?;
        let member = member.filter(|member| !member.suspended).ok_or(ServiceError::UnknownGroup)?;
        let refused = |reason: &str| Err(ServiceError::GroupRefused(reason.into()));
        if state.archived {
            return refused("the group is archived");
        }
        if state.settings.posting == Posting::Moderators && member.role != GroupRole::Moderator {
            return Err(ServiceError::ModeratorsPost);
        }
        // Whoever was removed must not be able to read it, so the sender has to know.
        if self.number != state.number {
            return Err(ServiceError::StaleGroup { number: state.number });
        }
        if !reset.is_empty() {
            return Err(ServiceError::MemberReset);
        }
        self.check_sealing(&state)?;
        blobs::check_references(tx, self.sender, &self.blobs)
    }

    fn check_sealing(&self, state: &GroupState) -> Result<(), ServiceError> {
        let refused = |reason: &str| Err(ServiceError::GroupRefused(reason.into()));
        if self.header.group != state.group {
            return refused("the message is sealed for another group");
        }
        match (state.encryption, self.header.suite) {
            (Encryption::Symmetric, GroupSuite::GroupKey) => {
                if state.needs_epoch || self.header.epoch != state.epoch {
                    return refused("the message is not sealed with the current group key");
                }
                if !self.slots.is_empty() {
                    return refused("a message under a group key has no slots");
                }
                Ok(())
            }
            (Encryption::Asymmetric, GroupSuite::ContentKey) => Ok(()),
            _ => refused("the message is sealed in the other form of group encryption"),
        }
    }

    /// Which devices take it. Writes nothing.
    fn recipients(
        &mut self,
        tx: &mut WriteTx<'_>,
        members: &[ParticipantId],
    ) -> Result<Vec<Recipient>, StoreError> {
        let sealed_apart = self.header.suite == GroupSuite::ContentKey;
        let mut recipients = Vec::with_capacity(members.len());
        for member in members {
            let Some(entry) = tx.directory_entry(*member)? else { continue };
            if entry.state != ParticipantState::Active {
                continue;
            }
            let slot = self.slots.remove(member);
            let devices = || entry.receiving.iter().copied().filter(|device| *device != self.sender.device);
            let sender = self.sender.participant;
            let mut takers = if sealed_apart && slot.is_none() {
                // Nobody could seal to this member; the devices hear that they missed something.
                crate::store::Takers { full: devices().collect(), ..Default::default() }
            } else {
                let size = self.envelope.len() + slot.as_ref().map_or(0, |slot| slot.bytes.len());
                tx.takers(devices(), &self.quota, sender, size)?
            };
            // Parked devices hear later that they missed something.
            takers.full.extend(entry.parked.iter().copied());
            let bundle_version = slot.as_ref().map_or(0, |slot| slot.version);
            let slot = slot.map(|slot| slot.bytes);
            recipients.push(Recipient { participant: *member, takers, slot, bundle_version });
        }
        Ok(recipients)
    }
}

/// Accepts an envelope of its own for each of several members, as when a group key is handed out; those that are
/// not taken are named.
///
/// # Errors
/// [`ServiceError::UnknownGroup`], or [`ServiceError::Malformed`] for more than 50.
pub async fn hand_out_keys(
    app: &App,
    sender: Principal,
    id: GroupId,
    request: api::GroupKeysRequest,
) -> Result<Vec<(ParticipantId, ServiceError)>, ServiceError> {
    app.rates.message(sender.participant, app.clock.elapsed())?;
    if request.messages.is_empty() || request.messages.len() > MAX_GROUP_KEYS_AT_ONCE {
        return Err(ServiceError::Malformed(format!("1 to {MAX_GROUP_KEYS_AT_ONCE} envelopes at once")));
    }
    let mut refused = Vec::new();
    let mut submissions = Vec::with_capacity(request.messages.len());
    for message in request.messages {
        let to = message.to;
        match delivery::Submission::between(app, sender, request.id, to, message.envelope) {
            Ok(submission) => submissions.push((to, submission)),
            Err(error) => refused.push((to, error)),
        }
    }
    let stored = app.store.write(move |tx| hand_out(tx, sender.participant, id, submissions)).await?;
    refused.extend(stored);
    Ok(refused)
}

fn hand_out(
    tx: &mut WriteTx<'_>,
    sender: ParticipantId,
    id: GroupId,
    submissions: Vec<(ParticipantId, delivery::Submission)>,
) -> Result<Vec<(ParticipantId, ServiceError)>, ServiceError> {
    let belongs = |tx: &WriteTx<'_>, who| {
        let member = tx.find_group_member(id, who)?;
        Ok::<_, StoreError>(member.is_some_and(|member| !member.suspended))
    };
    if !belongs(tx, sender)? {
        return Err(ServiceError::UnknownGroup);
    }
    let mut refused = Vec::new();
    for (to, submission) in submissions {
        if !belongs(tx, to)? {
            refused.push((to, ServiceError::UnknownGroup));
            continue;
        }
        match submission.store(tx) {
            Ok(delivery::Stored::Here | delivery::Stored::OnItsWay(_)) => {}
            Ok(delivery::Stored::Elsewhere(_)) => refused.push((to, ServiceError::UnknownParticipant)),
            // What is nobody's fault fails all of them.
            Err(error @ (ServiceError::Internal(_) | ServiceError::StorageFull | ServiceError::Busy)) => {
                return Err(error);
            }
            Err(error) => refused.push((to, error)),
        }
    }
    Ok(refused)
}
