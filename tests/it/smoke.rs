//! The Smoke gateway from outside: two simulated clients, a killed server, private listeners, echo, neighbours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use momedo::service::upkeep;
use momedo_protocol::time::UnixMillis;
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::mac::MacKey;
use momedo_smoke::random;
use momedo_smoke::smoke_id::SmokeId;
use serde_json::Value;

use crate::harness::{Inside, PATIENCE, Server, text};
use crate::smoke_client::{
    SmokeClient, SmokeUser, addressed, body, exchange, key_request, offline_copy, passed_on, payload,
    share_request, spot_on, typed, unknown_frame, untyped,
};

const OZONE: &str = "Hafenlaterne 7b";

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A `momedo admin smoke` command with its lines.
fn smoke(server: &Server, arguments: &[&str]) -> Vec<Value> {
    server.json(&[&["admin", "smoke"], arguments, &["--data-dir", "data", "--json"]].concat())
}

fn participant(server: &Server, id: &SmokeId) -> Value {
    smoke(server, &["participant", "list", "--search", id.as_str()]).remove(0)
}

/// Waits until what the server lists about somebody is so.
async fn until(server: &Server, id: &SmokeId, field: &str, expected: Value) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while participant(server, id)[field] != expected {
        assert!(tokio::time::Instant::now() < deadline, "{field} never becomes {expected}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn mail_outlives_a_killed_server_from_key_deposit_to_read_notice() {
    let mut server = Server::start();
    let (ada, ben) = (SmokeUser::stored(0), SmokeUser::stored(1));
    assert_eq!(smoke(&server, &["ozone", "add", OZONE])[0]["ozone"], OZONE);
    let added = smoke(&server, &["participant", "add", ben.id.as_str(), "--name", "Ben"]);
    assert_eq!((&added[0]["id"], &added[0]["name"]), (&ben.id.as_str().into(), &"Ben".into()));
    // Ada introduces herself: whoever knows the ozone may.
    let mut ada_line =
        SmokeClient::try_connect(&server.address, &rustls::version::TLS12).await.unwrap().greeted().await;
    let first_certificate = ada_line.certificate.clone();
    ada_line.announce(&ada.id.routing_identity()).await;
    let temporary = random::<8>();
    ada_line.send(&share_request(OZONE, &ada.id, &temporary, now())).await;
    let confirmation = payload(&ada_line.next().await);
    let (sealed, tag) = confirmation.split_at(confirmation.len() - 64);
    assert_eq!(MacKey::new(&ada.id.routing_identity()).tag(sealed), tag);
    let plain = KeyStream::of_ozone(OZONE).open(sealed).unwrap();
    assert_eq!((plain[0], &plain[9..48], &plain[48..]), (3, &ada.id.as_bytes()[..], &temporary[..]));
    // Both publish their keys.
    let mut ben_line = SmokeClient::connect(&server.address).await;
    ben_line.announce(&ben.id.routing_identity()).await;
    ada_line.send(&ada.key_bundle(&ada.id, &ada.id, now())).await;
    ben_line.send(&ben.key_bundle(&ben.id, &ben.id, now())).await;
    until(&server, &ada.id, "keys", "bound".into()).await;
    until(&server, &ben.id, "keys", "bound".into()).await;
    // Ben asks for Ada's.
    ben_line.send(&key_request(OZONE, &ben.id, &ada.id, now())).await;
    let bundle = payload(&ben_line.next().await);
    let plain = KeyStream::of_id(&ben.id).open(&bundle[..bundle.len() - 64]).unwrap();
    let lines = text(&plain);
    let lines: Vec<&str> = lines.split('\n').collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines[3], crate::smoke_client::base64(&ada.encryption_key()));
    drop(ben_line);
    // Ben is away; Ada writes twice, then the server is killed.
    let bodies = [body(), body()];
    for body in &bodies {
        ada_line.send(&offline_copy(body, OZONE, &ben.id, now())).await;
    }
    until(&server, &ben.id, "waiting", 2.into()).await;
    server.kill();
    server.launch();
    let mut ben_line = SmokeClient::connect(&server.address).await;
    assert_eq!(ben_line.certificate, first_certificate, "Smoke pins the certificate for ever");
    let retrieval_identity = random::<64>();
    // The request comes before the announcement of its identity, as the app does it.
    ben_line.send(&ben.retrieval(OZONE, &retrieval_identity, now())).await;
    ben_line.announce(&retrieval_identity).await;
    for body in &bodies {
        let released = payload(&ben_line.next().await);
        let tag = MacKey::new(&retrieval_identity).tag(body);
        assert_eq!(released, [&body[..], &tag].concat());
    }
    // Only what was read is gone, and Ada cannot say so for him.
    let mut ada_line = SmokeClient::connect(&server.address).await;
    let mut watcher = SmokeClient::connect(&server.address).await;
    let foreign = ada.read_notice(OZONE, &bodies[0], now());
    let (answers, passed) = exchange(&mut ada_line, &mut watcher, &[&foreign]).await;
    assert!(answers.is_empty() && passed.is_empty());
    assert_eq!(participant(&server, &ben.id)["waiting"], 2);
    ben_line.send(&ben.read_notice(OZONE, &bodies[0], now())).await;
    until(&server, &ben.id, "waiting", 1.into()).await;
    server.kill();
    server.launch();
    assert_eq!(participant(&server, &ben.id)["waiting"], 1);
    // Sent again, a message that was read does not come back.
    let mut ada_line = SmokeClient::connect(&server.address).await;
    let mut watcher = SmokeClient::connect(&server.address).await;
    let again = offline_copy(&bodies[0], OZONE, &ben.id, now());
    let (_, passed) = exchange(&mut ada_line, &mut watcher, &[&again]).await;
    assert!(passed.is_empty(), "an offline copy is not echoed");
    assert_eq!(participant(&server, &ben.id)["waiting"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_listener_opens_only_to_registered_keys() {
    let inside = Inside::start().await;
    let server = &inside.server;
    let now = || inside.clock.now().0;
    smoke(server, &["ozone", "add", OZONE]);
    let (ada, stranger) = (SmokeUser::stored(0), SmokeUser::stored(1));
    smoke(server, &["participant", "add", ada.id.as_str(), "--name", "Ada"]);
    let mut public = SmokeClient::connect(&server.address).await;
    public.send(&ada.key_bundle(&ada.id, &ada.id, now())).await;
    until(server, &ada.id, "keys", "bound".into()).await;
    let listener = smoke(server, &["listener", "add", "127.0.0.1:0", "--private", "--max-clients", "2"]);
    assert_eq!((&listener[0]["private"], &listener[0]["max_clients"]), (&true.into(), &2.into()));
    let address = listener[0]["address"].as_str().unwrap().to_owned();

    let mut locked = SmokeClient::connect_silently(&address).await;
    let mut opened = SmokeClient::connect_silently(&address).await;
    let (first, other) = (locked.next().await, opened.next().await);
    assert_ne!(first, other);
    let third = SmokeClient::try_connect(&address, &rustls::version::TLS13).await;
    assert!(third.is_err(), "a full listener takes nobody");

    opened.send(&ada.response(&other)).await;
    let passed = passed_on(&mut opened, &mut public, &[]).await;
    assert!(passed.is_empty());
    // Everything a client may want before it is let in, and answers that are none: another's keys, an answer to
    // another challenge, and one that would have been right, once the challenge is spent.
    let attempts = [stranger.response(&first), ada.response(&other), ada.response(&first)];
    for attempt in &attempts {
        locked.send(attempt).await;
    }
    for frame in [typed("0096", "dHJ1ZQ=="), ada.retrieval(OZONE, &random(), now()), unknown_frame()] {
        locked.send(&frame).await;
    }
    let last = unknown_frame();
    public.send(&last).await;
    assert!(opened.until(&last).await.is_empty());
    assert_eq!(smoke(server, &["status"])[0]["not_authenticated"], 1);
    // What comes next to the locked one is a new challenge and nothing else; the right answer opens.
    inside.clock.advance(Duration::from_secs(10));
    let renewed = locked.any().await.unwrap();
    assert_ne!(renewed, first);
    locked.send(&ada.response(&renewed)).await;
    assert!(passed_on(&mut locked, &mut public, &[]).await.is_empty());
    assert_eq!(smoke(server, &["status"])[0]["not_authenticated"], 0);
    let for_both = unknown_frame();
    public.send(&for_both).await;
    assert!(locked.until(&for_both).await.is_empty());
}

#[tokio::test]
async fn an_unknown_frame_reaches_the_others_once_and_not_its_sender() {
    let server = Server::start();
    let listener = smoke(&server, &["listener", "add", "127.0.0.1:0"]);
    let other_door = listener[0]["address"].as_str().unwrap();
    let mut sender = SmokeClient::connect(&server.address).await;
    let mut watcher = SmokeClient::connect(&server.address).await;
    let mut elsewhere = SmokeClient::connect(other_door).await;
    let mut filtered = SmokeClient::connect(other_door).await;
    let identity = random::<64>();
    filtered.announce(&identity).await;
    let for_filtered = addressed(&body(), &identity);
    // The app's own shape, and those of Spot-On.
    let shapes: [&[usize]; 4] =
        [&[512, 333, 64, 100], &[512, 332, 64, 64, 100], &[336, 64, 100], &[336, 100]];
    let in_lines = shapes.map(|sizes| spot_on("POST HTTP/1.1", None, sizes));
    let publicised = spot_on("POST HTTP/1.1", Some("0030"), &[12, 4, 0, 3, 10]);
    let frames = [&[unknown_frame(), publicised][..], &in_lines].concat();
    // Announcements are done with once something that follows them on the same line came through.
    passed_on(&mut filtered, &mut watcher, &[]).await;
    elsewhere.next().await;
    sender.next().await;
    let twice = frames.iter().chain(&frames).chain([&for_filtered]).chain(&frames);
    let twice: Vec<&[u8]> = twice.map(Vec::as_slice).collect();
    let (answers, passed) = exchange(&mut sender, &mut watcher, &twice).await;
    assert!(answers.is_empty(), "nothing comes back to its sender");
    let all = [&frames[..], std::slice::from_ref(&for_filtered)].concat();
    assert_eq!(passed, all);
    for frame in &all {
        assert_eq!(elsewhere.next().await, *frame);
    }
    assert_eq!(filtered.next().await, for_filtered);
}

/// Neither what is malformed nor what is too large, slow or frequent ends a connection or the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_ignored_and_the_line_stays_open() {
    let inside = Inside::start().await;
    smoke(&inside.server, &["ozone", "add", OZONE]);
    let address = &inside.server.address;
    let mut watcher = SmokeClient::connect(address).await;
    let mut sender = SmokeClient::connect(address).await;
    let stream = KeyStream::of_ozone(OZONE);
    let mut frames: Vec<Vec<u8>> = vec![
        b"\r\n\r\n\r\n".to_vec(),
        b"content=\r\n\r\n\r\n".to_vec(),
        b"content= \r\n\t\r\n\r\n\r\n".to_vec(),
        typed("0095a", "AAAA"),
        typed("0095b", "AAAA;AAAA"),
        typed("0097a", "AAAA"),
        typed("0097b", "AAAA"),
        typed("0014", ""),
        // A right envelope around what is no request.
        untyped(&stream.seal(&[7; 100])),
        untyped(&stream.seal(&[0; 137])),
        untyped(&stream.seal(&[9; 200])),
        untyped(&stream.seal(&[&[2][..], &inside.clock.now().0.to_be_bytes(), &[b'x'; 47]].concat())),
    ];
    // Larger than the largest frame there can be.
    frames.push([&b"content="[..], &vec![b'A'; 9 * 1024 * 1024], b"\r\n\r\n\r\n"].concat());
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let (answers, passed) = exchange(&mut sender, &mut watcher, &frames).await;
    assert!(answers.is_empty() && passed.is_empty(), "{} answers, {} passed", answers.len(), passed.len());
    // A frame that never ends is forgotten, and the next one is read.
    sender.send(b"content=AAAA").await;
    passed_on(&mut watcher, &mut sender, &[]).await;
    inside.clock.advance(Duration::from_secs(61));
    let sign = sender.any().await.unwrap();
    assert!(text(&sign).contains("type=0014&"), "every ten seconds, whatever the clock says");
    assert!(passed_on(&mut sender, &mut watcher, &[]).await.is_empty());
    // Silence ends it.
    inside.clock.advance(Duration::from_secs(91));
    while sender.any().await.is_some() {}
}

/// A clock that jumps loses no mail; time that the server saw pass does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_mail_survives_a_clock_that_jumps_and_ends_with_the_retention() {
    let inside = Inside::start().await;
    let server = &inside.server;
    let ben = SmokeUser::stored(1);
    smoke(server, &["ozone", "add", OZONE]);
    smoke(server, &["participant", "add", ben.id.as_str(), "--name", "Ben"]);
    let mut watcher = SmokeClient::connect(&server.address).await;
    let mut sender = SmokeClient::connect(&server.address).await;
    let copy = offline_copy(&body(), OZONE, &ben.id, inside.clock.now().0);
    assert!(passed_on(&mut sender, &mut watcher, &[&copy]).await.is_empty());
    let expire = async || {
        upkeep::expire(&inside.app).await.unwrap();
        participant(server, &ben.id)["waiting"].clone()
    };
    for wall in [0, 4_000_000_000_000, 1_790_000_000_000] {
        inside.clock.set_wall(UnixMillis(wall));
        assert_eq!(expire().await, 1, "{wall}");
    }
    inside.clock.advance(Duration::from_secs(89 * 86_400));
    assert_eq!(expire().await, 1);
    inside.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(expire().await, 0);
}

/// A captured request is worth nothing, from nobody, and a retrieval is answered every few seconds at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_captured_retrieval_is_worth_nothing() {
    let inside = Inside::start().await;
    let server = &inside.server;
    let (ada, ben) = (SmokeUser::stored(0), SmokeUser::stored(1));
    let now = || inside.clock.now().0;
    smoke(server, &["ozone", "add", OZONE]);
    for user in [&ada, &ben] {
        smoke(server, &["participant", "add", user.id.as_str()]);
    }
    let mut watcher = SmokeClient::connect(&server.address).await;
    let mut bens = SmokeClient::connect(&server.address).await;
    let copy = offline_copy(&body(), OZONE, &ben.id, now());
    let bundle = ben.key_bundle(&ben.id, &ben.id, now());
    assert_eq!(passed_on(&mut bens, &mut watcher, &[&copy, &bundle]).await, [bundle]);
    let captured = ben.retrieval(OZONE, &random(), now());
    let mut released = async |client: &mut SmokeClient, frames: &[&[u8]]| {
        let (answers, passed) = exchange(client, &mut watcher, frames).await;
        assert!(passed.is_empty(), "a request is not passed on");
        answers.len()
    };
    assert_eq!(released(&mut bens, &[&captured, &captured]).await, 1);
    inside.clock.advance(Duration::from_secs(6));
    let mut other = SmokeClient::connect(&server.address).await;
    assert_eq!(released(&mut other, &[&captured]).await, 0, "a captured request");
    drop(other);
    // What those two exchanged came by here.
    released(&mut bens, &[]).await;
    let again = ben.retrieval(OZONE, &random(), now());
    let at_once = ben.retrieval(OZONE, &random(), now());
    assert_eq!(released(&mut bens, &[&captured, &again, &at_once]).await, 1, "one in five seconds");
    inside.clock.advance(Duration::from_secs(6));
    let late = ben.retrieval(OZONE, &random(), now() - 30_001);
    let of_another = ada.retrieval(OZONE, &random(), now());
    assert_eq!(released(&mut bens, &[&late, &of_another]).await, 0);
}

