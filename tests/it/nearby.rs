//! Servers in one local network: they find each other, and one asks the other without a pairing link.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use momedo::service::neighbours::{greeting, nearby};
use momedo::service::upkeep;
use momedo::tls::LinkIdentity;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::{Frame, HEADER_BYTES, Hello, Standing, read_header};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use crate::harness::{Inside, PATIENCE, Server, rsa_key};
use crate::neighbours::{failure, id, neighbour, state, until};
use crate::own_network::{FAR, NEAR, is_inside, udp_sockets};

/// A server that everybody in the network reaches.
fn start(name: &str) -> Server {
    let mut server = Server::unstarted();
    std::fs::write(server.data().join("momedo.toml"), format!("[server]\nname = '{name}'\n")).unwrap();
    server.address = "[::]:0".into();
    server.launch();
    server
}

/// Waits until `looks` finds a server. What is said by multicast is heard or not; whoever was not found after a while
/// is started once more, as an admin would, which says it anew.
fn until_found(server: &mut Server, looks: impl Fn(&Server) -> bool) {
    for _ in 0..4 {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if looks(server) {
                return;
            }
        }
        server.terminate();
        server.launch();
    }
    panic!("never found");
}

fn found(server: &Server, name: &str) -> Option<Value> {
    neighbour(server, &["nearby"]).into_iter().find(|row| row["name"] == name)
}

#[test]
fn servers_in_one_network_find_each_other_and_become_neighbours_without_a_link() {
    if !is_inside("nearby::servers_in_one_network_find_each_other_and_become_neighbours_without_a_link") {
        return;
    }
    let (school, mut town) = (start("Schule am See"), start("St. Anna"));
    until_found(&mut town, |town| {
        found(&school, "St. Anna").is_some() && found(town, "Schule am See").is_some()
    });
    let row = found(&school, "St. Anna").unwrap();
    let port = town.address.rsplit_once(':').unwrap().1;
    assert_eq!(row["id"], id(&town));
    assert_eq!(row["words"], town.status()["words"]);
    assert!(NEAR.iter().any(|address| row["address"] == format!("{address}:{port}")), "{row}");
    assert_eq!(neighbour(&school, &["nearby"]).len(), 1, "a server lists itself");

    assert!(failure(&school, &["ask", "00"]).contains("no such neighbour"));
    let asked = neighbour(&school, &["ask", &id(&town)[..10]]);
    assert_eq!(asked[0]["state"], "waiting-for-them");
    // The other server has recorded it before the command returns; its admin sees name and words.
    let waiting = neighbour(&town, &["list"]).remove(0);
    assert_eq!(
        (waiting["state"].as_str(), waiting["nearby"].as_bool()),
        (Some("waiting-for-us"), Some(true))
    );
    assert_eq!((&waiting["name"], &waiting["words"]), (&"Schule am See".into(), &school.status()["words"]));
    neighbour(&town, &["confirm", &id(&school)]);
    until("both are connected", || {
        state(&school, &id(&town)) == "connected" && state(&town, &id(&school)) == "connected"
    });
    assert!(neighbour(&school, &["nearby"]).is_empty(), "a neighbour is listed as somebody to ask");
    assert_eq!(neighbour(&town, &["list"])[0]["nearby"], false);

    // Whoever is gone without a word is missed once somebody looks.
    let mut third = start("Rathaus");
    until_found(&mut third, |_| found(&school, "Rathaus").is_some());
    third.kill();
    until("it is missed", || found(&school, "Rathaus").is_none());
    // Whoever says good-bye is gone at once.
    third.launch();
    until_found(&mut third, |_| found(&school, "Rathaus").is_some());
    third.terminate();
    until("it is gone", || found(&school, "Rathaus").is_none());
}

#[test]
fn nothing_is_sent_while_only_this_machine_listens_or_it_is_switched_off() {
    if !is_inside("nearby::nothing_is_sent_while_only_this_machine_listens_or_it_is_switched_off") {
        return;
    }
    let server = Server::start();
    let listener = |act: &str, address: &str| {
        let line = ["admin", "listener", act, address, "--data-dir", "data", "--json"];
        let rows = server.json(&line);
        rows.iter().map(|row| row["address"].as_str().unwrap().to_owned()).next_back().unwrap()
    };
    assert_eq!(udp_sockets(), Vec::<String>::new());
    assert!(failure(&server, &["nearby"]).contains("not looked for"));
    let added = listener("add", "0.0.0.0:0");
    // 5353, as the kernel writes it.
    until("it looks", || udp_sockets().iter().any(|socket| socket.ends_with(":14E9")));
    until("it lists", || neighbour(&server, &["nearby"]).is_empty());
    listener("stop", &added);
    until("it looks no more", || udp_sockets().is_empty());
    listener("start", &added);
    until("it looks again", || udp_sockets().iter().any(|socket| socket.ends_with(":14E9")));
    drop(server);
    until("nothing is left", || udp_sockets().is_empty());

    let mut server = Server::unstarted();
    std::fs::write(server.data().join("momedo.toml"), "[neighbours]\nnearby = false\n").unwrap();
    server.address = "[::]:0".into();
    server.launch();
    assert!(failure(&server, &["nearby"]).contains("switched off"));
    assert_eq!(udp_sockets(), Vec::<String>::new());
}

