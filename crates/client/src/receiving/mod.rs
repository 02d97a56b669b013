//! Receiving: open, verify, store, show, and only then acknowledge.
//!
//! Every step stands alone: what fails in one is remembered and told at the end, and never keeps mail from being shown or
//! acknowledged. What cannot be judged is set aside on disk with its reason and tried again.

pub(crate) mod questions;
mod set_aside;
mod showing;
mod taking;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use momedo_protocol::api::Delivery;
use momedo_protocol::cursor::Cursor;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
use web_time::Instant;

pub use crate::inbox::{Received, ReceivedFile};
pub use set_aside::{SetAside, set_aside};
pub use taking::take_delivery;
use taking::take_opened;

use crate::adopting::adopt_published_keys;
use crate::meaning::Meaning;
use crate::opening::open_side_by_side;
use crate::profile::Profile;
use crate::progress::Progress;
use crate::questions::Questions;
use crate::queue_place::cursor_name;
use crate::rotation::rotate_if_due;
use crate::session::Session;
use crate::{
    ClientError, blobs, blocking, contacts, groups, homes, inbox, key_backup, key_log, logging_in, now,
    receipts, unconfirmed, watching,
};
use showing::Showing;

/// Messages fetched at once.
const PAGE: usize = 100;

/// Large keys fetched in one run for those who wrote, about half a megabyte each.
const MAX_KEYS_FETCHED: usize = 8;

/// Messages opened before the first of them is taken; lines are answered in between.
const SIDE_BY_SIDE: usize = 25;

/// How long the second home is asked to wait for something new.
const SECOND_WAIT: Duration = Duration::from_secs(20);

/// Setting with the time the other home's queue was last emptied.
const EMPTIED_AT: &str = "second-home-emptied-at";

/// How often it is, in milliseconds: once an hour.
const EMPTY_EVERY: u64 = 3_600_000;

/// After so much of it nobody is asked for mail who did not answer before; one who hangs up at once is.
const SILENCE: Duration = Duration::from_secs(20);

/// Longest wait for mail that may not be asked for yet.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where files that come along are saved, and how.
pub struct Saving<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// How long nothing may move before a file is given up for now.
    pub wait: Duration,
    /// Hears how far it is.
    pub progress: Progress<'a>,
}

/// What shows a message: it must be where the person sees it before this returns.
pub type Show<'a> = dyn FnMut(&Received) -> std::io::Result<()> + Send + 'a;

/// What receiving came to.
#[derive(Debug)]
pub struct Outcome {
    /// How many messages were shown.
    pub shown: usize,
    /// What went wrong first, if anything did. Mail that could be had was shown and acknowledged all the same.
    pub failed: Option<ClientError>,
}

/// Fetches, stores and shows everything that waits, then acknowledges; with `wait`, waits that long for
/// the first message. Returns how many were shown.
///
/// What `show` fails on is shown again next time.
///
/// # Errors
/// As [`receive_files`], and what went wrong besides, once the mail was shown.
pub async fn receive(
    profile: &Profile,
    session: &mut Session,
    wait: Duration,
    show: &mut Show<'_>,
) -> Result<usize, ClientError> {
    let outcome = receive_files(profile, session, wait, None, show).await?;
    outcome.failed.map_or(Ok(outcome.shown), Err)
}

/// As [`receive`], and saves files of verified messages before they are shown.
///
/// # Errors
/// [`ClientError::Profile`] when the profile cannot be used, or what `show` says; a file that cannot be had is no error,
/// the message says why.
pub async fn receive_files(
    profile: &Profile,
    session: &mut Session,
    wait: Duration,
    saving: Option<&Saving<'_>>,
    show: &mut Show<'_>,
) -> Result<Outcome, ClientError> {
    let mut run = Run { profile, showing: Showing::new(profile, saving, show), failed: None };
    session.questions = Questions::default();
    profile.begin_run()?;
    run.receive(session, wait).await?;
    let Run { showing, failed, .. } = run;
    Ok(Outcome { shown: showing.shown, failed: failed.or(showing.failed) })
}

/// One run of receiving.
struct Run<'a> {
    profile: &'a Profile,
    showing: Showing<'a>,
    failed: Option<ClientError>,
}

