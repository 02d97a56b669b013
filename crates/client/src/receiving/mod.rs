//! Receiving: open, verify, store, show, and only then acknowledge.

mod received;
mod taking;

use std::path::Path;
use std::time::Duration;

use momedo_protocol::cursor::Cursor;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::kind::MessageReference;
use momedo_protocol::limits::MAX_OZONE_PAGE;
use momedo_protocol::message::{KIND_GROUP_KEY, Message};
use momedo_protocol::time::UnixMillis;

pub use received::{Received, ReceivedFile};
pub(crate) use received::{described, unreadable};
pub use taking::take_delivery;
pub(crate) use taking::{put_alarm, put_device_added, put_undeliverable};

use crate::devices::adopt_published_keys;
use crate::profile::Profile;
use crate::registration::Progress;
use crate::rotation::rotate_if_due;
use crate::session::Session;
use crate::{
    ClientError, blobs, blocking, groups, homes, key_backup, key_log, now, receipts, unconfirmed, watching,
};
use taking::{open, take, take_waiting, tolerate};

/// Messages fetched at once.
const PAGE: usize = 100;

/// How long the second home is asked to wait for something new.
const SECOND_WAIT: Duration = Duration::from_secs(20);

/// Setting with the server the participant registered at.
pub(crate) const REGISTERED_AT: &str = "registered-at";

/// Setting with the time the other home's queue was last emptied.
const EMPTIED_AT: &str = "second-home-emptied-at";

/// How often it is, in milliseconds: once an hour.
const EMPTY_EVERY: u64 = 3_600_000;

/// Where files that come along are saved, and how.
pub struct Saving<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// How long nothing may move before a file is given up for now.
    pub wait: Duration,
    /// Hears how far it is.
    pub progress: Progress<'a>,
}

