//! The server's log of key changes, followed: what it shows has to continue what it showed before, keys have to stand
//! in it, and people who write to each other have to see the same one.
//!
//! An alarm is raised once, and shown with the next messages; it is kept with both signed heads where there are two.
//! A log that was told anew is followed from its beginning then, because a restored server is honest about what it
//! still has; pinned keys stay pinned.

mod devices;
mod own;

use std::time::Duration;

use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::key_log::{
    KeyLogEntry, KeyLogHead, LogGap, LogPlace, LogSubject, LogView, SignedHead, follow as check,
};
use momedo_protocol::message::Message;

pub(crate) use devices::{watch as watch_devices, watch_later};
pub(crate) use own::check_own;

use crate::profile::Profile;
use crate::profile::key_log::Newest;
use crate::session::Session;
use crate::{ClientError, inbox, known_keys, now};
use own::Demand;
use web_time::Instant;

/// How long a log that was followed to its end counts as new, in one session.
const FRESH: Duration = Duration::from_secs(60);

/// Pages read in one go: a town's log of several years.
const PAGES: usize = 2_000;

/// How far this device followed its server's log, as it is told to others; at another number if one is given and was
/// reached.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn view(profile: &Profile, number: Option<u64>) -> Result<Option<LogView>, ClientError> {
    view_of(profile, profile.server()?.fingerprint, number)
}

fn view_of(
    profile: &Profile,
    server: Fingerprint,
    number: Option<u64>,
) -> Result<Option<LogView>, ClientError> {
    let place = match number {
        Some(number) => profile.log_place(server, number)?,
        None => Some(profile.log_end(server)?),
    };
    Ok(place.map(|place| place.view(server)))
}

