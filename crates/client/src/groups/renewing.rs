//! Telling every group of the own new signature key, so that a revoked device is followed by new group keys: what cannot
//! be told now is noted, and told in a later run of receiving.

use std::time::Duration;

use momedo_protocol::group::GroupId;
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::chain::{MAX_TRIES, renew, sync};
use crate::insisting::insist;
use crate::meaning::Meaning;
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, now};

/// Setting with the groups that are still to be told.
const TO_RENEW: &str = "groups-to-renew";

/// Setting with the time they were last tried.
const TRIED_AT: &str = "groups-to-renew-tried-at";

/// Pause before what could not be told is tried again, in milliseconds.
const PAUSE: u64 = 60_000;

/// How long a later run of receiving takes for it.
const LATER: Duration = Duration::from_secs(10);

/// How often a group may refuse before it is left alone.
const REFUSALS: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ToRenew {
    group: GroupId,
    refusals: u32,
}

/// Notes every group, before new keys are published: nothing that happens then keeps the groups from being told.
pub(crate) fn note_all(profile: &Profile) -> Result<(), ClientError> {
    let groups = profile.groups()?;
    let noted: Vec<_> = groups.iter().map(|state| ToRenew { group: state.id(), refusals: 0 }).collect();
    profile.set(TO_RENEW, &noted)
}

/// Tells every group of the own new signature key; each has its share of the time.
///
/// # Errors
/// What came up first, as [`ClientError`] says; the other groups are told all the same.
pub(crate) async fn renew_everywhere(
    profile: &Profile,
    session: &mut Session,
    deadline: Instant,
) -> Result<(), ClientError> {
    note_all(profile)?;
    renew_noted(profile, session, deadline).await
}

/// Tells the groups that could not be told before.
///
/// # Errors
/// As [`renew_everywhere`].
pub(crate) async fn renew_left(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let tried: Option<UnixMillis> = profile.get(TRIED_AT)?;
    // Nothing is changed at the second home.
    if session.is_second || tried.is_some_and(|at| now().0.abs_diff(at.0) < PAUSE) {
        return Ok(());
    }
    renew_noted(profile, session, Instant::now() + LATER).await
}

async fn renew_noted(profile: &Profile, session: &mut Session, deadline: Instant) -> Result<(), ClientError> {
    let noted = profile.get::<Vec<ToRenew>>(TO_RENEW)?.unwrap_or_default();
    if noted.is_empty() {
        return Ok(());
    }
    let mut first = None;
    for (done, to_renew) in noted.iter().enumerate() {
        let until = share(Instant::now(), deadline, noted.len() - done);
        let result = renew_one(profile, session, to_renew.group, until).await;
        let left = match &result {
            Ok(()) => None,
            Err(error) => still(*to_renew, Meaning::of(error, false)),
        };
        profile.atomically(|| {
            let mut noted = profile.get::<Vec<ToRenew>>(TO_RENEW)?.unwrap_or_default();
            noted.retain(|other| other.group != to_renew.group);
            noted.extend(left);
            profile.set(TO_RENEW, &noted)
        })?;
        if let Err(error) = result {
            first.get_or_insert(error);
        }
    }
    profile.set(TRIED_AT, &now())?;
    first.map_or(Ok(()), Err)
}

/// Until when one of `left` things may take that have until `deadline` together.
fn share(now: Instant, deadline: Instant, left: usize) -> Instant {
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now) / left
}

/// What is noted of a group that was not told: only refusals are counted.
fn still(to_renew: ToRenew, meaning: Meaning) -> Option<ToRenew> {
    match meaning {
        Meaning::NoAnswers | Meaning::TooMuch | Meaning::Passes => Some(to_renew),
        Meaning::Refused | Meaning::Settled => {
            let refusals = to_renew.refusals + 1;
            (refusals < REFUSALS).then_some(ToRenew { refusals, ..to_renew })
        }
    }
}

async fn renew_one(
    profile: &Profile,
    session: &mut Session,
    id: GroupId,
    deadline: Instant,
) -> Result<(), ClientError> {
    for _ in 0..MAX_TRIES {
        let synced =
            insist(profile, session, deadline, async |session| sync(profile, session, id).await).await;
        let mut state = match synced {
            Ok(synced) => synced.state,
            // A group that cannot be used, or is gone, needs no new keys.
            Err(ClientError::BrokenGroup { .. }) => return Ok(()),
            Err(error) if error.problem() == Some("unknown-group") => return Ok(()),
            Err(error) => return Err(error),
        };
        if renew(profile, session, &mut state, deadline).await? {
            return Ok(());
        }
    }
    Err(ClientError::GroupRefused("others change the group all the time; try again later".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_its_share_of_the_time_and_what_an_earlier_one_left() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(share(now, after(30), 3), after(10));
        assert_eq!(share(after(2), after(30), 2), after(16));
        assert_eq!(share(after(31), after(30), 1), after(31));
    }

    #[test]
    fn a_group_that_cannot_be_reached_stays_noted_and_one_that_refuses_not_for_ever() {
        let group = GroupId::of(&momedo_protocol::digest::Sha512Digest([1; 64]));
        let mut left = Some(ToRenew { group, refusals: 0 });
        for meaning in [Meaning::NoAnswers, Meaning::TooMuch, Meaning::Passes] {
            assert_eq!(left.and_then(|left| still(left, meaning)), left);
        }
        for _ in 1..REFUSALS {
            left = left.and_then(|left| still(left, Meaning::Refused));
        }
        assert!(left.is_some());
        assert_eq!(left.and_then(|left| still(left, Meaning::Settled)), None);
    }
}
