//! Passing on what is posted to a group: kept once, delivered to every member's devices.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use momedo_protocol::api::ReceiptStatus;
use momedo_protocol::api::groups as api;
use momedo_protocol::api::groups::MAX_GROUP_KEYS_AT_ONCE;
use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Encryption, GroupRole, Posting};
use momedo_protocol::group::envelope::{self, GroupSuite, MAX_SLOT_BYTES};
use momedo_protocol::group::state::{GroupState, MAX_GROUP_MEMBERS};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::documents::{BatchBlob, Outcome};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;

use super::Actor;
use crate::domain::delivery::{Decision, Kind, Offer};
use crate::domain::group::{MEMBERS_PER_SUBMISSION, cost};
use crate::domain::ozone::{DELIVERY_BYTES, fits_sender};
use crate::live::sessions::Principal;
use crate::service::neighbours::{attachments, finding, groups as elsewhere, sending};
use crate::service::recipients::{self, Circumstances, Devices};
use crate::service::second_home::copying::{self, CopySent};
use crate::service::{ServiceError, blobs, delivery, senders};
use crate::settings::config::Config;
use crate::state::App;
use crate::store::{
    Audience, Charged, Conversation, CopyFor, Known, NewEnvelope, OutgoingKey, OutgoingPosting, Recipient,
    RemoteRecipient, StoreError, WriteTx,
};

/// How many of a group's keys are handed out for each submission they count as, where the server does not know the
/// members because another one keeps the group.
const KEYS_PER_SUBMISSION: u64 = 5;

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
    let posted = post_anywhere(app, sender, id, request).await;
    delivery::counted(app, posted)
}

async fn post_anywhere(
    app: &App,
    sender: Principal,
    id: GroupId,
    request: api::GroupMessageRequest,
) -> Result<api::GroupReceipt, ServiceError> {
    if !super::is_here(app, id).await? {
        app.rates.message(sender.participant, app.clock.elapsed())?;
        check(app, &request)?;
        return elsewhere::post(app, sender, id, request).await;
    }
    post_here(app, Actor::Here(sender), id, request, Vec::new()).await
}

/// Checks what can be said of a message without knowing the group.
fn check(app: &App, request: &api::GroupMessageRequest) -> Result<envelope::GroupHeader, ServiceError> {
    blobs::check_count(&request.blobs)?;
    let limit = app.config().mail.max_envelope_bytes;
    if request.envelope.0.len() > limit {
        return Err(ServiceError::EnvelopeTooLarge { limit });
    }
    let header = envelope::decode(&request.envelope.0)?.header;
    if header.message_id == request.id { Ok(header) } else { Err(ServiceError::MessageIdMismatch) }
}

/// Accepts a message to a group that is kept here; `coming` are attachments that have to be fetched from the sender's
/// home.
///
/// # Errors
/// As [`post`].
pub async fn post_here(
    app: &App,
    sender: Actor,
    id: GroupId,
    request: api::GroupMessageRequest,
    coming: Vec<BatchBlob>,
) -> Result<api::GroupReceipt, ServiceError> {
    // What it costs is taken before it is done, and may be more than there is.
    let members = app.store.read(move |tx| sender.members_of(tx, id)).await?;
    sender.count(app, cost(members))?;
    let header = check(app, &request)?;
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
    let brings_blobs = !coming.is_empty();
    let posted = Posted {
        id: request.id,
        group: id,
        header,
        number: request.number,
        sender,
        envelope: request.envelope.0,
        slots,
        blobs: request.blobs,
        coming: Coming { room: if brings_blobs { blobs::available(app).await? } else { 0 }, blobs: coming },
        digest,
        accepted_at: app.clock.now(),
        config: app.config(),
    };
    let stored = app.store.write_decided(move |tx| posted.store(tx)).await?;
    stored.wake.into_iter().for_each(|neighbour| app.links.wake(neighbour));
    copying::arrived(app, stored.copies).await?;
    if brings_blobs {
        app.links.fetching.notify_one();
    }
    app.activity.count(app.clock.now());
    let members = stored.members.saturating_sub(stored.left_out.len()) as u64;
    let left_out = stored.left_out;
    Ok(api::GroupReceipt { id: request.id, status: ReceiptStatus::Accepted, members, left_out })
}

/// Attachments that the sender's home still has to hand over.
struct Coming {
    blobs: Vec<BatchBlob>,
    /// Free bytes on the disk.
    room: u64,
}

