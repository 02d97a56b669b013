//! Who is connected with the Smoke app, and handing them frames; holds no mail.
//!
//! Everything is bounded: identities per connection, frames per queue, remembered digests. Nothing here is
//! durable, and nothing that is lost here was promised to anybody.

mod congestion;
mod echoes;
mod large_frames;
mod outgoing;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use momedo_smoke::destination::{Content, Identity};
use momedo_smoke::directory::Directory;
use momedo_smoke::recognition::LiveIdentity;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};

pub use congestion::Novelty;
pub use large_frames::{LargeFrames, Reserved};
pub use outgoing::{Batch, Frame, Outgoing};

use crate::domain::smoke::{BETWEEN_RETRIEVALS, IDENTITY, MAX_IDENTITIES};
use crate::live::listening::Listeners;
use congestion::Congestion;
use echoes::Echoes;

/// How often ended identities are looked for.
const SWEEP: Duration = Duration::from_secs(15);

/// Identities of all connections together.
const MAX_LIVE: usize = 50_000;

/// Participants whose last retrieval is remembered.
const MAX_RETRIEVALS: usize = 10_000;

/// Everybody who is connected, and what frames are recognised by.
pub struct SmokeHub {
    sockets: Mutex<Sockets>,
    directory: RwLock<Arc<Directory>>,
    congestion: Mutex<Congestion>,
    retrievals: Mutex<HashMap<i64, Duration>>,
    links: Mutex<HashMap<i64, LinkState>>,
    /// Neighbours whose connection is to be made anew.
    restarts: Mutex<HashSet<i64>>,
    /// Wakes whoever keeps the connections to neighbours.
    pub neighbours_changed: Notify,
    /// Full searches at once: half of the cores, so that no flood takes them all.
    pub searches: Arc<Semaphore>,
    /// Memory for large frames that are coming.
    pub large_frames: LargeFrames,
    /// Frames that are passed on.
    echoes: Echoes,
    /// The listeners for Smoke clients alone.
    pub listeners: Listeners,
}

/// How a connection to a neighbour fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "reason")]
pub enum LinkState {
    /// Being made.
    Connecting,
    /// It stands.
    Connected,
    /// It showed another certificate than before.
    CertificateChanged,
    /// It could not be made, or broke, and why.
    Failed(String),
}

#[derive(Default)]
struct Sockets {
    next: u64,
    entries: HashMap<u64, Entry>,
    /// Those that take everything.
    unfiltered: HashSet<u64>,
    by_identity: HashMap<Identity, Live>,
    /// All identities with their keys prepared, made anew when asked for after a change.
    live: Option<Arc<[LiveIdentity]>>,
    swept: Duration,
}

struct Live {
    identity: LiveIdentity,
    sockets: HashSet<u64>,
}

struct Entry {
    outgoing: Arc<Outgoing>,
    /// On a private listener, until it proved who it is.
    is_locked: bool,
    /// It announced an identity by itself, and is sent what fits.
    is_filtered: bool,
    /// It asked for everything.
    is_unsolicited: bool,
    /// Until when each holds.
    identities: HashMap<Identity, Duration>,
}

/// A connection that leaves the hub when dropped.
pub struct Socket<'a> {
    hub: &'a SmokeHub,
    number: u64,
    outgoing: Arc<Outgoing>,
}

/// A poisoned lock only means that some other thread panicked; the data is plain.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for SmokeHub {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            sockets: Mutex::default(),
            directory: RwLock::default(),
            congestion: Mutex::default(),
            retrievals: Mutex::default(),
            links: Mutex::default(),
            restarts: Mutex::default(),
            neighbours_changed: Notify::new(),
            searches: Arc::new(Semaphore::new((cores / 2).max(1))),
            large_frames: LargeFrames::default(),
            echoes: Echoes::default(),
            listeners: Listeners::default(),
        }
    }
}

