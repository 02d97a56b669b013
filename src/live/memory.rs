//! One budget of memory for what others have not taken yet, and for what they have begun to send.
//!
//! An answer is held until its reader has it, and a request's body until it was handled. Both cost whoever is at the
//! other end nothing, so they are counted: by connection, by participant, by address and in all. A connection or a
//! participant with too much lying here gets no more; when an address or all together have too much, the connection that
//! holds most there is cut, those that hold what no participant pays for before others. So filling the memory costs those who fill it, and nobody else.

mod crowds;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use momedo_protocol::id::ParticipantId;
use tokio::sync::watch;

use crate::live::rates::{network, network_of};
use crowds::{Crowds, Owner};

/// The size of the networks among which the one is looked for that holds most, in bits: whoever has one has all of its
/// 65,536 addresses (an IPv4 address is a network by itself).
const SITE_BITS: u32 = 48;

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
    crowds: Crowds,
    next_line: u64,
}

struct LineCount {
    address: IpAddr,
    owner: Owner,
    held: usize,
    /// What of that counts towards the address's share.
    of_address: usize,
    /// What of that no participant pays for.
    unpaid: usize,
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
    /// Whether it is known whose it is.
    is_known: AtomicBool,
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

/// Whose shares bytes count towards, besides the connection's.
#[derive(Clone, Copy)]
struct Charge {
    payer: Option<ParticipantId>,
    is_address: bool,
}

/// Bytes that count until this is dropped.
pub struct Held {
    line: Arc<Line>,
    charge: Charge,
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
        let owner = Owner::Stranger(address);
        counts.lines.insert(number, LineCount { address, owner, held: 0, of_address: 0, unpaid: 0, cut });
        counts.join(number, owner);
        drop(counts);
        Arc::new(Line {
            memory: self.clone(),
            number,
            address,
            cut: is_cut,
            is_known: AtomicBool::new(false),
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
    fn take(&self, line: &Line, charge: Charge, mine: usize, bytes: usize) -> Result<(), TooMuch> {
        let mut counts = self.lock();
        let fits = |held: usize, share: usize| held <= mine || held + bytes <= share;
        if mine + bytes > self.shares.all {
            return Err(TooMuch);
        }
        let unpaid = if charge.payer.is_some() { 0 } else { bytes };
        let asking = counts.lines.get(&line.number).ok_or(TooMuch)?;
        let weight = (asking.unpaid + unpaid, asking.held + bytes);
        let held = asking.held;
        let of_payer = charge.payer.and_then(|payer| counts.participants.get(&payer).copied()).unwrap_or(0);
        if !fits(held, self.shares.line) || !fits(of_payer, self.shares.participant) {
            return Err(TooMuch);
        }
        // A whole school may be behind the address: whoever holds most of its share makes room for the others.
        while charge.is_address && !fits(counts.of_address(line.address), self.shares.address) {
            match counts.largest_at(line.address) {
                Some((largest, other)) if largest != line.number && other > weight => counts.cut(largest),
                _ => return Err(TooMuch),
            }
        }
        while counts.all + bytes > self.shares.all {
            match counts.largest() {
                Some(largest) if largest != line.number => counts.cut(largest),
                _ => return Err(TooMuch),
            }
        }
        counts.all += bytes;
        if charge.is_address {
            *counts.addresses.entry(line.address).or_default() += bytes;
        }
        if let Some(payer) = charge.payer {
            *counts.participants.entry(payer).or_default() += bytes;
        }
        if let Some(count) = counts.lines.get_mut(&line.number) {
            count.held += bytes;
            count.unpaid += unpaid;
            count.of_address += if charge.is_address { bytes } else { 0 };
        }
        Ok(())
    }

    fn give_back(&self, line: &Line, charge: Charge, bytes: usize) {
        let mut counts = self.lock();
        let counts = &mut *counts;
        if let Some(payer) = charge.payer {
            subtract(&mut counts.participants, payer, bytes);
        }
        // Of a connection that was cut all was given back before.
        let Some(count) = counts.lines.get_mut(&line.number) else { return };
        count.held = count.held.saturating_sub(bytes);
        if charge.payer.is_none() {
            count.unpaid = count.unpaid.saturating_sub(bytes);
        }
        if charge.is_address {
            count.of_address = count.of_address.saturating_sub(bytes);
            subtract(&mut counts.addresses, line.address, bytes);
        }
        counts.all = counts.all.saturating_sub(bytes);
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

/// The network that holds most of all.
fn most(held: impl Iterator<Item = (IpAddr, usize)>) -> Option<IpAddr> {
    let mut sums: HashMap<IpAddr, usize> = HashMap::new();
    for (network, bytes) in held {
        *sums.entry(network).or_default() += bytes;
    }
    sums.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(network, _)| network)
}

impl Counts {
    /// What an address holds of its share.
    fn of_address(&self, address: IpAddr) -> usize {
        self.addresses.get(&address).copied().unwrap_or(0)
    }

    /// The connection that goes first of those from the address that holds most, in the network that holds most.
    fn largest(&self) -> Option<u64> {
        let holding = || self.lines.values().filter(|count| count.held > 0);
        let site = |count: &LineCount| network_of(count.address, SITE_BITS);
        let largest = most(holding().map(|count| (site(count), count.held)))?;
        let inside = holding().filter(|count| site(count) == largest);
        let address = most(inside.map(|count| (count.address, count.held)))?;
        self.largest_at(address).map(|(number, _)| number)
    }

    /// The connection from an address that goes first, and its weight: what it holds that nobody pays for, and all.
    fn largest_at(&self, address: IpAddr) -> Option<(u64, (usize, usize))> {
        let own = self.lines.iter().filter(|(_, count)| count.address == address && count.held > 0);
        let weights = own.map(|(number, count)| (*number, (count.unpaid, count.held)));
        weights.max_by_key(|(_, weight)| *weight)
    }

    fn cut(&mut self, number: u64) {
        if let Some(count) = self.lines.get(&number) {
            tracing::warn!(
                bytes = count.held,
                "a connection was cut: too much lay unread, and most of it there"
            );
        }
        self.end(number);
    }

    /// Counts a connection to whom it belongs; of too many the oldest ends.
    fn join(&mut self, number: u64, owner: Owner) {
        if let Some(oldest) = self.crowds.join(number, owner) {
            tracing::debug!(?owner, "a connection was cut: there are many like it");
            self.end(oldest);
        }
    }

    /// Says whose a connection is that was nobody's.
    fn belongs(&mut self, number: u64, owner: Owner) {
        let Some(count) = self.lines.get_mut(&number) else { return };
        let before = std::mem::replace(&mut count.owner, owner);
        self.crowds.leave(number, before);
        self.join(number, owner);
    }

    fn end(&mut self, number: u64) {
        let Some(count) = self.lines.remove(&number) else { return };
        self.crowds.leave(number, count.owner);
        self.all = self.all.saturating_sub(count.held);
        subtract(&mut self.addresses, count.address, count.of_address);
        count.cut.send_replace(true);
    }
}

impl Line {
    /// Waits until the connection has to end, because it holds most while its address, or all together, hold too much.
    pub async fn cut(&self) {
        // An error means that it is no longer counted.
        let _: Result<_, _> = self.cut.clone().wait_for(|cut| *cut).await;
    }

    /// Counts bytes of this connection for a participant, if one pays.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn hold(self: &Arc<Self>, payer: Option<ParticipantId>, bytes: usize) -> Result<Held, TooMuch> {
        self.charge(Charge { payer, is_address: true }, bytes)
    }

    /// Counts bytes of a handshake. They have a rate for each address, and take none of its share: whoever has filled
    /// that keeps nobody else from coming.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn hold_handshake(self: &Arc<Self>, bytes: usize) -> Result<Held, TooMuch> {
        self.charge(Charge { payer: None, is_address: false }, bytes)
    }

    fn charge(self: &Arc<Self>, charge: Charge, bytes: usize) -> Result<Held, TooMuch> {
        self.memory.take(self, charge, 0, bytes)?;
        Ok(Held { line: self.clone(), charge, bytes })
    }

    /// Says that whoever is at the other end is counted elsewhere: a neighbour, or a Smoke client.
    pub fn counts_elsewhere(&self) {
        self.belongs(Owner::Elsewhere);
    }

    fn belongs(&self, owner: Owner) {
        if !self.is_known.swap(true, Ordering::AcqRel) {
            self.memory.lock().belongs(self.number, owner);
        }
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
        self.memory.lock().end(self.number);
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
        self.line.belongs(Owner::Participant(participant));
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
        self.line.memory.take(&self.line, self.charge, self.bytes, more)?;
        self.bytes += more;
        Ok(())
    }

    fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.line.memory.give_back(&self.line, self.charge, less);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.line.memory.give_back(&self.line, self.charge, self.bytes);
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
mod tests;
