//! One budget of memory for what others have not taken yet, and for what they have begun to send.
//!
//! An answer is held until its reader has it, and a request's body until it was handled. Both cost whoever is at the
//! other end nothing, so they are counted: by connection, by participant, by address and in all. Whoever has too much
//! lying here gets no more; when all together have, the connection that holds most at the address that holds most is
//! cut. So filling the memory costs those who fill it, and nobody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use momedo_protocol::id::ParticipantId;
use tokio::sync::watch;

use crate::rates::network;

/// What an answer or a body counts as besides its bytes: tasks, headers and buffers.
const OVERHEAD_BYTES: usize = 4 * 1024;

/// What everybody together, one address, one participant and one connection may hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    all: usize,
    address: usize,
    participant: usize,
    line: usize,
}

impl Shares {
    /// The shares of a budget: half of it for one address, since a whole school may sit behind one; a sixteenth for a
    /// participant; a thirty-second for a connection.
    pub fn of(all: usize) -> Self {
        Self { all, address: all / 2, participant: all / 16, line: all / 32 }
    }
}

/// The budget.
pub struct Memory {
    shares: Shares,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    addresses: HashMap<IpAddr, usize>,
    participants: HashMap<ParticipantId, usize>,
    lines: HashMap<u64, LineCount>,
    next_line: u64,
}

struct LineCount {
    address: IpAddr,
    held: usize,
    cut: watch::Sender<bool>,
}

/// Somebody has too much lying here already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

/// A connection in the budget.
pub struct Line {
    memory: Arc<Memory>,
    number: u64,
    address: IpAddr,
    cut: watch::Receiver<bool>,
    requests: AtomicU64,
    /// When the last request was done, or the connection began.
    idle_since: Mutex<Instant>,
    /// Answers whose reader was given something and has not come for more, and since when.
    untaken: Mutex<HashMap<u64, Instant>>,
    next_answer: AtomicU64,
}

/// A request that is served: while it lives, its connection is in use.
pub struct Serving {
    line: Arc<Line>,
    payer: OnceLock<ParticipantId>,
    /// What its body takes.
    body: Mutex<Option<Held>>,
}

/// Bytes that count until this is dropped.
pub struct Held {
    line: Arc<Line>,
    payer: Option<ParticipantId>,
    bytes: usize,
}

/// An answer that is on its way out.
pub struct Outgoing {
    number: u64,
    held: Held,
    /// Its connection is in use.
    _serving: Arc<Serving>,
}