impl Coming {
    /// The same with the home that hands them over, for whoever posts from elsewhere.
    fn from(&self, sender: Actor) -> Option<attachments::Coming<'_>> {
        let Actor::There { participant: owner, home, neighbour: via, .. } = sender else { return None };
        Some(attachments::Coming { owner, is_ours: false, via, home, blobs: &self.blobs })
    }
}

/// What became of a message to a group.
#[derive(Default)]
struct Stored {
    members: usize,
    /// Neighbours for whom something waits now.
    wake: HashSet<Fingerprint>,
    /// What goes to members' other homes.
    copies: Vec<CopySent>,
    /// Members whom it does not reach.
    left_out: Vec<ParticipantId>,
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
    sender: Actor,
    envelope: Vec<u8>,
    slots: HashMap<ParticipantId, Slot>,
    blobs: Vec<BlobId>,
    coming: Coming,
    digest: [u8; 16],
    accepted_at: UnixMillis,
    config: Arc<Config>,
}

/// What a posting comes to for a member of another server.
enum Remote {
    Reached(RemoteRecipient),
    /// Nothing leads there, or they were blocked.
    LeftOut,
    /// It is not for them, or nobody could seal to them.
    NotMeant,
}

/// Who gets a message.
#[derive(Default)]
struct Recipients {
    here: Vec<Recipient>,
    elsewhere: Vec<RemoteRecipient>,
    /// Members of other servers to whom nothing leads.
    left_out: Vec<ParticipantId>,
}

impl Posted {
    /// Decides everything before it writes anything; answers how many members it goes to.
    fn store(&self, tx: &mut WriteTx<'_>) -> Result<Stored, ServiceError> {
        let sender = self.sender.participant();
        let conversation = Conversation::Group(self.group);
        if let Actor::Here(principal) = self.sender {
            senders::active_sender(tx, principal)?;
        }
        let audience = tx.group_audience(self.group)?;
        let members = audience.members.len();
        let decided = self.decide(tx, &audience);
        let recipients = match decided {
            Ok(recipients) => recipients,
            Err(refusal) => {
                return match tx.known_message(self.id, sender, conversation, &self.digest)? {
                    Known::New => Err(refusal),
                    Known::Same => Ok(Stored { members, ..Stored::default() }),
                    Known::Different => Err(ServiceError::MessageConflict),
                };
            }
        };
        let copies = recipients.elsewhere.iter().filter(|recipient| recipient.copy.is_some());
        let copies: Vec<CopySent> = copies
            .map(|recipient| CopySent {
                to: recipient.home,
                key: OutgoingKey {
                    sender,
                    message_id: self.id,
                    recipient: recipient.participant,
                    group: Some(self.group),
                },
            })
            .collect();
        match tx.remember_message(self.id, sender, conversation, &self.digest)? {
            // Whoever repeats waits for copies that are still on their way, too.
            Known::Same => return Ok(Stored { members, copies, ..Stored::default() }),
            Known::Different => return Err(ServiceError::MessageConflict),
            Known::New => {}
        }
        let envelope = NewEnvelope {
            sender,
            message_id: self.id,
            accepted_at: self.accepted_at,
            bundle_version: 0,
            source: self.sender.source(),
            charged: self.charged(),
            bytes: self.envelope.clone(),
        };
        if let Some(coming) = self.coming.from(self.sender) {
            attachments::keep(tx, coming, &[])?;
        }
        let posting = OutgoingPosting {
            group: self.group,
            sender,
            message_id: self.id,
            envelope: &envelope.bytes,
            blobs: &self.blobs,
        };
        tx.insert_outgoing_posting(posting, &recipients.elsewhere)?;
        tx.append_to_group(self.group, &recipients.here, envelope)?;
        let devices = recipients.here.iter().flat_map(|recipient| recipient.takers.taking.iter().copied());
        blobs::hold(tx, &self.blobs, devices)?;
        let wake = recipients.elsewhere.iter().map(|recipient| recipient.via).collect();
        Ok(Stored { members, wake, copies, left_out: recipients.left_out })
    }

    /// Who gets it, if the sender may post this now.
    fn decide(&self, tx: &mut WriteTx<'_>, audience: &Audience) -> Result<Recipients, ServiceError> {
        self.check(tx, &audience.reset)?;
        let recipients = self.recipients(tx, &audience.members)?;
        if self.charged() == Charged::Nobody {
            return Ok(recipients);
        }
        let waiting = tx.bytes_of_sender(self.sender.participant())?;
        let limit = self.config.mail.max_sender_bytes;
        if fits_sender(waiting, self.bytes_kept(&recipients), limit) {
            Ok(recipients)
        } else {
            Err(ServiceError::SenderFull)
        }
    }

