//! The mailbox of two devices that are being linked: over the API, without a socket.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use momedo_protocol::device_link::LinkId;
use momedo_protocol::id::DeviceId;
use momedo_protocol::limits::{DEVICE_LINK_SECONDS, MAX_HANDOVER_BYTES, MAX_LINK_STEP_BYTES};
use serde_json::Value;

use crate::live::sessions::Principal;
use crate::testing::{Answer, Person, Server, word};

async fn open(server: &Server, by: &Person) -> String {
    let opened = server.call(by, Method::POST, "/device-links", Value::Null).await;
    assert_eq!(opened.1["expires_in"], DEVICE_LINK_SECONDS);
    opened.1["link"].as_str().unwrap().to_owned()
}

async fn write(server: &Server, by: Option<&Person>, link: &str, step: &str, bytes: &[u8]) -> Answer {
    let (token, path) = (by.map(|by| by.token.as_str()), format!("/device-links/{link}/{step}"));
    let (status, bytes) = server.bytes(token, Method::PUT, &path, bytes.to_vec()).await;
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn read(server: &Server, link: &str, step: &str) -> (StatusCode, Vec<u8>) {
    let path = format!("/device-links/{link}/{step}");
    let (status, bytes) = server.bytes(None, Method::GET, &path, Vec::new()).await;
    (status, bytes.to_vec())
}

async fn is_open(server: &Server, link: &str) -> bool {
    read(server, link, "offer").await.0 != StatusCode::NOT_FOUND
}

#[tokio::test]
async fn both_devices_write_in_turn_and_each_step_once() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let link = open(&server, &ada).await;
    assert_eq!(read(&server, &link, "offer").await.0, StatusCode::NO_CONTENT);
    assert_eq!(word(&write(&server, Some(&ada), &link, "challenge", b"c").await), "malformed", "it is early");
    assert!(write(&server, None, &link, "offer", b"o").await.0.is_success());
    assert_eq!(word(&write(&server, None, &link, "offer", b"other").await), "link-used");
    assert!(write(&server, None, &link, "offer", b"o").await.0.is_success(), "the same again");
    for writer in [None, Some(&ben)] {
        assert_eq!(word(&write(&server, writer, &link, "challenge", b"c").await), "not-yours");
    }
    assert!(write(&server, Some(&ada), &link, "challenge", b"c").await.0.is_success());
    assert_eq!(word(&write(&server, Some(&ada), &link, "handover", b"h").await), "malformed");
    assert!(write(&server, None, &link, "opening", b"n").await.0.is_success());
    assert!(write(&server, Some(&ada), &link, "handover", b"h").await.0.is_success());
    assert_eq!(read(&server, &link, "handover").await, (StatusCode::OK, b"h".to_vec()));
}

#[tokio::test]
async fn another_device_of_the_same_person_does_not_write_for_the_one_that_opened_the_link() {
    let server = Server::open("").await;
    let ada = server.register("Ada").await;
    let link = open(&server, &ada).await;
    assert!(write(&server, None, &link, "offer", b"o").await.0.is_success());
    let other = Principal { participant: ada.id, device: DeviceId::from_number(7).unwrap() };
    let app = server.app();
    let token = app.sessions.begin(other, app.clock.elapsed());
    let tablet = Person { device: other.device, bundle: ada.bundle.clone(), token, ..ada };
    assert_eq!(word(&write(&server, Some(&tablet), &link, "challenge", b"c").await), "not-yours");
}

#[tokio::test]
async fn a_link_ends_after_two_minutes_and_after_two_more_once_somebody_offered() {
    let server = Server::open("").await;
    let ada = server.register("Ada").await;
    let (unused, second) = (open(&server, &ada).await, Duration::from_secs(1));
    server.advance(Duration::from_secs(DEVICE_LINK_SECONDS));
    assert!(!is_open(&server, &unused).await);
    let used = open(&server, &ada).await;
    server.advance(Duration::from_secs(DEVICE_LINK_SECONDS) - second);
    assert!(write(&server, None, &used, "offer", b"o").await.0.is_success());
    server.advance(Duration::from_secs(DEVICE_LINK_SECONDS) - second);
    assert!(write(&server, Some(&ada), &used, "challenge", b"c").await.0.is_success());
    server.advance(second);
    server.upkeep().await;
    assert_eq!(word(&write(&server, None, &used, "opening", b"n").await), "unknown-link");
}

#[tokio::test]
async fn somebody_has_one_link_and_only_they_end_it() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let (first, of_ben) = (open(&server, &ada).await, open(&server, &ben).await);
    let second = open(&server, &ada).await;
    assert!(!is_open(&server, &first).await && is_open(&server, &of_ben).await);
    let end =
        async |by| server.call(by, Method::DELETE, &format!("/device-links/{second}"), Value::Null).await;
    end(&ben).await;
    assert!(is_open(&server, &second).await);
    end(&ada).await;
    assert!(!is_open(&server, &second).await && is_open(&server, &of_ben).await);
}

#[tokio::test]
async fn a_handover_is_large_and_every_other_step_small() {
    let server = Server::open("").await;
    let ada = server.register("Ada").await;
    let link = open(&server, &ada).await;
    let bytes = |length: usize| vec![7; length];
    let large = write(&server, None, &link, "offer", &bytes(MAX_LINK_STEP_BYTES + 1)).await;
    assert_eq!(word(&large), "body-too-large");
    for (by, step) in [(None, "offer"), (Some(&ada), "challenge"), (None, "opening")] {
        assert!(write(&server, by, &link, step, &bytes(MAX_LINK_STEP_BYTES)).await.0.is_success());
    }
    let large = write(&server, Some(&ada), &link, "handover", &bytes(MAX_HANDOVER_BYTES + 1)).await;
    assert_eq!(word(&large), "body-too-large");
    assert!(write(&server, Some(&ada), &link, "handover", &bytes(MAX_HANDOVER_BYTES)).await.0.is_success());
}

#[tokio::test]
async fn whoever_guesses_links_is_slowed_down_and_whoever_has_one_is_not() {
    let server = Server::open("[rates]\nfailures = { per_minute = 1, burst = 2 }\n").await;
    let ada = server.register("Ada").await;
    let link = open(&server, &ada).await;
    for expected in ["unknown-link", "unknown-link", "too-often"] {
        let guess = write(&server, None, &LinkId::random().to_string(), "offer", b"o").await;
        assert_eq!(word(&guess), expected);
    }
    assert!(write(&server, None, &link, "offer", b"o").await.0.is_success());
}
