//! Submission: an envelope comes in, is checked from outside, and is on disk before the answer.

use std::sync::Arc;

use momedo_protocol::api;
use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::envelope::{self, Header};
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::message_id::MessageId;
use momedo_texts::Refusal as _;

use super::neighbours::absent;
use super::neighbours::finding::{self, Asker};
use super::neighbours::sending::{self, Way};
use super::recipients::{self, Circumstances, Devices};
use super::second_home::copying::{self, CopySent};
use super::senders::active_sender;
use super::{ServiceError, blobs};
use crate::domain::delivery::{Decision, Keys, Kind, Offer, Refusal, Takers};
use crate::domain::ozone::{QueueFull, Quota, Source, fits_sender};
use crate::domain::receipt::ReceiptKey;
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::{
    Charged, Conversation, CopyFor, DirectoryEntry, Known, NewEnvelope, Outgoing, OutgoingKey, WriteTx,
};

/// Accepts a sealed envelope for a participant's ozone; the answer means that it is on disk.
///
/// Submitting the same bytes again gets the same answer.
///
/// # Errors
/// What [`ServiceError`] says of envelopes, bundles, full queues and conflicts.
pub async fn submit(
    app: &App,
    sender: Principal,
    request: api::SubmitRequest,
) -> Result<api::Receipt, ServiceError> {
    let id = request.id;
    let taken = take(app, sender, request).await;
    counted(app, taken)?;
    app.activity.count(app.clock.now());
    Ok(api::Receipt { id, status: api::ReceiptStatus::Accepted })
}

async fn take(app: &App, sender: Principal, request: api::SubmitRequest) -> Result<(), ServiceError> {
    app.rates.message(sender.participant, app.clock.elapsed())?;
    store(app, Submission::read(app, sender, request)?).await
}

/// Counts a refused message, for whoever watches the server.
pub(crate) fn counted<T>(app: &App, result: Result<T, ServiceError>) -> Result<T, ServiceError> {
    result.inspect_err(|error| app.counts.refuse(error.word()))
}

/// Accepts an envelope that counts as a part of something else, such as a group's key for one of its members.
///
/// # Errors
/// As [`submit`].
pub(super) async fn submit_between(
    app: &App,
    sender: Principal,
    id: MessageId,
    to: ParticipantId,
    envelope: Base64Bytes,
) -> Result<(), ServiceError> {
    store(app, Submission::between(app, sender, id, to, envelope)?).await
}

/// Stores a submission, and looks for the way first if the recipient lives elsewhere.
async fn store(app: &App, submission: Submission) -> Result<(), ServiceError> {
    let (sender, to) = (submission.sender, submission.to);
    let submission = Arc::new(submission);
    let mut asked = false;
    loop {
        let waiting = submission.clone();
        match app.store.write_decided(move |tx| waiting.store(tx)).await? {
            Stored::Here(copies) => return copying::arrived(app, copies).await,
            Stored::OnItsWay(neighbour, copies) => {
                app.links.wake(neighbour);
                return copying::arrived(app, copies).await;
            }
            Stored::Elsewhere if asked => return Err(absent::why(app, sender.participant, to).await?),
            Stored::Elsewhere => {
                let found = finding::find(app, Asker::Participant(sender.participant), to).await?;
                if found.is_none() {
                    return Err(absent::why(app, sender.participant, to).await?);
                }
                asked = true;
            }
        }
    }
}

fn check_envelope(bytes: &[u8], id: MessageId, limit: usize) -> Result<Header, ServiceError> {
    if bytes.len() > limit {
        return Err(ServiceError::EnvelopeTooLarge { limit });
    }
    let header = envelope::decode(bytes)?.header;
    if header.message_id == id { Ok(header) } else { Err(ServiceError::MessageIdMismatch) }
}

/// An envelope that was looked at from outside.
pub(super) struct Submission {
    digest: [u8; 16],
    receipt_key: Arc<ReceiptKey>,
    sender: Principal,
    id: MessageId,
    to: ParticipantId,
    device: Option<DeviceId>,
    accepted_at: momedo_protocol::time::UnixMillis,
    quota: Quota,
    /// Whether it is handed out to a member of a group that the sender belongs to, too.
    is_about_group_keys: bool,
    /// Most bytes that may wait of the sender.
    sender_limit: u64,
    /// How much of what may wait for a neighbour one sender may fill.
    sender_share_percent: u64,
    envelope: (Header, Vec<u8>),
    own_devices: Option<(Header, Vec<u8>)>,
    blobs: Vec<BlobId>,
}