fn hello(name: &str) -> Hello {
    Hello {
        versions: vec![1],
        features: Vec::new(),
        name: name.into(),
        addresses: Vec::new(),
        max_envelope_bytes: 65_536,
        heartbeat_seconds: 600,
    }
}

/// Asks without a code from an address of this machine, with a stored key, and returns what the server says to it.
async fn ask_from(server: &Server, from: &str, to: &str, key: usize) -> Standing {
    let pinned: Fingerprint = id(server).parse().unwrap();
    let config = LinkIdentity::new(&rsa_key(key)).unwrap().dialling(pinned).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let port = server.address.rsplit_once(':').unwrap().1.parse().unwrap();
    let tcp = socket.connect(SocketAddr::new(to.parse().unwrap(), port)).await.unwrap();
    let mut stream =
        TlsConnector::from(Arc::new(config)).connect("x".try_into().unwrap(), tcp).await.unwrap();
    for frame in [Frame::Hello(hello("Rathaus")), Frame::Pair { code: None }] {
        stream.write_all(&frame.encode()).await.unwrap();
    }
    stream.flush().await.unwrap();
    loop {
        let mut header = [0; HEADER_BYTES];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut header)).await.unwrap();
        read.expect("the server says how it sees whoever asks");
        let (kind, length) = read_header(header).unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        if let Frame::Standing(standing) = Frame::decode(kind, &body).unwrap() {
            return standing;
        }
    }
}

#[test]
fn only_the_local_network_may_ask_without_a_code() {
    if !is_inside("nearby::only_the_local_network_may_ask_without_a_code") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = start("Schule am See");
    let ask = |from: &str, to: &str, key: usize| runtime.block_on(ask_from(&server, from, to, key));
    assert_eq!(ask(FAR, FAR, 1), Standing::NotTaken);
    assert_eq!(ask("127.0.0.1", "127.0.0.1", 1), Standing::NotTaken);
    assert!(neighbour(&server, &["list"]).is_empty());
    assert_eq!(ask(NEAR[0], NEAR[0], 1), Standing::Recorded);
    let row = neighbour(&server, &["list"]).remove(0);
    assert_eq!((row["name"].as_str(), row["state"].as_str()), (Some("Rathaus"), Some("waiting-for-us")));
    drop(server);
    let mut server = Server::unstarted();
    std::fs::write(server.data().join("momedo.toml"), "[neighbours]\nnearby = false\n").unwrap();
    server.address = "0.0.0.0:0".into();
    server.launch();
    assert_eq!(runtime.block_on(ask_from(&server, NEAR[0], NEAR[0], 1)), Standing::NotTaken);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_requests_without_a_code_wait_and_they_expire() {
    let here = Inside::start().await;
    let ask = async |byte: u8, from: &str| {
        let from: Option<IpAddr> = Some(from.parse().unwrap());
        greeting::pair(&here.app, Fingerprint([byte; 32]), hello("Rathaus"), None, from).await.unwrap()
    };
    for byte in 1..=4 {
        assert_eq!(ask(byte, "192.168.1.1").await, Standing::Recorded);
        // Whoever asks again is the same request.
        assert_eq!(ask(byte, "192.168.1.1").await, Standing::Recorded);
    }
    assert_eq!(ask(5, "192.168.1.2").await, Standing::Recorded);
    assert_eq!(ask(6, "192.168.1.3").await, Standing::NotTaken, "too many wait");
    // A decision makes room, and one address fills it only so fast.
    let forget = |byte: u8| neighbour(&here.server, &["remove", &Fingerprint([byte; 32]).to_string()]);
    forget(1);
    assert_eq!(ask(1, "8.8.8.8").await, Standing::NotTaken);
    assert_eq!(ask(1, "192.168.1.1").await, Standing::Recorded);
    forget(1);
    assert_eq!(ask(1, "192.168.1.1").await, Standing::NotTaken, "too often from one address");
    here.clock.advance(Duration::from_secs(61));
    assert_eq!(ask(1, "192.168.1.1").await, Standing::Recorded);
    // Nobody decided about four of them in time; one was confirmed.
    neighbour(&here.server, &["confirm", &Fingerprint([2; 32]).to_string()]);
    here.clock.advance(Duration::from_secs(6 * 86_400));
    upkeep::expire(&here.app).await.unwrap();
    assert_eq!(neighbour(&here.server, &["list"]).len(), 5);
    here.clock.advance(Duration::from_secs(2 * 86_400));
    upkeep::expire(&here.app).await.unwrap();
    let left = neighbour(&here.server, &["list"]);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["id"], Fingerprint([2; 32]).to_string());
    nearby::expire(&here.app).await.unwrap();
}
