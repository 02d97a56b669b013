//! What a server that was restored from an older backup is told, first thing: whatever this device has that is newer.
//!
//! The server names the life of its store before a device logs in. To one that this device has not been in, the log-in
//! brings along the own newest keys and devices and the end of the server's own log of key changes, as this device followed
//! it. Everything else follows at once: entries of groups' chains, who is blocked, the key backup. What does not work is done
//! with the next log-in; nothing of it keeps anybody from writing or reading.

use std::pin::Pin;

use momedo_protocol::cursor::StoreEpoch;
use momedo_protocol::digest::Fingerprint;

use crate::groups::chain;
use crate::held::epoch_of;
use crate::meaning::Meaning;
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, blocking, carrying, homes, key_backup};

/// Hands back what does not go along with a log-in, if the server is in another life than this device knew.
///
/// # Errors
/// [`ClientError::Profile`].
pub(crate) fn finish<'a>(
    profile: &'a Profile,
    session: &'a mut Session,
) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + 'a>> {
    Box::pin(async move {
        let server = session.connection().server().fingerprint;
        let Some(epoch) = session.epoch.filter(|_| !session.is_second) else { return Ok(()) };
        let known: Option<StoreEpoch> = profile.get(&epoch_of(server))?;
        if known == Some(epoch) {
            return Ok(());
        }
        let is_done = known.is_none() || hand_back(profile, session, server).await?;
        if is_done { profile.set(&epoch_of(server), &epoch) } else { Ok(()) }
    })
}

/// Whether a step is done: it went well, or was refused for good.
fn is_done<T>(result: Result<T, ClientError>) -> Result<bool, ClientError> {
    match result {
        Ok(_) => Ok(true),
        Err(error @ ClientError::Profile { .. }) => Err(error),
        Err(error) => {
            Ok(!matches!(Meaning::of(&error, false), Meaning::NoAnswers | Meaning::TooMuch | Meaning::Passes))
        }
    }
}

/// Each step by itself; whether all are done.
async fn hand_back(
    profile: &Profile,
    session: &mut Session,
    server: Fingerprint,
) -> Result<bool, ClientError> {
    let mut done = true;
    if session.lacks_key {
        done &= is_done(Box::pin(give_mceliece_key(profile, session)).await)?;
    }
    if session.was_behind {
        done &= is_done(Box::pin(carrying::carry_current(profile, session)).await)?;
    }
    done &= is_done(Box::pin(blocking::hand_back(profile, session)).await)?;
    done &= is_done(Box::pin(key_backup::hand_back(profile, session)).await)?;
    for group in profile.groups()?.iter().filter(|group| group.home == server) {
        done &= is_done(Box::pin(chain::sync(profile, session, group.id())).await)?;
    }
    homes::ask_soon(profile)?;
    Ok(done)
}

async fn give_mceliece_key(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let Some(digest) = profile.own_bundle()?.payload.mceliece_key else { return Ok(()) };
    let Some(key) = profile.mceliece_key(&digest)? else { return Ok(()) };
    session.store_mceliece_key(&digest, &key).await
}
