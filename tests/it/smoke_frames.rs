//! Frames as real clients make them: Spot-On's lines, its artificial GET, and frames of megabytes, through the real
//! door and over a neighbour.

use std::time::Duration;

use momedo_protocol::time::UnixMillis;
use momedo_smoke::frame::MAX_FRAME_BYTES;
use momedo_smoke::mac::MacKey;
use momedo_smoke::random;
use serde_json::Value;

use crate::harness::{Inside, PATIENCE, Server};
use crate::smoke_client::{
    SmokeClient, SmokeServer, base64, exchange, large_frame, noise, passed_on, spot_on, typed, unknown_frame,
    untyped,
};

const POST: &str = "POST HTTP/1.1";

/// Bytes of each line of what Spot-On sends, the one of its adaptive echo last.
const SHAPES: [&[usize]; 9] = [
    &[512, 333, 64, 100],
    &[512, 332, 64, 64, 100],
    &[336, 64, 100],
    &[336, 100],
    &[100, 336, 64, 64, 64, 48, 100],
    &[1, 1],
    &[512, 333, 64],
    &[1, 48, 64],
    &[4096],
];

/// What says nothing to anybody here, and is somebody's all the same.
fn undecodable() -> Vec<Vec<u8>> {
    let bodies = ["A", "YQ=", "YWJj=YWJj", "YQ==\nYQ==\n\nYQ==\nYQ==", "=", "no Base64 at all: \u{e4}!"];
    let with = |body: &str| [b"POST HTTP/1.1\r\n\r\ncontent=", body.as_bytes(), b"\r\n\r\n\r\n"].concat();
    bodies.iter().map(|body| with(&format!("{}{body}", base64(&noise(3))))).collect()
}

/// Every shape, and frames of types that are not this server's.
fn shapes() -> Vec<Vec<u8>> {
    let untyped = SHAPES.iter().flat_map(|sizes| {
        ["POST HTTP/1.1", "HTTP/1.1 200 OK"].map(|first_line| spot_on(first_line, None, sizes))
    });
    let typed = ["0011", "0012", "0030", "0065", "0070", "0105", "7777"];
    let typed = typed.iter().map(|kind| spot_on(POST, Some(kind), &[9, 4, 0, 3, 10]));
    let port = u16::from_be_bytes(random()).to_string();
    let publicised = typed_lines("0030", &["198.51.100.7", &port, "", "tcp", "packet"]);
    untyped.chain(typed).chain([publicised]).chain(undecodable()).collect()
}

/// A listener's address as Spot-On publicises it, with an empty line for the scope.
fn typed_lines(kind: &str, lines: &[&str]) -> Vec<u8> {
    typed(kind, &lines.iter().map(|line| base64(line.as_bytes())).collect::<Vec<_>>().join("\n"))
}

fn borrowed(frames: &[Vec<u8>]) -> Vec<&[u8]> {
    frames.iter().map(Vec::as_slice).collect()
}

