//! What is accepted, and what waits for whom: over the API, without a socket, on a clock that the test moves.

use std::time::Duration;

use axum::http::Method;
use momedo_protocol::id::ParticipantId;
use serde_json::{Value, json};

use crate::testing::{Person, Server, word};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn what_is_sent_waits_until_it_is_acknowledged() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    assert!(server.send(&ada, &ben).await.0.is_success());
    let page = server.waiting(&ben).await;
    assert_eq!(page.messages.len(), 1);
    assert_eq!(server.waiting(&ben).await.messages.len(), 1, "reading takes nothing away");
    let body = json!({ "cursor": page.cursor });
    assert!(server.call(&ben, Method::POST, "/ozone/ack", body).await.0.is_success());
    assert!(server.waiting(&ben).await.messages.is_empty());
    assert!(server.waiting(&ada).await.messages.is_empty());
}

#[tokio::test]
async fn the_same_again_is_kept_once_and_something_else_under_its_id_is_refused() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let first = serde_json::to_value(server.envelope(&ben)).unwrap();
    let sent = server.call(&ada, Method::POST, "/messages", first.clone()).await;
    assert!(sent.0.is_success());
    let again = server.call(&ada, Method::POST, "/messages", first.clone()).await;
    assert!(again.0.is_success() && again.1 == sent.1, "{again:?}");
    assert_eq!(server.waiting(&ben).await.messages.len(), 1);
    let mut other = server.envelope(&ben);
    let id = momedo_protocol::envelope::decode(&server.envelope(&ben).envelope.0).unwrap().header.message_id;
    assert_ne!(other.id, id);
    other.id = serde_json::from_value(first["id"].clone()).unwrap();
    let refused = server.call(&ada, Method::POST, "/messages", serde_json::to_value(&other).unwrap()).await;
    assert_eq!(word(&refused), "message-id-mismatch");
    other.envelope.0[2..18].copy_from_slice(&other.id.0);
    let refused = server.call(&ada, Method::POST, "/messages", serde_json::to_value(&other).unwrap()).await;
    assert_eq!(word(&refused), "message-conflict");
    assert_eq!(server.waiting(&ben).await.messages.len(), 1);
}

#[tokio::test]
async fn whoever_is_blocked_is_told_and_nobody_else_is_kept_out() {
    let server = Server::open("").await;
    let [ada, ben, carl] =
        [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await];
    let block = format!("/me/blocks/{}", ada.id);
    assert!(server.call(&ben, Method::PUT, &block, Value::Null).await.0.is_success());
    assert_eq!(word(&server.send(&ada, &ben).await), "blocked");
    assert!(server.send(&carl, &ben).await.0.is_success());
    assert!(server.send(&ben, &ada).await.0.is_success(), "blocking is of one direction");
    assert!(server.call(&ben, Method::DELETE, &block, Value::Null).await.0.is_success());
    assert!(server.send(&ada, &ben).await.0.is_success());
}

#[tokio::test]
async fn mail_waits_for_its_retention_and_not_a_day_less() {
    let server = Server::open("[mail]\nretention_days = 10\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    assert!(server.send(&ada, &ben).await.0.is_success());
    server.advance(9 * DAY);
    server.upkeep().await;
    let ben = server.log_in_again(&ben);
    assert_eq!(server.waiting(&ben).await.messages.len(), 1);
    server.advance(2 * DAY);
    server.upkeep().await;
    let ben = server.log_in_again(&ben);
    let page = server.waiting(&ben).await;
    assert_eq!((page.messages.len(), page.missed), (0, 1), "it is gone, and that is told");
}

#[tokio::test]
async fn a_full_mailbox_and_a_hasty_sender_hear_when_to_come_again() {
    let server = Server::open(
        "[mail]\nmax_queue_bytes = 65536\n[rates]\nmessages = { per_minute = 60, burst = 24 }\n",
    )
    .await;
    let [ada, ben, carl] =
        [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await];
    let mut answers = Vec::new();
    for _ in 0..24 {
        answers.push(server.send(&ada, &ben).await);
    }
    let full: Vec<_> = answers.iter().filter(|answer| !answer.0.is_success()).map(word).collect();
    assert!(!full.is_empty() && full.len() < 22, "{full:?}");
    assert!(full.iter().all(|word| ["ozone-full", "sender-share-full"].contains(word)), "{full:?}");
    // Others have a part of the mailbox left, and the sender has others to write to, in time.
    assert!(server.send(&carl, &ben).await.0.is_success());
    assert_eq!(word(&server.send(&ada, &carl).await), "too-often");
    server.advance(Duration::from_secs(2));
    assert!(server.send(&ada, &carl).await.0.is_success());
    assert_eq!(word(&server.send(&ada, &ben).await), full[0], "time makes no room");
    let page = server.waiting(&ben).await;
    server.call(&ben, Method::POST, "/ozone/ack", json!({ "cursor": page.cursor })).await;
    server.advance(Duration::from_secs(2));
    assert!(server.send(&ada, &ben).await.0.is_success());
}

#[tokio::test]
async fn a_session_without_use_ends() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    server.advance(30 * DAY);
    assert_eq!(word(&server.send(&ada, &ben).await), "not-logged-in");
    let ada = server.log_in_again(&ada);
    assert!(server.send(&ada, &ben).await.0.is_success());
}