    /// Whoever lives elsewhere costs the share of the neighbour that brings it.
    fn charged(&self) -> Charged {
        match self.sender {
            Actor::Here(_) => Charged::Sender,
            Actor::There { .. } => Charged::Nobody,
        }
    }

    /// What is kept until everybody has it.
    fn bytes_kept(&self, recipients: &Recipients) -> u64 {
        let slot = |slot: &Option<Arc<[u8]>>| slot.as_ref().map_or(0, |slot| slot.len() as u64);
        let mut bytes = 0;
        let here = recipients.here.iter().filter(|recipient| !recipient.takers.taking.is_empty());
        for recipient in here.clone() {
            bytes += slot(&recipient.slot) + recipient.takers.taking.len() as u64 * DELIVERY_BYTES;
        }
        let elsewhere = recipients.elsewhere.iter().filter(|recipient| recipient.copy.is_none());
        let homes: HashSet<Fingerprint> = elsewhere.clone().map(|recipient| recipient.home).collect();
        bytes += elsewhere.map(|recipient| slot(&recipient.slot)).sum::<u64>();
        let envelopes = u64::from(here.count() > 0) + homes.len() as u64;
        bytes + envelopes * self.envelope.len() as u64
    }

    /// Whether the sender may post this now.
    fn check(&self, tx: &WriteTx<'_>, reset: &[ParticipantId]) -> Result<(), ServiceError> {
        let state = tx.find_group(self.group)?.ok_or(ServiceError::UnknownGroup)?;
        let member = self.sender.member(tx, self.group)?;
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
        let Actor::Here(principal) = self.sender else { return self.check_coming(tx) };
        blobs::check_references(tx, principal, &self.blobs)
    }

