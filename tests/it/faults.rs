//! Mail over three servers while lines break, slow down and bring things late, and servers are killed: what was accepted arrives exactly once.
//!
//! `MOMEDO_FAULT_MESSAGES=10000 cargo test --release --test it faults -- --nocapture` is the long campaign.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use momedo_protocol::api::SubmitRequest;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;

use crate::harness::{Person, Server, request};
use crate::line::{Fault, Line, Slow};
use crate::neighbours::{id, invite, neighbour, pair_over, state, until};

/// What happens, each as often, in any order.
const FAULTS: [&str; 7] =
    ["cut", "down", "half-open", "slowed", "overtaken", "killed in the middle", "killed at an end"];

/// Messages sent between two faults, at least; the long campaign has a hundred faults or so.
const BETWEEN: usize = 12;

/// Messages when nobody asks for more: every fault comes once.
const SHORT: usize = BETWEEN * FAULTS.len();

/// A slow line, as over a bad radio.
const SLOW: Slow = Slow { delay: Duration::from_millis(50), bytes_per_second: 64 * 1024 };

/// Lines are watched closely, nobody is told another way than the test's, and a load is not a pupil.
const SETTINGS: &str = "[neighbours]
heartbeat_seconds = 1
announce = false
[rates]
messages = { per_minute = 1000000, burst = 1000000 }
requests = { per_minute = 1000000, burst = 1000000 }
unauthenticated = { per_minute = 1000000, burst = 1000000 }
";

/// What the test knows of messages.
#[derive(Default)]
struct Record {
    accepted: BTreeSet<MessageId>,
    /// Where each came first; another place means that the server keeps it twice.
    received: BTreeMap<MessageId, u64>,
    twice: BTreeSet<MessageId>,
}

/// One of the two who write to each other.
struct Writer {
    person: Person,
    pending: Option<SubmitRequest>,
}

impl Writer {
    /// Sends one, or repeats the one that was not answered; a server that is down answers nothing.
    async fn send(
        &mut self,
        server: &Server,
        to: &momedo_protocol::key_bundle::KeyBundle,
        record: &mut Record,
    ) {
        let next = self.pending.take().unwrap_or_else(|| request(to, 512));
        match self.person.session.submit(&next).await {
            Ok(receipt) => drop(record.accepted.insert(receipt.id)),
            Err(error) => {
                if error.problem() == Some("not-logged-in") {
                    self.person.log_in(server).await;
                }
                self.pending = Some(next);
            }
        }
    }

