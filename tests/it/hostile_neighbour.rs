//! A neighbour that does not keep to the rules: what it brings is refused, and nobody else notices.

use std::collections::BTreeSet;
use std::time::Duration;

use momedo_client::groups::membership::Membership;
use momedo_protocol::api::SubmitRequest;
use momedo_protocol::api::blobs::BlobRequest;
use momedo_protocol::api::groups::GroupMessageRequest;
use momedo_protocol::blob::{BlobId, MAX_MESSAGE_BLOBS};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::entry::{
    Access, Action, Encryption, GroupEntryPayload, GroupRole, NewMember, Posting, Settings,
};
use momedo_protocol::group::envelope::seal_message;
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::link::calls::{CallHeader, Refusal, Request, Response};
use momedo_protocol::link::documents::{BatchBlob, BatchHeader, Outcome};
use momedo_protocol::link::{Find, Found, Frame, MAX_BATCH_ITEMS, MAX_HOPS, NoWay, PairingLink, Standing};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_testing::envelopes::opaque;
use rusqlite::Connection;
use tokio::io::AsyncWriteExt;

use crate::across::count;
use crate::harness::{PATIENCE, Person, Server, refused, request, rsa_key};
use crate::hostile::{Hostile, next_frame};
use crate::neighbours::{id, invite, neighbour, pair, state, until, until_async};