/// What became of a submission that was not refused.
pub(super) enum Stored {
    /// In a queue of this server; copies go to second homes.
    Here(Vec<CopySent>),
    /// In the outbox for this neighbour; copies go to second homes.
    OnItsWay(Fingerprint, Vec<CopySent>),
    /// Not stored: the recipient lives elsewhere, and the way there has to be asked for.
    Elsewhere,
}

/// What is kept for whom once it is decided that a submission is taken.
#[derive(Default)]
struct Taking {
    takers: Takers,
    /// To the home of a recipient who lives elsewhere.
    way: Option<Way>,
    /// Of the bundle sealed to; 0 for device keys.
    bundle_version: u32,
    /// The sender's other devices, with the version of the own bundle.
    own: Option<(Takers, u32)>,
    /// The recipient's other home.
    copy_to: Option<Fingerprint>,
    /// The sender's other home, for what own devices get.
    own_copy_to: Option<Fingerprint>,
}

impl Submission {
    fn read(app: &App, sender: Principal, request: api::SubmitRequest) -> Result<Self, ServiceError> {
        blobs::check_count(&request.blobs)?;
        let limit = app.config().mail.max_envelope_bytes;
        let header = check_envelope(&request.envelope.0, request.id, limit)?;
        let own_header = request
            .own_devices
            .as_ref()
            .map(|copy| check_envelope(&copy.0, request.id, limit))
            .transpose()?;
        Ok(Self {
            digest: app.store.receipt_key().digest(&request),
            receipt_key: app.store.receipt_key().clone(),
            sender,
            id: request.id,
            to: request.to,
            device: request.device,
            accepted_at: app.clock.now(),
            quota: app.config().mail.quota(),
            sender_limit: app.config().mail.max_sender_bytes,
            sender_share_percent: app.config().mail.sender_share_percent,
            envelope: (header, request.envelope.0),
            own_devices: own_header.zip(request.own_devices.map(|copy| copy.0)),
            blobs: request.blobs,
            is_about_group_keys: false,
        })
    }

    /// The same, said to be about keys of a group that the caller has seen both belong to.
    pub(super) fn about_group_keys(self) -> Self {
        Self { is_about_group_keys: true, ..self }
    }

    /// One from participant to participant, without a copy for own devices.
    pub(super) fn between(
        app: &App,
        sender: Principal,
        id: MessageId,
        to: ParticipantId,
        envelope: Base64Bytes,
    ) -> Result<Self, ServiceError> {
        Self::read(app, sender, bare(id, to, envelope.0))
    }

    /// Decides everything before it writes anything.
    pub(super) fn store(&self, tx: &mut WriteTx<'_>) -> Result<Stored, ServiceError> {
        let (id, sender, to) = (self.id, self.sender.participant, self.to);
        // A session may have begun in the very moment its device was revoked.
        let own = active_sender(tx, self.sender)?;
        let decision = match self.decide(tx, &own) {
            Ok(Some(decision)) => decision,
            Ok(None) => {
                return match tx.known_message(id, sender, Conversation::With(to), &self.digest)? {
                    Known::New => Ok(Stored::Elsewhere),
                    Known::Same => Ok(Stored::Here(Vec::new())),
                    Known::Different => Err(ServiceError::MessageConflict),
                };
            }
            // What was accepted stays accepted, even if it would be refused by now.
            Err(refusal) => {
                return match tx.known_message(id, sender, Conversation::With(to), &self.digest)? {
                    Known::New => Err(refusal),
                    Known::Same => Ok(Stored::Here(Vec::new())),
                    Known::Different => Err(ServiceError::MessageConflict),
                };
            }
        };
        // Whoever repeats waits for copies that are still on their way, too.
        let key = |recipient| self.key(recipient);
        let own_home = own.other_home.filter(|_| self.own_devices.is_some());
        let copies: Vec<CopySent> = [(decision.copy_to, to), (own_home, sender)]
            .into_iter()
            .filter_map(|(home, recipient)| Some(CopySent { to: home?, key: key(recipient) }))
            .collect();
        match tx.remember_message(id, sender, Conversation::With(to), &self.digest)? {
            Known::Same => return Ok(Stored::Here(copies)),
            Known::Different if self.came_as_copy(tx)? => return Ok(Stored::Here(Vec::new())),
            Known::Different => return Err(ServiceError::MessageConflict),
            Known::New => {}
        }
        let copy = |home: Fingerprint, recipient, envelope: &[u8], copy: CopyFor| {
            let (key, blobs) = (key(recipient), self.blobs.as_slice());
            tx.insert_outgoing(&Outgoing { key, home, via: home, envelope, blobs, copy: Some(copy) })
        };
        // Of a message to oneself one copy is all there is.
        let sender_device = (to == sender).then_some(self.sender.device);
        if let Some(home) = decision.copy_to {
            copy(home, to, &self.envelope.1, CopyFor { device: self.device, sender_device })?;
        }
        if let (Some(home), Some((_, own_copy))) = (decision.own_copy_to, &self.own_devices) {
            let sender_device = Some(self.sender.device);
            copy(home, sender, own_copy, CopyFor { device: None, sender_device })?;
        }
        let accepted_at = self.accepted_at;
        let kept = |bytes, bundle_version| NewEnvelope {
            sender,
            message_id: id,
            accepted_at,
            bundle_version,
            source: Source::Here,
            charged: Charged::Sender,
            bytes,
        };
        let mut via = None;
        if let Some(way) = decision.way {
            let (envelope, blobs) = (self.envelope.1.as_slice(), self.blobs.as_slice());
            let (home, neighbour) = (way.home, way.via);
            tx.insert_outgoing(&Outgoing {
                key: key(to),
                home,
                via: neighbour,
                envelope,
                blobs,
                copy: None,
            })?;
            via = Some(neighbour);
        } else {
            tx.append(to, &decision.takers, kept(self.envelope.1.clone(), decision.bundle_version))?;
        }
        if !self.blobs.is_empty() {
            let own = decision.own.iter().flat_map(|(takers, _)| &takers.taking);
            blobs::hold(tx, &self.blobs, decision.takers.taking.iter().chain(own).copied())?;
        }
        if let Some(((takers, version), (_, copy))) = decision.own.zip(self.own_devices.as_ref()) {
            tx.append(sender, &takers, kept(copy.clone(), version))?;
        }
        Ok(match via {
            Some(via) => Stored::OnItsWay(via, copies),
            None => Stored::Here(copies),
        })
    }

