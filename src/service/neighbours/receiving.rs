//! What comes in from a neighbour: batches for this server's participants; those for others go on to `relaying`.
//!
//! An answer is given after everything it says is on disk.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use momedo_protocol::blob::{BlobId, MAX_MESSAGE_BLOBS};
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::envelope::{self, Header};
use momedo_protocol::group::{GroupId, envelope as group_envelope};
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::link::documents::{BatchHeader, BatchItem, ItemOutcome, Outcome, Receipt};
use momedo_protocol::link::{Batch, BatchId, Frame, MAX_BATCH_ITEMS, NoWay, SignedReceipt};
use momedo_protocol::rsa_key::RsaPublicKey;

use super::attachments::{self, Coming};
use super::{origins, relaying};
use crate::domain::neighbour::{Contract, Decision};
use crate::domain::ozone::Source;
use crate::links::Counted;
use crate::service::error::compute;
use crate::service::second_home::copying::{self, CopySent};
use crate::service::{ServiceError, blobs, delivery};
use crate::state::{App, AppState};
use crate::store::{
    Charged, Conversation, CopyFor, DirectoryEntry, Known, NeighbourRow, NewEnvelope, Outgoing, OutgoingKey,
    OutgoingPosting, ParticipantState, ReadTx, Recipient, RemoteRecipient, RemoteRow, StoreError, WriteTx,
};

/// When a neighbour tries again what could not be stored.
const RETRY_SECONDS: u32 = 5;

/// When it tries again what there is no room for.
pub(super) const FULL_SECONDS: u32 = 60;

/// How many envelopes a batch says it brings, before anything is verified. Those to several people travel once, so
/// its parts do not tell.
fn claimed_envelopes(batch: &Batch) -> u32 {
    let payload = batch.signed_header().and_then(|header| header.unverified_payload().ok());
    let header = payload.and_then(|payload| serde_json::from_slice::<BatchHeader>(&payload).ok());
    let count = header.map_or(batch.parts.len(), |header| header.items.len());
    // More are refused, and counted as one batch.
    u32::try_from(count.clamp(1, MAX_BATCH_ITEMS)).unwrap_or(u32::MAX)
}

/// A batch whose signature and digests fit.
pub(super) struct Checked {
    pub(super) id: BatchId,
    pub(super) header: BatchHeader,
    pub(super) batch: Batch,
    /// Of the batch's parts, in their order.
    digests: Vec<Sha512Digest>,
}

fn check(batch: Batch) -> Option<Checked> {
    let identity = RsaPublicKey::from_spki(&batch.identity_key).ok()?;
    let header = BatchHeader::verify(&batch.signed_header()?, &identity).ok()?;
    if header.items.is_empty() || header.items.len() > MAX_BATCH_ITEMS {
        return None;
    }
    let named = header.items.iter().flat_map(|item| std::iter::once(item.digest).chain(item.slot));
    let mut seen = HashSet::new();
    let digests: Vec<_> = named.filter(|digest| seen.insert(digest.0)).collect();
    // Each part once, in the order in which it is first named; nothing else.
    let fits = digests.len() == batch.parts.len()
        && digests.iter().zip(&batch.parts).all(|(digest, part)| *digest == Sha512Digest::of(part));
    let is_modest = header.items.iter().all(|item| item.blobs.len() <= MAX_MESSAGE_BLOBS);
    (fits && is_modest).then(|| Checked { id: batch.id(), header, batch, digests })
}

/// Takes a batch, and says what is to be answered.
pub async fn take(app: &AppState, neighbour: Fingerprint, batch: Batch) -> Frame {
    let id = batch.id();
    match try_take(app, neighbour, batch).await {
        Ok(answer) => answer,
        Err(ServiceError::StorageFull) => Frame::Busy { batch: id, retry_after: FULL_SECONDS },
        Err(error) => {
            tracing::warn!(%error, %neighbour, "a batch could not be taken; it will come again");
            Frame::Busy { batch: id, retry_after: RETRY_SECONDS }
        }
    }
}

async fn try_take(app: &AppState, neighbour: Fingerprint, batch: Batch) -> Result<Frame, ServiceError> {
    let id = batch.id();
    let row = app.store.read(move |tx| tx.find_neighbour(neighbour)).await?;
    let undeliverable = |reason| Ok(Frame::Undeliverable { batch: id, reason });
    if row.as_ref().is_some_and(|row| row.decision == Decision::Paused) {
        return Ok(Frame::Busy { batch: id, retry_after: FULL_SECONDS });
    }
    let Some(row) = row.filter(NeighbourRow::is_paired) else { return undeliverable(NoWay::NotAllowed) };
    let (batch, count) = compute(move || {
        let count = claimed_envelopes(&batch);
        Ok((batch, count))
    })
    .await?;
    let counted =
        app.links.count(neighbour, Counted::Envelopes, row.contract.rate(), count, app.clock.elapsed());
    if let Err(wait) = counted {
        let retry_after = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
        return Ok(Frame::Busy { batch: id, retry_after });
    }
    let Some(checked) = compute(move || Ok(check(batch))).await? else {
        tracing::warn!(%neighbour, "a neighbour brought a batch whose signature does not fit");
        return undeliverable(NoWay::Malformed);
    };
    if checked.header.origin == app.fingerprint {
        // What this server sent came back.
        return undeliverable(NoWay::TooFar);
    }
    if checked.header.home == app.fingerprint {
        deliver(app, row, checked).await
    } else {
        relaying::relay(app, row, checked).await
    }
}

