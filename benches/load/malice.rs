//! What others notice while somebody tries to use the server up, and what memory it takes, at the default limits.
//!
//! Every attack is a task that goes on for some seconds from addresses of its own (127.0.0.0/8), so that its rates are not
//! the others'. Meanwhile pairs of people write to each other. Nothing leaves the machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use momedo_client::connection::ServerAddress;
use momedo_protocol::api::blobs::BlobRequest;
use momedo_protocol::blob::{BlobId, MIN_BLOB_BYTES};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;
use momedo_testing::client_config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::figures::{frames, percentile, print};
use crate::flood::{Pair, write};
use crate::groups;
use crate::http2;
use crate::people::{Person, message, register};
use crate::subject::Subject;

/// How long others write before the attack, and while it goes on.
const SECONDS: u64 = 8;

/// Pairs of others, and how often each writes.
const OTHERS: (usize, Duration) = (4, Duration::from_millis(25));

/// What is left of each second, in the end, to tell how many connections still stand.
const LOOK: Duration = Duration::from_millis(50);

/// People the attackers are.
const ATTACKERS: usize = 6;

/// What an attack has: the server, people with sessions, and somebody to aim at.
struct Target {
    address: SocketAddr,
    server: ServerAddress,
    attackers: Vec<Person>,
    victim: Person,
    tls: TlsConnector,
    h2: TlsConnector,
    /// What the attack did, in its own unit.
    done: AtomicU64,
}

impl Target {
    /// A connection from one of the attackers' addresses; `None` when it was refused.
    async fn tcp(&self, from: u8) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 66, from)), 0)).ok()?;
        let stream = socket.connect(self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(stream)
    }

    async fn open(&self, from: u8, tls: &TlsConnector) -> Option<TlsStream<TcpStream>> {
        let tcp = self.tcp(from).await?;
        let name = "localhost".try_into().ok()?;
        tls.connect(name, tcp).await.ok()
    }

    /// A connection over HTTP/2 that asks for the same 64 times and takes nothing of it.
    async fn ask_and_take_nothing(&self, path: &str, token: Option<&str>) -> Option<TlsStream<TcpStream>> {
        let mut line = self.open(1, &self.h2).await?;
        let mut bytes = http2::preface(0);
        for number in 0..64 {
            bytes.extend(http2::get(http2::stream(number), path, token));
        }
        line.write_all(&bytes).await.ok()?;
        line.flush().await.ok()?;
        self.count(64);
        Some(line)
    }

    fn count(&self, done: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
    }

    fn token(&self, attacker: usize) -> &str {
        self.attackers[attacker].session.token()
    }
}

type Running<'a> = BoxFuture<'a, Value>;

/// An attack: its name, what it counts, and what it does until the time is up.
struct Attack {
    name: &'static str,
    unit: &'static str,
    run: for<'a> fn(&'a Target, Instant) -> Running<'a>,
}

const ATTACKS: [Attack; 12] = [
    Attack { name: "openapi-unread", unit: "requests", run: |target, until| openapi(target, until).boxed() },
    Attack { name: "export-unread", unit: "requests", run: |target, until| exports(target, until).boxed() },
    Attack { name: "mail-unread", unit: "requests", run: |target, until| mail(target, until).boxed() },
    Attack { name: "pings-alone", unit: "connections", run: |target, until| pings(target, until).boxed() },
    Attack { name: "link-bodies", unit: "bodies", run: |target, until| bodies(target, until).boxed() },
    Attack { name: "log-in-nonces", unit: "nonces", run: |target, until| nonces(target, until).boxed() },
    Attack { name: "small-files", unit: "announced", run: |target, until| files(target, until).boxed() },
    Attack { name: "presence", unit: "streams", run: |target, until| presence(target, until).boxed() },
    Attack { name: "client-hellos", unit: "hellos", run: |target, until| hellos(target, until).boxed() },
    Attack { name: "message-id-clash", unit: "messages", run: |target, until| clash(target, until).boxed() },
    Attack {
        name: "groups-of-others",
        unit: "groups",
        run: |target, until| made_groups(target, until).boxed(),
    },
    Attack { name: "many-senders", unit: "messages", run: |target, until| senders(target, until).boxed() },
];

