//! Which neighbours are connected, what was asked of them, and what was sent to them lately; holds no mail.
//!
//! The federation link's own tasks are in [`crate::neighbours`]; use cases reach a neighbour through here.

mod arrivals;
mod patience;
mod questions;
mod sent;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::{Frame, Standing};
use momedo_protocol::time::UnixMillis;
use tokio::sync::{Notify, mpsc, watch};

use crate::domain::neighbour::HOME_QUESTIONS;
use crate::domain::patience::Patience;
use crate::domain::rate::{Bucket, Rate};
use crate::live::shutdown::{self, Shutdown, Trigger};
use crate::surroundings::clock::Clock;
pub use patience::Waits;
use questions::Asked;
pub use questions::{Answer, Question};
use sent::Sent;

/// Frames that wait for a link's writer; beyond that whoever has more waits.
const WAITING_FRAMES: usize = 64;

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialledBy {
    /// This server.
    Us,
    /// The neighbour.
    Them,
}

/// Why a neighbour is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It was not tried yet.
    NotTried,
    /// It does not answer, or the line broke.
    Unreachable(String),
    /// Another server answers at its address.
    WrongIdentity,
    /// It does not want to.
    Refused(Standing),
}

/// How the line to a neighbour is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whether it is connected.
    pub connected: bool,
    /// How the neighbour sees this server, as it said on this connection.
    pub peer: Option<Standing>,
    /// Since when it is as it is.
    pub since: Option<UnixMillis>,
    /// When it is tried again.
    pub next_try: Option<UnixMillis>,
    /// Why it is not connected.
    pub trouble: Trouble,
}

impl Default for Line {
    fn default() -> Self {
        Self { connected: false, peer: None, since: None, next_try: None, trouble: Trouble::NotTried }
    }
}

/// A connection to a neighbour.
pub struct Link {
    number: u64,
    dialled_by: DialledBy,
    frames: mpsc::Sender<Vec<u8>>,
    /// Raised when something may wait to be sent.
    pub wake: Notify,
    anew: AtomicBool,
    paired: AtomicBool,
    close: Trigger,
}

impl Link {
    /// Sends a frame, waiting while the line is slow; false when the link has ended.
    pub async fn send(&self, frame: &Frame) -> bool {
        self.send_bytes(frame.encode()).await
    }

    /// Sends an encoded frame.
    pub async fn send_bytes(&self, bytes: Vec<u8>) -> bool {
        self.frames.send(bytes).await.is_ok()
    }

    /// Sends a frame if there is room at once.
    pub fn try_send(&self, frame: &Frame) -> bool {
        self.frames.try_send(frame.encode()).is_ok()
    }

    /// Whether both sides have confirmed and neither has made a pause.
    pub fn is_paired(&self) -> bool {
        self.paired.load(Ordering::Acquire)
    }

    /// Whether, since this was last asked, something was to be looked for among what has been passed over.
    pub fn begins_anew(&self) -> bool {
        self.anew.swap(false, Ordering::AcqRel)
    }

    /// Ends the link.
    pub fn close(&self) {
        self.close.raise();
    }
}

/// What a link's tasks get when they begin.
pub struct Begun {
    /// The link.
    pub link: Arc<Link>,
    /// Frames to be written.
    pub frames: mpsc::Receiver<Vec<u8>>,
    /// When to end.
    pub close: Shutdown,
    links: Arc<Links>,
    neighbour: Fingerprint,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.links.end(self.neighbour, self.link.number);
    }
}

#[derive(Default)]
struct Entry {
    line: Line,
    link: Option<Arc<Link>>,
}

/// What a neighbour may do only so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Bring envelopes.
    Envelopes,
    /// Bring envelopes from another home than the one known.
    Homes,
    /// Ask where somebody lives.
    Questions,
    /// Bring mail of groups that are not known.
    Groups,
    /// Report messages.
    Reports,
    /// Tell of participants whose second home this server is.
    Placements,
    /// Ask for McEliece keys.
    Keys,
    /// Ask for something in the name of a participant.
    Calls,
    /// Ask for parts of the key log.
    LogPages,
    /// Tell how far their key log is.
    LogHeads,
    /// Add people to groups: each is asked for, or has whom they block looked at.
    Newcomers,
    /// Say that they are in another life of their store.
    Lives,
}

/// Pairs of neighbour and home of which it is remembered how much was asked because of them.
const HOMES: usize = 10_000;

/// How many homes' questions a neighbour has in all.
const HOMES_AT_ONCE: u32 = 4;

