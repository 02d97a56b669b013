//! Submitting, fetching and acknowledging: what is promised, and what bad input gets.

use std::time::Duration;

use momedo_protocol::api::SubmitRequest;
use momedo_protocol::cursor::{Cursor, StoreEpoch};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::envelope;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;

use crate::harness::{Server, refused, request};
use momedo_testing::envelopes::opaque;

#[tokio::test]
async fn the_same_bytes_get_the_same_answer_and_other_bytes_are_a_conflict() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let first = request(&ben.bundle, 512);
    for _ in 0..3 {
        assert_eq!(ada.session.submit(&first).await.unwrap().id, first.id);
    }
    let other = SubmitRequest { envelope: Base64Bytes(opaque(&ben.bundle, first.id, 512)), ..first.clone() };
    assert_eq!(refused(ada.session.submit(&other).await), "message-conflict");
    let page = ben.waiting().await;
    assert_eq!(page.messages.len(), 1);
    assert_eq!(page.messages[0].envelope, first.envelope);
    // The memory outlives the envelope.
    ben.session.acknowledge(page.cursor).await.unwrap();
    ada.session.submit(&first).await.unwrap();
    assert!(ben.waiting().await.messages.is_empty());
    assert_eq!(refused(ada.session.submit(&other).await), "message-conflict");
}

#[tokio::test]
async fn an_unknown_recipient_is_named() {
    let server = Server::start();
    let mut ada = server.register(0).await;
    let mut to_nobody = request(&ada.bundle, 512);
    to_nobody.to = ParticipantId::random();
    assert_eq!(refused(ada.session.submit(&to_nobody).await), "unknown-participant");
}

#[tokio::test]
async fn envelopes_that_are_none_are_refused() {
    let server = Server::start();
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    let good = request(&ben.bundle, 512);
    let mut with = async |change: &dyn Fn(&mut SubmitRequest)| {
        let mut bad = good.clone();
        change(&mut bad);
        refused(ada.session.submit(&bad).await)
    };
    assert_eq!(with(&|bad| bad.envelope.0.truncate(100)).await, "envelope-malformed");
    assert_eq!(with(&|bad| bad.envelope.0.clear()).await, "envelope-malformed");
    assert_eq!(with(&|bad| bad.envelope.0[0] = 9).await, "envelope-malformed");
    assert_eq!(with(&|bad| bad.envelope.0[1] = 9).await, "unknown-suite");
    assert_eq!(with(&|bad| bad.id = MessageId([1; 16])).await, "message-id-mismatch");
    // Version and digest of the recipient's bundle: another one is stale, or was never there.
    assert_eq!(with(&|bad| bad.envelope.0[21] ^= 1).await, "stale-bundle");
    assert_eq!(with(&|bad| bad.envelope.0[30] ^= 1).await, "stale-bundle");
    assert_eq!(with(&|bad| bad.envelope.0.resize(70_000, 0)).await, "envelope-too-large");
    assert_eq!(with(&|bad| bad.device = Some(ben.session.device)).await, "not-yours");
}

#[tokio::test]
async fn the_largest_envelope_passes_and_one_byte_more_does_not() {
    let server = Server::start_with("[mail]\nmax_envelope_bytes = 5000\n");
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    let largest = request(&ben.bundle, 2048);
    assert!(largest.envelope.0.len() < 5000);
    ada.session.submit(&largest).await.unwrap();
    assert_eq!(refused(ada.submit(&ben.bundle, 4096).await), "envelope-too-large");
}

#[tokio::test]
async fn a_full_ozone_refuses_the_envelope_and_keeps_the_old_ones() {
    // One envelope has 4,096 bytes and a header of 1.5 KiB.
    let server = Server::start_with("[mail]\nmax_queue_bytes = 25000\nsender_share_percent = 50\n");
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let mut carl = server.register(2).await;
    for _ in 0..2 {
        ada.submit(&ben.bundle, 4096).await.unwrap();
    }
    assert_eq!(refused(ada.submit(&ben.bundle, 4096).await), "sender-share-full");
    for _ in 0..2 {
        carl.submit(&ben.bundle, 4096).await.unwrap();
    }
    assert_eq!(refused(carl.submit(&ben.bundle, 4096).await), "ozone-full");
    let page = ben.waiting().await;
    assert_eq!(page.messages.len(), 4);
    // What is fetched makes room.
    ben.session.acknowledge(page.messages[0].cursor).await.unwrap();
    ada.submit(&ben.bundle, 4096).await.unwrap();
    // The counting survives a restart of the server.
    let mut server = server;
    assert_eq!(server.terminate().0.code(), Some(0));
    server.launch();
    ada.log_in(&server).await;
    assert_eq!(refused(ada.submit(&ben.bundle, 4096).await), "ozone-full");
}

