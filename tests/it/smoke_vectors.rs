//! Every frame the original Smoke app made, sent to a real server over TLS, and what the server makes of it.
//!
//! What has no frame, hashes and derived keys, is checked byte for byte in `crates/smoke/tests/vectors.rs`; here it
//! shows in IDs that keys bind to and in ozones that recognise.

use std::collections::BTreeMap;
use std::time::Duration;

use momedo::service::administration::{self, AdminRequest, AdminResponse, SmokeRequest};
use momedo::store::{StoreError, Tick};
use momedo_protocol::time::UnixMillis;
use momedo_smoke::key_bundle::KeyBundle;
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::lenient_base64;
use momedo_smoke::mac::MacKey;
use momedo_smoke::smoke_id::SmokeId;
use serde_json::Value;

use crate::harness::{Inside, text};
use crate::smoke_client::{SmokeClient, exchange, passed_on, payload, untyped};

const OZONE: &str = "harbour lantern";

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn identity(text: &Value) -> [u8; 64] {
    hex(text).try_into().unwrap()
}

/// The server with the four people of the vectors, and the vectors by kind.
struct Replay {
    inside: Inside,
    document: Value,
    replayed: BTreeMap<String, usize>,
}

/// A sender and somebody who sees everything, at one moment.
struct Moment {
    sender: SmokeClient,
    watcher: SmokeClient,
}

impl Replay {
    async fn start() -> Self {
        let inside = Inside::start().await;
        let document: Value =
            serde_json::from_str(include_str!("../../crates/smoke/vectors/vectors.json")).unwrap();
        let replay = Self { inside, document, replayed: BTreeMap::new() };
        replay.admin(SmokeRequest::AddOzone { name: OZONE.into() }).await;
        for one in replay.document["identities"].as_array().unwrap() {
            let (id, name) = (one["smoke_id"].as_str().unwrap(), one["name"].as_str().unwrap());
            replay.admin(SmokeRequest::AddParticipant { id: id.into(), name: name.into() }).await;
        }
        replay
    }

    async fn admin(&self, request: SmokeRequest) -> Vec<Value> {
        match administration::execute(&self.inside.app, AdminRequest::Smoke(request)).await.unwrap() {
            AdminResponse::Lines(lines) => lines,
            other => panic!("{other:?}"),
        }
    }

    async fn participant(&self, id: &Value) -> Value {
        self.admin(SmokeRequest::Participants { search: id.as_str().unwrap().into() }).await.remove(0)
    }

    fn id_of(&self, name: &Value) -> Value {
        let people = self.document["identities"].as_array().unwrap();
        people.iter().find(|one| one["name"] == *name).unwrap()["smoke_id"].clone()
    }

    /// Vectors of a kind; each counts as replayed.
    fn take(&mut self, kind: &str) -> Vec<Value> {
        let all = self.document["vectors"].as_array().unwrap();
        let found: Vec<Value> = all.iter().filter(|vector| vector["kind"] == kind).cloned().collect();
        assert!(!found.is_empty(), "no vectors of kind {kind}");
        self.replayed.insert(kind.into(), found.len());
        found
    }

    /// Two new connections while the clock on the wall shows this; what came before is forgotten.
    async fn at(&self, now: u64) -> Moment {
        self.inside.clock.advance(Duration::from_secs(200));
        self.inside.clock.set_wall(UnixMillis(now));
        let address = &self.inside.server.address;
        let watcher = SmokeClient::connect(address).await;
        Moment { sender: SmokeClient::connect(address).await, watcher }
    }

    /// The moments of a vector: clock, and whether its time is taken then.
    fn windows(vector: &Value) -> Vec<(u64, bool)> {
        let windows = vector["outputs"]["window"].as_array().unwrap();
        windows
            .iter()
            .map(|w| (w["server_now_ms"].as_u64().unwrap(), w["in_window"].as_bool().unwrap()))
            .collect()
    }

