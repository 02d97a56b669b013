//! What others notice while a neighbour brings far more than its contract allows.

use std::cell::Cell;
use std::time::{Duration, Instant};

use momedo_client_native::stream::Stream;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::{Frame, PairingLink, Standing};
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_rustls::client::TlsStream;

use crate::across::{invite, pair, until_connected};
use crate::figures::{accepted, frames, per_second, percentile, print, receive_all};
use crate::hostile_link::{Hostile, next_frame};
use crate::people::{Person, message, register};
use crate::subject::Subject;

/// What a neighbour may bring per minute when nobody decides otherwise.
const CONTRACT: usize = 6_000;

/// Messages in a batch of the flood.
const PER_BATCH: usize = 20;

/// Batches a second: ten times what the contract allows.
const BATCHES_PER_SECOND: usize = CONTRACT * 10 / 60 / PER_BATCH;

/// How long each part takes.
const SECONDS: usize = 20;

/// Pairs who write to each other inside the server, and how often each does.
const INSIDE: (usize, Duration) = (8, Duration::from_millis(25));

/// Pairs who write over the link of another, well-behaved neighbour.
const ACROSS: (usize, Duration) = (4, Duration::from_millis(50));

/// Beyond this somebody writes late because of what came before, and not because of the timer.
const TIMER: Duration = Duration::from_millis(2);

/// Two ends of a conversation.
pub(crate) struct Pair {
    pub(crate) from: Stream,
    pub(crate) to: Stream,
    pub(crate) frames: Vec<String>,
    pub(crate) every: Duration,
}

/// Writes one message after the other for a while, and returns how long each took from the moment it was due.
pub(crate) async fn write(pair: Pair, offset: Duration) -> Vec<Duration> {
    let Pair { mut from, mut to, frames, every } = pair;
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + offset, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut times = Vec::with_capacity(frames.len());
    for frame in frames {
        let due = ticks.tick().await.into_std();
        let begun = if due.elapsed() > TIMER { due } else { Instant::now() };
        from.feed_text(frame).await.unwrap();
        from.flush().await.unwrap();
        receive_all(&mut to, 1, 2).await;
        times.push(begun.elapsed());
        accepted(&mut from).await;
    }
    times
}

/// The people whose messages are timed: inside the server, and from the other neighbour to it.
struct Others {
    here: Subject,
    there: Subject,
    inside: Vec<(Person, Person)>,
    across: Vec<(Person, Person)>,
}

impl Others {
    /// Lets everybody write for a while.
    async fn write(&self) -> Value {
        let sides = [(&self.inside, &self.here, INSIDE.1), (&self.across, &self.there, ACROSS.1)];
        let mut tasks = JoinSet::new();
        for (side, (pairs, home, every)) in sides.into_iter().enumerate() {
            let count = SECONDS * 1000 / every.as_millis() as usize;
            for (index, (sender, recipient)) in pairs.iter().enumerate() {
                let from = sender.stream(home, 64).await;
                let to = recipient.stream(&self.here, 64).await;
                let pair = Pair { from, to, frames: frames(recipient, count), every };
                let offset = every * index as u32 / pairs.len() as u32;
                tasks.spawn(async move { (side, write(pair, offset).await) });
            }
        }
        let mut times = [Vec::new(), Vec::new()];
        for (side, some) in tasks.join_all().await {
            times[side].extend(some);
        }
        let [inside, across] = times.map(|mut times| {
            times.sort();
            json!({ "messages": times.len(), "p50_ms": percentile(&times, 50), "p99_ms": percentile(&times, 99) })
        });
        json!({ "inside": inside, "across": across })
    }
}

/// What became of the flood, in messages.
#[derive(Default)]
struct Flooded {
    taken: usize,
    refused: usize,
}

/// The flooding neighbour's link.
struct Flood {
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
    batches: Vec<Vec<u8>>,
}