/// Every neighbour of this server, as far as it is in memory.
pub struct Links {
    own: Fingerprint,
    clock: Clock,
    serving: AtomicBool,
    numbers: AtomicU64,
    entries: Mutex<HashMap<Fingerprint, Entry>>,
    changed: watch::Sender<u64>,
    questions: Mutex<HashMap<u64, Asked>>,
    seen: Mutex<(HashSet<u64>, VecDeque<u64>)>,
    unknown: Mutex<HashMap<ParticipantId, (Duration, bool)>>,
    buckets: Mutex<HashMap<(Fingerprint, Counted), Bucket>>,
    /// Questions because of a home, by the neighbour that brings its batches.
    homes: Mutex<HashMap<(Fingerprint, Fingerprint), Bucket>>,
    sent: Mutex<Sent>,
    arrivals: arrivals::Arrivals,
    slow: Mutex<HashMap<Fingerprint, Duration>>,
    says_first: Mutex<HashSet<Fingerprint>>,
    told_up_to: Mutex<HashMap<Fingerprint, u64>>,
    patience: Mutex<HashMap<(Waits, Fingerprint, ParticipantId), Patience>>,
    /// Raised when attachments are to be fetched from other homes.
    pub fetching: Notify,
    /// Raised when second homes have something to hear.
    pub telling: Notify,
}

