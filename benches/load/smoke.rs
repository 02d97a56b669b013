//! The Smoke gateway: messages to connected clients and offline copies, with 10, 100 and 1,000 participants.

use std::sync::Arc;
use std::time::{Duration, Instant};

use momedo_smoke::frame::{self, Frame, FrameReader, Kind, MAX_FRAME_BYTES};
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::mac::MacKey;
use momedo_smoke::smoke_id::SmokeId;
use momedo_smoke::{lenient_base64, offline_copy, random};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::subject::Subject;

const OZONE: &str = "Hafenlaterne";

/// Body of a message, as large as the original app's.
const BODY_BYTES: usize = 896;

/// Messages one client has under way: what fills the record that the app reads at a time.
const WINDOW: usize = 12;

/// How long live messages are exchanged.
const TIME: Duration = Duration::from_secs(8);

/// Offline copies in all, and at most of one client: beyond that the server slows it down.
const COPIES: usize = 20_000;
const COPIES_PER_CLIENT: usize = 500;

fn now() -> u64 {
    momedo_client::now().0
}

struct Client {
    id: SmokeId,
    stream: TlsStream<TcpStream>,
    frames: FrameReader,
}

impl Client {
    /// Connects, announces itself, and shares its ID until that is confirmed.
    async fn join(address: &str) -> Self {
        let config = momedo_testing::client_config(&[&rustls::version::TLS13], &[]).unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let nobody = std::net::IpAddr::from([127, 0, 0, 1]).into();
        let stream = TlsConnector::from(Arc::new(config)).connect(nobody, tcp).await.unwrap();
        let digits: String = random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut client =
            Self { id: digits.parse().unwrap(), stream, frames: FrameReader::new(MAX_FRAME_BYTES) };
        let identity = lenient_base64::encode(&client.id.routing_identity());
        client.send(&frame::typed("0095a", &format!("{identity};sha-512"))).await;
        let plain = [&[2][..], &now().to_be_bytes(), client.id.as_bytes(), &random::<8>()].concat();
        client.send(&frame::untyped(&KeyStream::of_ozone(OZONE).seal(&plain), random())).await;
        client.receive(1).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads so many frames, signs of life aside.
    async fn receive(&mut self, mut count: usize) {
        while count > 0 {
            while let Some(found) = self.frames.next_frame() {
                count -= usize::from(Frame::read(&found).kind != Some(Kind::Capabilities));
            }
            if count > 0 {
                let mut buffer = [0; 16 * 1024];
                let read = self.stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the server closed");
                self.frames.push(&buffer[..read]);
            }
        }
    }
}

fn direct(to: &SmokeId) -> Vec<u8> {
    let body = random::<BODY_BYTES>();
    let tag = MacKey::new(&to.routing_identity()).tag(&body);
    frame::untyped(&[&body[..], &tag].concat(), random())
}

fn copy(ozone: &KeyStream, to: &SmokeId) -> Vec<u8> {
    let body = random::<BODY_BYTES>();
    let tag = offline_copy::copy_tag(&ozone.mac().start(&body), to, offline_copy::minute(now()));
    frame::untyped(&[&body[..], &tag].concat(), random())
}

pub(crate) fn smoke(runtime: &Runtime) {
    for count in [10, 100, 1_000] {
        runtime.block_on(with(count));
    }
}

async fn with(count: usize) {
    let subject = Subject::start();
    subject.admin(&["smoke", "ozone", "add", OZONE]);
    let address = &subject.address.addresses[0];
    let begun = Instant::now();
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(Client::join(address).await);
    }
    let joined = begun.elapsed();
    let resident = subject.resident();
    let (cpu, begun) = (subject.cpu(), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    while let (Some(mut one), Some(mut other)) = (clients.pop(), clients.pop()) {
        tasks.spawn(async move {
            let mut sent = 0u64;
            while begun.elapsed() < TIME {
                for _ in 0..WINDOW {
                    one.send(&direct(&other.id)).await;
                    other.send(&direct(&one.id)).await;
                }
                one.receive(WINDOW).await;
                other.receive(WINDOW).await;
                sent += 2 * WINDOW as u64;
            }
            (sent, one, other)
        });
    }
    let mut sent = 0;
    while let Some(done) = tasks.join_next().await {
        let (count, one, other) = done.unwrap();
        sent += count;
        clients.extend([one, other]);
    }
    let (took, used) = (begun.elapsed().as_secs_f64(), (subject.cpu() - cpu).as_secs_f64());
    println!(
        "{}",
        json!({ "figure": "smoke live", "participants": count, "per_second": (sent as f64 / took) as u64,
                "cpu_seconds_per_10000": round(used * 10_000.0 / sent as f64),
                "resident_bytes": resident, "joined_per_second": (count as f64 / joined.as_secs_f64()) as u64 })
    );
    offline(&subject, clients).await;
}

async fn offline(subject: &Subject, clients: Vec<Client>) {
    let count = clients.len();
    let each = (COPIES / count).min(COPIES_PER_CLIENT);
    let ids: Vec<SmokeId> = clients.iter().map(|client| client.id).collect();
    let ozone = KeyStream::of_ozone(OZONE);
    let prepared = clients.into_iter().enumerate().map(|(index, client)| {
        let to = ids[(index + 1) % count];
        (client, (0..each).map(|_| copy(&ozone, &to)).collect::<Vec<_>>())
    });
    let prepared: Vec<_> = prepared.collect();
    let (cpu, begun) = (subject.cpu(), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for (mut client, copies) in prepared {
        tasks.spawn(async move {
            client.send(&copies.concat()).await;
            client
        });
    }
    let clients = tasks.join_all().await;
    let total = (each * count) as u64;
    loop {
        let rows = subject.admin(&["smoke", "participant", "list"]);
        let waiting: u64 = rows.iter().map(|row| row["waiting"].as_u64().unwrap()).sum();
        if waiting == total {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "{waiting} of {total}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (took, used) = (begun.elapsed().as_secs_f64(), (subject.cpu() - cpu).as_secs_f64());
    drop(clients);
    println!(
        "{}",
        json!({ "figure": "smoke offline copies", "participants": count, "copies": total,
                "per_second": (total as f64 / took) as u64,
                "cpu_seconds_per_10000": round(used * 10_000.0 / total as f64) })
    );
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