impl Memory {
    /// A budget of which nothing is in use.
    pub fn new(shares: Shares) -> Arc<Self> {
        Arc::new(Self { shares, counts: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection from an address.
    pub fn line(self: &Arc<Self>, address: IpAddr) -> Arc<Line> {
        let (cut, is_cut) = watch::channel(false);
        let address = network(address);
        let mut counts = self.lock();
        let number = counts.next_line;
        counts.next_line += 1;
        counts.lines.insert(number, LineCount { address, held: 0, cut });
        drop(counts);
        Arc::new(Line {
            memory: self.clone(),
            number,
            address,
            cut: is_cut,
            requests: AtomicU64::new(0),
            idle_since: Mutex::new(Instant::now()),
            untaken: Mutex::default(),
            next_answer: AtomicU64::new(0),
        })
    }

    /// How many bytes are held in all.
    pub fn held(&self) -> usize {
        self.lock().all
    }

    /// Counts bytes more for what holds `mine` already: what is larger than a share passes by itself.
    fn take(
        &self,
        line: &Line,
        payer: Option<ParticipantId>,
        mine: usize,
        bytes: usize,
    ) -> Result<(), TooMuch> {
        let mut counts = self.lock();
        let fits = |held: usize, share: usize| held <= mine || held + bytes <= share;
        let held = counts.lines.get(&line.number).ok_or(TooMuch)?.held;
        let of_address = counts.addresses.get(&line.address).copied().unwrap_or(0);
        let of_payer = payer.and_then(|payer| counts.participants.get(&payer).copied()).unwrap_or(0);
        if !fits(held, self.shares.line)
            || !fits(of_payer, self.shares.participant)
            || !fits(of_address, self.shares.address)
        {
            return Err(TooMuch);
        }
        while counts.all + bytes > self.shares.all {
            match counts.largest() {
                Some(largest) if largest != line.number => counts.cut(largest),
                _ => return Err(TooMuch),
            }
        }
        counts.all += bytes;
        *counts.addresses.entry(line.address).or_default() += bytes;
        if let Some(payer) = payer {
            *counts.participants.entry(payer).or_default() += bytes;
        }
        if let Some(count) = counts.lines.get_mut(&line.number) {
            count.held += bytes;
        }
        Ok(())
    }

    fn give_back(&self, line: &Line, payer: Option<ParticipantId>, bytes: usize) {
        let mut counts = self.lock();
        let counts = &mut *counts;
        if let Some(payer) = payer {
            subtract(&mut counts.participants, payer, bytes);
        }
        // Of a connection that was cut all was given back before.
        if let Some(count) = counts.lines.get_mut(&line.number) {
            count.held = count.held.saturating_sub(bytes);
            counts.all = counts.all.saturating_sub(bytes);
            subtract(&mut counts.addresses, line.address, bytes);
        }
    }
}

fn subtract<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, bytes: usize) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(bytes);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Counts {
    /// The connection that holds most of those from the address that holds most.
    fn largest(&self) -> Option<u64> {
        let (address, _) = self.addresses.iter().max_by_key(|(_, held)| **held)?;
        let own = self.lines.iter().filter(|(_, count)| count.address == *address);
        own.max_by_key(|(_, count)| count.held).map(|(number, _)| *number)
    }

    fn cut(&mut self, number: u64) {
        let Some(count) = self.lines.remove(&number) else { return };
        tracing::warn!(bytes = count.held, "a connection was cut: too much lay unread, and most of it there");
        self.all = self.all.saturating_sub(count.held);
        subtract(&mut self.addresses, count.address, count.held);
        count.cut.send_replace(true);
    }
}

impl Line {
    /// Waits until the connection has to end, because it holds most while all together hold too much.
    pub async fn cut(&self) {
        // An error means that it is no longer counted.
        let _: Result<_, _> = self.cut.clone().wait_for(|cut| *cut).await;
    }

    /// Counts bytes of this connection for a participant, if one pays.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn hold(self: &Arc<Self>, payer: Option<ParticipantId>, bytes: usize) -> Result<Held, TooMuch> {
        self.memory.take(self, payer, 0, bytes)?;
        Ok(Held { line: self.clone(), payer, bytes })
    }

    /// Begins to serve a request.
    pub fn serve(self: &Arc<Self>) -> Arc<Serving> {
        self.requests.fetch_add(1, Ordering::AcqRel);
        Arc::new(Serving { line: self.clone(), payer: OnceLock::new(), body: Mutex::default() })
    }

    /// For how long the connection has had no request; zero while it has one.
    pub fn idle(&self) -> Duration {
        if self.requests.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// For how long the slowest reader of an answer has not come for more.
    pub fn stalled(&self) -> Duration {
        let untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
        untaken.values().min().map_or(Duration::ZERO, Instant::elapsed)
    }

    fn untaken(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.memory.lock().lines.remove(&self.number);
    }
}

impl Serving {
    /// The connection.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Says who pays for the request.
    pub fn paid_by(&self, participant: ParticipantId) {
        let _: Result<_, _> = self.payer.set(participant);
    }

    /// Counts what more of a request's body came, until the request was answered.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn hold_body(&self, bytes: usize) -> Result<(), TooMuch> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *body {
            Some(held) => held.grow(bytes)?,
            None => *body = Some(self.line.hold(self.payer.get().copied(), bytes)?),
        }
        Ok(())
    }

    /// The request was answered: its body counts no longer.
    pub fn release_body(&self) {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Counts an answer that will be made, for as long as that takes: whoever has no room for it costs nobody the work.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn reserve(&self, bytes: usize) -> Result<Held, TooMuch> {
        self.line.hold(self.payer.get().copied(), bytes)
    }

    /// Counts an answer of so many bytes.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn hold_answer(self: &Arc<Self>, bytes: usize) -> Result<Outgoing, TooMuch> {
        let held = self.line.hold(self.payer.get().copied(), bytes + OVERHEAD_BYTES)?;
        let number = self.line.next_answer.fetch_add(1, Ordering::Relaxed);
        Ok(Outgoing { number, held, _serving: self.clone() })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.line.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.line.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}

impl Held {
    /// Counts so many bytes more of the same.
    ///
    /// # Errors
    /// [`TooMuch`]; what was held stays.
    pub fn grow(&mut self, more: usize) -> Result<(), TooMuch> {
        self.line.memory.take(&self.line, self.payer, self.bytes, more)?;
        self.bytes += more;
        Ok(())
    }

    fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.line.memory.give_back(&self.line, self.payer, less);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.line.memory.give_back(&self.line, self.payer, self.bytes);
        }
    }
}