    /// Leaves a message for somebody, as if an offline copy had come.
    async fn leave(&self, id: &Value, digest: [u8; 64], body: &'static [u8]) {
        let id: SmokeId = id.as_str().unwrap().parse().unwrap();
        let leave = self.inside.app.store.write(move |tx| {
            let number = tx.find_smoke_participant(&id)?.unwrap().number;
            tx.insert_smoke_message(number, &digest, body)
        });
        leave.await.map_err(|error: StoreError| error.to_string()).unwrap();
    }
}

fn frame(vector: &Value) -> &[u8] {
    vector["outputs"]["frame"].as_str().unwrap().as_bytes()
}

impl Moment {
    async fn exchange(&mut self, frames: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        exchange(&mut self.sender, &mut self.watcher, frames).await
    }

    /// The frame is passed on as it is, and not answered.
    async fn passes_on(&mut self, frame: &[u8]) {
        let (answers, passed) = self.exchange(&[frame]).await;
        assert!(
            answers.is_empty() && passed == [frame],
            "{} answers, {} passed",
            answers.len(),
            passed.len()
        );
    }

    /// The frame ends here.
    async fn swallows(&mut self, frame: &[u8]) {
        let (answers, passed) = self.exchange(&[frame]).await;
        assert!(
            answers.is_empty() && passed.is_empty(),
            "{} answers, {} passed",
            answers.len(),
            passed.len()
        );
    }
}

/// Key bundles: bound, waiting or refused, and passed on whatever they are.
async fn key_bundles(replay: &mut Replay) {
    let (negative, all) = (replay.take("epks_negative"), replay.take("epks"));
    for vector in negative.iter().chain(all.iter().filter(|vector| vector["name"] == "epks-unsigned-alice")) {
        let now = vector["inputs"]["timestamp_ms"].as_u64().unwrap();
        replay.at(now).await.passes_on(frame(vector)).await;
        let alice = replay.participant(&vector["inputs"]["addressed_to"]).await;
        assert_eq!((&alice["keys"], &alice["refusal"]), (&"none".into(), &"signature".into()));
    }
    let unsigned = all.iter().find(|vector| vector["name"] == "epks-unsigned-alice").unwrap();
    let alice = unsigned["inputs"]["addressed_to"].clone();
    let id = alice.as_str().unwrap().to_owned();
    let change =
        |accepts| SmokeRequest::ChangeParticipant { id: id.clone(), name: None, accepts_unsigned: accepts };
    replay.admin(change(Some(true))).await;
    replay.at(unsigned["inputs"]["timestamp_ms"].as_u64().unwrap()).await.passes_on(frame(unsigned)).await;
    assert_eq!(replay.participant(&alice).await["keys"], "bound");
    replay.admin(change(Some(false))).await;
    for vector in all.iter().filter(|vector| vector["name"] != "epks-unsigned-alice") {
        let sender = replay.id_of(&vector["inputs"]["sender"]);
        for (now, taken) in Replay::windows(vector) {
            replay.admin(SmokeRequest::ForgetKeys { id: sender.as_str().unwrap().into() }).await;
            let mut moment = replay.at(now).await;
            moment.passes_on(frame(vector)).await;
            let keys = replay.participant(&sender).await["keys"].clone();
            let is_alias = vector["inputs"]["sender"] == "dave-alias";
            let expected = if !taken {
                "none"
            } else if is_alias {
                "waiting"
            } else {
                "bound"
            };
            assert_eq!(keys, expected, "{} at {now}", vector["name"]);
        }
    }
    // An alias is bound by an admin alone.
    for vector in all.iter().filter(|vector| vector["name"].as_str().unwrap().starts_with("epks-self")) {
        let sender = replay.id_of(&vector["inputs"]["sender"]);
        let mut moment = replay.at(vector["inputs"]["timestamp_ms"].as_u64().unwrap()).await;
        moment.passes_on(frame(vector)).await;
        if replay.participant(&sender).await["keys"] == "waiting" {
            replay.admin(SmokeRequest::ApproveKeys { id: sender.as_str().unwrap().into() }).await;
        }
        assert_eq!(replay.participant(&sender).await["keys"], "bound");
    }
}

