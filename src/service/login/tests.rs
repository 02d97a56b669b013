//! What a log-in takes, and how long a session lasts: over the API, without a socket.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use momedo_protocol::login::Login;
use momedo_testing::stored_keys::rsa_key;
use serde_json::Value;

use crate::domain::limits::{MAX_SESSIONS_PER_DEVICE, NONCE, SESSION};
use crate::service::people::{self, Who};
use crate::service::permission::RecentlyConfirmed;
use crate::testing::joining::device_id;
use crate::testing::{Answer, Server, word};

async fn look(server: &Server, token: &str) -> Answer {
    server.call_with(Some(token), Method::GET, "/ozone", Value::Null).await
}

fn token(session: &Answer) -> String {
    session.1["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_nonce_is_good_for_one_log_in() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let signed = server.login_of(1).await.sign(&rsa_key(1));
    let session = server.log_in_with(&signed).await;
    assert_eq!((session.0, &session.1["id"]), (StatusCode::CREATED, &serde_json::json!(ada.person.id)));
    assert_eq!(word(&server.log_in_with(&signed).await), "login-refused");
    assert_eq!(look(&server, &token(&session)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_nonce_is_good_for_a_minute() {
    let server = Server::open("").await;
    server.join("Ada", 1).await;
    let in_time = server.login_of(1).await.sign(&rsa_key(1));
    server.advance(NONCE);
    assert_eq!(server.log_in_with(&in_time).await.0, StatusCode::CREATED);
    let late = server.login_of(1).await.sign(&rsa_key(1));
    server.advance(NONCE + Duration::from_millis(1));
    assert_eq!(word(&server.log_in_with(&late).await), "login-refused");
}

#[tokio::test]
async fn a_log_in_names_its_device_and_this_server_and_is_signed_by_that_device() {
    let server = Server::open("").await;
    server.join("Ada", 1).await;
    server.join("Ben", 4).await;
    let login = server.login_of(1).await;
    let of_ben = Login { device: device_id(4), ..login.clone() };
    let mut elsewhere = login.clone();
    elsewhere.server.0[0] ^= 1;
    let mut made_up = login.clone();
    made_up.nonce.0[20] ^= 1;
    for signed in [
        of_ben.sign(&rsa_key(4)),
        elsewhere.sign(&rsa_key(1)),
        made_up.sign(&rsa_key(1)),
        login.sign(&rsa_key(4)),
    ] {
        assert_eq!(word(&server.log_in_with(&signed).await), "login-refused");
    }
    // Whoever signs for somebody else does not use their nonce up.
    assert_eq!(server.log_in_with(&login.sign(&rsa_key(1))).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn nobody_can_ask_which_devices_there_are() {
    let server = Server::open("").await;
    server.join("Ada", 1).await;
    let (known, unknown) = (server.login_of(1).await, server.login_of(4).await);
    assert_eq!(known.nonce.0.len(), unknown.nonce.0.len());
    assert_eq!(word(&server.log_in_with(&unknown.sign(&rsa_key(4))).await), "login-refused");
    assert_eq!(word(&server.log_in_with(&known.sign(&rsa_key(4))).await), "login-refused");
}

#[tokio::test]
async fn whoever_is_disabled_hears_it_from_a_right_signature_alone() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let (admin, who) = (RecentlyConfirmed::at_the_machine(), Who::Participant(ada.person.id));
    people::set_enabled(server.app(), &admin, who, false).await.unwrap();
    assert_eq!(word(&look(&server, &ada.person.token).await), "not-logged-in");
    assert_eq!(word(&server.log_in(1).await), "participant-disabled");
    let guessed = server.login_of(1).await.sign(&rsa_key(4));
    assert_eq!(word(&server.log_in_with(&guessed).await), "login-refused");
    people::set_enabled(server.app(), &admin, who, true).await.unwrap();
    assert_eq!(server.log_in(1).await.0, StatusCode::CREATED);
    assert_eq!(word(&look(&server, &ada.person.token).await), "not-logged-in", "ended is ended");
}

#[tokio::test]
async fn a_session_lasts_a_day_from_its_last_use() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    for _ in 0..3 {
        server.advance(SESSION);
        server.upkeep().await;
        assert_eq!(look(&server, &ada.person.token).await.0, StatusCode::OK);
    }
    server.advance(SESSION + Duration::from_millis(1));
    assert_eq!(word(&look(&server, &ada.person.token).await), "not-logged-in");
}

#[tokio::test]
async fn a_device_has_eight_sessions_and_the_oldest_gives_way() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await;
    let mut tokens = vec![ada.person.token.clone()];
    for _ in 0..MAX_SESSIONS_PER_DEVICE {
        tokens.push(token(&server.log_in(1).await));
    }
    assert_eq!(word(&look(&server, &tokens[0]).await), "not-logged-in");
    for token in &tokens[1..] {
        assert_eq!(look(&server, token).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_and_whoever_is_right_gets_in_all_the_same() {
    let server = Server::open("[rates]\nfailures = { per_minute = 1, burst = 3 }\n").await;
    server.join("Ada", 1).await;
    let guess = async || {
        let signed = server.login_of(1).await.sign(&rsa_key(4));
        word(&server.log_in_with(&signed).await).to_owned()
    };
    for expected in ["login-refused", "login-refused", "login-refused", "too-often"] {
        assert_eq!(guess().await, expected);
    }
    assert_eq!(server.log_in(1).await.0, StatusCode::CREATED);
    server.advance(Duration::from_secs(61));
    assert_eq!(guess().await, "login-refused");
}