/// Fetches, stores and shows everything that waits, then acknowledges; with `wait`, waits that long for
/// the first message. Returns how many were shown.
///
/// `show` must have put a message where the person sees it before it returns; what it fails on is shown
/// again next time.
///
/// # Errors
/// As [`ClientError`] says, or what `show` says.
pub async fn receive(
    profile: &Profile,
    session: &mut Session,
    wait: Duration,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<usize, ClientError> {
    receive_files(profile, session, wait, None, show).await
}

/// As [`receive`], and saves files of verified messages before they are shown.
///
/// # Errors
/// As [`receive`]; a file that cannot be had is no error, the message says why.
pub async fn receive_files(
    profile: &Profile,
    session: &mut Session,
    wait: Duration,
    saving: Option<&Saving<'_>>,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<usize, ClientError> {
    let mut shown = show_stored(profile, session, saving, show).await?;
    homes::follow_if_due(profile, session).await;
    if !session.is_second {
        adopt_published_keys(profile, session).await?;
        unconfirmed::submit_due(profile, session).await?;
        take_waiting(profile, session).await?;
        if !wait.is_zero() {
            // Whoever waits for mail hears of the own devices first.
            tolerate(watching::look(profile, session).await.map(drop))?;
        }
        groups::receiving::sync_all(profile, session).await?;
        shown += show_stored(profile, session, saving, show).await?;
        // Keys that could not be renewed today are renewed another day; mail is worth more.
        drop(rotate_if_due(profile, session, &|_| {}).await);
        drop(key_backup::renew_if_due(profile, session).await);
    }
    // What was known before serves when the server does not say.
    drop(blocking::refresh(profile, session).await);
    let wait = if shown > 0 { Duration::ZERO } else { wait };
    // Who is with their second home looks for the first again soon.
    let wait = if session.is_second { wait.min(SECOND_WAIT) } else { wait };
    let fetched = fetch(profile, session, wait, saving, show).await?;
    shown += fetched.shown;
    let mut oldest = Some(fetched.oldest_bundle_version);
    if profile.second_home()?.is_some() {
        oldest = match empty_other_home(profile, session, saving, show).await? {
            Some(other) => {
                shown += other.shown;
                Some(fetched.oldest_bundle_version.min(other.oldest_bundle_version))
            }
            None => None,
        };
    }
    // Something may wait at the other home that only older keys open.
    if let Some(oldest) = oldest {
        profile.erase_keys_before(oldest)?;
    }
    receipts::send_due(profile, session).await?;
    blobs::send_releases(profile, session).await?;
    let watched = watching::look(profile, session).await;
    if let Ok(locked_out) = &watched {
        tolerate(watching::finish_lock_out(profile, session, locked_out).await)?;
    }
    tolerate(watched.map(drop))?;
    tolerate(key_log::check_own(profile, session).await)?;
    Ok(shown + show_stored(profile, session, saving, show).await?)
}

/// What fetching came to.
struct Fetched {
    shown: usize,
    /// Only older keys may be erased.
    oldest_bundle_version: u64,
}

/// Fetches, stores, shows and acknowledges what waits at one home.
async fn fetch(
    profile: &Profile,
    session: &mut Session,
    mut wait: Duration,
    saving: Option<&Saving<'_>>,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<Fetched, ClientError> {
    let mut shown = 0;
    let name = cursor_name(profile, session)?;
    let mut after: Option<Cursor> = profile.get(&name)?;
    loop {
        let page = session.ozone(after, PAGE, wait).await?;
        wait = Duration::ZERO;
        if page.messages.is_empty() {
            return Ok(Fetched { shown, oldest_bundle_version: page.oldest_bundle_version });
        }
        for delivery in &page.messages {
            take(profile, session, delivery).await?;
        }
        shown += show_stored(profile, session, saving, show).await?;
        // Everything is stored: only now may the server forget it. The cursor follows last, or a
        // program killed in between would never acknowledge this page.
        session.acknowledge(page.cursor).await?;
        profile.set(&name, &page.cursor)?;
        after = Some(page.cursor);
    }
}

/// The setting with the place in the queue of the home that a session is with.
fn cursor_name(profile: &Profile, session: &mut Session) -> Result<String, ClientError> {
    let server = session.connection().server().fingerprint;
    let registered_at: Option<Fingerprint> = profile.get(REGISTERED_AT)?;
    let is_first = registered_at.unwrap_or(profile.server()?.fingerprint) == server;
    Ok(if is_first { "cursor".into() } else { format!("cursor:{server}") })
}

/// Takes what waits at the home that `session` is not with: mostly what came here already, and is dropped. Once an hour,
/// so that it does not fill up; `None` when it was not done.
async fn empty_other_home(
    profile: &Profile,
    session: &mut Session,
    saving: Option<&Saving<'_>>,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<Option<Fetched>, ClientError> {
    let emptied: Option<UnixMillis> = profile.get(EMPTIED_AT)?;
    let is_due = emptied.is_none_or(|at| now().0.saturating_sub(at.0) >= EMPTY_EVERY || at > now());
    if session.is_second || !is_due {
        return Ok(None);
    }
    let Some(mut other) = homes::second(profile, session).await else { return Ok(None) };
    match fetch(profile, &mut other, Duration::ZERO, saving, show).await {
        Ok(fetched) => {
            // People whose own home it is are told of this participant by its log.
            tolerate(key_log::check_own(profile, &mut other).await)?;
            profile.set(EMPTIED_AT, &now())?;
            Ok(Some(fetched))
        }
        Err(error @ ClientError::Profile { .. }) => Err(error),
        // It is only the other one.
        Err(_) => Ok(None),
    }
}

async fn show_stored(
    profile: &Profile,
    session: &mut Session,
    saving: Option<&Saving<'_>>,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<usize, ClientError> {
    let mut shown = 0;
    for (sender, id, event) in profile.unshown()? {
        let mut received: Received =
            serde_json::from_str(&event).map_err(|error| ClientError::Protocol(error.to_string()))?;
        if let Some(saving) = saving.filter(|_| received.verified && !received.files.is_empty()) {
            // Files may take a while.
            receipts::send_due(profile, session).await?;
            save_files(profile, session, &mut received, saving).await?;
        }
        if let Err(error) = show(&received) {
            // Nobody has read it, but it is here.
            receipts::send_due(profile, session).await?;
            return Err(ClientError::Protocol(format!("cannot show a message: {error}")));
        }
        profile.atomically(|| {
            if received.verified && !received.event {
                let reference = MessageReference { from: received.from, id: received.id };
                receipts::note_shown(profile, &reference, received.group, &received.kind)?;
            }
            profile.mark_shown(&sender, &id)
        })?;
        shown += 1;
    }
    Ok(shown)
}

/// Saves the files of a message; one that is gone or damaged says so instead.
async fn save_files(
    profile: &Profile,
    session: &mut Session,
    received: &mut Received,
    saving: &Saving<'_>,
) -> Result<(), ClientError> {
    let from = received.from;
    let kept = profile.kept_message(&MessageReference { from, id: received.id })?;
    let is_withdrawn = kept.is_some_and(|kept| kept.withdrawn);
    for file in &mut received.files {
        // Killed between saving and showing: it is there already.
        let saved = profile.saved_file(file.id, from)?.filter(|path| path.is_file());
        if saved.is_some() {
            file.saved = saved;
            continue;
        }
        if is_withdrawn {
            file.problem = Some("its sender took it back".into());
            continue;
        }
        let Saving { folder, wait, progress } = *saving;
        match blobs::save(profile, session, file.id, Some(from), folder, wait, progress).await {
            Ok(path) => file.saved = Some(path),
            // Shown another time, with its files.
            Err(error) if error.is_temporary() => return Err(error),
            Err(error @ ClientError::Profile { .. }) => return Err(error),
            Err(error) => file.problem = Some(error.to_string()),
        }
    }
    Ok(())
}

/// What was taken and not shown yet, in the order it came.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn stored(profile: &Profile) -> Result<Vec<Received>, ClientError> {
    let read =
        |event: &str| serde_json::from_str(event).map_err(|error| ClientError::Protocol(error.to_string()));
    profile.unshown()?.iter().map(|(_, _, event)| read(event)).collect()
}

/// Pages looked through for group keys before something is sealed.
const KEY_PAGES: usize = 20;

/// Takes group keys out of what waits, without showing or acknowledging anything: whoever writes before reading
/// must not make a new key because of that.
pub(crate) async fn look_for_group_keys(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let mut after: Option<Cursor> = profile.get(&cursor_name(profile, session)?)?;
    for _ in 0..KEY_PAGES {
        let page = session.ozone(after, MAX_OZONE_PAGE, Duration::ZERO).await?;
        for delivery in &page.messages {
            let Some((inner, _)) = open(profile, delivery)? else { continue };
            let Ok(claimed) = Message::unverified(&inner) else { continue };
            let says_the_same = claimed.from == delivery.from && claimed.to == Some(session.id);
            if claimed.kind == KIND_GROUP_KEY && says_the_same && claimed.id == delivery.id {
                // The chain says by its commitment which keys count, so whoever it is from.
                crate::groups::keys::take(profile, &claimed)?;
            }
        }
        if page.messages.is_empty() {
            break;
        }
        after = Some(page.cursor);
    }
    Ok(())
}
