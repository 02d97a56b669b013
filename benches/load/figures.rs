//! The figures, one function each. Envelopes and frames are prepared before the clock starts.

use std::time::{Duration, Instant};

use momedo_client_native::stream::Stream;
use momedo_protocol::cursor::Cursor;
use momedo_protocol::stream::{ClientFrame, ServerFrame};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::people::{ENVELOPE_BYTES, Person, register, send_frame};
use crate::subject::Subject;

/// Messages each pair exchanges in the throughput figures.
const PER_PAIR: usize = 2_000;

/// How many deliveries a recipient lets pass before it acknowledges.
const ACKNOWLEDGE_EVERY: usize = 16;

pub(crate) fn print(figure: &str, value: serde_json::Value) {
    println!("{}", json!({ "figure": figure, "result": value }));
}

pub(crate) fn per_second(count: usize, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64()) as u64
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    milliseconds(sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)])
}

/// Sends every frame with at most `window` unanswered.
pub(crate) async fn send_all(stream: &mut Stream, frames: Vec<String>, window: usize) {
    let mut unanswered = 0;
    for frame in frames {
        stream.feed_text(frame).await.unwrap();
        unanswered += 1;
        if unanswered == window {
            stream.flush().await.unwrap();
            unanswered -= accepted(stream).await;
        }
    }
    stream.flush().await.unwrap();
    while unanswered > 0 {
        unanswered -= accepted(stream).await;
    }
}

/// Waits for one answer.
pub(crate) async fn accepted(stream: &mut Stream) -> usize {
    loop {
        let text = stream.next_text().await.unwrap().expect("the stream is open");
        if text.starts_with(r#"{"type":"accepted""#) {
            return 1;
        }
        assert!(!text.starts_with(r#"{"type":"refused""#), "{text}");
    }
}

/// The cursor of a delivery, without decoding its envelope.
pub(crate) fn delivered(text: &str) -> Option<Cursor> {
    let rest = text.strip_prefix(r#"{"type":"deliver","cursor":""#)?;
    rest.split_once('"')?.0.parse().ok()
}

/// Receives `count` deliveries, acknowledging every few of them and at the end.
pub(crate) async fn receive_all(stream: &mut Stream, count: usize, every: usize) {
    let (mut received, mut last) = (0, None);
    while received < count {
        let text = stream.next_text().await.unwrap().expect("the stream is open");
        let Some(cursor) = delivered(&text) else { continue };
        received += 1;
        last = Some(cursor);
        if received % every == 0 {
            stream.feed(&ClientFrame::Ack { cursor }).await.unwrap();
            stream.flush().await.unwrap();
        }
    }
    if let Some(cursor) = last {
        stream.feed(&ClientFrame::Ack { cursor }).await.unwrap();
        stream.flush().await.unwrap();
    }
}

pub(crate) fn frames(to: &Person, count: usize) -> Vec<String> {
    (0..count).map(|_| send_frame(&to.bundle)).collect()
}

pub(crate) fn start(runtime: &Runtime) {
    let subject = Subject::start();
    let first = subject.ready_after;
    let mut people = runtime.block_on(register(&subject, 1));
    let subject = subject.restart();
    let begun = Instant::now();
    runtime.block_on(people[0].log_in(&subject));
    let to_login = subject.ready_after + begun.elapsed();
    drop(people);
    let resident = subject.restart().resident();
    print(
        "start",
        json!({
            "first_start_ms": milliseconds(first), "start_to_first_login_ms": milliseconds(to_login),
            "idle_resident_mib": resident as f64 / (1024.0 * 1024.0),
        }),
    );
}

pub(crate) fn live(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        const PAIRS: usize = 50;
        let mut people = register(&subject, PAIRS * 2).await;
        let recipients = people.split_off(PAIRS);
        let mut tasks = JoinSet::new();
        let mut ready = Vec::new();
        for (sender, recipient) in people.iter().zip(&recipients) {
            let sending = (sender.stream(&subject, 64).await, frames(recipient, PER_PAIR));
            ready.push((sending, recipient.stream(&subject, 64).await));
        }
        let (cpu, begun) = (subject.cpu(), Instant::now());
        for ((mut from, frames), mut to) in ready {
            tasks.spawn(async move { send_all(&mut from, frames, 4).await });
            tasks.spawn(async move { receive_all(&mut to, PER_PAIR, ACKNOWLEDGE_EVERY).await });
        }
        tasks.join_all().await;
        let (time, cpu) = (begun.elapsed(), subject.cpu() - cpu);
        let count = PAIRS * PER_PAIR;
        print(
            "live",
            json!({
                "messages": count, "messages_per_second": per_second(count, time),
                "server_cpu_seconds_per_10000": cpu.as_secs_f64() * 10_000.0 / count as f64,
                "server_cores": cpu.as_secs_f64() / time.as_secs_f64(),
            }),
        );
    });
}

pub(crate) fn latency(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        let people = register(&subject, 2).await;
        let (mut from, mut to) = (people[0].stream(&subject, 64).await, people[1].stream(&subject, 64).await);
        let mut times = Vec::new();
        for frame in frames(&people[1], 5_000) {
            let begun = Instant::now();
            from.feed_text(frame).await.unwrap();
            from.flush().await.unwrap();
            receive_all(&mut to, 1, 2).await;
            times.push(begun.elapsed());
            accepted(&mut from).await;
        }
        times.sort();
        print("latency", json!({ "p50_ms": percentile(&times, 50), "p99_ms": percentile(&times, 99) }));
    });
}