/// The same body in another frame: the line of a GET, and headers in another order.
fn in_another_frame(frame: &[u8]) -> Vec<u8> {
    let at = frame.windows(8).position(|eight| eight == b"content=").unwrap();
    [b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", &frame[at..]].concat()
}

#[tokio::test]
async fn spot_ons_frames_pass_both_ways_once_and_unchanged() {
    let server = Server::start();
    let mut one = SmokeClient::connect(&server.address).await;
    let mut other = SmokeClient::connect(&server.address).await;
    // The greeting of the second came to the first and is no frame of these.
    passed_on(&mut other, &mut one, &[]).await;
    for _ in 0..2 {
        let frames = shapes();
        let again: Vec<Vec<u8>> = frames.iter().map(|frame| in_another_frame(frame)).collect();
        let all = [borrowed(&frames), borrowed(&frames), borrowed(&again)].concat();
        let (answers, passed) = exchange(&mut one, &mut other, &all).await;
        assert!(answers.is_empty(), "nothing comes back to its sender");
        for (came, sent) in passed.iter().zip(&frames) {
            assert_eq!(came, sent, "{}", String::from_utf8_lossy(sent));
        }
        assert_eq!(passed.len(), frames.len());
        std::mem::swap(&mut one, &mut other);
    }
}

#[tokio::test]
async fn the_third_of_three_or_more_lines_is_a_destination() {
    let server = Server::start();
    let mut sender = SmokeClient::connect(&server.address).await;
    let mut watcher = SmokeClient::connect(&server.address).await;
    let mut filtered = SmokeClient::connect(&server.address).await;
    let identity = random::<64>();
    filtered.announce(&identity).await;
    passed_on(&mut filtered, &mut watcher, &[]).await;
    sender.next().await;
    let lines = |first: usize, second: usize, others: &[usize]| {
        let (data, code) = (noise(first), noise(second));
        let tag = MacKey::new(&identity).tag(&[&data[..], &code].concat()).to_vec();
        let others = others.iter().map(|size| noise(*size));
        let lines: Vec<String> =
            [data, code, tag].into_iter().chain(others).map(|line| base64(&line)).collect();
        [b"POST HTTP/1.1\r\n\r\ncontent=", lines.join("\n").as_bytes(), b"\r\n\r\n\r\n"].concat()
    };
    let mine = [
        lines(512, 48, &[]),
        lines(512, 64, &[100]),
        lines(333, 64, &[64, 100]),
        // Without padding in the first two lines, and a short one.
        lines(510, 48, &[100]),
        lines(510, 48, &[]),
        lines(1, 1, &[100]),
    ];
    let others = [spot_on(POST, None, &[512, 333, 64, 100]), spot_on(POST, None, &[336, 64, 64])];
    let all = [borrowed(&others), borrowed(&mine)].concat();
    assert_eq!(passed_on(&mut sender, &mut watcher, &all).await.len(), all.len());
    for frame in &mine {
        assert_eq!(&filtered.next().await, frame);
    }
}

/// Spot-On-Lite passes on what its own clients announce, and takes everything for those that announce nothing.
#[tokio::test]
async fn a_spot_on_lite_takes_everything() {
    let server = Server::start();
    let mut sender = SmokeClient::connect(&server.address).await;
    let mut relay = SmokeClient::connect(&server.address).await;
    let introduction = typed("0111", "Spot-On-Lite");
    assert!(passed_on(&mut relay, &mut sender, &[&introduction]).await.is_empty(), "it ends here");
    relay.announce(&random()).await;
    passed_on(&mut relay, &mut sender, &[]).await;
    let frame = spot_on(POST, None, &[512, 333, 64, 100]);
    assert_eq!(passed_on(&mut sender, &mut relay, &[&frame]).await, [frame]);
}

/// A request in an ozone is worth nothing a second time, however its Base64 is broken into lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_captured_request_is_worth_nothing_in_lines_either() {
    use crate::smoke_client::{SmokeUser, body, offline_copy, payload};
    let inside = Inside::start().await;
    let server = &inside.server;
    let now = || inside.clock.now().0;
    let smoke = |arguments: &[&str]| {
        server.json(&[&["admin", "smoke"], arguments, &["--data-dir", "data", "--json"]].concat())
    };
    smoke(&["ozone", "add", "Hafen"]);
    let ben = SmokeUser::stored(1);
    smoke(&["participant", "add", ben.id.as_str()]);
    let mut watcher = SmokeClient::connect(&server.address).await;
    let mut bens = SmokeClient::connect(&server.address).await;
    let (copy, bundle) =
        (offline_copy(&body(), "Hafen", &ben.id, now()), ben.key_bundle(&ben.id, &ben.id, now()));
    assert_eq!(passed_on(&mut bens, &mut watcher, &[&copy, &bundle]).await, [bundle]);
    let request = ben.retrieval("Hafen", &random(), now());
    assert_eq!(exchange(&mut bens, &mut watcher, &[&request]).await.0.len(), 1);
    inside.clock.advance(Duration::from_secs(6));
    let text = base64(&payload(&request));
    for at in [76, 100, text.len() - 2] {
        let wrapped = format!("POST HTTP/1.1\r\n\r\ncontent={}\n{}\r\n\r\n\r\n", &text[..at], &text[at..]);
        let (answers, _) = exchange(&mut bens, &mut watcher, &[wrapped.as_bytes()]).await;
        assert!(answers.is_empty(), "{at}");
    }
}

