//! The one decision about a delivery: whether somebody gets an envelope, in which of their devices' queues, which
//! devices hear that they missed something, and whether the other home gets a copy.
//!
//! Asked for what this server's people send and post, and for what neighbours bring; each of them says in its own words
//! what a [`Refusal`] means. What is known of the recipient comes in, nothing is looked up or written.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::DeviceId;

use super::ozone::{DELIVERY_BYTES, QueueFull, Queued, Quota, Source};

/// What comes for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message from somebody else.
    Message,
    /// A group's key from a fellow member: a block hides what somebody says, not the keys of groups both belong to.
    GroupKey,
    /// What somebody posted to a group.
    Posting,
    /// What somebody wrote to themselves, one of their devices to another, or a copy of what they sent.
    Own,
}

/// What comes.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// What it is.
    pub kind: Kind,
    /// Where it comes from.
    pub source: Source,
    /// Its bytes in each queue.
    pub size: u64,
    /// The only device it is for.
    pub only: Option<DeviceId>,
    /// The device that sent it, which does not get it.
    pub except: Option<DeviceId>,
    /// Whether it was sealed to the recipient; what was not, their devices only hear that they missed.
    pub is_sealed: bool,
    /// Whether somebody hears that no queue takes it, and may hand it in again: a sender here, or the sender's home. Who
    /// posts to a group here hears nothing of its members' queues, and an own full queue keeps nobody from sending.
    pub is_repeated: bool,
}

/// Whether an envelope is sealed to keys the recipient still uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keys {
    /// It is, or it is not sealed to any.
    Fit,
    /// It is sealed to keys newer than those known here, which the recipient's other home has not told of yet.
    NotYetKnown,
    /// It is not.
    Stale,
}

/// A device and what waits for it.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    /// The device.
    pub device: DeviceId,
    /// What its queue holds.
    pub queued: Queued,
}

/// What is known of the recipient.
#[derive(Debug, Clone)]
pub struct Addressee<'a> {
    /// Whether they are erased. For somebody disabled mail waits: an admin may let them in again.
    pub is_erased: bool,
    /// Whether they take nothing from the sender.
    pub blocks: bool,
    /// Whether their server's agreement with the neighbour that brings it counts them in; true for what is from here.
    pub is_admitted: bool,
    /// Whether the keys are theirs.
    pub keys: Keys,
    /// Their devices that are neither revoked nor parked.
    pub queues: &'a [Queue],
    /// Their devices that are parked.
    pub parked: &'a [DeviceId],
    /// Their other home, if there is one.
    pub other_home: Option<Fingerprint>,
    /// Whether something else of the same sender and ID is still on its way to the other home.
    pub copy_waits: bool,
}

/// Which devices take an envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Takers {
    /// Devices in whose queue it goes.
    pub taking: Vec<DeviceId>,
    /// Devices that hear later that they missed something: full, parked, or not sealed to.
    pub missing: Vec<DeviceId>,
}

impl Takers {
    /// Those of `queues` that have room for `size` bytes more from `source`, and those that have none.
    pub fn with_room(queues: &[Queue], source: Source, size: u64, quota: &Quota) -> Self {
        let mut takers = Self::default();
        for queue in queues {
            match quota.admit_from(source, queue.queued, size) {
                Ok(()) => takers.taking.push(queue.device),
                Err(_) => takers.missing.push(queue.device),
            }
        }
        takers
    }

    /// What is kept for them of an envelope of `size` bytes.
    pub fn bytes(&self, size: u64) -> u64 {
        match self.taking.len() as u64 {
            0 => 0,
            devices => size + devices * DELIVERY_BYTES,
        }
    }
}

/// What becomes of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is kept.
    Keep {
        /// For these devices.
        takers: Takers,
        /// A copy goes to this server.
        copy_to: Option<Fingerprint>,
    },
    /// It counts as delivered, and nobody gets it: the recipient takes nothing from the sender in groups either.
    Drop,
    /// It is not taken.
    Refuse(Refusal),
}

/// Why an envelope is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The recipient is erased.
    Erased,
    /// The recipient takes nothing from the sender.
    Blocked,
    /// The neighbour that brings it may not bring anything for the recipient.
    NotAdmitted,
    /// It is sealed to keys that are not used any more.
    StaleKeys,
    /// It is sealed to keys that will be known here soon.
    KeysNotYetKnown,
    /// The recipient has no device.
    NoDevice,
    /// No queue takes it; the last reason.
    Full(QueueFull),
    /// What has the same ID has to arrive at the other home first.
    CopyWaits,
}

/// Decides about one recipient.
pub fn decide(offer: &Offer, addressee: &Addressee<'_>, quota: &Quota) -> Decision {
    let is_copy = matches!(offer.source, Source::There { is_copy: true, .. });
    if addressee.is_erased {
        return Decision::Refuse(Refusal::Erased);
    }
    // Whom a copy is for, and that it may be, the other home decided.
    if !is_copy && let Some(refusal) = not_meant(offer, addressee) {
        return Decision::Refuse(refusal);
    }
    if addressee.blocks && matches!(offer.kind, Kind::Message | Kind::Posting) {
        return Decision::Drop;
    }
    let has_device = !addressee.queues.is_empty() || !addressee.parked.is_empty();
    if offer.is_repeated && offer.kind != Kind::Own && !has_device {
        return Decision::Refuse(Refusal::NoDevice);
    }
    let gets_it =
        |device: &DeviceId| offer.only.is_none_or(|only| only == *device) && offer.except != Some(*device);
    let mut takers = Takers::default();
    let (mut full, mut asked) = (None, false);
    for queue in addressee.queues.iter().filter(|queue| gets_it(&queue.device)) {
        asked = true;
        let admitted = quota.admit_from(offer.source, queue.queued, offer.size);
        if offer.is_sealed && admitted.is_ok() {
            takers.taking.push(queue.device);
        } else {
            full = admitted.err().or(full);
            takers.missing.push(queue.device);
        }
    }
    // The only device there is may be the one that sent it.
    let may_be_nobodys = !asked && (is_copy || offer.kind == Kind::Own);
    if takers.taking.is_empty() && offer.is_repeated && !may_be_nobodys {
        // Without any device that is not parked there is nowhere to keep it, until one comes back.
        return Decision::Refuse(Refusal::Full(full.unwrap_or(QueueFull::Queue)));
    }
    takers.missing.extend(addressee.parked.iter().copied().filter(gets_it));
    // Nothing is kept anywhere for whom nobody could seal to.
    let copy_to = addressee.other_home.filter(|_| !is_copy && offer.is_sealed);
    if copy_to.is_some() && addressee.copy_waits {
        return Decision::Refuse(Refusal::CopyWaits);
    }
    Decision::Keep { takers, copy_to }
}

/// Why the recipient is not meant to get it, whatever their queues hold.
fn not_meant(offer: &Offer, addressee: &Addressee<'_>) -> Option<Refusal> {
    match addressee.keys {
        _ if addressee.blocks && offer.kind == Kind::Message => Some(Refusal::Blocked),
        _ if !addressee.is_admitted => Some(Refusal::NotAdmitted),
        Keys::Fit => None,
        Keys::NotYetKnown => Some(Refusal::KeysNotYetKnown),
        Keys::Stale => Some(Refusal::StaleKeys),
    }
}

#[cfg(test)]
mod tests;