/// Delivers a batch to this server's participants, and signs for it.
async fn deliver(app: &AppState, neighbour: NeighbourRow, checked: Checked) -> Result<Frame, ServiceError> {
    let Checked { id, header, batch, digests } = checked;
    let origin = header.origin;
    let brings_blobs = header.items.iter().any(|item| !item.blobs.is_empty());
    let unasked = origins::learn(app, neighbour.id, &header).await?;
    let incoming = Incoming {
        own: app.clone(),
        origin,
        via: neighbour.id,
        contract: neighbour.contract,
        unasked,
        room: if brings_blobs { blobs::available(app).await? } else { 0 },
        parts: digests.into_iter().zip(batch.parts).map(|(digest, part)| (digest.0, part.into())).collect(),
    };
    let (outcomes, copies) = app
        .store
        .write(move |tx| {
            let mut outcomes = Vec::with_capacity(header.items.len());
            let (mut posting, mut copies) = (None, Vec::new());
            for item in header.items {
                let outcome = incoming.deliver(tx, &item, &mut posting, &mut copies)?;
                outcomes.push(ItemOutcome {
                    from: item.from,
                    to: item.to,
                    id: item.id,
                    group: item.group,
                    outcome,
                });
            }
            incoming.hand_out(tx, posting)?;
            Ok::<_, ServiceError>((outcomes, copies))
        })
        .await?;
    // The sender's home forgets what this server signs for.
    copying::arrived(app, copies).await?;
    let delivered = outcomes.iter().filter(|outcome| outcome.outcome == Outcome::Delivered).count();
    for _ in 0..delivered {
        app.activity.count(app.clock.elapsed());
    }
    if brings_blobs {
        app.links.fetching.notify_one();
    }
    let signing = app.clone();
    let receipt = compute(move || {
        let receipt = Receipt { home: signing.fingerprint, origin, batch: id, outcomes };
        let identity_key = Base64Bytes(signing.identity.public().spki().to_vec());
        Ok(SignedReceipt { batch: id, identity_key, receipt: receipt.sign(&*signing.identity) })
    })
    .await?;
    Ok(Frame::Receipt(Box::new(receipt)))
}

/// Whether an envelope is sealed to keys that are still used; `None` when it is.
fn check_bundle(
    tx: &WriteTx<'_>,
    to: ParticipantId,
    recipient: &DirectoryEntry,
    header: &Header,
) -> Result<Option<Outcome>, ServiceError> {
    match delivery::check_bundle(tx, to, recipient, header) {
        Ok(()) => Ok(None),
        // A second home may not have heard of the newest keys yet.
        Err(ServiceError::StaleBundle)
            if recipient.other_home.is_some()
                && recipient
                    .current_bundle
                    .is_some_and(|(version, _)| u64::from(header.recipient_version) > version) =>
        {
            Ok(Some(Outcome::Later))
        }
        Err(ServiceError::StaleBundle) => Ok(Some(Outcome::StaleBundle)),
        Err(error) => Err(error),
    }
}

/// What is the same for all envelopes of a batch.
struct Incoming {
    own: Arc<App>,
    origin: Fingerprint,
    via: Fingerprint,
    contract: Contract,
    /// Senders from another home than the one known about whom nobody could be asked.
    unasked: BTreeSet<ParticipantId>,
    /// Free bytes on the disk.
    room: u64,
    parts: HashMap<[u8; 64], Arc<[u8]>>,
}

/// A message to a group and those of its recipients in the batch that follow each other; it is stored once.
struct Posting {
    group: GroupId,
    digest: Sha512Digest,
    envelope: NewEnvelope,
    recipients: Vec<Recipient>,
    /// Of whom another server keeps a copy.
    copies: Vec<RemoteRecipient>,
    blobs: Vec<BlobId>,
}

impl Posting {
    fn is_of(&self, item: &BatchItem) -> bool {
        (Some(self.group), self.digest) == (item.group, item.digest)
            && (self.envelope.message_id, self.envelope.sender) == (item.id, item.from)
    }
}