#[tokio::test]
async fn whatever_is_no_request_of_http_is_let_in_at_the_shared_port() {
    let server = Server::start();
    let mut watcher = SmokeClient::connect(&server.address).await;
    for first_line in ["HTTP/1.1 200 OK", "HTTP/1.0 200", POST, "GET HTTP/1.1", "POST HTTP/1.0"] {
        for pieces in [0, 1, 6, 13] {
            let mut sender = SmokeClient::connect_silently(&server.address).await;
            let frame = spot_on(first_line, None, &[512, 333, 64, 100]);
            sender.send(&frame[..pieces]).await;
            sender.send(&frame[pieces..]).await;
            assert_eq!(watcher.next().await, frame, "{first_line} after {pieces}");
        }
    }
}

/// The first thing that comes is a McEliece key bundle, made by the original app, or a frame of megabytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_begin_with_a_frame_of_megabytes() {
    let server = Server::start();
    let mut watcher = SmokeClient::connect(&server.address).await;
    let megabyte = 1024 * 1024;
    for bytes in [65 * 1024, 184_720, megabyte, 5 * megabyte, MAX_FRAME_BYTES] {
        let mut sender = SmokeClient::connect_silently(&server.address).await;
        let frame = large_frame(bytes);
        assert_eq!(frame.len(), bytes);
        assert!(passed_on(&mut sender, &mut watcher, &[&frame]).await == [frame], "{bytes}");
    }
    // As several lines, without a length, and with one that is wrong.
    let frames = [spot_on(POST, None, &[3 * megabyte, 64, 64, 100]), large_frame(3 * megabyte)];
    for frame in frames {
        let text = String::from_utf8(frame).unwrap();
        let (head, rest) = text.split_once("Content-Length: ").unwrap();
        for length in ["12", "99999999999999999999", "", "-1", "4194304"] {
            let rest = rest.split_once("\r\n").unwrap().1;
            let fresh = base64(&noise(9));
            let rest = rest.replacen("content=", &format!("content={fresh}"), 1);
            let frame = format!("{head}Content-Length: {length}\r\n{rest}").into_bytes();
            let mut sender = SmokeClient::connect_silently(&server.address).await;
            assert!(passed_on(&mut sender, &mut watcher, &[&frame]).await == [frame], "{length:?}");
        }
    }
    // One byte more than any frame may have is thrown away, and the next one read.
    let mut sender = SmokeClient::connect_silently(&server.address).await;
    assert!(passed_on(&mut sender, &mut watcher, &[&large_frame(MAX_FRAME_BYTES + 1)]).await.is_empty());
}