/// What is addressed to somebody reaches those who announced them, unchanged, and is kept nowhere.
async fn traffic(replay: &mut Replay) {
    let fire = replay.take("fire");
    for vector in [replay.take("chat_direct"), replay.take("opaque_with_destination"), fire].concat() {
        let mut moment = replay.at(1_795_289_908_000).await;
        let address = &replay.inside.server.address;
        let (mut addressee, mut other) =
            (SmokeClient::connect(address).await, SmokeClient::connect(address).await);
        match vector["outputs"]["identity_frame"].as_str() {
            Some(announcement) => addressee.send(announcement.as_bytes()).await,
            None => addressee.announce(&identity(&vector["inputs"]["routing_identity_hex"])).await,
        }
        if vector["name"] == "fire-status" {
            addressee.announce(&identity(&vector["inputs"]["routing_identity_hex"])).await;
        }
        other.announce(&[1; 64]).await;
        passed_on(&mut addressee, &mut moment.watcher, &[]).await;
        passed_on(&mut other, &mut moment.watcher, &[]).await;
        let last = untyped(&momedo_smoke::offline_copy::release(&[7; 100], &[1; 64]));
        // Greetings of the others came to the sender before they announced anything.
        let frames = [frame(&vector), &last[..]];
        let (_, passed) = (moment.sender.send(frames[0]).await, {
            passed_on(&mut moment.sender, &mut moment.watcher, &[&last]).await
        });
        assert_eq!(passed, frames, "{}", vector["name"]);
        assert_eq!(addressee.next().await, frame(&vector), "{}", vector["name"]);
        assert_eq!(other.next().await, last, "{}", vector["name"]);
    }
}

/// Offline copies are kept for one minute around theirs, and released with the retrieval's identity.
async fn offline_copies(replay: &mut Replay) {
    let (copies, releases) = (replay.take("chat_ozone"), replay.take("release"));
    for (vector, release) in copies.iter().zip(&releases) {
        let to = &vector["inputs"]["to"];
        let minute = vector["inputs"]["minutes"].as_u64().unwrap();
        let waiting = async || replay.participant(to).await["waiting"].clone();
        for outside in [minute - 2, minute + 2] {
            replay.at(outside * 60_000 + 30_000).await.passes_on(frame(vector)).await;
            assert_eq!(waiting().await, 0, "{outside}");
        }
        // One minute later than the original takes, for copies that were on their way.
        for inside in [minute, minute + 1, minute - 1] {
            replay.at(inside * 60_000).await.swallows(frame(vector)).await;
            assert_eq!(waiting().await, 1, "{inside}");
        }
        let stored =
            lenient_base64::decode(release["inputs"]["stored_body_b64"].as_str().unwrap().as_bytes())
                .unwrap();
        let name = if release["name"] == "release-bob" { "bob" } else { "carol" };
        let retrievals = replay.take("retrieval");
        let retrieval = retrievals.iter().find(|one| one["inputs"]["signer"] == name).unwrap();
        let mut moment = replay.at(retrieval["inputs"]["timestamp_ms"].as_u64().unwrap()).await;
        let (answers, passed) = moment.exchange(&[frame(retrieval)]).await;
        assert!(passed.is_empty());
        let tag = MacKey::new(&hex(&retrieval["inputs"]["retrieval_identity_hex"])).tag(&stored);
        assert_eq!(answers.len(), 1);
        assert_eq!(payload(&answers[0]), [&stored[..], &tag].concat());
        // The form is the server's own example, ETag aside.
        let example = release["outputs"]["frame_example"].as_str().unwrap();
        assert_eq!(payload(example.as_bytes())[..stored.len()], stored);
        // Passed on by a neighbour, a release finds whoever asked with its identity.
        let mut asker = SmokeClient::connect(&replay.inside.server.address).await;
        asker.announce(&identity(&release["inputs"]["retrieval_identity_hex"])).await;
        passed_on(&mut asker, &mut moment.watcher, &[]).await;
        moment.sender.send(example.as_bytes()).await;
        assert_eq!(asker.next().await, example.as_bytes());
    }
}

