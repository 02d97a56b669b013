//! Those who ask and do not take the answer, who connect and say nothing, and who bring what nobody wants: what it costs
//! the server, and what others notice.

use std::io::Write;
use std::time::{Duration, Instant};

use momedo_client::connection::Payload;
use momedo_client::session::server_information;

use crate::door::{Tls, read_to_end, tls, tls_with};
use crate::harness::{PATIENCE, Server, request};
use crate::http2;
use crate::raw::Raw;

const MIB: u64 = 1024 * 1024;

/// Requests one connection may have open.
const STREAMS: u32 = 64;

fn connect(server: &Server, window: u32) -> Tls {
    let mut line = tls_with(server, &rustls::version::TLS13, &[b"h2"]);
    line.write_all(&http2::preface(window)).unwrap();
    line.flush().unwrap();
    line
}

/// Asks for the same as often as a connection may, and takes nothing of it.
fn ask_and_take_nothing(server: &Server, path: &str, token: Option<&str>) -> Tls {
    let mut line = connect(server, 0);
    for number in 0..STREAMS {
        line.write_all(&http2::get(http2::stream(number), path, token)).unwrap();
    }
    line.flush().unwrap();
    http2::await_answers(&mut line, STREAMS as usize);
    line
}

/// Lets a connection seem alive until the server ends it.
fn linger(line: &mut Tls) {
    let begun = Instant::now();
    while let Some(frame) = http2::read(line) {
        assert!(begun.elapsed() < PATIENCE, "the server lets it go on");
        if let Some(bytes) = frame.acknowledgement() {
            let _: std::io::Result<()> = line.write_all(&bytes).and_then(|()| line.flush());
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_everybody_may_read_is_in_memory_once_however_many_do_not_take_it() {
    let server = Server::start();
    let before = server.resident();
    let lines: Vec<Tls> =
        (0..24).map(|_| ask_and_take_nothing(&server, "/api/v1/openapi.json", None)).collect();
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 48 * MIB, "{} MiB for {} connections", grown / MIB, lines.len());
    server_information(&mut server.connect()).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn mail_that_a_participant_asks_for_and_does_not_take_has_a_share_of_the_memory() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    for _ in 0..8 {
        ada.submit(&ben.bundle, 32 * 1024).await.unwrap();
    }
    let before = server.resident();
    let token = ben.session.token().to_owned();
    let lines: Vec<Tls> =
        (0..4).map(|_| ask_and_take_nothing(&server, "/api/v1/ozone?limit=500", Some(&token))).collect();
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB for {} connections", grown / MIB, lines.len());
    // Others read on, and so do they once they take it or let go.
    assert!(ada.waiting().await.messages.is_empty());
    drop(lines);
    let begun = Instant::now();
    while ben.session.ozone(None, 500, Duration::ZERO).await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn exports_that_nobody_takes_keep_nobody_from_logging_in() {
    let server = Server::start_with("[rates]\npublications = { per_minute = 10000, burst = 10000 }\n");
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    // Far more than waits between a thread and its reader.
    for _ in 0..32 {
        ben.submit(&ada.bundle, 32 * 1024).await.unwrap();
    }
    let token = ada.session.token().to_owned();
    let begun = Instant::now();
    // More than there are threads for work that blocks.
    let lines: Vec<Tls> =
        (0..9).map(|_| ask_and_take_nothing(&server, "/api/v1/me/export", Some(&token))).collect();
    tokio::time::timeout(PATIENCE / 2, ada.log_in(&server)).await.expect("a log-in needs such a thread");
    // Nor does it wait until those who take nothing are cut off.
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    drop(lines);
    let begun = Instant::now();
    while ada.session.export(&mut std::io::sink()).await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn a_connection_without_a_request_ends_though_it_answers_pings() {
    let server = Server::start_with("[listen]\nheader_seconds = 1\n");
    let mut silent = connect(&server, 65_535);
    // Nor does one go on that asked for something once, and then begins a request that it never ends.
    let mut slow = connect(&server, 65_535);
    slow.write_all(&http2::get(1, "/healthz", None)).unwrap();
    slow.flush().unwrap();
    http2::await_answers(&mut slow, 1);
    slow.write_all(&http2::get(3, "/healthz", None)[..12]).unwrap();
    slow.flush().unwrap();
    linger(&mut silent);
    linger(&mut slow);
    server_information(&mut server.connect()).await.unwrap();
}

#[tokio::test]
async fn a_connection_ends_whose_answers_are_not_taken() {
    let server = Server::start_with("[listen]\nwrite_seconds = 1\n");
    let mut line = connect(&server, 0);
    line.write_all(&http2::get(1, "/i", None)).unwrap();
    line.flush().unwrap();
    linger(&mut line);
    // What takes longer than that and is taken goes on.
    let mut ada = server.register(0).await;
    let page = ada.session.ozone(None, 500, Duration::from_secs(2)).await.unwrap();
    assert!(page.messages.is_empty());
}

#[tokio::test]
async fn a_body_that_will_be_refused_is_not_waited_for() {
    let server = Server::start_with(
        "[listen]\nbody_seconds = 1\n[rates]\nmessages = { per_minute = 1, burst = 1 }\n\
         publications = { per_minute = 1, burst = 3 }\nfailures = { per_minute = 1, burst = 1 }\n",
    );
    let mut ada = server.register(0).await;
    let own = ada.bundle.clone();
    ada.session.submit(&request(&own, 512)).await.unwrap();
    while ada.session.export(&mut std::io::sink()).await.is_ok() {}
    let token = ada.session.token().to_owned();
    let link = "7QK0M3ZD9XN4";
    let digest = "0".repeat(128);
    let id = ada.id();
    // A guess that failed, so that one more is one too many for this address; what has to be read to be judged is small.
    let guess = r#"{"invite":"7QK0M3ZD9XN4"}"#.as_bytes().to_vec();
    Raw::new(&server).call("POST", "/participants", None, Payload::Json(guess)).await.unwrap_err();
    let unknown = format!("/device-links/{link}/offer");
    let calls = [
        ("PUT", unknown.clone(), true, 404),
        ("POST", "/messages".into(), true, 429),
        ("PUT", "/me/key-backup".into(), true, 429),
        ("POST", "/reports".into(), true, 429),
        ("PUT", format!("/keys/{id}"), true, 429),
        ("PUT", format!("/keys/mceliece/{digest}"), true, 429),
        ("PUT", unknown, false, 429),
    ];
    let lines = calls.map(|(method, path, is_known, status)| {
        let mut line = tls(&server);
        let authorization =
            if is_known { format!("Authorization: Bearer {token}\r\n") } else { String::new() };
        write!(
            line,
            "{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: 1000\r\n\
             Connection: close\r\n\r\n"
        )
        .unwrap();
        line.flush().unwrap();
        (line, path, status)
    });
    for (mut line, path, status) in lines {
        let answer = read_to_end(&mut line);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
}