impl SmokeHub {
    /// What frames are recognised by.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it.
    pub fn change_directory(&self, directory: Directory) {
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
    }

    /// Lets a connection in; a locked one gets nothing but what is pushed to it alone.
    pub fn enter(&self, is_locked: bool) -> Socket<'_> {
        let outgoing = Arc::new(Outgoing::new(is_locked));
        let mut sockets = lock(&self.sockets);
        // 0 stands for the server itself.
        sockets.next += 1;
        let number = sockets.next;
        sockets.entries.insert(
            number,
            Entry {
                outgoing: outgoing.clone(),
                is_locked,
                is_filtered: false,
                is_unsolicited: false,
                identities: HashMap::new(),
            },
        );
        sockets.settle(number);
        Socket { hub: self, number, outgoing }
    }

    /// Connections, and how many of them are locked.
    pub fn count(&self) -> (usize, usize) {
        let sockets = lock(&self.sockets);
        (sockets.entries.len(), sockets.entries.values().filter(|entry| entry.is_locked).count())
    }

    /// How many different identities are announced.
    pub fn count_live_identities(&self) -> usize {
        lock(&self.sockets).by_identity.len()
    }

    /// Every announced identity.
    pub fn live_identities(&self, now: Duration) -> Arc<[LiveIdentity]> {
        let mut sockets = lock(&self.sockets);
        sockets.sweep(now);
        let sockets = &mut *sockets;
        sockets
            .live
            .get_or_insert_with(|| sockets.by_identity.values().map(|live| live.identity.clone()).collect())
            .clone()
    }

    /// Passes a frame on to everybody but its source: to those that take everything, and to those that
    /// announced its destination. To how many.
    pub fn echo(&self, source: u64, destination: Option<&Identity>, frame: &[u8], now: Duration) -> usize {
        // Megabytes are not copied under the lock.
        let echo = self.echoes.add(frame);
        let mut sockets = lock(&self.sockets);
        sockets.sweep(now);
        let addressed = destination.and_then(|identity| sockets.by_identity.get(identity));
        let addressed = addressed.into_iter().flat_map(|live| &live.sockets);
        let targets =
            sockets.unfiltered.iter().chain(addressed.filter(|one| !sockets.unfiltered.contains(one)));
        let mut count = 0;
        for target in targets.filter(|target| **target != source) {
            if let Some(entry) = sockets.entries.get(target).filter(|entry| !entry.is_locked) {
                entry.outgoing.push_echo(echo.clone());
                count += 1;
            }
        }
        self.echoes.make_room(sockets.entries.values().map(|entry| &entry.outgoing));
        count
    }

    /// Sends an answer to whoever asked, and to other connections that announced this identity.
    pub fn answer(&self, asker: &Socket<'_>, identity: &Identity, frame: Arc<[u8]>) {
        let sockets = lock(&self.sockets);
        let others = sockets.by_identity.get(identity).into_iter().flat_map(|live| &live.sockets);
        for other in others.filter(|other| **other != asker.number) {
            if let Some(entry) = sockets.entries.get(other).filter(|entry| !entry.is_locked) {
                entry.outgoing.push_answer(frame.clone());
            }
        }
        asker.outgoing.push_answer(frame);
    }

    /// Whether this came before, and remembers it.
    pub fn look(&self, content: Content<'_>, source: u64, now: Duration) -> Novelty {
        // Hashing megabytes is not done under the lock.
        let hasher = lock(&self.congestion).hasher();
        let digest = congestion::digest(&hasher, content);
        lock(&self.congestion).look(digest, source, now)
    }

    /// Whether a participant may be handed messages now, and remembers it.
    pub fn may_retrieve(&self, participant: i64, now: Duration) -> bool {
        let mut retrievals = lock(&self.retrievals);
        if retrievals.len() >= MAX_RETRIEVALS {
            retrievals.retain(|_, at| now.saturating_sub(*at) < BETWEEN_RETRIEVALS);
        }
        let last = retrievals.get(&participant);
        if last.is_some_and(|last| now.saturating_sub(*last) < BETWEEN_RETRIEVALS) {
            return false;
        }
        retrievals.insert(participant, now);
        true
    }

    /// Has the connection to a neighbour made anew, or ended, or made: whatever it is to be now.
    pub fn restart_link(&self, neighbour: i64) {
        lock(&self.restarts).insert(neighbour);
        self.neighbours_changed.notify_one();
    }

    /// Neighbours whose connection is to be made anew, each once.
    pub fn take_restarts(&self) -> HashSet<i64> {
        std::mem::take(&mut lock(&self.restarts))
    }

    /// How the connection to a neighbour fares; `None`: there is none.
    pub fn link(&self, neighbour: i64) -> Option<LinkState> {
        lock(&self.links).get(&neighbour).cloned()
    }

    /// Notes how the connection to a neighbour fares.
    pub fn set_link(&self, neighbour: i64, state: Option<LinkState>) {
        let mut links = lock(&self.links);
        match state {
            Some(state) => drop(links.insert(neighbour, state)),
            None => drop(links.remove(&neighbour)),
        }
    }
}

