//! What may come to the port: plain HTTP, garbage, slow and silent clients, and several kinds of TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use momedo_client::session::server_information;
use momedo_testing::client_config;
use rustls::{ClientConnection, StreamOwned};
use tokio::task::JoinSet;

use crate::harness::{PATIENCE, Server, text};

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

fn tcp(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn tls_with(
    server: &Server,
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &[&[u8]],
) -> Tls {
    let config = client_config(&[version], alpn).unwrap();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, tcp(server));
    stream.flush().unwrap();
    stream
}

pub(crate) fn tls(server: &Server) -> Tls {
    tls_with(server, &rustls::version::TLS13, &[b"http/1.1"])
}

/// Reads until the server closes, however it does so.
pub(crate) fn read_to_end(stream: &mut impl Read) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server did not close the connection")
            }
            Err(_) => break,
        }
    }
    text(&read)
}

fn get(stream: &mut impl Write, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
}

async fn is_well(server: &Server) {
    server_information(&mut server.connect()).await.unwrap();
}

#[tokio::test]
async fn plain_http_is_led_to_https() {
    let server = Server::start();
    let mut stream = tcp(&server);
    write!(stream, "GET /i HTTP/1.1\r\nHost: schule.local:4710\r\n\r\n").unwrap();
    let answer = read_to_end(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 307"), "{answer}");
    assert!(answer.contains("Location: https://schule.local:4710/"), "{answer}");
    assert!(answer.contains("verschl") && answer.contains("encrypted"));
    is_well(&server).await;
}

#[tokio::test]
async fn garbage_closes_the_connection_and_nothing_else() {
    let server = Server::start();
    for garbage in [&b"\x00\x00\x00\x00"[..], b"\x16\x03\x01\xff\xff garbage", b"\x16", &[0xff; 70_000]] {
        let mut stream = tcp(&server);
        // The server may have closed already while this is being written.
        let _: Result<_, _> = stream.write_all(garbage);
        let _: Result<_, _> = stream.shutdown(std::net::Shutdown::Write);
        read_to_end(&mut stream);
    }
    is_well(&server).await;
}

#[tokio::test]
async fn silent_and_slow_clients_are_let_go() {
    let server =
        Server::start_with("[listen]\nhandshake_seconds = 1\nheader_seconds = 1\nbody_seconds = 1\n");
    let start = Instant::now();
    let mut silent = tcp(&server);
    let mut half_a_handshake = tcp(&server);
    half_a_handshake.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    let mut half_a_header = tls(&server);
    write!(half_a_header, "GET /healthz HTTP/1.1\r\nHost: local").unwrap();
    let mut idle = tls(&server);
    let mut half_a_body = tls(&server);
    write!(
        half_a_body,
        "POST /api/v1/sessions/challenge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n{{\"dev"
    )
    .unwrap();
    half_a_body.flush().unwrap();
    read_to_end(&mut silent);
    read_to_end(&mut half_a_handshake);
    read_to_end(&mut half_a_header);
    read_to_end(&mut idle);
    let answer = read_to_end(&mut half_a_body);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body-too-slow"), "{answer}");
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    is_well(&server).await;
}

#[tokio::test]
async fn oversize_headers_and_bodies_are_refused_with_a_status() {
    let server = Server::start();
    let mut stream = tls(&server);
    let _: Result<_, _> =
        write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    assert!(read_to_end(&mut stream).starts_with("HTTP/1.1 431"));
    let mut stream = tls(&server);
    let body = "x".repeat(20_000);
    write!(
        stream,
        "POST /api/v1/sessions/challenge HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let answer = read_to_end(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body-too-large"), "{answer}");
    is_well(&server).await;
}

