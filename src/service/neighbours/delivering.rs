//! What becomes of each envelope of a batch for this server's participants: judged before anything of it is written, then
//! kept; what was posted to a group is kept once for all of its recipients who follow each other.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::envelope::{self, Header};
use momedo_protocol::group::{GroupId, envelope as group_envelope};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::documents::{BatchItem, ItemOutcome, Outcome};

use super::attachments::{self, Coming};
use super::origins;
use crate::domain::delivery::{Decision, Keys, Kind, Offer, Refusal, Takers};
use crate::domain::neighbour::Contract;
use crate::domain::ozone::Source;
use crate::service::recipients::{self, Circumstances, Devices};
use crate::service::second_home::copying::CopySent;
use crate::service::{ServiceError, delivery};
use crate::state::App;
use crate::store::{
    Charged, Conversation, CopyFor, DirectoryEntry, Known, NewEnvelope, Outgoing, OutgoingKey,
    OutgoingPosting, ReadTx, Recipient, RemoteRecipient, RemoteRow, StoreError, WriteTx,
};

/// What is the same for all envelopes of a batch.
pub(super) struct Incoming {
    pub(super) own: Arc<App>,
    pub(super) origin: Fingerprint,
    pub(super) via: Fingerprint,
    pub(super) contract: Contract,
    /// Senders from another home than the one known about whom nobody could be asked.
    pub(super) unasked: BTreeSet<ParticipantId>,
    /// Free bytes on the disk.
    pub(super) room: u64,
    /// The envelopes and content keys, by digest.
    pub(super) parts: HashMap<[u8; 64], Arc<[u8]>>,
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

/// How an envelope is sealed, as it says outside.
enum Sealed {
    /// To one participant's keys.
    To(Header),
    /// For a group, with the version of the keys that its content key is sealed to; 0 under a group key.
    ForGroup(GroupId, u32),
}

/// An envelope that is taken.
struct Taken {
    bytes: Arc<[u8]>,
    sealed: Sealed,
    conversation: Conversation,
    /// By which it is known from now on.
    digest: [u8; 16],
    takers: Takers,
    copy_to: Option<Fingerprint>,
}

/// What becomes of an envelope.
enum Judged {
    /// It is not kept, and this is said of it.
    Ends(Outcome),
    /// It was kept before; a copy goes to this server.
    Known(Option<Fingerprint>),
    /// It is kept.
    Taken(Box<Taken>),
}

impl Incoming {
    /// Delivers what is in a batch; says what became of each item, and which copies are on their way.
    pub(super) fn deliver(
        &self,
        tx: &mut WriteTx<'_>,
        items: Vec<BatchItem>,
    ) -> Result<(Vec<ItemOutcome>, Vec<CopySent>), ServiceError> {
        let (mut outcomes, mut copies) = (Vec::with_capacity(items.len()), Vec::new());
        let mut posting: Option<Posting> = None;
        for item in items {
            if posting.as_ref().is_some_and(|posting| !posting.is_of(&item)) {
                self.hand_out(tx, posting.take())?;
            }
            let (outcome, copy_to) = match self.judge(tx, &item)? {
                Judged::Ends(outcome) => (outcome, None),
                Judged::Known(copy_to) => (Outcome::Delivered, copy_to),
                Judged::Taken(taken) => {
                    let copy_to = taken.copy_to;
                    self.keep(tx, &item, *taken, &mut posting)?;
                    (Outcome::Delivered, copy_to)
                }
            };
            copies.extend(copy_to.map(|home| CopySent { to: home, key: outgoing_key(&item) }));
            let BatchItem { from, to, id, group, .. } = item;
            outcomes.push(ItemOutcome { from, to, id, group, outcome });
        }
        self.hand_out(tx, posting)?;
        Ok((outcomes, copies))
    }

    /// Decides everything about one envelope. Writes nothing but that its sender is known from now on.
    fn judge(&self, tx: &mut WriteTx<'_>, item: &BatchItem) -> Result<Judged, ServiceError> {
        if let Some(outcome) = origins::check(tx, self.origin, self.via, &self.unasked, item)? {
            return Ok(Judged::Ends(outcome));
        }
        let Some(bytes) = self.parts.get(&item.digest.0) else { return Ok(Judged::Ends(Outcome::Malformed)) };
        let config = self.own.config();
        if bytes.len() > config.mail.max_envelope_bytes {
            return Ok(Judged::Ends(Outcome::TooLarge));
        }
        let Some(sealed) = self.read(item, bytes) else { return Ok(Judged::Ends(Outcome::Malformed)) };
        let digest = self.own.store.receipt_key().digest(&delivery::bare(item.id, item.to, bytes.to_vec()));
        let conversation = match item.group {
            Some(group) => Conversation::Member(item.to, group),
            None => Conversation::With(item.to),
        };
        let recipient = tx.directory_entry(item.to)?;
        // What was accepted stays accepted, even if it would be refused by now.
        match tx.known_message(item.id, item.from, conversation, &digest)? {
            Known::Same => {
                // What is signed for again may have to arrive at the other home first, as before.
                let other_home = recipient.and_then(|entry| entry.other_home);
                return Ok(Judged::Known(other_home.filter(|_| !item.copy)));
            }
            Known::Different => return Ok(Judged::Ends(Outcome::Conflict)),
            Known::New => {}
        }
        let Some(recipient) = recipient else { return Ok(Judged::Ends(Outcome::UnknownParticipant)) };
        let (takers, copy_to) = match self.decide(tx, item, &recipient, &sealed, bytes.len())? {
            Decision::Keep { takers, copy_to } => (takers, copy_to),
            Decision::Drop => return Ok(Judged::Ends(Outcome::Delivered)),
            Decision::Refuse(refusal) => return Ok(Judged::Ends(refused(refusal))),
        };
        if let Some(outcome) = attachments::check(&config, tx, self.coming(tx, item)?, self.room)? {
            return Ok(Judged::Ends(outcome));
        }
        if item.group.is_none() && !self.is_known(tx, item)? && !self.remember_sender(tx, item)? {
            return Ok(Judged::Ends(Outcome::Later));
        }
        let bytes = bytes.clone();
        Ok(Judged::Taken(Box::new(Taken { bytes, sealed, conversation, digest, takers, copy_to })))
    }

