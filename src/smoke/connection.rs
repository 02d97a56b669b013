//! One connection: reading, silence, the memory its frames take, and the challenges of private listeners.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use momedo_smoke::challenge::{Challenge, Response};
use momedo_smoke::frame::{FrameReader, MAX_FRAME_BYTES};
use momedo_smoke::recognition::Hints;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::MissedTickBehavior;

use super::Access;
use super::writer::{self, Pace};
use crate::domain::rate::{Bucket, Rate};
use crate::domain::smoke::{
    CHALLENGE, CHALLENGE_RENEWAL, COPIES, KEY_REQUESTS, MAX_LOCKED_FRAME_BYTES, SHARED_IDS, SILENCE,
    UNFINISHED, WorkBudget,
};
use crate::live::shutdown::Shutdown;
use crate::service::smoke::keys;
use crate::service::smoke::neighbours::NeighbourKind;
use crate::smoke_hub::{Reserved, Socket};
use crate::state::App;

/// Read at once, in bytes.
const READ_BYTES: usize = 4 * 1024;

/// What a frame may have beyond what it says, in bytes: some count their last header as part of the body.
const SPARE_BYTES: usize = 1024;

/// How often time-outs are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long the last frames of a connection that ends may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Somebody who connected to a listener.
    Client,
    /// A server this one connected to.
    Neighbour(NeighbourKind),
}

/// How much of something a connection may do.
pub(super) struct Allowance {
    rate: Rate,
    bucket: Bucket,
}

impl Allowance {
    fn new(rate: Rate, now: Duration, peer: Peer) -> Self {
        // A neighbour speaks for many.
        let factor = if peer == Peer::Client { 1 } else { 20 };
        let rate = Rate { per_minute: rate.per_minute * factor, burst: rate.burst * factor };
        Self { rate, bucket: Bucket::full(rate, now) }
    }

    /// Takes one, or says how long to wait for it.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.bucket.take(self.rate, now)
    }
}

/// One connection.
pub(super) struct Connection<'a> {
    pub(super) app: &'a App,
    pub(super) peer: Peer,
    pub(super) socket: Socket<'a>,
    pub(super) hints: Hints,
    pub(super) work: WorkBudget,
    pub(super) copies: Allowance,
    pub(super) key_requests: Allowance,
    pub(super) shared_ids: Allowance,
    /// How often this connection was given each message.
    pub(super) given: HashMap<i64, u8>,
    pub(super) frames: FrameReader,
    /// It speaks the protocol, or an admin entered it: its large frames do not wait with strangers'.
    pub(super) is_known: bool,
    /// The newest challenge that was not answered yet, and since when.
    challenge: Option<(Challenge, Duration)>,
    challenged: Option<Duration>,
    /// Memory of a large frame.
    memory: Reserved,
    last_byte: Duration,
    last_frame: Duration,
}

