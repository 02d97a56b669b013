//! Submission: an envelope comes in, is checked from outside, and is on disk before the answer.

use std::sync::Arc;

use momedo_protocol::api;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::envelope::{self, Header};
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::limits::SUPERSEDED_BUNDLE_DAYS;
use momedo_protocol::message_id::MessageId;

use super::ServiceError;
use crate::domain::ozone::{QueueFull, Quota};
use crate::sessions::Principal;
use crate::state::App;
use crate::store::{Appended, BundleStanding, DirectoryEntry, Known, NewEnvelope, ParticipantState, WriteTx};

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
    app.rates.message(sender.participant, app.clock.elapsed())?;
    let limit = app.config.mail.max_envelope_bytes;
    let header = check_envelope(&request.envelope.0, request.id, limit)?;
    let own_header =
        request.own_devices.as_ref().map(|copy| check_envelope(&copy.0, request.id, limit)).transpose()?;
    let submission = Submission {
        digest: digest(&request),
        sender,
        id: request.id,
        to: request.to,
        device: request.device,
        accepted_at: app.clock.now(),
        quota: app.config.mail.quota(),
        envelope: (header, request.envelope.0),
        own_devices: own_header.zip(request.own_devices.map(|copy| copy.0)),
    };
    app.store.write(move |tx| submission.store(tx)).await?;
    Ok(api::Receipt { id: request.id, status: api::ReceiptStatus::Accepted })
}

fn check_envelope(bytes: &[u8], id: MessageId, limit: usize) -> Result<Header, ServiceError> {
    if bytes.len() > limit {
        return Err(ServiceError::EnvelopeTooLarge { limit });
    }
    let header = envelope::decode(bytes)?.header;
    if header.message_id == id { Ok(header) } else { Err(ServiceError::MessageIdMismatch) }
}

/// Stands for everything a repetition must repeat.
fn digest(request: &api::SubmitRequest) -> [u8; 16] {
    let own = request.own_devices.as_ref().map_or(&[][..], |copy| &copy.0);
    let device = request.device.map_or(u64::MAX, DeviceId::number);
    let mut input = Vec::with_capacity(16 + request.envelope.0.len() + own.len());
    input.extend_from_slice(&device.to_be_bytes());
    input.extend_from_slice(&(request.envelope.0.len() as u64).to_be_bytes());
    input.extend_from_slice(&request.envelope.0);
    input.extend_from_slice(own);
    // SHA-512 is the faster one where the processor has no instructions for either.
    let Sha512Digest(digest) = Sha512Digest::of(&input);
    *digest.first_chunk().expect("64 bytes begin with 16")
}

struct Submission {
    digest: [u8; 16],
    sender: Principal,
    id: MessageId,
    to: ParticipantId,
    device: Option<DeviceId>,
    accepted_at: momedo_protocol::time::UnixMillis,
    quota: Quota,
    envelope: (Header, Vec<u8>),
    own_devices: Option<(Header, Vec<u8>)>,
}

impl Submission {
    fn store(self, tx: &mut WriteTx<'_>) -> Result<(), ServiceError> {
        let sender = self.sender.participant;
        // A session may have begun in the very moment its device was revoked.
        let own = active_sender(tx, self.sender)?;
        match tx.remember_message(self.id, sender, self.to, &self.digest)? {
            Known::Same => return Ok(()),
            Known::Different => return Err(ServiceError::MessageConflict),
            Known::New => {}
        }
        let kept = |bytes, bundle_version| NewEnvelope {
            sender,
            message_id: self.id,
            accepted_at: self.accepted_at,
            bundle_version,
            bytes,
        };
        let (header, bytes) = self.envelope;
        // A message to oneself is for one's other devices.
        let others =
            || own.receiving.iter().copied().filter(|device| *device != self.sender.device).collect();
        match self.device {
            Some(device) => {
                let device = own_device(tx, self.sender, self.to, device, &header)?;
                require_taken(tx.append(self.to, &[device], &self.quota, kept(bytes, 0))?)?;
            }
            None if self.to == sender => {
                check_bundle(tx, sender, &own, &header)?;
                let others: Vec<_> = others();
                if !others.is_empty() {
                    let envelope = kept(bytes, header.recipient_version);
                    require_taken(tx.append(sender, &others, &self.quota, envelope)?)?;
                }
            }
            None => {
                let recipient = tx.directory_entry(self.to)?.ok_or(ServiceError::UnknownParticipant)?;
                if recipient.state != ParticipantState::Active {
                    return Err(ServiceError::UnknownParticipant);
                }
                check_bundle(tx, self.to, &recipient, &header)?;
                let envelope = kept(bytes, header.recipient_version);
                require_taken(tx.append(self.to, &recipient.receiving, &self.quota, envelope)?)?;
                for device in &recipient.parked {
                    tx.note_missed(*device, 1)?;
                }
            }
        }
        if let Some((header, copy)) = self.own_devices {
            check_bundle(tx, sender, &own, &header)?;
            let others: Vec<_> = others();
            // A full queue of an own forgotten device must not keep anybody from sending.
            tx.append(sender, &others, &self.quota, kept(copy, header.recipient_version))?;
        }
        Ok(())
    }
}

/// The sender's own entry, if the device may still send.
fn active_sender(tx: &mut WriteTx<'_>, sender: Principal) -> Result<Arc<DirectoryEntry>, ServiceError> {
    let own = tx.directory_entry(sender.participant)?.ok_or(ServiceError::NotLoggedIn)?;
    if !own.has_device(sender.device) {
        return Err(ServiceError::DeviceRevoked);
    }
    if own.state == ParticipantState::Active { Ok(own) } else { Err(ServiceError::Disabled) }
}

fn require_taken(appended: Appended) -> Result<(), ServiceError> {
    match (appended.taken, appended.full) {
        (0, Some(QueueFull::SenderShare)) => Err(ServiceError::SenderShareFull),
        // Without any device that is not parked there is nowhere to keep it.
        (0, _) => Err(ServiceError::OzoneFull),
        _ => Ok(()),
    }
}

/// Checks that the keys sealed to are the recipient's, and not superseded for too long.
fn check_bundle(
    tx: &WriteTx<'_>,
    recipient: ParticipantId,
    entry: &DirectoryEntry,
    header: &Header,
) -> Result<(), ServiceError> {
    let sealed_to = (u64::from(header.recipient_version), header.recipient_digest);
    if entry.current_bundle == Some(sealed_to) {
        return Ok(());
    }
    match tx.bundle_standing(recipient, header.recipient_version, &header.recipient_digest)? {
        BundleStanding::Current => Ok(()),
        BundleStanding::Superseded(since) if since.plus_days(SUPERSEDED_BUNDLE_DAYS) > tx.tick() => Ok(()),
        BundleStanding::Superseded(_) | BundleStanding::Unknown => Err(ServiceError::StaleBundle),
    }
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
