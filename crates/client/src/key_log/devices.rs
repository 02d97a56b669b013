//! Contacts' devices, watched in the logs of their homes: that one was added is said with the next messages.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;

use super::{follow_log, subject};
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, blocking, inbox, known_keys, now};

/// Setting, with a server's fingerprint after it, with the time its log was last asked for because of contacts there.
const ASKED_AT: &str = "key-log-asked-at";

/// How often that is, in milliseconds: once an hour.
const ASK_EVERY: u64 = 3_600_000;

/// Follows the logs of contacts' homes elsewhere, once an hour.
pub(super) async fn follow_watched(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let own = session.connection().server().fingerprint;
    for server in profile.watched_logs(own)? {
        let name = format!("{ASKED_AT}:{server}");
        let asked: Option<UnixMillis> = profile.get(&name)?;
        if asked.is_some_and(|at| now().0.abs_diff(at.0) < ASK_EVERY) {
            continue;
        }
        match follow_log(profile, session, server).await {
            Ok(()) => tell_added(profile, server)?,
            // No neighbour any more, or not now.
            Err(ClientError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        profile.set(&name, &now())?;
    }
    Ok(())
}

/// Has it shown, with the next messages, that contacts' devices became more: whoever added one reads what is written to
/// them, and writes as them.
pub(super) fn tell_added(profile: &Profile, server: Fingerprint) -> Result<(), ClientError> {
    for added in profile.devices_added(server)? {
        let id = added.id;
        let words = format!(
            "{id} added a device. If that may have been somebody who took theirs, or their recovery code, ask them on \
             another way."
        );
        profile.atomically(|| {
            if !blocking::is_blocked(profile, id)? {
                inbox::put_device_added(profile, id, &added.digest, &words)?;
            }
            profile.note_devices_added(server, &added)
        })?;
    }
    Ok(())
}

/// Setting with contacts that this device was handed and does not watch yet.
const TO_WATCH: &str = "contacts-to-watch";

/// Contacts begun to be watched in one go: about ten milliseconds each.
const WATCHED_AT_ONCE: usize = 20;

/// Notes contacts that another own device, or a key backup, knew.
pub(crate) fn watch_later(profile: &Profile, ids: &[ParticipantId]) -> Result<(), ClientError> {
    profile.set(TO_WATCH, &ids)
}

/// Begins to watch handed contacts' devices, some at a time.
pub(super) async fn watch_handed(profile: &Profile, server: Fingerprint) -> Result<(), ClientError> {
    let Some(mut ids) = profile.get::<Vec<ParticipantId>>(TO_WATCH)? else { return Ok(()) };
    for id in ids.split_off(ids.len().saturating_sub(WATCHED_AT_ONCE)) {
        let known = known_keys::remembered(profile, id)?;
        if known.is_some_and(|known| known.bundle.payload.homes.contains(&server)) {
            watch(profile, server, id).await?;
        }
    }
    if ids.is_empty() { profile.remove(TO_WATCH) } else { profile.set(TO_WATCH, &ids) }
}

/// Notices from now on when the own server's log says that somebody's devices became more.
pub(crate) async fn watch(
    profile: &Profile,
    server: Fingerprint,
    id: ParticipantId,
) -> Result<(), ClientError> {
    let subject = subject(profile, server, id).await?;
    profile.watch_devices(server, subject.of_devices(), id)
}