/// A poisoned lock only means that some other thread panicked; the data is plain maps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Links {
    /// No links yet, for the server with this ID.
    pub fn new(own: Fingerprint, clock: Clock) -> Self {
        Self {
            own,
            clock,
            serving: AtomicBool::new(false),
            numbers: AtomicU64::new(1),
            entries: Mutex::default(),
            changed: watch::channel(0).0,
            questions: Mutex::default(),
            seen: Mutex::default(),
            unknown: Mutex::default(),
            buckets: Mutex::default(),
            homes: Mutex::default(),
            sent: Mutex::default(),
            arrivals: Mutex::default(),
            slow: Mutex::default(),
            says_first: Mutex::default(),
            told_up_to: Mutex::default(),
            patience: Mutex::default(),
            fetching: Notify::new(),
            telling: Notify::new(),
        }
    }

    /// Notes that links are being dialled and accepted.
    pub fn serve(&self) {
        self.serving.store(true, Ordering::Release);
    }

    /// Whether links are being dialled and accepted: not while `momedo admin` works without a server.
    pub fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Acquire)
    }

    /// Hears of every change of a neighbour or its line.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells whoever listens that something changed.
    pub fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Begins a link. Of two at once both sides keep the one that the server with the lower ID dialled, and of two
    /// dialled by the same side the newer one; `None` when the other is kept.
    pub fn begin(self: &Arc<Self>, neighbour: Fingerprint, dialled_by: DialledBy) -> Option<Begun> {
        let (frames, waiting) = mpsc::channel(WAITING_FRAMES);
        let (close, closed) = shutdown::channel();
        let link = Arc::new(Link {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            dialled_by,
            frames,
            wake: Notify::new(),
            anew: AtomicBool::new(false),
            paired: AtomicBool::new(false),
            close,
        });
        let preferred = if self.own.0 < neighbour.0 { DialledBy::Us } else { DialledBy::Them };
        {
            let mut entries = lock(&self.entries);
            let entry = entries.entry(neighbour).or_default();
            if let Some(other) = &entry.link {
                if other.dialled_by != dialled_by && other.dialled_by == preferred {
                    return None;
                }
                other.close();
            }
            entry.link = Some(link.clone());
            let since = if entry.line.connected { entry.line.since } else { Some(self.clock.now()) };
            entry.line = Line { connected: true, since, ..Line::default() };
        }
        self.note_change();
        Some(Begun { link, frames: waiting, close: closed, links: self.clone(), neighbour })
    }

    fn end(&self, neighbour: Fingerprint, number: u64) {
        {
            let mut entries = lock(&self.entries);
            let Some(entry) = entries.get_mut(&neighbour) else { return };
            if entry.link.as_ref().is_none_or(|link| link.number != number) {
                return;
            }
            entry.link = None;
            entry.line = Line {
                since: Some(self.clock.now()),
                trouble: Trouble::Unreachable(ENDED.into()),
                ..Line::default()
            };
        }
        self.note_change();
    }

    /// Notes why a neighbour is not connected, and when it is tried again.
    pub fn note_trouble(&self, neighbour: Fingerprint, trouble: Trouble, next_try: Option<UnixMillis>) {
        {
            let mut entries = lock(&self.entries);
            let entry = entries.entry(neighbour).or_default();
            if entry.line.connected {
                return;
            }
            let since = entry.line.since.or_else(|| Some(self.clock.now()));
            entry.line = Line { connected: false, peer: None, since, next_try, trouble };
        }
        self.note_change();
    }

    /// How the line to a neighbour is.
    pub fn line(&self, neighbour: Fingerprint) -> Line {
        lock(&self.entries).get(&neighbour).map(|entry| entry.line.clone()).unwrap_or_default()
    }

    /// The link to a neighbour, if it is connected.
    pub fn link(&self, neighbour: Fingerprint) -> Option<Arc<Link>> {
        lock(&self.entries).get(&neighbour).and_then(|entry| entry.link.clone())
    }

    /// Neighbours that are connected, with both sides' confirmation.
    pub fn connected(&self) -> Vec<Fingerprint> {
        let entries = lock(&self.entries);
        let paired = |entry: &Entry| entry.link.as_ref().is_some_and(|link| link.is_paired());
        entries.iter().filter(|(_, entry)| paired(entry)).map(|(id, _)| *id).collect()
    }

    /// Notes whether this side lets mail pass over a neighbour's link; the other has to let it too.
    pub fn set_paired(&self, neighbour: Fingerprint, ours: bool) {
        let line = self.line(neighbour);
        if let Some(link) = self.link(neighbour) {
            link.paired.store(ours && line.peer == Some(Standing::Confirmed), Ordering::Release);
            link.wake.notify_one();
        }
        self.note_change();
    }

    /// Notes how a neighbour sees this server.
    pub fn note_peer(&self, neighbour: Fingerprint, standing: Standing) {
        if let Some(entry) = lock(&self.entries).get_mut(&neighbour) {
            entry.line.peer = Some(standing);
        }
    }

    /// Ends a neighbour's link, and forgets its line.
    pub fn close(&self, neighbour: Fingerprint) {
        let removed = lock(&self.entries).remove(&neighbour);
        if let Some(link) = removed.and_then(|entry| entry.link) {
            link.close();
        }
        self.note_change();
    }

    /// Notes whether a second home says that it is the first; answers whether that is new.
    pub fn set_says_first(&self, neighbour: Fingerprint, says: bool) -> bool {
        let changed = {
            let mut all = lock(&self.says_first);
            if says { all.insert(neighbour) } else { all.remove(&neighbour) }
        };
        if changed {
            self.note_change();
        }
        changed
    }

    /// Whether a second home says that it is the first.
    pub fn says_first(&self, neighbour: Fingerprint) -> bool {
        lock(&self.says_first).contains(&neighbour)
    }

    /// Up to which participant's number a second home was told in the run before; 0: from the beginning.
    pub fn told_up_to(&self, neighbour: Fingerprint) -> u64 {
        lock(&self.told_up_to).get(&neighbour).copied().unwrap_or_default()
    }

    /// Notes where the next run of telling a second home begins.
    pub fn set_told_up_to(&self, neighbour: Fingerprint, number: u64) {
        lock(&self.told_up_to).insert(neighbour, number);
    }

    /// Tells a neighbour's link that something waits.
    pub fn wake(&self, neighbour: Fingerprint) {
        if let Some(link) = self.link(neighbour) {
            link.wake.notify_one();
        }
    }

    /// Tells a neighbour's link to look through everything that waits, from the beginning.
    pub fn wake_anew(&self, neighbour: Fingerprint) {
        if let Some(link) = self.link(neighbour) {
            link.anew.store(true, Ordering::Release);
            link.wake.notify_one();
        }
    }

    /// Counts something a neighbour does.
    ///
    /// # Errors
    /// The time after which it may do it again.
    pub fn count(
        &self,
        neighbour: Fingerprint,
        what: Counted,
        rate: Rate,
        number: u32,
        now: Duration,
    ) -> Result<(), Duration> {
        let mut buckets = lock(&self.buckets);
        let bucket = buckets.entry((neighbour, what)).or_insert_with(|| Bucket::full(rate, now));
        bucket.take_many(rate, number, now)
    }

    /// Counts a question because of another home's batch that a neighbour brings: one home does not use up what is asked
    /// for the others behind the same neighbour.
    ///
    /// # Errors
    /// The time after which another may be asked.
    pub fn count_home(
        &self,
        neighbour: Fingerprint,
        home: Fingerprint,
        now: Duration,
    ) -> Result<(), Duration> {
        let mut homes = lock(&self.homes);
        if homes.len() >= HOMES {
            // A neighbour can make homes up; what it may have asked in all is counted besides.
            homes.retain(|_, bucket| !bucket.is_full(HOME_QUESTIONS, now));
            if homes.len() >= HOMES {
                homes.clear();
            }
        }
        let bucket = homes.entry((neighbour, home)).or_insert_with(|| Bucket::full(HOME_QUESTIONS, now));
        bucket.take(HOME_QUESTIONS, now)?;
        drop(homes);
        self.count(neighbour, Counted::Homes, HOME_QUESTIONS.times(HOMES_AT_ONCE), 1, now)
    }
}

/// Why a connection is over, when nobody says more.
pub const ENDED: &str = "the connection ended";