/// An alias can be claimed by anybody, so an admin decides, and other keys do not take its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_belongs_to_whom_the_admin_says() {
    let inside = Inside::start().await;
    let server = &inside.server;
    let (owner, claimant) = (SmokeUser::stored(0), SmokeUser::stored(1));
    let alias = SmokeId::of_alias("ada@schule.example");
    let now = || inside.clock.now().0;
    smoke(server, &["ozone", "add", OZONE]);
    smoke(server, &["participant", "add", alias.as_str(), "--name", "Ada"]);
    let mut watcher = SmokeClient::connect(&server.address).await;
    let mut line = SmokeClient::connect(&server.address).await;
    let publish = async |line: &mut SmokeClient, watcher: &mut SmokeClient, user: &SmokeUser| {
        let bundle = user.key_bundle(&alias, &alias, now());
        assert_eq!(passed_on(line, watcher, &[&bundle]).await.len(), 1);
        participant(server, &alias)
    };
    assert_eq!(publish(&mut line, &mut watcher, &claimant).await["keys"], "waiting");
    // What waits opens nothing and is given to nobody; other keys do not take its place meanwhile.
    let fetch = key_request(OZONE, &owner.id, &alias, now());
    let retrieve = claimant.retrieval(OZONE, &random(), now());
    assert!(exchange(&mut line, &mut watcher, &[&fetch, &retrieve]).await.0.is_empty());
    let row = publish(&mut line, &mut watcher, &owner).await;
    assert_eq!((&row["keys"], &row["refusal"]), (&"waiting".into(), &"other-keys".into()));
    let overview = server.json(&["admin", "overview", "--data-dir", "data", "--json"]).remove(0);
    assert!(overview["tasks"].to_string().contains("smoke-keys"), "{overview}");
    smoke(server, &["participant", "forget-keys", alias.as_str()]);
    assert_eq!(publish(&mut line, &mut watcher, &owner).await["keys"], "waiting");
    smoke(server, &["participant", "approve", alias.as_str()]);
    let row = publish(&mut line, &mut watcher, &claimant).await;
    assert_eq!((&row["keys"], &row["refusal"]), (&"bound".into(), &"other-keys".into()));
    let fetch = key_request(OZONE, &claimant.id, &alias, now());
    let (answers, _) = exchange(&mut line, &mut watcher, &[&fetch]).await;
    let bundle = payload(&answers[0]);
    let plain = KeyStream::of_id(&claimant.id).open(&bundle[..bundle.len() - 64]).unwrap();
    assert!(text(&plain).contains(&crate::smoke_client::base64(&owner.encryption_key())));
}