/// Stores `per_pair` messages from each sender to its offline recipient, and says how long that took.
async fn fill(
    subject: &Subject,
    people: &[Person],
    recipients: &[Person],
    per_pair: usize,
    window: usize,
) -> Duration {
    let mut ready = Vec::new();
    for (sender, recipient) in people.iter().zip(recipients) {
        ready.push((sender.stream(subject, 64).await, frames(recipient, per_pair)));
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (mut from, frames) in ready {
        tasks.spawn(async move { send_all(&mut from, frames, window).await });
    }
    tasks.join_all().await;
    begun.elapsed()
}

pub(crate) fn store(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        let mut people = register(&subject, 100).await;
        let recipients = people.split_off(50);
        let cpu = subject.cpu();
        let time = fill(&subject, &people, &recipients, PER_PAIR, 16).await;
        let (count, cpu) = (50 * PER_PAIR, subject.cpu() - cpu);
        print(
            "store",
            json!({
                "messages": count, "messages_per_second": per_second(count, time),
                "server_cpu_seconds_per_10000": cpu.as_secs_f64() * 10_000.0 / count as f64,
            }),
        );
    });
}

pub(crate) fn drain(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        let mut people = register(&subject, 100).await;
        let recipients = people.split_off(50);
        fill(&subject, &people, &recipients, PER_PAIR, 16).await;
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for recipient in &recipients {
            let mut stream = recipient.stream(&subject, 512).await;
            tasks.spawn(async move { receive_all(&mut stream, PER_PAIR, 128).await });
        }
        tasks.join_all().await;
        let count = 50 * PER_PAIR;
        print(
            "drain",
            json!({ "messages": count, "messages_per_second": per_second(count, begun.elapsed()) }),
        );
    });
}

