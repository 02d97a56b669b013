//! Erasing oneself: what it takes, and what is left. Over the API, without a socket.

use axum::http::Method;
use momedo_protocol::erasure::Erasure;
use momedo_protocol::group::entry::GroupRole;
use momedo_testing::stored_keys::rsa_key;
use serde_json::json;

use super::*;
use crate::testing::group::{Group, add};
use crate::testing::joining::device_id;
use crate::testing::{Answer, Person, Server, word};

async fn erase(server: &Server, by: &Person, erasure: &Jws) -> Answer {
    server.call(by, Method::DELETE, "/me", json!({ "erasure": erasure })).await
}

/// What somebody signs whose device logs in with this stored key.
async fn asked(server: &Server, who: &Person, login: usize) -> Erasure {
    let nonce = server.login_of(login).await.nonce;
    Erasure { id: who.id, device: device_id(login), nonce, server: server.app().fingerprint }
}

#[tokio::test]
async fn a_session_alone_erases_nobody() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await.person, server.join("Ben", 4).await.person);
    let right = asked(&server, &ada, 1).await;
    let other_id = Erasure { id: ben.id, ..asked(&server, &ada, 1).await };
    let mut elsewhere = asked(&server, &ada, 1).await;
    elsewhere.server.0[0] ^= 1;
    let others_nonce = Erasure { nonce: server.login_of(4).await.nonce, ..right.clone() };
    for refused in [
        right.sign(&rsa_key(0)),
        right.sign(&rsa_key(4)),
        other_id.sign(&rsa_key(1)),
        elsewhere.sign(&rsa_key(1)),
        others_nonce.sign(&rsa_key(1)),
        server.login_of(1).await.sign(&rsa_key(1)),
    ] {
        assert_eq!(word(&erase(&server, &ada, &refused).await), "login-refused");
    }
    assert_eq!(word(&erase(&server, &ben, &right.sign(&rsa_key(1))).await), "login-refused");
    assert!(server.send(&ada, &ben).await.0.is_success(), "she is still there");
}

#[tokio::test]
async fn whoever_erases_themselves_is_gone_with_what_they_sent_and_nobody_took_yet() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await.person, server.register("Ben").await);
    assert!(server.send(&ada, &ben).await.0.is_success());
    assert!(server.send(&ben, &ada).await.0.is_success());
    let erasure = asked(&server, &ada, 1).await.sign(&rsa_key(1));
    assert!(erase(&server, &ada, &erasure).await.0.is_success());
    assert_eq!(word(&erase(&server, &ada, &erasure).await), "not-logged-in");
    assert_eq!(word(&server.log_in(1).await), "login-refused");
    assert_eq!(word(&server.send(&ben, &ada).await), "unknown-participant");
    let page = server.waiting(&ben).await;
    assert_eq!((page.messages.len(), page.missed), (0, 1), "that it came is told");
    let lines = audit::list(server.app(), &machine(), "Ada".into(), Vec::new(), None, 10).await.unwrap();
    assert!(lines.is_empty(), "{lines:?}");
}

#[tokio::test]
async fn whoever_is_erased_gets_nothing_of_their_groups_any_more_and_the_group_goes_on() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await.person, server.register("Ben").await);
    let mut group = Group::with_key(&server, &ben, &[&ada]).await;
    let erasure = asked(&server, &ada, 1).await.sign(&rsa_key(1));
    assert!(erase(&server, &ada, &erasure).await.0.is_success());
    assert!(group.post(&ben, &group.message(&ben, &[])).await.0.is_success());
    let carl = server.register("Carl").await;
    group.must(&ben, add(&[&carl])).await;
    assert_eq!(group.state.members[&ada.id].role, GroupRole::Member, "only members write their chain");
    assert!(group.post(&ben, &group.message(&ben, &[])).await.0.is_success());
    assert_eq!(server.waiting(&carl).await.messages.len(), 1);
}

fn machine() -> RecentlyConfirmed {
    RecentlyConfirmed::at_the_machine()
}