impl Flood {
    async fn begin(here: &Subject, victim: &Person) -> Self {
        let link: PairingLink = invite(here).parse().unwrap();
        let address = &here.address.addresses[0];
        let mut hostile = Hostile::dial_with(address, link.server, RsaPrivateKey::generate()).await;
        hostile.ask(link.code).await;
        let own = hostile.id().to_string();
        let begun = Instant::now();
        while here.admin(&["neighbour", "list"]).iter().all(|row| row["id"] != own.as_str()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "the neighbour is not recorded");
        }
        here.admin(&["neighbour", "confirm", &own]);
        let rate = CONTRACT.to_string();
        here.admin(&["neighbour", "allow", &own, "--all", "--per-minute", &rate]);
        hostile.send(&Frame::Standing(Standing::Confirmed)).await;
        until_connected(here, hostile.id());
        let from = ParticipantId::random();
        let batch = |_| {
            let item = || {
                let (id, envelope) = message(&victim.bundle);
                (from, victim.bundle.payload.id, id, envelope)
            };
            let messages = (0..PER_BATCH).map(|_| item()).collect();
            Frame::Batch(Box::new(hostile.batch(hostile.server, messages))).encode()
        };
        let batches = (0..SECONDS * BATCHES_PER_SECOND).map(batch).collect();
        let (read, write) = tokio::io::split(hostile.stream);
        Self { read, write, batches }
    }

    /// Floods for a while, with so much time between batches, or as fast as the link takes them.
    async fn run(&mut self, every: Option<Duration>) -> Flooded {
        let Self { read, write, batches } = self;
        // Known before the last one is sent, so that its answer ends the reading.
        let last = Cell::new(None);
        let sending = async {
            let begun = Instant::now();
            let mut ticks = every.map(tokio::time::interval);
            for (number, batch) in (1..).zip(batches.iter().cycle()) {
                let is_last = match &mut ticks {
                    Some(ticks) => {
                        ticks.tick().await;
                        number == batches.len()
                    }
                    None => begun.elapsed() > Duration::from_secs(SECONDS as u64),
                };
                if is_last {
                    last.set(Some(number));
                }
                write.write_all(batch).await.unwrap();
                write.flush().await.unwrap();
                if is_last {
                    break;
                }
            }
        };
        let reading = async {
            let (mut flooded, mut answers) = (Flooded::default(), 0);
            while last.get() != Some(answers) {
                match next_frame(read).await.expect("the link goes on") {
                    Frame::Receipt(_) => flooded.taken += PER_BATCH,
                    Frame::Busy { .. } => flooded.refused += PER_BATCH,
                    other => panic!("{other:?}"),
                }
                answers += 1;
            }
            flooded
        };
        tokio::join!(sending, reading).1
    }
}

pub(crate) fn flood(runtime: &Runtime) {
    let (here, there) = (Subject::start(), Subject::start());
    runtime.block_on(async {
        pair(&there, &here, &invite(&here));
        for one in [&here, &there] {
            one.admin(&["neighbour", "allow", "--all", "--per-minute", "100000000"]);
        }
        let mut people = register(&here, INSIDE.0 * 2 + ACROSS.0 + 1).await;
        let mut remote = register(&there, ACROSS.0).await;
        let victim = people.pop().unwrap();
        let recipients = people.split_off(people.len() - ACROSS.0);
        for (sender, recipient) in remote.iter_mut().zip(&recipients) {
            sender.session.keys(recipient.bundle.payload.id, 0).await.unwrap();
        }
        let second = people.split_off(INSIDE.0);
        let inside = people.into_iter().zip(second).collect();
        let across = remote.into_iter().zip(recipients).collect();
        let mut flood = Flood::begin(&here, &victim).await;
        let others = Others { here, there, inside, across };
        let paced = Duration::from_secs(1) / BATCHES_PER_SECOND as u32;
        for (part, every) in [
            ("before", None),
            ("ten times the contract", Some(Some(paced))),
            ("as fast as the link takes it", Some(None)),
            ("after", None),
        ] {
            let (cpu, begun) = (others.here.cpu(), Instant::now());
            let flooding = async {
                match every {
                    Some(every) => flood.run(every).await,
                    None => Flooded::default(),
                }
            };
            let (Flooded { taken, refused }, noticed) = tokio::join!(flooding, others.write());
            let time = begun.elapsed();
            print(
                "flood",
                json!({
                    "part": part, "others": noticed,
                    "flood": {
                        "sent_per_second": per_second(taken + refused, time), "taken": taken, "refused": refused,
                    },
                    "server_cores": (others.here.cpu() - cpu).as_secs_f64() / time.as_secs_f64(),
                }),
            );
        }
    });
}