async fn until_then(until: Instant) {
    tokio::time::sleep_until(until.into()).await;
}

async fn unread(target: &Target, until: Instant, count: usize, path: &str, token: Option<&str>) -> Value {
    let mut lines = Vec::new();
    while lines.len() < count && Instant::now() < until {
        match target.ask_and_take_nothing(path, token).await {
            Some(line) => lines.push(line),
            None => tokio::time::sleep(LOOK).await,
        }
    }
    let connections = lines.len();
    until_then(until).await;
    json!({ "connections": connections })
}

async fn openapi(target: &Target, until: Instant) -> Value {
    unread(target, until, 320, "/api/v1/openapi.json", None).await
}

async fn exports(target: &Target, until: Instant) -> Value {
    unread(target, until, 9, "/api/v1/me/export", Some(target.token(0))).await
}

async fn mail(target: &Target, until: Instant) -> Value {
    let token = target.victim.session.token();
    unread(target, until, 34, "/api/v1/ozone?limit=500", Some(token)).await
}

/// Connections that say that they live, and nothing else.
async fn pings(target: &Target, until: Instant) -> Value {
    let mut lines = Vec::new();
    while Instant::now() < until && lines.len() < 2_000 {
        let Some(mut line) = target.open(2, &target.h2).await else { continue };
        if line.write_all(&http2::preface(65_535)).await.is_ok() && line.flush().await.is_ok() {
            target.count(1);
            lines.push(line);
        }
    }
    until_then(until).await;
    json!({ "connections": lines.len() })
}

/// Bodies for device links that do not exist, which stop just before their end.
async fn bodies(target: &Target, until: Instant) -> Value {
    let head = "PUT /api/v1/device-links/7QK0M3ZD9XN4/handover HTTP/1.1\r\nHost: localhost\r\n\
                Content-Length: 262144\r\n\r\n";
    let mut bytes = head.as_bytes().to_vec();
    bytes.resize(head.len() + 262_000, 7);
    let mut lines = Vec::new();
    while Instant::now() < until && lines.len() < 2_000 {
        let Some(mut line) = target.open(3, &target.tls).await else { continue };
        let sent = tokio::time::timeout(Duration::from_secs(1), line.write_all(&bytes)).await;
        target.count(u64::from(matches!(sent, Ok(Ok(())))));
        lines.push(line);
    }
    until_then(until).await;
    json!({ "connections": lines.len() })
}

/// Sends requests one after the other over kept connections, and counts answers by their status.
async fn ask(target: &Target, until: Instant, from: u8, mut request: impl FnMut() -> String) -> Answers {
    let mut answers = Answers::new();
    'lines: while Instant::now() < until {
        let Some(mut line) = target.open(from, &target.tls).await else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let mut read = Vec::new();
        while Instant::now() < until {
            let sent = async {
                line.write_all(request().as_bytes()).await?;
                line.flush().await
            };
            if sent.await.is_err() {
                continue 'lines;
            }
            read.clear();
            let mut buffer = [0; 4096];
            // Answers here are short, and say how long they are.
            let status = loop {
                match line.read(&mut buffer).await {
                    Ok(0) | Err(_) => continue 'lines,
                    Ok(count) => read.extend_from_slice(&buffer[..count]),
                }
                if let Some(status) = whole_answer(&read) {
                    break status;
                }
            };
            *answers.entry(status).or_default() += 1;
            target.count(u64::from(status < 300));
        }
    }
    answers
}

/// How many answers there were with each status.
type Answers = BTreeMap<u16, u64>;

/// The status of an answer that has come whole.
fn whole_answer(read: &[u8]) -> Option<u16> {
    let end = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    (read.len() >= end + length).then(|| head[9..12].parse().unwrap())
}

fn post(path: &str, token: Option<&str>, body: &str) -> String {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "POST /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn totals(each: Vec<Answers>) -> Value {
    let mut all = BTreeMap::new();
    each.into_iter()
        .flatten()
        .for_each(|(status, count)| *all.entry(status.to_string()).or_insert(0) += count);
    json!(all)
}

