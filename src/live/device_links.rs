//! Device links that are open: a small mailbox for two devices, in memory, for two minutes.
//!
//! The server passes on what it cannot read. Every step is written once, so a link that was used is of no use
//! to anybody else.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use momedo_protocol::device_link::{LinkId, LinkStep};
use momedo_protocol::id::ParticipantId;
use tokio::sync::watch;

use crate::domain::limits::{DEVICE_LINK, MAX_DEVICE_LINK_BYTES, MAX_DEVICE_LINKS};
use crate::live::sessions::Principal;

/// Every open link.
#[derive(Default)]
pub struct DeviceLinks(Mutex<HashMap<LinkId, Open>>);

struct Open {
    owner: Principal,
    until: Duration,
    steps: HashMap<LinkStep, Bytes>,
    written: watch::Sender<()>,
}

/// Why a link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRefusal {
    /// It ended, or never was.
    Unknown,
    /// The step was written before, with something else.
    Used,
    /// Only the device that opened the link writes this step.
    NotYours,
    /// The steps before it are missing.
    OutOfTurn,
    /// Too many links are open.
    Busy,
}

/// What stands in a step.
pub enum Step {
    /// It was written.
    Written(Bytes),
    /// Not yet; this tells of whatever is written next.
    Awaited(watch::Receiver<()>),
}

impl Open {
    fn check_turn(&self, step: LinkStep, writer: Option<Principal>) -> Result<(), LinkRefusal> {
        let (by_owner, before) = match step {
            LinkStep::Offer => (false, None),
            LinkStep::Challenge => (true, Some(LinkStep::Offer)),
            LinkStep::Opening => (false, Some(LinkStep::Challenge)),
            LinkStep::Handover => (true, Some(LinkStep::Opening)),
        };
        if by_owner && writer != Some(self.owner) {
            return Err(LinkRefusal::NotYours);
        }
        if before.is_some_and(|before| !self.steps.contains_key(&before)) {
            return Err(LinkRefusal::OutOfTurn);
        }
        Ok(())
    }
}

impl DeviceLinks {
    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a link; an earlier one of the same participant ends.
    ///
    /// # Errors
    /// [`LinkRefusal::Busy`].
    pub fn open(&self, owner: Principal, now: Duration) -> Result<LinkId, LinkRefusal> {
        let mut all = self.lock();
        all.retain(|_, open| open.until > now && open.owner.participant != owner.participant);
        if all.len() >= MAX_DEVICE_LINKS {
            return Err(LinkRefusal::Busy);
        }
        let link = LinkId::random();
        let (written, _) = watch::channel(());
        let until = now + DEVICE_LINK;
        all.insert(link, Open { owner, until, steps: HashMap::new(), written });
        Ok(link)
    }

    /// Refuses whoever may not write a step, whatever they bring.
    ///
    /// # Errors
    /// As [`LinkRefusal`] says.
    pub fn may_write(
        &self,
        link: LinkId,
        step: LinkStep,
        writer: Option<Principal>,
        now: Duration,
    ) -> Result<(), LinkRefusal> {
        let all = self.lock();
        let open = all.get(&link).filter(|open| open.until > now).ok_or(LinkRefusal::Unknown)?;
        open.check_turn(step, writer)
    }

    /// Writes a step; the same bytes again change nothing.
    ///
    /// # Errors
    /// As [`LinkRefusal`] says.
    pub fn write(
        &self,
        link: LinkId,
        step: LinkStep,
        writer: Option<Principal>,
        bytes: Bytes,
        now: Duration,
    ) -> Result<(), LinkRefusal> {
        let mut all = self.lock();
        let in_all: usize = all.values().flat_map(|open| open.steps.values()).map(Bytes::len).sum();
        let open = all.get_mut(&link).filter(|open| open.until > now).ok_or(LinkRefusal::Unknown)?;
        open.check_turn(step, writer)?;
        if let Some(written) = open.steps.get(&step) {
            return if *written == bytes { Ok(()) } else { Err(LinkRefusal::Used) };
        }
        if in_all + bytes.len() > MAX_DEVICE_LINK_BYTES {
            return Err(LinkRefusal::Busy);
        }
        if step == LinkStep::Offer {
            // From now on people compare, and type.
            open.until = now + DEVICE_LINK;
        }
        open.steps.insert(step, bytes);
        open.written.send_replace(());
        Ok(())
    }

    /// Reads a step.
    ///
    /// # Errors
    /// [`LinkRefusal::Unknown`].
    pub fn read(&self, link: LinkId, step: LinkStep, now: Duration) -> Result<Step, LinkRefusal> {
        let all = self.lock();
        let open = all.get(&link).filter(|open| open.until > now).ok_or(LinkRefusal::Unknown)?;
        Ok(match open.steps.get(&step) {
            Some(bytes) => Step::Written(bytes.clone()),
            None => Step::Awaited(open.written.subscribe()),
        })
    }