    /// What is kept until everybody has it.
    fn bytes_kept(&self, taking: &Taking) -> u64 {
        let size = self.envelope.1.len() as u64;
        let own = taking.own.as_ref().zip(self.own_devices.as_ref());
        taking.way.map_or(0, |_| size)
            + taking.takers.bytes(size)
            + own.map_or(0, |((takers, _), (_, copy))| takers.bytes(copy.len() as u64))
    }

    fn is_new(&self, tx: &WriteTx<'_>) -> Result<bool, ServiceError> {
        let conversation = Conversation::With(self.to);
        Ok(tx.known_message(self.id, self.sender.participant, conversation, &self.digest)? == Known::New)
    }

    /// Whether the very envelope came as a copy from the sender's other home, which was lost before it could answer.
    fn came_as_copy(&self, tx: &WriteTx<'_>) -> Result<bool, ServiceError> {
        let digest = self.receipt_key.digest(&bare(self.id, self.to, self.envelope.1.clone()));
        let conversation = Conversation::With(self.to);
        Ok(tx.known_message(self.id, self.sender.participant, conversation, &digest)? == Known::Same)
    }

    /// `None` when the recipient lives elsewhere and the way there is not known.
    fn decide(&self, tx: &mut WriteTx<'_>, own: &DirectoryEntry) -> Result<Option<Taking>, ServiceError> {
        let sender = self.sender.participant;
        blobs::check_references(tx, self.sender, &self.blobs)?;
        let mut taking = match self.device {
            Some(device) => {
                let device = own_device(tx, self.sender, self.to, device, &self.envelope.0)?;
                // Whatever stands in the list of devices: one that is parked gets what makes it come back.
                let alone = Devices { receiving: &[device], parked: &[] };
                self.decide_here(tx, own, alone, Kind::Own, Keys::Fit)?
            }
            None => match tx.directory_entry(self.to)? {
                None => {
                    let (header, bytes) = &self.envelope;
                    let way =
                        sending::decide(tx, sender, self.to, header, bytes.len(), self.sender_share_percent)?;
                    let Some(way) = way else { return Ok(None) };
                    Taking { way: Some(way), ..Taking::default() }
                }
                Some(recipient) => {
                    let kind = match self.to == sender {
                        true => Kind::Own,
                        false if self.is_about_group_keys => Kind::GroupKey,
                        false => Kind::Message,
                    };
                    let keys = recipients::keys_of(tx, self.to, &recipient, &self.envelope.0)?;
                    let bundle_version = self.envelope.0.recipient_version;
                    Taking {
                        bundle_version,
                        ..self.decide_here(tx, &recipient, Devices::of(&recipient), kind, keys)?
                    }
                }
            },
        };
        if let Some((header, copy)) = &self.own_devices {
            recipients::check_keys(tx, sender, own, header)?;
            // Own devices know what they sent by its ID alone: a second copy under it would tell them nothing.
            let is_first = self.to != sender && tx.on_its_way(&self.key(sender))?.is_none();
            let offer = Offer { is_repeated: false, ..self.offer(Kind::Own, copy.len()) };
            let decision = recipients::decide_for(
                tx,
                own,
                Devices::of(own),
                sender,
                &offer,
                Circumstances::FINE,
                &self.quota,
            )?;
            if let Decision::Keep { takers, copy_to } = decision {
                taking.own_copy_to = copy_to.filter(|_| is_first);
                taking.own = Some((takers, header.recipient_version));
            }
        }
        let waiting = tx.bytes_of_sender(sender)?;
        if !fits_sender(waiting, self.bytes_kept(&taking), self.sender_limit) {
            return Err(ServiceError::SenderFull);
        }
        Ok(Some(taking))
    }