    /// Fetches, notes, acknowledges; notices of the own server are no messages.
    async fn receive(&mut self, server: &Server, record: &mut Record) {
        let own = self.person.id();
        loop {
            let page = match self.person.session.ozone(None, 200, Duration::ZERO).await {
                Ok(page) => page,
                Err(error) => {
                    if error.problem() == Some("not-logged-in") {
                        self.person.log_in(server).await;
                        continue;
                    }
                    return;
                }
            };
            if page.messages.is_empty() {
                return;
            }
            for delivery in page.messages.iter().filter(|delivery| delivery.from != own) {
                let first = *record.received.entry(delivery.id).or_insert(delivery.cursor.sequence);
                if first != delivery.cursor.sequence {
                    record.twice.insert(delivery.id);
                }
            }
            if self.person.session.acknowledge(page.cursor).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_arrives_exactly_once_over_broken_lines_and_killed_servers() {
    let wanted: usize =
        std::env::var("MOMEDO_FAULT_MESSAGES").map_or(SHORT, |text| text.parse().expect("a number"));
    let mut servers =
        [Server::start_with(SETTINGS), Server::start_with(SETTINGS), Server::start_with(SETTINGS)];
    // Both lines are dialled from the middle.
    let lines = [Line::to(&servers[0].address), Line::to(&servers[2].address)];
    for (line, end) in lines.iter().zip([0, 2]) {
        let link = invite(&servers[end]).replace(&servers[end].address, &line.address);
        pair_over(&servers[end], &servers[1], &link);
    }
    for server in &servers {
        neighbour(server, &["allow", "--all"]);
        neighbour(server, &["allow", "--per-minute", "1000000"]);
    }
    let mut ada = Writer { person: servers[0].register(0).await, pending: None };
    let mut carl = Writer { person: servers[2].register(1).await, pending: None };
    // Once asked, the keys serve while a server in between is down.
    for _ in 0..2 {
        ada.person.session.keys(carl.person.id(), 0).await.unwrap();
        carl.person.session.keys(ada.person.id(), 0).await.unwrap();
    }
    let (to_carl, to_ada) = (carl.person.bundle.clone(), ada.person.bundle.clone());
    let mut record = Record::default();
    let (start, mut faults) = (Instant::now(), BTreeMap::<&str, u32>::new());
    let (middle, mut bag) = (id(&servers[1]), Vec::new());
    while record.accepted.len() < wanted {
        let [chance, which] = random::bytes::<2>();
        if bag.is_empty() {
            bag = FAULTS.to_vec();
        }
        let fault = bag.swap_remove(usize::from(chance) % bag.len());
        let (line, end) = (&lines[usize::from(which % 2)], usize::from(which % 2) * 2);
        match fault {
            "cut" => line.fail_when(Fault::BreaksOnce, || true),
            "down" => line.fail_when(Fault::Breaks, || true),
            "half-open" => line.fail_when(Fault::Silent, || true),
            "slowed" => line.slow_down(SLOW),
            "overtaken" => {
                until("there is a connection", || state(&servers[end], &middle) == "connected");
                // From the moment the newer connection is there until it has taken over.
                line.overtake(usize::from(chance) * 20);
            }
            "killed in the middle" => {
                servers[1].kill();
                servers[1].launch();
            }
            _ => {
                servers[end].kill();
                servers[end].launch();
                let writer = if end == 0 { &mut ada } else { &mut carl };
                writer.person.log_in(&servers[end]).await;
            }
        }
        *faults.entry(fault).or_default() += 1;
        for _ in 0..(wanted / 100).max(BETWEEN) / 2 {
            ada.send(&servers[0], &to_carl, &mut record).await;
            carl.send(&servers[2], &to_ada, &mut record).await;
        }
        ada.receive(&servers[0], &mut record).await;
        carl.receive(&servers[2], &mut record).await;
        if fault == "overtaken" {
            until("what was overtaken arrives", || line.has_failed());
        }
        // A slow line stays slow until something else has happened to it.
        if fault != "slowed" {
            line.mend();
        }
    }
    for line in &lines {
        line.mend();
    }
    for (writer, to, end) in [(&mut ada, &to_carl, 0), (&mut carl, &to_ada, 2)] {
        while writer.pending.is_some() {
            writer.send(&servers[end], to, &mut record).await;
        }
    }
    until("the lines are mended", || [0, 2].iter().all(|end| state(&servers[*end], &middle) == "connected"));
    let deadline = Instant::now() + Duration::from_secs(120);
    while record.received.len() < record.accepted.len() {
        assert!(Instant::now() < deadline, "{} of {} arrived", record.received.len(), record.accepted.len());
        ada.receive(&servers[0], &mut record).await;
        carl.receive(&servers[2], &mut record).await;
    }
    let lost = record.accepted.iter().filter(|id| !record.received.contains_key(id)).count();
    println!(
        "{} accepted, {lost} lost, {} twice, in {} s; faults: {faults:?}",
        record.accepted.len(),
        record.twice.len(),
        start.elapsed().as_secs()
    );
    assert_eq!((lost, record.twice.len()), (0, 0));
    assert_eq!(record.received.len(), record.accepted.len());
}

#[test]
fn a_line_lets_what_an_older_connection_brought_last_arrive_late() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let line = Line::to(&listener.local_addr().unwrap().to_string());
    let connect = || {
        let client = TcpStream::connect(&line.address).unwrap();
        (client, listener.accept().unwrap().0)
    };
    let read = |server: &mut TcpStream| {
        let mut bytes = [0; 5];
        server.read_exact(&mut bytes).unwrap();
        bytes
    };
    let (mut old, mut from_old) = connect();
    old.write_all(b"first").unwrap();
    assert_eq!(&read(&mut from_old), b"first");
    line.overtake(5);
    old.write_all(b"older").unwrap();
    assert_eq!(old.read(&mut [0; 5]).unwrap(), 0, "to the client it is broken");
    let (mut new, mut from_new) = connect();
    new.write_all(b"newer").unwrap();
    assert_eq!(&read(&mut from_new), b"newer");
    from_old.set_nonblocking(true).unwrap();
    assert_eq!(from_old.read(&mut [0; 5]).unwrap_err().kind(), ErrorKind::WouldBlock);
    from_old.set_nonblocking(false).unwrap();
    assert!(!line.has_failed());
    new.write_all(b"after").unwrap();
    assert_eq!((&read(&mut from_old), &read(&mut from_new)), (b"older", b"after"));
    assert!(line.mend());
}