/// Signed requests: within 30 seconds, by the right key, and never passed on.
async fn signed_requests(replay: &mut Replay) {
    for vector in replay.take("retrieval") {
        let signer = replay.id_of(&vector["inputs"]["signer"]);
        replay
            .leave(&signer, momedo_smoke::sha512(vector["name"].as_str().unwrap().as_bytes()), b"left")
            .await;
        for (now, taken) in Replay::windows(&vector) {
            let mut moment = replay.at(now).await;
            let (answers, passed) = moment.exchange(&[frame(&vector), frame(&vector)]).await;
            assert!(passed.is_empty());
            assert_eq!(!answers.is_empty(), taken, "{} at {now}", vector["name"]);
            let retrieval_identity = hex(&vector["inputs"]["retrieval_identity_hex"]);
            for answer in &answers {
                let released = payload(answer);
                let (body, tag) = released.split_at(released.len() - 64);
                assert_eq!(MacKey::new(&retrieval_identity).tag(body), tag);
            }
        }
        // The announcement that belongs to it filters from then on.
        let mut moment = replay.at(1_795_289_908_000).await;
        let announcement = vector["outputs"]["identity_frame"].as_str().unwrap();
        let passed = passed_on(&mut moment.sender, &mut moment.watcher, &[announcement.as_bytes()]).await;
        assert!(passed.is_empty());
    }
    for vector in replay.take("retrieval_negative") {
        let mut moment = replay.at(vector["inputs"]["timestamp_ms"].as_u64().unwrap()).await;
        if vector["name"] == "retrieval-bad-mac" {
            moment.passes_on(frame(&vector)).await;
        } else {
            moment.swallows(frame(&vector)).await;
        }
    }
    for vector in replay.take("message_read") {
        let signer = replay.id_of(&vector["inputs"]["signer"]);
        let stranger =
            replay.id_of(&if vector["inputs"]["signer"] == "bob" { "alice" } else { "bob" }.into());
        let digest = identity(&vector["inputs"]["message_digest_hex"]);
        for (now, taken) in Replay::windows(&vector) {
            let waiting = async |id: &Value| replay.participant(id).await["waiting"].as_u64().unwrap();
            let (before, strangers) = (waiting(&signer).await, waiting(&stranger).await);
            for id in [&signer, &stranger] {
                replay.leave(id, digest, b"left").await;
            }
            // What was not handed over cannot have been read.
            replay.at(now).await.swallows(frame(&vector)).await;
            assert_eq!(waiting(&signer).await, before + 1);
            let release = replay.inside.app.store.write(move |tx| {
                let rows = tx.list_smoke_participants("", 0, 100)?.0;
                let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
                let messages = tx.waiting_smoke_messages(&numbers)?;
                let messages: Vec<i64> = messages.iter().map(|message| message.number).collect();
                tx.mark_smoke_messages_released(&messages)
            });
            release.await.unwrap();
            replay.at(now).await.swallows(frame(&vector)).await;
            assert_eq!(waiting(&signer).await, before + u64::from(!taken), "{} at {now}", vector["name"]);
            assert_eq!(waiting(&stranger).await, strangers + 1, "another's message");
            // Away with what is left of them, the memory of having been read included.
            forget_mail(replay).await;
        }
    }
}

async fn forget_mail(replay: &Replay) {
    let expire = replay.inside.app.store.write(|tx| tx.expire_smoke_messages(Tick(u64::MAX >> 1)));
    expire.await.map_err(|error: StoreError| error.to_string()).unwrap();
}