pub(crate) fn fan_out(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        let people = register(&subject, 1_001).await;
        for size in [30, 1_000] {
            let mut from = people[0].stream(&subject, 64).await;
            let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
            let mut tasks = JoinSet::new();
            for recipient in &people[1..=size] {
                let mut stream = recipient.stream(&subject, 64).await;
                let arrived = arrived.clone();
                tasks.spawn(async move {
                    while let Ok(Some(text)) = stream.next_text().await {
                        let Some(cursor) = delivered(&text) else { continue };
                        arrived.send(Instant::now()).unwrap();
                        stream.feed(&ClientFrame::Ack { cursor }).await.unwrap();
                        stream.flush().await.unwrap();
                    }
                });
            }
            let mut times = Vec::new();
            for _ in 0..20 {
                let frames: Vec<String> = people[1..=size].iter().map(|to| send_frame(&to.bundle)).collect();
                let begun = Instant::now();
                send_all(&mut from, frames, 64).await;
                let mut last = begun;
                for _ in 0..size {
                    last = last.max(arrivals.recv().await.unwrap());
                }
                times.push(last - begun);
            }
            times.sort();
            print("fan-out", json!({ "recipients": size, "to_the_last_p50_ms": percentile(&times, 50) }));
            tasks.shutdown().await;
        }
    });
}

pub(crate) fn log_in(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        const EACH: usize = 100;
        let people = register(&subject, 8).await;
        let (cpu, begun) = (subject.cpu(), Instant::now());
        let mut tasks = JoinSet::new();
        let count = people.len() * EACH;
        for mut person in people {
            let address = subject.address.clone();
            tasks.spawn(async move {
                for _ in 0..EACH {
                    let connection = momedo_client_native::connection(address.clone(), "en");
                    let device = person.session.device;
                    person.session =
                        momedo_testing::people::log_in(connection, device, &person.login_key).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
        let (time, cpu) = (begun.elapsed(), subject.cpu() - cpu);
        print(
            "login",
            json!({
                "logins": count, "logins_per_second": per_second(count, time),
                "server_cpu_ms_per_login": cpu.as_secs_f64() * 1000.0 / count as f64,
                "note": "each with a TLS handshake of its own",
            }),
        );
    });
}

pub(crate) fn idle(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        let count: usize = std::env::var("IDLE_STREAMS").map_or(10_000, |text| text.parse().unwrap());
        // Spread over many people: one participant's devices are told of each other.
        let people = register(&subject, 1_000.min(count)).await;
        let before = subject.resident();
        let mut streams = Vec::new();
        for person in people.iter().cycle().take(count) {
            let mut stream = person.stream(&subject, 64).await;
            // The greeting has arrived: the stream is up on both sides.
            loop {
                if let Some(ServerFrame::Presence { .. }) = stream.next().await.unwrap() {
                    break;
                }
            }
            streams.push(stream);
        }
        let after = subject.resident();
        print(
            "idle",
            json!({ "streams": count, "kib_per_stream": (after - before) as f64 / 1024.0 / count as f64 }),
        );
    });
}

pub(crate) fn disk(runtime: &Runtime) {
    for (senders, window, name) in [(1, 1, "one per commit"), (25, 4, "about 100 per commit")] {
        let subject = Subject::start();
        runtime.block_on(async {
            let mut people = register(&subject, senders * 2).await;
            let recipients = people.split_off(senders);
            let per_pair = 10_000 / senders;
            let before = subject.written();
            fill(&subject, &people, &recipients, per_pair, window).await;
            let stored = subject.written();
            let mut tasks = JoinSet::new();
            for recipient in &recipients {
                let mut stream = recipient.stream(&subject, 64).await;
                tasks.spawn(async move { receive_all(&mut stream, per_pair, 64).await });
            }
            tasks.join_all().await;
            // The last acknowledgements are on disk once a restart would not hand them out again.
            for recipient in recipients {
                let mut session = recipient.session;
                while !session.ozone(None, 1, Duration::ZERO).await.unwrap().messages.is_empty() {}
            }
            let after = subject.written();
            let kib = |bytes: u64| bytes as f64 / 1024.0 / (per_pair * senders) as f64;
            print(
                "disk",
                json!({
                    "commits": name, "envelope_bytes": ENVELOPE_BYTES,
                    "stored_kib": kib(stored - before), "acknowledged_kib": kib(after - stored),
                    "total_kib": kib(after - before),
                }),
            );
        });
    }
}