    fn decide(
        &self,
        tx: &mut WriteTx<'_>,
        item: &BatchItem,
        recipient: &DirectoryEntry,
        sealed: &Sealed,
        size: usize,
    ) -> Result<Decision, ServiceError> {
        let slot = item.slot.and_then(|digest| self.parts.get(&digest.0));
        let offer = Offer {
            kind: if item.group.is_some() { Kind::Posting } else { Kind::Message },
            source: self.source(item),
            size: (size + slot.map_or(0, |slot| slot.len())) as u64,
            only: item.device,
            except: item.sender_device,
            is_sealed: true,
            is_repeated: true,
        };
        let circumstances = Circumstances {
            keys: match sealed {
                Sealed::To(header) if !item.copy => recipients::keys_of(tx, item.to, recipient, header)?,
                Sealed::To(_) | Sealed::ForGroup(..) => Keys::Fit,
            },
            is_admitted: item.copy || self.contract.admits(&tx.belonging(item.to)?),
            // The recipient may have sent themselves something under this ID.
            copy_waits: recipient.other_home.is_some() && tx.on_its_way(&outgoing_key(item))?.is_some(),
        };
        let quota = self.own.config().mail.quota();
        Ok(recipients::decide_for(
            tx,
            recipient,
            Devices::of(recipient),
            item.from,
            &offer,
            circumstances,
            &quota,
        )?)
    }

    /// Keeps what was judged: as the whole, or as part of a posting that is handed out with its other recipients.
    fn keep(
        &self,
        tx: &mut WriteTx<'_>,
        item: &BatchItem,
        taken: Taken,
        posting: &mut Option<Posting>,
    ) -> Result<(), ServiceError> {
        let Taken { bytes, sealed, conversation, digest, takers, copy_to } = taken;
        tx.remember_message(item.id, item.from, conversation, &digest)?;
        attachments::keep(tx, self.coming(tx, item)?, &takers.taking)?;
        let blobs: Vec<_> = item.blobs.iter().map(|blob| blob.id).collect();
        let envelope = |bundle_version| NewEnvelope {
            sender: item.from,
            message_id: item.id,
            accepted_at: self.own.clock.now(),
            bundle_version,
            source: self.source(item),
            // What another home says of its senders is charged to that home.
            charged: Charged::Nobody,
            bytes: bytes.to_vec(),
        };
        let copy = Some(CopyFor::default());
        match sealed {
            Sealed::To(header) => {
                // After the attachments, which the other home fetches from here.
                if let Some(home) = copy_to {
                    let (key, envelope) = (outgoing_key(item), &bytes[..]);
                    tx.insert_outgoing(&Outgoing { key, home, via: home, envelope, blobs: &blobs, copy })?;
                }
                Ok(tx.append(item.to, &takers, envelope(header.recipient_version))?)
            }
            Sealed::ForGroup(group, bundle_version) => {
                let slot = item.slot.and_then(|digest| self.parts.get(&digest.0)).cloned();
                let posting = posting.get_or_insert_with(|| Posting {
                    group,
                    digest: item.digest,
                    envelope: envelope(0),
                    recipients: Vec::new(),
                    copies: Vec::new(),
                    blobs,
                });
                posting.copies.extend(copy_to.map(|home| RemoteRecipient {
                    participant: item.to,
                    home,
                    via: home,
                    slot: slot.clone(),
                    copy,
                }));
                posting.recipients.push(Recipient { participant: item.to, takers, slot, bundle_version });
                Ok(())
            }
        }
    }

    fn source(&self, item: &BatchItem) -> Source {
        Source::There { neighbour: self.via, home: self.origin, is_copy: item.copy }
    }

    fn coming<'a>(&self, tx: &ReadTx<'_>, item: &'a BatchItem) -> Result<Coming<'a>, ServiceError> {
        Ok(Coming {
            owner: item.from,
            is_ours: origins::lives_here_alone(tx, item.from)?,
            via: self.via,
            home: self.origin,
            blobs: &item.blobs,
        })
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

/// What the sender's home hears.
fn refused(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Erased => Outcome::UnknownParticipant,
        Refusal::Blocked | Refusal::NotAdmitted => Outcome::NotAllowedAcross,
        Refusal::StaleKeys => Outcome::StaleBundle,
        Refusal::NoDevice => Outcome::NoDevice,
        // A sender here hears that there is no room, and may repeat it; here their home repeats it. That goes for somebody
        // whose devices are all parked, too: there is room as soon as one of them comes back.
        Refusal::KeysNotYetKnown | Refusal::Full(_) | Refusal::CopyWaits => Outcome::Later,
    }
}

fn outgoing_key(item: &BatchItem) -> OutgoingKey {
    OutgoingKey { sender: item.from, message_id: item.id, recipient: item.to, group: item.group }
}