/// A server with two participants.
async fn server_with_two() -> (Server, Person, Person) {
    let server = Server::start();
    let (ben, ann) = (server.register(0).await, server.register(1).await);
    (server, ben, ann)
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_who_live_elsewhere_are_refused_and_repetitions_arrive_once() {
    let (server, mut ben, ann) = server_with_two().await;
    let mut hostile = Hostile::paired(&server).await;
    let home = hostile.server;
    let stranger = ParticipantId::random();
    let forged = hostile.message(ann.id(), &ben.bundle);
    let honest = hostile.message(stranger, &ben.bundle);
    let nobody = (stranger, ParticipantId::random(), honest.2, honest.3.clone());
    let garbage = (stranger, ben.id(), MessageId([1; 16]), vec![1; 700]);
    let batch = hostile.batch(home, vec![forged, honest, nobody, garbage]);
    let expected = [Outcome::WrongHome, Outcome::Delivered, Outcome::UnknownParticipant, Outcome::Malformed];
    for _ in 0..3 {
        assert_eq!(hostile.outcomes(batch.clone()).await, expected);
    }
    let waiting = ben.waiting().await.messages;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].from, stranger);
    // The same ID with other bytes is another message.
    let (from, to, id, _) = (stranger, ben.id(), waiting[0].id, ());
    let other = opaque(&ben.bundle, id, 1024);
    let batch = hostile.batch(home, vec![(from, to, id, other)]);
    assert_eq!(hostile.outcomes(batch).await, [Outcome::Conflict]);
    assert_eq!(ben.waiting().await.messages.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_with_wrong_signatures_and_frames_that_make_no_sense_change_nothing() {
    let (server, mut ben, _ann) = server_with_two().await;
    let mut hostile = Hostile::paired(&server).await;
    let stranger = ParticipantId::random();
    let right = hostile.batch(hostile.server, vec![hostile.message(stranger, &ben.bundle)]);
    let mut swapped = right.clone();
    swapped.parts = vec![hostile.message(stranger, &ben.bundle).3];
    let mut other_key = right.clone();
    other_key.identity_key = rsa_key(10).public().spki().to_vec();
    let mut missing = right.clone();
    missing.parts.clear();
    for wrong in [swapped, other_key, missing] {
        hostile.send(&Frame::Batch(Box::new(wrong))).await;
        let answer = hostile.next().await;
        assert!(matches!(answer, Some(Frame::Undeliverable { reason: NoWay::Malformed, .. })), "{answer:?}");
    }
    // Answers that nobody asked for, receipts for nothing.
    let batch = right.id();
    hostile.send(&Frame::Taken { batch }).await;
    hostile.send(&Frame::Busy { batch, retry_after: u32::MAX }).await;
    hostile.send(&Frame::Found(Box::new(Found { query: 7, keys: None, distance: 200 }))).await;
    assert_eq!(hostile.outcomes(right).await, [Outcome::Delivered]);
    assert_eq!(ben.waiting().await.messages.len(), 1);
    // What cannot be a frame ends the link, and nothing else.
    for nonsense in [
        // Four gigabytes.
        vec![5, 255, 255, 255, 255],
        // An unknown kind.
        vec![99, 0, 0, 0, 0],
        // JSON that is none.
        vec![6, 0, 0, 0, 1, b'{'],
        // A batch that ends in the middle of its header.
        vec![5, 0, 0, 0, 6, 4, 0, 0, 0, 9, 1],
    ] {
        hostile.stream.write_all(&nonsense).await.unwrap();
        hostile.stream.flush().await.unwrap();
        assert!(hostile.next().await.is_none(), "{nonsense:?}");
        hostile = Hostile::dial(&server).await;
        hostile.greet().await;
        hostile.send(&Frame::Standing(Standing::Confirmed)).await;
        let own = hostile.id().to_string();
        until("it is connected", || state(&server, &own) == "connected");
    }
    // A frame that never ends.
    hostile.stream.write_all(&[5, 0, 0, 10, 0, 1, 2, 3]).await.unwrap();
    drop(hostile);
    assert_eq!(ben.waiting().await.messages.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_speaks_for_no_id_that_is_not_its_own() {
    let (server, mut ben, ann) = server_with_two().await;
    let home = Server::start();
    pair(&home, &server);
    for one in [&home, &server] {
        neighbour(one, &["allow", "--all"]);
    }
    let carl = home.register(2).await;
    let mut hostile = Hostile::paired(&server).await;
    let own = hostile.id();
    // Nobody asks for an ID of this server.
    ben.session.keys(ann.id(), 0).await.unwrap();
    let asking = async {
        // Keys whose owner does not name that home, or whose signature is somebody else's, are no answer.
        let stranger = ParticipantId::random();
        assert_eq!(refused(ben.session.keys(stranger, 0).await), "unknown-participant");
        // Two servers claim Carl: nothing is sent until an admin decides.
        assert_eq!(refused(ben.session.keys(carl.id(), 0).await), "disputed-participant");
        assert_eq!(refused(ben.submit(&carl.bundle, 1024).await), "disputed-participant");
    };
    let like = ann.bundle.clone();
    let answering = async {
        let mut log = Vec::new();
        while let Some(frame) = hostile.next().await {
            match frame {
                Frame::Find(Find { query, id, .. }) => {
                    assert_ne!(id, ann.id());
                    let homes = if id == carl.id() { vec![own] } else { like.payload.homes.clone() };
                    let keys = hostile.claim(id, &like, homes);
                    // It even enters into its log what it claims.
                    log.push(hostile.log_entry(&keys));
                    let found = Found { query, keys: Some(keys), distance: 0 };
                    hostile.send(&Frame::Found(Box::new(found))).await;
                }
                Frame::FetchKeyLog(question) => {
                    let part = hostile.log_part(question, &log);
                    hostile.send(&Frame::KeyLogPart(Box::new(part))).await;
                }
                _ => {}
            }
        }
    };
    tokio::select! {
        () = asking => {}
        () = answering => panic!("the link ended"),
    }
    let overview = server.json(&["admin", "overview", "--data-dir", "data", "--json"]).remove(0);
    let tasks = overview["tasks"].as_array().unwrap();
    let told =
        tasks.iter().any(|task| task["what"] == "disputed" && task["participant"] == carl.id().to_string());
    assert!(told, "{tasks:?}");
    let carl_id = carl.id().to_string();
    neighbour(&server, &["settle", &carl_id, &id(&home)]);
    neighbour(&server, &["block", &own.to_string()]);
    let keys = ben.session.keys(carl.id(), 0).await.unwrap();
    assert_eq!(KeyBundle::verify(&keys.bundle).unwrap().digest, carl.bundle.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_questions_are_not_answered_and_hold_nobody_up() {
    let (server, mut ben, mut ann) = server_with_two().await;
    let mut hostile = Hostile::paired(&server).await;
    const QUESTIONS: u64 = 1500;
    let (mut reading, mut writing) = tokio::io::split(hostile.stream);
    let ben_id = ben.id();
    let asking = tokio::spawn(async move {
        for query in 0..QUESTIONS {
            let find = Frame::Find(Find { query, id: ben_id, hops: MAX_HOPS });
            writing.write_all(&find.encode()).await.unwrap();
        }
        writing.flush().await.unwrap();
        writing
    });
    // Meanwhile everybody else is served.
    let bundle = ben.bundle.clone();
    for _ in 0..5 {
        ann.submit(&bundle, 1024).await.unwrap();
    }
    assert_eq!(ben.waiting().await.messages.len(), 5);
    let (mut answered, mut with_keys) = (0, 0);
    while answered < QUESTIONS {
        if let Frame::Found(found) = next_frame(&mut reading).await.expect("the link goes on") {
            answered += 1;
            with_keys += u64::from(found.keys.is_some());
        }
    }
    drop(asking.await.unwrap());
    assert!((240..QUESTIONS / 2).contains(&with_keys), "{with_keys} of {QUESTIONS} were answered");
    hostile = Hostile::dial(&server).await;
    hostile.greet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_refused_and_the_mail_of_others_arrives() {
    let (server, mut ben, mut ann) = server_with_two().await;
    let other = Server::start();
    pair(&server, &other);
    neighbour(&other, &["allow", "--all"]);
    let mut carl = other.register(2).await;
    let mut hostile = Hostile::paired(&server).await;
    neighbour(&server, &["allow", "--all"]);
    neighbour(&server, &["allow", &hostile.id().to_string(), "--per-minute", "100"]);
    until_async("Carl can write", async || carl.session.keys(ben.id(), 0).await.is_ok()).await;
    let stranger = ParticipantId::random();
    let (mut delivered, mut refused_batches) = (0, 0);
    let bundle = ben.bundle.clone();
    for round in 0..50 {
        let messages = (0..20).map(|_| hostile.message(stranger, &bundle)).collect();
        let batch = hostile.batch(hostile.server, messages);
        hostile.send(&Frame::Batch(Box::new(batch))).await;
        if round % 10 == 0 {
            ann.submit(&bundle, 1024).await.unwrap();
            carl.submit(&bundle, 1024).await.unwrap();
        }
    }
    for _ in 0..50 {
        match hostile.next().await.unwrap() {
            Frame::Receipt(_) => delivered += 20,
            Frame::Busy { retry_after, .. } => {
                assert!(retry_after > 0);
                refused_batches += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // A hundred at once, and what the minute gives while the test runs.
    assert!((100..300).contains(&delivered), "{delivered} of 1000 were taken");
    assert!(refused_batches > 30);
    let mut from_others = 0;
    let mut after = None;
    until_async("the mail of others arrives", async || {
        let page = ben.session.ozone(after, 500, Duration::from_secs(1)).await.unwrap();
        from_others += page.messages.iter().filter(|message| message.from != stranger).count();
        after = page.messages.last().map(|message| message.cursor).or(after);
        from_others == 10
    })
    .await;
}

/// The contract counts envelopes, however few bytes they have together, and lets any batch pass some time.
#[tokio::test(flavor = "multi_thread")]
async fn envelopes_that_travel_once_for_many_count_as_many() {
    let (server, ben, _ann) = server_with_two().await;
    let mut hostile = Hostile::paired(&server).await;
    neighbour(&server, &["allow", &hostile.id().to_string(), "--per-minute", "8"]);
    for _ in 0..8 {
        let (from, _, id, bytes) = hostile.message(ParticipantId::random(), &ben.bundle);
        let shared = |_| (from, ParticipantId::random(), id, bytes.clone());
        let batch = hostile.batch(hostile.server, (0..MAX_BATCH_ITEMS).map(shared).collect());
        assert_eq!(batch.parts.len(), 1);
        hostile.send(&Frame::Batch(Box::new(batch))).await;
    }
    let mut taken = 0;
    for _ in 0..8 {
        match hostile.next().await.unwrap() {
            Frame::Receipt(_) => taken += 1,
            // Not before all of the batch may pass.
            Frame::Busy { retry_after, .. } => assert!(retry_after > 120, "{retry_after}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, 1);
}

/// Devices are parked when they were not seen for long; the one that was seen may be revoked afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_only_parked_devices_has_no_room_for_anybody() {
    let (mut server, mut ben, mut ann) = server_with_two().await;
    server.kill();
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    let parked = "UPDATE devices SET parked = 1 WHERE participant = ?1";
    assert_eq!(database.execute(parked, [ben.id().number()]).unwrap(), 1);
    drop(database);
    server.launch();
    ann.log_in(&server).await;
    let mut hostile = Hostile::paired(&server).await;
    let message = hostile.message(ParticipantId::random(), &ben.bundle);
    let batch = hostile.batch(hostile.server, vec![message]);
    let submission = request(&ben.bundle, 1024);
    assert_eq!(refused(ann.session.submit(&submission).await), "ozone-full");
    assert_eq!(hostile.outcomes(batch.clone()).await, [Outcome::Later]);
    // Both may come again when a device is back.
    ben.log_in(&server).await;
    ann.session.submit(&submission).await.unwrap();
    assert_eq!(hostile.outcomes(batch).await, [Outcome::Delivered]);
    assert_eq!(ben.waiting().await.messages.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_never_answers_keeps_nobody_elses_attachments_away() {
    let (server, mut ben, _ann) = server_with_two().await;
    let other = Server::start();
    pair(&server, &other);
    for one in [&server, &other] {
        neighbour(one, &["allow", "--all"]);
    }
    let mut carl = other.register(2).await;
    let mut hostile = Hostile::paired(&server).await;
    until_async("Carl can write", async || carl.session.keys(ben.id(), 0).await.is_ok()).await;
    // As many as a message may have, which it is asked for in vain.
    let blobs: Vec<_> =
        (0..MAX_MESSAGE_BLOBS).map(|_| BatchBlob { id: BlobId::random(), size: 1000 }).collect();
    let message = hostile.message(ParticipantId::random(), &ben.bundle);
    let batch = hostile.batch_with_blobs(hostile.server, vec![message], &blobs);
    assert_eq!(hostile.outcomes(batch).await, [Outcome::Delivered]);
    let blob = BlobId::random();
    carl.session.announce_blob(&BlobRequest { id: blob, size: 100 }).await.unwrap();
    carl.session.append_bytes(blob, 0, &[7; 100]).await.unwrap();
    let submission = SubmitRequest { blobs: vec![blob], ..request(&ben.bundle, 1024) };
    carl.session.submit(&submission).await.unwrap();
    // Carl's server keeps it until this one has it.
    until("it is fetched", || count(&other, "outbox") == 0 && count(&other, "blob_homes") == 0);
    until("nothing else is", || count(&server, "blob_sources") == blobs.len() as u64);
    assert_eq!(ben.waiting().await.messages.len(), 2);
}

/// The last one is read from the outbox, and waits for one of the others to be answered.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_comes_again_over_the_next_link() {
    const UNANSWERED: usize = 16;
    let (server, mut ben, ann) = server_with_two().await;
    let mut hostile = Hostile::paired(&server).await;
    let keys = hostile.claim(ParticipantId::random(), &ann.bundle, vec![hostile.id()]);
    let to = KeyBundle::verify(&keys.bundle).unwrap();
    let log = [hostile.log_entry(&keys)];
    tokio::select! {
        asked = ben.session.keys(to.payload.id, 0) => drop(asked.unwrap()),
        () = hostile.tell(&keys, &log) => {}
    }
    let mut sent = BTreeSet::new();
    for _ in 0..UNANSWERED {
        sent.insert(ben.submit(&to, 1024).await.unwrap().id);
        while !matches!(hostile.next().await, Some(Frame::Batch(_))) {}
    }
    sent.insert(ben.submit(&to, 1024).await.unwrap().id);
    // The server has time to read it.
    server.status();
    let mut newer = Hostile::dial(&server).await;
    newer.greet().await;
    newer.send(&Frame::Standing(Standing::Confirmed)).await;
    let mut again = BTreeSet::new();
    let coming = async {
        while again != sent {
            if let Some(Frame::Batch(batch)) = newer.next().await {
                let key = RsaPublicKey::from_spki(&batch.identity_key).unwrap();
                let header = BatchHeader::verify(&batch.signed_header().unwrap(), &key).unwrap();
                again.extend(header.items.iter().map(|item| item.id));
            }
        }
    };
    tokio::time::timeout(PATIENCE, coming).await.expect("everything comes again, and not in ten minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_room_and_no_answers() {
    let (server, ben, _ann) = server_with_two().await;
    // A batch before a word, and one before anybody confirmed.
    let mut stranger = Hostile::dial(&server).await;
    stranger.stream.write_all(&[5, 0, 16, 0, 0]).await.unwrap();
    assert!(stranger.next().await.is_none());
    let link: PairingLink = invite(&server).parse().unwrap();
    let mut stranger = Hostile::dial(&server).await;
    stranger.ask(link.code).await;
    stranger.send(&Frame::Standing(Standing::Confirmed)).await;
    stranger.send(&Frame::Find(Find { query: 1, id: ben.id(), hops: MAX_HOPS })).await;
    let answer = stranger.next().await;
    assert!(matches!(&answer, Some(Frame::Found(found)) if found.keys.is_none()), "{answer:?}");
    stranger.stream.write_all(&[5, 0, 16, 0, 0]).await.unwrap();
    assert!(stranger.next().await.is_none());
    assert_eq!(state(&server, &stranger.id().to_string()), "waiting-for-us");
}

/// What a home asks in the name of people who do not live there is refused, and so is what it did not sign.
#[tokio::test(flavor = "multi_thread")]
async fn calls_in_the_name_of_others_are_refused() {
    let server = Server::start();
    let ann = server.register_profile(0, "ann").await;
    let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Open };
    let mut moderator = Membership::begin(&ann, "en", &|_| {}).await.unwrap();
    let state = moderator.create(settings, Encryption::Symmetric).await.unwrap();
    let (group, from) = (state.id(), ann.id().unwrap());
    let mut session = ann.log_in("en").await.unwrap();
    let blob = BlobId::random();
    session.announce_blob(&BlobRequest { id: blob, size: 100 }).await.unwrap();
    session.append_bytes(blob, 0, &[7; 100]).await.unwrap();
    let entry = session.group_entries(group, 0, None).await.unwrap().entries.remove(0);
    let mut hostile = Hostile::paired(&server).await;
    let stranger = ParticipantId::random();
    let unknown_group = [
        Request::GroupEntries { from, group, after: 0, proof: None },
        // An open group is open to its home's people.
        Request::GroupEntries { from: stranger, group, after: 0, proof: None },
        Request::GroupPost {
            from,
            group,
            message: Box::new(GroupMessageRequest {
                id: MessageId([2; 16]),
                number: 1,
                envelope: Base64Bytes(group_envelope(&state)),
                slots: Vec::new(),
                blobs: Vec::new(),
            }),
            sizes: Vec::new(),
        },
    ];
    for request in unknown_group {
        let call = hostile.call(&request);
        let answer = hostile.answer(call).await;
        assert!(matches!(answer, Some(Response::Refused(Refusal::UnknownGroup))), "{request:?}: {answer:?}");
    }
    let append = hostile.call(&Request::GroupAppend { from, group, entry });
    assert!(matches!(hostile.answer(append).await, Some(Response::Refused(_))));
    for id in [blob, BlobId::random()] {
        let call = hostile.call(&Request::Blob { id, offset: 0 });
        assert!(matches!(hostile.answer(call).await, Some(Response::Refused(Refusal::UnknownBlob))));
    }
    let taken = hostile.call(&Request::BlobTaken { id: blob });
    assert!(matches!(hostile.answer(taken).await, Some(Response::Done)));
    assert_eq!(session.blob_upload(blob).await.unwrap().offset, 100, "it is kept for its owner");
    // Changed on the way, signed for somebody else, and by somebody else.
    let honest = hostile.call(&Request::Blob { id: blob, offset: 0 });
    let mut changed = honest.clone();
    changed.signed.body.push(b' ');
    let mut foreign = honest.clone();
    foreign.signed.identity_key = rsa_key(10).public().spki().to_vec();
    for call in [changed, foreign] {
        assert!(hostile.answer(call).await.is_none());
    }
    // What cannot be read is said, and the link goes on.
    let mut unreadable = honest;
    let body = br#"{"call":"dance"}"#.to_vec();
    let header = CallHeader {
        origin: hostile.id(),
        home: hostile.server,
        nonce: Base64Bytes(vec![1; 16]),
        body: Sha512Digest::of(&body),
    };
    unreadable.signed.header = serde_json::to_vec(&header.sign(&hostile.identity)).unwrap();
    unreadable.signed.body = body;
    let answer = hostile.answer(unreadable).await;
    assert!(matches!(answer, Some(Response::Refused(Refusal::Malformed { .. }))), "{answer:?}");
}

/// Somebody of another server who does not belong to a group has this server ask nobody about anybody, and finds out
/// nothing of whom its people block.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_to_a_group_has_nobody_asked_and_a_home_learns_no_blocks_of_this_servers_own_people() {
    let server = Server::start();
    let (ann, ben) = (server.register_profile(0, "ann").await, server.register_profile(1, "ben").await);
    let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
    let mut moderator = Membership::begin(&ann, "en", &|_| {}).await.unwrap();
    let state = moderator.create(settings, Encryption::Symmetric).await.unwrap();
    ben.log_in("en").await.unwrap().block(ann.id().unwrap()).await.unwrap();
    let mut hostile = Hostile::paired(&server).await;
    let mut other = Hostile::paired_as(&server, 10).await;
    let key = rsa_key(1);
    let newcomer = || NewMember {
        id: ParticipantId::random(),
        fingerprint: key.public().fingerprint(),
        version: 1,
        home: Some(hostile.id()),
        role: GroupRole::Member,
    };
    let stranger = ParticipantId::random();
    let entry = GroupEntryPayload {
        group: Some(state.group),
        number: 2,
        previous: Some(state.head),
        author: stranger,
        key: Base64Bytes(key.public().spki().to_vec()),
        made_at: momedo_client::now(),
        action: Action::Add { members: (0..3).map(|_| newcomer()).collect() },
    };
    let request = Request::GroupAppend { from: stranger, group: state.id(), entry: entry.sign(&key) };
    let call = hostile.call(&request);
    let answer = hostile.answer(call).await;
    assert!(matches!(answer, Some(Response::Refused(Refusal::UnknownGroup))), "{answer:?}");
    // The first that another neighbour is asked about is whom somebody here asks for.
    let wanted = ParticipantId::random();
    let (ann, mut session) = (ann.id().unwrap(), ann.log_in("en").await.unwrap());
    let asking = tokio::spawn(async move { session.keys(wanted, 0).await.is_err() });
    let asked = loop {
        if let Some(Frame::Find(find)) = other.next().await {
            break find.id;
        }
    };
    assert_eq!(asked, wanted);
    assert!(asking.await.unwrap(), "nobody has the ID");
    for member in [ben.id().unwrap(), ParticipantId::random()] {
        let call = hostile.call(&Request::GroupAdd { from: ann, members: vec![member] });
        assert!(
            matches!(hostile.answer(call).await, Some(Response::Done)),
            "{member} says something of a block"
        );
    }
}

/// A message to a group as it looks from outside.
pub(crate) fn group_envelope(state: &GroupState) -> Vec<u8> {
    let key = GroupKey::random();
    let from = ParticipantId::random();
    seal_message(state.group, 1, &key, from, MessageId([2; 16]), b"{}").unwrap()
}
