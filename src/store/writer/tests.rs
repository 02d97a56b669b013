use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::*;
use crate::domain::delivery::Takers;
use crate::domain::ozone::{Quota, Source};
use crate::store::{Charged, NewEnvelope, Store, StoreOptions};
use crate::surroundings::clock::Clock;

const DEVICES: [u64; 3] = [11, 12, 13];
const QUOTA: Quota = Quota { queue_bytes: 1_000_000_000, sender_bytes: 1_000_000_000 };

fn participant() -> ParticipantId {
    ParticipantId::from_number(7).unwrap()
}

fn device(number: u64) -> DeviceId {
    DeviceId::from_number(number).unwrap()
}

/// A store with one participant, and what it told the hub: device, sequence, message.
struct Opened {
    store: Store,
    heard: Arc<Mutex<Vec<(u64, u64, u8)>>>,
    _folder: tempfile::TempDir,
}

async fn open(options: &StoreOptions) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = heard.clone();
    let listener = move |delivered: Vec<Delivered>| {
        let seen = delivered.iter().map(|one| (one.device, one.sequence, one.envelope.message_id.0[0]));
        hearing.lock().unwrap().extend(seen);
    };
    let store = Store::open(folder.path(), Clock::manual(), options, Box::new(listener)).unwrap();
    store
        .write(|tx| {
            tx.insert_participant(participant(), "Ada", UnixMillis(0))?;
            for number in DEVICES {
                tx.read.connection.execute(
                    "INSERT INTO devices (id, participant, key_digest, login_key, seen_tick)
                     VALUES (?1, ?2, zeroblob(64), x'00', 0)",
                    (number, participant().number()),
                )?;
            }
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    Opened { store, heard, _folder: folder }
}

/// Occupies the writer until something is sent, so that everything that comes meanwhile is one batch.
async fn occupy(store: &Store) -> (std::sync::mpsc::Sender<()>, JoinHandle<Result<(), StoreError>>) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = oneshot::channel();
    let store = store.clone();
    let occupied = tokio::spawn(async move {
        let wait = move |_: &mut WriteTx<'_>| {
            begin.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        };
        store.write(wait).await
    });
    begun.await.unwrap();
    (release, occupied)
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Keep,
    RefuseAtOnce,
    FailAfterWriting,
    BreakConstraint,
    Panic,
}

#[derive(Debug, Clone, Copy)]
struct Planned {
    act: Act,
    undo: Undo,
    /// How many devices get it.
    devices: usize,
    size: usize,
}

/// The devices in whose queue it has room.
fn takers(tx: &mut WriteTx<'_>, devices: &[DeviceId], size: usize) -> Result<Takers, StoreError> {
    let queues = tx.queues(devices, Source::Here, participant())?;
    Ok(Takers::with_room(&queues, Source::Here, size as u64, &QUOTA))
}

/// Runs the job; `number` is its message's ID.
fn perform(tx: &mut WriteTx<'_>, plan: Planned, number: u8) -> Result<(), StoreError> {
    if plan.act == Act::RefuseAtOnce {
        return Err(StoreError::Busy);
    }
    let devices: Vec<_> = DEVICES[..plan.devices].iter().copied().map(device).collect();
    let takers = takers(tx, &devices, plan.size)?;
    let envelope = NewEnvelope {
        sender: participant(),
        message_id: MessageId([number; 16]),
        accepted_at: UnixMillis(0),
        bundle_version: 0,
        source: crate::domain::ozone::Source::Here,
        charged: Charged::Sender,
        bytes: vec![number; plan.size],
    };
    tx.append(participant(), &takers, envelope)?;
    match plan.act {
        Act::Keep => Ok(()),
        Act::Panic => panic!("a job of the test panics"),
        Act::BreakConstraint => tx.insert_participant(participant(), "twice", UnixMillis(0)),
        Act::RefuseAtOnce | Act::FailAfterWriting => Err(StoreError::Busy),
    }
}

/// Has jobs run in one batch: the answers, and how often each ran.
async fn run_batch(store: &Store, plans: &[Planned]) -> Vec<(Result<(), StoreError>, usize)> {
    let (release, occupied) = occupy(store).await;
    let mut waiting = Vec::new();
    for (plan, number) in plans.iter().copied().zip(1u8..) {
        let (store, runs) = (store.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = runs.clone();
        let job = move |tx: &mut WriteTx<'_>| {
            counted.fetch_add(1, Ordering::Relaxed);
            perform(tx, plan, number)
        };
        let answer = tokio::spawn(async move {
            match plan.undo {
                Undo::Savepoint => store.write(job).await,
                Undo::NothingWritten => store.write_decided(job).await,
            }
        });
        waiting.push((answer, runs));
    }
    // Each is polled once, and so in the queue.
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    occupied.await.unwrap().unwrap();
    let mut answers = Vec::new();
    for (answer, runs) in waiting {
        answers.push((answer.await.unwrap(), runs.load(Ordering::Relaxed)));
    }
    answers
}

