//! Mail over one link between two servers, side by side with mail inside one, and what a link costs idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use momedo_protocol::digest::Fingerprint;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::figures::{accepted, frames, milliseconds, per_second, percentile, print, receive_all, send_all};
use crate::people::{Person, register};
use crate::subject::Subject;

/// Pairs who write at once, and how much each writes.
pub(crate) const PAIRS: usize = 20;
pub(crate) const PER_PAIR: usize = 500;

/// Messages whose way is timed, one after the other.
const TIMED: usize = 300;

/// How long an idle link is watched.
const WATCHED: Duration = Duration::from_secs(95);

/// Passes a connection on and counts its bytes, both ways.
async fn count(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, bytes: Arc<AtomicU64>) {
    let mut from = from;
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        bytes.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// A port that leads to `address`, and the bytes that passed it.
async fn counted(address: String) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let bytes = Arc::new(AtomicU64::new(0));
    let counting = bytes.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&address).await else { continue };
            // Both ends send small frames at once; a line between them must not gather them.
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let (client_reads, client_writes) = client.into_split();
            let (server_reads, server_writes) = server.into_split();
            tokio::spawn(count(client_reads, server_writes, counting.clone()));
            tokio::spawn(count(server_reads, client_writes, counting.clone()));
        }
    });
    (own, bytes)
}

/// Messages per second from senders at one server to recipients at another, or the same.
pub(crate) async fn throughput(from: (&Subject, &[Person]), to: (&Subject, &[Person])) -> u64 {
    let mut ready = Vec::new();
    for (sender, recipient) in from.1.iter().zip(to.1) {
        let sending = (sender.stream(from.0, 64).await, frames(recipient, PER_PAIR));
        ready.push((sending, recipient.stream(to.0, 64).await));
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for ((mut sending, frames), mut receiving) in ready {
        tasks.spawn(async move { send_all(&mut sending, frames, 16).await });
        tasks.spawn(async move { receive_all(&mut receiving, PER_PAIR, 16).await });
    }
    tasks.join_all().await;
    per_second(PAIRS * PER_PAIR, begun.elapsed())
}

/// How long one message takes after the other.
pub(crate) async fn latency(from: (&Subject, &Person), to: (&Subject, &Person)) -> serde_json::Value {
    let (mut sending, mut receiving) = (from.1.stream(from.0, 64).await, to.1.stream(to.0, 64).await);
    let mut times = Vec::new();
    for frame in frames(to.1, TIMED) {
        let begun = Instant::now();
        sending.feed_text(frame).await.unwrap();
        sending.flush().await.unwrap();
        receive_all(&mut receiving, 1, 2).await;
        times.push(begun.elapsed());
        accepted(&mut sending).await;
    }
    times.sort();
    json!({ "p50_ms": percentile(&times, 50), "p99_ms": percentile(&times, 99) })
}

pub(crate) fn invite(subject: &Subject) -> String {
    subject.admin(&["neighbour", "invite"])[0]["link"].as_str().unwrap().to_owned()
}

/// Makes two servers neighbours over a pairing link of the second one.
pub(crate) fn pair(here: &Subject, there: &Subject, link: &str) {
    here.admin(&["neighbour", "add", link]);
    there.admin(&["neighbour", "confirm", &here.address.fingerprint.to_string()]);
    until_connected(here, there.address.fingerprint);
}

/// Waits until `subject` has a link to this neighbour.
pub(crate) fn until_connected(subject: &Subject, neighbour: Fingerprint) {
    let (begun, id) = (Instant::now(), neighbour.to_string());
    let is_connected = |row: &serde_json::Value| row["id"] == id.as_str() && row["state"] == "connected";
    while !subject.admin(&["neighbour", "list"]).iter().any(is_connected) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the servers do not connect");
    }
}

pub(crate) fn across(runtime: &Runtime) {
    let (here, there) = (Subject::start(), Subject::start());
    runtime.block_on(async {
        let (line, bytes) = counted(there.address.addresses[0].clone()).await;
        pair(&here, &there, &invite(&there).replace(&there.address.addresses[0], &line));
        for one in [&here, &there] {
            one.admin(&["neighbour", "allow", "--all", "--per-minute", "100000000", "--queue-mib", "1000"]);
        }
        let before = bytes.load(Ordering::Relaxed);
        tokio::time::sleep(WATCHED).await;
        let idle = bytes.load(Ordering::Relaxed) - before;
        let mut people = register(&here, PAIRS * 2).await;
        let local = people.split_off(PAIRS);
        let remote = register(&there, PAIRS).await;
        for (sender, recipient) in people.iter_mut().zip(&remote) {
            sender.session.keys(recipient.bundle.payload.id, 0).await.unwrap();
        }
        let inside = throughput((&here, &people), (&here, &local)).await;
        let (cpu_here, cpu_there) = (here.cpu(), there.cpu());
        let over = throughput((&here, &people), (&there, &remote)).await;
        let cpu = |subject: &Subject, before: Duration| {
            milliseconds(subject.cpu() - before) / 1e3 * 10_000.0 / (PAIRS * PER_PAIR) as f64
        };
        print(
            "across",
            json!({
                "messages": PAIRS * PER_PAIR,
                "messages_per_second": { "inside": inside, "across": over },
                "cpu_seconds_per_10000": { "origin": cpu(&here, cpu_here), "home": cpu(&there, cpu_there) },
                "latency": {
                    "inside": latency((&here, &people[0]), (&here, &local[0])).await,
                    "across": latency((&here, &people[0]), (&there, &remote[0])).await,
                },
                "idle_bytes_per_hour": idle * 3600 / WATCHED.as_secs(),
            }),
        );
    });
}