impl Outgoing {
    /// It turned out to have no more than so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        self.held.shrink(bytes + OVERHEAD_BYTES);
    }

    /// The reader was given something.
    pub fn given(&self) {
        self.held.line.untaken().insert(self.number, Instant::now());
    }

    /// The reader comes for more.
    pub fn taken(&self) {
        self.held.line.untaken().remove(&self.number);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.taken();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn memory() -> Arc<Memory> {
        Memory::new(Shares::of(64 * MIB))
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn somebody(number: u64) -> Option<ParticipantId> {
        ParticipantId::from_number(number)
    }

    #[test]
    fn a_connection_a_participant_and_an_address_have_shares_of_the_budget() {
        let memory = memory();
        let mut held = Vec::new();
        let line = memory.line(address(1));
        held.push(line.hold(None, 2 * MIB).unwrap());
        assert!(line.hold(None, 1).is_err(), "a connection has its share");
        for _ in 0..2 {
            held.push(memory.line(address(1)).hold(somebody(1), 2 * MIB).unwrap());
        }
        assert!(memory.line(address(2)).hold(somebody(1), 1).is_err(), "a participant has their share");
        assert!(memory.line(address(2)).hold(somebody(2), 1).is_ok());
        for _ in 0..13 {
            held.push(memory.line(address(1)).hold(None, 2 * MIB).unwrap());
        }
        assert!(memory.line(address(1)).hold(None, 1).is_err(), "an address has its share");
        assert!(memory.line(address(2)).hold(None, 1).is_ok());
        drop(held);
        assert_eq!(memory.held(), 0);
        assert!(memory.lock().participants.is_empty() && memory.lock().addresses.is_empty());
    }

    #[test]
    fn what_is_larger_than_a_share_passes_by_itself() {
        let line = memory().line(address(1));
        let whole = line.hold(somebody(1), 5 * MIB).unwrap();
        assert!(line.hold(somebody(1), 1).is_err());
        drop(whole);
        assert!(line.hold(somebody(1), 1).is_ok());
    }

    #[test]
    fn a_body_that_comes_in_steps_may_be_larger_than_a_share_and_not_than_the_budget() {
        let memory = memory();
        let line = memory.line(address(1));
        let serving = line.serve();
        serving.paid_by(somebody(1).unwrap());
        for _ in 0..40 * 64 {
            serving.hold_body(16 * 1024).unwrap();
        }
        assert_eq!(memory.held(), 40 * MIB);
        assert!(line.hold(somebody(1), 1).is_err(), "nothing else passes beside it");
        for _ in 0..24 * 64 {
            serving.hold_body(16 * 1024).unwrap();
        }
        assert!(serving.hold_body(1).is_err(), "the budget is full");
        assert!(!*line.cut.borrow());
        serving.release_body();
        assert_eq!(memory.held(), 0);
        // Beside something else it has its share.
        let beside = line.hold(somebody(1), MIB).unwrap();
        serving.hold_body(MIB).unwrap();
        assert!(serving.hold_body(1).is_err());
        drop(beside);
        assert!(serving.hold_body(1).is_ok());
    }

    #[tokio::test]
    async fn the_largest_holder_at_the_largest_address_goes_first() {
        let memory = memory();
        let innocent = memory.line(address(200));
        let kept = innocent.hold(somebody(9), MIB).unwrap();
        let mut held = Vec::new();
        let mut lines = Vec::new();
        for number in 0..62 {
            let line = memory.line(address(1 + number / 16));
            held.push(line.hold(None, MIB).unwrap());
            lines.push(line);
        }
        let large = memory.line(address(1));
        held.push(large.hold(None, MIB + 1).unwrap_or_else(|_| large.hold(None, MIB - 1).unwrap()));
        // The next who needs room gets it from the address with most.
        let next = memory.line(address(201));
        held.push(next.hold(somebody(3), 2 * MIB).unwrap());
        let cut = lines.iter().chain([&large]).filter(|line| *line.cut.borrow()).count();
        assert!((1..=2).contains(&cut), "{cut}");
        assert!(!*innocent.cut.borrow() && !*next.cut.borrow());
        assert!(memory.held() <= 64 * MIB);
        drop((kept, held));
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_connection_is_idle_without_requests_and_stalled_while_its_reader_does_not_come_for_more() {
        let line = memory().line(address(1));
        let serving = line.serve();
        assert_eq!(line.idle(), Duration::ZERO);
        let answer = serving.hold_answer(10).unwrap();
        drop(serving);
        assert_eq!(line.idle(), Duration::ZERO, "its answer is on the way");
        assert_eq!(line.stalled(), Duration::ZERO);
        answer.given();
        std::thread::sleep(Duration::from_millis(2));
        assert!(line.stalled() > Duration::ZERO);
        answer.taken();
        assert_eq!(line.stalled(), Duration::ZERO);
        answer.given();
        drop(answer);
        assert_eq!(line.stalled(), Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert!(line.idle() > Duration::ZERO);
    }
}