impl Incoming {
    /// Decides everything about one envelope before it writes anything.
    fn deliver(
        &self,
        tx: &mut WriteTx<'_>,
        item: &BatchItem,
        posting: &mut Option<Posting>,
        copies: &mut Vec<CopySent>,
    ) -> Result<Outcome, ServiceError> {
        if posting.as_ref().is_some_and(|posting| !posting.is_of(item)) {
            self.hand_out(tx, posting.take())?;
        }
        if let Some(outcome) = origins::check(tx, self.origin, self.via, &self.unasked, item)? {
            return Ok(outcome);
        }
        let Some(bytes) = self.parts.get(&item.digest.0) else { return Ok(Outcome::Malformed) };
        let config = self.own.config();
        if bytes.len() > config.mail.max_envelope_bytes {
            return Ok(Outcome::TooLarge);
        }
        let Some(sealed) = self.read(item, bytes) else { return Ok(Outcome::Malformed) };
        let request = delivery::bare(item.id, item.to, bytes.to_vec());
        let digest = self.own.store.receipt_key().digest(&request);
        let conversation = match item.group {
            Some(group) => Conversation::Member(item.to, group),
            None => Conversation::With(item.to),
        };
        // What was accepted stays accepted, even if it would be refused by now.
        match tx.known_message(item.id, item.from, conversation, &digest)? {
            Known::Same => {
                // What is signed for again may have to arrive at the other home first, as before.
                if let Some(home) = self.copied_to(tx, item)? {
                    copies.push(CopySent { to: home, key: outgoing_key(item) });
                }
                return Ok(Outcome::Delivered);
            }
            Known::Different => return Ok(Outcome::Conflict),
            Known::New => {}
        }
        let recipient = tx.directory_entry(item.to)?;
        // Mail for somebody disabled waits, as that of this server's own people does.
        let Some(recipient) = recipient.filter(|entry| entry.state != ParticipantState::Erased) else {
            return Ok(Outcome::UnknownParticipant);
        };
        // Whom a copy is for, and that it may be, the other home decided.
        if !item.copy {
            let is_refused = item.group.is_none() && recipient.blocks(item.from);
            if is_refused || !self.contract.admits(&tx.belonging(item.to)?) {
                return Ok(Outcome::NotAllowed);
            }
            if let Sealed::To(header) = &sealed
                && let Some(outcome) = check_bundle(tx, item.to, &recipient, header)?
            {
                return Ok(outcome);
            }
        }
        // As among this server's own people: what the blocked post to groups goes to everybody else.
        if recipient.blocks(item.from) {
            return Ok(Outcome::Delivered);
        }
        if recipient.receiving.is_empty() && recipient.parked.is_empty() {
            return Ok(Outcome::NoDevice);
        }
        let slot = item.slot.and_then(|digest| self.parts.get(&digest.0)).cloned();
        let size = bytes.len() + slot.as_ref().map_or(0, |slot| slot.len());
        let gets_it = |device: &DeviceId| {
            item.device.is_none_or(|only| only == *device) && item.sender_device != Some(*device)
        };
        let devices = recipient.receiving.iter().copied().filter(gets_it);
        let source = Source::There { neighbour: self.via, home: self.origin, is_copy: item.copy };
        let mut takers = tx.takers_from(source, devices.clone(), &config.mail.quota(), item.from, size)?;
        // A local sender hears that there is no room, and may repeat it; here their home repeats it. That goes for
        // somebody whose devices are all parked, too: there is room as soon as one of them comes back.
        if takers.taking.is_empty() {
            // The only device there is may be the one that sent it.
            let has_nobody = item.copy && devices.count() == 0;
            return Ok(if has_nobody { Outcome::Delivered } else { Outcome::Later });
        }
        let other_home = recipient.other_home.filter(|_| !item.copy);
        // The recipient may have sent themselves something under this ID.
        if other_home.is_some() && tx.on_its_way(&outgoing_key(item))?.is_some() {
            return Ok(Outcome::Later);
        }
        let coming = Coming {
            owner: item.from,
            is_ours: origins::lives_here_alone(tx, item.from)?,
            via: self.via,
            home: self.origin,
            blobs: &item.blobs,
        };
        if let Some(outcome) = attachments::check(&config, tx, coming, self.room)? {
            return Ok(outcome);
        }
        if item.group.is_none() && !self.is_known(tx, item)? && !self.remember_sender(tx, item)? {
            return Ok(Outcome::Later);
        }
        tx.remember_message(item.id, item.from, conversation, &digest)?;
        attachments::keep(tx, coming, &takers.taking)?;
        // After the attachments, which the other home fetches from here.
        if let Some(home) = other_home {
            let key = outgoing_key(item);
            copies.push(CopySent { to: home, key });
            if item.group.is_none() {
                let blobs: Vec<_> = item.blobs.iter().map(|blob| blob.id).collect();
                let (envelope, copy) = (&bytes[..], Some(CopyFor::default()));
                tx.insert_outgoing(&Outgoing { key, home, via: home, envelope, blobs: &blobs, copy })?;
            }
        }
        let (bundle_version, group) = match &sealed {
            Sealed::To(header) => (header.recipient_version, None),
            Sealed::ForGroup(group, version) => (*version, Some(*group)),
        };
        let envelope = || NewEnvelope {
            sender: item.from,
            message_id: item.id,
            accepted_at: self.own.clock.now(),
            bundle_version: 0,
            source,
            // What another home says of its senders is charged to that home.
            charged: Charged::Nobody,
            bytes: bytes.to_vec(),
        };
        let Some(group) = group else {
            tx.append(item.to, &takers, NewEnvelope { bundle_version, ..envelope() })?;
            for device in recipient.parked.iter().filter(|device| gets_it(device)) {
                tx.note_missed(*device, 1)?;
            }
            return Ok(Outcome::Delivered);
        };
        // Parked devices hear later that they missed something.
        takers.full.extend(recipient.parked.iter().copied().filter(gets_it));
        let posting = posting.get_or_insert_with(|| Posting {
            group,
            digest: item.digest,
            envelope: envelope(),
            recipients: Vec::new(),
            copies: Vec::new(),
            blobs: item.blobs.iter().map(|blob| blob.id).collect(),
        });
        if let Some(home) = other_home {
            let (slot, copy) = (slot.clone(), Some(CopyFor::default()));
            posting.copies.push(RemoteRecipient { participant: item.to, home, via: home, slot, copy });
        }
        posting.recipients.push(Recipient { participant: item.to, takers, slot, bundle_version });
        Ok(Outcome::Delivered)
    }