/// From 17 addresses, for devices that exist and devices that do not.
async fn nonces(target: &Target, until: Instant) -> Value {
    let device = target.victim.session.device;
    let asking = (0..17).map(|from| {
        let body = json!({ "device": device }).to_string();
        ask(target, until, 10 + from, move || post("/sessions/challenge", None, &body))
    });
    let totals = totals(futures_util::future::join_all(asking).await);
    // What matters: whether somebody else still logs in.
    let connection = momedo_client_native::connection(target.server.clone(), "en");
    let key = &target.victim.login_key;
    let session = momedo_testing::people::log_in(connection, device, key).await;
    json!({ "challenges": totals, "somebody_else_logs_in": session.is_ok() })
}

/// The smallest files there are, announced as often as the rates allow.
async fn files(target: &Target, until: Instant) -> Value {
    let asking = (0..ATTACKERS).map(|attacker| {
        let token = target.token(attacker).to_owned();
        ask(target, until, 30, move || {
            let request = BlobRequest { id: BlobId(random::bytes()), size: MIN_BLOB_BYTES };
            post("/blobs", Some(&token), &serde_json::to_string(&request).unwrap())
        })
    });
    totals(futures_util::future::join_all(asking).await)
}

/// Streams of somebody with a full queue that come and go.
async fn presence(target: &Target, until: Instant) -> Value {
    let coming = (0..4).map(|_| async {
        let mut opened = 0;
        while Instant::now() < until {
            let stream = momedo_client_native::stream::Stream::open(
                &target.server,
                target.victim.session.token(),
                None,
                1,
            );
            let Ok(mut stream) = stream.await else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let _: Result<_, _> = tokio::time::timeout(LOOK, stream.next_text()).await;
            target.count(1);
            opened += 1;
        }
        opened
    });
    let opened: u64 = futures_util::future::join_all(coming).await.into_iter().sum();
    json!({ "opened": opened })
}

/// One client hello, sent again and again.
async fn hellos(target: &Target, until: Instant) -> Value {
    let config = client_config(rustls::DEFAULT_VERSIONS, &[b"http/1.1"]).unwrap();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let sending = (0..8).map(|_| async {
        let mut answered = 0u64;
        while Instant::now() < until {
            let Some(mut line) = target.tcp(40).await else { continue };
            if line.write_all(&hello).await.is_err() {
                continue;
            }
            let mut answer = [0; 1024];
            if matches!(line.read(&mut answer).await, Ok(1..)) {
                answered += 1;
                target.count(1);
            }
        }
        answered
    });
    let answered: u64 = futures_util::future::join_all(sending).await.into_iter().sum();
    json!({ "answered": answered })
}