    /// Ends a link of this participant.
    pub fn close(&self, link: LinkId, owner: Principal) {
        let mut all = self.lock();
        if all.get(&link).is_some_and(|open| open.owner.participant == owner.participant) {
            all.remove(&link);
        }
    }

    /// Ends every link of a participant.
    pub fn close_all_of(&self, participant: ParticipantId) {
        self.lock().retain(|_, open| open.owner.participant != participant);
    }

    /// Forgets what ended.
    pub fn sweep(&self, now: Duration) {
        self.lock().retain(|_, open| open.until > now);
    }
}

#[cfg(test)]
mod tests {
    use momedo_protocol::id::DeviceId;

    use super::*;

    fn somebody(number: u64) -> Principal {
        let device = DeviceId::from_number(number).unwrap();
        Principal { participant: ParticipantId::from_number(number).unwrap(), device }
    }

    #[test]
    fn a_revocation_ends_every_link_of_the_participant_and_nobody_elses() {
        let links = DeviceLinks::default();
        let now = Duration::ZERO;
        let (ada, ben) = (links.open(somebody(1), now).unwrap(), links.open(somebody(2), now).unwrap());
        links.close_all_of(somebody(1).participant);
        let read = |link| links.read(link, LinkStep::Offer, now).map(drop);
        assert_eq!(read(ada), Err(LinkRefusal::Unknown));
        assert_eq!(read(ben), Ok(()));
    }

    #[test]
    fn every_step_is_written_once_in_turn_and_by_who_may() {
        let (links, now) = (DeviceLinks::default(), Duration::ZERO);
        let (old, other) = (somebody(1), somebody(2));
        let link = links.open(old, now).unwrap();
        let write = |step, writer, bytes: &'static [u8]| {
            links.write(link, step, writer, Bytes::from_static(bytes), now)
        };
        assert_eq!(write(LinkStep::Challenge, Some(old), b"c"), Err(LinkRefusal::OutOfTurn));
        assert_eq!(write(LinkStep::Offer, None, b"o"), Ok(()));
        assert_eq!(write(LinkStep::Offer, None, b"o"), Ok(()));
        assert_eq!(write(LinkStep::Offer, None, b"x"), Err(LinkRefusal::Used));
        assert_eq!(write(LinkStep::Opening, None, b"n"), Err(LinkRefusal::OutOfTurn));
        assert_eq!(write(LinkStep::Challenge, None, b"c"), Err(LinkRefusal::NotYours));
        assert_eq!(write(LinkStep::Challenge, Some(other), b"c"), Err(LinkRefusal::NotYours));
        assert_eq!(write(LinkStep::Challenge, Some(old), b"c"), Ok(()));
        assert_eq!(write(LinkStep::Opening, None, b"n"), Ok(()));
        assert_eq!(write(LinkStep::Handover, Some(old), b"h"), Ok(()));
        assert!(
            matches!(links.read(link, LinkStep::Handover, now), Ok(Step::Written(bytes)) if *bytes == *b"h")
        );
        links.close(link, other);
        assert!(links.read(link, LinkStep::Offer, now).is_ok());
        links.close(link, old);
        assert!(links.read(link, LinkStep::Offer, now).is_err());
    }

    #[test]
    fn a_link_ends_after_two_minutes_and_after_two_more_once_it_is_used() {
        let (links, now) = (DeviceLinks::default(), Duration::ZERO);
        let link = links.open(somebody(1), now).unwrap();
        let just_in_time = DEVICE_LINK - Duration::from_millis(1);
        assert!(links.read(link, LinkStep::Offer, DEVICE_LINK).is_err());
        links.write(link, LinkStep::Offer, None, Bytes::from_static(b"o"), just_in_time).unwrap();
        assert!(links.read(link, LinkStep::Offer, DEVICE_LINK).is_ok());
        assert!(links.read(link, LinkStep::Offer, just_in_time + DEVICE_LINK).is_err());
        // One participant has one link.
        let second = links.open(somebody(1), just_in_time).unwrap();
        assert!(links.read(link, LinkStep::Offer, just_in_time).is_err());
        assert!(links.read(second, LinkStep::Offer, just_in_time).is_ok());
    }

    #[test]
    fn there_is_a_limit_to_links_and_to_their_bytes() {
        let (links, now) = (DeviceLinks::default(), Duration::ZERO);
        let size = momedo_protocol::limits::MAX_LINK_STEP_BYTES;
        let mut taken = 0;
        for number in 0..MAX_DEVICE_LINKS as u64 {
            let link = links.open(somebody(number), now).unwrap();
            let written = links.write(link, LinkStep::Offer, None, Bytes::from(vec![0; size]), now);
            taken += usize::from(written.is_ok()) * size;
        }
        assert!(taken <= MAX_DEVICE_LINK_BYTES);
        assert_eq!(links.open(somebody(MAX_DEVICE_LINKS as u64), now), Err(LinkRefusal::Busy));
        assert!(links.open(somebody(MAX_DEVICE_LINKS as u64), DEVICE_LINK).is_ok());
    }
}