    /// What is kept here for somebody with queues here.
    fn decide_here(
        &self,
        tx: &mut WriteTx<'_>,
        entry: &DirectoryEntry,
        devices: Devices<'_>,
        kind: Kind,
        keys: Keys,
    ) -> Result<Taking, ServiceError> {
        // To oneself, after a message to somebody else whose copy for own devices has not arrived.
        let copy_waits =
            entry.other_home.is_some() && tx.on_its_way(&self.key(self.to))?.is_some() && self.is_new(tx)?;
        let offer = self.offer(kind, self.envelope.1.len());
        let circumstances = Circumstances { keys, copy_waits, ..Circumstances::FINE };
        let sender = self.sender.participant;
        match recipients::decide_for(tx, entry, devices, sender, &offer, circumstances, &self.quota)? {
            Decision::Keep { takers, copy_to } => Ok(Taking { takers, copy_to, ..Taking::default() }),
            Decision::Drop => Ok(Taking::default()),
            Decision::Refuse(refusal) => Err(refused(refusal)),
        }
    }

    fn offer(&self, kind: Kind, size: usize) -> Offer {
        let is_own = kind == Kind::Own && self.device.is_none();
        Offer {
            kind,
            source: Source::Here,
            size: size as u64,
            only: None,
            except: is_own.then_some(self.sender.device),
            is_sealed: true,
            is_repeated: true,
        }
    }

    fn key(&self, recipient: ParticipantId) -> OutgoingKey {
        let (sender, message_id) = (self.sender.participant, self.id);
        OutgoingKey { sender, message_id, recipient, group: None }
    }
}

/// What a sender here hears.
fn refused(refusal: Refusal) -> ServiceError {
    match refusal {
        Refusal::Erased => ServiceError::UnknownParticipant,
        Refusal::Blocked => ServiceError::Blocked,
        Refusal::NotAdmitted => ServiceError::NotAllowedAcross,
        Refusal::StaleKeys | Refusal::KeysNotYetKnown => ServiceError::StaleBundle,
        Refusal::NoDevice => ServiceError::NoDevice,
        Refusal::Full(QueueFull::SenderShare) => ServiceError::SenderShareFull,
        Refusal::Full(QueueFull::Queue | QueueFull::NeighbourShare) => ServiceError::OzoneFull,
        Refusal::CopyWaits => ServiceError::MessageConflict,
    }
}

/// An envelope from elsewhere as a submission, by which it is known here.
pub(super) fn bare(id: MessageId, to: ParticipantId, envelope: Vec<u8>) -> api::SubmitRequest {
    let envelope = Base64Bytes(envelope);
    api::SubmitRequest { id, to, device: None, envelope, own_devices: None, blobs: Vec::new() }
}

/// Checks an envelope for one of the sender's own devices.
fn own_device(
    tx: &WriteTx<'_>,
    sender: Principal,
    to: ParticipantId,
    device: DeviceId,
    header: &Header,
) -> Result<DeviceId, ServiceError> {
    if to != sender.participant {
        return Err(ServiceError::NotYours);
    }
    let row = tx.find_device(device)?.filter(|row| row.participant == to).ok_or(ServiceError::NotYours)?;
    if row.revoked {
        return Err(ServiceError::DeviceRevoked);
    }
    if row.key_digest == header.recipient_digest { Ok(row.id) } else { Err(ServiceError::StaleBundle) }
}

#[cfg(test)]
mod tests;