/// Unsigned requests: keys for whoever asks, IDs that are shared.
async fn unsigned_requests(replay: &mut Replay) {
    for vector in replay.take("pkp_request") {
        let requester: SmokeId = vector["inputs"]["requester_id"].as_str().unwrap().parse().unwrap();
        for (now, taken) in Replay::windows(&vector) {
            let (answers, passed) = replay.at(now).await.exchange(&[frame(&vector)]).await;
            assert!(passed.is_empty());
            assert_eq!(answers.len(), usize::from(taken), "{} at {now}", vector["name"]);
            for answer in answers {
                let answer = payload(&answer);
                let (sealed, tag) = answer.split_at(answer.len() - 64);
                assert_eq!(MacKey::new(&requester.routing_identity()).tag(sealed), tag);
                let plain = KeyStream::of_id(&requester).open(sealed).unwrap();
                assert_eq!(KeyBundle::read(&plain).unwrap().at_millis, now);
                let plain = text(&plain);
                let expected = vector["outputs"]["reply_plaintext_lines_after_timestamp"].as_array().unwrap();
                for (line, expected) in plain.split('\n').skip(1).zip(expected) {
                    assert!(expected == "in epks-self-carol" || expected == line);
                }
            }
        }
    }
    let confirmations = replay.take("share_id_confirmation");
    for vector in replay.take("share_id") {
        let id = vector["inputs"]["smoke_id"].clone();
        for (now, taken) in Replay::windows(&vector) {
            replay.admin(SmokeRequest::RemoveParticipant { id: id.as_str().unwrap().into() }).await;
            let (answers, passed) = replay.at(now).await.exchange(&[frame(&vector)]).await;
            assert_eq!(answers.len(), usize::from(taken));
            assert_eq!(passed.len(), usize::from(taken), "passed on as it came");
            for answer in answers {
                let answer = payload(&answer);
                let plain = KeyStream::of_ozone(OZONE).open(&answer[..answer.len() - 64]).unwrap();
                let expected = hex(&confirmations[0]["inputs"]["plaintext_hex"]);
                assert_eq!(plain[1..9], now.to_be_bytes());
                assert_eq!((plain[0], &plain[9..]), (expected[0], &expected[9..]));
            }
            let listed =
                replay.admin(SmokeRequest::Participants { search: id.as_str().unwrap().into() }).await;
            assert_eq!(listed.len(), usize::from(taken));
            if !taken {
                let add =
                    SmokeRequest::AddParticipant { id: id.as_str().unwrap().into(), name: String::new() };
                replay.admin(add).await;
            }
        }
    }
    // A confirmation that comes over a neighbour goes to whoever announced the ID.
    let example = confirmations[0]["outputs"]["frame_example"].as_str().unwrap();
    let mut moment = replay.at(1_795_289_908_000).await;
    moment.passes_on(example.as_bytes()).await;
}