impl Run<'_> {
    /// Remembers what went wrong in a step, and lets the next go on.
    fn note<T>(&mut self, session: &mut Session, result: Result<T, ClientError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                session.questions.hear_of_step(&error);
                self.failed.get_or_insert(error);
                None
            }
        }
    }

    /// The same for a step that says itself what is wrong with the server: only a line that broke and a profile that
    /// cannot be used are told here.
    fn note_grave<T>(&mut self, session: &mut Session, result: Result<T, ClientError>) -> Option<T> {
        match result {
            Err(error)
                if Meaning::of(&error, false) != Meaning::NoAnswers
                    && !matches!(error, ClientError::Profile { .. }) =>
            {
                None
            }
            result => self.note(session, result),
        }
    }

    async fn receive(&mut self, session: &mut Session, wait: Duration) -> Result<(), ClientError> {
        let (profile, begun) = (self.profile, Instant::now());
        self.showing.show_stored(session).await?;
        // First, because nothing is asked for the blocked; what was known before serves when the server does not say.
        let refreshed = blocking::refresh(profile, session).await;
        self.note_grave(session, refreshed);
        homes::follow_if_due(profile, session).await;
        if !session.is_second {
            self.prepare(session, wait).await?;
        }
        let wait = if self.showing.shown > 0 { Duration::ZERO } else { wait };
        // Who is with their second home looks for the first again soon.
        let wait = if session.is_second { wait.min(SECOND_WAIT) } else { wait };
        if let Some(reason) = session.questions.silence()
            && begun.elapsed() >= SILENCE
        {
            let addresses = session.connection().server().addresses.join(", ");
            self.failed.get_or_insert(ClientError::Unreachable { addresses, reason });
            return Ok(());
        }
        let fetched = self.fetch(session, wait).await?;
        let mut oldest = self.note(session, fetched);
        let has_everything = oldest.is_some();
        if profile.second_home()?.is_some() {
            let other = self.empty_other_home(session).await?;
            oldest = oldest.zip(other).map(|(one, other)| one.min(other));
        }
        // Something may wait at the other home that only older keys open.
        if let Some(oldest) = oldest {
            let erased = profile.erase_keys_before(oldest);
            self.note(session, erased);
        }
        if session.questions.are_answered() {
            // Before anything that takes a while: what another own device publishes later comes with the next mail.
            let checked = key_log::check_own(profile, session, has_everything).await;
            self.note_grave(session, checked);
            let sent = receipts::send_due(profile, session).await;
            self.note(session, sent);
            let released = blobs::send_releases(profile, session).await;
            self.note(session, released);
            let watched = watching::look(profile, session).await;
            if let Some(looked) = self.note_grave(session, watched).flatten() {
                let finished = watching::finish_lock_out(profile, session, looked).await;
                self.note_grave(session, finished);
            }
            fetch_keys_for_answers(profile, session, &self.showing.wrote).await;
            let answered = groups::asking::answer(profile, session).await;
            self.note_grave(session, answered);
            let asked = groups::asking::ask(profile, session).await;
            self.note_grave(session, asked);
            let renewed = groups::renewing::renew_left(profile, session).await;
            self.note(session, renewed);
        }
        let told = set_aside::tell(profile);
        self.note(session, told);
        self.showing.show_stored(session).await
    }

    /// What comes before mail is fetched, so that more of it can be judged.
    async fn prepare(&mut self, session: &mut Session, wait: Duration) -> Result<(), ClientError> {
        let profile = self.profile;
        if session.questions.are_answered() {
            let adopted = adopt_published_keys(profile, session).await;
            self.note(session, adopted);
        }
        if session.questions.are_answered() {
            let submitted = unconfirmed::submit_due(profile, session).await;
            self.note(session, submitted);
        }
        if session.questions.are_answered() && !wait.is_zero() {
            // Whoever waits for mail hears of the own devices first.
            let watched = watching::look(profile, session).await;
            self.note_grave(session, watched);
        }
        if session.questions.are_answered() {
            let synced = groups::receiving::sync_all(profile, session).await;
            self.note(session, synced);
        }
        let tried = set_aside::try_again(profile, session).await;
        self.note(session, tried);
        self.showing.show_stored(session).await?;
        if session.questions.are_answered() {
            // Keys that could not be renewed today are renewed another day; mail is worth more.
            drop(rotate_if_due(profile, session, &|_| {}).await);
            drop(key_backup::renew_if_due(profile, session).await);
        }
        Ok(())
    }

    /// Fetches, stores, shows and acknowledges what waits at one home. Returns the oldest bundle version that something
    /// may still arrive for, or why the home went no further.
    async fn fetch(
        &mut self,
        session: &mut Session,
        mut wait: Duration,
    ) -> Result<Result<u64, ClientError>, ClientError> {
        let profile = self.profile;
        let name = cursor_name(profile, session)?;
        let missed = format!("missed:{name}");
        let mut after: Option<Cursor> = profile.get(&name)?;
        loop {
            let page = patiently(session, async |session| session.ozone(after, PAGE, wait).await).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            wait = Duration::ZERO;
            let told: u64 = profile.get(&missed)?.unwrap_or_default();
            if page.missed > told {
                profile.atomically(|| {
                    inbox::put_missed(profile, page.missed - told)?;
                    profile.set(&missed, &page.missed)
                })?;
            }
            if page.messages.is_empty() {
                // The server forgets what was missed with an acknowledgement; if it takes none now, then with the next.
                if page.missed > 0 && session.acknowledge(page.cursor).await.is_ok() {
                    profile.set(&missed, &0)?;
                }
                return Ok(Ok(page.oldest_bundle_version));
            }
            let taken = take_page(profile, session, &page.messages).await;
            self.showing.show_stored(session).await?;
            taken?;
            // Everything is stored: only now may the server forget it. The cursor follows last, or a
            // program killed in between would never acknowledge this page.
            let acknowledged =
                patiently(session, async |session| session.acknowledge(page.cursor).await).await;
            if let Err(error) = acknowledged {
                return Ok(Err(error));
            }
            profile.set(&name, &page.cursor)?;
            if page.missed > 0 {
                profile.set(&missed, &0)?;
            }
            after = Some(page.cursor);
        }
    }

    /// Takes what waits at the home that `session` is not with: mostly what came here already, and is dropped. Once an
    /// hour, so that it does not fill up; `None` when it was not done.
    async fn empty_other_home(&mut self, session: &mut Session) -> Result<Option<u64>, ClientError> {
        let profile = self.profile;
        let emptied: Option<UnixMillis> = profile.get(EMPTIED_AT)?;
        let is_due = emptied.is_none_or(|at| now().0.saturating_sub(at.0) >= EMPTY_EVERY || at > now());
        if session.is_second || !is_due {
            return Ok(None);
        }
        let Some(mut other) = logging_in::second(profile, session).await else { return Ok(None) };
        match self.fetch(&mut other, Duration::ZERO).await? {
            Ok(oldest) => {
                profile.set(EMPTIED_AT, &now())?;
                Ok(Some(oldest))
            }
            // It is only the other one.
            Err(_) => Ok(None),
        }
    }
}

