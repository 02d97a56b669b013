//! What a log says of the participant who reads it: everybody demands to stand in it as they are.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::key_log::{KeyLogEntry, LogSubject, OwnStanding, own_standing};
use momedo_protocol::time::UnixMillis;

use super::{OR_RESTORED, devices, follow, follow_now, raise, subject};
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, now};

/// What may be demanded of the own entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Another own device's keys may wait unread.
    BeforeMail,
    /// Everything that waited was taken.
    AfterMail,
}

/// How long a second home may take to enter a bundle that the first made current, in days.
const TOLD_AFTER_DAYS: u64 = 1;

/// How long keys that nothing accounts for may wait for mail that does not all come, in milliseconds.
const LONGEST_DOUBT: u64 = 3_600_000;

/// Demands that the participant's own current bundle is the newest entry of their own subject, in the log of every home
/// that is asked. Left out, or marked as moved away, they could be replaced without a word in any log.
pub(super) async fn check_standing(
    profile: &Profile,
    session: &mut Session,
    demand: Demand,
) -> Result<(), ClientError> {
    let server = session.connection().server().fingerprint;
    let own = profile.own_bundle()?;
    if !own.payload.homes.contains(&server) {
        return Ok(());
    }
    let subject = subject(profile, server, session.id).await?;
    let standing = || -> Result<OwnStanding, ClientError> {
        let newest = profile.log_entries_of(server, subject, 0)?.first().copied();
        let newest = newest.map(|newest| (newest.version, newest.digest));
        Ok(own_standing(newest, (own.payload.version, own.digest)))
    };
    if standing()? != OwnStanding::Current {
        // It may have become current since the log was followed.
        follow_now(profile, session).await?;
    }
    let standing = standing()?;
    let shown = match standing {
        OwnStanding::Current | OwnStanding::Newer => return Ok(()),
        OwnStanding::Other if demand == Demand::BeforeMail => return Ok(()),
        // The first home tells the second, which may take its time.
        OwnStanding::Missing | OwnStanding::Older
            if session.is_second && now() < own.payload.issued_at.plus_days(TOLD_AFTER_DAYS) =>
        {
            return Ok(());
        }
        OwnStanding::Missing => "does not tell of you at all",
        OwnStanding::Moved => "says that you moved away, which none of your devices asked for",
        OwnStanding::Older => "tells of older keys as your newest",
        OwnStanding::Other => "tells of other keys as yours",
    };
    let words = format!(
        "Your server's log of key changes {shown}; your keys of now are version {} (fingerprint {}). Whoever asks the \
         server for you can be given somebody else's keys, and be read and answered in your place. {OR_RESTORED}",
        own.payload.version,
        own.fingerprint().grouped(),
    );
    raise(profile, &format!("own {standing:?} {server} {}", own.digest), &words, None)
}

/// Looks whether the log tells of keys of the participant's own that none of the own devices made. To be asked when
/// everything that waited was taken, or as much of it as `has_everything` says: another own device's keys come with
/// messages before they are published.
///
/// # Errors
/// As [`follow`].
pub(crate) async fn check_own(
    profile: &Profile,
    session: &mut Session,
    has_everything: bool,
) -> Result<(), ClientError> {
    let server = session.connection().server().fingerprint;
    follow(profile, session).await?;
    devices::watch_handed(profile, server).await?;
    devices::tell_added(profile, server)?;
    check_standing(profile, session, Demand::AfterMail).await?;
    let subject = subject(profile, server, session.id).await?;
    check_entries(profile, server, subject, has_everything)?;
    if session.is_second { Ok(()) } else { devices::follow_watched(profile, session).await }
}

/// Raises an alarm about entries in the participant's name that none of the own devices made. Newer keys of another own
/// device may have been published between the last message taken and the log: they have until everything was taken
/// again.
fn check_entries(
    profile: &Profile,
    server: Fingerprint,
    subject: LogSubject,
    has_everything: bool,
) -> Result<(), ClientError> {
    let own = profile.own_bundle()?;
    let checked = profile.log_checked(server)?;
    let end = profile.log_end(server)?.number;
    if checked == Some(end) {
        return Ok(());
    }
    let mut entries = profile.log_entries_of(server, subject, checked.unwrap_or(0))?;
    if checked.is_none() {
        // What was before this device it cannot know; the newest has to be right.
        entries.truncate(1);
    }
    let before = profile.log_unexplained(server)?;
    let mut unexplained = Vec::new();
    let mut checked = end;
    for entry in entries {
        // Newer keys have to wait here to be put into force: a revoked device may have sent others once.
        let is_known = match entry.version > own.payload.version {
            true => profile.carried_signature_key(&entry.digest)?.is_some(),
            false => profile.knows_bundle(&entry.digest)?,
        };
        // What is said of a move was judged above.
        if entry.digest == KeyLogEntry::MOVED || is_known {
            continue;
        }
        let seen = before.iter().find(|(digest, _)| *digest == entry.digest).map(|(_, at)| *at);
        if entry.version > own.payload.version && !is_due(seen, has_everything) {
            unexplained.push((entry.digest, seen.unwrap_or_else(now)));
            checked = checked.min(entry.number - 1);
            continue;
        }
        let words = format!(
            "Your server's log of key changes says that you published new keys (version {}, entry {}, at {} by its \
             clock), and none of your devices that this one knows of made them. Somebody may be read and answered in \
             your place: ask your admin, tell your contacts, and have them compare your fingerprint (momedo keys show). \
             If you made new keys on another device and this one was away for months, that is why.",
            entry.version, entry.number, entry.made_at.0,
        );
        raise(profile, &format!("own {}", entry.digest), &words, None)?;
    }
    // Last: what was raised already is raised once, should this be cut off before.
    profile.set_log_unexplained(server, &unexplained)?;
    profile.set_log_checked(server, checked)
}

/// Whether an entry that was `seen` before and is still not accounted for is told of. A server that never hands out
/// everything does not put it off for ever.
fn is_due(seen: Option<UnixMillis>, has_everything: bool) -> bool {
    seen.is_some_and(|at| has_everything || now().0.abs_diff(at.0) >= LONGEST_DOUBT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_another_device_may_come_with_the_next_mail_and_no_server_puts_the_alarm_off() {
        let long_ago = UnixMillis(now().0 - LONGEST_DOUBT);
        assert!(!is_due(None, true));
        assert!(!is_due(Some(now()), false));
        assert!(is_due(Some(now()), true));
        assert!(is_due(Some(long_ago), false));
    }
}