    /// The recipient's other home, if what comes goes there as a copy.
    fn copied_to(&self, tx: &mut WriteTx<'_>, item: &BatchItem) -> Result<Option<Fingerprint>, StoreError> {
        let recipient = tx.directory_entry(item.to)?;
        Ok(recipient.and_then(|entry| entry.other_home).filter(|_| !item.copy))
    }

    /// Whether nothing has to be noted of the sender: because they are known, or because their home did not say it.
    fn is_known(&self, tx: &ReadTx<'_>, item: &BatchItem) -> Result<bool, StoreError> {
        Ok(item.copy || tx.find_remote(item.from)?.is_some() || tx.find_participant(item.from)?.is_some())
    }

    /// What an envelope says outside; `None` when it contradicts its item.
    fn read(&self, item: &BatchItem, bytes: &[u8]) -> Option<Sealed> {
        let Some(group) = item.group else {
            let header = envelope::decode(bytes).ok()?.header;
            return (header.message_id == item.id && item.slot.is_none()).then_some(Sealed::To(header));
        };
        let header = group_envelope::decode(bytes).ok()?.header;
        if header.message_id != item.id || GroupId::of(&header.group) != group {
            return None;
        }
        let version = match item.slot {
            None => 0,
            Some(digest) => {
                let slot = group_envelope::decode_slot(self.parts.get(&digest.0)?).ok()?.header;
                if slot.message_id != item.id {
                    return None;
                }
                slot.recipient_version
            }
        };
        Some(Sealed::ForGroup(group, version))
    }

    /// Stores a message to a group for those recipients that were gathered.
    fn hand_out(&self, tx: &mut WriteTx<'_>, posting: Option<Posting>) -> Result<(), ServiceError> {
        let Some(Posting { group, envelope, recipients, copies, blobs, .. }) = posting else { return Ok(()) };
        let (sender, message_id) = (envelope.sender, envelope.message_id);
        let outgoing =
            OutgoingPosting { group, sender, message_id, envelope: &envelope.bytes, blobs: &blobs };
        tx.insert_outgoing_posting(outgoing, &copies)?;
        Ok(tx.append_to_group(group, &recipients, envelope)?)
    }

    /// Whoever wrote lives where the batch was signed, until a home's countersignature says otherwise. False when the
    /// neighbour's share is full of what has to stay.
    fn remember_sender(&self, tx: &WriteTx<'_>, item: &BatchItem) -> Result<bool, StoreError> {
        tx.save_remote(&RemoteRow {
            id: item.from,
            home: self.origin,
            via: self.via,
            keys: None,
            learned: tx.tick(),
            disputed_by: None,
            settled: false,
            other_home: None,
        })
    }
}

/// How an envelope is sealed, as it says outside.
enum Sealed {
    /// To one participant's keys.
    To(Header),
    /// For a group, with the version of the keys that its content key is sealed to; 0 under a group key.
    ForGroup(GroupId, u32),
}

fn outgoing_key(item: &BatchItem) -> OutgoingKey {
    OutgoingKey { sender: item.from, message_id: item.id, recipient: item.to, group: item.group }
}