/// Typed frames: announcements, everything, signs of life, challenges; and two frames in one.
async fn typed_frames(replay: &mut Replay) {
    let now = 1_795_289_908_000;
    let to = |identity: &[u8; 64]| {
        untyped(&momedo_smoke::offline_copy::release(&momedo_smoke::random::<200>(), identity))
    };
    let one = replay.take("identity_0095a").remove(0);
    let mut moment = replay.at(now).await;
    assert!(passed_on(&mut moment.sender, &mut moment.watcher, &[frame(&one)]).await.is_empty());
    let (nobody, alice) = (to(&[9; 64]), to(&identity(&one["inputs"]["identity_hex"])));
    moment.watcher.send(&nobody).await;
    moment.watcher.send(&alice).await;
    assert_eq!(moment.sender.next().await, alice);

    let many = replay.take("identities_0095b").remove(0);
    let identities = many["inputs"]["identities_hex"].as_array().unwrap();
    moment.sender.announce(&[5; 64]).await;
    assert!(passed_on(&mut moment.sender, &mut moment.watcher, &[frame(&many)]).await.is_empty());
    let (replaced, second) = (to(&[5; 64]), to(&identity(&identities[1])));
    moment.watcher.send(&replaced).await;
    moment.watcher.send(&second).await;
    assert_eq!(moment.sender.next().await, second);

    let everything = replay.take("unsolicited_0096").remove(0);
    assert!(passed_on(&mut moment.sender, &mut moment.watcher, &[frame(&everything)]).await.is_empty());
    let nobody = to(&[9; 64]);
    moment.watcher.send(&nobody).await;
    assert_eq!(moment.sender.next().await, nobody);

    let capabilities = replay.take("capabilities_0014").remove(0);
    replay.at(now).await.swallows(frame(&capabilities)).await;

    let framing = replay.take("framing").remove(0);
    let mut moment = replay.at(now).await;
    moment.sender.send(framing["outputs"]["stream"].as_str().unwrap().as_bytes()).await;
    // The third is cut short; with an end it is nonsense, which is passed on like any unknown frame.
    let passed = passed_on(&mut moment.sender, &mut moment.watcher, &[b"\r\n\r\n\r\n"]).await;
    assert_eq!(passed, [b"POST HTTP/1.1\r\nContent-\r\n\r\n\r\n"]);

    let listener =
        SmokeRequest::AddListener { address: "127.0.0.1:0".into(), is_private: true, max_clients: 9 };
    let listener = replay.admin(listener).await.remove(0);
    for vector in replay.take("authentication") {
        let mut private = SmokeClient::connect_silently(listener["address"].as_str().unwrap()).await;
        let challenge = text(&private.next().await);
        let example = vector["outputs"]["server_frame_0097a"].as_str().unwrap();
        assert_eq!(challenge.len(), example.len());
        assert_eq!(challenge.split("content=").next(), example.split("content=").next());
        // An answer to another challenge, though its signature is right.
        private.send(vector["outputs"]["client_frame_0097b"].as_str().unwrap().as_bytes()).await;
        replay.inside.clock.advance(Duration::from_secs(10));
        assert!(text(&private.any().await.unwrap()).contains("type=0097a&"));
        assert_eq!(replay.admin(SmokeRequest::Status).await[0]["not_authenticated"], 1);
        drop(private);
        while replay.admin(SmokeRequest::Status).await[0]["not_authenticated"] != 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// IDs and ozones of any text can be registered, and show in what the server recognises.
async fn names(replay: &mut Replay) {
    for kind in ["smoke_id", "id_stream"] {
        for vector in replay.take(kind) {
            let id = if kind == "smoke_id" {
                &vector["outputs"]["smoke_id"]
            } else {
                &vector["inputs"]["smoke_id"]
            };
            // The keys that the server itself hashed, or derived for the bundle it opened.
            assert_ne!(replay.participant(id).await["keys"], "none", "{id}");
        }
    }
    let bob = replay.id_of(&"bob".into());
    let bob: SmokeId = bob.as_str().unwrap().parse().unwrap();
    for vector in replay.take("ozone_stream") {
        let name = vector["inputs"]["ozone"].as_str().unwrap();
        if name != OZONE {
            replay.admin(SmokeRequest::AddOzone { name: name.into() }).await;
        }
        let stream = KeyStream::from_bytes(&hex(&vector["outputs"]["stream_hex"]).try_into().unwrap());
        let now = 1_795_289_908_000u64;
        let plain = [&[1][..], &now.to_be_bytes(), bob.as_bytes(), bob.as_bytes()].concat();
        let (answers, _) = replay.at(now).await.exchange(&[&untyped(&stream.seal(&plain))]).await;
        assert_eq!(answers.len(), 1, "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_frame_of_the_original_app_does_what_it_should() {
    let mut replay = Replay::start().await;
    key_bundles(&mut replay).await;
    names(&mut replay).await;
    traffic(&mut replay).await;
    offline_copies(&mut replay).await;
    signed_requests(&mut replay).await;
    typed_frames(&mut replay).await;
    unsigned_requests(&mut replay).await;
    println!("{:?}", replay.replayed);
    // Nothing was left out but what never goes over a line.
    let left_out = ["siphash", "smoke_id_from_text"];
    for vector in replay.document["vectors"].as_array().unwrap() {
        let kind = vector["kind"].as_str().unwrap();
        assert!(replay.replayed.contains_key(kind) || left_out.contains(&kind), "{kind} was not replayed");
    }
}
