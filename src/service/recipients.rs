//! What the [decision about a delivery](crate::domain::delivery) is told of somebody with queues here, and which keys are
//! theirs. Only reads.

use momedo_protocol::envelope::Header;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::limits::SUPERSEDED_BUNDLE_DAYS;

use super::ServiceError;
use crate::domain::delivery::{Addressee, Decision, Keys, Kind, Offer, Takers, decide};
use crate::domain::ozone::{Quota, Source};
use crate::store::{BundleStanding, DirectoryEntry, ParticipantState, StoreError, WriteTx};

/// What is not in the recipient's entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// Whether the envelope is sealed to keys of theirs.
    pub(super) keys: Keys,
    /// Whether the agreement with the neighbour that brings it counts the recipient in.
    pub(super) is_admitted: bool,
    /// Whether something of the same ID is still on its way to their other home.
    pub(super) copy_waits: bool,
}

impl Circumstances {
    /// Nothing speaks against it.
    pub(super) const FINE: Self = Self { keys: Keys::Fit, is_admitted: true, copy_waits: false };
}

/// The devices that are asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Devices<'a> {
    /// Those with a queue.
    pub(super) receiving: &'a [DeviceId],
    /// Those that hear when they are back.
    pub(super) parked: &'a [DeviceId],
}

impl<'a> Devices<'a> {
    /// All of somebody's.
    pub(super) fn of(entry: &'a DirectoryEntry) -> Self {
        Self { receiving: &entry.receiving, parked: &entry.parked }
    }
}

/// Decides about an envelope of `sender` for the recipient with this entry.
///
/// # Errors
/// As [`StoreError`] says.
pub(super) fn decide_for(
    tx: &mut WriteTx<'_>,
    entry: &DirectoryEntry,
    devices: Devices<'_>,
    sender: ParticipantId,
    offer: &Offer,
    circumstances: Circumstances,
    quota: &Quota,
) -> Result<Decision, StoreError> {
    let queues = tx.queues(devices.receiving, offer.source, sender)?;
    let Circumstances { keys, is_admitted, copy_waits } = circumstances;
    let addressee = Addressee {
        is_erased: entry.state == ParticipantState::Erased,
        blocks: entry.blocks(sender),
        is_admitted,
        keys,
        queues: &queues,
        parked: devices.parked,
        other_home: entry.other_home,
        copy_waits,
    };
    Ok(decide(offer, &addressee, quota))
}

/// Which devices take something of `size` bytes for their own person that is not a message: nobody misses it.
///
/// # Errors
/// As [`StoreError`] says.
pub(super) fn takers_of_own(
    tx: &mut WriteTx<'_>,
    entry: &DirectoryEntry,
    who: ParticipantId,
    size: usize,
    except: Option<DeviceId>,
    quota: &Quota,
) -> Result<Takers, StoreError> {
    let devices = Devices { receiving: &entry.receiving, parked: &[] };
    let offer = Offer {
        kind: Kind::Own,
        source: Source::Here,
        size: size as u64,
        only: None,
        except,
        is_sealed: true,
        is_repeated: false,
    };
    match decide_for(tx, entry, devices, who, &offer, Circumstances::FINE, quota)? {
        Decision::Keep { takers, .. } => Ok(takers),
        Decision::Drop | Decision::Refuse(_) => Ok(Takers::default()),
    }
}

/// Whether the keys sealed to are the recipient's, and not superseded for too long.
///
/// # Errors
/// As [`StoreError`] says.
pub(super) fn keys_of(
    tx: &WriteTx<'_>,
    recipient: ParticipantId,
    entry: &DirectoryEntry,
    header: &Header,
) -> Result<Keys, StoreError> {
    let sealed_to = (u64::from(header.recipient_version), header.recipient_digest);
    if entry.current_bundle == Some(sealed_to) {
        return Ok(Keys::Fit);
    }
    let newest = entry.current_bundle.map(|(version, _)| version);
    match tx.bundle_standing(recipient, header.recipient_version, &header.recipient_digest)? {
        BundleStanding::Current => Ok(Keys::Fit),
        BundleStanding::Superseded(since) if since.plus_days(SUPERSEDED_BUNDLE_DAYS) > tx.tick() => {
            Ok(Keys::Fit)
        }
        // A restored server may have forgotten the newer keys it is sealed to; their owner has not.
        BundleStanding::Unknown if sealed_to.0 > newest.unwrap_or(0) && tx.takes_back()? => Ok(Keys::Fit),
        // A second home may not have heard of the newest keys yet.
        BundleStanding::Unknown
            if entry.other_home.is_some() && newest.is_some_and(|newest| sealed_to.0 > newest) =>
        {
            Ok(Keys::NotYetKnown)
        }
        BundleStanding::Superseded(_) | BundleStanding::Unknown => Ok(Keys::Stale),
    }
}

/// Refuses keys that are not the recipient's.
///
/// # Errors
/// [`ServiceError::StaleBundle`].
pub(super) fn check_keys(
    tx: &WriteTx<'_>,
    recipient: ParticipantId,
    entry: &DirectoryEntry,
    header: &Header,
) -> Result<(), ServiceError> {
    match keys_of(tx, recipient, entry, header)? {
        Keys::Fit => Ok(()),
        Keys::NotYetKnown | Keys::Stale => Err(ServiceError::StaleBundle),
    }
}