    /// Whether the attachments that another home hands over fit.
    fn check_coming(&self, tx: &WriteTx<'_>) -> Result<(), ServiceError> {
        let Some(coming) = self.coming.from(self.sender) else { return Ok(()) };
        match attachments::check(&self.config, tx, coming, self.coming.room)? {
            None => Ok(()),
            Some(Outcome::Later) => Err(ServiceError::StorageFull),
            Some(Outcome::Conflict) => Err(ServiceError::BlobConflict),
            Some(_) => Err(ServiceError::BlobTooLarge { limit: self.config.blobs.max_blob_bytes }),
        }
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

    /// Which devices and homes take it. Writes nothing.
    fn recipients(
        &self,
        tx: &mut WriteTx<'_>,
        members: &[ParticipantId],
    ) -> Result<Recipients, ServiceError> {
        let sealed_apart = self.header.suite == GroupSuite::ContentKey;
        let quota = self.config.mail.quota();
        let sender = self.sender.participant();
        let own_device = match self.sender {
            Actor::Here(principal) => Some(principal.device),
            Actor::There { .. } => None,
        };
        let mut all = Recipients::default();
        let mut ways: HashMap<Fingerprint, Option<Fingerprint>> = HashMap::new();
        for member in members {
            let slot = self.slots.get(member);
            let Some(entry) = tx.directory_entry(*member)? else {
                match self.remote(tx, *member, slot, &mut ways)? {
                    Remote::Reached(remote) => all.elsewhere.push(remote),
                    Remote::LeftOut => all.left_out.push(*member),
                    Remote::NotMeant => {}
                }
                continue;
            };
            // The same for whoever has two homes, and posts over the other.
            if *member == sender && own_device.is_none() {
                continue;
            }
            let size = self.envelope.len() + slot.map_or(0, |slot| slot.bytes.len());
            let offer = Offer {
                kind: Kind::Posting,
                source: self.sender.source(),
                size: size as u64,
                only: None,
                except: own_device,
                is_sealed: !sealed_apart || slot.is_some(),
                is_repeated: false,
            };
            let fine = Circumstances::FINE;
            let decision =
                recipients::decide_for(tx, &entry, Devices::of(&entry), sender, &offer, fine, &quota)?;
            // Nobody in a group hears what becomes of it with somebody else.
            let Decision::Keep { takers, copy_to } = decision else { continue };
            let bundle_version = slot.map_or(0, |slot| slot.version);
            let slot = slot.map(|slot| slot.bytes.clone());
            if let Some(home) = copy_to {
                let sender_device = own_device.filter(|_| *member == sender);
                all.elsewhere.push(RemoteRecipient {
                    participant: *member,
                    home,
                    via: home,
                    slot: slot.clone(),
                    copy: Some(CopyFor { device: None, sender_device }),
                });
            }
            all.here.push(Recipient { participant: *member, takers, slot, bundle_version });
        }
        Ok(all)
    }

    /// A member who lives elsewhere, if there is a way; the sender's own devices are the sender's home's matter.
    fn remote(
        &self,
        tx: &WriteTx<'_>,
        participant: ParticipantId,
        slot: Option<&Slot>,
        ways: &mut HashMap<Fingerprint, Option<Fingerprint>>,
    ) -> Result<Remote, ServiceError> {
        let sealed_apart = self.header.suite == GroupSuite::ContentKey;
        if participant == self.sender.participant() || (sealed_apart && slot.is_none()) {
            return Ok(Remote::NotMeant);
        }
        let Some(member) = tx.find_group_member(self.group, participant)? else {
            return Ok(Remote::NotMeant);
        };
        if tx.is_blocked_remote(participant)? {
            return Ok(Remote::LeftOut);
        }
        // With two homes, the one that is used for their other mail.
        let known = finding::find_placed(tx, participant, member.home, member.fingerprint)?;
        let home = known.map_or(member.home, |row| row.home);
        let via = match ways.get(&home) {
            Some(via) => *via,
            None => {
                let via = sending::way_to_member(tx, participant, home)?.map(|way| way.via);
                ways.insert(home, via);
                via
            }
        };
        let slot = slot.map(|slot| slot.bytes.clone());
        let reached = |via| Remote::Reached(RemoteRecipient { participant, home, via, slot, copy: None });
        Ok(via.map_or(Remote::LeftOut, reached))
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
    let is_here = super::is_here(app, id).await?;
    let keys = request.messages.len().min(MAX_GROUP_KEYS_AT_ONCE) as u64;
    let cost = if is_here { cost(keys) } else { cost(keys * MEMBERS_PER_SUBMISSION / KEYS_PER_SUBMISSION) };
    app.rates.messages(sender.participant, cost, app.clock.elapsed())?;
    if request.messages.is_empty() || request.messages.len() > MAX_GROUP_KEYS_AT_ONCE {
        return Err(ServiceError::Malformed(format!("1 to {MAX_GROUP_KEYS_AT_ONCE} envelopes at once")));
    }
    if !is_here {
        return elsewhere::hand_out_keys(app, sender, id, request).await;
    }
    let mut refused = Vec::new();
    let mut submissions = Vec::with_capacity(request.messages.len());
    for message in request.messages {
        let to = message.to;
        match delivery::Submission::between(app, sender, request.id, to, message.envelope) {
            // Both are seen to belong to the group before it is stored.
            Ok(submission) => submissions.push((to, submission.about_group_keys())),
            Err(error) => refused.push((to, error)),
        }
    }
    let stored = app.store.write(move |tx| hand_out(tx, sender.participant, id, submissions)).await?;
    let (more, wake) = stored;
    wake.into_iter().for_each(|neighbour| app.links.wake(neighbour));
    refused.extend(more);
    Ok(refused)
}

/// Members whose envelopes were not taken, and why.
type NotHandedOut = Vec<(ParticipantId, ServiceError)>;

fn hand_out(
    tx: &mut WriteTx<'_>,
    sender: ParticipantId,
    id: GroupId,
    submissions: Vec<(ParticipantId, delivery::Submission)>,
) -> Result<(NotHandedOut, HashSet<Fingerprint>), ServiceError> {
    let belongs = |tx: &WriteTx<'_>, who| {
        let member = tx.find_group_member(id, who)?;
        Ok::<_, StoreError>(member.is_some_and(|member| !member.suspended))
    };
    if !belongs(tx, sender)? {
        return Err(ServiceError::UnknownGroup);
    }
    let (mut refused, mut wake) = (Vec::new(), HashSet::new());
    for (to, submission) in submissions {
        if !belongs(tx, to)? {
            refused.push((to, ServiceError::UnknownGroup));
            continue;
        }
        match submission.store(tx) {
            Ok(delivery::Stored::Here(copies)) => wake.extend(copies.iter().map(|copy| copy.to)),
            Ok(delivery::Stored::OnItsWay(neighbour, copies)) => {
                wake.insert(neighbour);
                wake.extend(copies.iter().map(|copy| copy.to));
            }
            Ok(delivery::Stored::Elsewhere) => refused.push((to, ServiceError::HomeUnreachable)),
            // What is nobody's fault fails all of them.
            Err(error @ (ServiceError::Internal(_) | ServiceError::StorageFull | ServiceError::Busy)) => {
                return Err(error);
            }
            Err(error) => refused.push((to, error)),
        }
    }
    Ok((refused, wake))
}