#[tokio::test]
async fn an_envelope_is_one_and_no_larger_than_the_server_takes() {
    let server = Server::open("[mail]\nmax_envelope_bytes = 4096\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let send = async |bytes: Vec<u8>| {
        let mut request = server.envelope(&ben);
        request.envelope.0 = bytes;
        server.call(&ada, Method::POST, "/messages", serde_json::to_value(request).unwrap()).await
    };
    let right = server.envelope(&ben).envelope.0;
    let mut other_suite = right.clone();
    other_suite[1] = 77;
    assert_eq!(word(&send(vec![1; 4097]).await), "envelope-too-large");
    assert_eq!(word(&send(right[..right.len() - 1].to_vec()).await), "envelope-malformed");
    assert_eq!(word(&send(Vec::new()).await), "envelope-malformed");
    assert_eq!(word(&send(other_suite).await), "unknown-suite");
    assert!(server.waiting(&ben).await.messages.is_empty());
}

#[tokio::test]
async fn an_id_that_nobody_has_gets_no_mail() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let mut request = server.envelope(&ben);
    request.to = ParticipantId::random();
    let request = serde_json::to_value(request).unwrap();
    assert_eq!(word(&server.call(&ada, Method::POST, "/messages", request).await), "unknown-participant");
}

#[tokio::test]
async fn to_one_device_somebody_writes_of_their_own_alone_and_to_its_own_keys() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let send = async |to: &Person, device| {
        let mut request = server.envelope(to);
        request.device = Some(device);
        server.call(&ada, Method::POST, "/messages", serde_json::to_value(request).unwrap()).await
    };
    assert_eq!(word(&send(&ben, ben.device).await), "not-yours");
    assert_eq!(word(&send(&ada, ben.device).await), "not-yours");
    // A device of [`Server::register`] has the digest of the bundle for its own, one that joined keys of its own.
    assert!(send(&ada, ada.device).await.0.is_success());
    let carl = server.join("Carl", 1).await.person;
    let mut request = server.envelope(&carl);
    request.device = Some(carl.device);
    let request = serde_json::to_value(request).unwrap();
    assert_eq!(word(&server.call(&carl, Method::POST, "/messages", request).await), "stale-bundle");
    let other = Person { bundle: ben.bundle.clone(), token: String::new(), ..ada };
    assert_eq!(word(&send(&other, ada.device).await), "not-yours", "it is named for somebody else");
}

#[tokio::test]
async fn what_waits_of_one_sender_for_everybody_together_has_a_limit() {
    let server = Server::open("[mail]\nmax_sender_bytes = 8192\n").await;
    let [ada, ben, carl] =
        [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await];
    let mut words = Vec::new();
    for to in [&ben, &carl, &ben, &carl, &ben] {
        words.push(word(&server.send(&ada, to).await).to_owned());
    }
    let taken = words.iter().take_while(|word| word.is_empty()).count();
    assert!((2..5).contains(&taken), "{words:?}");
    assert!(words[taken..].iter().all(|word| word == "sender-full"), "{words:?}");
    assert!(server.send(&ben, &carl).await.0.is_success(), "others have a share of their own");
    let page = server.waiting(&ben).await;
    server.call(&ben, Method::POST, "/ozone/ack", json!({ "cursor": page.cursor })).await;
    assert!(server.send(&ada, &carl).await.0.is_success());
}