impl Sockets {
    /// Brings the list of those that take everything up to date.
    fn settle(&mut self, number: u64) {
        let takes_all = self
            .entries
            .get(&number)
            .is_some_and(|entry| !entry.is_locked && (entry.is_unsolicited || !entry.is_filtered));
        if takes_all {
            self.unfiltered.insert(number);
        } else {
            self.unfiltered.remove(&number);
        }
    }

    fn announce(&mut self, number: u64, identity: Identity, until: Duration) {
        let is_room = self.by_identity.len() < MAX_LIVE;
        let Some(entry) = self.entries.get_mut(&number) else { return };
        if !entry.identities.contains_key(&identity) && (entry.identities.len() >= MAX_IDENTITIES || !is_room)
        {
            return;
        }
        if entry.identities.insert(identity, until).is_none() {
            let live = self
                .by_identity
                .entry(identity)
                .or_insert_with(|| Live { identity: LiveIdentity::new(identity), sockets: HashSet::new() });
            live.sockets.insert(number);
            self.live = None;
        }
    }

    fn forget(&mut self, number: u64, identity: &Identity) {
        if let Some(live) = self.by_identity.get_mut(identity) {
            live.sockets.remove(&number);
            if live.sockets.is_empty() {
                self.by_identity.remove(identity);
            }
            self.live = None;
        }
    }

    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        let mut ended = Vec::new();
        for (number, entry) in &mut self.entries {
            let over = entry.identities.extract_if(|_, until| *until <= now);
            ended.extend(over.map(|(identity, _)| (*number, identity)));
        }
        for (number, identity) in ended {
            self.forget(number, &identity);
        }
    }
}