#[tokio::test]
async fn an_outsider_can_neither_read_nor_acknowledge_anothers_ozone() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let mut eve = server.register(2).await;
    ada.submit(&ben.bundle, 512).await.unwrap();
    assert!(eve.waiting().await.messages.is_empty());
    let place = ben.waiting().await.cursor;
    assert_eq!(refused(eve.session.acknowledge(place).await), "not-handed-out");
    assert_eq!(ben.waiting().await.messages.len(), 1);
}

#[tokio::test]
async fn only_what_was_handed_out_can_be_acknowledged() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    for _ in 0..3 {
        ada.submit(&ben.bundle, 512).await.unwrap();
    }
    let page = ben.session.ozone(None, 2, Duration::ZERO).await.unwrap();
    assert_eq!((page.messages.len(), page.cursor.sequence), (2, 2));
    let beyond = Cursor { sequence: 3, ..page.cursor };
    assert_eq!(refused(ben.session.acknowledge(beyond).await), "not-handed-out");
    let elsewhere = Cursor { epoch: StoreEpoch::random(), ..page.cursor };
    assert_eq!(refused(ben.session.acknowledge(elsewhere).await), "other-epoch");
    ben.session.acknowledge(page.cursor).await.unwrap();
    ben.session.acknowledge(page.cursor).await.unwrap();
    let rest = ben.session.ozone(Some(page.cursor), 10, Duration::ZERO).await.unwrap();
    assert_eq!(rest.messages.iter().map(|m| m.cursor.sequence).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn a_cursor_of_another_life_of_the_store_starts_at_the_beginning() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    ada.submit(&ben.bundle, 512).await.unwrap();
    let elsewhere = Cursor { epoch: StoreEpoch::random(), sequence: 77 };
    let page = ben.session.ozone(Some(elsewhere), 10, Duration::ZERO).await.unwrap();
    assert_eq!(page.messages.len(), 1);
}

#[tokio::test]
async fn sequence_numbers_are_never_given_twice_even_after_the_queue_was_emptied() {
    let mut server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let mut last = 0;
    for _ in 0..3 {
        ada.submit(&ben.bundle, 512).await.unwrap();
        let page = ben.waiting().await;
        assert!(page.cursor.sequence > last);
        last = page.cursor.sequence;
        ben.session.acknowledge(page.cursor).await.unwrap();
        server.kill();
        server.launch();
        ada.log_in(&server).await;
        ben.log_in(&server).await;
    }
}

#[tokio::test]
async fn a_long_poll_is_answered_when_something_arrives() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let to = ben.bundle.clone();
    let polling = tokio::spawn(async move {
        let page = ben.session.ozone(None, 10, Duration::from_secs(50)).await.unwrap();
        (page, ben)
    });
    // However the two race, the poll must be answered by this message and long before its time is up.
    ada.submit(&to, 512).await.unwrap();
    let (page, mut ben) = tokio::time::timeout(Duration::from_secs(20), polling).await.unwrap().unwrap();
    assert_eq!(page.messages.len(), 1);
    ben.session.acknowledge(page.cursor).await.unwrap();
    let empty = ben.session.ozone(None, 10, Duration::from_secs(1)).await.unwrap();
    assert!(empty.messages.is_empty());
}

#[tokio::test]
async fn an_envelope_names_its_suite_and_id_as_sent() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let sent = request(&ben.bundle, 512);
    ada.session.submit(&sent).await.unwrap();
    let got = ben.waiting().await.messages.remove(0);
    assert_eq!((got.from, got.id), (ada.id(), sent.id));
    let decoded = envelope::decode(&got.envelope.0).unwrap();
    assert_eq!(decoded.header.message_id, sent.id);
}

#[tokio::test]
async fn messages_too_often_are_told_when_to_come_back() {
    let server = Server::start_with("[rates]\nmessages = { per_minute = 6, burst = 2 }\n");
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    for _ in 0..2 {
        ada.submit(&ben.bundle, 512).await.unwrap();
    }
    let error = ada.submit(&ben.bundle, 512).await.unwrap_err();
    let momedo_client::ClientError::Refused(problem) = error else { panic!("{error}") };
    assert_eq!((problem.name(), problem.status), ("too-often", 429));
    assert!((1..=10).contains(&problem.retry_after.unwrap()));
}