impl<'a> Connection<'a> {
    pub(super) fn new(app: &'a App, peer: Peer, access: Access) -> Self {
        let now = app.clock.elapsed();
        let largest = if access == Access::Private { MAX_LOCKED_FRAME_BYTES } else { MAX_FRAME_BYTES };
        Self {
            app,
            peer,
            socket: app.smoke.enter(access == Access::Private),
            hints: Hints::default(),
            work: WorkBudget::new(now),
            copies: Allowance::new(COPIES, now, peer),
            key_requests: Allowance::new(KEY_REQUESTS, now, peer),
            shared_ids: Allowance::new(SHARED_IDS, now, peer),
            given: HashMap::new(),
            frames: FrameReader::new(largest),
            is_known: matches!(peer, Peer::Neighbour(_)),
            challenge: None,
            challenged: None,
            memory: Reserved::default(),
            last_byte: now,
            last_frame: now,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.app.clock.elapsed()
    }

    /// Serves it until the other end goes, is silent for too long, or `stop` is raised.
    ///
    /// # Errors
    /// What the stream says.
    pub(super) async fn serve<S>(mut self, stream: S, stop: Shutdown) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send,
    {
        let (mut read, write) = tokio::io::split(stream);
        let outgoing = self.socket.outgoing().clone();
        let pace = if self.peer == Peer::Client { Pace::App } else { Pace::Server };
        let name = self.app.fingerprint.to_string();
        let mut writing = std::pin::pin!(writer::write(&outgoing, write, &name[..36], pace));
        let read = tokio::select! {
            written = writing.as_mut() => return written,
            read = self.read(&mut read, stop) => read,
        };
        outgoing.close();
        // Whoever does not take its last frames does without.
        let _: Result<_, _> = tokio::time::timeout(FAREWELL, writing).await;
        read
    }

    async fn read<R: AsyncRead + Unpin>(&mut self, stream: &mut R, mut stop: Shutdown) -> io::Result<()> {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = [0; READ_BYTES];
        loop {
            tokio::select! {
                count = stream.read(&mut buffer) => match count? {
                    0 => return Ok(()),
                    count => {
                        self.last_byte = self.now();
                        self.take_in(&buffer[..count]).await;
                        tokio::select! {
                            () = self.settle_memory() => {}
                            () = stop.requested() => return Ok(()),
                        }
                    }
                },
                _ = looks.tick() => {
                    if self.is_over() {
                        return Ok(());
                    }
                }
                () = stop.requested() => return Ok(()),
            }
        }
    }

    /// Looks at the clocks; true when the other end has been silent for too long.
    fn is_over(&mut self) -> bool {
        let now = self.now();
        if self.frames.is_within_a_frame() && now.saturating_sub(self.last_frame) > UNFINISHED {
            self.frames.clear();
            self.memory.release();
        }
        if self.socket.outgoing().is_locked()
            && self.challenged.is_none_or(|at| now.saturating_sub(at) >= CHALLENGE_RENEWAL)
        {
            let challenge = Challenge::new();
            self.socket.outgoing().push_answer(Arc::from(challenge.frame()));
            self.challenge = Some((challenge, now));
            self.challenged = Some(now);
        }
        now.saturating_sub(self.last_byte) > SILENCE
    }

    async fn take_in(&mut self, bytes: &[u8]) {
        if !self.frames.is_within_a_frame() {
            self.last_frame = self.now();
        }
        self.frames.push(bytes);
        while let Some(frame) = self.frames.next_frame() {
            self.last_frame = self.now();
            self.handle(frame).await;
        }
    }

    /// Waits for memory for a large frame, and with it the other end. Only one that grows beyond what it said is
    /// forgotten where there is none in time.
    async fn settle_memory(&mut self) {
        let held = self.frames.held();
        if Reserved::default().covers(held) {
            self.memory.release();
        }
        if self.memory.covers(held) {
            return;
        }
        let announced = self.frames.announced().map(|bytes| bytes.saturating_add(SPARE_BYTES));
        // What says nothing right about its length may have any.
        let largest = self.frames.limit();
        let wanted = announced.filter(|bytes| *bytes >= held).unwrap_or(largest).min(largest);
        let memory = &self.app.smoke.large_frames;
        if memory.reserve(&mut self.memory, wanted, self.is_known, UNFINISHED).await.is_err() {
            self.frames.clear();
            self.memory.release();
        }
        // Time it had to wait is not its own.
        (self.last_byte, self.last_frame) = (self.now(), self.now());
    }

    /// Opens a private listener to whoever answers its newest challenge, once.
    pub(super) async fn authenticate(&mut self, body: &[u8]) {
        let Some(response) = Response::read(body) else { return };
        let Some((challenge, since)) = self.challenge.take() else { return };
        if self.now().saturating_sub(since) > CHALLENGE {
            return;
        }
        // A look-up and a signature: as much work as many frames.
        self.pay(5_000).await;
        match keys::authenticates(self.app, challenge, response).await {
            Ok(true) => {
                tracing::debug!("a Smoke client authenticated");
                self.socket.unlock();
            }
            Ok(false) => tracing::debug!("a Smoke client failed to authenticate"),
            Err(error) => tracing::warn!(%error, "a Smoke client could not be authenticated"),
        }
    }

    /// Charges work, after waiting as long as a flood must.
    pub(super) async fn pay(&mut self, blocks: u64) {
        let wait = self.work.charge(blocks, self.now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}
