//! Where a participant lives: one home, or two that keep each other's mail.
//!
//! Every command asks the first home, and the second one while the first does not answer. What the first home offers is
//! taken without a question, unless the participant said no; who has two homes can lose either.

use momedo_protocol::api::homes::{Home, Homes};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::time::UnixMillis;

use crate::logging_in::{SECOND, WANTED};
use crate::profile::Profile;
use crate::progress::Progress;
use crate::queue_place::REGISTERED_AT;
use crate::session::Session;
use crate::{ClientError, now, rotation};

/// Setting with the time the first home was last asked.
const ASKED_AT: &str = "homes-asked-at";

/// How often it is asked, in milliseconds: once an hour.
const EVERY: u64 = 3_600_000;

/// How long the first home is not heard of before the second's word is believed that it has taken over, in milliseconds.
const LOST: u64 = 86_400_000;

/// Has the first home asked with the next run.
pub(crate) fn ask_soon(profile: &Profile) -> Result<(), ClientError> {
    profile.remove(ASKED_AT)
}

/// Says whether a second home is wanted, and does at once what follows from it if the first home answers.
///
/// # Errors
/// As [`ClientError`] says; what was said is kept.
pub async fn choose(
    profile: &Profile,
    session: &mut Session,
    wanted: bool,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    profile.set(WANTED, &wanted)?;
    follow(profile, session, progress).await
}

/// As [`follow`], once an hour; what does not work is tried again another time. The second home is believed that it has
/// taken over only when the first was not heard of for a day: it may be the one that keeps it away.
pub(crate) async fn follow_if_due(profile: &Profile, session: &mut Session) {
    let asked: Option<UnixMillis> = profile.get(ASKED_AT).unwrap_or_default();
    let silence = asked.map_or(u64::MAX, |at| now().0.saturating_sub(at.0));
    // After a clock was put back the first home is asked anew, and the second is not believed the sooner.
    let is_due = if session.is_second {
        silence >= LOST
    } else {
        silence >= EVERY || asked.is_some_and(|at| at > now())
    };
    if is_due {
        drop(follow(profile, session, &|_| {}).await);
    }
}

/// Asks where the participant lives, and follows: takes a home that is offered, leaves one that is none any more, and
/// makes the second home the first when that has taken over.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn follow(
    profile: &Profile,
    session: &mut Session,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    let homes = session.homes().await?;
    if session.is_second {
        if homes.is_first {
            change_places(profile)?;
            session.is_second = false;
        }
        return Ok(());
    }
    if !homes.is_first {
        // This one was away, and the other took over.
        if homes.other.is_some() && homes.other.as_ref().map(|home| home.server) == second_server(profile)? {
            change_places(profile)?;
            session.is_second = true;
        }
        return Ok(());
    }
    take_or_leave(profile, session, homes, progress).await?;
    profile.set(ASKED_AT, &now())
}

fn second_server(profile: &Profile) -> Result<Option<Fingerprint>, ClientError> {
    Ok(profile.second_home()?.map(|home| home.server))
}

/// The second home is the first from now on, and the other way round.
fn change_places(profile: &Profile) -> Result<(), ClientError> {
    let Some(second) = profile.second_home()? else { return Ok(()) };
    let first = profile.server()?;
    profile.atomically(|| {
        if profile.get::<Fingerprint>(REGISTERED_AT)?.is_none() {
            profile.set(REGISTERED_AT, &first.fingerprint)?;
        }
        profile.set("addresses", &second.addresses)?;
        profile.set("server", &second.server)?;
        let former = Home { server: first.fingerprint, name: String::new(), addresses: first.addresses };
        // What the lost home had accepted for other servers may not have got there.
        profile.mark_unconfirmed_due()?;
        profile.set(SECOND, &former)
    })
}

async fn take_or_leave(
    profile: &Profile,
    session: &mut Session,
    homes: Homes,
    progress: Progress<'_>,
) -> Result<(), ClientError> {
    let wanted = profile.wants_second_home()?;
    let own = profile.own_bundle()?;
    let named = &own.payload.homes;
    let first = profile.server()?.fingerprint;
    let next = match &homes.other {
        // Its name or addresses may have changed.
        Some(other) if wanted => Some(other.clone()),
        None if wanted => homes.offered.into_iter().next(),
        _ => None,
    };
    let next_named: Vec<_> = std::iter::once(first).chain(next.as_ref().map(|home| home.server)).collect();
    if named.len() == next_named.len() && next_named.iter().all(|home| named.contains(home)) {
        return keep_second(profile, next.as_ref());
    }
    let moves_on = next.is_some() && named.iter().any(|home| !next_named.contains(home));
    // From one second home to another in two steps: the one before has to hear of it first.
    let next = next.filter(|_| !moves_on);
    let before = profile.second_home()?;
    keep_second(profile, next.as_ref())?;
    if let Err(error) = rotation::publish_homes(profile, session, progress).await {
        keep_second(profile, before.as_ref())?;
        return Err(error);
    }
    Ok(())
}

fn keep_second(profile: &Profile, home: Option<&Home>) -> Result<(), ClientError> {
    let known = profile.second_home()?;
    match (home, known) {
        (Some(home), Some(known)) if known.server == home.server && known.addresses == home.addresses => {
            Ok(())
        }
        (Some(home), _) => profile.set(SECOND, home),
        (None, _) => profile.remove(SECOND),
    }
}
