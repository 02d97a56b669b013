//! kill -9 under load: nothing that was acknowledged is lost, nothing arrives twice after de-duplication.
//!
//! `MOMEDO_CRASH_ROUNDS=50 cargo test --release --test it crash -- --nocapture` is the long campaign.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use momedo_protocol::api::OzonePage;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;

use crate::harness::{PATIENCE, Person, Server, request};

/// Rounds when nobody asks for more.
const SHORT: u32 = 3;

/// Senders, each with its own recipient.
const PAIRS: usize = 3;

/// A load is not a pupil: the rates are raised.
const UNLIMITED: &str = "[rates]
messages = { per_minute = 1000000, burst = 1000000 }
requests = { per_minute = 1000000, burst = 1000000 }
";

/// What happened, as the senders and recipients saw it.
#[derive(Default)]
struct Record {
    accepted: BTreeSet<MessageId>,
    /// Each received message with its place in the queue. The same place again is a repetition that the
    /// recipient drops; another place means that the server keeps the message twice.
    received: BTreeMap<MessageId, u64>,
    twice: BTreeSet<MessageId>,
}

impl Record {
    fn store(&mut self, page: &OzonePage) {
        for delivery in &page.messages {
            let first = *self.received.entry(delivery.id).or_insert(delivery.cursor.sequence);
            if first != delivery.cursor.sequence {
                self.twice.insert(delivery.id);
            }
        }
    }
}

/// Sends until told to stop or the server is gone; what is answered counts as accepted. A submission
/// without an answer is repeated with the same bytes in the next round.
async fn send_until_dead(
    person: &mut Person,
    to: &momedo_protocol::key_bundle::KeyBundle,
    pending: &mut Option<momedo_protocol::api::SubmitRequest>,
    record: &Mutex<Record>,
) {
    loop {
        let next = pending.take().unwrap_or_else(|| request(to, 1024));
        match person.session.submit(&next).await {
            Ok(receipt) => {
                record.lock().unwrap().accepted.insert(receipt.id);
            }
            Err(_) => {
                *pending = Some(next);
                return;
            }
        }
    }
}

/// Fetches, stores and acknowledges, as a client does: stores first, drops what it knows.
async fn receive_until(person: &mut Person, record: &Mutex<Record>, dead: &std::sync::atomic::AtomicBool) {
    use std::sync::atomic::Ordering::Relaxed;
    loop {
        let page = match person.session.ozone(None, 50, Duration::from_secs(1)).await {
            Ok(page) => page,
            Err(_) if dead.load(Relaxed) => return,
            Err(error) => panic!("receiving failed while the server runs: {error}"),
        };
        if page.messages.is_empty() {
            if dead.load(Relaxed) {
                return;
            }
            continue;
        }
        record.lock().unwrap().store(&page);
        let sequences: Vec<u64> = page.messages.iter().map(|delivery| delivery.cursor.sequence).collect();
        assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "out of order: {sequences:?}");
        if person.session.acknowledge(page.cursor).await.is_err() {
            assert!(dead.load(Relaxed), "acknowledging failed while the server runs");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_arrives_twice_over_kills() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let rounds: u32 =
        std::env::var("MOMEDO_CRASH_ROUNDS").map_or(SHORT, |text| text.parse().expect("a number of rounds"));
    let mut server = Server::start_with(UNLIMITED);
    let mut senders = Vec::new();
    let mut recipients = Vec::new();
    for pair in 0..PAIRS {
        senders.push((server.register(pair).await, None));
        recipients.push(server.register(PAIRS + pair).await);
    }
    let record = Arc::new(Mutex::new(Record::default()));
    for round in 1..=rounds {
        let dead = Arc::new(AtomicBool::new(false));
        let mut tasks = tokio::task::JoinSet::new();
        for (index, (mut sender, mut pending)) in senders.drain(..).enumerate() {
            let (record, to) = (record.clone(), recipients[index].bundle.clone());
            tasks.spawn(async move {
                send_until_dead(&mut sender, &to, &mut pending, &record).await;
                (Some((index, sender, pending)), None)
            });
        }
        for (index, mut recipient) in recipients.drain(..).enumerate() {
            let (record, dead) = (record.clone(), dead.clone());
            tasks.spawn(async move {
                receive_until(&mut recipient, &record, &dead).await;
                (None, Some((index, recipient)))
            });
        }
        // A random moment under load, counted in accepted messages so that there is load.
        let [low, high] = random::bytes::<2>();
        let enough =
            record.lock().unwrap().accepted.len() + 20 + usize::from(u16::from_be_bytes([low & 1, high]));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while record.lock().unwrap().accepted.len() < enough {
            assert!(tokio::time::Instant::now() < deadline, "no progress under load");
            tokio::task::yield_now().await;
        }
        // Whatever fails from here on may fail.
        dead.store(true, Ordering::Relaxed);
        server.kill();
        let (mut sending, mut receiving) = (BTreeMap::new(), BTreeMap::new());
        while let Some(ended) = tasks.join_next().await {
            let (sender, recipient) = ended.unwrap();
            sending.extend(sender.map(|(index, sender, pending)| (index, (sender, pending))));
            receiving.extend(recipient);
        }
        senders = sending.into_values().collect();
        recipients = receiving.into_values().collect();
        server.launch();
        for (sender, _) in &mut senders {
            sender.log_in(&server).await;
        }
        for recipient in &mut recipients {
            recipient.log_in(&server).await;
        }
        println!("round {round}: {} accepted so far", record.lock().unwrap().accepted.len());
    }
    // What was sent and not answered is repeated, then everything is drained.
    for (sender, pending) in &mut senders {
        if let Some(request) = pending.take() {
            let receipt = sender.session.submit(&request).await.unwrap();
            record.lock().unwrap().accepted.insert(receipt.id);
        }
    }
    for recipient in &mut recipients {
        loop {
            let page = recipient.waiting().await;
            if page.messages.is_empty() {
                break;
            }
            record.lock().unwrap().store(&page);
            recipient.session.acknowledge(page.cursor).await.unwrap();
        }
        // A second look finds nothing: acknowledged deliveries do not come back.
        assert!(recipient.waiting().await.messages.is_empty());
    }
    let record = record.lock().unwrap();
    let lost: Vec<_> = record.accepted.iter().filter(|id| !record.received.contains_key(id)).collect();
    let never_sent = record.received.keys().filter(|id| !record.accepted.contains(id)).count();
    println!(
        "{rounds} rounds: {} accepted, {} lost, {} kept twice, {never_sent} received without being accepted",
        record.accepted.len(),
        lost.len(),
        record.twice.len(),
    );
    assert!(record.twice.is_empty(), "kept twice: {:?}", record.twice);
    assert!(lost.is_empty(), "acknowledged but lost: {lost:?}");
    assert_eq!(never_sent, 0, "every pending submission was repeated until accepted");
    assert_eq!(server.status()["ozone_envelopes"], 0);
}