#[tokio::test]
async fn malformed_requests_get_problem_details_in_the_askers_language() {
    let server = Server::start();
    let ask = |request: &str| {
        let mut stream = tls(&server);
        stream.write_all(request.as_bytes()).unwrap();
        read_to_end(&mut stream)
    };
    let post = |language: &str, body: &str| {
        ask(&format!(
            "POST /api/v1/sessions/challenge HTTP/1.1\r\nHost: localhost\r\nAccept-Language: {language}\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    for body in ["", "{", "[]", "{\"device\":\"nope\"}", "{\"device\":\"M8N22HT6\",\"more\":1}", "\u{0}"] {
        let answer = post("en", body);
        assert!(answer.starts_with("HTTP/1.1 400"), "{body:?}: {answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains("urn:momedo:problem:malformed")
        );
    }
    assert!(post("de-DE,de;q=0.9", "{").contains("Die Anfrage ist unverständlich."));
    let nowhere = ask("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(nowhere.starts_with("HTTP/1.1 404") && nowhere.contains("no-such-path"), "{nowhere}");
    let wrong = ask("DELETE /api/v1/server HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(wrong.starts_with("HTTP/1.1 405") && wrong.contains("wrong-method"), "{wrong}");
}

#[tokio::test]
async fn the_invite_page_explains_itself_in_both_languages_and_uses_nothing_up() {
    let server = Server::start();
    let page = |language: &str| {
        let mut stream = tls(&server);
        write!(
            stream,
            "GET /i HTTP/1.1\r\nHost: localhost\r\nAccept-Language: {language}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        read_to_end(&mut stream)
    };
    let (german, english) = (page("de"), page("en"));
    assert!(german.contains("<html lang=\"de\">") && german.contains("So treten Sie bei"), "{german}");
    assert!(english.contains("<html lang=\"en\">") && english.contains("How to join"), "{english}");
    for page in [german, english] {
        let lower = page.to_lowercase();
        assert!(lower.contains("content-security-policy: default-src 'none'"), "{page}");
        assert!(lower.contains("x-content-type-options: nosniff") && lower.contains("x-frame-options: deny"));
        assert!(!page.contains("<script") && !page.contains("http://"), "{page}");
    }
}

#[tokio::test]
async fn tls_12_and_13_are_spoken_and_post_quantum_is_preferred() {
    let server = Server::start();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = tls_with(&server, version, &[b"http/1.1"]);
        get(&mut stream, "/healthz");
        assert!(read_to_end(&mut stream).contains("ok"), "{version:?}");
        let group = stream.conn.negotiated_key_exchange_group().unwrap().name();
        if version.version == rustls::ProtocolVersion::TLSv1_3 {
            assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
        }
    }
}

#[tokio::test]
async fn a_client_hello_that_is_sent_again_and_again_is_answered_so_often_and_no_more() {
    let server = Server::start_with("[rates]\nhandshakes = { per_minute = 1, burst = 5 }\n");
    let config = client_config(rustls::DEFAULT_VERSIONS, &[]).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let answered = (0..12).filter(|_| {
        let mut line = tcp(&server);
        line.write_all(&hello).unwrap();
        matches!(line.read(&mut [0; 16]), Ok(1..))
    });
    assert_eq!(answered.count(), 5);
}

#[tokio::test]
async fn clients_without_alpn_get_a_certificate_that_never_changes() {
    let mut server = Server::start();
    let certificate = |server: &Server| {
        let mut stream = tls_with(server, &rustls::version::TLS12, &[]);
        get(&mut stream, "/healthz");
        let answer = read_to_end(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let fixed = certificate(&server);
    let mut alpn = tls(&server);
    get(&mut alpn, "/healthz");
    read_to_end(&mut alpn);
    assert_ne!(alpn.conn.peer_certificates().unwrap()[0].as_ref(), fixed);
    assert_eq!(server.terminate().0.code(), Some(0));
    // Other names ask for another leaf, but not for another fixed certificate.
    std::fs::write(server.data().join("momedo.toml"), "[server]\naddresses = [\"schule.example\"]\n")
        .unwrap();
    server.launch();
    assert_eq!(certificate(&server), fixed);
    is_well(&server).await;
}

#[tokio::test]
async fn a_smoke_client_is_let_in_and_a_neighbour_is_let_go_politely() {
    let server = Server::start();
    let mut smoke = tls_with(&server, &rustls::version::TLS12, &[]);
    smoke.write_all(b"POST HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n").unwrap();
    // The gateway says what it can do; tests/it/smoke.rs goes on from there.
    let mut greeting = [0; 4];
    smoke.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"POST");
    let config = client_config(&[&rustls::version::TLS13], &[b"momedo-neighbour/1"]).unwrap();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut neighbour = StreamOwned::new(connection, tcp(&server));
    assert!(neighbour.flush().is_err() || read_to_end(&mut neighbour).is_empty());
    is_well(&server).await;
}

#[tokio::test]
async fn more_connections_than_one_address_may_have_are_refused_and_freed_again() {
    let server = Server::start_with("[listen]\nmax_connections_per_address = 3\n");
    let mut held: Vec<Tls> = (0..3).map(|_| tls(&server)).collect();
    assert_eq!(read_to_end(&mut tcp(&server)), "");
    get(&mut held[0], "/healthz");
    assert!(read_to_end(&mut held[0]).contains("ok"));
    drop(held);
    // The places come back as soon as the server has noticed.
    let deadline = Instant::now() + PATIENCE;
    while server_information(&mut server.connect()).await.is_err() {
        assert!(Instant::now() < deadline, "no place was freed");
    }
}

#[tokio::test]
async fn a_thousand_streams_from_one_address_pass_the_defaults() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    // Eight people stand for a school's many here; the limits of the address are the defaults. One person's streams tell
    // each other of every new one, so that a thousand of one are half a million messages.
    let server = Server::start_with("[listen]\nmax_streams_per_device = 125\n");
    let address = server.server_address();
    let mut opening = JoinSet::new();
    for number in 0..8 {
        let (person, address) = (server.register(number).await, address.clone());
        opening.spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..125 {
                let token = person.session.token();
                streams.push(
                    momedo_client_native::stream::Stream::open(&address, token, None, 1).await.unwrap(),
                );
            }
            streams
        });
    }
    let streams = opening.join_all().await;
    assert_eq!(streams.iter().map(Vec::len).sum::<usize>(), 1000);
    assert_eq!(server.status()["online"], 8);
    drop(streams);
}