/// Who reads slowly loses none of a few large frames because others wait, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_large_frames_wait_for_who_reads_slowly() {
    let server = Server::start();
    let mut watcher = SmokeClient::connect(&server.address).await;
    let mut sender = SmokeClient::connect(&server.address).await;
    let megabyte = 1024 * 1024;
    let sizes = [4 * megabyte + 1, 1_000, 6 * megabyte, MAX_FRAME_BYTES, 1_000];
    let frames: Vec<Vec<u8>> = sizes.iter().map(|bytes| large_frame(*bytes)).collect();
    // The watcher reads only when all were sent.
    assert!(passed_on(&mut sender, &mut watcher, &borrowed(&frames)).await == frames);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_large_frame_waits_for_its_turn_and_holds_nobody_up() {
    let inside = Inside::start().await;
    let address = &inside.server.address;
    let mut watcher = SmokeClient::connect(address).await;
    let mut known = SmokeClient::connect(address).await;
    known.announce(&random()).await;
    // Some who announce the most and bring it never.
    let mut stuck = Vec::new();
    for _ in 0..5 {
        let mut one = SmokeClient::connect_silently(address).await;
        let (unfinished, marker) = (large_frame(MAX_FRAME_BYTES), unknown_frame());
        // What comes before is handled before.
        one.send(&marker).await;
        assert_eq!(watcher.next().await, marker);
        one.send(&unfinished[..100 * 1024]).await;
        stuck.push(one);
    }
    let waiting = large_frame(200 * 1024);
    let mut patient = SmokeClient::connect_silently(address).await;
    patient.send(&waiting).await;
    // Neither small frames nor whoever is known wait with it.
    let large = large_frame(MAX_FRAME_BYTES);
    let small = unknown_frame();
    let passed = passed_on(&mut known, &mut watcher, &[&large, &small]).await;
    assert!(passed.contains(&large) && passed.contains(&small));
    let mut came = passed.contains(&waiting);
    inside.clock.advance(Duration::from_secs(61));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !came {
        assert!(tokio::time::Instant::now() < deadline);
        came = watcher.next().await == waiting;
    }
    drop(stuck);
}

/// A SmokeStack with which this server is connected: what others have written there comes here, and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_brings_and_takes_whatever_real_clients_send() {
    let inside = Inside::start().await;
    let server = &inside.server;
    let smoke = |arguments: &[&str]| {
        server.json(&[&["admin", "smoke"], arguments, &["--data-dir", "data", "--json"]].concat())
    };
    let document: Value =
        serde_json::from_str(include_str!("../../crates/smoke/vectors/vectors.json")).unwrap();
    let named = |list: &str, name: &str| {
        document[list].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let carol = named("identities", "carol")["smoke_id"].as_str().unwrap().to_owned();
    let bundle = named("vectors", "epks-self-carol");
    inside.clock.set_wall(UnixMillis(bundle["inputs"]["timestamp_ms"].as_u64().unwrap()));
    let bundle = bundle["outputs"]["frame"].as_str().unwrap().as_bytes().to_vec();
    assert_eq!(bundle.len(), 184_720);
    smoke(&["participant", "add", &carol]);
    let mut here = SmokeClient::connect(&server.address).await;
    let there = SmokeServer::bind().await;
    smoke(&["neighbour", "add", &there.address()]);
    let mut there = tokio::time::timeout(PATIENCE, there.accept()).await.unwrap();
    // Its first frame of all is a large one.
    assert!(passed_on(&mut there, &mut here, &[&bundle]).await == [bundle]);
    assert_eq!(smoke(&["participant", "list", "--search", &carol])[0]["keys"], "bound");
    let megabyte = 1024 * 1024;
    for _ in 0..2 {
        let mut frames = shapes();
        frames.extend([4 * megabyte, 8 * megabyte].map(large_frame));
        frames.push(spot_on(POST, None, &[3 * megabyte, 64, 64, 100]));
        let twice = [borrowed(&frames), borrowed(&frames)].concat();
        assert!(passed_on(&mut there, &mut here, &twice).await == frames, "each once");
        let mut frames = shapes();
        frames.extend([4 * megabyte, 8 * megabyte].map(large_frame));
        assert!(passed_on(&mut here, &mut there, &borrowed(&frames)).await == frames);
    }
    // What came from there does not go back there, whoever repeats it here.
    let echoed = spot_on(POST, None, &[512, 333, 64, 100]);
    assert_eq!(passed_on(&mut there, &mut here, &[&echoed]).await, std::slice::from_ref(&echoed));
    assert!(passed_on(&mut here, &mut there, &[&echoed, &untyped(&noise(300))]).await.len() == 1);
}