/// What waits for a device: message and length.
async fn queue(store: &Store, number: u64) -> Vec<(u64, u8, usize)> {
    let waiting = store.read(move |tx| tx.waiting(device(number), 0, 10_000, u64::MAX)).await.unwrap();
    waiting.iter().map(|one| (one.sequence, one.envelope.message_id.0[0], one.envelope.bytes.len())).collect()
}

async fn check(opened: &Opened, plans: &[Planned]) {
    let before = opened.store.half_written();
    let answers = run_batch(&opened.store, plans).await;
    for (plan, (answer, runs)) in plans.iter().zip(&answers) {
        assert_eq!(answer.is_ok(), plan.act == Act::Keep, "{plan:?}: {answer:?}");
        assert!((1..=2).contains(runs), "{plan:?} ran {runs} times");
    }
    for (place, number) in DEVICES.iter().copied().enumerate() {
        let kept = plans.iter().zip(1u8..).filter(|(plan, _)| plan.act == Act::Keep && plan.devices > place);
        let kept: Vec<_> =
            kept.zip(1u64..).map(|((plan, message), sequence)| (sequence, message, plan.size)).collect();
        assert_eq!(queue(&opened.store, number).await, kept, "device {number}");
        // The hub heard of exactly that, in that order.
        let heard = opened.heard.lock().unwrap().clone();
        let heard = heard.into_iter().filter(|(device, ..)| *device == number);
        let heard: Vec<_> = heard.map(|(_, sequence, message)| (sequence, message)).collect();
        assert_eq!(
            heard,
            kept.iter().map(|(sequence, message, _)| (*sequence, *message)).collect::<Vec<_>>()
        );
        // And the writer's memory of the queue fits the queue.
        let room = usize::try_from(QUOTA.queue_bytes).unwrap() - kept.iter().map(|one| one.2).sum::<usize>();
        let takes = move |size| {
            opened
                .store
                .write(move |tx| Ok::<_, StoreError>(takers(tx, &[device(number)], size)?.taking.len()))
        };
        assert_eq!((takes(room).await.unwrap(), takes(room + 1).await.unwrap()), (1, 0));
    }
    let broken = |plan: &&Planned| {
        plan.undo == Undo::NothingWritten && !matches!(plan.act, Act::Keep | Act::RefuseAtOnce)
    };
    assert_eq!(opened.store.half_written() - before, plans.iter().filter(broken).count() as u64);
}

const KEEP: Planned = Planned { act: Act::Keep, undo: Undo::NothingWritten, devices: 3, size: 100 };

#[tokio::test]
async fn a_job_that_breaks_its_promise_fails_alone() {
    for act in [Act::FailAfterWriting, Act::BreakConstraint, Act::Panic] {
        let opened = open(&StoreOptions::default()).await;
        let broken = Planned { act, ..KEEP };
        check(&opened, &[KEEP, KEEP, broken, KEEP, broken, broken, KEEP]).await;
    }
}

fn plan() -> impl Strategy<Value = Planned> {
    let act = prop_oneof![
        4 => Just(Act::Keep),
        1 => Just(Act::RefuseAtOnce),
        1 => Just(Act::FailAfterWriting),
        1 => Just(Act::BreakConstraint),
        1 => Just(Act::Panic),
    ];
    let undo = prop_oneof![4 => Just(Undo::NothingWritten), 1 => Just(Undo::Savepoint)];
    (act, undo, 0..=3usize, 1..2000usize)
        .prop_map(|(act, undo, devices, size)| Planned { act, undo, devices, size })
        .prop_filter("a job that fails after writing writes", |plan| {
            plan.devices > 0 || plan.act == Act::Keep
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_fails_in_a_batch_fails_alone(plans in prop::collection::vec(plan(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { check(&open(&StoreOptions::default()).await, &plans).await });
    }
}

#[tokio::test]
async fn a_full_database_breaks_no_promise_and_keeps_what_it_accepted() {
    let options = StoreOptions { max_database_bytes: Some(2 * 1024 * 1024), ..StoreOptions::default() };
    let opened = open(&options).await;
    let large = Planned { size: 60_000, devices: 1, ..KEEP };
    let mut accepted = 0;
    while !opened.store.is_full() {
        // SQLite itself undoes a transaction in which the space ran out, so all of a batch are told.
        for (answer, _) in run_batch(&opened.store, &[large; 4]).await {
            assert!(matches!(answer, Ok(()) | Err(StoreError::Full)), "{answer:?}");
            accepted += usize::from(answer.is_ok());
        }
    }
    assert!(accepted > 0);
    assert_eq!(queue(&opened.store, DEVICES[0]).await.len(), accepted);
    assert_eq!(opened.store.half_written(), 0);
    // What makes room is done.
    opened.store.write_freeing_decided(|tx| tx.acknowledge(device(DEVICES[0]), 1)).await.unwrap();
    assert_eq!(queue(&opened.store, DEVICES[0]).await.len(), accepted - 1);
}