/// Fetches the large keys of those who wrote, so that they can be answered while their server is away; what does not come
/// now is fetched when it is needed.
async fn fetch_keys_for_answers(profile: &Profile, session: &mut Session, wrote: &BTreeSet<ParticipantId>) {
    let (own, mut fetched) = (session.id, 0);
    for id in wrote.iter().filter(|id| **id != own) {
        let Ok(Some(known)) = contacts::remembered(profile, *id) else { continue };
        let digest = known.bundle.payload.mceliece_key;
        let is_missing = digest.is_some_and(|digest| matches!(profile.mceliece_key(&digest), Ok(None)));
        if is_missing && fetched < MAX_KEYS_FETCHED {
            fetched += 1;
            drop(contacts::mceliece_key(profile, session, &known.bundle, &|_| {}).await);
        }
    }
}

/// Takes every delivery, up to one that cannot even be kept.
async fn take_page(
    profile: &Profile,
    session: &mut Session,
    messages: &[Delivery],
) -> Result<(), ClientError> {
    let together = profile.together()?;
    for some in messages.chunks(SIDE_BY_SIDE) {
        let opened = open_side_by_side(profile, some).await?;
        for (delivery, opened) in some.iter().zip(opened) {
            take_opened(profile, session, delivery, opened).await?;
        }
    }
    together.bring_to_disk()
}

/// Asks for mail itself, once more after a moment when too much was asked before: what others sent must not keep it away.
async fn patiently<T>(
    session: &mut Session,
    mut ask: impl AsyncFnMut(&mut Session) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    match ask(session).await {
        Err(ClientError::Refused(problem)) if problem.status == 429 => {
            let pause = Duration::from_secs(problem.retry_after.unwrap_or_default());
            session.connection().platform().clone().wait(pause.min(LONGEST_PAUSE)).await;
            ask(session).await
        }
        result => result,
    }
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