/// One message ID, to one person and to a group.
async fn clash(target: &Target, until: Instant) -> Value {
    let (one, other) = (&target.attackers[0], &target.attackers[1]);
    let group = groups::small(target.server.clone(), one, &[other]).await.unwrap();
    let (mut taken, mut refused) = (0u64, 0u64);
    let mut session = groups::session(target.server.clone(), one);
    while Instant::now() < until {
        let posting = group.posting(one.bundle.payload.id);
        let request = direct(other, posting.id);
        for result in [
            session.submit(&request).await.map(drop),
            session.post_to_group(group.id(), &posting).await.map(drop),
        ] {
            match result {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        target.count(2);
    }
    json!({ "taken": taken, "refused": refused })
}

fn direct(to: &Person, id: MessageId) -> momedo_protocol::api::SubmitRequest {
    let (_, mut envelope) = message(&to.bundle);
    // The header names the message.
    envelope[2..18].copy_from_slice(&id.0);
    momedo_protocol::api::SubmitRequest {
        id,
        to: to.bundle.payload.id,
        device: None,
        envelope: momedo_protocol::encoding::Base64Bytes(envelope),
        own_devices: None,
        blobs: Vec::new(),
    }
}

/// Groups with somebody in them who was not asked.
async fn made_groups(target: &Target, until: Instant) -> Value {
    let made = target.attackers.iter().map(|attacker| async {
        let mut made = 0u64;
        while Instant::now() < until {
            if groups::small(target.server.clone(), attacker, &[&target.victim]).await.is_none() {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            made += 1;
            target.count(1);
        }
        made
    });
    let made: u64 = futures_util::future::join_all(made).await.into_iter().sum();
    json!({ "made": made })
}

/// Several people who write to one as often as they may.
async fn senders(target: &Target, until: Instant) -> Value {
    let asking = target.attackers.iter().enumerate().map(|(number, _)| {
        let token = target.token(number).to_owned();
        ask(target, until, 50, move || {
            let request = direct(&target.victim, MessageId::new(momedo_client::now()));
            post("/messages", Some(&token), &serde_json::to_string(&request).unwrap())
        })
    });
    totals(futures_util::future::join_all(asking).await)
}

/// Lets others write for a while; how long each message took.
async fn others(subject: &Subject, pairs: &[(Person, Person)]) -> Vec<Duration> {
    let (_, every) = OTHERS;
    let count = (u128::from(SECONDS) * 1000 / every.as_millis()) as usize;
    let mut tasks = JoinSet::new();
    for (index, (sender, recipient)) in pairs.iter().enumerate() {
        let (from, to) = (sender.stream(subject, 64).await, recipient.stream(subject, 64).await);
        let pair = Pair { from, to, frames: frames(recipient, count), every };
        let offset = every * index as u32 / pairs.len() as u32;
        tasks.spawn(write(pair, offset));
    }
    let mut times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    times.sort();
    times
}

fn mib(bytes: u64) -> f64 {
    (bytes as f64 / 1024.0 / 1024.0 * 10.0).round() / 10.0
}

/// Takes every attack's figure, each at a server of its own; `MALICE` names some of them.
pub(crate) fn malice(runtime: &Runtime) {
    let wanted = std::env::var("MALICE").unwrap_or_default();
    for attack in ATTACKS {
        if !wanted.is_empty() && !wanted.split(' ').any(|name| name == attack.name) {
            continue;
        }
        let subject = Subject::start_with("");
        runtime.block_on(take(&subject, &attack));
    }
}

async fn take(subject: &Subject, attack: &Attack) {
    let mut people = register(subject, OTHERS.0 * 2 + ATTACKERS + 1).await;
    let (victim, attackers) = (people.pop().unwrap(), people.split_off(OTHERS.0 * 2));
    let second = people.split_off(OTHERS.0);
    let pairs: Vec<(Person, Person)> = people.into_iter().zip(second).collect();
    let target = Target {
        address: subject.address.addresses[0].parse().unwrap(),
        server: subject.address.clone(),
        tls: TlsConnector::from(Arc::new(client_config(rustls::DEFAULT_VERSIONS, &[b"http/1.1"]).unwrap())),
        h2: TlsConnector::from(Arc::new(client_config(rustls::DEFAULT_VERSIONS, &[b"h2"]).unwrap())),
        attackers,
        victim,
        done: AtomicU64::new(0),
    };
    // A queue worth asking for.
    for sender in &target.attackers {
        let mut session = groups::session(target.server.clone(), sender);
        for _ in 0..100 {
            let request = direct(&target.victim, MessageId::new(momedo_client::now()));
            session.submit(&request).await.unwrap();
        }
    }
    let before = others(subject, &pairs).await;
    let resident = subject.resident();
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let watching = async {
        let mut most = 0;
        while Instant::now() < until {
            most = most.max(subject.resident());
            tokio::time::sleep(LOOK).await;
        }
        most
    };
    let ((during, attacked), most) =
        tokio::join!(async { tokio::join!(others(subject, &pairs), (attack.run)(&target, until)) }, watching);
    let (p99, p99_during) = (percentile(&before, 99), percentile(&during, 99));
    print(
        "malice",
        json!({
            "attack": attack.name, "unit": attack.unit, "done": target.done.load(Ordering::Relaxed),
            "attacker": attacked,
            "others_before": { "p50_ms": percentile(&before, 50), "p99_ms": p99 },
            "others_while": { "p50_ms": percentile(&during, 50), "p99_ms": p99_during },
            "times_p99": (p99_during / p99 * 100.0).round() / 100.0,
            "resident_before_mib": mib(resident), "resident_most_mib": mib(most),
        }),
    );
}