impl Socket<'_> {
    /// Tells connections of one run apart; never 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What waits to be written to it.
    pub fn outgoing(&self) -> &Arc<Outgoing> {
        &self.outgoing
    }

    /// It proved who it is.
    pub fn unlock(&self) {
        let mut sockets = lock(&self.hub.sockets);
        if let Some(entry) = sockets.entries.get_mut(&self.number) {
            entry.is_locked = false;
        }
        sockets.settle(self.number);
        self.outgoing.unlock();
    }

    /// It announced an identity of its own; from now on it is sent what fits.
    pub fn announce(&self, identity: Identity, now: Duration) {
        let mut sockets = lock(&self.hub.sockets);
        sockets.announce(self.number, identity, now + IDENTITY);
        if let Some(entry) = sockets.entries.get_mut(&self.number) {
            entry.is_filtered = true;
        }
        sockets.settle(self.number);
    }

    /// It announced all its identities, in the place of any before; this alone filters nothing.
    pub fn replace_identities(&self, identities: Vec<Identity>, now: Duration) {
        let mut sockets = lock(&self.hub.sockets);
        let old = sockets.entries.get_mut(&self.number).map(|entry| std::mem::take(&mut entry.identities));
        for identity in old.unwrap_or_default().keys() {
            sockets.forget(self.number, identity);
        }
        for identity in identities {
            sockets.announce(self.number, identity, now + IDENTITY);
        }
    }

    /// It wants everything.
    pub fn take_everything(&self) {
        let mut sockets = lock(&self.hub.sockets);
        if let Some(entry) = sockets.entries.get_mut(&self.number) {
            entry.is_unsolicited = true;
        }
        sockets.settle(self.number);
    }
}

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        let mut sockets = lock(&self.hub.sockets);
        if let Some(entry) = sockets.entries.remove(&self.number) {
            for identity in entry.identities.keys() {
                sockets.forget(self.number, identity);
            }
        }
        sockets.settle(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn frames(socket: &Socket<'_>) -> usize {
        let mut count = 0;
        loop {
            match socket.outgoing().take().frames.len() {
                0 => return count,
                more => count += more,
            }
        }
    }

    fn frame() -> Arc<[u8]> {
        Arc::from(&b"frame"[..])
    }

    #[test]
    fn a_frame_reaches_those_it_fits_once_and_never_its_source() {
        let hub = SmokeHub::default();
        let (source, open, filtered, both, locked) =
            (hub.enter(false), hub.enter(false), hub.enter(false), hub.enter(false), hub.enter(true));
        filtered.announce([1; 64], NOW);
        filtered.announce([2; 64], NOW);
        both.announce([1; 64], NOW);
        both.take_everything();
        locked.announce([1; 64], NOW);
        source.announce([1; 64], NOW);
        let all = [&source, &open, &filtered, &both, &locked];
        for (destination, expected) in
            [(Some([1; 64]), [0, 1, 1, 1, 0]), (Some([3; 64]), [0, 1, 0, 1, 0]), (None, [0, 1, 0, 1, 0])]
        {
            hub.echo(source.number(), destination.as_ref(), &frame(), NOW);
            assert_eq!(all.map(|socket| frames(socket)), expected, "{destination:?}");
        }
        locked.unlock();
        hub.echo(source.number(), Some(&[1; 64]), &frame(), NOW);
        assert_eq!(frames(&locked), 1);
    }

    #[test]
    fn identities_end_by_themselves_and_with_their_connection() {
        let hub = SmokeHub::default();
        let (one, other) = (hub.enter(false), hub.enter(false));
        one.announce([1; 64], NOW);
        one.replace_identities(vec![[2; 64], [3; 64]], NOW);
        other.announce([3; 64], NOW + Duration::from_secs(30));
        let live = |at| hub.live_identities(at).len();
        assert_eq!(live(NOW), 2);
        assert_eq!(live(NOW + Duration::from_secs(61)), 1);
        drop(other);
        assert_eq!(live(NOW + Duration::from_secs(61)), 0);
        // Whoever announced an identity once is not sent everything again.
        hub.echo(0, None, &frame(), NOW + Duration::from_secs(61));
        assert_eq!(frames(&one), 0);
    }

    #[test]
    fn a_connection_announces_only_so_many() {
        let hub = SmokeHub::default();
        let socket = hub.enter(false);
        for number in 0..=MAX_IDENTITIES {
            socket.announce([number as u8; 64], NOW);
        }
        assert_eq!(hub.live_identities(NOW).len(), MAX_IDENTITIES);
    }

    #[test]
    fn one_participant_retrieves_every_few_seconds() {
        let hub = SmokeHub::default();
        assert!(hub.may_retrieve(1, NOW));
        assert!(!hub.may_retrieve(1, NOW + Duration::from_secs(4)));
        assert!(hub.may_retrieve(2, NOW));
        assert!(hub.may_retrieve(1, NOW + Duration::from_secs(5)));
    }
}