/// What goes along with messages: what is seen now, or nothing if the log cannot be followed, which keeps nobody from
/// writing.
pub(crate) async fn view_to_tell(
    profile: &Profile,
    session: &mut Session,
) -> Result<Option<LogView>, ClientError> {
    let followed = match follow(profile, session).await {
        Ok(()) => own::check_standing(profile, session, Demand::BeforeMail).await,
        Err(error) => Err(error),
    };
    match followed {
        Ok(()) => {
            let server = session.connection().server().fingerprint;
            Ok(view_of(profile, server, None)?.filter(|view| view.number > 0))
        }
        Err(error @ ClientError::Profile { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Follows the server's log to its end, unless that was just done.
///
/// # Errors
/// As [`ClientError`] says; [`ClientError::KeyLog`] for a log that makes no sense by itself.
pub async fn follow(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    if session.log_followed.is_some_and(|at| at.elapsed() < FRESH) {
        return Ok(());
    }
    follow_now(profile, session).await
}

/// Follows the log to what this device just published, so that it has its end.
pub(crate) async fn follow_published(profile: &Profile, session: &mut Session) {
    // What does not work now is done with the next messages.
    drop(follow_now(profile, session).await);
}

async fn follow_now(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let server = session.connection().server().fingerprint;
    follow_log(profile, session, server).await?;
    session.log_followed = Some(Instant::now());
    Ok(())
}

/// Follows the log of the server that is asked, or of another one as far as that followed it.
async fn follow_log(
    profile: &Profile,
    session: &mut Session,
    server: Fingerprint,
) -> Result<(), ClientError> {
    let elsewhere = Some(server).filter(|server| *server != session.connection().server().fingerprint);
    let mut begun_anew = false;
    for _ in 0..PAGES {
        let from = profile.log_end(server)?;
        let page = session.key_log(elsewhere, from.number).await?;
        let head = page
            .head
            .verify(server)
            .map_err(|_| ClientError::KeyLog("its end is not signed by the server".into()))?;
        // Whoever passes another server's log on may be behind what this device saw.
        if elsewhere.is_some() && profile.log_place(server, head.number)? == Some(head.place()) {
            return Ok(());
        }
        match continued(profile, server, from, &page, &head)? {
            Ok(places) => {
                let is_at_end = places.last().map_or(from.number, |place| place.number) == head.number;
                if !places.is_empty() {
                    let entries: Vec<_> = page.entries.into_iter().zip(places).collect();
                    profile.extend_log(server, from, &entries, &page.head)?;
                }
                if is_at_end {
                    return Ok(());
                }
            }
            Err(gap) if from.number > 0 && !begun_anew => {
                begun_anew = true;
                raise_gap(profile, (server, elsewhere.is_some()), from, page.head, &head, gap)?;
                profile.forget_log(server)?;
            }
            Err(gap) => return Err(ClientError::KeyLog(gap.to_string())),
        }
    }
    Err(ClientError::KeyLog("it does not end".into()))
}

fn continued(
    profile: &Profile,
    server: Fingerprint,
    from: LogPlace,
    page: &KeyLogPage,
    head: &KeyLogHead,
) -> Result<Result<Vec<LogPlace>, LogGap>, ClientError> {
    let newest = profile.newest_in_log(server, page.entries.iter().map(|entry| entry.subject))?;
    Ok(check(from, page, head, &newest))
}

/// The other explanation, said with every alarm that it may explain.
const OR_RESTORED: &str = "Either the server was restored from an older backup, or it shows different keys to \
    different people. Ask your admin which, by telephone; until that is clear, compare fingerprints with whoever you \
    write to (momedo keys show, momedo keys verify).";

fn raise_gap(
    profile: &Profile,
    (server, is_elsewhere): (Fingerprint, bool),
    seen: LogPlace,
    signed: SignedHead,
    head: &KeyLogHead,
    gap: LogGap,
) -> Result<(), ClientError> {
    let before = profile.log_head(server)?;
    let began_anew = before
        .as_ref()
        .and_then(|before| before.verify(server).ok())
        .is_some_and(|before| before.epoch != head.epoch);
    let says = if began_anew {
        " The server itself says that its database began a new life, as after a restore."
    } else {
        ""
    };
    let (seen_view, shown) = (seen.view(server), head.place().view(server));
    let whose = if is_elsewhere { format!("The server {}", server.grouped()) } else { "Your server".into() };
    let words = format!(
        "{whose}'s log of key changes does not go on where this device saw it: {gap}. Seen was number {} ({}), \
         shown is number {} ({}). {OR_RESTORED}{says}",
        seen_view.number,
        seen_view.grouped_hash(),
        shown.number,
        shown.grouped_hash(),
    );
    let heads = before.map(|before| [before, signed]);
    raise(profile, &format!("gap {seen_view} {shown}"), &words, heads.as_ref())
}

/// Keeps an alarm and has it shown with the next messages, once.
fn raise(
    profile: &Profile,
    about: &str,
    words: &str,
    heads: Option<&[SignedHead; 2]>,
) -> Result<(), ClientError> {
    profile.atomically(|| {
        if profile.keep_log_alarm(about, now(), words, heads)? {
            inbox::put_alarm(profile, words)?;
        }
        Ok(())
    })
}

/// Who somebody is in the own server's log; about ten milliseconds the first time.
async fn subject(
    profile: &Profile,
    server: Fingerprint,
    id: ParticipantId,
) -> Result<LogSubject, ClientError> {
    if let Some(subject) = profile.log_subject(server, id)? {
        return Ok(subject);
    }
    let subject = profile.platform.compute(move || LogSubject::of(server, id)).await?;
    profile.set_log_subject(server, id, subject)?;
    Ok(subject)
}

/// Whether a bundle stands in the own server's log as the newest of its participant.
///
/// # Errors
/// As [`follow`].
pub(crate) async fn vouches(
    profile: &Profile,
    session: &mut Session,
    bundle: &KeyBundle,
) -> Result<bool, ClientError> {
    let server = session.connection().server().fingerprint;
    let subject = subject(profile, server, bundle.payload.id).await?;
    let stands = || -> Result<bool, ClientError> {
        let newest = profile.log_entries_of(server, subject, 0)?.first().copied();
        Ok(newest
            .is_some_and(|newest| newest.version == bundle.payload.version && newest.digest == bundle.digest))
    };
    follow(profile, session).await?;
    if stands()? {
        return Ok(true);
    }
    // It may have become current since.
    follow_now(profile, session).await?;
    stands()
}

/// What is known of keys of a participant of another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vouching {
    /// They stand in their home's log as the newest, and this server's own log tells everybody of that home.
    Vouched,
    /// No log that this server passes on and answers for tells of their home.
    Nobody,
    /// Their home's log tells of newer ones.
    Outdated,
    /// Their home's log does not tell of them.
    Contradicted,
}

/// Whether the log of another home tells of a bundle as the newest of its participant: as it is signed by that home, as
/// far as the own server followed it, and continuing what this device saw of it before.
///
/// # Errors
/// As [`follow`].
pub(crate) async fn vouching(
    profile: &Profile,
    session: &mut Session,
    home: Fingerprint,
    bundle: &KeyBundle,
) -> Result<Vouching, ClientError> {
    follow(profile, session).await?;
    let server = session.connection().server().fingerprint;
    let is_told_of = profile.log_homes(server)?.iter().any(|(told, _)| *told == home);
    // Where the participant lives, too, that needs no telling. No other log is worth following.
    if !is_told_of && !profile.own_bundle()?.payload.homes.contains(&home) {
        return Ok(Vouching::Nobody);
    }
    match follow_log(profile, session, home).await {
        // It was a neighbour once.
        Err(error) if error.problem() == Some("unknown-key-log") => return Ok(Vouching::Nobody),
        result => result?,
    }
    let subject = subject(profile, home, bundle.payload.id).await?;
    let entries = profile.log_entries_of(home, subject, 0)?;
    let is_it = |entry: &Newest| entry.version == bundle.payload.version && entry.digest == bundle.digest;
    Ok(match entries.iter().position(is_it) {
        None => Vouching::Contradicted,
        Some(0) => Vouching::Vouched,
        Some(_) => Vouching::Outdated,
    })
}

/// Raises the alarm about keys that do not stand in the log.
pub(crate) fn raise_missing(
    profile: &Profile,
    bundle: &KeyBundle,
    home: Option<Fingerprint>,
) -> Result<(), ClientError> {
    let id = bundle.payload.id;
    let log = match home {
        None => "its own log of key changes".to_owned(),
        Some(home) => format!("the log of key changes of their home {}", home.grouped()),
    };
    let words = format!(
        "Your server shows keys of {id} that do not stand in {log} as the newest (version {}, \
         fingerprint {}). They are not used. The server may show other people other keys: tell your admin, and compare \
         fingerprints with {id}.",
        bundle.payload.version,
        bundle.fingerprint().grouped(),
    );
    raise(profile, &format!("missing {id} {}", bundle.digest), &words, None)
}

/// Whether the own server's log tells of a participant at all.
///
/// # Errors
/// As [`follow`].
pub(crate) async fn knows(
    profile: &Profile,
    session: &mut Session,
    id: ParticipantId,
) -> Result<bool, ClientError> {
    let server = session.connection().server().fingerprint;
    let subject = subject(profile, server, id).await?;
    follow(profile, session).await?;
    let newest = profile.log_entries_of(server, subject, 0)?.first().copied();
    // Who lived there and moved away is said like that.
    Ok(newest.is_some_and(|newest| newest.digest != KeyLogEntry::MOVED))
}

/// Compares what a verified message says of its sender's view of a log with what this device sees.
///
/// # Errors
/// As [`follow`]. Where there is nothing to compare with, nothing is said.
pub(crate) async fn compare(
    profile: &Profile,
    session: &mut Session,
    message: &Message,
) -> Result<(), ClientError> {
    let Some(told) = message.log.filter(|told| told.number > 0) else { return Ok(()) };
    let server = session.connection().server().fingerprint;
    if !told.is_of(server) {
        return compare_elsewhere(profile, session, message.from, told).await;
    }
    let mut place = profile.log_place(server, told.number)?;
    if place.is_some_and(|place| told.agrees(&place)) {
        return Ok(());
    }
    // The sender may have seen more, or this device may not have noticed yet that the log begins anew.
    follow_now(profile, session).await?;
    place = profile.log_place(server, told.number)?;
    if place.is_some_and(|place| told.agrees(&place)) || profile.was_seen(server, &told)? {
        return Ok(());
    }
    let seen = match place {
        Some(place) => format!("here it is {}", place.view(server).grouped_hash()),
        None => format!("here it ends at number {}", profile.log_end(server)?.number),
    };
    let words = differs("your server", message.from, told, &seen);
    raise(profile, &format!("view {}", message.from), &words, None)
}

/// The same for a sender of another server: the own server knows how far it followed that one's log.
async fn compare_elsewhere(
    profile: &Profile,
    session: &mut Session,
    from: ParticipantId,
    told: LogView,
) -> Result<(), ClientError> {
    let Some(known) = known_keys::remembered(profile, from)? else { return Ok(()) };
    let home = known.bundle.payload.homes.iter().copied().find(|home| told.is_of(*home));
    let Some(home) = home else { return Ok(()) };
    let page = match session.key_log(Some(home), told.number).await {
        Ok(page) => page,
        Err(error) if error.problem() == Some("unknown-key-log") => return Ok(()),
        Err(error) => return Err(error),
    };
    // What the own server has not followed yet says nothing.
    let Some(hash) = page.hash else { return Ok(()) };
    let place = LogPlace { number: told.number, hash };
    if told.agrees(&place) {
        return Ok(());
    }
    let seen = format!("your own server was shown {}", place.view(home).grouped_hash());
    let words = differs("their server", from, told, &seen);
    raise(profile, &format!("view {from}"), &words, None)
}

fn differs(whose: &str, from: ParticipantId, told: LogView, seen: &str) -> String {
    format!(
        "{from} sees another log of key changes of {whose} than you: at number {} they see {}, {seen}. {OR_RESTORED} \
         It may also be that the program of {from} says something untrue: compare on the telephone with momedo keys \
         log --at {}.",
        told.number,
        told.grouped_hash(),
        told.number,
    )
}