/// Two servers: frames and requests cross the link, mail comes back over it, and another certificate ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smoke_neighbour_extends_the_echo_and_must_keep_its_certificate() {
    let (near, mut far) = (Server::start(), Server::start());
    let ben = SmokeUser::stored(1);
    smoke(&far, &["ozone", "add", OZONE]);
    smoke(&far, &["participant", "add", ben.id.as_str(), "--name", "Ben"]);
    let state = |server: &Server| smoke(server, &["neighbour", "list"]).remove(0);
    smoke(&near, &["neighbour", "add", &far.address]);
    let wait_for = async |wanted: &str| {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while state(&near)["state"] != wanted {
            assert!(tokio::time::Instant::now() < deadline, "never {wanted}: {}", state(&near));
            tokio::task::yield_now().await;
        }
    };
    wait_for("connected").await;
    let pinned = state(&near)["certificate"].as_str().unwrap().to_owned();
    let mut here = SmokeClient::connect(&near.address).await;
    let mut there = SmokeClient::connect(&far.address).await;
    // Each way, and no frame comes back.
    for _ in 0..2 {
        assert!(passed_on(&mut here, &mut there, &[]).await.is_empty());
        assert!(passed_on(&mut there, &mut here, &[]).await.is_empty());
    }
    // Ben is at the near server, his ozone at the far one.
    here.send(&ben.key_bundle(&ben.id, &ben.id, now())).await;
    until(&far, &ben.id, "keys", "bound".into()).await;
    let waiting = body();
    here.send(&offline_copy(&waiting, OZONE, &ben.id, now())).await;
    until(&far, &ben.id, "waiting", 1.into()).await;
    let retrieval_identity = random::<64>();
    here.announce(&retrieval_identity).await;
    here.send(&ben.retrieval(OZONE, &retrieval_identity, now())).await;
    let released = payload(&here.next().await);
    assert_eq!(released[..waiting.len()], waiting);
    // Another server at the same address: the far one's data is gone, and with it its certificate.
    far.kill();
    std::fs::remove_dir_all(far.data()).unwrap();
    std::fs::create_dir(far.data()).unwrap();
    far.launch();
    wait_for("certificate-changed").await;
    assert_eq!(state(&near)["certificate"], pinned.as_str());
    smoke(&near, &["neighbour", "forget-certificate", &far.address]);
    wait_for("connected").await;
    assert_ne!(state(&near)["certificate"], pinned.as_str());
}
